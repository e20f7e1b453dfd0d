//! Tests of accounts, keys and sessions on each engine: every statement is run.

use std::time::Duration;

use super::{Database, on_each_engine};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::state::audit::Actor;
use crate::state::devices::{Device, DeviceStatus, Poll};
use crate::state::keys::{KeyRow, LastUse};
use crate::state::organizations::Role;
use crate::state::tokens::{Rotation, SessionRow};
use crate::state::users::{User, UserRow};
use crate::state::{AccountError, Owner, State};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

pub(super) fn new_user(name: &str, administrator: bool) -> UserRow<'_> {
    UserRow { name, full_name: None, email: None, password: None, administrator, signs_up: false }
}

pub(super) async fn make_user(state: &State, name: &str, administrator: bool) -> User {
    state.create_user(at(1), &new_user(name, administrator), &Actor::console()).await.unwrap()
}

async fn users_are_made_changed_and_shut_out(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let secret = Secret::new("hash".to_owned());
    let alice = UserRow {
        full_name: Some("Alice"),
        email: Some("alice@acme.test"),
        password: Some(&secret),
        ..new_user("alice", true)
    };
    let mut alice = state.create_user(at(1), &alice, &by).await.unwrap();
    assert!(alice.administrator && alice.password.is_some());
    let taken = state.create_user(at(1), &new_user("alice", false), &by).await.unwrap_err();
    assert!(matches!(taken, AccountError::NameTaken), "{taken:?}");
    let bob = UserRow { email: Some("alice@acme.test"), ..new_user("bob", false) };
    let taken = state.create_user(at(1), &bob, &by).await.unwrap_err();
    assert!(matches!(taken, AccountError::EmailTaken), "{taken:?}");
    let bob = UserRow { signs_up: true, ..bob };
    let mut bob = state.create_user(at(2), &bob, &by).await.unwrap();
    assert_eq!((bob.email.as_deref(), bob.unconfirmed_email.as_deref()), (None, Some("alice@acme.test")));
    assert_eq!(state.user("alice@acme.test").await.unwrap().unwrap(), alice);
    assert_eq!(state.user_of(bob.id).await.unwrap().unwrap(), bob);

    let last = state.set_active(at(3), &alice, false, &by).await.unwrap_err();
    assert!(matches!(last, AccountError::LastAdministrator), "{last:?}");
    alice.administrator = false;
    let last = state.update_user(at(3), &alice, &by).await.unwrap_err();
    assert!(matches!(last, AccountError::LastAdministrator), "{last:?}");
    bob.email = Some("alice@acme.test".to_owned());
    let taken = state.update_user(at(3), &bob, &by).await.unwrap_err();
    assert!(matches!(taken, AccountError::EmailTaken), "{taken:?}");
    (bob.email, bob.administrator) = (Some("bob@acme.test".to_owned()), true);
    state.update_user(at(4), &bob, &by).await.unwrap();
    state.update_user(at(5), &alice, &by).await.unwrap();
    state.set_password(at(6), &bob, Some(&secret), &by).await.unwrap();
    state.set_active(at(7), &alice, false, &by).await.unwrap();
    let names: Vec<(String, bool, bool)> = state
        .users()
        .await
        .unwrap()
        .into_iter()
        .map(|user| (user.name, user.administrator, user.deactivated_at.is_some()))
        .collect();
    assert_eq!(names, [("alice".to_owned(), false, true), ("bob".to_owned(), true, false)]);

    state.begin_totp(bob.id, &secret).await.unwrap();
    let bob = state.user("bob").await.unwrap().unwrap();
    state.confirm_totp(at(8), &bob, 7, &["one".to_owned(), "two".to_owned()], &by).await.unwrap();
    assert!(!state.accept_totp(bob.id, 7, "a").await.unwrap() && state.accept_totp(bob.id, 8, "a").await.unwrap());
    assert!(state.accept_totp(bob.id, 8, "a").await.unwrap() && !state.accept_totp(bob.id, 8, "b").await.unwrap());
    assert!(state.use_recovery_code(at(9), &bob, "one", &by).await.unwrap());
    assert!(!state.use_recovery_code(at(9), &bob, "one", &by).await.unwrap());
    assert!(state.user("bob").await.unwrap().unwrap().totp.is_some());
    state.disable_totp(at(10), &bob, &by).await.unwrap();
    assert!(state.user("bob").await.unwrap().unwrap().totp.is_none());

    let log = state.audit_of_account("user:bob", 1).await.unwrap();
    let actions: Vec<&str> = log.iter().rev().map(|line| line.action.as_str()).collect();
    let expected = [
        "user.create",
        "user.update",
        "password.update",
        "security.update",
        "security.recovery_code_use",
        "security.disable",
    ];
    assert_eq!(actions, expected);
    assert_eq!(state.audit_of_everything(1).await.unwrap().len(), 9);
    assert_eq!(state.audit_of_everything(2).await.unwrap(), []);
}

async fn organizations_keep_one_who_administrates(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let (alice, bob) = (make_user(&state, "alice", true).await, make_user(&state, "bob", false).await);
    let acme = state.create_organization(at(2), "acme", Some(&alice), &by).await.unwrap();
    for taken in ["acme", "bob"] {
        let taken = state.create_organization(at(2), taken, None, &by).await.unwrap_err();
        assert!(matches!(taken, AccountError::NameTaken), "{taken:?}");
    }
    let taken = state.create_user(at(2), &new_user("acme", false), &by).await.unwrap_err();
    assert!(matches!(taken, AccountError::NameTaken), "{taken:?}");
    let refused = state.remove_member(at(3), &acme, &alice, &by).await.unwrap_err();
    assert!(matches!(refused, AccountError::LastMember), "{refused:?}");
    state.add_member(at(3), &acme, &bob, Role::Write, &by).await.unwrap();
    let refused = state.add_member(at(3), &acme, &bob, Role::Write, &by).await.unwrap_err();
    assert!(matches!(refused, AccountError::AlreadyMember), "{refused:?}");
    let refused = state.set_role(at(3), &acme, &alice, Role::Read, &by).await.unwrap_err();
    assert!(matches!(refused, AccountError::LastAdmin), "{refused:?}");
    state.set_role(at(4), &acme, &bob, Role::Admin, &by).await.unwrap();
    state.remove_member(at(5), &acme, &alice, &by).await.unwrap();
    let members = state.members(acme.id).await.unwrap();
    assert_eq!(
        members.iter().map(|member| (member.name.as_str(), member.role)).collect::<Vec<_>>(),
        [("bob", Role::Admin)]
    );
    let of_bob = state.memberships(bob.id).await.unwrap();
    assert_eq!(
        of_bob.iter().map(|(one, role)| (one.name.as_str(), *role)).collect::<Vec<_>>(),
        [("acme", Role::Admin)]
    );
    let now = state.organization_of(acme.id).await.unwrap().unwrap();
    assert_eq!((now.updated_at, state.organizations().await.unwrap()), (at(5), vec![now.clone()]));
}

async fn keys_and_rights_belong_to_one_account(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let alice = Owner::User(make_user(&state, "alice", true).await.id);
    let acme = Owner::Organization(state.create_organization(at(1), "acme", None, &by).await.unwrap().id);
    let new = |owner, lookup, revoke_at: Option<u64>| KeyRow {
        owner,
        subject: "user:alice",
        name: "laptop",
        lookup,
        compared: "compared",
        permissions: "[]",
        revoke_at: revoke_at.map(at),
    };
    let ended = state.create_key(at(1), &new(alice, "a", Some(2)), &by).await.unwrap();
    let first = state.create_key(at(2), &new(alice, "b", None), &by).await.unwrap();
    let second = state.create_key(at(2), &new(alice, "c", None), &by).await.unwrap();
    let other = state.create_key(at(2), &new(acme, "d", None), &by).await.unwrap();
    assert_eq!(
        [&ended, &first, &second, &other].map(|key| key.name.as_str()),
        ["laptop", "laptop", "laptop-2", "laptop"]
    );
    let last_use = LastUse { at: at(3), address: "192.0.2.1".parse().ok(), agent: Some("mix".to_owned()) };
    state.keys_used(&[(first.id, last_use.clone())]).await.unwrap();
    assert_eq!(state.key_of(first.id).await.unwrap().unwrap().last_use, Some(last_use));
    assert_eq!(state.key_by_lookup("d").await.unwrap().unwrap(), other);
    let names =
        async |owner| state.keys(owner, at(4)).await.unwrap().into_iter().map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(names(alice).await, ["laptop", "laptop-2"]);
    assert_eq!(names(acme).await, ["laptop"]);
    let revoked = state.revoke_keys(at(5), (alice, "user:alice"), Some("laptop-2"), &by).await.unwrap();
    assert_eq!(revoked.keys.iter().map(|key| key.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(state.revoke_keys(at(5), (alice, "user:alice"), None, &by).await.unwrap().keys.len(), 1);
    assert_eq!((names(alice).await.len(), names(acme).await.len()), (0, 1));

    for owner in [(alice, "user:alice"), (acme, "org:acme"), (acme, "org:acme")] {
        state.add_grant(at(6), owner, "hexpm", "ecto*", &by).await.unwrap();
    }
    assert_eq!(state.grants(None).await.unwrap().len(), 2);
    state.remove_grant(at(7), (alice, "user:alice"), "hexpm", "ecto*", &by).await.unwrap();
    let unknown = state.remove_grant(at(7), (alice, "user:alice"), "hexpm", "ecto*", &by).await.unwrap_err();
    assert!(matches!(unknown, AccountError::UnknownGrant), "{unknown:?}");
    assert_eq!((state.grants(Some(alice)).await.unwrap().len(), state.grants(Some(acme)).await.unwrap().len()), (0, 1));
}

pub(super) fn new_session<'a>(owner: Owner, id: &'a str, refresh: &'a str) -> SessionRow<'a> {
    SessionRow {
        id,
        owner: (owner, "user:alice"),
        key: None,
        client: "mix",
        name: None,
        scopes: "api",
        expires_at: at(1000),
        access: (id, at(100)),
        refresh: Some(refresh),
        most: Some(2),
    }
}

async fn sessions_are_refreshed_once_and_end(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let alice = Owner::User(make_user(&state, "alice", true).await.id);
    for (id, refresh, begun) in [("s1", "r1", 1), ("s2", "r2", 2), ("s3", "r3", 3)] {
        state.begin_session(at(begun), &new_session(alice, id, refresh), &by).await.unwrap();
    }
    let live =
        async |now| state.sessions(alice, at(now)).await.unwrap().into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(live(4).await, ["s3", "s2"], "the least recently used session has ended");
    assert!(!state.session_of_token("s3").await.unwrap().unwrap().1);
    let rotate = async |old: &str, new: &str| state.rotate(at(5), ("mix", old, new), (new, at(200))).await.unwrap();
    assert!(matches!(rotate("r3", "r4").await, Rotation::Rotated(session) if session.id == "s3"));
    assert!(state.session_of_token("s3").await.unwrap().unwrap().1, "the previous token is revoked");
    assert_eq!(rotate("r1", "r5").await, Rotation::Ended);
    assert_eq!(rotate("other", "r5").await, Rotation::Unknown);
    assert_eq!(rotate("r3", "r5").await, Rotation::Reused);
    assert_eq!(live(6).await, ["s2"]);
    let left = state.session_of_refresh("r2").await.unwrap().unwrap();
    state.end_session(at(7), &left, "logged out", &by).await.unwrap();
    assert_eq!(live(8).await, Vec::<String>::new());
    assert_eq!(state.audit_of_account("user:alice", 1).await.unwrap()[0].action, "session.revoke");
    assert_eq!(state.purge_tokens(at(6)).await.unwrap(), 2);
}

async fn a_device_is_let_in_once(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let alice = make_user(&state, "alice", true).await.id;
    let device = Device {
        hash: "hash".to_owned(),
        user_code: "ABCD".to_owned(),
        client: "mix".to_owned(),
        scopes: "api".to_owned(),
        name: None,
        address: "192.0.2.1".parse().ok(),
        status: DeviceStatus::Pending,
        created_at: at(1),
        expires_at: at(100),
        polled_at: None,
    };
    assert!(state.add_device(&device).await.unwrap() && !state.add_device(&device).await.unwrap());
    assert_eq!(state.devices(at(2)).await.unwrap(), 1);
    let poll = async |now| state.poll_device(at(now), "mix", "hash", Duration::from_secs(5)).await.unwrap();
    assert_eq!((poll(10).await, poll(11).await), (Poll::Pending, Poll::TooFast));
    assert!(state.decide_device(at(12), "ABCD", alice, Some("api:read")).await.unwrap());
    assert!(!state.decide_device(at(12), "ABCD", alice, None).await.unwrap());
    assert!(matches!(poll(20).await, Poll::Approved(found, user) if found.scopes == "api:read" && user == alice));
    let session = new_session(Owner::User(alice), "s1", "r1");
    assert!(state.redeem_device(at(21), "hash", &session, &by).await.unwrap());
    assert!(!state.redeem_device(at(21), "hash", &new_session(Owner::User(alice), "s2", "r2"), &by).await.unwrap());
    assert_eq!(poll(30).await, Poll::Unknown);
    assert_eq!(state.device("ABCD").await.unwrap().unwrap().status, DeviceStatus::Used);
}

on_each_engine!(
    users_are_made_changed_and_shut_out,
    organizations_keep_one_who_administrates,
    keys_and_rights_belong_to_one_account,
    sessions_are_refreshed_once_and_end,
    a_device_is_let_in_once,
);
