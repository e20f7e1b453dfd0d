//! Tests of decoding payloads.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::message;
use crate::hex::strategies;
use crate::hex::wire::push_bytes;

fn resource() -> RegistryResource {
    RegistryResource::Package("foo".parse().unwrap())
}

fn package() -> message::Package {
    message::Package {
        name: "foo".into(),
        repository: "acme".into(),
        releases: vec![release("1.0.0"), release("1.10.0"), release("1.9.0")],
        advisories: vec![message::SecurityAdvisory { id: "CVE-1".into(), ..Default::default() }],
    }
}

fn release(version: &str) -> message::Release {
    message::Release {
        version: version.into(),
        inner_checksum: vec![1; 32],
        outer_checksum: Some(vec![2; 32]),
        dependencies: vec![dependency("bar", ">= 0.0.0")],
        advisory_indexes: vec![0],
        published_at: Some(message::Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 }),
        ..Default::default()
    }
}

fn dependency(package: &str, requirement: &str) -> message::Dependency {
    message::Dependency { package: package.into(), requirement: requirement.into(), ..Default::default() }
}

fn decode(package: &message::Package) -> Result<PackageIndex, SchemaError> {
    match Index::decode(&resource(), &package.encode_to_vec())? {
        Index::Package(index) => Ok(index),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_package_is_read() {
    let index = decode(&package()).unwrap();
    assert_eq!((&*index.name, &*index.repository), ("foo", "acme"));
    let found = index.release(&"1.9.0".parse().unwrap()).unwrap();
    assert_eq!(found.inner, Some(Sha256::from_bytes([1; 32])));
    assert_eq!(found.outer, Some(Sha256::from_bytes([2; 32])));
    assert_eq!(found.published_at, Some(Timestamp::from_millis(1_700_000_000_123)));
    assert!(index.release(&"1.8.0".parse().unwrap()).is_none());
    assert_eq!(Index::Package(index.clone()).name(), Some("foo"));
    assert_eq!(Index::Package(index).repository(), "acme");
}

#[test]
fn what_does_not_parse_as_a_version_is_carried() {
    let mut package = package();
    package.releases.push(release("1.0"));
    assert_eq!(decode(&package).unwrap().releases.len(), 4);
}

#[test]
fn old_registries_have_fewer_checksums() {
    let mut package = package();
    package.releases[0].outer_checksum = None;
    package.releases[1].inner_checksum = vec![];
    let index = decode(&package).unwrap();
    assert_eq!(index.release(&"1.0.0".parse().unwrap()).unwrap().outer, None);
    assert_eq!(index.release(&"1.10.0".parse().unwrap()).unwrap().inner, None);
}

#[test]
fn what_clients_would_stumble_over_is_refused() {
    let refused = |change: &dyn Fn(&mut message::Package)| {
        let mut package = package();
        change(&mut package);
        decode(&package).unwrap_err()
    };
    assert!(matches!(refused(&|p| p.name.clear()), SchemaError::Empty { message: "Package", field: 2 }));
    assert!(matches!(refused(&|p| p.repository.clear()), SchemaError::Empty { message: "Package", field: 3 }));
    for nul in [
        refused(&|p| p.name.push('\0')),
        refused(&|p| p.repository.insert(0, '\0')),
        refused(&|p| p.releases[0].version.push_str("\0b")),
        refused(&|p| p.releases[0].dependencies.push(dependency("bar", "~> 1\0"))),
    ] {
        assert!(matches!(nul, SchemaError::Nul { .. }), "{nul:?}");
    }
    assert!(matches!(refused(&|p| p.releases[0].version.clear()), SchemaError::Empty { message: "Release", field: 1 }));
    assert!(matches!(refused(&|p| p.advisories[0].id.clear()), SchemaError::Empty { message: "SecurityAdvisory", .. }));
    assert!(matches!(
        refused(&|p| p.releases[0].dependencies.push(dependency("bar", ""))),
        SchemaError::Empty { message: "Dependency", field: 2 }
    ));
    assert!(matches!(
        refused(&|p| p.releases[0].dependencies.push(dependency("", "~> 1.0"))),
        SchemaError::Empty { message: "Dependency", field: 1 }
    ));
    assert!(matches!(
        refused(&|p| p.releases[0].inner_checksum = vec![1; 31]),
        SchemaError::Checksum { length: 31, .. }
    ));
    assert!(matches!(
        refused(&|p| p.releases[0].outer_checksum = Some(vec![1; 64])),
        SchemaError::Checksum { length: 64, .. }
    ));
    assert!(matches!(
        refused(&|p| p.releases[2].advisory_indexes = vec![0, 1]),
        SchemaError::Advisory { index: 1, advisories: 1, .. }
    ));
    assert!(matches!(refused(&|p| p.releases[0].advisory_indexes = vec![u32::MAX]), SchemaError::Advisory { .. }));
    assert_eq!(refused(&|p| p.releases.push(release("1.9.0"))), SchemaError::DoubleRelease { version: "1.9.0".into() });
    assert!(matches!(
        refused(&|p| p.releases[0].dependencies = vec![dependency("bar", "1"); limits::DEPENDENCIES + 1]),
        SchemaError::TooMany { what: "dependencies", .. }
    ));
}

#[test]
fn advisories_may_come_before_or_after_the_releases() {
    let whole = package();
    let advisories = message::Package { releases: vec![], ..whole.clone() }.encode_to_vec();
    let mut releases = Vec::new();
    for release in &whole.releases {
        push_bytes(&mut releases, 1, &release.encode_to_vec());
    }
    let index = Index::decode(&resource(), &[advisories, releases].concat()).unwrap();
    assert_eq!(index.as_package(), Some(&decode(&whole).unwrap()));
}

#[test]
fn missing_and_doubled_fields_are_refused() {
    let payload = package().encode_to_vec();
    let doubled = [&payload[..], b"\x12\x03bar"].concat();
    let wire = |source| SchemaError::Wire { message: "Package", source };
    assert_eq!(Index::decode(&resource(), &doubled), Err(wire(WireError::Duplicate { field: 2 })));
    assert_eq!(Index::decode(&resource(), b""), Err(wire(WireError::Missing { field: 2 })));
    assert_eq!(Index::decode(&resource(), b"\x10\x01"), Err(wire(WireError::Kind { field: 2 })));
    assert_eq!(Index::decode(&resource(), b"\x12\x01\xff"), Err(wire(WireError::Utf8 { field: 2 })));
    let large = vec![0; limits::PACKAGE_PAYLOAD + 1];
    assert!(matches!(Index::decode(&resource(), &large), Err(SchemaError::TooLarge { .. })));
}

#[test]
fn times_before_and_beyond_are_bounded() {
    let at = |seconds, nanos| {
        let mut package = package();
        package.releases.truncate(1);
        package.releases[0].published_at = Some(message::Timestamp { seconds, nanos });
        decode(&package).unwrap().releases[0].published_at.unwrap().as_millis()
    };
    assert_eq!(at(-1, 0), 0);
    assert_eq!(at(i64::MIN, i32::MIN), 0);
    assert_eq!(at(1, i32::MAX), 1999);
    assert_eq!(at(i64::MAX, 0), i64::MAX as u64);
}

#[test]
fn names_and_versions_are_summed_up() {
    let names = message::Names {
        repository: "acme".into(),
        packages: [("a", Some(5)), ("b", Some(9)), ("c", None)]
            .map(|(name, seconds)| message::names::Package {
                name: name.into(),
                updated_at: seconds.map(|seconds| message::Timestamp { seconds, nanos: 0 }),
            })
            .to_vec(),
    };
    let decoded = Index::decode(&RegistryResource::Names, &names.encode_to_vec());
    let newest = Some(Timestamp::from_secs(9));
    assert_eq!(decoded, Ok(Index::Names(NamesIndex { repository: "acme".into(), packages: 3, newest })));

    let package = |name: &str, versions: &[&str]| message::versions::Package {
        name: name.into(),
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        retired: vec![0],
        with_advisories: vec![],
    };
    let mut versions = message::Versions {
        repository: "acme".into(),
        packages: vec![package("a", &["1.0.0", "no version"]), package("b", &["2.0.0"])],
    };
    let decoded = Index::decode(&RegistryResource::Versions, &versions.encode_to_vec());
    let expected = VersionsIndex { repository: "acme".into(), packages: 2, releases: 3 };
    assert_eq!(decoded, Ok(Index::Versions(expected)));
    assert_eq!(decoded.unwrap().name(), None);

    versions.packages.push(package("", &[]));
    let decoded = Index::decode(&RegistryResource::Versions, &versions.encode_to_vec());
    assert_eq!(decoded, Err(SchemaError::Empty { message: "Versions.Package", field: 1 }));
}

#[test]
fn a_policy_says_whose_it_is() {
    let mut payload =
        ::hex::decode("0a0461636d65120673747269637420002a140a05686578706d120b0803120201021a03313464").unwrap();
    let resource = RegistryResource::Policy("strict".parse().unwrap());
    for (visibility, is_public) in [(0, false), (1, true), (2, false)] {
        payload[15] = visibility;
        let expected = PolicyIndex { name: "strict".into(), repository: "acme".into(), is_public };
        assert_eq!(Index::decode(&resource, &payload), Ok(Index::Policy(expected)), "{visibility}");
    }
    let mut broken = payload;
    broken[23] = 0xff;
    assert!(Index::decode(&resource, &broken).is_err());
}

proptest! {
    #[test]
    fn agrees_with_a_full_decoding(
        versions in prop::collection::btree_set(strategies::version_text(), 0..8), seconds in 0..1_i64 << 40,
        inner in prop::option::of(any::<[u8; 32]>()), outer in prop::option::of(any::<[u8; 32]>()),
    ) {
        let mut package = package();
        package.releases = versions.iter().rev().map(|version| message::Release {
            inner_checksum: inner.map_or(vec![], |inner| inner.to_vec()),
            outer_checksum: outer.map(|outer| outer.to_vec()),
            published_at: Some(message::Timestamp { seconds, nanos: 0 }),
            ..release(version)
        }).collect();
        let index = decode(&package).unwrap();
        prop_assert_eq!(index.releases.len(), versions.len());
        for version in &versions {
            let release = index.release(&version.parse().unwrap()).unwrap();
            prop_assert_eq!(&*release.version, version);
            prop_assert_eq!(release.inner, inner.map(Sha256::from_bytes));
            prop_assert_eq!(release.outer, outer.map(Sha256::from_bytes));
            prop_assert_eq!(release.published_at, Some(Timestamp::from_millis(seconds.unsigned_abs() * 1000)));
        }
    }

    #[test]
    fn what_is_accepted_decodes_elsewhere_too(payload in prop::collection::vec(any::<u8>(), 0..48)) {
        if Index::decode(&resource(), &payload).is_ok() {
            prop_assert!(message::Package::decode(&*payload).is_ok());
        }
        if Index::decode(&RegistryResource::Versions, &payload).is_ok() {
            prop_assert!(message::Versions::decode(&*payload).is_ok());
        }
    }
}
