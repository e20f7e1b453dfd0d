//! API routes for releases: publish, show, revert, retire, documentation.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post, put};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::body::Fields;
use super::error::ApiError;
use super::fields::{FlagField, TextField};
use super::packages::{Intent, check_name_accepted, package_name, require_write};
use super::reauthorize::gone_or_permission_ended;
use super::reply::Reply;
use super::request::ApiRequest;
use super::urls::{RepositoryUrls, urls};
use super::views;
use crate::auth::{Denied, Permission, WriteGrant};
use crate::hex::limits;
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::repository::describe::ReleaseContent;
use crate::repository::local::{LocalRepository, PublishOptions, Received};
use crate::repository::{ReleaseView, Repository};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/publish", post(publish_any))
        .route("/tarballs", put(publish_any))
        .route("/tarballs/{name}/{version}", put(put_tarball))
        .route("/packages/{name}/releases", post(publish))
        .route("/packages/{name}/releases/{version}", get(show).delete(revert))
        .route("/packages/{name}/releases/{version}/docs", get(docs).post(put_docs).delete(delete_docs))
        .route("/packages/{name}/releases/{version}/retire", post(retire).delete(unretire))
        .route("/packages/{name}/retire", post(retire_all))
}

pub(super) fn version(text: &str) -> Result<ReleaseVersion, ApiError> {
    text.parse().map_err(|_| ApiError::BadRequest(format!("invalid version: {text}")))
}

/// `replace=true`, `replace=false`, or nothing. Old clients send nothing and mean `true`.
fn replace(ask: &ApiRequest) -> Option<bool> {
    ask.param("replace").map(|word| word == "true")
}

/// Receives an upload, whatever its `Content-Type`. The first read sends `100 Continue` to a client that waits for it.
async fn receive(ask: &ApiRequest, local: &LocalRepository) -> Result<Received, ApiError> {
    if ask.announced().is_some_and(|length| length > limits::TARBALL as u64) {
        return Err(ApiError::invalid("tar", "too big"));
    }
    let mut upload = local.begin_upload().await?;
    let mut body = ask.upload();
    while let Some(chunk) = body.next().await {
        upload.append(&chunk?).await?;
    }
    Ok(upload.finish().await?)
}

/// Publishes a release of the package in the path. The permission is checked before the body is read.
async fn publish(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name).map_err(|_| ApiError::invalid("name", "has invalid format"))?;
    require_write(&ask, local, &name, Intent::Publish).await?;
    check_name_accepted(&ask, local, &name)?;
    let received = receive(&ask, local).await?;
    finish(&ask, received, Some((&name, None))).await
}

async fn put_tarball(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let version = version(&text)?;
    require_write(&ask, local, &name, Intent::Publish).await?;
    check_name_accepted(&ask, local, &name)?;
    let received = receive(&ask, local).await?;
    finish(&ask, received, Some((&name, Some(&version)))).await
}

/// Publishes a release of the package in the tarball. A credential that cannot publish anything is refused before the
/// upload.
async fn publish_any(ask: ApiRequest) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let permissions = &ask.principal()?.permissions;
    if !permissions.api_write() && !permissions.iter().any(|one| matches!(one, Permission::Package(_))) {
        return Err(Denied::Scope.into());
    }
    let received = receive(&ask, local).await?;
    finish(&ask, received, None).await
}

/// Publishes a received upload with the current configuration.
async fn finish(
    ask: &ApiRequest,
    received: Received,
    expected: Option<(&PackageName, Option<&ReleaseVersion>)>,
) -> Result<Reply, ApiError> {
    let ask = &ask.with_current_configuration();
    let local = ask.writable().map_err(gone_or_permission_ended)?;
    let grant = match expected {
        Some((name, _)) => require_write(ask, local, name, Intent::Publish).await.map_err(gone_or_permission_ended)?,
        None => {
            let name = local.upload_name(&received).await?;
            let grant = require_write(ask, local, &name, Intent::Publish).await?;
            check_name_accepted(ask, local, &name)?;
            grant
        }
    };
    let readable = ask.everything_readable();
    let how =
        PublishOptions { replace: replace(ask), expected, view: ask.virtual_repository(), readable: Some(&readable) };
    let published = local.publish(&grant, received, how).await?;
    let (asked, grant) = ask.readable()?;
    let view = asked.describe_published(&grant, &published).await?;
    let value = release_value(ask, asked, &view).await?;
    let location = shop(ask, local)?.release(published.package.as_str(), published.version.as_str());
    Ok(if published.created { Reply::created(value, location) } else { Reply::ok(value) })
}

/// A release as JSON.
async fn release_value(ask: &ApiRequest, asked: &Repository, view: &ReleaseView) -> Result<Value, ApiError> {
    let publisher = match view.content() {
        ReleaseContent::Local(release) => release.publisher.as_ref(),
        _ => None,
    };
    let publisher = match publisher {
        Some(user) => Some(views::actor(user, urls(ask).account(user).await)),
        None => None,
    };
    views::release(urls(ask), asked, view, publisher).ok_or(ApiError::NotFound)
}

/// The URLs of a local repository's packages.
fn shop(ask: &ApiRequest, local: &Arc<LocalRepository>) -> Result<RepositoryUrls, ApiError> {
    urls(ask).of(&Repository::Local(Arc::clone(local))).ok_or(ApiError::NotFound)
}

/// A release as the caller may see it.
async fn shown(ask: &ApiRequest, name: ArtifactName) -> Result<ReleaseView, ApiError> {
    let (asked, grant) = ask.readable()?;
    asked.describe_release(&grant, &name, ask.reading()).await.map_err(|error| ask.not_shown(error))
}

async fn show(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    // Check access first: an error about the path must not reveal anything.
    let (asked, _) = ask.readable()?;
    let view = shown(&ask, ArtifactName { package: package_name(&name)?, version: version(&text)? }).await?;
    Ok(Reply::ok(release_value(&ask, asked, &view).await?).public(view.is_public()))
}

/// The release in the path, if the caller may change it.
async fn maintain<'a>(
    ask: &'a ApiRequest,
    name: &str,
    text: &str,
) -> Result<(&'a Arc<LocalRepository>, WriteGrant, PackageName, ReleaseVersion), ApiError> {
    let local = ask.writable()?;
    let (name, version) = (package_name(name)?, version(text).map_err(|_| ApiError::NotFound)?);
    let grant = require_write(ask, local, &name, Intent::Maintain).await?;
    Ok((local, grant, name, version))
}

async fn revert(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (local, grant, name, version) = maintain(&ask, &name, &text).await?;
    local.revert(&grant, &name, &version, &ask.everything_readable()).await?;
    Ok(Reply::done())
}

async fn docs(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (name, version) = (package_name(&name)?, version(&text)?);
    let view = shown(&ask, ArtifactName { package: name.clone(), version: version.clone() }).await?;
    if !view.may_have_docs() {
        return Err(ApiError::NotFound);
    }
    let shop = urls(&ask).of(view.home()).ok_or(ApiError::NotFound)?;
    // A key with only API permissions cannot download files.
    let location = shop.docs(name.as_str(), version.as_str()).ok_or(Denied::Scope)?;
    Ok(Reply { status: StatusCode::FOUND, location: Some(location), ..Reply::done() })
}

async fn put_docs(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (local, ..) = maintain(&ask, &name, &text).await?;
    let received = receive(&ask, local).await?;
    let ask = ask.with_current_configuration();
    let (local, grant, name, version) = maintain(&ask, &name, &text).await.map_err(gone_or_permission_ended)?;
    local.put_docs(&grant, &name, &version, received).await?;
    let shop = shop(&ask, local)?;
    // A key with only API permissions cannot download files, so the answer links to the release instead.
    let docs = shop.docs(name.as_str(), version.as_str());
    let location = docs.unwrap_or_else(|| shop.release(name.as_str(), version.as_str()));
    Ok(Reply { status: StatusCode::CREATED, location: Some(location), ..Reply::done() })
}

async fn delete_docs(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (local, grant, name, version) = maintain(&ask, &name, &text).await?;
    local.delete_docs(&grant, &name, &version).await?;
    Ok(Reply::done())
}

/// The reason of a retirement; with `replace`, releases that are already retired get it, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RetirementFields {
    reason: TextField,
    message: TextField,
    replace: FlagField,
}

impl Fields for RetirementFields {}

async fn retire(ask: ApiRequest, Path((name, release)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (local, grant, name, version) = maintain(&ask, &name, &release).await?;
    let fields: RetirementFields = ask.fields().await?;
    let (reason, message) = (fields.reason.get("reason")?, fields.message.get("message")?);
    local.retire(&grant, &name, &version, reason, message).await?;
    Ok(Reply::done())
}

async fn unretire(ask: ApiRequest, Path((name, text)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let (local, grant, name, version) = maintain(&ask, &name, &text).await?;
    local.unretire(&grant, &name, &version).await?;
    Ok(Reply::done())
}

async fn retire_all(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let grant = require_write(&ask, local, &name, Intent::Maintain).await?;
    let fields: RetirementFields = ask.fields().await?;
    let (reason, message) = (fields.reason.get("reason")?, fields.message.get("message")?);
    local.retire_all(&grant, &name, reason, message, fields.replace.0).await?;
    Ok(Reply::done())
}
