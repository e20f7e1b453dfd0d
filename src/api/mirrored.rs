//! Packages of remote repositories: what the upstream's API says, else what the registry tells of them.
//!
//! A virtual repository answers from the member that owns a package; where that is a remote one, it is found here.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::ask::Ask;
use super::error::ApiError;
use super::packages::{package_name, places};
use super::releases::version;
use super::reply::Reply;
use super::views::{self, Places};
use crate::auth::ReadGrant;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::repository::local::About;
use crate::repository::remote::{Described, DescribedRelease, FoundName, Search, Told};
use crate::repository::{Context, RemoteRepository, Repository};

/// The remote repository that a package of the repository asked about belongs to, and the right to read it.
fn remote(ask: &Ask) -> Result<Option<(Arc<RemoteRepository>, ReadGrant)>, ApiError> {
    let (repository, grant) = ask.readable()?;
    Ok(repository.as_remote().map(|remote| (Arc::clone(remote), grant)))
}

fn context(ask: &Ask) -> Context {
    Context { deadline: Instant::now() + ask.call.deadline, client: Some(ask.call.client) }
}

/// A package, where it is a remote repository's.
pub(super) async fn package(ask: &Ask, name: &str) -> Result<Option<Reply>, ApiError> {
    let Some((remote, grant)) = remote(ask)? else { return Ok(None) };
    let value = match remote.about_package(&grant, &package_name(name)?, context(ask)).await? {
        Told::Api(value) => Value::clone(&value),
        Told::Registry(described) => package_view(&places(ask), &Repository::Remote(remote), &described),
    };
    Ok(Some(Reply::ok(value).public(grant.is_public())))
}

/// A release, where it is a remote repository's.
pub(super) async fn release(ask: &Ask, name: &str, version_text: &str) -> Result<Option<Reply>, ApiError> {
    let Some((remote, grant)) = remote(ask)? else { return Ok(None) };
    let release = ArtifactName { package: package_name(name)?, version: version(version_text)? };
    let value = match remote.about_release(&grant, &release, context(ask)).await? {
        Told::Api(value) => Value::clone(&value),
        Told::Registry((package, release)) => {
            release_view(&places(ask), &Repository::Remote(remote), &package, &release)
        }
    };
    Ok(Some(Reply::ok(value).public(grant.is_public())))
}

/// The owners of a package, where it is a remote repository's.
pub(super) async fn owners(ask: &Ask, name: &str) -> Result<Option<Reply>, ApiError> {
    let Some((remote, grant)) = remote(ask)? else { return Ok(None) };
    let value = remote.about_owners(&grant, &package_name(name)?, context(ask)).await?;
    Ok(Some(Reply::ok(Value::clone(&value)).public(grant.is_public())))
}

/// One owner of a package, where it is a remote repository's.
pub(super) async fn owner(ask: &Ask, name: &str, username: &str) -> Result<Option<Reply>, ApiError> {
    let Some((remote, grant)) = remote(ask)? else { return Ok(None) };
    let owners = remote.about_owners(&grant, &package_name(name)?, context(ask)).await?;
    let is_meant = |owner: &&Value| {
        ["username", "email"].iter().any(|field| owner.get(field).and_then(Value::as_str) == Some(username))
    };
    let owner = owners.as_array().and_then(|owners| owners.iter().find(is_meant)).ok_or(ApiError::NotFound)?;
    Ok(Some(Reply::ok(owner.clone()).public(grant.is_public())))
}

/// A user of the upstream, below the address of a remote repository.
pub(super) async fn user(ask: &Ask, name: &str) -> Result<Reply, ApiError> {
    let (remote, grant) = remote(ask)?.ok_or(ApiError::NotFound)?;
    let value = remote.about_user(&grant, name, context(ask)).await?;
    Ok(Reply::ok(Value::clone(&value)).public(grant.is_public()))
}

/// The docs of a release, where it is a remote repository's: where they can be had, if the release is listed.
pub(super) async fn docs(ask: &Ask, name: &str, version_text: &str) -> Result<Option<String>, ApiError> {
    let Some((remote, _)) = remote(ask)? else { return Ok(None) };
    let (name, version) = (package_name(name)?, version(version_text)?);
    release(ask, name.as_str(), version.as_str()).await?;
    Ok(Some(places(ask).docs(remote.key().as_str(), name.as_str(), version.as_str())))
}

/// A page of the packages of a remote repository that fit; `None` where the repository asked about is none.
pub(super) async fn search(ask: &Ask) -> Result<Option<(Vec<Value>, bool)>, ApiError> {
    let Some((remote, grant)) = remote(ask)? else { return Ok(None) };
    let search = Search {
        text: ask.param("search").unwrap_or_default().to_owned(),
        sort: ask.param("sort").unwrap_or_default().to_owned(),
        page: ask.page(),
    };
    let values = match remote.about_search(&grant, &search, context(ask)).await? {
        Told::Api(value) => value.as_array().cloned().unwrap_or_default(),
        Told::Registry(found) => {
            let (places, repository) = (places(ask), Repository::Remote(remote));
            found.iter().map(|found| found_view(&places, &repository, found)).collect()
        }
    };
    Ok(Some((values, grant.is_public())))
}

/// A time that clients can read, also where nothing tells it.
fn time(release: &DescribedRelease) -> String {
    views::time(release.published_at.unwrap_or_default())
}

fn stable<'a>(mut versions: impl Iterator<Item = &'a String>) -> Option<String> {
    versions.find(|text| text.parse::<ReleaseVersion>().is_ok_and(|version| !version.is_pre_release())).cloned()
}

fn package_view(places: &Places<'_>, repository: &Repository, package: &Described) -> Value {
    let (key, name) = (repository.key().as_str(), package.name.as_str());
    let latest = package.releases.first().map(|release| release.version.clone());
    let latest_stable = stable(package.releases.iter().map(|release| &release.version));
    let shown = latest_stable.clone().or_else(|| latest.clone());
    let app = package.about.as_ref().map(|about| about.app.as_str()).filter(|app| !app.is_empty()).unwrap_or(name);
    let releases: Vec<Value> = package
        .releases
        .iter()
        .map(|release| {
            json!({
                "version": release.version,
                "url": places.release(key, name, &release.version),
                // Nothing tells; who asks for them will see.
                "has_docs": true,
                "inserted_at": time(release),
            })
        })
        .collect();
    let retired = package.releases.iter().filter(|release| release.retirement.is_some());
    let retirements: Map<String, Value> =
        retired.map(|release| (release.version.clone(), views::retirement(release.retirement.as_ref()))).collect();
    let times = || package.releases.iter().filter_map(|release| release.published_at);
    json!({
        "name": name,
        "repository": repository.name().as_str(),
        "private": !repository.access().is_open(),
        "url": places.package(key, name),
        "html_url": places.package(key, name),
        "docs_html_url": null,
        "inserted_at": views::time(times().min().unwrap_or_default()),
        "updated_at": views::time(times().max().unwrap_or_default()),
        "latest_version": latest,
        "latest_stable_version": latest_stable,
        "configs": views::configs(repository.name().as_str(), name, shown.as_deref().map(|version| (version, app))),
        "meta": views::meta(package.about.as_ref().unwrap_or(&About::default())),
        "releases": releases,
        "retirements": retirements,
        "downloads": {},
        "owners": [],
        "security_advisories": [],
    })
}

fn release_view(
    places: &Places<'_>,
    repository: &Repository,
    package: &Described,
    release: &DescribedRelease,
) -> Value {
    let (key, name, version) = (repository.key().as_str(), package.name.as_str(), release.version.as_str());
    let about = package.about.clone().unwrap_or_default();
    let app = if about.app.is_empty() { name } else { about.app.as_str() };
    json!({
        "version": version,
        "checksum": release.outer.map(|digest| digest.to_string()),
        "inner_checksum": release.inner.map(|digest| digest.to_string()),
        "has_docs": true,
        "url": places.release(key, name, version),
        "html_url": places.release(key, name, version),
        "package_url": places.package(key, name),
        "docs_html_url": places.docs(key, name, version),
        "inserted_at": time(release),
        "updated_at": time(release),
        "retirement": views::retirement(release.retirement.as_ref()),
        "requirements": views::requirements(&release.requirements),
        "configs": views::configs(repository.name().as_str(), name, Some((version, app))),
        "meta": {"app": app, "build_tools": about.build_tools, "elixir": about.elixir},
        "downloads": 0,
        "publisher": null,
        "security_advisories": [],
    })
}

fn found_view(places: &Places<'_>, repository: &Repository, found: &FoundName) -> Value {
    let (key, name) = (repository.key().as_str(), found.name.as_str());
    let latest_stable = stable(found.versions.iter());
    let shown = latest_stable.as_ref().or(found.versions.first());
    let releases: Vec<Value> = found
        .versions
        .iter()
        .map(|version| json!({"version": version, "url": places.release(key, name, version), "has_docs": true}))
        .collect();
    json!({
        "name": name,
        "repository": repository.name().as_str(),
        "private": !repository.access().is_open(),
        "url": places.package(key, name),
        "html_url": places.package(key, name),
        "latest_version": found.versions.first(),
        "latest_stable_version": latest_stable,
        "configs": views::configs(repository.name().as_str(), name, shown.map(|version| (version.as_str(), name))),
        "meta": views::meta(&About::default()),
        "releases": releases,
        "retirements": {},
        "downloads": {},
    })
}
