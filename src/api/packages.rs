//! Packages: show, list, search, audit log, owners.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::accounts::shown_by;
use super::again::Change;
use super::ask::{Ask, tells};
use super::body::Fields;
use super::error::ApiError;
use super::fields::{Flag, Text};
use super::left;
use super::mirrored;
use super::places::places;
use super::reply::Reply;
use super::views::{self, Shelf};
use crate::auth::{Caller, Denied, Need, Owner, OwnerLevel, ReadGrant, User, WriteGrant};
use crate::hex::name::PackageName;
use crate::repository::NameRules;
use crate::repository::Repository;
use crate::repository::local::search::{PAGE, Query, Sort};
use crate::repository::local::{LocalRepository, Package};
use crate::state::audit::By;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/packages", get(list))
        .route("/packages/{name}", get(show))
        .route("/packages/{name}/audit-logs", get(audit_log))
        .route("/packages/{name}/owners", get(owners))
        .route("/packages/{name}/owners/{username}", get(owner).put(set_owner).delete(remove_owner))
}

/// What a caller wants to do to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Publish a release, the first perhaps.
    Publish,
    /// Change what is there.
    Maintain,
    /// Change its owners.
    Own,
}

/// The right to do that, which is found out once more before something is written.
pub(super) async fn may(
    ask: &Ask,
    local: &Arc<LocalRepository>,
    name: &PackageName,
    intent: Intent,
) -> Result<WriteGrant, ApiError> {
    let grant = allowed(ask, local, name, intent).await?;
    let change = Change { ask: ask.clone(), local: Arc::clone(local), name: name.clone(), intent };
    Ok(grant.confirmed_by(Arc::new(change)))
}

/// The right to do that, as things are now. A package that is not there can only be published.
pub(super) async fn allowed(
    ask: &Ask,
    local: &LocalRepository,
    name: &PackageName,
    intent: Intent,
) -> Result<WriteGrant, ApiError> {
    let principal = ask.principal()?;
    let exists = local.has_package(name).await?;
    // Who owned a package of which no release is left owns its name.
    let is_taken = exists || local.was_published(name).await?;
    let access = &local.identity().access;
    let level = match principal.user() {
        _ if !is_taken => None,
        _ if !local.is_owned(name).await? => access.level_by_role(principal),
        Some(user) => local.owner_level(name, user).await?,
        None => None,
    };
    let need = match (is_taken, intent) {
        (true, Intent::Own) => Need::Own(name, level),
        (true, _) => Need::Maintain(name, level),
        (false, _) => Need::Create(name),
    };
    let granted = access.write(&ask.caller, need);
    match (exists, intent, granted) {
        (false, Intent::Maintain | Intent::Own, Ok(_) | Err(Denied::Forbidden)) => Err(ApiError::NotFound),
        (_, _, granted) => Ok(granted?),
    }
}

/// Through a virtual repository only what is then seen in it is published.
pub(super) fn check_taken(ask: &Ask, local: &LocalRepository, name: &PackageName) -> Result<(), ApiError> {
    match &ask.call.repository {
        Some(Repository::Virtual(composed)) if !composed.shows(local.key(), name) => {
            Err(ApiError::invalid("name", "is not among the names that this repository takes"))
        }
        _ => Ok(()),
    }
}

/// A name of the address; one that cannot exist does not.
pub(super) fn package_name(text: &str) -> Result<PackageName, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound)
}

async fn find(ask: &Ask, name: &str) -> Result<(Repository, Package, bool), ApiError> {
    let name = package_name(name)?;
    let (local, grant) = ask.readable_local(&name).await?;
    let package = local.package(&grant, &name).await?.ok_or(ApiError::NotFound)?;
    Ok((Repository::Local(local), package, grant.is_public()))
}

async fn show(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    if let Some(reply) = mirrored::package(&ask, &name).await? {
        return Ok(reply);
    }
    let (repository, mut package, is_public) = find(&ask, &name).await?;
    let (asked, grant) = ask.readable()?;
    if let Some(left) = left::left(&ask, (asked, &grant), &package_name(&name)?).await? {
        package.releases.retain(|release| left.has(&release.listed.version));
    }
    let shelf = Shelf::of(places(&ask), asked, &repository).ok_or(ApiError::NotFound)?;
    let mut value = views::package(&shelf, &package);
    let mut owners = Vec::new();
    for owner in views::owners(shelf.organization, &package).keys() {
        owners.push(views::somebody(owner, places(&ask).account(owner).await));
    }
    if let Value::Object(map) = &mut value {
        map.insert("owners".to_owned(), Value::Array(owners));
        map.insert("security_advisories".to_owned(), Value::Array(Vec::new()));
    }
    Ok(Reply::ok(value).public(is_public))
}

async fn audit_log(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let (local, _) = ask.readable_local(&package_name(&name)?).await?;
    find(&ask, &name).await?;
    // Where somebody was, and with which of their keys, is for those who look after the package.
    let may_write = may(&ask, &local, &package_name(&name)?, Intent::Maintain).await.is_ok();
    let (asked, grant) = ask.readable()?;
    let left = left::left(&ask, (asked, &grant), &package_name(&name)?).await?;
    let page = u32::try_from(ask.page()).unwrap_or(u32::MAX);
    let mut entries = local.audit_log(&package_name(&name)?, page).await?;
    if !may_write {
        // What happened to a release that is hidden from somebody is hidden, too.
        let is_told = |version: &str| left.as_ref().is_none_or(|left| left.has(version));
        entries.retain(|entry| entry.version.as_deref().is_none_or(is_told));
        let unseen = |by: By| By { actor: by.actor, ..By::default() };
        entries.iter_mut().for_each(|entry| entry.by = unseen(std::mem::take(&mut entry.by)));
    }
    Ok(Reply::ok(entries.iter().map(views::audit).collect()))
}

/// The packages of the repository that the address names; without one, of all that the caller may read.
async fn list(ask: Ask) -> Result<Reply, ApiError> {
    // Each with the rules by which a virtual repository shows it.
    let mut repositories: Vec<(Repository, ReadGrant, Vec<NameRules>)> = Vec::new();
    // At the root of a local or remote repository every other one is searched, too, as with hex.pm; a virtual one has
    // what it shows.
    let scoped = ask.call.named || matches!(ask.call.repository, Some(Repository::Virtual(_)));
    if scoped {
        let (repository, grant) = ask.readable()?;
        match repository {
            Repository::Virtual(composed) => {
                let locals = composed.locals(&grant).into_iter();
                repositories.extend(locals.map(|(local, grant, rules)| (Repository::Local(local), grant, rules)));
            }
            other => repositories.push((other.clone(), grant, Vec::new())),
        }
    } else {
        for repository in ask.call.catalog.iter() {
            if let Ok(grant) = repository.access().read_api(&ask.caller)
                && tells(repository)
            {
                repositories.push((repository.clone(), grant, Vec::new()));
            }
        }
        repositories.sort_by(|(one, ..), (other, ..)| one.key().cmp(other.key()));
    }
    let query = Query::parse(ask.param("search").unwrap_or_default());
    let sort = Sort::from_word(ask.param("sort").unwrap_or_default());
    let per_page = ask.param("per_page").and_then(|number| number.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let mut found = Vec::new();
    let mut is_public = true;
    for (repository, grant, rules) in &repositories {
        is_public &= grant.is_public();
        let Some(local) = repository.as_local() else { continue };
        let mut packages = local.search(grant, &query, sort).await?;
        packages.retain(|package| rules.iter().all(|rules| rules.allows(&package.name)));
        found.extend(packages.into_iter().map(|package| (repository, grant, package)));
    }
    // Each repository's are in order; those of several have to be put together.
    match sort {
        Sort::Name => found.sort_by(|(_, _, one), (_, _, other)| one.name.cmp(&other.name)),
        Sort::Inserted => found.sort_by_key(|(_, _, package)| std::cmp::Reverse(package.inserted_at)),
        Sort::Updated => found.sort_by_key(|(_, _, package)| std::cmp::Reverse(package.updated_at)),
    }
    let first = (ask.page() - 1).saturating_mul(per_page);
    let mut values: Vec<Value> = Vec::new();
    for (repository, grant, package) in found.into_iter().skip(first).take(per_page) {
        let (Some(local), Ok(name)) = (repository.as_local(), package.name.parse()) else { continue };
        if let Some(mut package) = local.package(grant, &name).await? {
            let (asked, right) = if scoped { ask.readable()? } else { (repository, grant.clone()) };
            // One that is found nowhere but through a repository that the caller may not read is not told of.
            let Some(shelf) = Shelf::of(places(&ask), asked, repository) else { continue };
            if let Some(left) = left::left(&ask, (asked, &right), &name).await? {
                package.releases.retain(|release| left.has(&release.listed.version));
            }
            values.push(views::package(&shelf, &package));
        }
    }
    // Of remote repositories those that their upstreams find, behind our own.
    if let Ok(Some((mut more, more_is_public))) = mirrored::search(&ask).await {
        let ours = |package: &Value| values.iter().any(|one| one.get("name") == package.get("name"));
        more.retain(|package| !ours(package));
        values.extend(more);
        is_public &= more_is_public;
    }
    Ok(Reply::ok(Value::Array(values)).public(is_public && ask.caller == Caller::Anonymous))
}

async fn owners(ask: Ask, Path(name): Path<String>) -> Result<Reply, ApiError> {
    if let Some(reply) = mirrored::owners(&ask, &name).await? {
        return Ok(reply);
    }
    let (repository, package, _) = find(&ask, &name).await?;
    let mut values = Vec::new();
    for (username, level) in &views::owners(repository.access().organization(), &package) {
        values.push(owner_view(&ask, username, *level).await?);
    }
    Ok(Reply::ok(Value::Array(values)))
}

async fn owner(ask: Ask, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    if let Some(reply) = mirrored::owner(&ask, &name, &username).await? {
        return Ok(reply);
    }
    let (repository, package, _) = find(&ask, &name).await?;
    let username = shown_by(&ask, &username).await?.map_or(username, |user| user.name);
    let owners = views::owners(repository.access().organization(), &package);
    let level = owners.get(&username).ok_or(ApiError::NotFound)?;
    Ok(Reply::ok(owner_view(&ask, &username, *level).await?))
}

/// An owner whose account is gone is still an owner, and one may be the organization. mix lists owners by address alone and takes
/// a name in its place: so the name stands there, as addresses are for their users and administrators.
async fn owner_view(ask: &Ask, username: &str, level: OwnerLevel) -> Result<Value, ApiError> {
    let mut value = match ask.call.accounts.user(username).await? {
        Some(user) => views::user(places(ask), &user, &[]),
        None => views::somebody(username, places(ask).account(username).await),
    };
    if let Value::Object(map) = &mut value {
        map.insert("email".to_owned(), Value::from(username));
        map.insert("level".to_owned(), Value::from(level.as_str()));
    }
    Ok(value)
}

/// A new owner, or a new level of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerFields {
    level: Text,
    transfer: Flag,
}

impl Fields for OwnerFields {}

async fn set_owner(ask: Ask, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let grant = may(&ask, local, &name, Intent::Own).await?;
    let fields: OwnerFields = ask.fields().await?;
    let level = match fields.level.get("level")? {
        None => OwnerLevel::Full,
        Some(word) => OwnerLevel::from_word(word).ok_or_else(|| ApiError::invalid("level", "is invalid"))?,
    };
    let transfer = fields.transfer.0;
    match owner_to_be(&ask, local, &username).await? {
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

/// A user who may be an owner: one who may read the repository. `None` for the organization of the repository.
async fn owner_to_be(ask: &Ask, local: &LocalRepository, username: &str) -> Result<Option<User>, ApiError> {
    let accounts = &ask.call.accounts;
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
                Some(own) => format!("packages here belong to users or to the organization \"{own}\", to no other one"),
                None => "packages here belong to users: this repository is no organization's".to_owned(),
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

async fn remove_owner(ask: Ask, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let local = ask.writable()?;
    let name = package_name(&name)?;
    let grant = may(&ask, local, &name, Intent::Own).await?;
    // An address stands for its user; a name may be that of an account that is gone.
    let user = ask.call.accounts.user(&username).await?.map_or(username, |user| user.name);
    local.remove_owner(&grant, &name, &user).await?;
    Ok(Reply::done())
}
