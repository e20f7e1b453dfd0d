//! Tests of edits of real and random payloads, byte by byte.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::hex::index::Index;
use crate::hex::message::{Names, Package, Policy, Versions};
use crate::hex::strategies::{mixed, record};
use crate::hex::testdata;

fn unhex(text: &str) -> Vec<u8> {
    ::hex::decode(text).unwrap()
}

/// Samples from hex.pm's own encoder.
const NAMES: &str = "0a120a03666f6f1a0b0880e2cfaa06108094ef3a120461636d65";
const VERSIONS_FOO: &str = "0a160a03666f6f1205312e302e301205312e312e301a0101120461636d65";
const PACKAGE_FOO: &str = "0a310a05312e302e301201011a140a0362617212067e3e20312e302a05686578706d220208002a01023a080880e2cfaa0610001203666f6f1a0461636d65";
const POLICY_STRICT: &str = "0a0461636d65120673747269637420002a140a05686578706d120b0803120201021a03313464";

#[test]
fn samples_decode_and_encode_to_the_same_bytes() {
    assert_eq!(Names::decode(&*unhex(NAMES)).unwrap().encode_to_vec(), unhex(NAMES));
    assert_eq!(Versions::decode(&*unhex(VERSIONS_FOO)).unwrap().encode_to_vec(), unhex(VERSIONS_FOO));
    assert_eq!(Package::decode(&*unhex(PACKAGE_FOO)).unwrap().encode_to_vec(), unhex(PACKAGE_FOO));
    let policy = Policy::decode(&*unhex(POLICY_STRICT)).unwrap();
    assert_eq!(policy.encode_to_vec(), unhex(POLICY_STRICT));
    assert_eq!(policy.repositories[0].restriction.as_ref().unwrap().cooldown(), "14d");
}

#[test]
fn a_repository_is_renamed_in_every_resource() {
    let name: RepoName = "my-repo".parse().unwrap();
    let renamed = |resource: &RegistryResource, sample: &str| {
        let payload = unhex(sample);
        let same = set_repository(resource, &payload, &"acme".parse().unwrap()).unwrap();
        assert!(matches!(same, Cow::Borrowed(bytes) if bytes == payload));
        let changed = set_repository(resource, &payload, &name).unwrap().into_owned();
        let back = set_repository(resource, &changed, &"acme".parse().unwrap()).unwrap().into_owned();
        assert_eq!(back, payload);
        changed
    };
    assert_eq!(Names::decode(&*renamed(&RegistryResource::Names, NAMES)).unwrap().repository, "my-repo");
    assert_eq!(Versions::decode(&*renamed(&RegistryResource::Versions, VERSIONS_FOO)).unwrap().repository, "my-repo");
    let package = RegistryResource::Package("foo".parse().unwrap());
    let changed = Package::decode(&*renamed(&package, PACKAGE_FOO)).unwrap();
    assert_eq!((changed.repository.as_str(), changed.name.as_str()), ("my-repo", "foo"));
    assert_eq!(changed.releases, Package::decode(&*unhex(PACKAGE_FOO)).unwrap().releases);
    let policy = RegistryResource::Policy("strict".parse().unwrap());
    assert_eq!(Policy::decode(&*renamed(&policy, POLICY_STRICT)).unwrap().repository, "my-repo");

    assert_eq!(set_repository(&package, b"", &name), Err(WireError::Missing { field: 3 }));
    let doubled = [unhex("1a0461636d65"), unhex("1a0461636d65")].concat();
    assert_eq!(set_repository(&package, &doubled, &name), Err(WireError::Duplicate { field: 3 }));
}

#[test]
fn lists_of_places_are_packed_at_their_first_record_and_left_out_when_empty() {
    let mut package = Vec::new();
    push_bytes(&mut package, 3, &[0, 2]); // retired, packed, before anything else
    push_bytes(&mut package, 1, b"foo");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        push_bytes(&mut package, 2, version.as_bytes());
    }
    package.extend([0x28, 0]); // with_advisories, one number to a record
    push_bytes(&mut package, 77, b"unknown");
    package.extend([0x18, 1]); // retired once more, not packed
    let mut payload = Vec::new();
    push_bytes(&mut payload, 1, &package);
    push_bytes(&mut payload, 2, b"acme");

    let spliced = drop_releases_from_versions(&payload, &|package, version| (package, version) == ("foo", "1.0.0"));
    let mut expected = Vec::new();
    push_bytes(&mut expected, 3, &[1, 0]);
    push_bytes(&mut expected, 1, b"foo");
    push_bytes(&mut expected, 2, b"1.1.0");
    push_bytes(&mut expected, 2, b"1.2.0");
    push_bytes(&mut expected, 77, b"unknown");
    let mut whole = Vec::new();
    push_bytes(&mut whole, 1, &expected);
    push_bytes(&mut whole, 2, b"acme");
    assert_eq!(spliced.unwrap(), whole);

    let none_left = drop_releases_from_versions(&payload, &|_, _| true).unwrap();
    assert_eq!(none_left, unhex("120461636d65"));
    let untouched = drop_releases_from_versions(&payload, &|package, _| package == "bar").unwrap();
    assert!(matches!(untouched, Cow::Borrowed(_)));
}

#[test]
fn broken_payloads_are_refused() {
    let all = |payload: &[u8]| {
        [
            retain_packages(payload, &|_| true).map(Cow::into_owned),
            drop_releases_from_package(payload, &|_| false).map(Cow::into_owned),
            drop_releases_from_versions(payload, &|_, _| false).map(Cow::into_owned),
        ]
    };
    for payload in
        [&b"\x0a\x05\x0a"[..], b"\x0a\x00", b"\x08\x01", b"\x0a\x04\x0a\x02\xff\xff", b"\x0a\x06\x0a\x01a\x0a\x01b"]
    {
        for result in all(payload) {
            assert!(result.is_err(), "{payload:?}");
        }
    }
}

#[test]
fn hex_pms_versions_are_filtered_like_decoded_ones() {
    let Some(gzip) = testdata::read("hexpm/versions") else { return };
    let envelope = crate::hex::envelope::Envelope::open(gzip.into(), 1 << 20).unwrap();
    let payload = &envelope.payload[..];
    assert!(matches!(retain_packages(payload, &|_| true), Ok(Cow::Borrowed(_))));
    assert!(matches!(drop_releases_from_versions(payload, &|_, _| false), Ok(Cow::Borrowed(_))));

    let before = Versions::decode(payload).unwrap();
    let after = Versions::decode(&*retain_packages(payload, &|name| name.contains("phoenix")).unwrap()).unwrap();
    let mut expected = before.clone();
    expected.packages.retain(|package| package.name.contains("phoenix"));
    assert!(expected.packages.len() > 100);
    assert_eq!(after, expected);

    let after = drop_releases_from_versions(payload, &|_, version| version.contains('-')).unwrap();
    let after = Versions::decode(&*after).unwrap();
    let mut expected = before;
    expected.packages =
        expected.packages.into_iter().filter_map(|p| filter_package(p, &|_, v| v.contains('-'))).collect();
    assert_eq!(after, expected);
}

/// The same edit on decoded messages.
fn filter_package(
    package: crate::hex::message::versions::Package,
    drop: &dyn Fn(&str, &str) -> bool,
) -> Option<crate::hex::message::versions::Package> {
    let kept: Vec<bool> = package.versions.iter().map(|version| !drop(&package.name, version)).collect();
    if kept.iter().all(|kept| *kept) {
        return Some(package);
    }
    let place = |old: &i32| {
        let old = usize::try_from(*old).ok().filter(|old| kept.get(*old) == Some(&true))?;
        i32::try_from(kept[..old].iter().filter(|kept| **kept).count()).ok()
    };
    let filtered = crate::hex::message::versions::Package {
        versions: package.versions.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(v, _)| v.clone()).collect(),
        retired: package.retired.iter().filter_map(place).collect(),
        with_advisories: package.with_advisories.iter().filter_map(place).collect(),
        name: package.name,
    };
    (!filtered.versions.is_empty()).then_some(filtered)
}

/// A list of positions: packed, one for each record, or both.
fn places(number: u32) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec((prop::collection::vec(0_u8..8, 0..4), any::<bool>()), 0..3).prop_map(move |lists| {
        let mut records = Vec::new();
        for (list, packed) in lists {
            if packed {
                records.push(record(number, &list));
            } else {
                records.extend(list.iter().map(|place| vec![u8::try_from(number << 3).unwrap(), *place]));
            }
        }
        records
    })
}

fn versions_package(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let versions = prop::collection::btree_set(0_u8..8, 0..6);
    (versions, places(3), places(5)).prop_flat_map(move |(versions, retired, advised)| {
        let mut records = vec![record(1, name.as_bytes())];
        records.extend(versions.iter().map(|version| record(2, format!("1.{version}.0").as_bytes())));
        // The order of records of different fields has no meaning: one list is between other fields, one after them.
        let middle = records.len() / 2;
        records.splice(middle..middle, retired);
        records.extend(advised);
        mixed(records)
    })
}

/// Up to five packages with the names `a` to `f`.
fn versions_payload() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d", "e", "f"], 0..6);
    let packages = names.prop_flat_map(|names| names.into_iter().map(versions_package).collect::<Vec<_>>());
    packages.prop_flat_map(|packages| {
        let mut records: Vec<_> = packages.iter().map(|package| record(1, package)).collect();
        records.push(record(2, b"acme"));
        mixed(records)
    })
}

fn package_payload() -> impl Strategy<Value = Vec<u8>> {
    let release = (0_u8..10, any::<u8>()).prop_flat_map(|(version, byte)| {
        let dependency = mixed(vec![record(1, b"bar"), record(2, b"~> 1.0")]);
        dependency.prop_flat_map(move |dependency| {
            mixed(vec![
                record(1, format!("1.{version}.0").as_bytes()),
                record(2, &[byte; 32]),
                record(3, &dependency),
                record(5, &[byte; 32]),
                vec![0x30, 0],
            ])
        })
    });
    let advisory = mixed(vec![record(1, b"CVE-1")]);
    (prop::collection::vec(release, 0..6), advisory).prop_flat_map(|(releases, advisory)| {
        let mut records: Vec<_> = releases.iter().map(|release| record(1, release)).collect();
        records.extend([record(2, b"foo"), record(3, b"acme"), record(4, &advisory)]);
        mixed(records)
    })
}

/// All records at the top level and in the items, grouped by item, except those with the given field numbers.
fn strangers(payload: &[u8], known: &[u32], inside: &[u32], name: u32) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for field in Fields::new(payload).map(Result::unwrap) {
        if field.number == ITEMS {
            let item = field.bytes().unwrap();
            let name = only_text(item, name).unwrap();
            let records = Fields::new(item).map(Result::unwrap).filter(|field| !inside.contains(&field.number));
            found.extend(records.map(|field| (name.to_owned(), field.record.to_vec())));
        } else if !known.contains(&field.number) {
            found.push((String::new(), field.record.to_vec()));
        }
    }
    found
}

proptest! {
    #[test]
    fn keeping_all_changes_nothing(versions in versions_payload(), package in package_payload()) {
        prop_assert!(matches!(retain_packages(&versions, &|_| true), Ok(Cow::Borrowed(_))));
        prop_assert!(matches!(drop_releases_from_versions(&versions, &|_, _| false), Ok(Cow::Borrowed(_))));
        prop_assert!(matches!(drop_releases_from_package(&package, &|_| false), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn packages_are_kept_as_decoded_ones_would_be(payload in versions_payload(), keep in "[a-f]{0,4}") {
        let kept = retain_packages(&payload, &|name| keep.contains(name)).unwrap();
        let mut expected = Versions::decode(&*payload).unwrap();
        expected.packages.retain(|package| keep.contains(&package.name));
        prop_assert_eq!(Versions::decode(&*kept).unwrap(), expected);
        // All remaining records are unchanged, including unknown ones.
        let mut before = strangers(&payload, &[], &[], NAME);
        before.retain(|(name, _)| name.is_empty() || keep.contains(name.as_str()));
        prop_assert_eq!(strangers(&kept, &[], &[], NAME), before);
    }

    #[test]
    fn versions_are_dropped_as_decoded_ones_would_be(
        payload in versions_payload(), dropped in prop::collection::btree_set(("[a-f]", 0_u8..8), 0..30),
    ) {
        let drop = |package: &str, version: &str| {
            dropped.iter().any(|(name, minor)| name == package && version == format!("1.{minor}.0"))
        };
        let spliced = drop_releases_from_versions(&payload, &drop).unwrap();
        let before = Versions::decode(&*payload).unwrap();
        let after = Versions::decode(&*spliced).unwrap();
        let expected: Vec<_> = before.packages.into_iter().filter_map(|package| filter_package(package, &drop)).collect();
        prop_assert_eq!(&after.packages, &expected);
        prop_assert_eq!(&after.repository, "acme");
        // All other records of the remaining packages stay.
        let mut kept = strangers(&payload, &[2], &[2, 3, 5], NAME);
        kept.retain(|(name, _)| name.is_empty() || expected.iter().any(|package| package.name == *name));
        prop_assert_eq!(strangers(&spliced, &[2], &[2, 3, 5], NAME), kept);
        prop_assert!(Index::decode(&RegistryResource::Versions, &spliced).is_ok());
    }

    #[test]
    fn releases_are_dropped_whole_and_nothing_else_is(payload in package_payload(), dropped in 0_u8..10) {
        let dropped = format!("1.{dropped}.0");
        let spliced = drop_releases_from_package(&payload, &|version| version == dropped).unwrap();
        let mut expected = Package::decode(&*payload).unwrap();
        expected.releases.retain(|release| release.version != dropped);
        prop_assert_eq!(Package::decode(&*spliced).unwrap(), expected);
        let mut before = strangers(&payload, &[], &[], VERSION);
        before.retain(|(version, _)| *version != dropped);
        prop_assert_eq!(strangers(&spliced, &[], &[], VERSION), before);
    }

    #[test]
    fn renaming_there_and_back_changes_nothing(payload in package_payload(), name in crate::hex::strategies::repo_name()) {
        let resource = RegistryResource::Package("foo".parse().unwrap());
        let there = set_repository(&resource, &payload, &name).unwrap().into_owned();
        prop_assert_eq!(Package::decode(&*there).unwrap().repository, name.as_str());
        let back = set_repository(&resource, &there, &"acme".parse().unwrap()).unwrap().into_owned();
        prop_assert_eq!(back, payload);
    }

    #[test]
    fn any_bytes_are_spliced_or_refused(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = retain_packages(&payload, &|_| false);
        let _ = drop_releases_from_package(&payload, &|_| true);
        let _ = drop_releases_from_versions(&payload, &|_, version| version.len() % 2 == 0);
    }
}
