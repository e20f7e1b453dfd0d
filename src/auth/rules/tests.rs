//! Tests of access rules, case by case.

use std::collections::BTreeMap;

use super::*;
use crate::auth::permission::Permissions;
use crate::auth::principal::{Proof, SecondFactor, Subject};

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
        who: Subject::User { id: 1, name: "alice".into(), administrator: false },
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
    assert_eq!(open().write(&Caller::Anonymous, AccessKind::Create(&name())).unwrap_err(), Denied::NeedsCredential);
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
    assert_eq!(
        private().read(&known(&guest)),
        Err(Denied::Forbidden),
        "a grant for another repository has no effect here"
    );
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
    root.who = Subject::User { id: 1, name: "root".into(), administrator: true };
    assert!(private().read_api(&known(&root)).is_ok());
    assert_eq!(private().read(&known(&root)), Err(Denied::Forbidden));
    assert_eq!(private().write(&known(&root), AccessKind::Own(&name(), None)).unwrap_err(), Denied::Scope);
    root.permissions = Permissions::everything();
    assert!(private().write(&known(&root), AccessKind::Own(&name(), None)).unwrap().is_administrator());
    assert!(private().write(&known(&root), AccessKind::Create(&name())).is_ok());
}

#[test]
fn who_may_write() {
    use Denied::{Forbidden, Hidden, Scope};
    use OwnerLevel::{Full, Maintainer};
    let package = name();
    // Columns: scope, role, level as an owner; maintain, own, create.
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
        assert_eq!(private().write(&caller, AccessKind::Maintain(&package, level)).err(), maintain, "maintain {case}");
        assert_eq!(private().write(&caller, AccessKind::Own(&package, level)).err(), own, "own {case}");
        assert_eq!(private().write(&caller, AccessKind::Create(&package)).err(), create, "create {case}");
    }
    let outsider = known(&caller("api", None));
    assert!(
        open().write(&outsider, AccessKind::Maintain(&package, Some(Maintainer))).is_ok(),
        "an owner of the package has access"
    );
    assert_eq!(open().write(&outsider, AccessKind::Create(&package)).unwrap_err(), Forbidden);
}

#[test]
fn a_grant_covers_its_package_alone() {
    let grant = private().write(&known(&caller("api", Some(Role::Write))), AccessKind::Create(&name())).unwrap();
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
        assert_eq!(private().write(&known(&principal), AccessKind::Own(&name(), None)).err(), denied);
        assert!(private().read_api(&known(&principal)).is_ok(), "reading never needs a second factor");
        principal.permissions = Permissions::from_scope("api:read").unwrap();
        assert_eq!(principal.may_write_api(), Err(Denied::Scope));
    }
}

/// A virtual repository `all` with the private repository `acme-local` and a public one.
fn united(anonymous_read: bool, granted: bool) -> AccessRules {
    let remote = AccessRules::new("upstream".parse().unwrap(), None, true);
    let members = vec![MemberRules { rules: private(), granted }, MemberRules { rules: remote, granted: false }];
    AccessRules::of_members("all".parse().unwrap(), anonymous_read, members)
}

#[test]
fn in_a_virtual_repository_everybody_sees_the_members_that_they_may_read() {
    let scope = |rules: &AccessRules, caller: &Caller| rules.read(caller).map(|grant| grant.scope());
    let member = known(&caller("repositories", Some(Role::Read)));
    let stranger = known(&caller("repositories", None));
    for (open, granted, who, seen) in [
        (false, false, &Caller::Anonymous, Err(Denied::NeedsCredential)),
        (false, false, &stranger, Ok("*(-,*)".to_owned())),
        (false, false, &member, Ok("*(*,*)".to_owned())),
        (true, false, &Caller::Anonymous, Ok("*(-,*)".to_owned())),
        (true, false, &member, Ok("*(*,*)".to_owned())),
        // With the explicit opt-out, access to the virtual repository includes the member.
        (true, true, &Caller::Anonymous, Ok("*(*,*)".to_owned())),
        (false, true, &stranger, Ok("*(-,*)".to_owned())),
    ] {
        assert_eq!(scope(&united(open, granted), who), seen, "{open} {granted} {who:?}");
    }
    assert!(!united(true, false).read(&Caller::Anonymous).unwrap().is_public(), "others see more");
    let mut reader = caller("repositories", None);
    reader.reads = vec![("all".to_owned(), "acme_*".to_owned())];
    assert_eq!(scope(&united(false, true), &known(&reader)), Ok("*(acme_*,*)".to_owned()));
    assert_eq!(scope(&united(false, false), &known(&reader)), Ok("*(-,*)".to_owned()), "only where it is written");
}

#[test]
fn a_credential_is_good_for_a_member_or_for_what_leads_to_it() {
    for (scope, seen) in [
        ("repository:acme-local", "*(*,*)"),
        ("repository:all", "*(*,*)"),
        ("repository:all/acme_*", "*(acme_*,*)"),
        ("repository:all/acme_* repository:acme/plug", "*(acme_*|plug,*)"),
        ("repository:other", "*(-,*)"),
        ("api", "*(-,*)"),
    ] {
        let caller = known(&caller(scope, Some(Role::Read)));
        assert_eq!(united(false, false).read(&caller).unwrap().scope(), seen, "{scope}");
    }
    let outer = AccessRules::of_members(
        "outer".parse().unwrap(),
        false,
        vec![MemberRules { rules: united(false, false), granted: false }],
    );
    let member = known(&caller("repository:outer", Some(Role::Read)));
    assert_eq!(outer.read(&member).unwrap().scope(), "*(*(*,*))");
    assert_eq!(outer.read_api(&known(&caller("api:read", None))).unwrap().scope(), "*(*(-,*))");
    assert_eq!(private().read(&known(&caller("repository:outer", Some(Role::Read)))), Err(Denied::Forbidden));
}

#[test]
fn who_may_read_no_member_may_not_read_the_whole() {
    let only = |rules: AccessRules| {
        let members = vec![MemberRules { rules, granted: false }];
        AccessRules::of_members("all".parse().unwrap(), true, members)
    };
    assert_eq!(only(private()).read(&Caller::Anonymous), Err(Denied::NeedsCredential));
    assert_eq!(only(private()).read(&known(&caller("repositories", None))), Err(Denied::Forbidden));
    assert_eq!(only(private()).read_api(&known(&caller("api", None))), Err(Denied::Hidden));
    assert!(only(open()).read(&Caller::Anonymous).unwrap().is_public());
}

#[test]
fn who_may_write_is_chosen_for_new_names_and_for_packages_that_are_there() {
    use ChangedBy::{Members as ByMembers, Owners};
    use PublishedBy::{Members, Users};
    let roles = [None, Some(Role::Read), Some(Role::Write), Some(Role::Admin)];
    let allowed = |rules: &AccessRules, need: AccessKind<'_>| {
        roles.map(|role| rules.write(&known(&caller("api", role)), need).is_ok())
    };
    let name = name();
    for (published_by, changed_by, create, maintain, own) in [
        (Members, ByMembers, [false, false, true, true], [false, false, true, true], [false, false, false, true]),
        (Users, ByMembers, [true; 4], [false, false, true, true], [false, false, false, true]),
        (Members, Owners, [false, false, true, true], [false; 4], [false; 4]),
        (Users, Owners, [true; 4], [false; 4], [false; 4]),
    ] {
        let rules = open().written_by(published_by, changed_by);
        assert_eq!(allowed(&rules, AccessKind::Create(&name)), create, "{published_by:?}");
        assert_eq!(allowed(&rules, AccessKind::Maintain(&name, None)), maintain, "{changed_by:?}");
        assert_eq!(allowed(&rules, AccessKind::Own(&name, None)), own, "{changed_by:?}");
        assert_eq!(allowed(&rules, AccessKind::Maintain(&name, Some(OwnerLevel::Maintainer))), [true; 4]);
        assert_eq!(allowed(&rules, AccessKind::Own(&name, Some(OwnerLevel::Full))), [true; 4]);
        let private = private().written_by(published_by, changed_by);
        assert_eq!(private.write(&known(&caller("api", None)), AccessKind::Create(&name)).unwrap_err(), Denied::Hidden);
    }
    // The key of another organization is not a user.
    let mut organization = caller("api", None);
    organization.who = Subject::Organization { id: 7, name: "other".into() };
    let everybody = open().written_by(Users, Owners);
    assert_eq!(everybody.write(&known(&organization), AccessKind::Create(&name)).unwrap_err(), Denied::Forbidden);
}
