//! OAuth routes: device flow, token refresh, exchange of API keys, revocation (server-api §5.5; RFC 6749, RFC 8628).

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use serde::Deserialize;

use super::body::Fields;
use super::error::ApiError;
use super::fields::TextField;
use super::reply::Reply;
use super::request::{ApiRequest, agent};
use super::urls::urls;
use super::views;
use crate::auth::oauth::{OAuthError, TokenRequest};
use crate::state::audit::Actor;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/oauth/device_authorization", post(device_authorization))
        .route("/oauth/token", post(token))
        .route("/oauth/revoke", post(revoke))
        .route("/oauth/revoke_by_hash", post(revoke_by_hash))
}

impl From<OAuthError> for Reply {
    fn from(error: OAuthError) -> Self {
        refusal(error.status, error.error, error.description)
    }
}

fn refusal(status: u16, error: &str, description: &str) -> Reply {
    let value = views::refused(error, description);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Reply { status, ..Reply::ok(value).secret() }
}

/// The parameters of all OAuth routes; each route uses some of them. A parameter that is not a string counts as
/// missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    grant_type: TextField,
    client_id: TextField,
    client_secret: TextField,
    device_code: TextField,
    refresh_token: TextField,
    scope: TextField,
    name: TextField,
    token: TextField,
    token_hash: TextField,
}

impl Fields for Parameters {}

/// Reads the parameters. If they cannot be parsed, or one is repeated, the refusal has the form of RFC 6749 (§5.2).
async fn parameters(ask: &ApiRequest) -> Result<Result<Parameters, Reply>, ApiError> {
    match ask.fields().await {
        Ok(parameters) => Ok(Ok(parameters)),
        Err(ApiError::BadRequest(why) | ApiError::Unprocessable(why)) => Ok(Err(refusal(400, "invalid_request", &why))),
        Err(error) => Err(error),
    }
}

/// The path of the page on which users approve programs.
pub(super) const DEVICE_PAGE: &str = "/oauth/device";

async fn device_authorization(ask: ApiRequest) -> Result<Reply, ApiError> {
    let fields = match parameters(&ask).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let (client, scope, name) = (fields.client_id.if_text(), fields.scope.if_text(), fields.name.if_text());
    let accounts = &ask.context.accounts;
    let device = match accounts.device_authorization(client, scope, name, ask.context.client).await {
        Ok(device) => device,
        Err(error) => return Ok(error.into()),
    };
    let page = urls(&ask).page(DEVICE_PAGE);
    Ok(Reply::ok(views::device(&device, &page)).secret())
}

async fn token(ask: ApiRequest) -> Result<Reply, ApiError> {
    let fields = match parameters(&ask).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let request = TokenRequest {
        grant_type: fields.grant_type.if_text(),
        client_id: fields.client_id.if_text(),
        client_secret: fields.client_secret.if_text(),
        device_code: fields.device_code.if_text(),
        refresh_token: fields.refresh_token.if_text(),
        scope: fields.scope.if_text(),
        name: fields.name.if_text(),
        address: ask.context.client,
        agent: agent(&ask.headers),
    };
    let token = match ask.context.accounts.token_request(request).await {
        Ok(token) => token,
        Err(error) => return Ok(error.into()),
    };
    Ok(Reply::ok(views::token(&token)).secret())
}

async fn revoke(ask: ApiRequest) -> Result<Reply, ApiError> {
    let fields = match parameters(&ask).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let token = fields.token.if_text().unwrap_or_default();
    revoked(ask.context.accounts.revoke_token(token, fields.client_id.if_text(), from(&ask)).await)
}

async fn revoke_by_hash(ask: ApiRequest) -> Result<Reply, ApiError> {
    let fields = match parameters(&ask).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let hash = fields.token_hash.if_text().unwrap_or_default();
    revoked(ask.context.accounts.revoke_by_hash(hash, fields.client_id.if_text(), from(&ask)).await)
}

/// The client's address and user agent.
fn from(ask: &ApiRequest) -> Actor {
    let agent = agent(&ask.headers).map(str::to_owned);
    Actor { address: Some(ask.context.client), agent, ..Actor::default() }
}

/// 200 without a body, whether the token existed or not (RFC 7009).
fn revoked(outcome: Result<(), OAuthError>) -> Result<Reply, ApiError> {
    Ok(match outcome {
        Ok(()) => Reply { status: StatusCode::OK, ..Reply::done() },
        Err(error) => error.into(),
    })
}
