//! JSON of users, organizations, members, owners and keys.

use serde_json::{Map, Value, json};

use super::{time, with, with_some};
use crate::api::urls::Urls;
use crate::auth::{Key, LastUse, Member, Organization, OwnerLevel, Permissions, Principal, Proof, Role, Subject, User};

/// A package that a user owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) struct OwnedPackage {
    /// The key of its repository.
    pub(in crate::api) repository: String,
    /// Its name.
    pub(in crate::api) name: String,
    /// The URL of the package.
    pub(in crate::api) url: String,
}

/// A user, with the packages and the email address that the caller may see.
pub(in crate::api) fn user(places: Urls<'_>, user: &User, packages: &[OwnedPackage], email: Option<&str>) -> Value {
    let owned: Vec<Value> = packages
        .iter()
        .map(|OwnedPackage { repository, name, url }| {
            json!({"name": name, "repository": repository, "url": url, "html_url": url})
        })
        .collect();
    let by_name: Map<String, Value> =
        packages.iter().map(|package| (package.name.clone(), Value::from(package.url.as_str()))).collect();
    let value = json!({
        "username": user.name,
        "handles": {},
        "url": places.user(&user.name),
        "inserted_at": time(user.created_at),
        "updated_at": time(user.updated_at),
        "packages": owned,
        "owned_packages": by_name,
    });
    with_some(with_some(value, "full_name", user.full_name.as_deref()), "email", email)
}

/// A user with the user's organizations, for the user only.
pub(in crate::api) fn own_user(user: Value, memberships: &[(Organization, Role)]) -> Value {
    let organizations = memberships.iter().map(|(one, role)| json!({"name": one.name, "role": role.as_str()}));
    with(user, "organizations", organizations.collect::<Vec<_>>())
}

/// A user as a member of an organization, with this role.
pub(in crate::api) fn member_user(user: Value, role: Role) -> Value {
    with(user, "role", role.as_str())
}

/// An owner of a package: the account or, if it was deleted, only its name. mix lists owners by `email` and also
/// accepts a name there. So `email` contains the name, since only the user and administrators may see the address.
pub(in crate::api) fn owner(account: Value, username: &str, level: OwnerLevel) -> Value {
    with(with(account, "email", username), "level", level.as_str())
}

/// An organization.
pub(in crate::api) fn organization(organization: &Organization) -> Value {
    json!({
        "name": organization.name,
        // There is no billing, and seats are unlimited.
        "billing_active": true,
        "seats": null,
        "inserted_at": time(organization.created_at),
        "updated_at": time(organization.updated_at),
    })
}

/// An organization with its members, each as [`member`].
pub(in crate::api) fn organization_with(of: &Organization, members: Vec<Value>) -> Value {
    with(organization(of), "users", members)
}

/// A member of an organization, with the email address that the caller may see.
pub(in crate::api) fn member(places: Urls<'_>, member: &Member, email: Option<&str>) -> Value {
    let value = json!({
        "username": member.name,
        "url": places.user(&member.name),
        "role": member.role.as_str(),
    });
    with_some(value, "email", email)
}

/// A key; its secret is shown once, when the key is created.
pub(in crate::api) fn key(
    places: Urls<'_>,
    key: &Key,
    organization: Option<&str>,
    caller: Option<&Principal>,
    secret: Option<&str>,
) -> Value {
    let permissions: Vec<Value> = Permissions::from_json(&key.permissions)
        .iter()
        .map(|permission| {
            let (domain, resource) = permission.pair();
            json!({"domain": domain, "resource": resource})
        })
        .collect();
    let authing = caller.is_some_and(|caller| matches!(caller.proof, Proof::Key { id, .. } if id == key.id));
    json!({
        "name": key.name,
        "secret": secret,
        "authing_key": authing,
        "permissions": permissions,
        "revoke_at": key.revoke_at.map(time),
        "revoked_at": key.revoked_at.map(time),
        "inserted_at": time(key.created_at),
        "updated_at": time(key.updated_at),
        "url": places.key(&key.name, organization),
        "last_use": key.last_use.as_ref().map(last_use),
    })
}

fn last_use(used: &LastUse) -> Value {
    json!({
        "used_at": time(used.at),
        "ip": used.address.map(|address| address.to_string()),
        "user_agent": used.agent,
    })
}

/// Revoked keys: the one in the answer, if any, and the keys that were revoked with it because it created them.
pub(in crate::api) fn revoked(shown: Option<Value>, heirs: &[(String, Key)]) -> Value {
    let value = shown.unwrap_or_else(|| json!({}));
    let heirs: Vec<Value> = heirs.iter().map(|(owner, key)| json!({"name": key.name, "owner": owner})).collect();
    if heirs.is_empty() { value } else { with(value, "also_revoked", heirs) }
}

/// The key that authenticates a request, and its owner.
pub(in crate::api) fn bearer(key: &str, who: &Subject) -> Value {
    let (kind, name) = match who {
        Subject::User { name, .. } => ("user", name),
        Subject::Organization { name, .. } => ("organization", name),
    };
    json!({"key": {"name": key, "owner": {"type": kind, "name": name}}})
}
