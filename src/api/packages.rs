//! API routes for packages: show, list, search, audit log, owners.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::accounts::find_user;
use super::body::Fields;
use super::error::ApiError;
use super::fields::{FlagField, TextField};
use super::reauthorize::PackageChange;
use super::reply::Reply;
use super::request::ApiRequest;
use super::urls::urls;
use super::views;
use crate::auth::{AccessKind, Caller, Denied, Owner, OwnerLevel, User, WriteGrant};
use crate::hex::name::PackageName;
use crate::repository::Repository;
use crate::repository::describe::{OwnersView, PackageContent, PackageOwners, PackageSearch, SearchIn};
use crate::repository::local::LocalRepository;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/packages", get(list))
        .route("/packages/{name}", get(show))
        .route("/packages/{name}/audit-logs", get(audit_log))
        .route("/packages/{name}/owners", get(owners))
        .route("/packages/{name}/owners/{username}", get(owner).put(set_owner).delete(remove_owner))
}

/// The operation for which a caller needs access to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Publish a release, possibly the first one.
    Publish,
    /// Change existing releases.
    Maintain,
    /// Change the owners.
    Own,
}

/// Checks the caller's access. The grant is checked again immediately before the write.
pub(super) async fn require_write(
    ask: &ApiRequest,
    local: &Arc<LocalRepository>,
    name: &PackageName,
    intent: Intent,
) -> Result<WriteGrant, ApiError> {
    let grant = check_write(ask, local, name, intent).await?;
    let change = PackageChange { ask: ask.clone(), local: Arc::clone(local), name: name.clone(), intent };
    Ok(grant.confirmed_by(Arc::new(change)))
}

/// Checks the caller's access now. If the package does not exist, only publishing is possible.
pub(super) async fn check_write(
    ask: &ApiRequest,
    local: &LocalRepository,
    name: &PackageName,
    intent: Intent,
) -> Result<WriteGrant, ApiError> {
    let principal = ask.principal()?;
    let exists = local.has_package(name).await?;
    // The owners of a package keep its name, even without any releases.
    let is_taken = exists || local.was_published(name).await?;
    let access = &local.identity().access;
    let level = match principal.user() {
        _ if !is_taken => None,
        _ if !local.is_owned(name).await? => access.level_by_role(principal),
        Some(user) => local.owner_level(name, user).await?,
        None => None,
    };
    let need = match (is_taken, intent) {
        (true, Intent::Own) => AccessKind::Own(name, level),
        (true, _) => AccessKind::Maintain(name, level),
        (false, _) => AccessKind::Create(name),
    };
    let granted = access.write(&ask.caller, need);
    match (exists, intent, granted) {
        (false, Intent::Maintain | Intent::Own, Ok(_) | Err(Denied::Forbidden)) => Err(ApiError::NotFound),
        (_, _, granted) => Ok(granted?),
    }
}

/// Publishing through a virtual repository requires that the repository then shows the package.
pub(super) fn check_name_accepted(
    ask: &ApiRequest,
    local: &LocalRepository,
    name: &PackageName,
) -> Result<(), ApiError> {
    match &ask.context.repository {
        Some(Repository::Virtual(composed)) if !composed.shows(local.key(), name) => {
            Err(ApiError::invalid("name", "is not among the names that this repository accepts"))
        }
        _ => Ok(()),
    }
}

/// Parses a package name in the path; an invalid name is answered with 404.
pub(super) fn package_name(text: &str) -> Result<PackageName, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound)
}

async fn show(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let name = package_name(&name)?;
    let (asked, grant) = ask.readable()?;
    let view = asked.describe(&grant, &name, ask.reading()).await.map_err(|error| ask.not_shown(error))?;
    let is_public = view.is_public();
    let owners = match view.content() {
        PackageContent::Local(package) => {
            let mut owners = Vec::new();
            for owner in package.owners.keys() {
                owners.push(views::actor(owner, urls(&ask).account(owner).await));
            }
            Some(owners)
        }
        _ => None,
    };
    let value = views::package(urls(&ask), asked, view, owners).ok_or(ApiError::NotFound)?;
    Ok(Reply::ok(value).public(is_public))
}

async fn audit_log(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let name = package_name(&name)?;
    let (asked, grant) = ask.readable()?;
    let (local, _) = asked.local_with(&grant, &name).await?.ok_or(ApiError::NotFound)?;
    let keeper = require_write(&ask, &local, &name, Intent::Maintain).await.ok();
    let page = u32::try_from(ask.page()).unwrap_or(u32::MAX);
    let entries = asked.audit_log(&grant, &name, keeper.as_ref(), page, ask.reading()).await?;
    Ok(Reply::ok(entries.iter().map(views::audit).collect()))
}

/// The packages of the repository in the path or, without one, of every repository that the caller may read. At the
/// root of a local or remote repository, a search includes all other repositories, as on hex.pm; at the root of a
/// virtual repository, only its own packages.
async fn list(ask: ApiRequest) -> Result<Reply, ApiError> {
    let search = PackageSearch {
        text: ask.param("search").unwrap_or_default(),
        sort: ask.param("sort").unwrap_or_default(),
        page: ask.page(),
        per_page: ask.param("per_page").and_then(|number| number.parse().ok()),
    };
    let is_scoped = ask.context.named || matches!(ask.context.repository, Some(Repository::Virtual(_)));
    let root = ask.readable();
    let place = match (&root, is_scoped) {
        (Ok((asked, grant)), true) => SearchIn::Repository(asked, grant),
        (Err(error), true) => return Err(error.clone()),
        (root, false) => SearchIn::Everything(&ask.caller, root.as_ref().ok().map(|(asked, grant)| (*asked, grant))),
    };
    let found = ask.reading().search(place, search).await?;
    let is_public = found.is_public() && ask.caller == Caller::Anonymous;
    let mut values: Vec<Value> = Vec::new();
    let scope = root.as_ref().ok().map(|(asked, _)| *asked).filter(|_| is_scoped);
    for view in found.into_packages() {
        let home = view.home().clone();
        values.extend(views::package(urls(&ask), scope.unwrap_or(&home), view, None));
    }
    Ok(Reply::ok(Value::Array(values)).public(is_public))
}

async fn visible_owners(ask: &ApiRequest, name: &str) -> Result<OwnersView, ApiError> {
    let name = package_name(name)?;
    let (asked, grant) = ask.readable()?;
    asked.owners(&grant, &name, ask.reading()).await.map_err(|error| ask.not_shown(error))
}

async fn owners(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let view = visible_owners(&ask, &name).await?;
    let mut values = Vec::new();
    match view.owners() {
        PackageOwners::Local(owners) => {
            for (username, level) in owners {
                values.push(owner_view(&ask, username, *level).await?);
            }
        }
        PackageOwners::Upstream(owners) => {
            let owners = owners.as_array().map(Vec::as_slice).unwrap_or_default();
            values.extend(owners.iter().map(|owner| views::upstream_user(urls(&ask), owner, None)));
        }
    }
    Ok(Reply::ok(Value::Array(values)).public(view.is_public()))
}

async fn owner(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let view = visible_owners(&ask, &name).await?;
    let value = match view.owners() {
        PackageOwners::Local(owners) => {
            let username = find_user(&ask, &username).await?.map_or(username, |user| user.name);
            let level = owners.get(&username).ok_or(ApiError::NotFound)?;
            owner_view(&ask, &username, *level).await?
        }
        PackageOwners::Upstream(owners) => {
            let is_meant = |owner: &&Value| {
                let is = |field: &&str| owner.get(field).and_then(Value::as_str) == Some(username.as_str());
                ["username", "email"].iter().any(is)
            };
            let owner = owners.as_array().and_then(|owners| owners.iter().find(is_meant)).ok_or(ApiError::NotFound)?;
            views::upstream_user(urls(&ask), owner, None)
        }
    };
    Ok(Reply::ok(value).public(view.is_public()))
}

/// An owner stays an owner after the account was deleted. An owner can also be the organization.
async fn owner_view(ask: &ApiRequest, username: &str, level: OwnerLevel) -> Result<Value, ApiError> {
    let account = match ask.context.accounts.user(username).await? {
        Some(user) => views::user(urls(ask), &user, &[], None),
        None => views::actor(username, urls(ask).account(username).await),
    };
    Ok(views::owner(account, username, level))
}

/// A new owner, or the new level of an owner.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerFields {
    level: TextField,
    transfer: FlagField,
}

impl Fields for OwnerFields {}

async fn set_owner(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let grant = require_write(&ask, local, &name, Intent::Own).await?;
    let fields: OwnerFields = ask.fields().await?;
    let level = match fields.level.get("level")? {
        None => OwnerLevel::Full,
        Some(word) => OwnerLevel::from_word(word).ok_or_else(|| ApiError::invalid("level", "is invalid"))?,
    };
    let transfer = fields.transfer.0;
    match find_new_owner(&ask, local, &username).await? {
        Some(user) => local.set_owner(&grant, &name, &user.name, level, transfer).await?,
        None if !transfer => {
            let message = "organization ownership can only be transferred, removing all existing owners";
            return Err(ApiError::invalid("username", message));
        }
        None if level != OwnerLevel::Full => {
            let message = "ownership level is required to be \"full\" for organization ownership";
            return Err(ApiError::invalid("level", message));
        }
        None => local.disown(&grant, &name, &username).await?,
    }
    Ok(Reply::done())
}

/// The user to add as an owner, who must have read access. `None` means the organization of the repository.
async fn find_new_owner(ask: &ApiRequest, local: &LocalRepository, username: &str) -> Result<Option<User>, ApiError> {
    let accounts = &ask.context.accounts;
    let own = local.identity().access.organization();
    if own == Some(username) && accounts.organization(username).await?.is_some() {
        return Ok(None);
    }
    let Some(user) = accounts.user(username).await? else {
        if accounts.organization(username).await?.is_none() {
            return Err(ApiError::NotFound);
        }
        return Err(ApiError::invalid(
            "username",
            match own {
                Some(own) => format!("an owner in this repository must be a user or the organization \"{own}\""),
                None => {
                    "an owner in this repository must be a user: the repository belongs to no organization".to_owned()
                }
            },
        ));
    };
    let principal = accounts.principal_of(Owner::User(user.id)).await?;
    let may_read = principal.is_some_and(|principal| local.identity().access.read(&Caller::Known(principal)).is_ok());
    if may_read {
        return Ok(Some(user));
    }
    let message = "cannot add owner to private package when the user is not a member of the organization";
    Err(ApiError::invalid("username", message))
}

async fn remove_owner(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let grant = require_write(&ask, local, &name, Intent::Own).await?;
    // An email address means its user; a name may belong to a deleted account.
    let user = ask.context.accounts.user(&username).await?.map_or(username, |user| user.name);
    local.remove_owner(&grant, &name, &user).await?;
    Ok(Reply::done())
}
