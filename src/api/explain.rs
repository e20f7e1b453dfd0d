//! Why a repository answers a name as it does.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::time::Instant;

use super::ask::Ask;
use super::error::ApiError;
use super::packages::package_name;
use super::reply::Reply;
use crate::auth::Denied;
use crate::hex::version::ReleaseVersion;
use crate::repository::Context;
use crate::repository::composite::Question;

/// How long members are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router {
    Router::new().route("/explain/{name}", get(package)).route("/explain/{name}/{version}", get(release))
}

async fn package(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    explain(&ask, &name, None).await
}

async fn release(ask: Ask, Path((name, version)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let version: ReleaseVersion = version.parse().map_err(|_| ApiError::NotFound)?;
    explain(&ask, &name, Some(&version)).await
}

/// For callers who may read all of it: which names others have is nobody else's business.
async fn explain(ask: &Ask, name: &str, version: Option<&ReleaseVersion>) -> Result<Reply, ApiError> {
    let (repository, grant) = ask.readable()?;
    if !grant.is_whole() {
        return Err(match ask.caller.principal() {
            None => Denied::NeedsCredential.into(),
            Some(_) => ApiError::Forbidden("this is explained to those who may read all of this repository"),
        });
    }
    let context = Context { deadline: Instant::now() + PATIENCE, client: Some(ask.call.client) };
    let question = Question { name: &package_name(name)?, version, context, tasks: &ask.call.tasks };
    let explanation = serde_json::to_value(repository.explain(question).await);
    Ok(Reply::ok(explanation.map_err(|error| ApiError::internal(&error))?).public(grant.is_public()))
}
