//! API routes for pins and waivers of a repository's policy, for callers with the permission `policy:write`.

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get, post};
use serde::Deserialize;

use super::admin::command_reply;
use super::body::Fields;
use super::error::ApiError;
use super::reply::Reply;
use super::request::ApiRequest;
use crate::hex::limits::{self, BodyLimit};
use crate::hex::name::RepoName;
use crate::operations::commands::PolicyCommand;
use crate::operations::locked_releases::LockedReleases;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/policy/pins", post(pin))
        .route("/policy/waivers", get(waivers).post(waive))
        .route("/policy/waivers/{number}", delete(withdraw))
}

/// The repository, if the caller may change its pins and waivers. Called before the body is read.
fn require_policy_write(ask: &ApiRequest) -> Result<&RepoName, ApiError> {
    let principal = ask.principal()?;
    let (repository, _) = ask.addressed()?;
    principal.may_write_policies()?;
    Ok(repository.key())
}

/// The releases of a new pin: they stay available when the policy changes.
#[derive(Debug, Deserialize)]
struct PinFields {
    releases: LockedReleases,
    until: Option<String>,
    reason: String,
}

impl Fields for PinFields {
    const LIMIT: BodyLimit = limits::LOCK_BODY;
}

/// The releases of a new waiver: the policy does not apply to them.
#[derive(Debug, Deserialize)]
struct WaiverFields {
    package: String,
    requirement: Option<String>,
    until: String,
    reason: String,
}

impl Fields for WaiverFields {}

async fn run_command(ask: &ApiRequest, command: PolicyCommand) -> Result<Reply, ApiError> {
    let operations = ask.context.operations.upgrade().ok_or(ApiError::Internal)?;
    command_reply(operations.administer(command.into(), ask.principal()?.by()).await)
}

async fn pin(ask: ApiRequest) -> Result<Reply, ApiError> {
    require_policy_write(&ask)?;
    let PinFields { releases, until, reason } = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    let repository = require_policy_write(&ask)?.to_string();
    run_command(&ask, PolicyCommand::Pin { repository, releases, until, reason }).await
}

async fn waive(ask: ApiRequest) -> Result<Reply, ApiError> {
    require_policy_write(&ask)?;
    let WaiverFields { package, requirement, until, reason } = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    let repository = require_policy_write(&ask)?.to_string();
    run_command(&ask, PolicyCommand::Waive { repository, package, requirement, until, reason }).await
}

async fn waivers(ask: ApiRequest) -> Result<Reply, ApiError> {
    let repository = require_policy_write(&ask)?.to_string();
    run_command(&ask, PolicyCommand::Waivers { repository }).await
}

async fn withdraw(ask: ApiRequest, Path(number): Path<i64>) -> Result<Reply, ApiError> {
    let repository = require_policy_write(&ask)?.to_string();
    run_command(&ask, PolicyCommand::Withdraw { repository, number }).await
}
