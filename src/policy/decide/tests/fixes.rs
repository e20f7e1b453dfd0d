//! Tests of `cooldown_exempt_security_fixes`: releases that fix an advisory, and some that only seem to.

use super::*;

#[test]
fn a_fix_need_not_wait() {
    let rules = |least| ReleaseRules { cooldown_exempt_security_fixes: true, advisory_min_severity: least, ..week() };
    // Each case: the other releases with their day and whether they have the advisory, then the decision about the new
    // one.
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
        ("a lower number", None, &[("1.5.0", 10, true)], "1.0.1", ("cooldown", Some(107))),
        ("a newer one is fine", None, &[("1.0.0", 10, true), ("1.5.0", 20, false)], "1.0.1", ("cooldown", Some(107))),
        ("of a pre-release", None, &[("1.0.0-rc.1", 10, true)], "1.0.0", ("cooldown", Some(107))),
        (
            "a pre-release does not hide it",
            None,
            &[("1.0.0", 10, true), ("1.1.0-rc.1", 20, false)],
            "1.1.0",
            ("allowed", None),
        ),
    ];
    let of = |others: Others, version: &str| {
        let mut releases = vec![release(version, Some(BORN))];
        for (version, published, advised) in others {
            let mut other = release(version, Some(*published));
            other.advisories = if *advised { vec![0] } else { Vec::new() };
            releases.push(other);
        }
        package(releases, &[Severity::Medium])
    };
    for (name, least, others, version, expected) in table {
        let package = of(others, version);
        let decision = decide(&package, &package.releases[0], &rules(*least), &(), day(BORN));
        assert_eq!(word(&decision), *expected, "{name}");
    }
    let mut also_advised = package(vec![release("1.0.1", Some(BORN)), release("1.0.0", Some(1))], &[Severity::Medium]);
    also_advised.releases.iter_mut().for_each(|release| release.advisories = vec![0]);
    let decision = decide(&also_advised, &also_advised.releases[0], &rules(None), &(), day(BORN));
    assert_eq!(word(&decision).0, "cooldown", "it has the advisory itself");

    let fixed = of(&[("1.0.0", 10, true)], "1.0.1");
    let mut of_a_dump = fixed.clone();
    of_a_dump.advisories[0].is_signed = false;
    let decision = decide(&of_a_dump, &of_a_dump.releases[0], &rules(None), &(), day(BORN));
    assert_eq!(word(&decision), ("cooldown", Some(107)), "nobody has signed the advisory");
    for (name, ignored, until, expected) in [
        ("ignored", "CVE-0", None, ("cooldown", Some(107))),
        ("for some time", "GHSA-0", Some(103), ("cooldown", Some(103))),
        ("another one", "GHSA-1", None, ("allowed", None)),
    ] {
        let ignore = exception(Effect::IgnoreAdvisory(ignored.to_owned()), Some("~> 1.0"), until);
        let rules = ReleaseRules { overrides: vec![ignore], ..rules(Some(Severity::Low)) };
        let decision = decide(&fixed, &fixed.releases[0], &rules, &(), day(BORN));
        assert_eq!(word(&decision), expected, "{name}");
    }
}
