//! What a registry resource costs: verifying, editing, sealing.
//!
//! The resources are made here, with the sizes of hex.pm's, so that the numbers compare wherever they are taken.
//! Run with `cargo bench --bench codec`.

#![expect(clippy::expect_used, reason = "what cannot be set up cannot be measured")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Dependency, Package, Release, Timestamp, Versions, versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::hex::splice;
use hexkeep::trust::{Origin, PrivateKey, Signer, verify};
use prost::Message;

/// One of the larger packages: 200 releases with ten dependencies each.
fn package() -> Vec<u8> {
    let checksum = |n: u8| hexkeep::hex::checksum::Sha256::of(&[n]).as_bytes().to_vec();
    let dependency = |n: u8| Dependency {
        package: format!("dependency_{n}"),
        requirement: format!("~> {n}.0 or ~> {n}.1"),
        ..Default::default()
    };
    let releases = (0..200).map(|n| Release {
        version: format!("1.{n}.0"),
        inner_checksum: checksum(n),
        outer_checksum: Some(checksum(n.wrapping_add(1))),
        dependencies: (0..10).map(dependency).collect(),
        published_at: Some(Timestamp { seconds: 1_700_000_000 + i64::from(n), nanos: 0 }),
        ..Default::default()
    });
    Package { name: "foo".into(), repository: "bench".into(), releases: releases.collect(), advisories: vec![] }
        .encode_to_vec()
}

/// 20,000 packages with twelve versions each.
fn bulk() -> Vec<u8> {
    let packages = (0..20_000_u32).map(|n| versions::Package {
        name: format!("package_{:x}", n.wrapping_mul(2_654_435_761)),
        versions: (0..12).map(|v| format!("{}.{v}.{}", n % 3, n % 7)).collect(),
        retired: if n % 20 == 0 { vec![0, 3] } else { vec![] },
        with_advisories: vec![],
    });
    Versions { repository: "bench".into(), packages: packages.collect() }.encode_to_vec()
}

fn codec(criterion: &mut Criterion) {
    let signer = PrivateKey::generate(2048).and_then(|key| Signer::new(&key)).expect("a key");
    let repository: RepoName = "bench".parse().expect("a name");
    let samples = [
        ("package", RegistryResource::Package("foo".parse().expect("a name")), package()),
        ("versions", RegistryResource::Versions, bulk()),
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
        group.bench_function("sign", |bencher| bencher.iter(|| signer.seal(black_box(payload)).expect("sealed")));
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
