//! Tests all combinations of rules against a second, simpler implementation that decides for one time only.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn any_override() -> impl Strategy<Value = Override> {
    let effect = prop_oneof![
        Just(Effect::Allow),
        Just(Effect::Deny),
        Just(Effect::IgnoreAdvisory("GHSA-0".to_owned())),
        Just(Effect::IgnoreRetirement(RetirementReason::Security)),
        Just(Effect::IgnoreCooldown),
    ];
    let requirement = prop_oneof![Just(None), Just(Some("~> 1.0")), Just(Some("~> 2.0"))];
    (effect, requirement, prop::option::of(95_u64..125))
        .prop_map(|(effect, requirement, until)| exception(effect, requirement, until))
}

fn any_grace() -> impl Strategy<Value = Grace> {
    prop_oneof![
        Just(Grace::Keep),
        Just(Grace::Hold),
        (0_u64..20).prop_map(|days| Grace::For(Duration::from_secs(days * DAY)))
    ]
}

prop_compose! {
    fn any_rules()(
        cooldown in prop_oneof![Just(None), Just(Some("0")), Just(Some("3d")), Just(Some("7d")), Just(Some("2w"))],
        least in prop::option::of(prop_oneof![Just(Severity::Low), Just(Severity::High)]),
        retirement in any::<bool>(),
        licences in any::<bool>(),
        freeze in prop::option::of(95_u64..105),
        hold_unknown in any::<bool>(),
        fixes in any::<bool>(),
        locked in (any_grace(), any_grace(), any_grace(), any_grace(), any_grace()),
        overrides in prop::collection::vec(any_override(), 0..3),
    ) -> ReleaseRules {
        let (cooldown_grace, freeze_grace, licences_grace, advisories, retirement_grace) = locked;
        ReleaseRules {
            cooldown: cooldown.map(|text| text.parse().unwrap()),
            advisory_min_severity: least,
            retirement_reasons: if retirement { [RetirementReason::Security].into() } else { BTreeSet::new() },
            licences: licences.then(|| LicenceRules::new(["MIT".to_owned()], WhereUnknown::Hold)),
            freeze_after: freeze.map(day),
            unknown_published_at: if hold_unknown { WhereUnknown::Hold } else { WhereUnknown::Allow },
            cooldown_exempt_security_fixes: fixes,
            locked: LockFileProtection {
                cooldown: cooldown_grace,
                freeze: freeze_grace,
                licences: licences_grace,
                advisories,
                retirement: retirement_grace,
            },
            overrides,
        }
    }
}

prop_compose! {
    fn any_package()(
        releases in prop::collection::vec(
            (
                (0_u64..3, 0_u64..3, 0_u64..4, any::<bool>()),
                prop::option::of(85_u64..112),
                prop::option::of(any::<bool>()),
                any::<bool>(),
            ),
            1..5,
        ),
        is_signed in any::<bool>(),
        severity in prop_oneof![Just(Severity::Low), Just(Severity::Medium), Just(Severity::Unknown)],
    ) -> PackageFacts {
        let releases = releases.into_iter().enumerate().map(|(place, (number, published, retired, advised))| {
            let (major, minor, patch, pre) = number;
            // The index makes each number different.
            let pre = if pre { "-rc.1" } else { "" };
            let mut release = release(&format!("{major}.{minor}.{}{pre}", 10 * patch + place as u64), published);
            release.retired = retired.map(|known| Retired(known.then_some(RetirementReason::Security)));
            release.advisories = if advised { vec![0] } else { Vec::new() };
            release
        });
        let mut package = package(releases.collect(), &[severity]);
        package.advisories[0].is_signed = is_signed;
        package
    }
}

prop_compose! {
    fn any_known()(
        proven in prop::option::of(85_u64..112),
        delivered in prop::option::of(95_u64..105),
        licences_known in any::<bool>(),
        pinned in prop::option::of(prop::option::of(95_u64..125)),
        since in prop::collection::vec(prop::option::of(90_u64..105), 5),
        licence in prop::option::of(prop_oneof![Just("MIT"), Just("ISC"), Just("Mine")]),
        waived in prop::option::weighted(0.2, 95_u64..125),
    ) -> Known {
        Known {
            exemption: Some(LockExemption {
                delivered: delivered.map(day),
                licences_known,
                pinned: pinned.map(|until| Pinned { until: until.map(day) }),
                held_since: HeldSince {
                    cooldown: since[0].map(day),
                    freeze: since[1].map(day),
                    licences: since[2].map(day),
                    advisories: since[3].map(day),
                    retirement: since[4].map(day),
                },
            }),
            proven: proven.map(day),
            licences: licence.map(stating),
            waivers: waived.map(|until| exception(Effect::Allow, None, Some(until))).into_iter().collect(),
        }
    }
}

/// The second implementation of the rules, for one time only.
fn expected(package: &PackageFacts, release: &ReleaseFacts, rules: &ReleaseRules, known: &Known, now: u64) -> bool {
    let version = release.version.as_ref().unwrap();
    let exemption = known.exemption.clone().unwrap();
    let lasting: Vec<&Override> = rules
        .overrides
        .iter()
        .filter(|found| found.until.is_none_or(|until| until > day(now)))
        .filter(|found| found.requirement.as_ref().is_none_or(|requirement| requirement.matches(version)))
        .collect();
    let finals = |with: bool| lasting.iter().find(|found| found.is_final() && found.requirement.is_some() == with);
    if let Some(last_word) = finals(true).or(finals(false)) {
        return last_word.effect == Effect::Allow;
    }
    if known.waivers.iter().any(|waiver| waiver.until > Some(day(now))) {
        return true;
    }
    let pinned = exemption.pinned.is_some_and(|pin| pin.until.is_none_or(|until| until > day(now)));
    if pinned {
        return true;
    }
    let kept = |grace: Grace, since: Option<Timestamp>| {
        exemption.delivered.is_some()
            && match grace {
                Grace::Keep => true,
                Grace::Hold => false,
                Grace::For(time) => since.unwrap_or(day(now)).plus(time) > day(now),
            }
    };
    let ignores = |effect: Effect| lasting.iter().any(|found| found.effect == effect);
    let age = |release: &ReleaseFacts| match (release.published_at, rules.unknown_published_at, known.proven) {
        (Some(published), ..) => Some(published),
        (None, WhereUnknown::Allow, _) => Some(day(0)),
        (None, WhereUnknown::Hold, proven) => proven,
    };
    let cooling = |release: &ReleaseFacts| {
        rules.cooldown().is_some_and(|cooldown| age(release).is_none_or(|born| born.plus(cooldown) > day(now)))
    };
    let advised = !release.advisories.is_empty()
        && rules.advisory_min_severity.is_some_and(|least| package.advisories[0].severity >= least)
        && !ignores(Effect::IgnoreAdvisory("GHSA-0".to_owned()));
    let retired = release.retired == Some(Retired(Some(RetirementReason::Security)))
        && !rules.retirement_reasons.is_empty()
        && !ignores(Effect::IgnoreRetirement(RetirementReason::Security));
    let unlicensed =
        rules.licences.is_some() && known.licences.as_ref().is_some_and(|stated| *stated != stating("ISC"));
    let frozen = rules.freeze_after.is_some_and(|freeze| age(release).is_none_or(|born| born > freeze));
    let [major, minor, _] = version.numbers();
    let instead = package
        .releases
        .iter()
        .filter(|other| other.text != release.text && !cooling(other) && !other.text.contains('-'))
        .filter(|other| {
            let [its_major, its_minor, _] = other.version.as_ref().unwrap().numbers();
            its_major == major && (major > 0 || its_minor == minor)
        })
        .max_by_key(|other| other.version.clone().unwrap());
    let fixes = rules.cooldown_exempt_security_fixes
        && release.advisories.is_empty()
        && instead.is_some_and(|instead| {
            let severe = rules.advisory_min_severity.is_none_or(|least| package.advisories[0].severity >= least);
            // The requirements in these tests match no pre-release, and `instead` is not a pre-release.
            let ignored = rules.overrides.iter().any(|found| {
                found.effect == Effect::IgnoreAdvisory("GHSA-0".to_owned())
                    && found.until.is_none_or(|until| until > day(now))
                    && found.requirement.as_ref().is_none_or(|one| one.matches(instead.version.as_ref().unwrap()))
            });
            let lower = instead.version.as_ref().unwrap() < version;
            !instead.advisories.is_empty() && severe && lower && package.advisories[0].is_signed && !ignored
        });
    let young = cooling(release) && !fixes && !ignores(Effect::IgnoreCooldown);
    let (locked, since) = (&rules.locked, &exemption.held_since);
    let young = young && !kept(locked.cooldown, since.cooldown);
    let frozen = frozen && !kept(locked.freeze, since.freeze);
    let unlicensed = unlicensed && !(kept(locked.licences, since.licences) && exemption.licences_known);
    let advised = advised && !kept(locked.advisories, since.advisories);
    let retired = retired && !kept(locked.retirement, since.retirement);
    !(young || frozen || unlicensed || advised || retired)
}

fn allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_rule_with_every_other(
        package in any_package(), rules in any_rules(), known in any_known(), now in 95_u64..115,
    ) {
        for release in &package.releases {
            let decision = decide(&package, release, &rules, &known, day(now));
            let expected = expected(&package, release, &rules, &known, now);
            prop_assert_eq!(allowed(&decision), expected, "{:?} {:?}", release, decision);
        }
    }

    #[test]
    fn a_decision_says_when_it_changes(
        package in any_package(), rules in any_rules(), mut known in any_known(), now in 95_u64..115,
    ) {
        // A grace period that has not begun begins at each query; here it began earlier.
        let exemption = known.exemption.as_mut().unwrap();
        let since = &mut exemption.held_since;
        for one in
            [&mut since.cooldown, &mut since.freeze, &mut since.licences, &mut since.advisories, &mut since.retirement]
        {
            *one = one.or(Some(day(95)));
        }
        for release in &package.releases {
            let first = decide(&package, release, &rules, &known, day(now));
            let until = match &first {
                Decision::Allowed { until, .. } | Decision::Held { until, .. } => *until,
            };
            for later in now..160 {
                let then = allowed(&decide(&package, release, &rules, &known, day(later)));
                if until.is_none_or(|until| day(later) < until) {
                    prop_assert_eq!(then, allowed(&first), "day {} of {:?}", later, first);
                } else {
                    prop_assert_eq!(then, !allowed(&first), "day {} of {:?}", later, first);
                    break;
                }
            }
        }
    }

    #[test]
    fn each_rule_keeps_what_it_says(
        package in any_package(), rules in any_rules(), known in any_known(), now in 95_u64..115,
    ) {
        // No release is younger than the last change of its package, which also proves the age of releases without a
        // date.
        let dates = package.releases.iter().filter_map(|release| release.published_at).chain(known.proven);
        let touched = dates.max().unwrap_or(day(85));
        let known = Known { proven: known.proven.or(Some(touched)), ..known };
        let listed = ListedFacts {
            updated_at: Some(touched),
            has_retired: package.releases.iter().any(|release| release.retired.is_some()),
            has_advisories: package.releases.iter().any(|release| !release.advisories.is_empty()),
        };
        for (rule, release) in rules.configured().flat_map(|rule| package.releases.iter().map(move |release| (rule, release))) {
            let case = ReleaseCase::new(&package, release, &rules, &known, day(now));
            let holds = |at: u64, heeds_overrides| {
                rule.judge(&case, RuleQuery { moment: day(at), heeds_overrides }).is_some()
            };
            let beyond_doubt = rule.is_certainly_allowed(&rules, &listed, day(now));
            prop_assert!(!beyond_doubt || !holds(now, false), "{rule:?} of {release:?}");
            let mut moments: Vec<Timestamp> = case.overrides.iter().filter_map(|found| found.until).collect();
            rule.add_change_times(&case, &mut moments);
            for at in now + 1..160 {
                let is_told = moments.contains(&day(at));
                prop_assert!(is_told || holds(at, true) == holds(at - 1, true), "{rule:?} of {release:?} on day {at}");
            }
        }
    }
}
