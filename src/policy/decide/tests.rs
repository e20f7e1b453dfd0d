//! Table tests of decisions: each rule, override and exemption, over time.

mod fixes;
mod locks;
mod product;

use super::*;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::policy::decision_inputs::{HeldSince, LockExemption, Pinned};
use crate::policy::release_facts::{AdvisoryFacts, LicenceFacts, ListedFacts, Retired};
use crate::policy::rules::{LicenceRules, LockFileProtection, WhereUnknown};
use crate::policy::severity::Severity;
use std::collections::BTreeSet;
use std::sync::Arc;

const DAY: u64 = 86_400;

fn day(number: u64) -> Timestamp {
    Timestamp::from_secs(number * DAY)
}

/// Times in these tests are days; the release was published on day 100.
const BORN: u64 = 100;

fn release(version: &str, published: Option<u64>) -> ReleaseFacts {
    ReleaseFacts {
        text: version.into(),
        version: version.parse().ok(),
        outer: Some(Sha256::of(version.as_bytes())),
        inner: None,
        published_at: published.map(day),
        retired: None,
        advisories: Vec::new(),
    }
}

fn package(releases: Vec<ReleaseFacts>, severities: &[Severity]) -> PackageFacts {
    let advisories = severities.iter().enumerate().map(|(place, severity)| AdvisoryFacts {
        id: format!("GHSA-{place}").into(),
        aliases: vec![format!("CVE-{place}").into()],
        severity: *severity,
        is_signed: true,
    });
    PackageFacts { name: "jason".into(), releases, advisories: advisories.collect() }
}

#[derive(Clone, Debug, Default)]
struct Known {
    exemption: Option<LockExemption>,
    proven: Option<Timestamp>,
    licences: Option<Arc<LicenceFacts>>,
    waivers: Vec<Override>,
}

impl DecisionInputs for Known {
    fn exemption(&self, _: &ReleaseFacts) -> Option<LockExemption> {
        self.exemption.clone()
    }

    fn proven_since(&self, _: &ReleaseFacts) -> Option<Timestamp> {
        self.proven
    }

    fn licences(&self, _: &ReleaseFacts) -> Option<Arc<LicenceFacts>> {
        self.licences.clone()
    }

    fn waivers(&self) -> &[Override] {
        &self.waivers
    }
}

fn stating(licence: &str) -> Arc<LicenceFacts> {
    Arc::new(LicenceFacts::Stated([licence.into()].into()))
}

fn exception(effect: Effect, requirement: Option<&str>, until: Option<u64>) -> Override {
    Override {
        effect,
        package: "jason".parse().unwrap(),
        requirement: requirement.map(|text| text.parse().unwrap()),
        until: until.map(day),
        reason: None,
        by: None,
    }
}

/// `allowed` or the word of the rule, and the day on which the decision changes.
fn word(decision: &Decision) -> (&'static str, Option<u64>) {
    let days = |until: &Option<Timestamp>| until.map(|until| until.as_secs() / DAY);
    match decision {
        Decision::Allowed { until, .. } => ("allowed", days(until)),
        Decision::Held { reason, until } => (reason.word(), days(until)),
    }
}

fn week() -> ReleaseRules {
    ReleaseRules { cooldown: Some("7d".parse().unwrap()), ..ReleaseRules::default() }
}

#[test]
fn each_rule_alone() {
    let security: BTreeSet<_> = [RetirementReason::Security].into();
    let high = ReleaseRules { advisory_min_severity: Some(Severity::High), ..ReleaseRules::default() };
    let retired = ReleaseRules { retirement_reasons: security, ..ReleaseRules::default() };
    let frozen = ReleaseRules { freeze_after: Some(day(100)), ..ReleaseRules::default() };
    let of_age = |published| package(vec![release("1.0.0", published)], &[]);
    let advised = |severity| {
        let mut release = release("1.0.0", Some(BORN));
        release.advisories = vec![0];
        package(vec![release], &[severity])
    };
    let retired_for = |reason| {
        let mut release = release("1.0.0", Some(BORN));
        release.retired = Some(Retired(reason));
        package(vec![release], &[])
    };
    type Row<'a> = (&'a str, &'a ReleaseRules, PackageFacts, u64, (&'a str, Option<u64>));
    let table: &[Row<'_>] = &[
        ("no rules", &ReleaseRules::default(), of_age(Some(BORN)), BORN, ("allowed", None)),
        ("young", &week(), of_age(Some(BORN)), BORN, ("cooldown", Some(107))),
        ("the last day", &week(), of_age(Some(BORN)), 106, ("cooldown", Some(107))),
        ("old enough", &week(), of_age(Some(BORN)), 107, ("allowed", None)),
        ("from the future", &week(), of_age(Some(BORN)), 90, ("cooldown", Some(107))),
        ("no date, as for Hex", &week(), of_age(None), BORN, ("allowed", None)),
        ("frozen", &frozen, of_age(Some(101)), 300, ("freeze", None)),
        ("before the freeze", &frozen, of_age(Some(100)), 300, ("allowed", None)),
        ("below", &high, advised(Severity::Medium), BORN, ("allowed", None)),
        ("at the threshold", &high, advised(Severity::High), BORN, ("advisory", None)),
        ("above", &high, advised(Severity::Critical), BORN, ("advisory", None)),
        ("unknown is above", &high, advised(Severity::Unknown), BORN, ("advisory", None)),
        ("this reason", &retired, retired_for(Some(RetirementReason::Security)), BORN, ("retirement", None)),
        ("another reason", &retired, retired_for(Some(RetirementReason::Other)), BORN, ("allowed", None)),
        ("a reason of later", &retired, retired_for(None), BORN, ("allowed", None)),
    ];
    for (name, rules, package, now, expected) in table {
        let decision = decide(package, &package.releases[0], rules, &(), day(*now));
        assert_eq!(word(&decision), *expected, "{name}");
    }
}

#[test]
fn what_has_no_date_is_as_old_as_is_proven() {
    let package = package(vec![release("1.0.0", None)], &[]);
    let hold = |rules: ReleaseRules| ReleaseRules { unknown_published_at: WhereUnknown::Hold, ..rules };
    let frozen = ReleaseRules { freeze_after: Some(day(100)), ..ReleaseRules::default() };
    for (rules, proven, now, expected) in [
        (hold(week()), None, 500, ("unknown_age", None)),
        (hold(week()), Some(100), 106, ("unknown_age", Some(107))),
        (hold(week()), Some(100), 107, ("allowed", None)),
        (week(), Some(100), 101, ("allowed", None)),
        (hold(frozen.clone()), None, 500, ("unknown_age", None)),
        (hold(frozen.clone()), Some(101), 500, ("unknown_age", None)),
        (hold(frozen.clone()), Some(100), 500, ("allowed", None)),
        (frozen, None, 500, ("allowed", None)),
        (hold(ReleaseRules::default()), None, 500, ("allowed", None)),
    ] {
        let known = Known { proven: proven.map(day), ..Known::default() };
        let decision = decide(&package, &package.releases[0], &rules, &known, day(now));
        assert_eq!(word(&decision), expected, "{rules:?} {proven:?} {now}");
    }
}

#[test]
fn overrides_come_first_and_the_one_with_a_requirement_before_the_others() {
    let mut advised = release("1.7.0", Some(BORN));
    advised.advisories = vec![0];
    advised.retired = Some(Retired(Some(RetirementReason::Security)));
    let package = package(vec![advised], &[Severity::High]);
    let rules = |overrides: Vec<Override>| ReleaseRules {
        advisory_min_severity: Some(Severity::Low),
        retirement_reasons: [RetirementReason::Security].into(),
        overrides,
        ..week()
    };
    use Effect::{Allow, Deny, IgnoreAdvisory, IgnoreCooldown, IgnoreRetirement};
    let advisory = |id: &str| exception(IgnoreAdvisory(id.to_owned()), None, None);
    let retirement = || exception(IgnoreRetirement(RetirementReason::Security), None, None);
    let cooldown = || exception(IgnoreCooldown, None, None);
    let other = Override { package: "plug".parse().unwrap(), ..exception(Allow, None, None) };
    for (name, overrides, expected) in [
        ("none", vec![], ("advisory", None)),
        ("allowed", vec![exception(Allow, None, None)], ("allowed", None)),
        ("for some time", vec![exception(Allow, None, Some(120))], ("allowed", Some(120))),
        ("that is over", vec![exception(Allow, None, Some(100))], ("advisory", None)),
        ("another package", vec![other], ("advisory", None)),
        ("another version", vec![exception(Allow, Some("~> 2.0"), None)], ("advisory", None)),
        ("denied", vec![exception(Deny, None, None)], ("deny", None)),
        ("denied for some time", vec![exception(Deny, None, Some(105))], ("deny", None)),
        ("the first of two", vec![exception(Deny, None, None), exception(Allow, None, None)], ("deny", None)),
        (
            "the closer one",
            vec![exception(Deny, None, None), exception(Allow, Some("~> 1.7"), None)],
            ("allowed", None),
        ),
        ("and back", vec![exception(Allow, None, None), exception(Deny, Some("1.7.0"), None)], ("deny", None)),
        (
            "until the closer one ends",
            vec![exception(Deny, None, None), exception(Allow, Some("~> 1.7"), Some(130))],
            ("allowed", Some(130)),
        ),
        ("one of three", vec![advisory("ghsa-0")], ("retirement", None)),
        ("two of three, by an alias", vec![advisory("cve-0"), retirement()], ("cooldown", Some(107))),
        ("three of three", vec![advisory("GHSA-0"), retirement(), cooldown()], ("allowed", None)),
        ("another advisory", vec![advisory("GHSA-1"), retirement(), cooldown()], ("advisory", None)),
    ] {
        let decision = decide(&package, &package.releases[0], &rules(overrides), &(), day(BORN));
        assert_eq!(word(&decision), expected, "{name}");
    }
}

#[test]
fn licences_count_once_they_are_known() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let licences = LicenceRules::new(["AGPL-3.0-only".to_owned()], WhereUnknown::Allow);
    let rules = ReleaseRules { licences: Some(licences), ..ReleaseRules::default() };
    for (stated, expected) in [(None, "allowed"), (Some("MIT"), "allowed"), (Some("AGPL-3.0-only"), "licence")] {
        let known = Known { licences: stated.map(stating), ..Known::default() };
        assert_eq!(word(&decide(&package, &package.releases[0], &rules, &known, day(BORN))).0, expected);
    }
}

#[test]
fn a_waiver_counts_before_the_rules_and_behind_overrides_until_it_ends() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let waived = |requirement, until| Known {
        waivers: vec![exception(Effect::Allow, requirement, Some(until))],
        ..Known::default()
    };
    let rules =
        |overrides| ReleaseRules { cooldown: Some("1mo".parse().unwrap()), overrides, ..ReleaseRules::default() };
    let said =
        |rules: &ReleaseRules, known: &Known, at: u64| decide(&package, &package.releases[0], rules, known, day(at));
    let until = Some(day(110));
    assert_eq!(said(&rules(vec![]), &waived(None, 110), BORN), Decision::Allowed { because: AllowedBy::Waived, until });
    assert_eq!(
        said(&rules(vec![]), &waived(Some("~> 1.0"), 110), 109),
        Decision::Allowed { because: AllowedBy::Waived, until }
    );
    for (known, at) in [(waived(None, 110), 110), (waived(Some("~> 2.0"), 110), BORN), (Known::default(), BORN)] {
        assert!(
            matches!(said(&rules(vec![]), &known, at), Decision::Held { reason, .. } if reason.word() == "cooldown"),
            "{at}"
        );
    }
    let denied = rules(vec![exception(Effect::Deny, None, None)]);
    assert!(matches!(
        said(&denied, &waived(Some("== 1.0.0"), 110), BORN),
        Decision::Held { reason, .. } if reason.word() == "deny"
    ));
}
