//! API routes for API keys, and the check of what a credential may do.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde::Deserialize;

use super::accounts::{organization, require_api_read};
use super::body::Fields;
use super::error::ApiError;
use super::fields::{ListField, TableItem, TextField};
use super::reauthorize::permission_ended;
use super::reply::Reply;
use super::request::ApiRequest;
use super::urls::urls;
use super::views;
use crate::auth::{Denied, NewKey, Owner, Permissions, Principal, Proof, Role};
use crate::clock::Timestamp;
use crate::hex::invalid::Invalid;

pub(super) fn routes() -> Router {
    Router::new()
        .route(
            "/orgs/{organization}/keys",
            get(organization_keys).post(create_organization_key).delete(revoke_organization_keys),
        )
        .route("/orgs/{organization}/keys/{name}", get(organization_key).delete(revoke_organization_key))
        .route("/keys", get(keys).post(create_key).delete(revoke_keys))
        .route("/keys/{name}", get(show_key).delete(revoke_key))
        .route("/auth", get(auth))
}

/// A new key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyFields {
    name: TextField,
    permissions: ListField<TableItem<PermissionFields>>,
    revoke_at: TextField,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PermissionFields {
    domain: TextField,
    resource: TextField,
}

impl Fields for KeyFields {}

/// The owner of the keys: the user who sends the request. Keys of an organization are under the organization's path.
fn own(ask: &ApiRequest) -> Result<Owner, ApiError> {
    match require_api_read(ask)?.owner() {
        owner @ Owner::User(_) => Ok(owner),
        Owner::Organization(_) => Err(ApiError::NotFound),
    }
}

fn own_for_change(ask: &ApiRequest) -> Result<Owner, ApiError> {
    ask.principal()?.may_change_keys()?;
    own(ask)
}

/// The organization, if the caller may create and revoke its keys.
async fn organization_to_change(ask: &ApiRequest, name: &str) -> Result<Owner, ApiError> {
    ask.principal()?.may_change_keys()?;
    Ok(Owner::Organization(organization(ask, name, Role::Write).await?.id))
}

/// Whether this is the key that authenticates the request: a key may always revoke itself, whatever its permissions.
fn is_own_credential(ask: &ApiRequest, owner: Owner, name: &str) -> bool {
    let shown = |principal: &Arc<Principal>| {
        principal.owner() == owner && matches!(&principal.proof, Proof::Key { name: own, .. } if own == name)
    };
    ask.caller.principal().is_some_and(shown)
}

async fn keys(ask: ApiRequest) -> Result<Reply, ApiError> {
    list_keys(&ask, own(&ask)?, None).await
}

async fn organization_keys(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = organization(&ask, &name, Role::Read).await?;
    list_keys(&ask, Owner::Organization(found.id), Some(&name)).await
}

async fn list_keys(ask: &ApiRequest, owner: Owner, organization: Option<&str>) -> Result<Reply, ApiError> {
    let caller = ask.principal()?;
    let keys = ask.context.accounts.list_keys(owner).await?;
    let view = |key| views::key(urls(ask), key, organization, Some(caller), None);
    Ok(Reply::ok(keys.iter().map(view).collect()))
}

async fn show_key(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    find_key(&ask, own(&ask)?, None, &name).await
}

async fn organization_key(ask: ApiRequest, Path((of, name)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let found = organization(&ask, &of, Role::Read).await?;
    find_key(&ask, Owner::Organization(found.id), Some(&of), &name).await
}

async fn find_key(ask: &ApiRequest, owner: Owner, organization: Option<&str>, name: &str) -> Result<Reply, ApiError> {
    let keys = ask.context.accounts.list_keys(owner).await?;
    let key = keys.iter().find(|key| key.name == name).ok_or(ApiError::NotFound)?;
    Ok(Reply::ok(views::key(urls(ask), key, organization, Some(ask.principal()?), None)))
}

async fn create_key(ask: ApiRequest) -> Result<Reply, ApiError> {
    own_for_change(&ask)?;
    let fields = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    make_key(&ask, own_for_change(&ask)?, None, &fields).await
}

async fn create_organization_key(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    organization_to_change(&ask, &name).await?;
    let fields = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    let owner = organization_to_change(&ask, &name).await.map_err(permission_ended)?;
    make_key(&ask, owner, Some(&name), &fields).await
}

async fn make_key(
    ask: &ApiRequest,
    owner: Owner,
    organization: Option<&str>,
    fields: &KeyFields,
) -> Result<Reply, ApiError> {
    let permissions = permissions(fields)?;
    let unreachable = permissions.without_access(|permission| {
        let (domain, resource) = permission.pair();
        resource.is_none_or(|resource| can_access(ask, domain, resource))
    });
    unreachable.into_result(()).map_err(ApiError::Invalid)?;
    let revoke_at = match fields.revoke_at.get("revoke_at")? {
        None => None,
        Some(text) => Some(time(text).ok_or_else(|| {
            ApiError::invalid("revoke_at", "is invalid: write a time in UTC, such as 2027-01-31T12:00:00Z")
        })?),
    };
    let name = fields.name.get("name")?.unwrap_or_default().to_owned();
    let caller = ask.principal()?;
    let new = NewKey { owner, name, permissions, revoke_at };
    let (secret, key) = ask.context.accounts.create_key(new, Some(caller), &caller.by()).await?;
    let value = views::key(urls(ask), &key, organization, Some(caller), Some(secret.expose()));
    Ok(Reply::created(value, urls(ask).key(&key.name, organization)).secret())
}

fn time(text: &str) -> Option<Timestamp> {
    humantime::parse_rfc3339_weak(text).ok().map(Timestamp::from)
}

/// Whether the caller may access the resource of a permission.
fn can_access(ask: &ApiRequest, domain: &str, resource: &str) -> bool {
    if domain == "api" {
        return true;
    }
    let wanted = resource.split('/').next().unwrap_or(resource);
    let named = |repository: &&crate::repository::Repository| {
        repository.key().as_str() == wanted || repository.access().organization() == Some(wanted)
    };
    let mut repositories = ask.context.catalog.iter().filter(named);
    repositories.any(|repository| repository.access().read_api(&ask.caller).is_ok())
}

/// Reads `permissions` of a new key: a list of maps. If it is missing, the key has full access to the API.
fn permissions(fields: &KeyFields) -> Result<Permissions, ApiError> {
    let fault = || ApiError::Invalid(Invalid::of("permissions", "expected type list(map)"));
    let pairs = match &fields.permissions {
        ListField::Missing => None,
        ListField::Is(items) => Some(items.iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(fault)?),
        ListField::Other => return Err(fault()),
    };
    Permissions::from_pairs(pairs).map_err(ApiError::Invalid)
}

fn pair(item: &TableItem<PermissionFields>) -> Option<(&str, Option<&str>)> {
    let item = item.0.as_ref()?;
    let TextField::Is(domain) = &item.domain else { return None };
    // A resource of the wrong type must not count as missing, since that grants access to everything.
    Some((domain, item.resource.get("resource").ok()?))
}

async fn revoke_key(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let own = ask.principal()?.owner();
    let owner = if is_own_credential(&ask, own, &name) && own.user().is_some() { own } else { own_for_change(&ask)? };
    end_key(&ask, owner, None, &name).await
}

async fn revoke_organization_key(ask: ApiRequest, Path((of, name)): Path<(String, String)>) -> Result<Reply, ApiError> {
    let own = ask.principal()?.owner();
    let is_shown =
        is_own_credential(&ask, own, &name) && own.organization().is_some() && ask.principal()?.is_named(&of);
    let owner = if is_shown { own } else { organization_to_change(&ask, &of).await? };
    end_key(&ask, owner, Some(&of), &name).await
}

async fn end_key(ask: &ApiRequest, owner: Owner, organization: Option<&str>, name: &str) -> Result<Reply, ApiError> {
    let caller = ask.principal()?;
    let revoked = ask.context.accounts.revoke_key(owner, name, &caller.by()).await?;
    let key = revoked.keys.first().ok_or(ApiError::NotFound)?;
    let value = views::key(urls(ask), key, organization, Some(caller), None);
    Ok(Reply::ok(views::revoked(Some(value), &revoked.heirs)))
}

/// Revokes all keys of the caller, including the key that authenticates the request.
async fn revoke_keys(ask: ApiRequest) -> Result<Reply, ApiError> {
    end_keys(&ask, own_for_change(&ask)?, None).await
}

async fn revoke_organization_keys(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let owner = organization_to_change(&ask, &name).await?;
    end_keys(&ask, owner, Some(&name)).await
}

/// Revokes all keys of an owner. The answer contains the key that authenticated the request, if it is one of them.
async fn end_keys(ask: &ApiRequest, owner: Owner, organization: Option<&str>) -> Result<Reply, ApiError> {
    let caller = ask.principal()?;
    let revoked = ask.context.accounts.revoke_all_keys(owner, &caller.by()).await?;
    let own = revoked.keys.iter().find(|key| matches!(caller.proof, Proof::Key { id, .. } if id == key.id));
    let view = |key| views::key(urls(ask), key, organization, Some(caller), None);
    Ok(Reply::ok(views::revoked(own.map(view), &revoked.heirs)))
}

/// Checks whether the credential has a permission; `hex.organization auth --key` uses this.
async fn auth(ask: ApiRequest) -> Result<Reply, ApiError> {
    let principal = ask.principal()?;
    let domain = ask.param("domain").filter(|domain| !domain.is_empty());
    let domain = domain.ok_or_else(|| ApiError::bad_request("missing required parameters: \"domain\""))?;
    let resource = ask.param("resource").filter(|resource| !resource.is_empty());
    let scope = || ApiError::from(Denied::Scope);
    if principal.proof == Proof::Password {
        return Err(scope());
    }
    let permissions = &principal.permissions;
    // The name of a repository has priority: an organization of the same name may be bound to other repositories, too.
    let repository = |name: &str| {
        let of_organization = || ask.context.catalog.iter().find(|one| one.access().organization() == Some(name));
        ask.context.catalog.get(name).or_else(of_organization).cloned()
    };
    match (domain, resource) {
        ("api", None | Some("read")) if permissions.api_read() => {}
        ("api", Some("write")) if permissions.api_write() => {}
        ("policy", Some("write")) if permissions.policy_write() => {}
        ("repositories", None) if permissions.scope().split(' ').any(|one| one == "repositories") => {}
        ("repository" | "docs", Some(name)) => {
            let found = repository(name).ok_or(Denied::Forbidden)?;
            let (key, organization) = (found.key().as_str(), found.access().organization());
            let is_good = match domain {
                "docs" => permissions.docs(key, organization),
                _ => permissions.repository(key, organization).is_some(),
            };
            if !is_good {
                return Err(scope());
            }
            found.access().read(&ask.caller)?;
        }
        ("package", Some(resource)) => {
            let (of, name) = resource.split_once('/').unwrap_or(("hexpm", resource));
            let found = repository(of).ok_or(Denied::Forbidden)?;
            let (key, organization) = (found.key().as_str(), found.access().organization());
            let local = found.as_local().ok_or(Denied::Forbidden)?;
            let name = super::packages::package_name(name)?;
            let exists = local.has_package(&name).await?;
            if !permissions.package(key, organization, name.as_str(), exists) {
                return Err(scope());
            }
            super::packages::require_write(&ask, local, &name, super::packages::Intent::Publish).await?;
        }
        _ => return Err(scope()),
    }
    let Proof::Key { name, .. } = &principal.proof else { return Ok(Reply::done()) };
    Ok(Reply::ok(views::bearer(name, &principal.who)))
}
