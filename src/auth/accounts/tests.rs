//! Tests of authentication and of the errors for wrong credentials.

use std::time::Duration;

use super::*;
use crate::auth::testing::{PASSWORD, address, basic, by, fixture, scope};
use crate::auth::{NewKey, RateLimits, totp};
use crate::state::keys::KeyRow;

const MINUTE: Duration = Duration::from_secs(60);
const REALM: Option<&str> = Some("Basic realm=hex");

#[tokio::test]
async fn every_form_of_a_credential_is_the_same_user() {
    let here = fixture(AccountOptions::default()).await;
    let alice = here.user("alice").await;
    let key = here.key(Owner::User(alice.id), "api repositories").await;
    assert!(key.starts_with("hkk_") && key.len() == 36);
    for header in [key.clone(), format!("bearer {key}"), basic("x", &key), basic(&key, ""), basic("Alice", PASSWORD)] {
        for side in
            [CredentialUse::Api, CredentialUse::Repository { open: true }, CredentialUse::Repository { open: false }]
        {
            let caller = here.ask(&header, side).await.unwrap();
            assert_eq!(caller.principal().and_then(|principal| principal.user()), Some("alice"), "{header} {side:?}");
        }
    }
    assert_eq!(here.who(&basic("alice@EXAMPLE.com", PASSWORD)).await.user(), Some("alice"));
    assert!(here.who(&basic("alice", PASSWORD)).await.permissions.is_everything());
    assert_eq!(here.who(&key).await.permissions, scope("api repositories"));
    assert_eq!(here.ask("  ", CredentialUse::Api).await.unwrap(), Caller::Anonymous);
}

/// The text of hex.pm, and advice for a user whose password may be right.
const WRONG: &str = "invalid username and password combination; if the account has a second factor, a password alone \
                     is not accepted: use an API key, or log in with mix hex.user auth";

#[tokio::test]
async fn what_is_wrong_is_told_in_hexpms_words() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    for (header, message) in [
        (format!("hkk_{}", "0".repeat(32)), "invalid API key"),
        ("Bearer ey.x.y".to_owned(), "invalid API key"),
        ("Basic !".to_owned(), "invalid authentication information"),
        (basic("alice", "wrong"), WRONG),
        (basic("nobody", PASSWORD), WRONG),
    ] {
        assert_eq!(here.refused(&header).await, (message.to_owned(), REALM), "{header}");
        let private = here.ask(&header, CredentialUse::Repository { open: false }).await;
        assert_eq!(private.unwrap_err().message(), message, "{header}");
        let open = here.ask(&header, CredentialUse::Repository { open: true }).await;
        assert_eq!(open.unwrap(), Caller::Anonymous, "{header}");
    }
}

#[tokio::test]
async fn a_key_that_has_ended_is_an_error_everywhere() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let key = here.key(alice, "api").await;
    let end = here.clock.now().plus(Duration::from_secs(30));
    let new = NewKey { owner: alice, name: "short".into(), permissions: scope("api"), revoke_at: Some(end) };
    let (short, _) = here.accounts.create_key(new, None, &by()).await.unwrap();
    assert_eq!(here.who(&key).await.user(), Some("alice"));
    assert_eq!(here.who(short.expose()).await.user(), Some("alice"));
    here.clock.advance(Duration::from_secs(30));
    let revoked = ("API key revoked".to_owned(), REALM);
    assert_eq!(here.refused(short.expose()).await, revoked, "a cached result ends with the key");
    assert_eq!(here.who(&key).await.user(), Some("alice"));
    here.accounts.revoke_key(alice, "ci", &by()).await.unwrap();
    assert_eq!(here.refused(&key).await, revoked, "at once");
    let open = here.ask(&key, CredentialUse::Repository { open: true }).await;
    assert!(matches!(open, Err(AuthError::RevokedKey)));
}

#[tokio::test]
async fn half_a_hash_is_not_enough() {
    let here = fixture(AccountOptions::default()).await;
    let owner = Owner::User(here.user("alice").await.id);
    let (lookup, compared) = ServerSecret::from_bytes([7; 32]).halves("hkk_guess");
    for (name, compared, lets_in) in [("wrong", &lookup, false), ("right", &compared, true)] {
        let key = if lets_in { "hkk_guess" } else { "hkk_other" };
        let lookup = ServerSecret::from_bytes([7; 32]).halves(key).0;
        let (subject, permissions) = ("user:alice", r#"[{"domain":"api","resource":null}]"#);
        let row = KeyRow { owner, subject, name, lookup: &lookup, compared, permissions, revoke_at: None };
        here.state.create_key(here.clock.now(), &row, &by()).await.unwrap();
        assert_eq!(here.ask(key, CredentialUse::Api).await.is_ok(), lets_in, "{name}");
    }
}

#[tokio::test]
async fn a_change_counts_at_once_and_what_others_wrote_after_a_minute() {
    let here = fixture(AccountOptions::default()).await;
    let alice = here.user("alice").await;
    let key = here.key(Owner::User(alice.id), "api").await;
    assert!(here.who(&key).await.roles.is_empty());
    here.accounts.create_organization("acme", Some("alice"), &by()).await.unwrap();
    assert_eq!(here.who(&key).await.roles.get("acme"), Some(&Role::Admin));

    // Another process writes, so this process is not notified.
    here.state.set_active(here.clock.now(), &alice, false, &by()).await.unwrap();
    here.clock.advance(Duration::from_secs(59));
    assert_eq!(here.who(&key).await.user(), Some("alice"));
    here.clock.advance(Duration::from_secs(1));
    assert!(matches!(here.ask(&key, CredentialUse::Api).await, Err(AuthError::Deactivated)));

    here.accounts.reactivate_user("alice", &by()).await.unwrap();
    assert_eq!(here.who(&key).await.user(), Some("alice"));
    assert_eq!(here.who(&basic("alice", PASSWORD)).await.user(), Some("alice"));
    here.accounts.deactivate_user("alice", &by()).await.unwrap();
    assert!(matches!(here.ask(&key, CredentialUse::Api).await, Err(AuthError::Deactivated)));
    for password in [PASSWORD, "wrong"] {
        assert!(matches!(
            here.ask(&basic("alice", password), CredentialUse::Api).await,
            Err(AuthError::PasswordRefused)
        ));
    }
    here.accounts.reactivate_user("alice", &by()).await.unwrap();
    assert_eq!(here.who(&basic("alice", PASSWORD)).await.user(), Some("alice"), "at once");
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_at_once() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    here.who(&basic("alice", PASSWORD)).await;
    here.accounts.set_password("alice", Some(&Secret::new("another horse")), &by()).await.unwrap();
    assert!(matches!(here.ask(&basic("alice", PASSWORD), CredentialUse::Api).await, Err(AuthError::PasswordRefused)));
    here.who(&basic("alice", "another horse")).await;
    here.accounts.set_password("alice", None, &by()).await.unwrap();
    assert!(matches!(
        here.ask(&basic("alice", "another horse"), CredentialUse::Api).await,
        Err(AuthError::PasswordRefused)
    ));
}

#[tokio::test]
async fn wrong_passwords_are_heard_a_few_times_a_minute() {
    let rates = RateLimits { failures: 2, ..RateLimits::default() };
    let here = fixture(AccountOptions { rates, ..AccountOptions::default() }).await;
    let alice = here.user("alice").await;
    let key = here.key(Owner::User(alice.id), "api").await;
    let right = basic("alice", PASSWORD);
    here.who(&right).await;
    for guess in ["one", "one", "one", "two"] {
        let answer = here.ask(&basic("alice", guess), CredentialUse::Api).await;
        assert!(matches!(answer, Err(AuthError::PasswordRefused)), "the same guess counts once");
    }
    let third = here.ask(&basic("alice", "three"), CredentialUse::Api).await;
    assert!(matches!(third, Err(AuthError::Throttled { retry_after }) if retry_after == Duration::from_secs(60)));
    let open = here.ask(&basic("alice", "three"), CredentialUse::Repository { open: true }).await;
    assert_eq!(open.unwrap(), Caller::Anonymous);
    assert_eq!(here.who(&right).await.user(), Some("alice"), "cached results stay valid");
    assert_eq!(here.who(&key).await.user(), Some("alice"), "keys stay valid");
    let elsewhere = PresentedCredential {
        authorization: Some(basic("alice", "four").into_bytes().leak()),
        otp: None,
        address: "198.51.100.1".parse().unwrap(),
        agent: None,
    };
    let answer = here.accounts.authenticate(elsewhere, CredentialUse::Api).await;
    assert!(matches!(answer, Err(AuthError::Throttled { .. })), "the name is counted, too");
    here.clock.advance(MINUTE);
    assert!(matches!(here.ask(&basic("alice", "three"), CredentialUse::Api).await, Err(AuthError::PasswordRefused)));
    let log = here.state.audit_log("", 100).await.unwrap();
    assert_eq!(log.iter().filter(|line| line.action == "auth.failed").count(), 2, "once per address and name");
}

#[tokio::test]
async fn wrong_passwords_by_name_and_by_address_are_counted_together() {
    let rates = RateLimits { failures: 3, ..RateLimits::default() };
    let here = fixture(AccountOptions { rates, ..AccountOptions::default() }).await;
    here.user("alice").await;
    // Each attempt comes from another address, so that only the limit of the user counts.
    let from = async |name: &str, password: &str, machine: u8| {
        let presented = PresentedCredential {
            authorization: Some(basic(name, password).into_bytes().leak()),
            otp: None,
            address: IpAddr::from([198, 51, 100, machine]),
            agent: None,
        };
        here.accounts.authenticate(presented, CredentialUse::Api).await
    };
    for (machine, name) in [(1, "alice"), (2, "alice@example.com"), (3, "Alice")] {
        let answer = from(name, &format!("guess {machine}"), machine).await;
        assert!(matches!(answer, Err(AuthError::PasswordRefused)), "{name}");
    }
    for (machine, name) in [(4, "alice"), (5, "alice@example.com")] {
        let answer = from(name, "one more", machine).await;
        assert!(matches!(answer, Err(AuthError::Throttled { .. })), "{name}");
    }
    assert!(matches!(from("nobody", "one more", 6).await, Err(AuthError::PasswordRefused)), "another name");
    here.clock.advance(MINUTE);
    // A right password does not count, by either name.
    for machine in 10..20 {
        let name = if machine % 2 == 0 { "alice" } else { "alice@example.com" };
        assert!(from(name, PASSWORD, machine).await.is_ok());
    }
    assert!(matches!(from("alice", "guess", 20).await, Err(AuthError::PasswordRefused)));
}

#[tokio::test]
async fn unknown_keys_are_throttled_and_shut_nobody_else_out() {
    let rates = RateLimits { failures: 2, ..RateLimits::default() };
    let here = fixture(AccountOptions { rates, ..AccountOptions::default() }).await;
    let alice = here.user("alice").await;
    let key = here.key(Owner::User(alice.id), "api").await;
    for expected in ["invalid API key", "invalid API key"] {
        assert_eq!(here.refused("hkk_0").await.0, expected);
    }
    assert!(matches!(here.ask("hkk_0", CredentialUse::Api).await, Err(AuthError::Throttled { .. })));
    assert_eq!(here.ask("hkk_0", CredentialUse::Repository { open: true }).await.unwrap(), Caller::Anonymous);
    assert_eq!(here.who(&key).await.user(), Some("alice"));
}

#[tokio::test]
async fn passwords_can_be_switched_off() {
    let here = fixture(AccountOptions { basic: false, ..AccountOptions::default() }).await;
    let alice = here.user("alice").await;
    let key = here.key(Owner::User(alice.id), "api").await;
    let (message, challenge) = here.refused(&basic("alice", PASSWORD)).await;
    assert!(message.starts_with("Basic authentication is disabled."));
    assert_eq!(challenge, Some("Bearer realm=\"hex\""));
    assert_eq!(here.who(&basic("x", &key)).await.user(), Some("alice"));
    here.accounts.login("alice", PASSWORD, None, (address(), None)).await.unwrap();
}

#[tokio::test]
async fn an_organizations_key_acts_for_it() {
    let here = fixture(AccountOptions::default()).await;
    let acme = here.accounts.create_organization("acme", None, &by()).await.unwrap();
    let owner = Owner::Organization(acme.id);
    here.accounts.add_grant(owner, &"other".parse().unwrap(), "web*", &by()).await.unwrap();
    let key = here.key(owner, "api").await;
    let who = here.who(&key).await;
    assert_eq!((who.user(), who.roles.get("acme")), (None, Some(&Role::Write)));
    assert_eq!(who.reads, [("other".to_owned(), "web*".to_owned())]);
    assert_eq!(who.by().actor.as_deref(), Some("org:acme"));

    here.user("alice").await;
    let alice = basic("alice", PASSWORD);
    assert!(here.who(&alice).await.reads.is_empty());
    here.accounts.add_member("acme", "alice", Role::Read, &by()).await.unwrap();
    assert_eq!(here.who(&alice).await.reads, who.reads, "members have what their organization has");
    here.accounts.remove_grant(owner, &"other".parse().unwrap(), "web*", &by()).await.unwrap();
    assert!(here.who(&alice).await.reads.is_empty());
}

#[tokio::test]
async fn uses_are_written_now_and_then() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let key = here.key(alice, "api").await;
    let last_use = async || here.accounts.list_keys(alice).await.unwrap()[0].last_use.clone();
    let start = here.clock.now();
    here.who(&key).await;
    assert_eq!(last_use().await, None, "not on the path of the request");
    here.accounts.write_last_uses().await.unwrap();
    let first = last_use().await.unwrap();
    assert_eq!((first.at, first.address, first.agent.as_deref()), (start, Some(address()), Some("mix")));
    for (minutes, at) in [(4, start), (1, start.plus(5 * MINUTE))] {
        here.clock.advance(minutes * MINUTE);
        here.who(&key).await;
        here.accounts.write_last_uses().await.unwrap();
        assert_eq!(last_use().await.unwrap().at, at);
    }
}

#[tokio::test]
async fn a_login_wants_the_second_factor_and_takes_a_code_once() {
    let here = fixture(AccountOptions::default()).await;
    let alice = here.user("alice").await;
    let login = async |code: Option<&str>| {
        here.accounts.login("Alice ", PASSWORD, code, (address(), None)).await.map(|who| who.user().map(str::to_owned))
    };
    assert_eq!(login(None).await.unwrap().as_deref(), Some("alice"));
    let setup = here.accounts.begin_totp("alice", "hexkeep").await.unwrap();
    assert!(login(None).await.is_ok(), "not confirmed");
    assert!(here.accounts.confirm_totp("alice", "000000", &by()).await.is_err());
    let code = totp::code(&setup.secret, here.clock.now());
    let recovery = here.accounts.confirm_totp("alice", &code, &by()).await.unwrap();
    assert!(matches!(login(None).await, Err(AuthError::CodeMissing)));
    assert!(matches!(login(Some(&code)).await, Err(AuthError::CodeWrong)), "it was used to confirm");
    here.clock.advance(Duration::from_secs(30));
    let code = totp::code(&setup.secret, here.clock.now());
    assert!(login(Some(&code)).await.is_ok());
    assert!(matches!(login(Some(&code)).await, Err(AuthError::CodeWrong)), "by another login");
    assert!(login(Some(recovery[0].expose())).await.is_ok());
    assert!(matches!(login(Some(recovery[0].expose())).await, Err(AuthError::CodeWrong)), "once");
    for _ in 0..2 {
        assert!(matches!(login(Some("000000")).await, Err(AuthError::CodeWrong)));
    }
    assert!(matches!(login(Some("000000")).await, Err(AuthError::CodesExhausted)), "five were wrong");
    assert!(matches!(login(Some(recovery[1].expose())).await, Err(AuthError::CodesExhausted)));
    let log = here.accounts.audit_of(Owner::User(alice.id), 1).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["security.recovery_code_use", "security.update", "user.create"]);
    here.accounts.disable_totp("alice", &by()).await.unwrap();
    assert!(login(None).await.is_ok());
}
