//! API routes for users, organizations and members.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::body::Fields;
use super::error::ApiError;
use super::fields::{ListField, TableItem, TextField};
use super::reauthorize::permission_ended;
use super::reply::Reply;
use super::request::ApiRequest;
use super::urls::urls;
use super::views::{self, OwnedPackage};
use crate::auth::{
    AccountError, AuthError, Denied, ManageError, Member, NewUser, Organization, Owner, Principal, Role, Subject, User,
};
use crate::repository::Repository;
use crate::secret::Secret;
use crate::state::audit::Actor;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/users", axum::routing::post(sign_up))
        .route("/users/me", get(me))
        .route("/users/me/audit-logs", get(my_audit_log))
        .route("/users/{name}", get(show_user))
        .route("/users/{name}/reset", axum::routing::post(reset_password))
        .route("/orgs", get(organizations))
        .route("/orgs/{organization}", get(show_organization).post(update_organization))
        .route("/orgs/{organization}/audit-logs", get(organization_audit_log))
        .route("/orgs/{organization}/members", get(members).post(add_member))
        .route("/orgs/{organization}/members/{name}", get(member).post(set_role).delete(remove_member))
}

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> Self {
        let field = |field: &str| Self::invalid(field, error.to_string());
        match &error {
            ManageError::Invalid(invalid) => Self::Invalid(invalid.clone()),
            ManageError::WiderThanOwn => field("permissions"),
            ManageError::WrongCode => field("code"),
            ManageError::Account(account) => match account {
                AccountError::State(_) => Self::internal(&error),
                AccountError::NameTaken => field("username"),
                AccountError::MakerEnded => AuthError::RevokedKey.into(),
                AccountError::EmailTaken => field("email"),
                AccountError::AlreadyMember => field("user_id"),
                AccountError::LastAdmin => field("role"),
                AccountError::LastAdministrator => field("administrator"),
                AccountError::LastMember => field("name"),
                AccountError::UnknownUser
                | AccountError::UnknownOrganization
                | AccountError::UnknownKey
                | AccountError::UnknownGrant
                | AccountError::UnknownSession
                | AccountError::NotMember => Self::NotFound,
            },
            ManageError::NoAddress => field("email"),
            ManageError::Password(_) | ManageError::Random(_) | ManageError::Files(_) => Self::internal(&error),
        }
    }
}

/// A new user. Without `email`, the first address in `emails` is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserFields {
    username: TextField,
    full_name: TextField,
    email: TextField,
    emails: ListField<TableItem<EmailFields>>,
    password: TextField,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EmailFields {
    email: TextField,
}

impl Fields for UserFields {}

/// A new member, or the new role of a member.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MemberFields {
    name: TextField,
    role: TextField,
}

impl Fields for MemberFields {}

/// The caller, if its credential may read the API.
pub(super) fn require_api_read(ask: &ApiRequest) -> Result<&Principal, ApiError> {
    let principal = ask.principal()?;
    if principal.permissions.api_read() { Ok(principal) } else { Err(Denied::Scope.into()) }
}

async fn own_user(ask: &ApiRequest) -> Result<User, ApiError> {
    let principal = require_api_read(ask)?;
    // The key of an organization does not belong to a user.
    let name = principal.user().ok_or(ApiError::NotFound)?;
    ask.context.accounts.user(name).await?.ok_or(ApiError::NotFound)
}

/// The packages that a user owns, as far as the caller may see them.
async fn owned_packages(ask: &ApiRequest, username: &str) -> Result<Vec<OwnedPackage>, ApiError> {
    let mut packages = Vec::new();
    for (repository, grant) in ask.context.catalog.readable(&ask.caller) {
        let (Some(local), Some(shop)) = (repository.as_local(), urls(ask).of(repository)) else { continue };
        let names = local.owned(&grant, username).await?.into_iter();
        packages.extend(names.map(|name| OwnedPackage {
            repository: local.key().to_string(),
            url: shop.package(&name),
            name,
        }));
    }
    packages.sort();
    Ok(packages)
}

async fn sign_up(ask: ApiRequest) -> Result<Reply, ApiError> {
    if !ask.context.accounts.options().sign_up {
        return Err(ApiError::Forbidden(
            "only an administrator can create accounts on this server: hexkeep user add NAME".into(),
        ));
    }
    let fields: UserFields = ask.fields().await?;
    let listed = match &fields.emails {
        ListField::Is(emails) => emails.first().and_then(|first| first.0.as_ref()?.email.if_text()),
        ListField::Missing | ListField::Other => None,
    };
    let email = fields.email.get("email")?.or(listed);
    let password = fields.password.get("password")?.ok_or_else(|| ApiError::invalid("password", "can't be blank"))?;
    let new = NewUser {
        name: fields.username.get("username")?.unwrap_or_default().to_owned(),
        full_name: fields.full_name.get("full_name")?.map(str::to_owned),
        email: email.map(str::to_owned),
        password: Some(Secret::new(password)),
        administrator: false,
    };
    let by = Actor { address: Some(ask.context.client), ..Actor::default() };
    // A user with the name of an organization would block the creation of that organization.
    let is_configured =
        ask.context.catalog.iter().flat_map(Repository::account_names).any(|name| name == new.name.to_lowercase());
    if is_configured {
        return Err(ManageError::from(AccountError::NameTaken).into());
    }
    let local = ask.context.catalog.iter().find_map(|repository| repository.as_local());
    let in_files = async {
        match local {
            Some(local) => local.people_in_files().await,
            None => Ok(BTreeSet::new()),
        }
    };
    let user = ask.context.accounts.sign_up(new, in_files, &by).await?;
    // The new user has just sent the address, so the answer contains it even without a credential.
    let value = views::user(urls(&ask), &user, &[], user.unconfirmed_email.as_deref());
    Ok(Reply::created(value, urls(&ask).user(&user.name)))
}

/// The answer is the same for every name. rebar3 and mix print the message of a refusal, and "Email sent" otherwise.
async fn reset_password() -> Result<Reply, ApiError> {
    Err(ApiError::Forbidden(
        "this server does not send mail: ask an administrator to set a new password with `hexkeep user password NAME`"
            .into(),
    ))
}

/// Whether the caller may see the email address of a user. Users see their own and administrators see all, with a
/// credential that may read the API.
fn sees_address(ask: &ApiRequest, username: &str) -> bool {
    let sees = |principal: &Arc<Principal>| {
        principal.permissions.api_read() && (principal.is_administrator() || principal.user() == Some(username))
    };
    ask.caller.principal().is_some_and(sees)
}

/// A user with the fields that the caller may see.
fn user_view(ask: &ApiRequest, user: &User, packages: &[OwnedPackage]) -> Value {
    let email = user.email.as_deref().or(user.unconfirmed_email.as_deref());
    views::user(urls(ask), user, packages, email.filter(|_| sees_address(ask, &user.name)))
}

/// A member with the fields that the caller may see.
fn listed_member(ask: &ApiRequest, member: &Member) -> Value {
    let email = member.email.as_deref().filter(|_| sees_address(ask, &member.name));
    views::member(urls(ask), member, email)
}

async fn me(ask: ApiRequest) -> Result<Reply, ApiError> {
    let user = own_user(&ask).await?;
    let value = user_view(&ask, &user, &owned_packages(&ask, &user.name).await?);
    let memberships = ask.context.accounts.memberships(user.id).await?;
    Ok(Reply::ok(views::own_user(value, &memberships)))
}

/// Callers who may read the API see every user. Other callers see only the owners of public packages, and cannot find
/// out whether other users exist. If no repository is public, a credential is required.
async fn show_user(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    // The owner of a mirrored package is a user of the upstream.
    match visible_user(&ask, &name).await? {
        Some((user, packages)) => Ok(Reply::ok(user_view(&ask, &user, &packages))),
        None => upstream_user(&ask, &name).await,
    }
}

/// A user of the upstream, for a remote repository, or for a virtual one with a member whose upstream knows the user.
async fn upstream_user(ask: &ApiRequest, name: &str) -> Result<Reply, ApiError> {
    let (asked, grant) = ask.readable()?;
    let user = asked.upstream_user(&grant, name, ask.reading()).await?;
    let shop = urls(ask).of(user.home());
    Ok(Reply::ok(views::upstream_user(urls(ask), user.value(), shop.as_ref())).public(user.is_public()))
}

/// A user whom the caller may see, with those of the user's packages that the caller may see.
pub(super) async fn visible_user(ask: &ApiRequest, name: &str) -> Result<Option<(User, Vec<OwnedPackage>)>, ApiError> {
    let reads = match ask.caller.principal() {
        Some(principal) if principal.permissions.api_read() => true,
        _ if ask.context.catalog.iter().any(|repository| repository.access().is_open()) => false,
        Some(_) => return Err(Denied::Scope.into()),
        None => return Err(Denied::NeedsCredential.into()),
    };
    let Some(user) = find_user(ask, name).await? else { return Ok(None) };
    let packages = owned_packages(ask, &user.name).await?;
    Ok((reads || !packages.is_empty()).then_some((user, packages)))
}

/// The user with this name or, if the caller may see it, with this email address. Others cannot look up addresses.
pub(super) async fn find_user(ask: &ApiRequest, name_or_email: &str) -> Result<Option<User>, ApiError> {
    let user = ask.context.accounts.user(name_or_email).await?;
    let is_named = |user: &User| user.name == name_or_email.to_lowercase() || sees_address(ask, &user.name);
    Ok(user.filter(is_named))
}

fn page(ask: &ApiRequest) -> u32 {
    u32::try_from(ask.page()).unwrap_or(u32::MAX)
}

async fn my_audit_log(ask: ApiRequest) -> Result<Reply, ApiError> {
    let user = own_user(&ask).await?;
    let entries = ask.context.accounts.audit_of(Owner::User(user.id), page(&ask)).await?;
    Ok(Reply::ok(entries.iter().map(views::audit).collect()))
}

/// An organization in which the caller has at least this role, or which the caller administrates. It is hidden from
/// others.
pub(super) async fn organization(ask: &ApiRequest, name: &str, role: Role) -> Result<Organization, ApiError> {
    let principal = ask.principal()?;
    if role > Role::Read {
        principal.may_write_api()?;
    } else if !principal.permissions.api_read() {
        return Err(Denied::Scope.into());
    }
    let found = ask.context.accounts.organization(name).await?.ok_or(ApiError::NotFound)?;
    let is_own = matches!(&principal.who, Subject::Organization { name: own, .. } if own == name);
    match principal.roles.get(name) {
        _ if principal.is_administrator() => Ok(found),
        Some(has) if *has >= role => Ok(found),
        Some(_) => Err(Denied::Forbidden.into()),
        None if is_own && role <= Role::Write => Ok(found),
        None => Err(ApiError::NotFound),
    }
}

async fn organizations(ask: ApiRequest) -> Result<Reply, ApiError> {
    let Some(principal) = ask.caller.principal() else { return Ok(Reply::ok(Value::Array(Vec::new()))) };
    if !principal.permissions.api_read() {
        return Err(Denied::Scope.into());
    }
    let mut all = ask.context.accounts.organizations().await?;
    let is_own = |name: &str| matches!(&principal.who, Subject::Organization { name: own, .. } if own == name);
    all.retain(|one| principal.is_administrator() || principal.roles.contains_key(&one.name) || is_own(&one.name));
    Ok(Reply::ok(all.iter().map(views::organization).collect()))
}

async fn show_organization(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = organization(&ask, &name, Role::Read).await?;
    let members = ask.context.accounts.members(&name).await?;
    let members = members.iter().map(|one| listed_member(&ask, one)).collect();
    Ok(Reply::ok(views::organization_with(&found, members)))
}

/// On hex.pm this changes the number of seats. Seats are unlimited here, so it changes nothing.
async fn update_organization(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = organization(&ask, &name, Role::Admin).await?;
    Ok(Reply::ok(views::organization(&found)))
}

async fn organization_audit_log(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    let found = organization(&ask, &name, Role::Read).await?;
    let entries = ask.context.accounts.audit_of(Owner::Organization(found.id), page(&ask)).await?;
    Ok(Reply::ok(entries.iter().map(views::audit).collect()))
}

async fn members(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    organization(&ask, &name, Role::Read).await?;
    let members = ask.context.accounts.members(&name).await?;
    Ok(Reply::ok(members.iter().map(|one| listed_member(&ask, one)).collect()))
}

async fn member_view(ask: &ApiRequest, organization: &str, username: &str) -> Result<Value, ApiError> {
    let members = ask.context.accounts.members(organization).await?;
    let found = members.iter().find(|member| member.name == username).ok_or(ApiError::NotFound)?;
    let user = ask.context.accounts.user(username).await?.ok_or(ApiError::NotFound)?;
    Ok(views::member_user(user_view(ask, &user, &[]), found.role))
}

async fn member(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    organization(&ask, &name, Role::Read).await?;
    Ok(Reply::ok(member_view(&ask, &name, &username).await?))
}

fn role(fields: &MemberFields) -> Result<Role, ApiError> {
    match fields.role.get("role")? {
        None => Ok(Role::Read),
        Some(word) => Role::from_word(word).ok_or_else(|| ApiError::invalid("role", "is invalid")),
    }
}

async fn add_member(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    organization(&ask, &name, Role::Admin).await?;
    let fields: MemberFields = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    organization(&ask, &name, Role::Admin).await.map_err(permission_ended)?;
    let (wanted, role) = (fields.name.get("name")?.unwrap_or_default(), role(&fields)?);
    let user = ask.context.accounts.user(wanted).await?.ok_or_else(|| ApiError::invalid("name", "unknown user"))?;
    ask.context.accounts.add_member(&name, &user.name, role, &ask.principal()?.by()).await?;
    let location = urls(&ask).member(&name, &user.name);
    Ok(Reply { location: Some(location), ..Reply::ok(member_view(&ask, &name, &user.name).await?) })
}

async fn set_role(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    organization(&ask, &name, Role::Admin).await?;
    let role = role(&ask.fields().await?)?;
    let ask = ask.reauthenticated().await?;
    organization(&ask, &name, Role::Admin).await.map_err(permission_ended)?;
    ask.context.accounts.set_role(&name, &username, role, &ask.principal()?.by()).await?;
    Ok(Reply::ok(member_view(&ask, &name, &username).await?))
}

async fn remove_member(ask: ApiRequest, Path((name, username)): Path<(String, String)>) -> Result<Reply, ApiError> {
    organization(&ask, &name, Role::Admin).await?;
    ask.context.accounts.remove_member(&name, &username, &ask.principal()?.by()).await?;
    Ok(Reply::done())
}
