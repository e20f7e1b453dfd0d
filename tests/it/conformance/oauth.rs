//! OAuth, in the three ways in which clients write a request: JSON, Erlang terms, a form.

use bytes::Bytes;
use hexkeep::hex::term::{self, etf};
use hexkeep::operations::commands::{Account, KeyCommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::hub::{Answer, Hub, Wishes};
use super::super::support::local::{PASSWORD, basic};

const MIX: &str = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";
const GLEAM: &str = "877731e8-cb88-45e1-9b84-9214de7da421";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How a request is written.
#[derive(Clone, Copy, Debug)]
enum Written {
    Json,
    Erlang,
    Form,
}

async fn send(hub: &Hub, path: &str, fields: &Value, written: Written) -> Answer {
    let (content_type, body) = match written {
        Written::Json => ("application/json", fields.to_string().into()),
        Written::Erlang => ("application/vnd.hex+erlang", etf::encode(&term::from_json(fields))),
        Written::Form => {
            let pairs = fields.as_object().unwrap().iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            ("application/x-www-form-urlencoded", body.into())
        }
    };
    hub.call(Method::POST, path, "", content_type, Some(Bytes::from(body))).await
}

async fn home() -> Hub {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    hub.user("root", true).await;
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_what_clients_poll_for() {
    let hub = home().await;
    let owner = Account::User("root".to_owned());
    let reads = hub.key(owner, &["api:read"]).await;
    let pending = json!({"client_id": MIX, "scope": "api repositories"});
    let pending = send(&hub, "/api/oauth/device_authorization", &pending, Written::Json).await.json();
    let code = pending["device_code"].as_str().unwrap();
    let wrong = format!("hkk_{}", "0".repeat(32));
    let exchange = |secret: &str, scope: &str| json!({"grant_type": "client_credentials", "client_id": MIX, "client_secret": secret, "scope": scope});
    let (device, token) = ("device_authorization", "token");
    let cases = [
        ("a client nobody knows", device, json!({"client_id": "me", "scope": "api"}), 401, "invalid_client"),
        ("no client", device, json!({"scope": "api"}), 401, "invalid_client"),
        ("a scope nobody knows", device, json!({"client_id": GLEAM, "scope": "moon"}), 400, "invalid_scope"),
        (
            "not decided yet",
            token,
            json!({"grant_type": DEVICE, "client_id": MIX, "device_code": code}),
            400,
            "authorization_pending",
        ),
        (
            "another client's code",
            token,
            json!({"grant_type": DEVICE, "client_id": GLEAM, "device_code": code}),
            400,
            "invalid_grant",
        ),
        (
            "no such code",
            token,
            json!({"grant_type": DEVICE, "client_id": MIX, "device_code": "x"}),
            400,
            "invalid_grant",
        ),
        ("no code", token, json!({"grant_type": DEVICE, "client_id": MIX}), 400, "invalid_request"),
        (
            "no such refresh token",
            token,
            json!({"grant_type": "refresh_token", "client_id": MIX, "refresh_token": "x"}),
            400,
            "invalid_grant",
        ),
        ("a wrong key", token, exchange(&wrong, "repositories"), 401, "invalid_client"),
        ("a key of another server", token, exchange("0123", "repositories"), 401, "invalid_client"),
        ("no key", token, json!({"grant_type": "client_credentials", "client_id": MIX}), 400, "invalid_request"),
        ("more than the key may", token, exchange(&reads, "api:write"), 400, "invalid_scope"),
        (
            "a grant nobody knows",
            token,
            json!({"grant_type": "password", "client_id": MIX}),
            400,
            "unsupported_grant_type",
        ),
        ("no grant", token, json!({"client_id": MIX}), 400, "invalid_request"),
        ("nothing at all", token, json!({}), 400, "invalid_request"),
        ("numbers for texts", token, json!({"grant_type": 1, "client_id": [MIX]}), 400, "invalid_request"),
    ];
    for (what, endpoint, fields, status, error) in &cases {
        for written in [Written::Json, Written::Erlang, Written::Form] {
            // One poll every so often is no hurry.
            hub.clock.advance(std::time::Duration::from_secs(10));
            let answer = send(&hub, &format!("/api/oauth/{endpoint}"), fields, written).await;
            let said = answer.json();
            let found = (answer.status, said["error"].as_str().unwrap_or_default());
            assert_eq!(found, (*status, *error), "{what}, {written:?}: {said}");
            assert!(said["error_description"].as_str().is_some_and(|text| text.len() > 5), "{what}: {said}");
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
            assert!(!answer.headers.contains_key("www-authenticate"), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_too_often_being_refused_and_too_late_are_told_apart() {
    let hub = home().await;
    let begin = async || {
        let fields = json!({"client_id": GLEAM, "scope": "api:write", "name": "laptop"});
        send(&hub, "/api/oauth/device_authorization", &fields, Written::Form).await.json()
    };
    let poll = async |device: &Value| {
        let fields = json!({"grant_type": DEVICE, "client_id": GLEAM, "device_code": device["device_code"]});
        let answer = send(&hub, "/api/oauth/token", &fields, Written::Form).await;
        (answer.status, answer.json()["error"].as_str().unwrap_or("granted").to_owned())
    };
    let decide = async |device: &Value, decision: &str| {
        let code = device["user_code"].as_str().unwrap();
        let password = PASSWORD.replace(' ', "+");
        let form =
            format!("user_code={code}&username=root&password={password}&right+api:write=yes&decision={decision}");
        let form = Some(Bytes::from(form));
        hub.call(Method::POST, "/oauth/device", "", "application/x-www-form-urlencoded", form).await.status
    };
    let is = |status: u16, error: &str| (status, error.to_owned());

    let device = begin().await;
    assert_eq!((device["expires_in"].as_u64(), device["interval"].as_u64()), (Some(600), Some(5)));
    assert_eq!(device["user_code"].as_str().map(str::len), Some(8));
    hub.clock.advance(std::time::Duration::from_secs(6));
    assert_eq!(poll(&device).await, is(400, "authorization_pending"));
    assert_eq!(poll(&device).await, is(400, "slow_down"));
    assert_eq!(decide(&device, "deny").await, 200);
    hub.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(poll(&device).await, is(403, "access_denied"));

    let late = begin().await;
    hub.clock.advance(std::time::Duration::from_secs(601));
    assert_eq!(poll(&late).await, is(400, "expired_token"));

    let good = begin().await;
    hub.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(decide(&good, "approve").await, 200);
    assert_eq!(poll(&good).await, is(200, "granted"));
    hub.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(poll(&good).await, is(400, "invalid_grant"), "a replayed code is worth nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_either_word_for_it() {
    let hub = home().await;
    let key = hub.key(Account::User("root".to_owned()), &["api", "repositories"]).await;
    let me = async |token: &str| hub.api(Method::GET, "/api/users/me", &format!("Bearer {token}"), None).await.status;
    let exchange = async || {
        let fields = json!({
            "grant_type": "client_credentials", "client_id": MIX, "client_secret": key, "scope": "api",
        });
        let answer = send(&hub, "/api/oauth/token", &fields, Written::Erlang).await.json();
        assert!(answer["refresh_token"].is_null(), "the key is there to be exchanged again: {answer}");
        assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("bearer"), &json!("api")));
        answer["access_token"].as_str().unwrap().to_owned()
    };
    // As many as come: those of parallel jobs do not end each other.
    let mut tokens = Vec::new();
    for _ in 0..12 {
        tokens.push(exchange().await);
    }
    for token in &tokens {
        assert_eq!(me(token).await, 200);
    }
    for fields in [json!({"token": tokens[0], "client_id": MIX}), json!({"token": "unknown", "client_id": MIX})] {
        let answer = send(&hub, "/api/oauth/revoke", &fields, Written::Json).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    }
    assert_eq!((me(&tokens[0]).await, me(&tokens[1]).await), (401, 200));
    let unknown = json!({"token_hash": "0".repeat(64)});
    let answer = send(&hub, "/api/oauth/revoke_by_hash", &unknown, Written::Json).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    // A key that is revoked takes what was exchanged for it along.
    hub.order(KeyCommand::Revoke { owner: Account::User("root".to_owned()), name: "test-2".to_owned() }).await;
    assert_eq!(me(&tokens[1]).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_are_revoked_at_once() {
    let hub = home().await;
    let (root, sam) = (hub.user("ruth", false).await, hub.user("sam", false).await);
    let second = hub.key(Account::User("ruth".to_owned()), &["api"]).await;
    let reads = hub.key(Account::User("ruth".to_owned()), &["api:read"]).await;
    let revoke = async |key: &str| hub.api(Method::DELETE, "/api/keys", key, None).await;
    let me = async |key: &str| hub.api(Method::GET, "/api/users/me", key, None).await;
    assert_eq!(revoke("").await.status, 401);
    assert_eq!(revoke(&reads).await.status, 401, "one that reads revokes none");
    let answer = revoke(&second).await;
    assert_eq!((answer.status, answer.json()["authing_key"].as_bool()), (200, Some(true)), "{}", answer.text());
    for key in [&root, &second, &reads] {
        let refused = me(key).await;
        assert_eq!((refused.status, &refused.json()["message"]), (401, &json!("API key revoked")));
    }
    assert_eq!(me(&sam).await.status, 200, "another's stay");
    // By password there is no key to answer with.
    let answer = revoke(&basic("ruth")).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_of_an_organization_are_revoked_at_once() {
    let hub = home().await;
    let (anna, rita) = (hub.member("anna", "admin").await, hub.member("rita", "read").await);
    let organization = "/api/orgs/acme/keys";
    let mut keys = Vec::new();
    for name in ["ci", "deploy"] {
        let fields = json!({"name": name, "permissions": [{"domain": "repository", "resource": "acme"}]});
        let made = hub.api(Method::POST, organization, &anna, Some(fields)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        keys.push(made.json()["secret"].as_str().unwrap().to_owned());
    }
    let names = async |key: &str| hub.get_with("/repos/acme/names", &[("authorization", key)]).await.status;
    let revoke = async |key: &str| hub.api(Method::DELETE, organization, key, None).await;
    for refused in ["", &rita, &keys[0]] {
        assert!([401, 403].contains(&revoke(refused).await.status), "{refused}");
    }
    for key in &keys {
        assert_eq!(names(key).await, 200);
    }
    let answer = revoke(&anna).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for key in &keys {
        assert_eq!(names(key).await, 401, "it is revoked");
    }
    assert_eq!(hub.api(Method::GET, organization, &anna, None).await.json(), json!([]));
    assert_eq!((names(&anna).await, names(&rita).await), (200, 200), "those of its members stay");
}
