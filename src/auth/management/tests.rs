//! Tests of allowed and refused changes of accounts.

use super::*;
use crate::auth::testing::{PASSWORD, basic, by, fixture, scope};
use crate::auth::{AccountOptions, CredentialUse, Role};

async fn made(name: &str, email: Option<&str>, password: Option<&str>) -> Result<User, ManageError> {
    let here = fixture(AccountOptions::default()).await;
    let new = NewUser {
        name: name.to_owned(),
        email: email.map(str::to_owned),
        password: password.map(Secret::new),
        ..NewUser::default()
    };
    here.accounts.create_user(new, &by()).await
}

#[tokio::test]
async fn names_addresses_and_passwords_are_checked() {
    for (name, email, password, fault) in [
        ("ab", None, None, "username: should be at least 3 character(s)"),
        ("alice\n", None, None, "username: has invalid format: use only lower-case letters, digits, `_`, `-` and `.`"),
        ("al ice", None, None, "username: has invalid format: use only lower-case letters, digits, `_`, `-` and `.`"),
        ("...", None, None, "username: has invalid format: use only lower-case letters, digits, `_`, `-` and `.`"),
        ("HexPM", None, None, "username: is reserved"),
        ("alice", Some("alice"), None, "email: has invalid format"),
        ("alice", Some("a@b@c"), None, "email: has invalid format"),
        ("alice", Some("a@b\r\n"), None, "email: has invalid format"),
        ("alice", None, Some("short"), "password: should be at least 8 character(s)"),
        (
            "a",
            Some("b"),
            Some("c"),
            "username: should be at least 3 character(s); email: has invalid format; password: should be at least 8 character(s)",
        ),
    ] {
        assert_eq!(made(name, email, password).await.unwrap_err().to_string(), fault, "{name:?}");
    }
    let alice = made("Al.i-ce_9", Some("Alice@Example.com"), None).await.unwrap();
    assert_eq!((alice.name.as_str(), alice.email.as_deref()), ("al.i-ce_9", Some("alice@example.com")));
    assert_eq!(alice.password, None);
}

#[tokio::test]
async fn names_and_addresses_are_taken_once() {
    let here = fixture(AccountOptions::default()).await;
    let alice = here.user("alice").await;
    here.user("bob").await;
    let again =
        |name: &str, email: &str| NewUser { name: name.into(), email: Some(email.into()), ..NewUser::default() };
    let create = async |new| here.accounts.create_user(new, &by()).await.unwrap_err();
    assert!(matches!(create(again("ALICE", "x@y")).await, ManageError::Account(AccountError::NameTaken)));
    assert!(matches!(
        create(again("carol", "ALICE@example.com")).await,
        ManageError::Account(AccountError::EmailTaken)
    ));
    let change = UserChange { email: Some(Some("bob@example.com".into())), ..UserChange::default() };
    let taken = here.accounts.update_user("alice", change, &by()).await.unwrap_err();
    assert!(matches!(taken, ManageError::Account(AccountError::EmailTaken)));
    let change = UserChange { full_name: Some(Some("Alice".into())), administrator: Some(true), email: None };
    let changed = here.accounts.update_user("alice", change, &by()).await.unwrap();
    assert_eq!((changed.full_name.as_deref(), changed.administrator), (Some("Alice"), true));
    assert_eq!(changed.email, alice.email);
    assert_eq!(here.accounts.list_users().await.unwrap().len(), 2);
    let shown = format!("{changed:?}");
    assert!(!shown.contains("argon2"), "{shown}");
}

#[tokio::test]
async fn a_key_of_a_taken_name_gets_a_number() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let bob = Owner::User(here.user("bob").await.id);
    let make = async |owner, revoke_at| {
        let new = NewKey { owner, name: "ci".into(), permissions: scope("api"), revoke_at };
        here.accounts.create_key(new, None, &by()).await.unwrap().1.name
    };
    let soon = here.accounts.clock.now().plus(std::time::Duration::from_secs(10));
    assert_eq!(make(alice, Some(soon)).await, "ci");
    assert_eq!((make(alice, None).await, make(alice, None).await), ("ci-2".into(), "ci-3".into()));
    assert_eq!(make(bob, None).await, "ci", "another owner");
    here.accounts.revoke_key(alice, "ci-2", &by()).await.unwrap();
    assert_eq!(make(alice, None).await, "ci-2", "a revoked key frees its name");
    here.clock.advance(std::time::Duration::from_secs(10));
    assert_eq!(here.accounts.list_keys(alice).await.unwrap().len(), 2);
    assert_eq!(make(alice, None).await, "ci", "an expired key frees its name");
    let unknown = here.accounts.revoke_key(alice, "none", &by()).await.unwrap_err();
    assert!(matches!(unknown, ManageError::Account(AccountError::UnknownKey)));
    assert_eq!(here.accounts.revoke_all_keys(alice, &by()).await.unwrap().keys.len(), 3);
    assert_eq!(here.accounts.list_keys(alice).await.unwrap(), []);
    assert_eq!(here.accounts.list_keys(bob).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_not_stored_as_it_is() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let key = here.key(alice, "api").await;
    let row = here.accounts.list_keys(alice).await.unwrap().remove(0);
    assert!(!format!("{row:?}").contains(key.strip_prefix(KEY).unwrap()));
    let log = format!("{:?}", here.accounts.audit_of(alice, 1).await.unwrap());
    assert!(log.contains("key.generate") && !log.contains(key.strip_prefix(KEY).unwrap()));
}

#[tokio::test]
async fn a_key_makes_none_wider_than_itself() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let narrow = here.key(alice, "api:read").await;
    let narrow = here.who(&narrow).await;
    let wide = here.who(&basic("alice", PASSWORD)).await;
    let new = |permissions: &str| NewKey {
        owner: alice,
        name: "new".into(),
        permissions: scope(permissions),
        revoke_at: None,
    };
    let make =
        async |permissions: &str, by_whom| here.accounts.create_key(new(permissions), Some(by_whom), &by()).await;
    assert!(matches!(make("api", &*narrow).await, Err(ManageError::WiderThanOwn)));
    assert!(matches!(make("api:read", &*narrow).await, Err(ManageError::WiderThanOwn)), "only `api` can create keys");
    assert!(make("api repositories", &*wide).await.is_ok());
    let late = NewKey { revoke_at: Some(here.accounts.clock.now()), ..new("api") };
    let late = here.accounts.create_key(late, None, &by()).await.unwrap_err();
    assert_eq!(late.to_string(), "revoke_at: must be in the future");
    let none = NewKey { name: " ".into(), permissions: Permissions::default(), ..new("api") };
    let none = here.accounts.create_key(none, None, &by()).await.unwrap_err();
    assert_eq!(none.to_string(), "name: can't be blank; permissions: can't be blank");
    let password = NewKey { permissions: Permissions::everything(), ..new("api") };
    assert!(here.accounts.create_key(password, None, &by()).await.is_err(), "no key has all permissions of a password");
}

#[tokio::test]
async fn an_organization_keeps_an_administrator_and_a_member() {
    let here = fixture(AccountOptions::default()).await;
    for name in ["alice", "bob"] {
        here.user(name).await;
    }
    for bad in ["ac", "Acme", "hexpm", "acme\n"] {
        assert!(here.accounts.create_organization(bad, None, &by()).await.is_err(), "{bad:?}");
    }
    let acme = here.accounts.create_organization("acme", Some("alice"), &by()).await.unwrap();
    let again = here.accounts.create_organization("acme", None, &by()).await.unwrap_err();
    assert!(matches!(again, ManageError::Account(AccountError::NameTaken)));
    let fault = |result: Result<(), ManageError>| result.unwrap_err().to_string();
    assert_eq!(fault(here.accounts.remove_member("acme", "alice", &by()).await), "cannot remove last member");
    here.accounts.add_member("acme", "bob", Role::Read, &by()).await.unwrap();
    assert_eq!(fault(here.accounts.add_member("acme", "bob", Role::Read, &by()).await), "is already member");
    assert_eq!(fault(here.accounts.add_member("acme", "carol", Role::Read, &by()).await), "unknown user");
    let demote = here.accounts.set_role("acme", "alice", Role::Write, &by()).await;
    assert_eq!(fault(demote), "cannot demote last admin member");
    assert!(here.accounts.remove_member("acme", "alice", &by()).await.is_err());
    here.accounts.set_role("acme", "bob", Role::Admin, &by()).await.unwrap();
    here.accounts.remove_member("acme", "alice", &by()).await.unwrap();
    assert_eq!(fault(here.accounts.set_role("acme", "alice", Role::Read, &by()).await), "is not a member");
    let members = here.accounts.members("acme").await.unwrap();
    assert_eq!(
        members.iter().map(|member| (member.name.as_str(), member.role)).collect::<Vec<_>>(),
        [("bob", Role::Admin)]
    );
    let log = here.accounts.audit_of(Owner::Organization(acme.id), 1).await.unwrap();
    let actions: Vec<&str> = log.iter().rev().map(|line| line.action.as_str()).collect();
    let member = "organization.member";
    let expected = [
        "organization.create".to_owned(),
        format!("{member}.add"),
        format!("{member}.add"),
        format!("{member}.role"),
        format!("{member}.remove"),
    ];
    assert_eq!(actions, expected, "refused changes are not in the log");
    assert!(here.accounts.audit_of(Owner::Organization(acme.id), 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn grants_are_given_once_and_taken_away() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let acme = "acme".parse().unwrap();
    assert!(here.accounts.add_grant(alice, &acme, "[a-z]", &by()).await.is_err());
    for _ in 0..2 {
        here.accounts.add_grant(alice, &acme, "web_*", &by()).await.unwrap();
    }
    assert_eq!(here.accounts.list_grants(Some(alice)).await.unwrap().len(), 1);
    assert_eq!(here.accounts.list_grants(None).await.unwrap().len(), 1);
    assert_eq!(here.accounts.list_grants(Some(Owner::Organization(1))).await.unwrap(), []);
    here.accounts.remove_grant(alice, &acme, "web_*", &by()).await.unwrap();
    let gone = here.accounts.remove_grant(alice, &acme, "web_*", &by()).await.unwrap_err();
    assert!(matches!(gone, ManageError::Account(AccountError::UnknownGrant)));
}

#[tokio::test]
async fn what_an_account_may_do_is_known_without_a_credential() {
    let here = fixture(AccountOptions::default()).await;
    let alice = here.user("alice").await;
    here.accounts.create_organization("acme", Some("alice"), &by()).await.unwrap();
    let who = here.accounts.principal_of(Owner::User(alice.id)).await.unwrap().unwrap();
    assert!(who.permissions.is_everything() && who.roles.contains_key("acme"));
    assert_eq!(here.accounts.principal_of(Owner::User(99)).await.unwrap(), None);
    assert!(here.ask(&basic("alice", PASSWORD), CredentialUse::Api).await.is_ok());
}
