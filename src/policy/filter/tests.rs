//! Tests of the filter of one package.

use proptest::prelude::*;

use super::*;
use crate::hex::message;
use crate::hex::wire::Fields;
use crate::policy::severity::Severity;
use prost::Message as _;

fn timestamp(day: u64) -> message::Timestamp {
    message::Timestamp { seconds: i64::try_from(day).unwrap() * 86_400, nanos: 500_000_000 }
}

/// A package with these releases: the day, whether retired for security, whether it has an advisory.
fn payload(releases: &[(String, u64, bool, bool)]) -> Vec<u8> {
    let releases = releases.iter().map(|(version, day, retired, advised)| message::Release {
        version: version.clone(),
        inner_checksum: vec![1; 32],
        outer_checksum: Some(vec![2; 32]),
        dependencies: Vec::new(),
        retired: retired.then(|| message::RetirementStatus { reason: 2, message: Some("bad".to_owned()) }),
        advisory_indexes: if *advised { vec![1] } else { Vec::new() },
        published_at: Some(timestamp(*day)),
    });
    let advisory = |id: &str, severity| message::SecurityAdvisory {
        id: id.to_owned(),
        severity: Some(severity),
        ..message::SecurityAdvisory::default()
    };
    let package = message::Package {
        releases: releases.collect(),
        name: "jason".to_owned(),
        repository: "hexpm".to_owned(),
        advisories: vec![advisory("GHSA-0", 1), advisory("GHSA-1", 3)],
    };
    let mut payload = package.encode_to_vec();
    // An unknown field.
    payload.extend_from_slice(&[0x7a, 0x03, b'n', b'e', b'w']);
    payload
}

fn rules() -> ReleaseRules {
    ReleaseRules {
        cooldown: Some("7d".parse().unwrap()),
        advisory_min_severity: Some(Severity::High),
        retirement_reasons: [crate::hex::build::RetirementReason::Security].into(),
        ..ReleaseRules::default()
    }
}

fn records(payload: &[u8]) -> Vec<&[u8]> {
    Fields::new(payload).map(|field| field.unwrap().record).collect()
}

#[test]
fn what_is_held_is_left_out_and_the_next_change_is_known() {
    let releases = [
        ("1.0.0", 1, false, false),
        ("1.1.0", 90, true, false),
        ("1.2.0", 98, false, false),
        ("1.3.0", 99, false, true),
    ];
    let payload =
        payload(&releases.map(|(version, day, retired, advised)| (version.to_owned(), day, retired, advised)));
    let facts = PackageFacts::read(&payload).unwrap();
    assert_eq!(facts.advisories[1].severity, Severity::High);
    let now = Timestamp::from_secs(100 * 86_400);
    let evaluation = evaluate(&facts, &rules(), &(), now);
    let held: Vec<_> = evaluation.held.iter().map(|held| (&*held.version, held.reason.word())).collect();
    assert_eq!(held, [("1.1.0", "retirement"), ("1.2.0", "cooldown"), ("1.3.0", "advisory")]);
    assert_eq!(evaluation.next_change, Some(Timestamp::from_secs(105 * 86_400)), "in whole seconds, as clients count");
    let filtered = evaluation.filter(&payload).unwrap();
    let left = PackageFacts::read(&filtered).unwrap();
    assert_eq!(left.releases.iter().map(|release| &*release.text).collect::<Vec<_>>(), ["1.0.0"]);
    assert_eq!(left.advisories, facts.advisories, "all of them stay");
}

proptest! {
    #[test]
    fn filtering_never_adds_reorders_or_changes(
        releases in prop::collection::btree_map("[0-9]\\.[0-9]\\.[0-9]", (80_u64..100, any::<bool>(), any::<bool>()), 0..20),
        now in 80_u64..120,
    ) {
        let releases: Vec<_> = releases.into_iter().map(|(version, (day, r, a))| (version, day, r, a)).collect();
        let payload = payload(&releases);
        let facts = PackageFacts::read(&payload).unwrap();
        let evaluation = evaluate(&facts, &rules(), &(), Timestamp::from_secs(now * 86_400));
        let filtered = evaluation.filter(&payload).unwrap();
        let (all, left) = (records(&payload), records(&filtered));
        // The remaining records are unchanged and in their order, byte for byte.
        let mut rest = all.iter();
        for record in &left {
            prop_assert!(rest.any(|original| original == record));
        }
        prop_assert_eq!(all.len() - left.len(), evaluation.held.len());
        prop_assert_eq!(PackageFacts::read(&filtered).unwrap().advisories, facts.advisories);
        // Filtering a second time changes nothing.
        let again = evaluate(&PackageFacts::read(&filtered).unwrap(), &rules(), &(), Timestamp::from_secs(now * 86_400));
        prop_assert_eq!(again.held, vec![]);
    }
}
