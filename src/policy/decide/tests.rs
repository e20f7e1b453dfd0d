//! Tables: each rule, each exception, each exemption, over time.

mod product;

use super::*;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::policy::facts::Retired;
use crate::policy::licence::LicenceRules;
use crate::policy::rules::Locked;
use std::collections::BTreeSet;

const DAY: u64 = 86_400;

fn day(number: u64) -> Timestamp {
    Timestamp::from_secs(number * DAY)
}

/// Time in these tests: the release is of day 100.
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
    });
    PackageFacts { name: "jason".into(), releases, advisories: advisories.collect() }
}

#[derive(Clone, Debug, Default)]
struct Known {
    exemption: Option<Exemption>,
    proven: Option<Timestamp>,
    licences: Option<Arc<[Box<str>]>>,
    waivers: Vec<Override>,
}

impl Knowledge for Known {
    fn exemption(&self, _: &ReleaseFacts) -> Option<Exemption> {
        self.exemption.clone()
    }

    fn proven_since(&self, _: &ReleaseFacts) -> Option<Timestamp> {
        self.proven
    }

    fn licences(&self, _: &ReleaseFacts) -> Option<Arc<[Box<str>]>> {
        self.licences.clone()
    }

    fn waivers(&self) -> &[Override] {
        &self.waivers
    }
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

/// `allowed`, or the word of the rule, and the day on which that ends.
fn word(decision: &Decision) -> (&'static str, Option<u64>) {
    let days = |until: &Option<Timestamp>| until.map(|until| until.as_secs() / DAY);
    match decision {
        Decision::Allowed { until, .. } => ("allowed", days(until)),
        Decision::Held { rule, until } => (rule.word(), days(until)),
    }
}

fn week() -> Rules {
    Rules { cooldown: Some("7d".parse().unwrap()), ..Rules::default() }
}

#[test]
fn each_rule_alone() {
    let security: BTreeSet<_> = [RetirementReason::Security].into();
    let high = Rules { advisory_min_severity: Some(Severity::High), ..Rules::default() };
    let retired = Rules { retirement_reasons: security, ..Rules::default() };
    let frozen = Rules { freeze_after: Some(day(100)), ..Rules::default() };
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
    type Row<'a> = (&'a str, &'a Rules, PackageFacts, u64, (&'a str, Option<u64>));
    let table: &[Row<'_>] = &[
        ("no rules", &Rules::default(), of_age(Some(BORN)), BORN, ("allowed", None)),
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
    let hold = |rules: Rules| Rules { unknown_published_at: WhereUnknown::Hold, ..rules };
    let frozen = Rules { freeze_after: Some(day(100)), ..Rules::default() };
    for (rules, proven, now, expected) in [
        (hold(week()), None, 500, ("unknown_age", None)),
        (hold(week()), Some(100), 106, ("unknown_age", Some(107))),
        (hold(week()), Some(100), 107, ("allowed", None)),
        (week(), Some(100), 101, ("allowed", None)),
        (hold(frozen.clone()), None, 500, ("unknown_age", None)),
        (hold(frozen.clone()), Some(101), 500, ("unknown_age", None)),
        (hold(frozen.clone()), Some(100), 500, ("allowed", None)),
        (frozen, None, 500, ("allowed", None)),
        (hold(Rules::default()), None, 500, ("allowed", None)),
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
    let rules = |overrides: Vec<Override>| Rules {
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
    let rules = Rules { licences: Some(licences), ..Rules::default() };
    for (stated, expected) in [(None, "allowed"), (Some("MIT"), "allowed"), (Some("AGPL-3.0-only"), "licence")] {
        let known = Known { licences: stated.map(|text| Arc::from([text.into()])), ..Known::default() };
        assert_eq!(word(&decide(&package, &package.releases[0], &rules, &known, day(BORN))).0, expected);
    }
}

#[test]
fn a_delivery_excuses_only_licences_that_were_known_then() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let licences = LicenceRules::new(["AGPL-3.0-only".to_owned()], WhereUnknown::Allow);
    let rules = Rules { licences: Some(licences), ..week() };
    for (licences_known, expected) in [(false, "licence"), (true, "allowed")] {
        let exemption = Exemption { delivered: Some(day(BORN)), licences_known, ..Exemption::default() };
        let licences = Some(Arc::from(["AGPL-3.0-only".into()]));
        let known = Known { exemption: Some(exemption), licences, ..Known::default() };
        let decision = decide(&package, &package.releases[0], &rules, &known, day(BORN));
        assert_eq!(word(&decision).0, expected, "{licences_known}");
    }
}

#[test]
fn locks_go_on_working() {
    let delivered = Exemption { delivered: Some(day(BORN)), ..Exemption::default() };
    let pinned =
        |until: Option<u64>| Exemption { pinned: Some(Pinned { until: until.map(day) }), ..Exemption::default() };
    let since = |advisory: Option<u64>, retirement: Option<u64>| Exemption {
        advisory_since: advisory.map(day),
        retirement_since: retirement.map(day),
        ..delivered.clone()
    };
    let mut dangerous = release("1.0.0", Some(BORN));
    dangerous.advisories = vec![0];
    dangerous.retired = Some(Retired(Some(RetirementReason::Security)));
    let young = package(vec![release("1.0.0", Some(BORN))], &[]);
    let dangerous = package(vec![dangerous], &[Severity::High]);
    let rules = Rules {
        advisory_min_severity: Some(Severity::Low),
        retirement_reasons: [RetirementReason::Security].into(),
        ..week()
    };
    let hold = Rules { locked: Locked::HOLD, ..rules.clone() };
    let deny = Rules { overrides: vec![exception(Effect::Deny, None, None)], ..rules.clone() };
    for (name, package, rules, exemption, now, expected) in [
        ("young, delivered", &young, &rules, &delivered, 101, ("allowed", None)),
        ("young, held", &young, &hold, &delivered, 101, ("cooldown", Some(107))),
        ("young, pinned", &young, &hold, &pinned(None), 101, ("allowed", None)),
        ("pinned till after", &young, &hold, &pinned(Some(110)), 101, ("allowed", None)),
        ("pinned till before", &young, &hold, &pinned(Some(103)), 101, ("allowed", Some(103))),
        ("the pin is over", &young, &hold, &pinned(Some(103)), 103, ("cooldown", Some(107))),
        ("dangerous, first held now", &dangerous, &rules, &delivered, 101, ("allowed", Some(115))),
        ("in its grace", &dangerous, &rules, &since(Some(95), Some(101)), 101, ("allowed", Some(109))),
        ("after its grace", &dangerous, &rules, &since(Some(87), Some(101)), 101, ("advisory", None)),
        ("after the other grace", &dangerous, &rules, &since(Some(100), Some(80)), 101, ("retirement", None)),
        ("pinned for ever", &dangerous, &rules, &pinned(None), 101, ("allowed", None)),
        ("denied", &young, &deny, &pinned(None), 101, ("deny", None)),
        ("denied, delivered", &young, &deny, &delivered, 200, ("deny", None)),
    ] {
        let known = Known { exemption: Some(exemption.clone()), ..Known::default() };
        let decision = decide(package, &package.releases[0], rules, &known, day(now));
        assert_eq!(word(&decision), expected, "{name}");
    }
}

#[test]
fn a_grace_begins_once() {
    let mut dangerous = release("1.0.0", Some(BORN));
    dangerous.advisories = vec![0];
    let package = package(vec![dangerous], &[Severity::High]);
    let rules = Rules { advisory_min_severity: Some(Severity::Low), ..week() };
    let first = |exemption: Option<Exemption>| {
        let known = Known { exemption, ..Known::default() };
        first_held(&package, &package.releases[0], &rules, &known, day(BORN))
    };
    let delivered = Exemption { delivered: Some(day(BORN)), ..Exemption::default() };
    assert_eq!(first(None), []);
    assert_eq!(first(Some(delivered.clone())), [Class::Advisory]);
    assert_eq!(first(Some(Exemption { advisory_since: Some(day(90)), ..delivered })), []);
    assert_eq!(first(Some(Exemption { pinned: Some(Pinned { until: None }), ..Exemption::default() })), []);
}

#[test]
fn a_fix_need_not_wait() {
    let rules = |least| Rules { cooldown_exempt_security_fixes: true, advisory_min_severity: least, ..week() };
    // Each: the other releases with their day and whether they have the advisory, then what becomes of the new one.
    type Others = &'static [(&'static str, u64, bool)];
    type Row = (&'static str, Option<Severity>, Others, &'static str, (&'static str, Option<u64>));
    let table: &[Row] = &[
        ("a fix", None, &[("1.0.0", 10, true)], "1.0.1", ("allowed", None)),
        ("no fix", None, &[("1.0.0", 10, false)], "1.0.1", ("cooldown", Some(107))),
        ("of a trifle", Some(Severity::Critical), &[("1.0.0", 10, true)], "1.0.1", ("cooldown", Some(107))),
        ("of another major", None, &[("1.0.0", 10, true)], "2.0.0", ("cooldown", Some(107))),
        ("of another minor below one", None, &[("0.1.0", 10, true)], "0.2.0", ("cooldown", Some(107))),
        ("of the same minor below one", None, &[("0.1.0", 10, true)], "0.1.1", ("allowed", None)),
        ("there is a fix", None, &[("1.0.0", 10, true), ("1.0.1", 20, false)], "1.0.2", ("cooldown", Some(107))),
        ("there will be one", None, &[("1.0.0", 10, true), ("1.0.1", 95, false)], "1.0.2", ("allowed", Some(102))),
        ("alone", None, &[], "1.0.1", ("cooldown", Some(107))),
    ];
    for (name, least, others, version, expected) in table {
        let mut releases = vec![release(version, Some(BORN))];
        for (version, published, advised) in *others {
            let mut other = release(version, Some(*published));
            other.advisories = if *advised { vec![0] } else { Vec::new() };
            releases.push(other);
        }
        let package = package(releases, &[Severity::Medium]);
        let decision = decide(&package, &package.releases[0], &rules(*least), &(), day(BORN));
        assert_eq!(word(&decision), *expected, "{name}");
    }
    let mut also_advised = package(vec![release("1.0.1", Some(BORN)), release("1.0.0", Some(1))], &[Severity::Medium]);
    also_advised.releases.iter_mut().for_each(|release| release.advisories = vec![0]);
    let decision = decide(&also_advised, &also_advised.releases[0], &rules(None), &(), day(BORN));
    assert_eq!(word(&decision).0, "cooldown", "it has the advisory itself");
}

#[test]
fn a_waiver_counts_before_the_rules_and_behind_overrides_until_it_ends() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let waived = |requirement, until| Known {
        waivers: vec![exception(Effect::Allow, requirement, Some(until))],
        ..Known::default()
    };
    let rules = |overrides| Rules { cooldown: Some("1mo".parse().unwrap()), overrides, ..Rules::default() };
    let said = |rules: &Rules, known: &Known, at: u64| decide(&package, &package.releases[0], rules, known, day(at));
    let until = Some(day(110));
    assert_eq!(said(&rules(vec![]), &waived(None, 110), BORN), Decision::Allowed { because: Because::Waived, until });
    assert_eq!(
        said(&rules(vec![]), &waived(Some("~> 1.0"), 110), 109),
        Decision::Allowed { because: Because::Waived, until }
    );
    for (known, at) in [(waived(None, 110), 110), (waived(Some("~> 2.0"), 110), BORN), (Known::default(), BORN)] {
        assert!(matches!(said(&rules(vec![]), &known, at), Decision::Held { rule: Rule::Cooldown(_), .. }), "{at}");
    }
    let denied = rules(vec![exception(Effect::Deny, None, None)]);
    assert!(matches!(
        said(&denied, &waived(Some("== 1.0.0"), 110), BORN),
        Decision::Held { rule: Rule::Denied(_), .. }
    ));
}
