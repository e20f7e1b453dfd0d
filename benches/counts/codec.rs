//! What a registry resource costs without a server: verifying, splicing, merging, sealing.

use std::collections::BTreeSet;
use std::hint::black_box;

use bytes::Bytes;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::hex::splice;
use hexkeep::policy::merge::{self, MemberPart};
use hexkeep::trust::{Encoder, Origin, PrivateKey, Signer, verify};

use super::region::count;
use super::server::KEY;
use super::synthetic::{self, EverySecond, First, Registry};

/// Packages of the indexes: enough for several segments.
const PACKAGES: u64 = 5_000;

/// Changes of the indexes, each of which is sealed.
const CHANGES: u32 = 4;

pub(crate) fn run() {
    let key = PrivateKey::from_pem(KEY).unwrap();
    let fresh = || Signer::with_encoder(&key, Encoder::default()).unwrap();
    let (signer, keys) = (fresh(), [fresh().public_key().clone()]);
    let repository: RepoName = "bench".parse().unwrap();
    let view: RepoName = "view".parse().unwrap();
    let verified = |sealed: &Bytes, resource: &RegistryResource| {
        let envelope = Envelope::open(sealed.clone(), resource.max_payload()).unwrap();
        black_box(verify(envelope, &keys, &Origin { repository: &repository, resource }).unwrap());
    };

    let package = synthetic::package("bench", "foo", 200);
    let resource = RegistryResource::Package("foo".parse().unwrap());
    let sealed = signer.seal(&package).unwrap().body().clone();
    count("verify_package", 10, || verified(&sealed, &resource));
    count("splice_package", 10, || {
        let drop = |version: &str| version.ends_with("7.0");
        black_box(splice::drop_releases_from_package(&package, &drop).unwrap());
    });
    let hidden = BTreeSet::new();
    count("merge_package", 10, || {
        let part = MemberPart { payload: &package, hidden: &hidden, is_private: false };
        black_box(merge::package(&view, &[part], &EverySecond).unwrap());
    });
    let mut signers: Vec<Signer> = (0..10).map(|_| fresh()).collect();
    count("seal_package", 10, || {
        black_box(signers.pop().unwrap().seal(&package).unwrap());
    });

    let (private, mut public) = (Registry::new("acme", "acme_", 300, 7), Registry::new("bench", "", PACKAGES, 1));
    let (names, versions) = (public.names(), public.versions());
    let sealed = signer.seal(&versions).unwrap().body().clone();
    count("verify_versions", 1, || verified(&sealed, &RegistryResource::Versions));
    count("splice_versions", 1, || {
        let drop = |_: &str, version: &str| version.ends_with(".6");
        black_box(splice::drop_releases_from_versions(&versions, &drop).unwrap());
    });
    let members = [private.names(), private.versions()];
    let merge_both = |names: &[u8], versions: &[u8]| {
        [
            merge::names(&view, &[&members[0], names], &First).unwrap(),
            merge::versions(&view, &[&members[1], versions], &First).unwrap(),
        ]
    };
    count("merge_indexes", 1, || {
        black_box(merge_both(&names, &versions));
    });
    // Each with an empty memory. How often RSA allocates varies a little, so that one turn would be too few.
    let signers = [fresh(), fresh(), fresh(), fresh()];
    let before = merge_both(&names, &versions);
    let mut turns = signers.iter();
    count("seal_indexes", 4, || {
        let signer = turns.next().unwrap();
        black_box(before.each_ref().map(|payload| signer.seal(payload).unwrap()));
    });
    let [signer, ..] = signers;
    let changed: Vec<_> = (0..CHANGES)
        .map(|n| {
            public.publish(n as usize * 1237);
            merge_both(&public.names(), &public.versions())
        })
        .collect();
    let mut changed = changed.iter();
    count("seal_indexes_after_one_change", CHANGES, || {
        black_box(changed.next().unwrap().each_ref().map(|payload| signer.seal(payload).unwrap()));
    });
}
