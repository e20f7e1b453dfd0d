//! Commands about API keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::commands::{Account, KeyCommand};
use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::auth::{Caller, Key, NewKey, Owner, Permission, Permissions};
use crate::clock::Timestamp;
use crate::display_text::shown;
use crate::repository::Repository;
use crate::state::audit::Actor;

const DAY: u64 = 24 * 3600;

/// The result of a key command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOutcome {
    /// A key was created.
    Created {
        /// The key itself.
        secret: String,
        /// Name of the key.
        name: String,
        /// Permissions that have no effect at present.
        useless: Vec<IneffectivePermission>,
    },
    /// The keys of an account.
    Listed(Vec<ListedKey>),
    /// A key was revoked.
    Revoked {
        /// Name of the key.
        name: String,
        /// Keys that were created with it, and their owners: they are revoked too.
        heirs: Vec<DerivedKey>,
    },
}

/// A permission that has no effect at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IneffectivePermission {
    /// The permission.
    pub permission: String,
    /// The repository or organization in the permission.
    pub place: String,
    /// The account without read access to it; `None`: there is no such repository or organization.
    pub may_not_read: Option<String>,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedKey {
    /// Name of the key.
    pub name: String,
    /// Permissions of the key.
    pub scope: String,
    /// Time at which it expires.
    pub ends: Option<Timestamp>,
}

/// A key that was created with another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedKey {
    /// Name of the key.
    pub name: String,
    /// Account that owned it.
    pub owner: String,
}

impl IneffectivePermission {
    fn sentence(&self) -> String {
        let Self { permission, place, may_not_read } = self;
        match may_not_read {
            None => format!(
                "`{permission}` has no effect yet: neither a repository `{place}` nor a repository of an organization `{place}` is configured"
            ),
            Some(account) => format!(
                "`{permission}` has no effect yet: {account} has no read access to `{place}`; give access with `hexkeep org member` or `hexkeep grant add`"
            ),
        }
    }
}

impl KeyOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Created { secret, name, useless } => {
                let mut text = Text::line(secret);
                text.remarks
                    .push(format!("created key {}; save it now, because it cannot be shown again", shown(name)));
                text.remarks.extend(useless.iter().map(IneffectivePermission::sentence));
                text
            }
            Self::Listed(keys) => Text::lines(keys.iter().map(|ListedKey { name, scope, ends }| {
                let ends = ends.map_or_else(|| "-".to_owned(), |end| end.to_string());
                format!("{}\t{scope}\t{ends}", shown(name))
            })),
            Self::Revoked { name, heirs } => {
                let mut text = Text::remark(format!("revoked key {}", shown(name)));
                let count = match heirs.len() {
                    0 => return text,
                    1 => "also revoked 1 key that was created with it".to_owned(),
                    many => format!("also revoked {many} keys that were created with it"),
                };
                let heirs = heirs.iter().map(|heir| format!("{} of {}", shown(&heir.name), heir.owner));
                text.remarks.push(format!("{count}: {}", heirs.collect::<Vec<_>>().join(", ")));
                text
            }
        }
    }
}

impl Operator {
    pub(super) async fn run_key_command(&self, command: KeyCommand, by: &Actor) -> Result<KeyOutcome, OperationError> {
        Ok(match command {
            KeyCommand::Create { owner, name, permissions, days } => {
                self.create_key(&owner, name, &permissions, days, by).await?
            }
            KeyCommand::List { owner } => {
                let keys = self.accounts().list_keys(self.owner(&owner).await?).await?;
                let listed = |key: Key| ListedKey {
                    scope: Permissions::from_json(&key.permissions).scope(),
                    name: key.name,
                    ends: key.revoke_at,
                };
                KeyOutcome::Listed(keys.into_iter().map(listed).collect())
            }
            KeyCommand::Revoke { owner, name } => {
                let owner = self.owner(&owner).await?;
                let revoked = self.accounts().revoke_key(owner, &name, by).await?;
                let heirs = revoked.heirs.into_iter().map(|(owner, key)| DerivedKey { name: key.name, owner });
                KeyOutcome::Revoked { name, heirs: heirs.collect() }
            }
        })
    }

    async fn create_key(
        &self,
        account: &Account,
        name: String,
        permissions: &[String],
        days: Option<u64>,
        by: &Actor,
    ) -> Result<KeyOutcome, OperationError> {
        let owner = self.owner(account).await?;
        let permissions = read_permissions(permissions)?;
        let end = |days: u64| self.shared.clock.now().plus(Duration::from_secs(days.saturating_mul(DAY)));
        let new = NewKey { owner, name, permissions: permissions.clone(), revoke_at: days.map(end) };
        let (secret, key) = self.accounts().create_key(new, None, by).await?;
        let useless = self.ineffective_permissions(owner, &permissions).await?;
        Ok(KeyOutcome::Created { secret: secret.expose().to_owned(), name: key.name, useless })
    }

    /// The permissions that have no effect at present. The key gets them anyway, because the repository may be
    /// configured, or read access granted, later.
    async fn ineffective_permissions(
        &self,
        owner: Owner,
        permissions: &Permissions,
    ) -> Result<Vec<IneffectivePermission>, OperationError> {
        let Some(principal) = self.accounts().principal_of(owner).await? else { return Ok(Vec::new()) };
        let account = principal.by().actor.unwrap_or_default();
        let caller = Caller::Known(principal);
        let repositories = self.repositories();
        let mut useless = Vec::new();
        for permission in permissions.iter() {
            let (Permission::Repository(place) | Permission::Docs(place) | Permission::Package(Some(place))) =
                permission
            else {
                continue;
            };
            let wanted = place.split('/').next().unwrap_or(place);
            let called =
                |one: &&Repository| one.key().as_str() == wanted || one.access().organization() == Some(wanted);
            let found: Vec<&Repository> = repositories.iter().filter(called).collect();
            if found.iter().any(|one| one.access().read_api(&caller).is_ok()) {
                continue;
            }
            let may_not_read = (!found.is_empty()).then(|| account.clone());
            useless.push(IneffectivePermission {
                permission: permission.to_string(),
                place: wanted.to_owned(),
                may_not_read,
            });
        }
        Ok(useless)
    }
}

fn read_permissions(words: &[String]) -> Result<Permissions, Refusal> {
    let mut permissions = Vec::new();
    for word in words {
        let (domain, resource) = match word.split_once(':') {
            Some((domain, resource)) => (domain, Some(resource)),
            None => (word.as_str(), None),
        };
        let permission = Permission::from_pair(domain, resource);
        permissions.push(permission.map_err(|why| Refusal::Permission { word: word.clone(), why: why.to_string() })?);
    }
    Ok(Permissions::of(permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_not_called_keys() {
        let heir = DerivedKey { name: "second".to_owned(), owner: "org:acme".to_owned() };
        for (heirs, said) in [
            (vec![], None),
            (vec![heir.clone()], Some("also revoked 1 key that was created with it: second of org:acme")),
            (
                vec![heir.clone(), heir],
                Some("also revoked 2 keys that were created with it: second of org:acme, second of org:acme"),
            ),
        ] {
            let text = KeyOutcome::Revoked { name: "first".to_owned(), heirs }.text();
            assert_eq!(text.remarks.first().map(String::as_str), Some("revoked key first"));
            assert_eq!(text.remarks.get(1).map(String::as_str), said);
        }
    }
}
