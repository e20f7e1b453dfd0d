//! What there is: the index of the API and the repositories.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::ApiError;
use super::places::places;
use super::reply::Reply;
use super::views;

pub(super) fn routes() -> Router {
    Router::new().route("/", get(index)).route("/repos", get(repositories)).route("/repos/{name}", get(repository))
}

async fn index(ask: Ask) -> Result<Reply, ApiError> {
    let at = |path: &str| places(&ask).api(path);
    Ok(Reply::ok(json!({
        "packages_url": at("packages"),
        "package_url": at("packages/{name}"),
        "package_retirement_url": at("packages/{name}/releases/{version}/retire"),
        "package_release_url": at("packages/{name}/releases/{version}"),
        "package_owners_url": at("packages/{name}/owners"),
        "keys_url": at("keys"),
        "key_url": at("keys/{name}"),
        "documentation_url": "https://hex.pm/docs",
    }))
    .public(true))
}

/// The repositories that the caller may read; those open to everybody first.
async fn repositories(ask: Ask) -> Result<Reply, ApiError> {
    let may_read = |repository: &&crate::repository::Repository| repository.access().read_api(&ask.caller).is_ok();
    let mut found: Vec<_> = ask.call.catalog.iter().filter(may_read).collect();
    found.sort_by_key(|repository| (!repository.access().is_open(), repository.key().clone()));
    let values: Vec<Value> = found.iter().map(|repository| views::repository(places(&ask), repository)).collect();
    Ok(Reply::ok(Value::Array(values)).public(ask.caller.principal().is_none()))
}

async fn repository(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = ask.call.catalog.get(&name).ok_or(ApiError::NotFound)?;
    let grant = found.access().read_api(&ask.caller)?;
    Ok(Reply::ok(views::repository(places(&ask), found)).public(grant.is_public()))
}
