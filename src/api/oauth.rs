//! OAuth: device flow, refresh, exchange of keys, revocation (server-api §5.5; RFC 6749, RFC 8628).

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::ask::{Ask, agent};
use super::error::ApiError;
use super::reply::Reply;
use crate::auth::oauth::{OAuthError, TokenRequest};
use crate::state::audit::By;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/oauth/device_authorization", post(device_authorization))
        .route("/oauth/token", post(token))
        .route("/oauth/revoke", post(revoke))
        .route("/oauth/revoke_by_hash", post(revoke_by_hash))
}

impl From<OAuthError> for Reply {
    fn from(error: OAuthError) -> Self {
        let value = json!({"error": error.error, "error_description": error.description});
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, ..Self::ok(value).secret() }
    }
}

/// Parameters that are no texts are not there.
fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The pages for people begin here.
pub(super) const DEVICE_PAGE: &str = "/oauth/device";

async fn device_authorization(ask: Ask) -> Result<Reply, ApiError> {
    let fields = ask.fields().await?;
    let (client, scope, name) = (text(&fields, "client_id"), text(&fields, "scope"), text(&fields, "name"));
    let accounts = &ask.call.accounts;
    let device = match accounts.device_authorization(client, scope, name, ask.call.client).await {
        Ok(device) => device,
        Err(error) => return Ok(error.into()),
    };
    let page = format!("{}{DEVICE_PAGE}", ask.call.public_url);
    Ok(Reply::ok(json!({
        "device_code": device.device_code.expose(),
        "user_code": device.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", device.user_code),
        "expires_in": device.expires_in,
        "interval": device.interval,
    }))
    .secret())
}

async fn token(ask: Ask) -> Result<Reply, ApiError> {
    let fields = ask.fields().await?;
    let request = TokenRequest {
        grant_type: text(&fields, "grant_type"),
        client_id: text(&fields, "client_id"),
        client_secret: text(&fields, "client_secret"),
        device_code: text(&fields, "device_code"),
        refresh_token: text(&fields, "refresh_token"),
        scope: text(&fields, "scope"),
        name: text(&fields, "name"),
        address: ask.call.client,
        agent: agent(&ask.headers),
    };
    let token = match ask.call.accounts.token_request(request).await {
        Ok(token) => token,
        Err(error) => return Ok(error.into()),
    };
    let mut value = json!({
        "access_token": token.access_token.expose(),
        "token_type": "bearer",
        "expires_in": token.expires_in,
        "scope": token.scope,
    });
    if let (Some(refresh), Value::Object(map)) = (token.refresh_token, &mut value) {
        map.insert("refresh_token".to_owned(), json!(refresh.expose()));
    }
    Ok(Reply::ok(value).secret())
}

async fn revoke(ask: Ask) -> Result<Reply, ApiError> {
    let fields = ask.fields().await?;
    let token = text(&fields, "token").unwrap_or_default();
    revoked(ask.call.accounts.revoke_token(token, text(&fields, "client_id"), from(&ask)).await)
}

async fn revoke_by_hash(ask: Ask) -> Result<Reply, ApiError> {
    let fields = ask.fields().await?;
    let hash = text(&fields, "token_hash").unwrap_or_default();
    revoked(ask.call.accounts.revoke_by_hash(hash, text(&fields, "client_id"), from(&ask)).await)
}

/// Where a request comes from, and with what it is made.
fn from(ask: &Ask) -> By {
    let agent = agent(&ask.headers).map(str::to_owned);
    By { address: Some(ask.call.client), agent, ..By::default() }
}

/// 200 without a body, whether there was such a token or not (RFC 7009).
fn revoked(outcome: Result<(), OAuthError>) -> Result<Reply, ApiError> {
    Ok(match outcome {
        Ok(()) => Reply { status: StatusCode::OK, ..Reply::done() },
        Err(error) => error.into(),
    })
}
