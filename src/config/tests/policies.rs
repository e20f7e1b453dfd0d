//! Tests of the section `policies`: what is refused, and what is only a warning.

use super::*;

/// A policy `strict` with these rules for `hexpm`, which has it.
fn policy(rules: &str) -> String {
    format!(
        "policies:\n  strict: {{mode: enforce, repositories: {{hexpm: {{{rules}}}}}}}\nrepositories:\n  \
         hexpm: {{type: remote, url: \"https://repo.hex.pm\", exclude: [out], policy: strict}}\n"
    )
}

#[test]
fn a_bad_policy_is_refused_with_its_place() {
    let repositories = "repositories: {hexpm: {type: remote, url: \"https://repo.hex.pm\", policy: strict}}\n";
    let wrong = [
        (
            repositories.to_owned(),
            "t.yaml:1:74: repositories.hexpm.policy: there is no policy `strict`; add it under",
        ),
        (
            format!("{repositories}policies: {{other: {{mode: dry_run, repositories: {{hexpm: {{}}}}}}}}"),
            "there is no policy `strict`; the policies are `other`",
        ),
        (
            format!("{repositories}policies: {{strict: {{mode: dry_run, repositories: {{nobody: {{}}}}}}}}"),
            "t.yaml:2:51: policies.strict.repositories.nobody: `nobody` is not a repository of this configuration",
        ),
        (
            format!(
                "{}policies: {{strict: {{mode: dry_run, repositories: {{acme: {{}}}}}}}}",
                repositories.replace("}}", "}, acme: {type: local}}")
            ),
            "repositories.hexpm.policy: the policy `strict` has no rules for `hexpm`; add rules under `repositories` of the policy",
        ),
        ("policies: {ab: {}}".to_owned(), "t.yaml:1:12: policies.ab: a policy name must have at least 3 characters"),
        (
            "policies: {abc: {mode: on}}".to_owned(),
            "policies.abc.mode: `on` is not allowed here; write one of `enforce`",
        ),
        ("policies: {abc: {}}".to_owned(), "policies.abc.mode: this key is missing; write `mode: dry_run`"),
        (
            "policies: {abc: {mode: dry_run, repositories: {}}}".to_owned(),
            "policies.abc.repositories: a policy without repositories has no effect",
        ),
        (policy("cooldown: 7"), "t.yaml:2:60: policies.strict.repositories.hexpm.cooldown: expected 0, or a number of days"),
        (policy("advisory_min_severity: severe"), "`severe` is not allowed here; write one of `none`, `low`, `medium`"),
        (policy("retirement_reasons: [bad]"), "retirement_reasons[0]: `bad` is not allowed here; write one of `other`"),
        (policy("licenses: {}"), "licenses.deny: this denies no licence and holds no release"),
        (policy("freeze_after: 2026-02-30"), "freeze_after: `2026-02-30` is not a date or a time in UTC"),
        (policy("freeze_after: tomorrow"), "freeze_after: `tomorrow` is not a date or a time in UTC"),
        (policy("unknown_published_at: hold"), "unknown_published_at: this has no effect without `cooldown` or `freeze_after`"),
        (policy("cooldown_exempt_security_fixes: true"), "this has no effect without `cooldown`"),
        (policy("locked: keep"), "locked: `keep` is not allowed here; write `hold`, or a table"),
        (
            policy("locked: {time_rules: keep}"),
            "locked.time_rules: this key was replaced by one key for each rule; write `cooldown`, `freeze` and `licenses`",
        ),
        (
            policy("locked: {advisories: 5h}"),
            "locked.advisories: `5h` is not allowed here; write `keep`, `hold` or a time",
        ),
        (policy("overrides: [{allow: a, deny: b}]"), "overrides[0]: an override needs exactly one effect; write one of `allow: PACKAGE`"),
        (policy("overrides: [{reason: x}]"), "overrides[0]: an override needs exactly one effect; write one of `allow: PACKAGE`"),
        (policy("cooldown: 1d, overrides: [{package: a, ignore_cooldown: false}]"), "an override needs exactly one effect"),
        (policy("overrides: [{ignore_advisory: X}]"), "overrides[0]: write `package: NAME` together with"),
        (policy("overrides: [{allow: a, package: a}]"), "overrides[0]: write `package: NAME` together with"),
        (policy("overrides: [{allow: A}]"), "overrides[0].allow: \"A\" is not a package name"),
        (policy("overrides: [{allow: a, requirement: \"~> x\"}]"), "requirement: invalid requirement: \"~> x\""),
        (policy("overrides: [{allow: a, requirement: \"> 2.0.0 and < 1.0.0\"}]"), "no version can match `> 2.0.0 and"),
        (
            policy("overrides: [{allow: a, until: 2026-13-01}]"),
            "overrides[0].until: `2026-13-01` is not a date or a time in UTC",
        ),
        (
            policy("overrides: [{allow: a, reason: \"a\\nb\"}]"),
            "overrides[0].reason: this text is too long or has more",
        ),
        (policy("overrides: [{deny: out}]"), "this override never has an effect: the repository does not serve this package"),
        (policy("overrides: [{package: a, ignore_advisory: X}]"), "this override never has an effect: `advisory_min_severity` is not set"),
        (policy("overrides: [{package: a, ignore_retirement: other}]"), "this override never has an effect: this reason is not in `retirement_reasons`"),
        (policy("overrides: [{package: a, ignore_cooldown: true}]"), "this override never has an effect: `cooldown` is not set"),
        (
            policy("overrides: [{allow: a}, {deny: a}]"),
            "t.yaml:2:74: policies.strict.repositories.hexpm.overrides[1]: this",
        ),
        (policy("nonsense: 1"), "policies.strict.repositories.hexpm.nonsense: unknown key"),
        (
            "repositories: {acme: {type: local, policy: strict}}".to_owned(),
            "acme.policy: this key is only for repositories",
        ),
    ]
    .map(|(text, expected)| (problems(&text), text, expected));
    let wrong: Vec<_> = wrong.iter().filter(|(problems, _, expected)| !problems.contains(expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_key_that_cannot_be_read_is_one_problem() {
    for (rules, key) in [
        ("cooldown: 7, unknown_published_at: hold, cooldown_exempt_security_fixes: true", "cooldown"),
        ("freeze_after: soon, unknown_published_at: hold", "freeze_after"),
        ("cooldown: 7, overrides: [{package: a, ignore_cooldown: true}]", "cooldown"),
        ("advisory_min_severity: bad, overrides: [{package: a, ignore_advisory: X}]", "advisory_min_severity"),
        ("retirement_reasons: [bad], overrides: [{package: a, ignore_retirement: other}]", "retirement_reasons[0]"),
        ("licenses: {deny: [[]]}", "licenses.deny[0]"),
        ("licenses: {unknown: perhaps}", "licenses.unknown"),
    ] {
        let found = problems(&policy(rules));
        let is_one = found.lines().count() == 1;
        assert!(is_one && found.contains(&format!("repositories.hexpm.{key}: ")), "{rules}: {found}");
    }
    // The other tables are checked.
    let found = problems(&policy("cooldown: 7, licenses: {}"));
    assert!(found.contains("licenses.deny: this denies no licence"), "{found}");
}

#[test]
fn what_a_policy_cannot_do_is_advice() {
    let advice = load_with(&policy("licenses: {deny: [AGPL-3, MIT]}"), &[]).unwrap().advice.join("\n");
    assert!(
        advice.contains("repositories.hexpm.policy: `hexpm` serves the signed lists of its upstream unchanged"),
        "{advice}"
    );
    assert!(advice.contains("use `dry_run` until these lock files are pinned"), "{advice}");
    assert!(advice.contains("licenses.deny: `AGPL-3` is not an SPDX licence identifier"), "{advice}");
    assert!(!advice.contains("`MIT`"), "{advice}");
    // A second one for what the first leaves.
    settings(&policy("overrides: [{allow: a, until: 2026-01-01}, {deny: a}, {allow: a, requirement: \"~> 1.0\"}]"));
}
