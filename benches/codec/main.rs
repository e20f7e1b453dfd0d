//! What a registry resource costs: verifying, editing, holding back by a policy, merging, sealing.
//!
//! The resources are made here, with the sizes of hex.pm's, so that the numbers compare wherever they are taken.
//! Run with `cargo bench --bench codec`.

#![expect(clippy::expect_used, reason = "what cannot be set up cannot be measured")]

mod policy;
mod scale;
mod synthetic;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::hex::splice;
use hexkeep::trust::{Encoder, Origin, PrivateKey, Signer, verify};
use synthetic::Registry;

fn codec(criterion: &mut Criterion) {
    let key = PrivateKey::generate(2048).expect("a key");
    let signer = Signer::new(&key).expect("a signer");
    let repository: RepoName = "bench".parse().expect("a name");
    let samples = [
        ("package", RegistryResource::Package("foo".parse().expect("a name")), synthetic::package("bench", "foo", 200)),
        ("versions", RegistryResource::Versions, Registry::new("bench", "", 20_000, 1).versions()),
    ];
    for (name, resource, payload) in &samples {
        let sealed = signer.seal(payload).expect("sealed");
        let keys = [signer.public_key().clone()];
        let origin = Origin { repository: &repository, resource };
        let open = || Envelope::open(sealed.body().clone(), resource.max_payload()).expect("an envelope");

        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function("open", |bencher| bencher.iter(open));
        let envelope = open();
        group.bench_function("verify", |bencher| {
            bencher.iter(|| verify(black_box(envelope.clone()), &keys, &origin).expect("verified"));
        });
        group.bench_function("splice", |bencher| {
            bencher.iter(|| match resource {
                RegistryResource::Versions => {
                    let drop = |_: &str, version: &str| version.ends_with(".6");
                    splice::drop_releases_from_versions(black_box(payload), &drop).expect("spliced").len()
                }
                _ => {
                    let drop = |version: &str| version.ends_with("7.0");
                    splice::drop_releases_from_package(black_box(payload), &drop).expect("spliced").len()
                }
            });
        });
        group.sample_size(20);
        group.bench_function("sign", |bencher| {
            let fresh = || Signer::with_encoder(&key, Encoder::default()).expect("a signer");
            bencher.iter_batched(fresh, |signer| signer.seal(black_box(payload)), BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group!(benches, codec, policy::policy, scale::scale);
criterion_main!(benches);
