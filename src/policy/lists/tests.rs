//! Tests of `names` and `versions` under policies.

use prost::Message as _;

use super::*;
use crate::hex::message::{self, names, versions};
use crate::policy::rules::{LicenceRules, WhereUnknown};
use crate::policy::severity::Severity;

const DAY: u64 = 86_400;

fn day(number: u64) -> Timestamp {
    Timestamp::from_secs(number * DAY)
}

/// `old`, `advised` and `retired` last changed on day 10, `new` on day 98; for `undated` there is no date.
fn payloads() -> (Vec<u8>, Vec<u8>) {
    let packages =
        [("advised", Some(10)), ("new", Some(98)), ("old", Some(10)), ("retired", Some(10)), ("undated", None)];
    let names = message::Names {
        packages: packages
            .iter()
            .map(|(name, touched)| names::Package {
                name: (*name).to_owned(),
                updated_at: touched.map(|day: i64| message::Timestamp { seconds: day * 86_400, nanos: 0 }),
            })
            .collect(),
        repository: "hexpm".to_owned(),
    };
    let versions = message::Versions {
        packages: packages
            .iter()
            .map(|(name, _)| versions::Package {
                name: (*name).to_owned(),
                versions: vec!["1.0.0".to_owned(), "1.1.0".to_owned()],
                retired: if *name == "retired" { vec![0] } else { Vec::new() },
                with_advisories: if *name == "advised" { vec![1] } else { Vec::new() },
            })
            .collect(),
        repository: "hexpm".to_owned(),
    };
    (names.encode_to_vec(), versions.encode_to_vec())
}

fn listed(rules: &ReleaseRules, evaluated: &HashMap<Box<str>, Arc<EvaluatedPackage>>, now: Timestamp) -> Vec<String> {
    let (names, versions) = payloads();
    let shown = select_shown(&names, &versions, false, rules, evaluated, now).unwrap();
    let versions = message::Versions::decode(&*shown.versions(&versions).unwrap()).unwrap();
    let names = message::Names::decode(&*shown.names(&names).unwrap()).unwrap();
    let listed: Vec<String> =
        versions.packages.iter().map(|package| format!("{} {}", package.name, package.versions.join(" "))).collect();
    let named: Vec<&str> = names.packages.iter().map(|package| &*package.name).collect();
    let with_versions: Vec<&str> = versions.packages.iter().map(|package| &*package.name).collect();
    assert_eq!(named, with_versions, "both list the same packages");
    listed
}

#[test]
fn what_is_beyond_doubt_is_shown_and_what_was_evaluated() {
    let none = HashMap::new();
    let week = ReleaseRules { cooldown: Some("7d".parse().unwrap()), ..ReleaseRules::default() };
    let both = "1.0.0 1.1.0";
    let all = ["advised", "new", "old", "retired", "undated"].map(|name| format!("{name} {both}")).to_vec();
    let of = |names: &[&str]| names.iter().map(|name| format!("{name} {both}")).collect::<Vec<_>>();
    assert_eq!(listed(&ReleaseRules::default(), &none, day(100)), all);
    assert_eq!(listed(&week, &none, day(100)), of(&["advised", "old", "retired"]));
    assert_eq!(listed(&week, &none, day(106)), of(&["advised", "new", "old", "retired"]));
    let strict = ReleaseRules {
        advisory_min_severity: Some(Severity::High),
        retirement_reasons: [crate::hex::build::RetirementReason::Security].into(),
        ..week.clone()
    };
    assert_eq!(listed(&strict, &none, day(100)), of(&["old"]));
    let frozen = ReleaseRules { freeze_after: Some(day(50)), ..ReleaseRules::default() };
    assert_eq!(listed(&frozen, &none, day(900)), of(&["advised", "old", "retired"]));
    let licences = Some(LicenceRules::new([], WhereUnknown::Allow));
    assert_eq!(listed(&ReleaseRules { licences, ..week.clone() }, &none, day(100)), of(&[]));
    let deny = Override {
        effect: Effect::Deny,
        package: "old".parse().unwrap(),
        requirement: None,
        until: None,
        reason: None,
        by: None,
    };
    assert_eq!(
        listed(&ReleaseRules { overrides: vec![deny], ..week.clone() }, &none, day(100)),
        of(&["advised", "retired"])
    );

    let evaluation = |confirmed, next_change: Option<u64>| EvaluatedPackage {
        confirmed_at: day(confirmed),
        next_change: next_change.map(day),
        allowed: HashSet::from(["1.0.0".into()]),
    };
    let evaluated = |name: &str, evaluation| HashMap::from([(Box::from(name), Arc::new(evaluation))]);
    let new = |evaluation| listed(&week, &evaluated("new", evaluation), day(100)).contains(&"new 1.0.0".to_owned());
    assert!(new(evaluation(99, None)));
    assert!(new(evaluation(99, Some(105))));
    assert!(!new(evaluation(99, Some(100))), "a decision has changed since");
    assert!(!new(evaluation(97, None)), "the package was touched since");
    assert!(
        listed(&week, &evaluated("undated", evaluation(99, None)), day(100)) == of(&["advised", "old", "retired"]),
        "nothing says when it was touched last"
    );
    assert_eq!(
        listed(&strict, &evaluated("retired", evaluation(99, None)), day(100)),
        ["old 1.0.0 1.1.0", "retired 1.0.0"]
    );
}

#[test]
fn an_older_list_of_names_proves_no_package_old() {
    let (names, versions) = payloads();
    let week = ReleaseRules { cooldown: Some("7d".parse().unwrap()), ..ReleaseRules::default() };
    let frozen = ReleaseRules { freeze_after: Some(day(50)), ..ReleaseRules::default() };
    let evaluation =
        EvaluatedPackage { confirmed_at: day(99), next_change: None, allowed: HashSet::from(["1.0.0".into()]) };
    let evaluated = HashMap::from([(Box::from("old"), Arc::new(evaluation))]);
    let lists = |rules: &ReleaseRules, evaluated: &HashMap<Box<str>, Arc<EvaluatedPackage>>| {
        let shown = select_shown(&names, &versions, true, rules, evaluated, day(100)).unwrap();
        let versions = message::Versions::decode(&*shown.versions(&versions).unwrap()).unwrap();
        versions.packages.iter().map(|one| format!("{} {}", one.name, one.versions.join(" "))).collect::<Vec<_>>()
    };
    for rules in [&week, &frozen] {
        assert_eq!(lists(rules, &HashMap::new()), Vec::<String>::new());
        assert_eq!(lists(rules, &evaluated), ["old 1.0.0"], "what was evaluated says which releases");
    }
    assert_eq!(lists(&ReleaseRules::default(), &HashMap::new()).len(), 5, "where no rule asks how old a release is");
}
