//! Packages of remote repositories: what the upstream's API says, else what the registry tells of them.
//!
//! A virtual repository answers from the member that owns a package; where that is a remote one, it is found here. What it
//! does not show, whatever the reason, is not shown here either. A package that several members have is described by the
//! index that is made of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::ask::Ask;
use super::error::ApiError;
use super::packages::package_name;
use super::places::places;
use super::releases::version;
use super::reply::Reply;
use super::upstreams;
use super::views::{self, Shelf};
use crate::auth::{Caller, Denied, ReadGrant};
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::repository::composite::Shown;
use crate::repository::local::About;
use crate::repository::private_text::TypedText;
use crate::repository::remote::{Described, DescribedRelease, FoundName, Search, Told, without_held};
use crate::repository::{Context, RemoteRepository, RepoError, Repository};

/// The remote repository that a package belongs to.
struct Home {
    remote: Arc<RemoteRepository>,
    right: ReadGrant,
    /// How a virtual repository shows it, where one was asked.
    shown: Option<Shown>,
    is_public: bool,
}

impl Home {
    fn owner(&self) -> Repository {
        Repository::Remote(Arc::clone(&self.remote))
    }
}

/// From whom a package of the repository asked about is.
enum Whose {
    /// A local repository, or nobody.
    Elsewhere,
    Remote(Home),
    /// Several, of which the signed index alone knows all.
    Several(Shown, bool),
}

pub(super) fn context(ask: &Ask) -> Context {
    Context { deadline: Instant::now() + ask.call.deadline, client: Some(ask.call.client) }
}

async fn whose(ask: &Ask, name: &PackageName) -> Result<Whose, ApiError> {
    let (repository, grant) = ask.readable()?;
    let is_public = grant.is_public();
    let composed = match repository {
        Repository::Local(_) => return Ok(Whose::Elsewhere),
        Repository::Remote(remote) => {
            return Ok(Whose::Remote(Home { remote: Arc::clone(remote), right: grant, shown: None, is_public }));
        }
        Repository::Virtual(composed) => composed,
    };
    let shown = match composed.shown(&grant, name, context(ask)).await {
        Ok(shown) => shown,
        // A local repository may know a package of which it lists no release.
        Err(RepoError::NotFound) => return Ok(Whose::Elsewhere),
        // Somebody has it whom nobody may read without saying who it is.
        Err(RepoError::Withheld) if ask.caller == Caller::Anonymous => return Err(Denied::NeedsCredential.into()),
        Err(error) => return Err(error.into()),
    };
    Ok(match shown.sources.as_slice() {
        [] | [(Repository::Local(_), _)] => Whose::Elsewhere,
        [(Repository::Remote(remote), right)] => {
            let (remote, right) = (Arc::clone(remote), right.clone());
            Whose::Remote(Home { remote, right, shown: Some(shown), is_public })
        }
        _ => Whose::Several(shown, is_public),
    })
}

/// The remote repository that knows a package's owners.
async fn keeper(ask: &Ask, name: &PackageName) -> Result<Option<Home>, ApiError> {
    Ok(match whose(ask, name).await? {
        Whose::Elsewhere => None,
        Whose::Remote(home) => Some(home),
        Whose::Several(shown, is_public) => match shown.sources.first() {
            Some((Repository::Remote(remote), right)) => {
                Some(Home { remote: Arc::clone(remote), right: right.clone(), shown: Some(shown), is_public })
            }
            _ => None,
        },
    })
}

/// A package, where it is not a local repository's alone.
pub(super) async fn package(ask: &Ask, name: &str) -> Result<Option<Reply>, ApiError> {
    let name = package_name(name)?;
    let asked = ask.readable()?.0;
    let (value, is_public) = match whose(ask, &name).await? {
        Whose::Elsewhere => return Ok(None),
        Whose::Several(shown, is_public) => {
            let owner = shown.sources.first().map_or(asked, |(owner, _)| owner);
            (package_view(&shelf(ask, asked, owner)?, &shown.described), is_public)
        }
        Whose::Remote(home) => {
            let owner = home.owner();
            let shelf = shelf(ask, asked, &owner)?;
            let told = home.remote.about_package(&home.right, &name, context(ask)).await?;
            let value = match (told, &home.shown) {
                (Told::Api(value), None) => upstreams::package(places(ask), &shelf, &value),
                (Told::Api(value), Some(shown)) => {
                    upstreams::package(places(ask), &shelf, &without_held(&value, &shown.described))
                }
                (Told::Registry(described), shown) => {
                    let described = shown.as_ref().map_or(&described, |shown| &shown.described);
                    package_view(&shelf, described)
                }
            };
            (value, home.is_public)
        }
    };
    Ok(Some(Reply::ok(value).public(is_public)))
}

/// A release with the repository that it is from, where that is not a local one.
pub(super) async fn release(
    ask: &Ask,
    name: &str,
    version_text: &str,
) -> Result<Option<(Reply, Repository)>, ApiError> {
    let release = ArtifactName { package: package_name(name)?, version: version(version_text)? };
    let asked = ask.readable()?.0;
    let home = match whose(ask, &release.package).await? {
        Whose::Elsewhere => return Ok(None),
        Whose::Remote(home) => home,
        Whose::Several(shown, is_public) => match shown.source(release.version.as_str()) {
            Some((Repository::Remote(remote), right)) => {
                Home { remote: Arc::clone(remote), right: right.clone(), shown: Some(shown), is_public }
            }
            Some(_) => return Ok(None),
            None => return Err(ApiError::NotFound),
        },
    };
    let find =
        |described: &Described| described.releases.iter().find(|one| one.version == release.version.as_str()).cloned();
    let listed = home.shown.as_ref().map(|shown| find(&shown.described).ok_or(ApiError::NotFound)).transpose()?;
    let owner = home.owner();
    let value = match home.remote.about_release(&home.right, &release, context(ask)).await? {
        Told::Api(value) => {
            upstreams::release(places(ask), &shelf(ask, asked, &owner)?, release.package.as_str(), &value)
        }
        Told::Registry((package, release)) => {
            let package = home.shown.as_ref().map_or(&package, |shown| &shown.described);
            release_view(&shelf(ask, asked, &owner)?, package, &listed.unwrap_or(release))
        }
    };
    Ok(Some((Reply::ok(value).public(home.is_public), owner)))
}

/// The owners of a package, where it is a remote repository's.
pub(super) async fn owners(ask: &Ask, name: &str) -> Result<Option<Reply>, ApiError> {
    let name = package_name(name)?;
    let Some(home) = keeper(ask, &name).await? else { return Ok(None) };
    let value = home.remote.about_owners(&home.right, &name, context(ask)).await?;
    let owners = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let owners = owners.iter().map(|owner| upstreams::user(places(ask), owner, &|_| None));
    Ok(Some(Reply::ok(owners.collect()).public(home.is_public)))
}

/// One owner of a package, where it is a remote repository's.
pub(super) async fn owner(ask: &Ask, name: &str, username: &str) -> Result<Option<Reply>, ApiError> {
    let name = package_name(name)?;
    let Some(home) = keeper(ask, &name).await? else { return Ok(None) };
    let owners = home.remote.about_owners(&home.right, &name, context(ask)).await?;
    let is_meant = |owner: &&Value| {
        ["username", "email"].iter().any(|field| owner.get(field).and_then(Value::as_str) == Some(username))
    };
    let owner = owners.as_array().and_then(|owners| owners.iter().find(is_meant)).ok_or(ApiError::NotFound)?;
    Ok(Some(Reply::ok(upstreams::user(places(ask), owner, &|_| None)).public(home.is_public)))
}

/// Whether a text names something that is private on this server. It is looked for in all repositories, whichever is asked:
/// an upstream that is told has been told.
async fn is_named_privately(ask: &Ask, text: &str) -> bool {
    let text = TypedText::of(text);
    for repository in ask.call.catalog.iter() {
        if repository.is_named_privately(&text, context(ask)).await {
            return true;
        }
    }
    false
}

/// A user of the upstream, below the address of a remote repository, or of a virtual one of whose members one knows it.
pub(super) async fn user(ask: &Ask, name: &str) -> Result<Reply, ApiError> {
    let (repository, grant) = ask.readable()?;
    let is_public = grant.is_public();
    let remotes = match repository {
        Repository::Remote(remote) => vec![(Arc::clone(remote), grant)],
        Repository::Virtual(composed) => composed.remotes(&grant),
        Repository::Local(_) => Vec::new(),
    };
    let mut failed = ApiError::NotFound;
    if !remotes.is_empty() && is_named_privately(ask, name).await {
        return Err(failed);
    }
    for (remote, right) in remotes {
        match remote.about_user(&right, name, context(ask)).await {
            Ok(value) => {
                let shop = places(ask).of(&Repository::Remote(Arc::clone(&remote)));
                let found = |name: &str| {
                    let is_here = repository.identity().names.allows(name) && remote.allows(name);
                    shop.as_ref().filter(|_| is_here).map(|shop| shop.package(name))
                };
                return Ok(Reply::ok(upstreams::user(places(ask), &value, &found)).public(is_public));
            }
            Err(RepoError::NotFound) => {}
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

/// A page of the packages of remote repositories that fit, with whether everybody may see it; `None` where the repository
/// asked about has to do with none.
pub(super) async fn search(ask: &Ask) -> Result<Option<(Vec<Value>, bool)>, ApiError> {
    let (repository, grant) = ask.readable()?;
    if matches!(repository, Repository::Local(_)) {
        return Ok(None);
    }
    let text = ask.param("search").unwrap_or_default();
    let search = Search {
        text: text.to_owned(),
        sort: ask.param("sort").unwrap_or_default().to_owned(),
        page: ask.page(),
        is_private: is_named_privately(ask, text).await,
    };
    let found = match repository {
        Repository::Local(_) => return Ok(None),
        Repository::Remote(remote) => {
            vec![(Arc::clone(remote), remote.about_search(&grant, &search, context(ask)).await?)]
        }
        Repository::Virtual(composed) => composed.search(&grant, &search, context(ask)).await?,
    };
    let mut values = Vec::new();
    for (remote, told) in found {
        let owner = Repository::Remote(remote);
        let shelf = shelf(ask, repository, &owner)?;
        match told {
            Told::Api(value) => {
                let packages = value.as_array().map(Vec::as_slice).unwrap_or_default();
                values.extend(packages.iter().map(|package| upstreams::package(places(ask), &shelf, package)));
            }
            Told::Registry(found) => values.extend(found.iter().map(|found| found_view(&shelf, found))),
        }
    }
    Ok(Some((values, grant.is_public())))
}

/// A time that clients can read, also where nothing tells it.
fn time(release: &DescribedRelease) -> String {
    views::time(release.published_at.unwrap_or_default())
}

fn stable<'a>(mut versions: impl Iterator<Item = &'a String>) -> Option<String> {
    versions.find(|text| text.parse::<ReleaseVersion>().is_ok_and(|version| !version.is_pre_release())).cloned()
}

fn shelf<'a>(ask: &'a Ask, asked: &'a Repository, owner: &'a Repository) -> Result<Shelf<'a>, ApiError> {
    Shelf::of(places(ask), asked, owner).ok_or(ApiError::NotFound)
}

fn package_view(shelf: &Shelf<'_>, package: &Described) -> Value {
    let (shop, name) = (&shelf.shop, package.name.as_str());
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
                "url": shop.release(name, &release.version),
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
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "docs_html_url": null,
        "inserted_at": views::time(times().min().unwrap_or_default()),
        "updated_at": views::time(times().max().unwrap_or_default()),
        "latest_version": latest,
        "latest_stable_version": latest_stable,
        "configs": views::configs(shelf.source, name, shown.as_deref().map(|version| (version, app))),
        "meta": views::meta(package.about.as_ref().unwrap_or(&About::default())),
        "releases": releases,
        "retirements": retirements,
        "downloads": {},
        "owners": [],
        "security_advisories": [],
    })
}

fn release_view(shelf: &Shelf<'_>, package: &Described, release: &DescribedRelease) -> Value {
    let (shop, name, version) = (&shelf.shop, package.name.as_str(), release.version.as_str());
    let about = package.about.clone().unwrap_or_default();
    let app = if about.app.is_empty() { name } else { about.app.as_str() };
    json!({
        "version": version,
        "checksum": release.outer.map(|digest| digest.to_string()),
        "inner_checksum": release.inner.map(|digest| digest.to_string()),
        "has_docs": true,
        "url": shop.release(name, version),
        "html_url": shop.release(name, version),
        "package_url": shop.package(name),
        // Nobody has said that there are any.
        "docs_html_url": null,
        "inserted_at": time(release),
        "updated_at": time(release),
        "retirement": views::retirement(release.retirement.as_ref()),
        "requirements": views::requirements(&release.requirements),
        "configs": views::configs(shelf.source, name, Some((version, app))),
        "meta": {"app": app, "build_tools": about.build_tools, "elixir": about.elixir},
        "downloads": 0,
        "publisher": null,
        "security_advisories": [],
    })
}

fn found_view(shelf: &Shelf<'_>, found: &FoundName) -> Value {
    let (shop, name) = (&shelf.shop, found.name.as_str());
    let latest_stable = stable(found.versions.iter());
    let shown = latest_stable.as_ref().or(found.versions.first());
    let releases: Vec<Value> = found
        .versions
        .iter()
        .map(|version| json!({"version": version, "url": shop.release(name, version), "has_docs": true}))
        .collect();
    json!({
        "name": name,
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "latest_version": found.versions.first(),
        "latest_stable_version": latest_stable,
        "configs": views::configs(shelf.source, name, shown.map(|version| (version.as_str(), name))),
        "meta": views::meta(&About::default()),
        "releases": releases,
        "retirements": {},
        "downloads": {},
    })
}
