//! Explains how a repository resolves a package or a release: which member answers, and which policy applies.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::time::Instant;

use super::error::ApiError;
use super::packages::package_name;
use super::reply::Reply;
use super::request::ApiRequest;
use crate::auth::Denied;
use crate::hex::version::ReleaseVersion;
use crate::repository::composite::ExplainQuestion;
use crate::repository::{RepoError, RequestContext};

/// How long to wait for members.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router {
    Router::new().route("/explain/{name}", get(package)).route("/explain/{name}/{version}", get(release))
}

async fn package(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    explain(&ask, &name, None).await
}

async fn release(ask: ApiRequest, Path((name, version)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let version: ReleaseVersion = version.parse().map_err(|_| ApiError::NotFound)?;
    explain(&ask, &name, Some(&version)).await
}

async fn explain(ask: &ApiRequest, name: &str, version: Option<&ReleaseVersion>) -> Result<Reply, ApiError> {
    let (repository, grant) = ask.readable()?;
    let context = RequestContext { deadline: Instant::now() + PATIENCE, client: Some(ask.context.client) };
    let question = ExplainQuestion { name: &package_name(name)?, version, context, tasks: &ask.context.tasks };
    let explanation = repository.explain(&grant, question).await.map_err(|error| match error {
        RepoError::Withheld if ask.caller.principal().is_some() => {
            ApiError::Forbidden("an explanation requires read access to every member of this repository".into())
        }
        RepoError::Withheld => Denied::NeedsCredential.into(),
        error => error.into(),
    })?;
    let explanation = serde_json::to_value(explanation);
    Ok(Reply::ok(explanation.map_err(|error| ApiError::internal(&error))?).public(grant.is_public()))
}
