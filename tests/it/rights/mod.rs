//! Who may do what, with which credential, and for how long.

mod addresses;
mod device;
mod heirs;
mod names;
mod oauth;
mod passwords;
mod reload;
mod slow;
mod table;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::hub::{Hub, Wishes};

/// The client id of mix.
pub(super) const MIX: &str = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";

/// A private repository, `acme`, of the organization `acme`, whose releases may be replaced at any time.
async fn private(top: &str) -> Hub {
    let more = vec!["acme: { type: local, mutability: always }".to_owned()];
    Hub::with(Wishes { more, top: top.to_owned(), ..Wishes::default() }).await
}

/// A token that a key is exchanged for.
async fn exchange(hub: &Hub, key: &str, scope: &str) -> String {
    let fields = json!({"grant_type": "client_credentials", "client_id": MIX, "client_secret": key, "scope": scope});
    let answer = hub.api(Method::POST, "/api/oauth/token", "", Some(fields)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

/// What a program that asks for `scope` under `name` is told, and what it polls with.
async fn ask(hub: &Hub, scope: &str, name: &str) -> Value {
    let fields = json!({"client_id": MIX, "scope": scope, "name": name});
    hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(fields)).await.json()
}

/// What a program gets that polls.
async fn poll(hub: &Hub, device: &Value) -> Value {
    hub.clock.advance(std::time::Duration::from_secs(6));
    let fields = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": MIX,
        "device_code": device["device_code"],
    });
    hub.api(Method::POST, "/api/oauth/token", "", Some(fields)).await.json()
}

/// Lets a program in with these rights checked; its token.
async fn log_in(hub: &Hub, name: &str, rights: &[&str]) -> String {
    let device = ask(hub, "api repositories", "laptop").await;
    let page = hub.let_in(device["user_code"].as_str().unwrap(), name, rights, "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    format!("Bearer {}", poll(hub, &device).await["access_token"].as_str().unwrap())
}
