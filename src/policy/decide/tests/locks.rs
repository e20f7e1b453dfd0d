//! Tests of the exemptions for lock files, by class of rule.

use super::*;

#[test]
fn a_delivery_excuses_only_licences_that_were_known_then() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let licences = LicenceRules::new(["AGPL-3.0-only".to_owned()], WhereUnknown::Allow);
    let keep = LockFileProtection { licences: Grace::Keep, ..LockFileProtection::default() };
    let weeks = LockFileProtection {
        licences: Grace::For(std::time::Duration::from_secs(14 * DAY)),
        ..LockFileProtection::default()
    };
    for (locked, licences_known, expected) in [
        (&keep, false, ("licence", None)),
        (&keep, true, ("allowed", None)),
        (&weeks, false, ("licence", None)),
        (&weeks, true, ("allowed", Some(BORN + 14))),
        (&LockFileProtection::default(), true, ("licence", None)),
    ] {
        let rules = ReleaseRules { licences: Some(licences.clone()), locked: locked.clone(), ..week() };
        let exemption = LockExemption { delivered: Some(day(BORN)), licences_known, ..LockExemption::default() };
        let licences = Some(stating("AGPL-3.0-only"));
        let known = Known { exemption: Some(exemption), licences, ..Known::default() };
        let decision = decide(&package, &package.releases[0], &rules, &known, day(BORN));
        assert_eq!(word(&decision), expected, "{locked:?} {licences_known}");
    }
}

#[test]
fn licences_that_cannot_be_decided_are_excused_by_a_pin_alone() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let licences = Some(LicenceRules::new(["MIT".to_owned()], WhereUnknown::Allow));
    let rules = ReleaseRules {
        licences,
        locked: LockFileProtection { licences: Grace::Keep, ..LockFileProtection::default() },
        ..ReleaseRules::default()
    };
    let unreadable = Some(Arc::new(LicenceFacts::Unreadable("why".into())));
    let delivered = LockExemption { delivered: Some(day(BORN)), licences_known: true, ..LockExemption::default() };
    let pinned = LockExemption { pinned: Some(Pinned { until: None }), ..delivered.clone() };
    for (exemption, expected) in [(delivered, "licence"), (pinned, "allowed")] {
        let known = Known { exemption: Some(exemption), licences: unreadable.clone(), ..Known::default() };
        assert_eq!(word(&decide(&package, &package.releases[0], &rules, &known, day(BORN))).0, expected);
    }
}

#[test]
fn locks_go_on_working() {
    let delivered = LockExemption { delivered: Some(day(BORN)), ..LockExemption::default() };
    let pinned = |until: Option<u64>| LockExemption {
        pinned: Some(Pinned { until: until.map(day) }),
        ..LockExemption::default()
    };
    let since = |advisory: Option<u64>, retirement: Option<u64>| LockExemption {
        held_since: HeldSince {
            advisories: advisory.map(day),
            retirement: retirement.map(day),
            ..HeldSince::default()
        },
        ..delivered.clone()
    };
    let mut dangerous = release("1.0.0", Some(BORN));
    dangerous.advisories = vec![0];
    dangerous.retired = Some(Retired(Some(RetirementReason::Security)));
    let young = package(vec![release("1.0.0", Some(BORN))], &[]);
    let dangerous = package(vec![dangerous], &[Severity::High]);
    let rules = ReleaseRules {
        advisory_min_severity: Some(Severity::Low),
        retirement_reasons: [RetirementReason::Security].into(),
        ..week()
    };
    let hold = ReleaseRules { locked: LockFileProtection::HOLD, ..rules.clone() };
    let deny = ReleaseRules { overrides: vec![exception(Effect::Deny, None, None)], ..rules.clone() };
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
    let rules = ReleaseRules { advisory_min_severity: Some(Severity::Low), ..week() };
    let first = |exemption: Option<LockExemption>| {
        let known = Known { exemption, ..Known::default() };
        first_held(&package, &package.releases[0], &rules, &known, day(BORN))
    };
    let delivered = LockExemption { delivered: Some(day(BORN)), ..LockExemption::default() };
    assert_eq!(first(None), []);
    assert_eq!(first(Some(delivered.clone())), [Class::Advisory, Class::Cooldown]);
    let since = |cooldown| HeldSince { advisories: Some(day(90)), cooldown, ..HeldSince::default() };
    assert_eq!(first(Some(LockExemption { held_since: since(None), ..delivered.clone() })), [Class::Cooldown]);
    assert_eq!(first(Some(LockExemption { held_since: since(Some(day(90))), ..delivered })), []);
    assert_eq!(first(Some(LockExemption { pinned: Some(Pinned { until: None }), ..LockExemption::default() })), []);
}

#[test]
fn only_what_a_rule_holds_is_exempt() {
    let package = package(vec![release("1.0.0", Some(BORN))], &[]);
    let exemption = LockExemption {
        delivered: Some(day(BORN)),
        pinned: Some(Pinned { until: None }),
        licences_known: true,
        ..LockExemption::default()
    };
    let known = |delivered: bool, waived: bool| Known {
        exemption: delivered.then(|| LockExemption { delivered: Some(day(BORN)), ..LockExemption::default() }),
        waivers: if waived { vec![exception(Effect::Allow, None, None)] } else { Vec::new() },
        ..Known::default()
    };
    let allow = ReleaseRules { overrides: vec![exception(Effect::Allow, None, None)], ..week() };
    for (rules, known, expected) in [
        (&week(), known(true, false), AllowedBy::Delivered),
        (&week(), Known { exemption: Some(exemption), ..Known::default() }, AllowedBy::Pinned),
        (&week(), known(true, true), AllowedBy::Waived),
        (&allow, known(true, true), AllowedBy::Override),
    ] {
        for (now, expected) in [(BORN + 1, expected), (BORN + 7, AllowedBy::Clean)] {
            let decision = decide(&package, &package.releases[0], rules, &known, day(now));
            assert!(matches!(decision, Decision::Allowed { because, .. } if because == expected), "{now} {decision:?}");
        }
    }
}

#[test]
fn each_class_has_its_own_grace() {
    let rules = ReleaseRules {
        licences: Some(LicenceRules::new(["MIT".to_owned()], WhereUnknown::Allow)),
        freeze_after: Some(day(50)),
        unknown_published_at: WhereUnknown::Hold,
        advisory_min_severity: Some(Severity::Low),
        retirement_reasons: [RetirementReason::Security].into(),
        ..week()
    };
    let fine = package(vec![release("1.0.0", Some(10))], &[Severity::High]);
    let with = |change: &dyn Fn(&mut ReleaseFacts)| {
        let mut package = fine.clone();
        change(&mut package.releases[0]);
        package
    };
    let no_cooldown = ReleaseRules { cooldown: None, ..rules.clone() };
    let no_freeze = ReleaseRules { freeze_after: None, ..rules.clone() };
    let of_nobody = with(&|release| release.published_at = None);
    let cases = [
        (Class::Cooldown, &no_freeze, with(&|release| release.published_at = Some(day(BORN))), "ISC", "cooldown"),
        (Class::Cooldown, &no_freeze, of_nobody.clone(), "ISC", "unknown_age"),
        (Class::Freeze, &no_cooldown, with(&|release| release.published_at = Some(day(60))), "ISC", "freeze"),
        (Class::Freeze, &no_cooldown, of_nobody, "ISC", "unknown_age"),
        (Class::Licence, &rules, fine.clone(), "MIT", "licence"),
        (Class::Advisory, &rules, with(&|release| release.advisories = vec![0]), "ISC", "advisory"),
        (
            Class::Retirement,
            &rules,
            with(&|release| release.retired = Some(Retired(Some(RetirementReason::Security)))),
            "ISC",
            "retirement",
        ),
    ];
    let three = Grace::For(std::time::Duration::from_secs(3 * DAY));
    for (class, rules, package, licence, word_of_rule) in cases {
        for other in Class::ALL {
            // Only the grace period of its own class counts. It begins when a rule of that class first holds the
            // release.
            for (grace, first_held, expected) in [
                (Grace::Keep, None, "allowed"),
                (three, Some(BORN - 2), "allowed"),
                (three, Some(BORN - 3), word_of_rule),
                (Grace::Hold, None, word_of_rule),
            ] {
                let mut rules = ReleaseRules { locked: LockFileProtection::HOLD, ..rules.clone() };
                *rules.locked.get_mut(*other) = grace;
                let mut exemption =
                    LockExemption { delivered: Some(day(20)), licences_known: true, ..LockExemption::default() };
                *exemption.held_since.get_mut(class) = first_held.map(day);
                let licences = Some(stating(licence));
                let known = Known { exemption: Some(exemption), licences, ..Known::default() };
                let decision = decide(&package, &package.releases[0], &rules, &known, day(BORN));
                let expected = if *other == class { expected } else { word_of_rule };
                assert_eq!(word(&decision).0, expected, "{class:?} {other:?} {grace:?} {first_held:?}");
            }
        }
    }
}
