//! Tests of OAuth: approval, refresh, exchange and revocation.

use super::*;
use crate::auth::devices::{DEVICE, DeviceAuthorization, DeviceError};
use crate::auth::permission::Permissions;
use crate::auth::testing::{Fixture, PASSWORD, address, basic, by, fixture, scope};
use crate::auth::{AccountOptions, CredentialUse, Denied, SecondFactor, TotpMode, totp};
use crate::clock::Clock as _;
use crate::state::audit::Actor;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn request(grant: &'static str) -> TokenRequest<'static> {
    TokenRequest {
        grant_type: Some(grant),
        client_id: Some(MIX),
        client_secret: None,
        device_code: None,
        refresh_token: None,
        scope: None,
        name: None,
        address: address(),
        agent: None,
    }
}

async fn poll(here: &Fixture, code: &Secret) -> Result<TokenResponse, OAuthError> {
    here.accounts.token_request(TokenRequest { device_code: Some(code.expose()), ..request(DEVICE_GRANT) }).await
}

async fn refresh(here: &Fixture, token: &TokenResponse) -> Result<TokenResponse, OAuthError> {
    let old = token.refresh_token.as_ref().unwrap().expose();
    here.accounts.token_request(TokenRequest { refresh_token: Some(old), ..request("refresh_token") }).await
}

async fn exchange(here: &Fixture, key: &str, scope: &str) -> Result<TokenResponse, OAuthError> {
    let exchange = TokenRequest { client_secret: Some(key), scope: Some(scope), ..request("client_credentials") };
    here.accounts.token_request(exchange).await
}

fn bearer(token: &TokenResponse) -> String {
    format!("Bearer {}", token.access_token.expose())
}

fn word<T: std::fmt::Debug>(answer: Result<T, OAuthError>) -> (&'static str, u16) {
    let error = answer.unwrap_err();
    (error.error, error.status)
}

async fn ask(here: &Fixture) -> DeviceAuthorization {
    here.accounts.device_authorization(Some(MIX), Some("api repositories"), Some("laptop"), address()).await.unwrap()
}

/// A session of alice from the device flow.
async fn let_in(here: &Fixture) -> TokenResponse {
    let device = ask(here).await;
    let alice = here.accounts.login("alice", PASSWORD, None, (address(), None)).await.unwrap();
    let granted = scope("api:read api:write repositories");
    here.accounts.approve_device(&device.user_code, &alice, &granted, address()).await.unwrap();
    poll(here, &device.device_code).await.unwrap()
}

#[tokio::test]
async fn a_device_is_let_in_once() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    let alice = here.who(&basic("alice", PASSWORD)).await;
    let device = ask(&here).await;
    assert_eq!((device.user_code.len(), device.expires_in, device.interval), (8, 600, 5));
    assert_eq!(word(poll(&here, &device.device_code).await), ("authorization_pending", 400));
    assert_eq!(word(poll(&here, &device.device_code).await), ("slow_down", 400));
    here.clock.advance(Duration::from_secs(5));
    assert_eq!(word(poll(&here, &device.device_code).await), ("authorization_pending", 400));

    let (left, right) = device.user_code.split_at(4);
    let typed = format!("{}-{right} ", left.to_lowercase());
    let asked = here.accounts.device_request(&typed, address()).await.unwrap();
    assert_eq!((asked.client, asked.name.as_deref()), ("mix", Some("laptop")));
    assert_eq!(asked.permissions, scope("api repositories"));
    let rights: Vec<String> = asked.rights().iter().map(ToString::to_string).collect();
    assert_eq!(rights, ["api", "api:read", "api:write", "repositories"]);
    for wrong in [scope("package docs:acme"), Permissions::default(), Permissions::everything()] {
        let answer = here.accounts.approve_device(&typed, &alice, &wrong, address()).await;
        assert!(matches!(answer, Err(DeviceError::Scopes)), "{wrong:?}");
    }
    here.accounts.approve_device(&typed, &alice, &scope("api:read repositories"), address()).await.unwrap();
    let other = TokenRequest {
        device_code: Some(device.device_code.expose()),
        client_id: Some(GLEAM),
        ..request(DEVICE_GRANT)
    };
    assert_eq!(word(here.accounts.token_request(other).await), ("invalid_grant", 400), "another client's code");
    let token = poll(&here, &device.device_code).await.unwrap();
    assert_eq!((token.scope.as_str(), token.expires_in), ("api:read repositories", 1800));
    assert_eq!(here.who(&bearer(&token)).await.permissions, scope("api:read repositories"));
    assert_eq!(word(poll(&here, &device.device_code).await), ("invalid_grant", 400), "a code is used once");
    let again = here.accounts.approve_device(&typed, &alice, &scope("api:read"), address()).await;
    assert!(matches!(again, Err(DeviceError::Unknown)));
}

#[tokio::test]
async fn a_device_is_turned_away_or_too_late() {
    let here = fixture(AccountOptions::default()).await;
    let owner = Owner::User(here.user("alice").await.id);
    let alice = here.who(&basic("alice", PASSWORD)).await;
    let key = here.key(owner, "api").await;
    let by_key = here.who(&key).await;
    let device = ask(&here).await;
    let granted = scope("api:read");
    let answer = here.accounts.approve_device(&device.user_code, &by_key, &granted, address()).await;
    assert!(matches!(answer, Err(DeviceError::NeedsPassword)), "a key cannot approve a device");
    here.accounts.deny_device(&device.user_code, &alice, address()).await.unwrap();
    assert_eq!(word(poll(&here, &device.device_code).await), ("access_denied", 403));

    let late = ask(&here).await;
    here.clock.advance(DEVICE);
    assert_eq!(word(poll(&here, &late.device_code).await), ("expired_token", 400));
    let answer = here.accounts.approve_device(&late.user_code, &alice, &granted, address()).await;
    assert!(matches!(answer, Err(DeviceError::Unknown)));
    assert_eq!(word(poll(&here, &Secret::new("0")).await), ("invalid_grant", 400));
    here.accounts.purge().await.unwrap();
    here.clock.advance(Duration::from_secs(1));
    here.accounts.purge().await.unwrap();
    assert_eq!(word(poll(&here, &late.device_code).await), ("invalid_grant", 400));
}

#[tokio::test]
async fn what_is_not_known_is_refused_in_the_words_of_the_rfc() {
    let here = fixture(AccountOptions::default()).await;
    let grant = |grant_type| TokenRequest { grant_type, ..request("x") };
    assert_eq!(word(here.accounts.token_request(grant(Some("password"))).await), ("unsupported_grant_type", 400));
    assert_eq!(word(here.accounts.token_request(grant(None)).await), ("invalid_request", 400));
    assert_eq!(word(here.accounts.token_request(request("refresh_token")).await), ("invalid_request", 400));
    let stranger = TokenRequest { client_id: Some("me"), ..request("refresh_token") };
    assert_eq!(word(here.accounts.token_request(stranger).await), ("invalid_client", 401));
    let device = async |client, scope| here.accounts.device_authorization(client, scope, None, address()).await;
    assert_eq!(word(device(None, Some("api")).await), ("invalid_client", 401));
    assert_eq!(word(device(Some(GLEAM), Some("root")).await), ("invalid_scope", 400));
    assert_eq!(word(device(Some(GLEAM), None).await), ("invalid_scope", 400));
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    let first = let_in(&here).await;
    here.who(&bearer(&first)).await;
    let second = refresh(&here, &first).await.unwrap();
    assert_eq!(here.who(&bearer(&second)).await.user(), Some("alice"));
    assert_eq!(here.refused(&bearer(&first)).await.0, "invalid API key", "the old one ends at once");
    let others = TokenRequest {
        client_id: Some(GLEAM),
        refresh_token: Some(second.refresh_token.as_ref().unwrap().expose()),
        ..request("refresh_token")
    };
    assert_eq!(word(here.accounts.token_request(others).await), ("invalid_grant", 400));
    let third = refresh(&here, &second).await.unwrap();
    assert_eq!(word(refresh(&here, &first).await), ("invalid_grant", 400));
    assert_eq!(here.refused(&bearer(&third)).await.0, "invalid API key", "somebody has a copy");
    assert_eq!(word(refresh(&here, &third).await), ("invalid_grant", 400));
}

#[tokio::test]
async fn a_token_that_has_ended_says_so_for_ever() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    let token = let_in(&here).await;
    here.clock.advance(ACCESS - Duration::from_secs(1));
    here.who(&bearer(&token)).await;
    here.clock.advance(Duration::from_secs(1));
    let expired = Some("Bearer realm=\"hex\", error=\"token_expired\"");
    assert_eq!(here.refused(&bearer(&token)).await.1, expired);
    let open = here.ask(&bearer(&token), CredentialUse::Repository { open: true }).await;
    assert!(matches!(open, Err(AuthError::TokenExpired)));
    let fresh = refresh(&here, &token).await.unwrap();
    here.clock.advance(SESSION);
    assert_eq!(word(refresh(&here, &fresh).await), ("invalid_grant", 400), "30 days from the start");
    assert!(here.accounts.purge().await.unwrap() > 0);
    assert_eq!(here.refused(&bearer(&token)).await.1, expired, "though its row is gone");
}

#[tokio::test]
async fn the_last_token_ends_with_its_session() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    let token = let_in(&here).await;
    here.clock.advance(SESSION - Duration::from_secs(100));
    assert_eq!(refresh(&here, &token).await.unwrap().expires_in, 100);
}

#[tokio::test]
async fn a_key_is_exchanged_for_no_more_than_it_is_good_for() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    for (key, asked, granted) in [
        ("repositories", "repositories", Some("repositories")),
        ("repository:acme repository:other/x", "repositories", Some("repository:acme repository:other/x")),
        ("repositories", "repository:acme", Some("repository:acme")),
        ("api:read", "api:read", Some("api:read")),
        // CVE-2026-21621
        ("api:read", "api:write", None),
        ("api:read", "api", None),
        ("api", "repositories", None),
        ("repositories", "repositories api", None),
        ("repository:acme", "repository:other", None),
        ("api", "root", None),
        ("api", "", None),
    ] {
        let key = here.key(alice, key).await;
        match (exchange(&here, &key, asked).await, granted) {
            (Ok(token), Some(granted)) => {
                assert_eq!((token.scope.as_str(), token.expires_in), (granted, 1800));
                assert_eq!(token.refresh_token, None);
                assert_eq!(here.who(&bearer(&token)).await.permissions, scope(granted));
            }
            (answer, None) => assert_eq!(word(answer), ("invalid_scope", 400), "{asked}"),
            (answer, Some(_)) => panic!("{asked}: {answer:?}"),
        }
    }
    assert_eq!(word(exchange(&here, &basic("alice", PASSWORD), "api").await), ("invalid_client", 401));
    assert_eq!(word(exchange(&here, "hkk_0", "api").await), ("invalid_client", 401));
}

#[tokio::test]
async fn an_exchanged_token_ends_with_its_key() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let key = here.key(alice, "repositories").await;
    let tokens =
        [exchange(&here, &key, "repositories").await.unwrap(), exchange(&here, &key, "repositories").await.unwrap()];
    for _ in 0..10 {
        exchange(&here, &key, "repositories").await.unwrap();
    }
    for token in &tokens {
        assert_eq!(here.who(&bearer(token)).await.user(), Some("alice"), "jobs do not end each other's tokens");
    }
    here.accounts.revoke_key(alice, "ci", &by()).await.unwrap();
    for token in &tokens {
        assert!(here.ask(&bearer(token), CredentialUse::Api).await.is_err());
    }
    assert_eq!(word(exchange(&here, &key, "repositories").await), ("invalid_client", 401));
    let log = format!("{:?}", here.accounts.audit_of(alice, 1).await.unwrap());
    assert!(log.contains("session.create") && !log.contains(&key));
}

#[tokio::test]
async fn a_session_is_ended_by_its_tokens_or_their_hash() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    for way in 0..3 {
        let token = let_in(&here).await;
        here.who(&bearer(&token)).await;
        let refresh_token = token.refresh_token.as_ref().unwrap().expose();
        let revoke = async |client| match way {
            0 => here.accounts.revoke_token(token.access_token.expose(), client, Actor::default()).await,
            1 => here.accounts.revoke_token(refresh_token, client, Actor::default()).await,
            _ => here.accounts.revoke_by_hash(&sha256_text(refresh_token), client, Actor::default()).await,
        };
        revoke(Some(GLEAM)).await.unwrap();
        here.who(&bearer(&token)).await;
        revoke(Some(MIX)).await.unwrap();
        assert_eq!(here.refused(&bearer(&token)).await.0, "invalid API key", "{way}");
        assert_eq!(word(refresh(&here, &token).await), ("invalid_grant", 400));
    }
    here.accounts.revoke_token("whatever", None, Actor::default()).await.unwrap();
    let token = let_in(&here).await;
    let session = here.accounts.list_sessions(alice).await.unwrap().remove(0);
    here.accounts.revoke_session(alice, &session.id, &by()).await.unwrap();
    assert_eq!(here.refused(&bearer(&token)).await.0, "invalid API key");
    assert!(here.accounts.revoke_session(alice, &session.id, &by()).await.is_err());
}

#[tokio::test]
async fn the_session_unused_for_longest_makes_room() {
    let here = fixture(AccountOptions { sessions: 2, ..AccountOptions::default() }).await;
    here.user("alice").await;
    let (first, second) = (let_in(&here).await, {
        here.clock.advance(INTERVAL);
        let_in(&here).await
    });
    here.clock.advance(INTERVAL);
    let first = refresh(&here, &first).await.unwrap();
    here.clock.advance(INTERVAL);
    let third = let_in(&here).await;
    for (token, live) in [(&first, true), (&second, false), (&third, true)] {
        assert_eq!(here.ask(&bearer(token), CredentialUse::Api).await.is_ok(), live);
    }
}

#[tokio::test]
async fn writes_with_a_token_want_the_second_factor() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let (one, other) = (let_in(&here).await, let_in(&here).await);
    let factor = async |token: &TokenResponse, code: Option<&str>| {
        here.ask_with(&bearer(token), code, CredentialUse::Api).await.unwrap().principal().unwrap().second_factor
    };
    assert_eq!(factor(&one, Some("000000")).await, SecondFactor::NotNeeded, "gleam sends one in any case");
    let setup = here.accounts.begin_totp("alice", "hexkeep").await.unwrap();
    let code = totp::code(&setup.secret, here.clock.now());
    here.accounts.confirm_totp("alice", &code, &by()).await.unwrap();
    assert_eq!(factor(&one, None).await, SecondFactor::Missing);
    assert_eq!(here.who(&bearer(&one)).await.may_write_api(), Err(Denied::SecondFactorMissing));
    here.clock.advance(Duration::from_secs(30));
    let code = totp::code(&setup.secret, here.clock.now());
    for _ in 0..3 {
        assert_eq!(factor(&one, Some(&code)).await, SecondFactor::Shown, "one command makes several requests");
    }
    assert_eq!(factor(&other, Some(&code)).await, SecondFactor::Wrong, "another session");
    for _ in 0..4 {
        assert_eq!(factor(&one, Some("000000")).await, SecondFactor::Wrong);
    }
    assert_eq!(factor(&one, Some(&code)).await, SecondFactor::Exhausted);
    here.clock.advance(Duration::from_secs(600));
    let code = totp::code(&setup.secret, here.clock.now());
    assert_eq!(factor(&other, Some(&code)).await, SecondFactor::Shown);

    let key = here.key(alice, "api").await;
    let exchanged = exchange(&here, &key, "api").await.unwrap();
    for header in [key, bearer(&exchanged)] {
        assert_eq!(here.who(&header).await.second_factor, SecondFactor::Exempt, "nobody could enter a code");
    }
}

#[tokio::test]
async fn whether_a_second_factor_is_wanted_can_be_set() {
    for (mode, factor) in [
        (TotpMode::Off, SecondFactor::NotNeeded),
        (TotpMode::Optional, SecondFactor::NotNeeded),
        (TotpMode::Required, SecondFactor::NotSetUp),
    ] {
        let mut here = fixture(AccountOptions::default()).await;
        here.user("alice").await;
        let token = let_in(&here).await;
        here.configure(AccountOptions { totp: mode, ..AccountOptions::default() });
        assert_eq!(here.who(&bearer(&token)).await.second_factor, factor);
        let setup = here.accounts.begin_totp("alice", "hexkeep").await.unwrap();
        let code = totp::code(&setup.secret, here.clock.now());
        here.accounts.confirm_totp("alice", &code, &by()).await.unwrap();
        let missing = if mode == TotpMode::Off { SecondFactor::NotNeeded } else { SecondFactor::Missing };
        assert_eq!(here.who(&bearer(&token)).await.second_factor, missing);
    }
}

#[tokio::test]
async fn a_new_password_ends_sessions() {
    let here = fixture(AccountOptions::default()).await;
    here.user("alice").await;
    let token = let_in(&here).await;
    here.accounts.set_password("alice", Some(&Secret::new("another horse")), &by()).await.unwrap();
    assert_eq!(here.refused(&bearer(&token)).await.0, "invalid API key");
}

#[tokio::test]
async fn of_two_polls_at_a_time_one_gets_the_tokens() {
    let here = fixture(AccountOptions::default()).await;
    let alice = Owner::User(here.user("alice").await.id);
    let device = ask(&here).await;
    let who = here.who(&basic("alice", PASSWORD)).await;
    here.accounts.approve_device(&device.user_code, &who, &scope("api:read"), address()).await.unwrap();
    // Both devices were told that the code is approved.
    let hash = here.state.device(&device.user_code).await.unwrap().unwrap().hash;
    let now = here.clock.now();
    let mut begun = Vec::new();
    for id in ["one", "two"] {
        let row = SessionRow {
            id,
            owner: (alice, "user:alice"),
            key: None,
            client: MIX,
            name: None,
            scopes: "api:read",
            expires_at: now.plus(SESSION),
            access: (id, now.plus(ACCESS)),
            refresh: None,
            most: None,
        };
        begun.push(here.state.redeem_device(now, &hash, &row, &by()).await.unwrap());
    }
    assert_eq!(begun, [true, false]);
    assert_eq!(here.accounts.list_sessions(alice).await.unwrap().len(), 1);
}
