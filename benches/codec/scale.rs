//! What a view of hex.pm's size costs: merging and sealing its indexes, all at once and after one change.
//!
//! A member with 20,000 packages and 200,000 releases, and one with 300 private packages.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use hexkeep::hex::name::RepoName;
use hexkeep::policy::merge::{self, MemberPart};
use hexkeep::trust::{Encoder, PrivateKey, Signer};

use crate::synthetic::{self, EverySecond, First, Registry};

/// The payloads of the members.
struct Members {
    names: [Vec<u8>; 2],
    versions: [Vec<u8>; 2],
}

impl Members {
    fn of(private: &Registry, public: &Registry) -> Self {
        Self { names: [private.names(), public.names()], versions: [private.versions(), public.versions()] }
    }

    /// Merges both indexes.
    fn merge(&self, view: &RepoName) -> [Vec<u8>; 2] {
        let names = merge::names(view, &[&self.names[0], &self.names[1]], &First).expect("merged");
        let versions = merge::versions(view, &[&self.versions[0], &self.versions[1]], &First).expect("merged");
        [names, versions]
    }
}

pub(crate) fn scale(criterion: &mut Criterion) {
    let view: RepoName = "view".parse().expect("a name");
    let key = PrivateKey::generate(2048).expect("a key");
    let signer = || Signer::with_encoder(&key, Encoder::default()).expect("a signer");
    let private = Registry::new("acme", "acme_", 300, 7);
    let public = Registry::new("hexpm", "", 20_000, 1);
    let before = Members::of(&private, &public);
    // Changes in many places, so that no segment is measured more often than others.
    let changed: Vec<_> = (0..16)
        .map(|n| {
            let mut public = public.clone();
            public.publish(n * 1237);
            Members::of(&private, &public)
        })
        .collect();

    let mut group = criterion.benchmark_group("indexes");
    group.sample_size(20);
    group.bench_function("merge", |bencher| bencher.iter(|| black_box(&before).merge(&view)));
    let [_, versions] = before.merge(&view);
    group.bench_function("seal versions from nothing", |bencher| {
        bencher.iter_batched(signer, |signer| signer.seal(black_box(&versions)), BatchSize::PerIteration);
    });
    group.bench_function("merge and seal both from nothing", |bencher| {
        bencher.iter_batched(
            signer,
            |signer| before.merge(&view).map(|payload| signer.seal(&payload).expect("sealed")),
            BatchSize::PerIteration,
        );
    });
    let mut turn = changed.iter().cycle();
    group.bench_function("merge and seal both after one change", |bencher| {
        bencher.iter_batched(
            || {
                // As it was before the change: what an earlier turn compressed is not found again.
                let signer = signer();
                let _warm = before.merge(&view).map(|payload| signer.seal(&payload).expect("sealed"));
                (signer, turn.next().expect("a cycle"))
            },
            |(signer, members)| members.merge(&view).map(|payload| signer.seal(&payload).expect("sealed")),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let payload = synthetic::package("hexpm", "foo", 200);
    let mut group = criterion.benchmark_group("package of 200 releases");
    let warm = signer();
    let hidden = BTreeSet::new();
    let parts = [MemberPart { payload: &payload, hidden: &hidden, is_private: false }];
    group.bench_function("merge", |bencher| {
        bencher.iter(|| merge::package(&view, black_box(&parts), &EverySecond).expect("merged"));
    });
    group.bench_function("merge and seal", |bencher| {
        bencher.iter(|| {
            let merged = merge::package(&view, black_box(&parts), &EverySecond).expect("merged");
            warm.seal(&merged.payload).expect("sealed")
        });
    });
    group.finish();
}
