//! What administrators order: the commands of the terminal over HTTP, for an administrator's key.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ask::Ask;
use super::error::ApiError;
use super::reply::Reply;
use crate::admin::commands::Command;
use crate::admin::protocol::Purge;
use crate::admin::{Failure, Operations};
use crate::auth::Principal;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/admin/config", get(config))
        .route("/admin/public-keys/{repository}", get(public_keys))
        .route("/admin/purge", post(purge))
        .route("/admin/reload", post(reload))
        .route("/admin/{order}", post(order))
}

/// The administrator who asks, and what carries orders out.
fn administrator(ask: &Ask) -> Result<(&Principal, Arc<dyn Operations>), ApiError> {
    let principal = ask.principal()?;
    // An order may show secrets, so to read is no less than to write.
    principal.may_order()?;
    Ok((principal, ask.call.operations.upgrade().ok_or(ApiError::Internal)?))
}

pub(super) fn shown<T: Serialize>(outcome: Result<T, Failure>) -> Result<Reply, ApiError> {
    let outcome = outcome.map_err(|failure| ApiError::Unprocessable(failure.0))?;
    let value = serde_json::to_value(outcome).map_err(|error| ApiError::internal(&error))?;
    Ok(Reply::ok(value).secret())
}

pub(super) fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| ApiError::Unprocessable(error.to_string()))
}

async fn config(ask: Ask) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    shown(operations.show_config().await)
}

async fn public_keys(ask: Ask, Path(repository): Path<String>) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    shown(operations.public_keys(repository).await)
}

async fn purge(ask: Ask) -> Result<Reply, ApiError> {
    administrator(&ask)?;
    let purge: Purge = read(ask.fields().await?)?;
    let ask = ask.again().await?;
    let (by, operations) = administrator(&ask)?;
    shown(operations.purge(purge, by.by()).await)
}

async fn reload(ask: Ask) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    shown(operations.reload().await)
}

async fn order(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    administrator(&ask)?;
    let mut fields = ask.fields().await?;
    fields.insert("order".to_owned(), Value::String(name));
    let command: Command = read(fields)?;
    let ask = ask.again().await?;
    let (by, operations) = administrator(&ask)?;
    shown(operations.administer(command, by.by()).await)
}
