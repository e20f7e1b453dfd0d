//! Property tests: merges of random members, compared with decoded messages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use prost::Message;

use super::{AsWritten, Moved, merge, view};
use crate::hex::index::Index;
use crate::hex::message::{self, versions};
use crate::hex::resource::RegistryResource;
use crate::hex::strategies::{mixed, record};
use crate::hex::version;
use crate::hex::wire::Fields;
use crate::policy::merge::{Bulk, MergedPackage, names_entry, versions_entry};

fn resource() -> RegistryResource {
    RegistryResource::Package("foo".parse().unwrap())
}

/// A `packages/foo` payload with advisories, dependencies, and unknown fields at every level.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let versions = prop::collection::btree_map(version_text(), 0_u8..3, 0..5);
    let advisories = prop::collection::vec("[A-D]", 0..4);
    (versions, advisories).prop_flat_map(|(versions, advisories)| {
        let count = advisories.len();
        let releases: Vec<_> = versions.into_iter().map(|(version, byte)| any_release(version, byte, count)).collect();
        let advisories: Vec<_> = advisories.into_iter().map(|id| mixed(vec![record(1, id.as_bytes())])).collect();
        (releases, advisories).prop_flat_map(|(releases, advisories)| {
            let mut records: Vec<_> = releases.iter().map(|release| record(1, release)).collect();
            records.extend([record(2, b"foo"), record(3, b"acme")]);
            records.extend(advisories.iter().map(|advisory| record(4, advisory)));
            mixed(records)
        })
    })
}

/// So few versions that parts share some; one of them is not a valid version.
fn version_text() -> impl Strategy<Value = String> {
    prop_oneof![9 => (0_u8..3, 9_u8..12).prop_map(|(major, minor)| format!("{major}.{minor}.0")), 1 => Just("x".into())]
}

fn any_release(version: String, byte: u8, advisories: usize) -> impl Strategy<Value = Vec<u8>> {
    let dependency = ("bar|zoo", prop::option::of("hexpm|acme")).prop_flat_map(|(package, repository)| {
        let mut records = vec![record(1, package.as_bytes()), record(2, b"~> 1.0")];
        records.extend(repository.map(|repository| record(5, repository.as_bytes())));
        mixed(records)
    });
    let places = 0..u8::try_from(advisories.max(1)).unwrap();
    let indexes = prop::collection::vec((places, any::<bool>()), 0..if advisories == 0 { 1 } else { 4 });
    (prop::collection::vec(dependency, 0..3), indexes).prop_flat_map(move |(dependencies, indexes)| {
        let mut records = vec![record(1, version.as_bytes()), record(2, &[byte; 32])];
        records.extend(dependencies.iter().map(|dependency| record(3, dependency)));
        records.push(record(5, &[byte; 32]));
        records.extend(indexes.iter().map(|(at, packed)| if *packed { record(6, &[*at]) } else { vec![0x30, *at] }));
        mixed(records)
    })
}

fn versions_part() -> impl Strategy<Value = Vec<u8>> {
    let versions = prop::collection::btree_map(version_text(), (any::<bool>(), any::<bool>()), 0..6);
    versions.prop_flat_map(|versions| {
        let mut records = vec![record(1, b"foo")];
        records.extend(versions.keys().map(|version| record(2, version.as_bytes())));
        let places = |flag: fn(&(bool, bool)) -> bool| -> Vec<u8> {
            let set = versions.values().enumerate().filter(|(_, flags)| flag(flags));
            set.map(|(at, _)| u8::try_from(at).unwrap()).collect()
        };
        records.extend([record(3, &places(|flags| flags.0)), record(5, &places(|flags| flags.1))]);
        mixed(records)
    })
}

/// The records of a message whose fields are not `known`.
fn unknown(message: &[u8], known: std::ops::RangeInclusive<u32>) -> Vec<Vec<u8>> {
    let fields = Fields::new(message).map(Result::unwrap).filter(|field| !known.contains(&field.number));
    fields.map(|field| field.record.to_vec()).collect()
}

/// Every record of a release, with its advisories instead of their positions.
type Content = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// The releases of a package by version.
fn contents(payload: &[u8]) -> BTreeMap<String, Content> {
    let fields = |number: u32| Fields::new(payload).map(Result::unwrap).filter(move |field| field.number == number);
    let advisories: Vec<_> = fields(4).map(|field| field.bytes().unwrap().to_vec()).collect();
    fields(1)
        .map(|release| {
            let (mut version, mut records, mut advised) = (String::new(), Vec::new(), Vec::new());
            for field in Fields::new(release.bytes().unwrap()).map(Result::unwrap) {
                match field.number {
                    1 => version = field.text().unwrap().to_owned(),
                    6 => {
                        let places = field.varints().unwrap().map(|place| usize::try_from(place.unwrap()).unwrap());
                        advised.extend(places.map(|place| advisories[place].clone()));
                        continue;
                    }
                    _ => {}
                }
                records.push(field.record.to_vec());
            }
            (version, (records, advised))
        })
        .collect()
}

proptest! {
    #[test]
    fn nothing_is_invented_and_nothing_lost(parts in prop::collection::vec(part(), 1..4)) {
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        let merged = merge(&slices, &AsWritten).unwrap();
        prop_assert!(Index::decode(&resource(), &merged.payload).is_ok());
        // A second merge gives the same bytes.
        prop_assert_eq!(&merge(&slices, &AsWritten).unwrap(), &merged);

        // Each release is that of the first part that has it, record by record, with the same advisories.
        let mut expected = BTreeMap::new();
        let mut conflicts = 0;
        for part in &parts {
            for (version, release) in contents(part) {
                let first: &Content = expected.entry(version).or_insert_with(|| release.clone());
                conflicts += usize::from(first.0.iter().filter(|record| record[0] == 0x2a).ne(release.0.iter().filter(|record| record[0] == 0x2a)));
            }
        }
        prop_assert_eq!(contents(&merged.payload), expected.clone());
        prop_assert_eq!(merged.conflicts.len(), conflicts);
        for (version, owner) in &merged.owners {
            prop_assert_eq!(&contents(&parts[*owner])[&**version], &expected[&**version]);
        }
        prop_assert_eq!(merged.owners.len(), expected.len());

        // Unknown fields and advisories are those of all parts.
        let all: BTreeSet<_> = parts.iter().flat_map(|part| unknown(part, 1..=3)).collect();
        prop_assert_eq!(unknown(&merged.payload, 1..=3).into_iter().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn what_is_held_is_left_out_and_nothing_else_changes(
        parts in prop::collection::vec(part(), 1..4),
        held in prop::collection::btree_set((0_usize..3, version_text()), 0..8),
    ) {
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        let merged = merge(&slices, &AsWritten).unwrap();
        let is_held = |part: usize, version: &str| held.contains(&(part, version.to_owned()));
        let (left, gone) = merged.without(&is_held).unwrap();
        let records = |payload: &[u8]| -> Vec<Vec<u8>> {
            Fields::new(payload).map(|field| field.unwrap().record.to_vec()).collect()
        };
        // The rest are records of the whole payload, in their order and unchanged.
        let (all, some) = (records(&merged.payload), records(&left));
        let mut rest = all.iter();
        for record in &some {
            prop_assert!(rest.any(|original| original == record));
        }
        prop_assert_eq!(all.len() - some.len(), gone.len());
        // Held releases are removed, and no other part's release of that version replaces them.
        let shown = contents(&left);
        for (version, owner) in &merged.owners {
            prop_assert_eq!(shown.contains_key(&**version), !is_held(*owner, version), "{}", version);
            prop_assert_eq!(gone.contains(version), is_held(*owner, version));
        }
        // The result is as if its owner did not have it and no other part did either. A release held in a part that
        // does not own the version stays.
        prop_assert_eq!(shown.len() + gone.len(), merged.owners.len());
        prop_assert_eq!(unknown(&left, 1..=1), unknown(&merged.payload, 1..=1), "advisories stay, all of them");
    }

    #[test]
    fn several_parts_come_out_sorted_and_idempotent(left in part(), right in part()) {
        let merged = merge(&[&left, &right], &AsWritten).unwrap();
        let order: Vec<String> = message::Package::decode(&*merged.payload).unwrap().releases.into_iter().map(|release| release.version).collect();
        prop_assert!(order.is_sorted_by_key(|version| version::order(version)));
        for again in [&[&*merged.payload][..], &[&merged.payload, &merged.payload], &[&merged.payload, &right], &[&merged.payload, &left]] {
            prop_assert_eq!(&merge(again, &AsWritten).unwrap().payload, &merged.payload);
        }
    }

    #[test]
    fn without_conflicts_the_order_of_parts_does_not_count(left in part(), right in part()) {
        let (there, back) = (merge(&[&left, &right], &AsWritten).unwrap(), merge(&[&right, &left], &AsWritten).unwrap());
        let versions = |merged: &MergedPackage| merged.owners.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(versions(&there), versions(&back));
        prop_assert_eq!(there.conflicts.len(), back.conflicts.len());
        let (mut first, mut second) = (contents(&there.payload), contents(&back.payload));
        let shared: Vec<String> = contents(&left).into_keys().filter(|version| contents(&right).contains_key(version)).collect();
        for version in shared {
            first.remove(&version);
            second.remove(&version);
        }
        prop_assert_eq!(first, second);
    }

    #[test]
    fn a_single_part_changes_its_repository_alone(part in part()) {
        let merged = merge(&[&part], &AsWritten).unwrap();
        let renamed = crate::hex::splice::set_repository(&resource(), &part, &view()).unwrap();
        prop_assert_eq!(&merged.payload, &*renamed);
        prop_assert!(merged.conflicts.is_empty() && merged.owners.values().all(|owner| *owner == 0));
    }

    #[test]
    fn only_the_repository_of_a_dependency_is_written_anew(parts in prop::collection::vec(part(), 1..3)) {
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        let (kept, moved) = (merge(&slices, &AsWritten).unwrap(), merge(&slices, &Moved).unwrap());
        let mut expected = message::Package::decode(&*kept.payload).unwrap();
        for dependency in expected.releases.iter_mut().flat_map(|release| &mut release.dependencies) {
            dependency.repository = (dependency.package != "bar").then(|| "elsewhere".to_owned());
        }
        prop_assert_eq!(message::Package::decode(&*moved.payload).unwrap(), expected);
        let strangers = |payload: &[u8]| -> Vec<Vec<u8>> {
            let releases = Fields::new(payload).map(Result::unwrap).filter(|field| field.number == 1);
            let dependencies = releases.flat_map(|release| Fields::new(release.bytes().unwrap()).map(Result::unwrap)).filter(|field| field.number == 3);
            dependencies.flat_map(|dependency| unknown(dependency.bytes().unwrap(), 5..=5)).collect()
        };
        prop_assert_eq!(strangers(&moved.payload), strangers(&kept.payload));
    }

    #[test]
    fn entries_of_versions_are_those_of_their_owners(parts in prop::collection::vec(versions_part(), 1..4)) {
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        let merged = versions_entry(&slices).unwrap();
        let flags = |payload: &[u8]| {
            let entry = versions::Package::decode(payload).unwrap();
            let has = |places: &[i32], at: usize| places.contains(&i32::try_from(at).unwrap());
            let of_each = entry.versions.iter().enumerate();
            of_each.map(|(at, text)| (text.clone(), (has(&entry.retired, at), has(&entry.with_advisories, at)))).collect::<BTreeMap<_, _>>()
        };
        let mut expected = BTreeMap::new();
        for part in &parts {
            for (version, flags) in flags(part) {
                expected.entry(version).or_insert(flags);
            }
        }
        prop_assert_eq!(flags(&merged), expected);
        let all: BTreeSet<_> = parts.iter().flat_map(|part| unknown(part, 1..=5)).collect();
        prop_assert_eq!(unknown(&merged, 1..=5).into_iter().collect::<BTreeSet<_>>(), all);
        prop_assert_eq!(&*versions_entry(&[&merged, &merged]).unwrap(), &*versions_entry(&[&merged, slices[0]]).unwrap());
        if parts.len() > 1 {
            prop_assert_eq!(&*versions_entry(&[&merged, &merged]).unwrap(), &*merged);
        }
    }

    #[test]
    fn any_bytes_are_merged_or_refused(left in prop::collection::vec(any::<u8>(), 0..48), right in prop::collection::vec(any::<u8>(), 0..48)) {
        let _ = merge(&[&left, &right], &Moved);
        let _ = merge(&[&left], &Moved);
        let _ = versions_entry(&[&left, &right]);
        let _ = names_entry(&[&left, &right]);
        let _ = Bulk::split(&left);
    }
}
