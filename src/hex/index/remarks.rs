//! Splits `packages/NAME` into one small payload for each release, without the dependencies.

use std::collections::BTreeMap;

use crate::hex::wire::{Fields, WireError, push_bytes, push_varint};

/// Returns for each version in a payload of `packages/NAME` a payload of the same type that contains only this release:
/// its checksums, its date, its retirement and its advisories, but not its dependencies. This information is needed
/// about a release after the index no longer lists it.
pub fn remarks(payload: &[u8]) -> Result<BTreeMap<Box<str>, Vec<u8>>, WireError> {
    const RELEASES: u32 = 1;
    const NAME: u32 = 2;
    const REPOSITORY: u32 = 3;
    const ADVISORIES: u32 = 4;
    let (mut head, mut releases, mut advisories) = (Vec::new(), Vec::new(), Vec::new());
    for field in Fields::new(payload) {
        let field = field?;
        match field.number {
            RELEASES => releases.push(field.bytes()?),
            NAME | REPOSITORY => head.extend_from_slice(field.record),
            ADVISORIES => advisories.push(field.record),
            _ => {}
        }
    }
    releases.into_iter().map(|release| single_release_payload(release, &head, &advisories)).collect()
}

/// The version of a release, and the payload that contains only this release.
fn single_release_payload(release: &[u8], head: &[u8], advisories: &[&[u8]]) -> Result<(Box<str>, Vec<u8>), WireError> {
    const VERSION: u32 = 1;
    const DEPENDENCIES: u32 = 3;
    const ADVISORY_INDEXES: u32 = 6;
    let (mut version, mut its, mut record) = (None, Vec::new(), Vec::with_capacity(96));
    for field in Fields::new(release) {
        let field = field?;
        match field.number {
            DEPENDENCIES => continue,
            ADVISORY_INDEXES => {
                for place in field.varints()? {
                    its.extend(usize::try_from(place?).ok().and_then(|place| advisories.get(place)));
                }
                continue;
            }
            VERSION => version = Some(field.text()?),
            _ => {}
        }
        record.extend_from_slice(field.record);
    }
    for place in 0..its.len() {
        push_varint(&mut record, u64::from(ADVISORY_INDEXES) << 3);
        push_varint(&mut record, place as u64);
    }
    let mut payload = Vec::with_capacity(record.len() + head.len() + 4);
    push_bytes(&mut payload, 1, &record);
    payload.extend_from_slice(head);
    its.into_iter().for_each(|advisory| payload.extend_from_slice(advisory));
    Ok((version.ok_or(WireError::Missing { field: VERSION })?.into(), payload))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::hex::message::{Dependency, Package, Release, RetirementStatus, SecurityAdvisory};

    #[test]
    fn each_release_stands_alone_with_what_is_said_of_it() {
        let advisory = |id: &str| SecurityAdvisory { id: id.to_owned(), ..SecurityAdvisory::default() };
        let release = |version: &str, advisory_indexes: Vec<u32>| Release {
            version: version.to_owned(),
            inner_checksum: vec![1; 32],
            outer_checksum: Some(vec![2; 32]),
            advisory_indexes,
            ..Release::default()
        };
        let retired = Some(RetirementStatus { reason: 2, message: None });
        let dependency =
            Dependency { package: "plug".to_owned(), requirement: "~> 1.0".to_owned(), ..Dependency::default() };
        let package = Package {
            name: "jason".to_owned(),
            repository: "hexpm".to_owned(),
            releases: vec![
                Release { retired, dependencies: vec![dependency], ..release("1.0.0", vec![2, 0]) },
                release("1.1.0", vec![1]),
                release("1.2.0", Vec::new()),
            ],
            advisories: vec![advisory("A"), advisory("B"), advisory("C")],
        };
        let found = remarks(&package.encode_to_vec()).unwrap();
        let read = |version: &str| Package::decode(found[version].as_slice()).unwrap();
        let ids = |package: &Package| package.advisories.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        let first = read("1.0.0");
        assert_eq!((first.name.as_str(), first.repository.as_str()), ("jason", "hexpm"));
        let expected =
            Release { dependencies: Vec::new(), advisory_indexes: vec![0, 1], ..package.releases[0].clone() };
        assert_eq!(first.releases, [expected]);
        assert_eq!(ids(&first), ["C", "A"]);
        assert_eq!((ids(&read("1.1.0")), ids(&read("1.2.0"))), (vec!["B".to_owned()], vec![]));
        assert_eq!(found.len(), 3);
    }
}
