//! Pins and waivers of a repository's policy, for those with the right `policy:write`. Imports `auth`, `api`, and the orders
//! of `admin`.

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get, post};
use serde_json::{Map, Value};

use super::admin::{read, shown};
use super::ask::Ask;
use super::error::ApiError;
use super::reply::Reply;
use crate::admin::commands::Command;
use crate::hex::name::RepoName;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/policy/pins", post(pin))
        .route("/policy/waivers", get(waivers).post(waive))
        .route("/policy/waivers/{number}", delete(withdraw))
}

/// The repository whose policy the caller may pin and waive, before anything is read.
fn allowed(ask: &Ask) -> Result<&RepoName, ApiError> {
    let principal = ask.principal()?;
    let (repository, _) = ask.addressed()?;
    principal.may_write_policies()?;
    Ok(repository.key())
}

/// Carries an order out about the repository `key`, with its other fields.
async fn order(ask: &Ask, (name, key): (&str, &RepoName), mut fields: Map<String, Value>) -> Result<Reply, ApiError> {
    fields.insert("order".to_owned(), Value::from(name));
    fields.insert("repository".to_owned(), Value::from(key.as_str()));
    let command: Command = read(fields)?;
    let operations = ask.call.operations.upgrade().ok_or(ApiError::Internal)?;
    shown(operations.administer(command, ask.principal()?.by()).await)
}

async fn pin(ask: Ask) -> Result<Reply, ApiError> {
    allowed(&ask)?;
    let fields = ask.fields().await?;
    let ask = ask.again().await?;
    order(&ask, ("pin", allowed(&ask)?), fields).await
}

async fn waive(ask: Ask) -> Result<Reply, ApiError> {
    allowed(&ask)?;
    let fields = ask.fields().await?;
    let ask = ask.again().await?;
    order(&ask, ("policy-waive", allowed(&ask)?), fields).await
}

async fn waivers(ask: Ask) -> Result<Reply, ApiError> {
    order(&ask, ("policy-waivers", allowed(&ask)?), Map::new()).await
}

async fn withdraw(ask: Ask, Path(number): Path<i64>) -> Result<Reply, ApiError> {
    let fields = Map::from_iter([("number".to_owned(), Value::from(number))]);
    order(&ask, ("policy-withdraw", allowed(&ask)?), fields).await
}
