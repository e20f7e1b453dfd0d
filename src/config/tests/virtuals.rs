//! What can be wrong with a virtual repository, with its place.

use super::*;

#[test]
fn each_mistake_of_a_virtual_has_its_sentence_and_its_place() {
    let base = "repositories:\n  hexpm: {type: remote, url: \"https://repo.hex.pm\"}\n  acme: {type: local}\n  other: {type: local}\n";
    for (repositories, expected) in [
        (
            "all: {type: virtual}",
            "t.yaml:5:3: repositories.all.members: a virtual repository needs at least one member",
        ),
        ("all: {type: virtual, members: []}", "t.yaml:5:33: repositories.all.members: a virtual repository needs"),
        (
            "all: {type: virtual, members: [acme, nowhere]}",
            "t.yaml:5:40: repositories.all.members[1]: `nowhere` is not a repository",
        ),
        (
            "all: {type: virtual, members: [all]}",
            "t.yaml:5:34: repositories.all.members[0]: a virtual repository cannot be its own member",
        ),
        (
            "all: {type: virtual, members: [acme, {repository: acme}]}",
            "t.yaml:5:40: repositories.all.members[1]: `acme` is already a member, at repositories.all.members[0]",
        ),
        (
            "all: {type: virtual, members: [{include: [a]}]}",
            "repositories.all.members[0].repository: this key is missing",
        ),
        (
            "all: {type: virtual, members: [{repository: acme, privat: true}]}",
            "members[0].privat: unknown key; did you mean `private`?",
        ),
        (
            "all: {type: virtual, members: [{repository: acme, include: []}]}",
            "members[0].include: with an empty list, no package would be served",
        ),
        (
            "one: {type: virtual, members: [acme, two]}\n  two: {type: virtual, members: [three]}\n  three: {type: virtual, members: [one]}",
            "these virtual repositories are members of each other: one -> two -> three -> one; remove one of them",
        ),
        (
            "all: {type: virtual, members: [acme], deploy_to: other}",
            "t.yaml:5:52: repositories.all.deploy_to: `other` is not a local repository in `members`",
        ),
        (
            "all: {type: virtual, members: [acme, hexpm], deploy_to: hexpm}",
            "repositories.all.deploy_to: `hexpm` is not a local repository",
        ),
        (
            "all: {type: virtual, members: [below], deploy_to: acme}\n  below: {type: virtual, members: [acme]}",
            "repositories.all.deploy_to: `acme` is not a local repository in `members`",
        ),
        (
            "all: {type: virtual, members: [acme], grants_read: [hexpm]}",
            "repositories.all.grants_read[0]: `hexpm` is not in `members`",
        ),
        (
            "all: {type: virtual, members: [acme], merge_across: [a]}",
            "repositories.all.merge_across: this key requires `merge: release`",
        ),
        (
            "all: {type: virtual, members: [acme], merge: both}",
            "repositories.all.merge: `both` is not allowed here; write one of `package`, `release`",
        ),
        (
            "all: {type: virtual, members: [acme], url: \"https://h\"}",
            "all.url: this key is only for repositories of type `remote`, but this repository is of type `virtual`",
        ),
        (
            "all: {type: local, reserve: [a]}",
            "all.reserve: this key is only for repositories of type `virtual`, but this repository is of type `local`",
        ),
        (
            "all: {type: virtual, members: [acme], reserve: [a]}\n  late: {type: local, publish_view: all}",
            "t.yaml:6:37: repositories.late.publish_view: `all` is not a virtual repository with this repository as a member",
        ),
        (
            "all: {type: virtual, members: [hexpm], reserve: [a]}",
            "t.yaml:2:3: repositories.hexpm: this repository is served as the default repository, which is impossible with `direct: false`, the default for members of a virtual repository with a `policy` or a `reserve`; write",
        ),
    ] {
        let text = format!("{base}  {repositories}\n");
        let found = problems(&text);
        assert!(found.contains(expected), "{text}\nexpected: {expected}\n   found: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn a_policy_of_a_virtual_has_rules_for_what_is_below_and_closes_the_other_ways() {
    let text = |more: &str, key: &str| {
        format!(
            "default_repository: all\npolicies: {{company: {{mode: dry_run, repositories: {{{key}: {{cooldown: 7d}}}}}}}}\n\
             repositories:\n  upstream: {{type: remote, url: \"https://repo.hex.pm\"{more}}}\n  other: {{type: local}}\n  \
             below: {{type: virtual, members: [upstream]}}\n  all: {{type: virtual, members: [below], policy: company}}\n"
        )
    };
    for key in ["upstream", "below"] {
        let found = load_with(&text("", key), &[]).unwrap();
        let direct: Vec<_> = found
            .settings
            .repositories
            .values()
            .filter(|one| one.common().direct)
            .map(|one| one.key().as_str())
            .collect();
        assert_eq!(direct, ["all", "other"], "{key}");
    }
    let error = load_with(&text("", "other"), &[]).unwrap_err().to_string();
    assert!(
        error.contains("repositories.all.policy: the policy `company` has no rules for `below`; add rules under"),
        "{error}"
    );
    let advice = load_with(&text(", direct: true", "upstream"), &[]).unwrap().advice;
    let expected =
        "repositories.upstream.direct: `upstream` is also served at its own address, where the policy of `all`";
    assert!(advice.iter().any(|one| one.starts_with(expected)), "{advice:?}");
}

#[test]
fn a_reserve_closes_the_other_ways_to_members_of_members() {
    let text = |more: &str| {
        format!(
            "default_repository: all\nrepositories:\n  upstream: {{type: remote, url: \"https://repo.hex.pm\"{more}}}\n  \
             below: {{type: virtual, members: [upstream]}}\n  other: {{type: local}}\n  \
             all: {{type: virtual, members: [below], reserve: [\"acme_*\"]}}\n"
        )
    };
    let direct = |text: &str| -> Vec<String> {
        let settings = load_with(text, &[]).unwrap().settings;
        let direct = settings.repositories.values().filter(|one| one.common().direct);
        direct.map(|one| one.key().to_string()).collect()
    };
    assert_eq!(direct(&text("")), ["all", "other"]);
    assert_eq!(direct(&text(", direct: true")), ["all", "other", "upstream"], "a written key counts");
    let advice = load_with(&text(", direct: true"), &[]).unwrap().advice;
    let expected =
        "repositories.upstream.direct: `upstream` is also served at its own address, where the `reserve` of `all`";
    assert!(advice.iter().any(|one| one.starts_with(expected)), "{advice:?}");
}

#[test]
fn a_reserve_that_patterns_cut_is_advice() {
    let text = |inner: &str, member: &str, outer: &str| {
        format!(
            "default_repository: all\nrepositories:\n  upstream: {{type: remote, url: \"https://repo.hex.pm\"}}\n  \
             acme: {{type: local}}\n  inner: {{type: virtual, members: [acme], reserve: [\"acme_*\", \"lib_?\"]{inner}}}\n  \
             all: {{type: virtual, members: [{{repository: inner{member}}}, upstream]{outer}}}\n"
        )
    };
    let advice = |inner: &str, member: &str, outer: &str| {
        let mut advice = load_with(&text(inner, member, outer), &[]).unwrap().advice;
        advice.retain(|one| one.contains("reserve"));
        advice
    };
    let said = |patterns: &str, cut: &str| {
        format!(
            "repositories.all.members: `reserve` of `inner` contains {patterns}, but {cut} exclude some of these names, so that the \
             public member `upstream` of `all` can serve them; change the patterns, or add these names to \
             `reserve` of `all`"
        )
    };
    assert_eq!(advice("", "", ""), [""; 0]);
    for (inner, member, patterns, cut) in [
        ("", ", exclude: [\"acme_*\"]", "`acme_*`", "the patterns of the member `inner` in `all`"),
        ("", ", exclude: [acme_web]", "`acme_*`", "the patterns of the member `inner` in `all`"),
        ("", ", exclude: [\"*_internal\"]", "`acme_*`", "the patterns of the member `inner` in `all`"),
        ("", ", include: [\"acme_*\"]", "`lib_?`", "the patterns of the member `inner` in `all`"),
        ("", ", include: [other]", "`acme_*`, `lib_?`", "the patterns of the member `inner` in `all`"),
        (", exclude: [\"lib_*\"]", "", "`lib_?`", "the patterns of `inner`"),
    ] {
        assert_eq!(advice(inner, member, ""), [said(patterns, cut)], "{inner} {member}");
    }
    // What is left out here, too, or reserved here, or no public member's, is answered by nobody.
    for (member, outer) in [
        (", exclude: [\"acme_*\"]", ", exclude: [\"acme_*\"]"),
        (", exclude: [\"acme_*\"]", ", reserve: [\"acme_*\"]"),
        (", exclude: [\"other_*\"]", ""),
    ] {
        assert_eq!(advice("", member, outer), [""; 0], "{member} {outer}");
    }
    let closed = text("", ", exclude: [\"acme_*\"]", "")
        .replace(", upstream]", ", {repository: upstream, exclude: [\"acme*\"]}]");
    assert!(load_with(&closed, &[]).unwrap().advice.iter().all(|one| !one.contains("reserve")));
    // At any depth.
    let deep = text("", ", exclude: [\"acme_*\"]", "")
        .replace("repository: inner", "repository: middle")
        .replace("  all:", "  middle: {type: virtual, members: [inner]}\n  all:");
    let found = load_with(&deep, &[]).unwrap().advice;
    let expected =
        "repositories.all.members: `reserve` of `inner` contains `acme_*`, but the patterns of the member `middle` in";
    assert!(found.iter().any(|one| one.starts_with(expected)), "{found:?}");
}
