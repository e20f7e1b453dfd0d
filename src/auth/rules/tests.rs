//! Who may read and write, case by case.

use std::collections::BTreeMap;

use super::*;
use crate::auth::permission::Permissions;
use crate::auth::principal::{Proof, SecondFactor, Who};

fn name() -> PackageName {
    "web".parse().unwrap()
}

fn private() -> AccessRules {
    AccessRules::new("acme-local".parse().unwrap(), Some("acme"), false)
}

fn open() -> AccessRules {
    AccessRules::new("acme-local".parse().unwrap(), Some("acme"), true)
}

fn caller(scope: &str, role: Option<Role>) -> Principal {
    Principal {
        who: Who::User { id: 1, name: "alice".into(), administrator: false },
        proof: Proof::Key { id: 1, name: "ci".into() },
        permissions: if scope == "password" {
            Permissions::everything()
        } else {
            Permissions::from_scope(scope).unwrap()
        },
        roles: role.map(|role| BTreeMap::from([("acme".to_owned(), role)])).unwrap_or_default(),
        reads: Vec::new(),
        second_factor: SecondFactor::Exempt,
        address: None,
        agent: None,
    }
}

fn known(principal: &Principal) -> Caller {
    Caller::Known(Arc::new(principal.clone()))
}

#[test]
fn an_open_repository_is_everybodys_to_read() {
    let grant = open().read(&Caller::Anonymous).unwrap();
    assert!(grant.is_public() && grant.packages().allows("anything"));
    assert!(open().read(&known(&caller("docs:x1", None))).is_ok());
    assert!(open().read_api(&Caller::Anonymous).is_ok());
    assert_eq!(open().write(&Caller::Anonymous, Need::Create(&name())).unwrap_err(), Denied::NeedsCredential);
}

#[test]
fn who_may_read_a_private_repository() {
    use Denied::{Forbidden, Hidden, NeedsCredential, Scope};
    assert_eq!(private().read(&Caller::Anonymous), Err(NeedsCredential));
    assert_eq!(private().read_api(&Caller::Anonymous), Err(NeedsCredential));
    for (scope, role, fetch, api) in [
        ("password", Some(Role::Read), None, None),
        ("password", None, Some(Forbidden), Some(Hidden)),
        ("repositories", Some(Role::Read), None, Some(Scope)),
        ("repositories", None, Some(Forbidden), Some(Scope)),
        ("repository:acme", Some(Role::Read), None, Some(Scope)),
        ("repository:acme-local", Some(Role::Read), None, Some(Scope)),
        ("repository:other", Some(Role::Admin), Some(Forbidden), Some(Scope)),
        ("api", Some(Role::Admin), Some(Forbidden), None),
        ("api:read", None, Some(Forbidden), Some(Hidden)),
    ] {
        let caller = known(&caller(scope, role));
        assert_eq!(private().read(&caller).err(), fetch, "{scope} {role:?}");
        assert_eq!(private().read_api(&caller).err(), api, "{scope} {role:?}");
    }
}

#[test]
fn a_grant_is_cut_by_the_credential() {
    let mut guest = caller("repository:acme/w*", None);
    guest.reads = vec![("acme-local".into(), "*b".into()), ("other".into(), "*".into())];
    let grant = private().read(&known(&guest)).unwrap();
    assert!(!grant.is_public());
    for (package, allowed) in [("web", true), ("wex", false), ("ab", false)] {
        assert_eq!(grant.packages().allows(package), allowed, "{package}");
    }
    guest.permissions = Permissions::everything();
    assert!(private().read(&known(&guest)).unwrap().packages().allows("ab"));
    guest.reads.remove(0);
    assert_eq!(private().read(&known(&guest)), Err(Denied::Forbidden), "a grant for another repository is none here");
}

#[test]
fn docs_may_be_fetched_with_a_permission_for_them_alone() {
    let reader = known(&caller("docs:acme", Some(Role::Read)));
    assert!(private().read_docs(&reader).is_ok());
    assert_eq!(private().read(&reader), Err(Denied::Forbidden));
    assert_eq!(private().read_docs(&known(&caller("docs:acme", None))), Err(Denied::Forbidden));
    assert!(private().read_docs(&known(&caller("repositories", Some(Role::Read)))).is_ok());
}

#[test]
fn an_administrator_may_do_what_the_credential_is_good_for() {
    let mut root = caller("api:read", None);
    root.who = Who::User { id: 1, name: "root".into(), administrator: true };
    assert!(private().read_api(&known(&root)).is_ok());
    assert_eq!(private().read(&known(&root)), Err(Denied::Forbidden));
    assert_eq!(private().write(&known(&root), Need::Own(&name(), None)), Err(Denied::Scope));
    root.permissions = Permissions::everything();
    assert!(private().write(&known(&root), Need::Own(&name(), None)).unwrap().is_administrator());
    assert!(private().write(&known(&root), Need::Create(&name())).is_ok());
}

#[test]
fn who_may_write() {
    use Denied::{Forbidden, Hidden, Scope};
    use OwnerLevel::{Full, Maintainer};
    let package = name();
    // scope, role, level as an owner; maintain, own, create
    for (scope, role, level, maintain, own, create) in [
        ("api", Some(Role::Admin), None, None, None, None),
        ("api", Some(Role::Write), None, None, Some(Forbidden), None),
        ("api", Some(Role::Read), None, Some(Forbidden), Some(Forbidden), Some(Forbidden)),
        ("api", Some(Role::Read), Some(Maintainer), None, Some(Forbidden), Some(Forbidden)),
        ("api", Some(Role::Read), Some(Full), None, None, Some(Forbidden)),
        ("api", Some(Role::Write), Some(Full), None, None, None),
        ("api", None, Some(Full), Some(Hidden), Some(Hidden), Some(Hidden)),
        ("api:read", Some(Role::Admin), None, Some(Scope), Some(Scope), Some(Scope)),
        ("package:acme/web", Some(Role::Admin), None, None, None, Some(Scope)),
        ("package:acme/other", Some(Role::Admin), None, Some(Scope), Some(Scope), Some(Scope)),
        ("package", Some(Role::Write), None, None, Some(Forbidden), None),
        ("repositories", Some(Role::Admin), None, Some(Scope), Some(Scope), Some(Scope)),
    ] {
        let caller = known(&caller(scope, role));
        let case = format!("{scope} {role:?} {level:?}");
        assert_eq!(private().write(&caller, Need::Maintain(&package, level)).err(), maintain, "maintain {case}");
        assert_eq!(private().write(&caller, Need::Own(&package, level)).err(), own, "own {case}");
        assert_eq!(private().write(&caller, Need::Create(&package)).err(), create, "create {case}");
    }
    let outsider = known(&caller("api", None));
    assert!(open().write(&outsider, Need::Maintain(&package, Some(Maintainer))).is_ok(), "an owner may read it");
    assert_eq!(open().write(&outsider, Need::Create(&package)).unwrap_err(), Forbidden);
}

#[test]
fn a_grant_covers_its_package_alone() {
    let grant = private().write(&known(&caller("api", Some(Role::Write))), Need::Create(&name())).unwrap();
    assert!(grant.covers(&name()) && !grant.covers(&"other".parse().unwrap()));
    assert_eq!((grant.user(), grant.is_administrator()), (Some("alice"), false));
}

#[test]
fn a_second_factor_that_is_missing_stops_every_write() {
    for (factor, denied) in [
        (SecondFactor::NotNeeded, None),
        (SecondFactor::Shown, None),
        (SecondFactor::Exempt, None),
        (SecondFactor::Missing, Some(Denied::SecondFactorMissing)),
        (SecondFactor::Wrong, Some(Denied::SecondFactorWrong)),
        (SecondFactor::NotSetUp, Some(Denied::SecondFactorNotSetUp)),
        (SecondFactor::Exhausted, Some(Denied::SecondFactorExhausted)),
    ] {
        let mut principal = caller("api", Some(Role::Admin));
        principal.second_factor = factor;
        assert_eq!(principal.may_write_api().err(), denied);
        assert_eq!(private().write(&known(&principal), Need::Own(&name(), None)).err(), denied);
        assert!(private().read_api(&known(&principal)).is_ok(), "reading never needs one");
        principal.permissions = Permissions::from_scope("api:read").unwrap();
        assert_eq!(principal.may_write_api(), Err(Denied::Scope));
    }
}
