//! Tests of merges of small indexes, byte by byte.

use std::collections::BTreeSet;

use prost::Message;

use super::*;
use crate::hex::message;
use crate::hex::message::names::Package as NamesEntry;
use crate::hex::message::versions::Package as VersionsEntry;
use crate::hex::name::RepoName;
use crate::hex::strategies::record;
use crate::hex::wire::WireError;

mod random;

fn view() -> RepoName {
    "view".parse().unwrap()
}

/// Leaves all repositories as written.
struct AsWritten;

impl Origins for AsWritten {
    fn rendered(&self, _part: usize, _package: &str, _repository: Option<&str>) -> Rendered {
        Rendered::Keep
    }
}

/// The virtual repository provides `bar`, whatever repository a member states; all other packages are in `elsewhere`.
struct Moved;

impl Origins for Moved {
    fn rendered(&self, _part: usize, package: &str, _repository: Option<&str>) -> Rendered {
        if package == "bar" { Rendered::Omit } else { Rendered::Name("elsewhere".parse().unwrap()) }
    }
}

fn merge(payloads: &[&[u8]], origins: &dyn Origins) -> Result<MergedPackage, WireError> {
    let hidden = BTreeSet::new();
    let parts: Vec<_> =
        payloads.iter().map(|payload| MemberPart { payload, hidden: &hidden, is_private: false }).collect();
    package(&view(), &parts, origins)
}

fn release(version: &str, byte: u8) -> message::Release {
    let dependency = |package: &str, repository: Option<&str>| message::Dependency {
        package: package.into(),
        requirement: "~> 1.0".into(),
        repository: repository.map(str::to_owned),
        ..Default::default()
    };
    message::Release {
        version: version.into(),
        inner_checksum: vec![byte; 32],
        outer_checksum: Some(vec![byte; 32]),
        dependencies: vec![dependency("bar", None), dependency("zoo", Some("hexpm")), dependency("bar", Some("hexpm"))],
        ..Default::default()
    }
}

fn advisory(id: &str) -> message::SecurityAdvisory {
    message::SecurityAdvisory { id: id.into(), ..Default::default() }
}

fn member(repository: &str, releases: Vec<message::Release>, advisories: &[&str]) -> Vec<u8> {
    let advisories = advisories.iter().map(|id| advisory(id)).collect();
    message::Package { name: "foo".into(), repository: repository.into(), releases, advisories }.encode_to_vec()
}

#[test]
fn versions_are_united_in_their_own_order_and_the_first_part_wins() {
    let acme = member("acme", vec![release("1.9.0", 1), release("1.10.0-rc.1", 2), release("1.10.0", 3)], &[]);
    let upstream = member("hexpm", vec![release("1.9.0", 1), release("1.10.0", 9), release("1.2.0", 4)], &[]);
    let merged = merge(&[&acme, &upstream], &AsWritten).unwrap();
    let decoded = message::Package::decode(&*merged.payload).unwrap();
    assert_eq!((decoded.name.as_str(), decoded.repository.as_str()), ("foo", "view"));
    let expected = vec![release("1.2.0", 4), release("1.9.0", 1), release("1.10.0-rc.1", 2), release("1.10.0", 3)];
    assert_eq!(decoded.releases, expected);
    let owners: Vec<_> = merged.owners.iter().map(|(version, part)| (&**version, *part)).collect();
    assert_eq!(owners, [("1.10.0", 0), ("1.10.0-rc.1", 0), ("1.2.0", 1), ("1.9.0", 0)]);
    assert_eq!(merged.conflicts, [Conflict { version: "1.10.0".into(), winner: 0, loser: 1 }]);
}

#[test]
fn a_version_that_its_part_hides_is_nobody_elses() {
    let hides = |versions: &[&str]| versions.iter().map(|version| Box::from(*version)).collect::<BTreeSet<Box<str>>>();
    let first = member("one", vec![release("1.1.0", 1)], &[]);
    let second = member("two", vec![release("1.0.0", 2), release("1.1.0", 2), release("2.0.0", 2)], &[]);
    let (hidden, other, none) = (hides(&["1.0.0", "3.0.0"]), hides(&["1.1.0", "4.0.0"]), hides(&[]));
    let versions = |parts: &[MemberPart<'_>]| {
        let merged = package(&view(), parts, &AsWritten).unwrap();
        let shown = message::Package::decode(&*merged.payload).unwrap().releases.into_iter();
        let owners: Vec<(String, usize)> =
            merged.owners.iter().map(|(version, at)| (version.to_string(), *at)).collect();
        let hidden: Vec<String> = merged.hidden.iter().map(ToString::to_string).collect();
        (shown.map(|release| release.version).collect::<Vec<_>>(), owners, hidden)
    };
    let owned =
        |all: &[(&str, usize)]| all.iter().map(|(version, at)| ((*version).to_owned(), *at)).collect::<Vec<_>>();
    let two = [
        MemberPart { payload: &first, hidden: &hidden, is_private: false },
        MemberPart { payload: &second, hidden: &other, is_private: false },
    ];
    let (shown, owners, left) = versions(&two);
    assert_eq!(shown, ["1.1.0", "2.0.0"]);
    assert_eq!(owners, owned(&[("1.0.0", 0), ("1.1.0", 0), ("2.0.0", 1), ("3.0.0", 0), ("4.0.0", 1)]));
    assert_eq!(left, ["1.0.0", "3.0.0", "4.0.0"]);
    // A member without any release that may be shown.
    let (shown, _, left) = versions(&[
        MemberPart { payload: b"", hidden: &hidden, is_private: false },
        MemberPart { payload: &second, hidden: &none, is_private: false },
    ]);
    assert_eq!((shown, left), (vec!["1.1.0".to_owned(), "2.0.0".to_owned()], vec!["1.0.0".into(), "3.0.0".into()]));
    let (shown, owners, left) = versions(&two[..1]);
    assert_eq!((shown.len(), owners.len(), left.len()), (1, 3, 2));
}

#[test]
fn a_release_without_an_outer_checksum_is_compared_by_its_inner_one() {
    let old = |byte: u8| message::Release { outer_checksum: None, ..release("1.0.0", byte) };
    let new = member("acme", vec![release("1.0.0", 1)], &[]);
    assert!(merge(&[&new, &member("b", vec![old(1)], &[])], &AsWritten).unwrap().conflicts.is_empty());
    assert_eq!(merge(&[&new, &member("b", vec![old(2)], &[])], &AsWritten).unwrap().conflicts.len(), 1);
}

#[test]
fn advisories_are_joined_and_every_release_still_points_at_its_own() {
    let advised = |version: &str, byte, advisory_indexes: &[u32]| message::Release {
        advisory_indexes: advisory_indexes.to_vec(),
        ..release(version, byte)
    };
    let acme = member("acme", vec![advised("1.0.0", 1, &[1])], &["A", "B"]);
    let upstream = member("hexpm", vec![advised("2.0.0", 2, &[0, 1]), advised("3.0.0", 3, &[2])], &["B", "C", "A"]);
    let merged = message::Package::decode(&*merge(&[&acme, &upstream], &AsWritten).unwrap().payload).unwrap();
    assert_eq!(merged.advisories, ["A", "B", "C"].map(advisory));
    let indexes: Vec<_> = merged.releases.iter().map(|release| release.advisory_indexes.clone()).collect();
    assert_eq!(indexes, [vec![1], vec![1, 2], vec![0]]);
}

#[test]
fn indexes_keep_the_form_they_were_written_in() {
    let releases = [
        [record(1, b"1.0.0"), record(2, &[1; 32]), record(6, &[0, 1])].concat(),
        [record(1, b"2.0.0"), record(2, &[2; 32]), vec![0x30, 1], vec![0x30, 0]].concat(),
    ];
    let later = [
        record(1, &releases[0]),
        record(1, &releases[1]),
        record(2, b"foo"),
        record(3, b"hexpm"),
        record(4, &record(1, b"B")),
        record(4, &record(1, b"C")),
    ]
    .concat();
    let first = member("acme", vec![], &["A"]);
    let merged = merge(&[&first, &later], &AsWritten).unwrap();
    let expected = [
        record(1, &[record(1, b"1.0.0"), record(2, &[1; 32]), record(6, &[1, 2])].concat()),
        record(1, &[record(1, b"2.0.0"), record(2, &[2; 32]), vec![0x30, 2], vec![0x30, 1]].concat()),
        record(2, b"foo"),
        record(3, b"view"),
        record(4, &record(1, b"A")),
        record(4, &record(1, b"B")),
        record(4, &record(1, b"C")),
    ]
    .concat();
    assert_eq!(hex::encode(merged.payload), hex::encode(expected));
}

#[test]
fn a_dependency_says_where_it_lives_in_the_view() {
    let acme = member("acme", vec![release("1.0.0", 1)], &[]);
    let homes = |payload: &[u8]| {
        let decoded = message::Package::decode(payload).unwrap();
        let dependencies = decoded.releases.into_iter().flat_map(|release| release.dependencies);
        dependencies.map(|dependency| (dependency.package, dependency.repository)).collect::<Vec<_>>()
    };
    let merged = merge(&[&acme], &Moved).unwrap();
    let elsewhere = Some("elsewhere".to_owned());
    assert_eq!(homes(&merged.payload), [("bar".into(), None), ("zoo".into(), elsewhere), ("bar".into(), None)]);
    // A second merge changes nothing.
    assert_eq!(merge(&[&merged.payload], &Moved).unwrap().payload, merged.payload);

    // The field occurs twice: readers take the last value, and the merged index has one.
    let doubled = [record(1, b"zoo"), record(5, b"a"), record(9, b"x"), record(5, b"elsewhere")].concat();
    let release = [record(1, b"1.0.0"), record(2, &[1; 32]), record(3, &doubled)].concat();
    let payload = [record(1, &release), record(2, b"foo"), record(3, b"view")].concat();
    let single = [record(1, b"zoo"), record(5, b"elsewhere"), record(9, b"x")].concat();
    let release = [record(1, b"1.0.0"), record(2, &[1; 32]), record(3, &single)].concat();
    let expected = [record(1, &release), record(2, b"foo"), record(3, b"view")].concat();
    assert_eq!(merge(&[&payload], &Moved).unwrap().payload, expected);
}

#[test]
fn what_no_verifier_lets_pass_is_refused() {
    let whole = member("acme", vec![release("1.0.0", 1)], &[]);
    let double = member("acme", vec![release("1.0.0", 1), release("1.0.0", 1)], &[]);
    let nameless = record(3, b"acme");
    let homeless = record(2, b"foo");
    assert_eq!(merge(&[], &AsWritten), Err(WireError::Missing { field: 2 }));
    assert_eq!(merge(&[&double], &AsWritten), Err(WireError::Duplicate { field: 1 }));
    assert_eq!(merge(&[&whole, &double], &AsWritten), Err(WireError::Duplicate { field: 1 }));
    assert_eq!(merge(&[&nameless, &nameless], &AsWritten), Err(WireError::Missing { field: 2 }));
    assert_eq!(merge(&[&homeless], &AsWritten), Err(WireError::Missing { field: 3 }));
    assert!(merge(&[&whole, &whole[..whole.len() - 1]], &AsWritten).is_err());
}

#[test]
fn of_a_field_that_can_be_there_once_the_first_parts_word_comes_last() {
    let part = |word: &[u8]| [record(2, b"foo"), record(3, b"x"), record(50, word), record(60, b"both")].concat();
    let merged = merge(&[&part(b"first"), &part(b"second")], &AsWritten).unwrap();
    let expected =
        [record(2, b"foo"), record(3, b"view"), record(50, b"second"), record(50, b"first"), record(60, b"both")];
    assert_eq!(merged.payload, expected.concat());
}

#[test]
fn an_entry_of_versions_says_of_each_version_what_its_owner_says() {
    let entry = |versions: &[&str], retired: &[i32], with_advisories: &[i32]| {
        VersionsEntry {
            name: "foo".into(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
            retired: retired.to_vec(),
            with_advisories: with_advisories.to_vec(),
        }
        .encode_to_vec()
    };
    let acme = entry(&["1.9.0", "1.10.0"], &[1], &[0]);
    let upstream = entry(&["1.0.0", "1.9.0", "2.0.0"], &[1, 2], &[0]);
    let merged = versions_entry(&[&acme, &upstream]).unwrap();
    assert_eq!(*merged, *entry(&["1.0.0", "1.9.0", "1.10.0", "2.0.0"], &[2, 3], &[0, 1]));
    assert!(matches!(versions_entry(&[&acme]).unwrap(), std::borrow::Cow::Borrowed(bytes) if bytes == acme));
    assert_eq!(versions_entry(&[]), Err(WireError::Missing { field: 1 }));
}

#[test]
fn an_entry_of_names_has_the_latest_time() {
    let entry = |seconds: Option<(i64, i32)>| {
        let updated_at = seconds.map(|(seconds, nanos)| message::Timestamp { seconds, nanos });
        NamesEntry { name: "foo".into(), updated_at }.encode_to_vec()
    };
    let merged = |parts: &[Option<(i64, i32)>]| {
        let entries: Vec<_> = parts.iter().map(|part| entry(*part)).collect();
        names_entry(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().into_owned()
    };
    assert_eq!(merged(&[Some((5, 1)), Some((5, 2)), None, Some((-7, 0))]), entry(Some((5, 2))));
    assert_eq!(merged(&[None, None]), entry(None));
    assert_eq!(merged(&[None, Some((-7, 0))]), entry(Some((-7, 0))));
}

/// Every part provides the packages that it lists, except `gone`, which no part provides, and `own`, which only the
/// first does.
struct All;

impl SelectProviders for All {
    fn choose(&self, package: &str, parts: &mut Vec<usize>) {
        match package {
            "gone" => parts.clear(),
            "own" => parts.truncate(1),
            _ => {}
        }
    }
}

fn entry(name: &str, more: &[u8]) -> Vec<u8> {
    [record(1, name.as_bytes()), more.to_vec()].concat()
}

fn bulk(entries: &[&[u8]], unknown: &[u8]) -> Vec<u8> {
    let entries = entries.iter().map(|entry| record(1, entry)).collect::<Vec<_>>().concat();
    [entries, record(2, b"acme"), unknown.to_vec()].concat()
}

#[test]
fn a_bulk_resource_is_taken_apart() {
    let (zoo, bar, newer) = (entry("zoo", b""), entry("bar", &record(7, b"?")), entry("zoo", &record(2, b"1.0.0")));
    let payload = bulk(&[&zoo, &bar, &newer], b"");
    let bulk = Bulk::split(&payload).unwrap();
    // The entries are sorted; the last of two with the same name counts.
    assert_eq!(bulk.entries.iter().collect::<Vec<_>>(), [(&"bar", &&*bar), (&"zoo", &&*newer)]);
    assert_eq!(Bulk::split(&record(1, b"")), Err(WireError::Missing { field: 1 }));
}

#[test]
fn a_view_lists_what_its_members_list_in_one_order() {
    let version = |version: &str| record(2, version.as_bytes());
    let first = bulk(
        &[&entry("bar", &version("1.0.0")), &entry("gone", b""), &entry("own", &version("1.0.0"))],
        &[record(9, b"a"), record(8, b"?")].concat(),
    );
    let second = bulk(
        &[&entry("abc", &record(7, b"!")), &entry("bar", &version("2.0.0")), &entry("own", &version("2.0.0"))],
        &[record(9, b"b"), record(8, b"?")].concat(),
    );
    let expected = [
        record(1, &entry("abc", &record(7, b"!"))),
        record(1, &entry("bar", &[version("1.0.0"), version("2.0.0")].concat())),
        record(1, &entry("own", &version("1.0.0"))),
        record(2, b"view"),
        record(9, b"b"),
        record(9, b"a"),
        record(8, b"?"),
    ];
    assert_eq!(versions(&view(), &[&first, &second], &All).unwrap(), expected.concat());
    assert_eq!(names(&view(), &[], &All).unwrap(), record(2, b"view"));
    assert!(names(&view(), &[&first[1..]], &All).is_err());
}
