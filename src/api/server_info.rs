//! API routes for the index of the API and the list of repositories.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

use super::error::ApiError;
use super::reply::Reply;
use super::request::ApiRequest;
use super::urls::urls;
use super::views;

pub(super) fn routes() -> Router {
    Router::new().route("/", get(index)).route("/repos", get(repositories)).route("/repos/{name}", get(repository))
}

async fn index(ask: ApiRequest) -> Result<Reply, ApiError> {
    Ok(Reply::ok(views::index(urls(&ask))).public(true))
}

/// The repositories that the caller may read, public ones first.
async fn repositories(ask: ApiRequest) -> Result<Reply, ApiError> {
    let mut found: Vec<_> = ask.context.catalog.readable(&ask.caller).map(|(repository, _)| repository).collect();
    found.sort_by_key(|repository| (!repository.access().is_open(), repository.key().clone()));
    let values = found.into_iter().map(|repository| views::repository(urls(&ask), repository));
    Ok(Reply::ok(values.collect()).public(ask.caller.principal().is_none()))
}

async fn repository(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = ask.context.catalog.get(&name).ok_or(ApiError::NotFound)?;
    let grant = found.access().read_api(&ask.caller)?;
    Ok(Reply::ok(views::repository(urls(&ask), found)).public(grant.is_public()))
}
