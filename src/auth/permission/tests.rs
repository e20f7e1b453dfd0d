//! Tests of permissions.

use proptest::prelude::*;

use super::*;

fn scope(text: &str) -> Permissions {
    Permissions::from_scope(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn each_domain_opens_what_hexpms_table_says() {
    // Columns: scope, API read, API write, the package, a new package, the repository.
    for (text, read, write, package, new, repository) in [
        ("api", true, true, true, true, false),
        ("api:read", true, false, false, false, false),
        ("api:write", true, true, true, true, false),
        ("package", true, false, true, true, false),
        ("package:acme/web", true, false, true, false, false),
        ("package:acme/other", true, false, false, false, false),
        ("package:other/web", true, false, false, false, false),
        ("repositories", false, false, false, false, true),
        ("repository:acme", false, false, false, false, true),
        ("repository:acme/w*", false, false, false, false, true),
        ("repository:other", false, false, false, false, false),
        ("docs:acme", false, false, false, false, false),
        ("", false, false, false, false, false),
    ] {
        let has = scope(text);
        assert_eq!((has.api_read(), has.api_write()), (read, write), "{text}");
        assert_eq!(has.package("acme", None, "web", true), package, "{text}");
        assert_eq!(has.package("acme", None, "web", false), new, "{text}");
        assert_eq!(has.repository("acme", None).is_some(), repository, "{text}");
        assert_eq!(has.docs("acme", None), text == "docs:acme", "{text}");
    }
}

#[test]
fn a_repository_is_named_by_its_key_or_its_organization_and_limited_by_a_pattern() {
    let has = scope("repository:acme/web_*");
    assert!(has.repository("acme-local", Some("acme")).unwrap().allows("web_x"));
    assert!(!has.repository("acme-local", Some("acme")).unwrap().allows("core"));
    assert_eq!(has.repository("acme-local", None), None);
    assert_eq!(scope("repository:acme repository:acme/x").repository("acme", None), Some(PatternSet::everything()));
    assert!(scope("package:acme/web").package("acme-local", Some("acme"), "web", true));
}

#[test]
fn what_is_none_of_ours_is_refused() {
    for (domain, resource, fault) in [
        ("api", Some("admin"), "invalid resource for given domain"),
        ("repositories", Some("x"), "invalid resource for given domain"),
        ("repository", None, "invalid resource for given domain"),
        ("repository", Some("acme/"), "invalid resource for given domain"),
        ("repository", Some("acme/[a]"), "invalid resource for given domain"),
        ("repository", Some("acme/a&b"), "invalid resource for given domain"),
        ("package", Some("acme/Web"), "invalid resource for given domain"),
        ("package", Some("acme/web\n"), "invalid resource for given domain"),
        ("docs", None, "invalid resource for given domain"),
        ("root", None, "unknown domain"),
    ] {
        assert_eq!(Permission::from_pair(domain, resource), Err(fault), "{domain} {resource:?}");
    }
    assert_eq!(Permission::from_pair("package", Some("jason")), Ok(Permission::Package(Some("hexpm/jason".into()))));
    assert_eq!(Permissions::from_scope("api everything"), None);
    let many: Vec<String> = (0..101).map(|at| format!("p{at}")).collect();
    let many = Permissions::from_pairs(Some(many.iter().map(|name| ("package", Some(name.as_str())))));
    assert_eq!(many.unwrap_err().to_string(), "permissions: a key can have at most 100 permissions");
    let none = Permissions::from_pairs(None::<Vec<(&str, Option<&str>)>>).unwrap();
    assert_eq!(none, scope("api"));
}

#[test]
fn nothing_covers_more_than_itself() {
    // CVE-2026-21621: a key with read permission was exchanged for a token with write permission.
    for (ours, theirs, covers) in [
        ("api:read", "api:write", false),
        ("api:read", "api", false),
        ("package", "api:write", false),
        ("package:acme/web", "package", false),
        ("package:acme/web", "api:read", true),
        ("repositories", "api:read", false),
        ("api", "repositories", false),
        ("repository:acme", "repositories", false),
        ("repository:acme", "repository:acme/x", true),
        ("repository:acme/x", "repository:acme", false),
        ("repository:acme", "repository:acme2/x", false),
        ("repositories", "repository:acme", true),
        ("repositories", "docs:acme", false),
        ("api", "api:write api:read package:acme/web", true),
        ("api:write", "api", false),
        ("api:write", "api:write api:read package", true),
        ("api:read repositories", "api:read repository:acme", true),
        ("", "api:read", false),
    ] {
        assert_eq!(scope(ours).covers(&scope(theirs)), covers, "{ours} → {theirs}");
    }
    assert!(Permissions::everything().covers(&scope("api")));
    assert!(!scope("api repositories").covers(&Permissions::everything()));
}

#[test]
fn only_the_whole_api_makes_keys_and_they_may_fetch() {
    for (ours, theirs, may) in [
        ("api", "repositories", true),
        ("api:write", "repository:acme api:read", false),
        ("api", "api api:write api:read package", true),
        ("api", "repositories repository:acme docs:acme", true),
        ("api", "policy:write", false),
        ("api:write", "api", false),
        ("api:write", "api:write", false),
        ("api:write", "api:read", false),
        ("api:write repositories", "repositories", false),
        ("api:read", "repositories", false),
        ("api:read", "api", false),
        ("package", "repositories", false),
        ("package", "package:acme/web", false),
        ("repositories", "api:read", false),
    ] {
        assert_eq!(scope(ours).may_create_key_with(&scope(theirs)), may, "{ours} → {theirs}");
    }
    assert!(!scope("api").may_create_key_with(&Permissions::everything()));
    assert!(Permissions::everything().may_create_key_with(&scope("api repositories")));
}

#[test]
fn what_another_covers_is_left_out() {
    for (all, least) in [
        ("api api:read api:write repositories", "api repositories"),
        ("api:read api:write", "api:write"),
        ("repository:acme repository:acme/x", "repository:acme"),
        ("api:read repositories", "api:read repositories"),
    ] {
        assert_eq!(scope(all).least().scope(), least, "{all}");
    }
}

#[test]
fn what_the_owner_cannot_reach_is_a_fault() {
    let wants = scope("api repository:acme");
    assert!(wants.without_access(|_| true).is_empty());
    let fault = wants.without_access(|_| false).to_string();
    assert_eq!(fault, "permissions: you do not have access to this repository");
    let fault = scope("package:acme/web").without_access(|_| false).to_string();
    assert_eq!(fault, "permissions: you do not have access to this package");
    assert!(scope("api:read").without_access(|_| false).is_empty());
}

fn any_permission() -> impl Strategy<Value = Permission> {
    prop_oneof![
        Just(Permission::Api),
        Just(Permission::ApiRead),
        Just(Permission::ApiWrite),
        Just(Permission::Repositories),
        Just(Permission::Package(None)),
        "(ac|bd)/(w|x)".prop_map(|resource| Permission::Package(Some(resource))),
        "(ac|bd)(/[wx*]{1,2})?".prop_map(Permission::Repository),
        "(ac|bd)".prop_map(Permission::Docs),
    ]
}

proptest! {
    #[test]
    fn both_spellings_read_back(set in proptest::collection::vec(any_permission(), 0..6)) {
        let has = Permissions::of(set);
        prop_assert_eq!(Permissions::from_json(&has.to_json()), has.clone());
        prop_assert_eq!(Permissions::from_scope(&has.scope()), Some(has));
    }

    #[test]
    fn what_is_covered_opens_nothing_more(
        ours in proptest::collection::vec(any_permission(), 0..4),
        theirs in proptest::collection::vec(any_permission(), 0..4),
    ) {
        let (ours, theirs) = (Permissions::of(ours), Permissions::of(theirs));
        prop_assume!(ours.covers(&theirs));
        prop_assert!(ours.api_read() || !theirs.api_read());
        prop_assert!(ours.api_write() || !theirs.api_write());
        for repository in ["ac", "bd"] {
            prop_assert!(ours.docs(repository, None) || !theirs.docs(repository, None));
            for package in ["w", "x", "wx"] {
                let fetches = |has: &Permissions| has.repository(repository, None).is_some_and(|set| set.allows(package));
                prop_assert!(fetches(&ours) || !fetches(&theirs));
                for exists in [true, false] {
                    let writes = |has: &Permissions| has.package(repository, None, package, exists);
                    prop_assert!(writes(&ours) || !writes(&theirs));
                }
            }
        }
    }

    #[test]
    fn no_scope_panics(text in "\\PC{0,40}") {
        let _ = Permissions::from_scope(&text);
        let _ = Permissions::from_json(&text);
    }
}
