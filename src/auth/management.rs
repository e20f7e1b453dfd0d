//! Management of users, keys, organizations and grants: validates the input. The HTTP API checks who may do it.

use std::collections::BTreeSet;

use super::accounts::Accounts;
use super::error::AuthError;
use super::permission::Permissions;
use super::principal::Principal;
use super::secret::{KEY, KEY_BYTES, NoRandom, random_text};
use crate::clock::Timestamp;
use crate::display_text::is_plain;
use crate::hex::invalid::Invalid;
use crate::hex::limits;
use crate::secret::Secret;
use crate::state::audit::Actor;
use crate::state::keys::{Key, KeyRow, Revoked};
use crate::state::organizations::Organization;
use crate::state::users::{User, UserRow};
use crate::state::{AccountError, Owner, StateError};

/// Names that are reserved by Hex.
pub(super) const RESERVED: &[&str] = &["me", "hex", "hexpm", "elixir", "erlang", "otp"];

/// The shortest name of a user or an organization, and the shortest password.
pub(super) const NAME: usize = 3;
const PASSWORD: usize = 8;

/// The error of a change of accounts; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The change conflicts with the current state.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The input is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A new key would have more permissions than the credential that creates it.
    #[error("a key cannot have more permissions than the credential that creates it")]
    WiderThanOwn,
    /// The code of the second factor is wrong.
    #[error("the code of the second factor is wrong")]
    WrongCode,
    /// The user has no address to confirm.
    #[error("the user has no e-mail address to confirm: specify the address")]
    NoAddress,
    /// The files of a repository cannot be read; they contain the names of owners.
    #[error("cannot read the files of the local repositories")]
    Files(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A password cannot be hashed.
    #[error(transparent)]
    Password(#[from] AuthError),
    /// No random bytes are available for a secret.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

impl From<StateError> for ManageError {
    fn from(error: StateError) -> Self {
        Self::Account(error.into())
    }
}

/// A user to create.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Converted to lower case.
    pub name: String,
    /// The display name.
    pub full_name: Option<String>,
    /// Converted to lower case.
    pub email: Option<String>,
    /// `None` for robots.
    pub password: Option<Secret>,
    /// Whether the user is an administrator.
    pub administrator: bool,
}

/// A change of a user; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The display name.
    pub full_name: Option<Option<String>>,
    /// Converted to lower case.
    pub email: Option<Option<String>>,
    /// Whether the user is an administrator.
    pub administrator: Option<bool>,
}

/// A key to create.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The owner of the key.
    pub owner: Owner,
    /// The requested name.
    pub name: String,
    /// The permissions of the key.
    pub permissions: Permissions,
    /// The time at which the key expires.
    pub revoke_at: Option<Timestamp>,
}

impl Accounts {
    /// Creates a user for an administrator. The address counts as confirmed.
    pub async fn create_user(&self, new: NewUser, by: &Actor) -> Result<User, ManageError> {
        self.make_user(new, false, by).await
    }

    /// Creates a user who signs up. The address stays unconfirmed. The names of existing owners and publishers cannot
    /// be used, since the user would own their packages. `in_files` returns the names in the files of all repositories;
    /// it is called once, since later names are in the database, too.
    pub async fn sign_up<E: std::error::Error + Send + Sync + 'static>(
        &self,
        new: NewUser,
        in_files: impl Future<Output = Result<BTreeSet<String>, E>>,
        by: &Actor,
    ) -> Result<User, ManageError> {
        let named = self.named_in_files.get_or_try_init(|| in_files).await;
        let named = named.map_err(|error| ManageError::Files(Box::new(error)))?;
        if named.contains(&new.name.to_lowercase()) {
            return Err(AccountError::NameTaken.into());
        }
        self.make_user(NewUser { administrator: false, ..new }, true, by).await
    }

    /// Confirms the address from the sign-up, or sets another one, which then counts as confirmed.
    pub async fn confirm_email(&self, name: &str, email: Option<String>, by: &Actor) -> Result<User, ManageError> {
        let user = self.known_user(name).await?;
        let email = email.or(user.unconfirmed_email).or(user.email).ok_or(ManageError::NoAddress)?;
        self.update_user(name, UserChange { email: Some(Some(email)), ..UserChange::default() }, by).await
    }

    async fn make_user(&self, new: NewUser, signs_up: bool, by: &Actor) -> Result<User, ManageError> {
        let (name, email) = (new.name.to_lowercase(), new.email.map(|email| email.to_lowercase()));
        let mut found = Invalid::default();
        if let Err(fault) = check_user_name(&name) {
            found.push(&["username"], fault);
        }
        if email.as_deref().is_some_and(|email| !is_email(email)) {
            found.push(&["email"], "has invalid format");
        }
        if let Some(Err(fault)) = new.password.as_ref().map(check_password) {
            found.push(&["password"], fault);
        }
        if new.full_name.as_deref().is_some_and(|text| !is_label(text)) {
            found.push(&["full_name"], "is invalid");
        }
        found.into_result(())?;
        let hash = match &new.password {
            Some(password) => Some(self.passwords.hash(password.expose()).await?),
            None => None,
        };
        let row = UserRow {
            name: &name,
            full_name: new.full_name.as_deref(),
            email: email.as_deref(),
            password: hash.as_ref(),
            administrator: new.administrator,
            signs_up,
        };
        let user = self.state.create_user(self.clock.now(), &row, by).await?;
        self.clear_cache();
        Ok(user)
    }

    /// The user with this name or confirmed e-mail address.
    pub async fn user(&self, name_or_email: &str) -> Result<Option<User>, StateError> {
        self.state.user(&name_or_email.to_lowercase()).await
    }

    /// All users, sorted by name.
    pub async fn list_users(&self) -> Result<Vec<User>, StateError> {
        self.state.users().await
    }

    /// Changes a user.
    pub async fn update_user(&self, name: &str, change: UserChange, by: &Actor) -> Result<User, ManageError> {
        let mut user = self.known_user(name).await?;
        user.full_name = change.full_name.unwrap_or(user.full_name);
        user.email = change.email.map_or(user.email, |email| email.map(|email| email.to_lowercase()));
        user.administrator = change.administrator.unwrap_or(user.administrator);
        let mut found = Invalid::default();
        if user.email.as_deref().is_some_and(|email| !is_email(email)) {
            found.push(&["email"], "has invalid format");
        }
        if user.full_name.as_deref().is_some_and(|text| !is_label(text)) {
            found.push(&["full_name"], "is invalid");
        }
        found.into_result(())?;
        self.state.update_user(self.clock.now(), &user, by).await?;
        self.clear_cache();
        self.known_user(name).await
    }

    /// Sets or removes a user's password, and ends the user's OAuth sessions.
    pub async fn set_password(&self, name: &str, password: Option<&Secret>, by: &Actor) -> Result<(), ManageError> {
        let user = self.known_user(name).await?;
        let hash = match password {
            Some(password) => {
                check_password(password).map_err(|fault| Invalid::of("password", fault))?;
                Some(self.passwords.hash(password.expose()).await?)
            }
            None => None,
        };
        self.state.set_password(self.clock.now(), &user, hash.as_ref(), by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Deactivates a user. OAuth sessions end permanently; keys and the password are rejected until the user is
    /// reactivated.
    pub async fn deactivate_user(&self, name: &str, by: &Actor) -> Result<(), ManageError> {
        self.set_active(name, false, by).await
    }

    /// Reactivates a user.
    pub async fn reactivate_user(&self, name: &str, by: &Actor) -> Result<(), ManageError> {
        self.set_active(name, true, by).await
    }

    async fn set_active(&self, name: &str, active: bool, by: &Actor) -> Result<(), ManageError> {
        let user = self.known_user(name).await?;
        self.state.set_active(self.clock.now(), &user, active, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Creates a key; its text is only returned here. A key that is created with a credential has at most the
    /// permissions of that credential. If the credential is a key, or comes from one, the new key is revoked together
    /// with it.
    pub async fn create_key(
        &self,
        new: NewKey,
        minted_by: Option<&Principal>,
        by: &Actor,
    ) -> Result<(Secret, Key), ManageError> {
        let now = self.clock.now();
        let mut found = Invalid::default();
        if new.name.trim().is_empty() {
            found.push(&["name"], "can't be blank");
        } else if let Err(fault) = check_key_name(&new.name) {
            found.push(&["name"], fault);
        }
        if new.revoke_at.is_some_and(|end| end <= now) {
            found.push(&["revoke_at"], "must be in the future");
        }
        if new.revoke_at.is_some_and(|end| end > Timestamp::LAST) {
            found.push(&["revoke_at"], "must be before the year 10000");
        }
        if new.permissions.is_empty() || new.permissions.is_everything() {
            found.push(&["permissions"], "can't be blank");
        }
        found.into_result(())?;
        let is_wider = |principal: &Principal| {
            new.permissions.policy_write() && !principal.is_administrator()
                || !principal.permissions.may_create_key_with(&new.permissions.without_policy_write())
        };
        if minted_by.is_some_and(is_wider) {
            return Err(ManageError::WiderThanOwn);
        }
        let subject = self.subject(new.owner).await?;
        let secret = random_text::<KEY_BYTES>(KEY)?;
        let (lookup, compared) = self.secret.halves(&secret);
        let row = KeyRow {
            owner: new.owner,
            subject: &subject,
            name: &new.name,
            lookup: &lookup,
            compared: &compared,
            permissions: &new.permissions.to_json(),
            revoke_at: new.revoke_at,
        };
        let key = self.state.create_key(now, &row, by).await?;
        Ok((Secret::new(secret), key))
    }

    /// The active keys of an owner, sorted by name.
    pub async fn list_keys(&self, owner: Owner) -> Result<Vec<Key>, StateError> {
        self.state.keys(owner, self.clock.now()).await
    }

    /// Revokes the key with this name, the keys that were created with it, and the tokens that were exchanged for any
    /// of them.
    pub async fn revoke_key(&self, owner: Owner, name: &str, by: &Actor) -> Result<Revoked, ManageError> {
        let subject = self.subject(owner).await?;
        let revoked = self.state.revoke_keys(self.clock.now(), (owner, &subject), Some(name), by).await?;
        self.clear_cache();
        if revoked.keys.is_empty() { Err(AccountError::UnknownKey.into()) } else { Ok(revoked) }
    }

    /// Revokes all keys of an owner, and the keys of other owners that were created with them.
    pub async fn revoke_all_keys(&self, owner: Owner, by: &Actor) -> Result<Revoked, ManageError> {
        let subject = self.subject(owner).await?;
        let revoked = self.state.revoke_keys(self.clock.now(), (owner, &subject), None, by).await?;
        self.clear_cache();
        Ok(revoked)
    }

    pub(super) async fn known_user(&self, name: &str) -> Result<User, ManageError> {
        Ok(self.user(name).await?.ok_or(AccountError::UnknownUser)?)
    }

    pub(super) async fn known_organization(&self, name: &str) -> Result<Organization, ManageError> {
        Ok(self.state.organization(name).await?.ok_or(AccountError::UnknownOrganization)?)
    }

    /// An owner in the form of the audit log.
    pub(super) async fn subject(&self, owner: Owner) -> Result<String, AccountError> {
        Ok(match owner {
            Owner::User(id) => {
                format!("user:{}", self.state.user_of(id).await?.ok_or(AccountError::UnknownUser)?.name)
            }
            Owner::Organization(id) => {
                let found = self.state.organization_of(id).await?;
                format!("org:{}", found.ok_or(AccountError::UnknownOrganization)?.name)
            }
        })
    }
}

/// The rule for user names.
const USER_NAME: &str = "has invalid format: use only lower-case letters, digits, `_`, `-` and `.`";

fn check_user_name(name: &str) -> Result<(), &'static str> {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    match name {
        _ if name.len() < NAME => Err("should be at least 3 character(s)"),
        _ if name.len() > limits::REPO_NAME => Err("should be at most 64 character(s)"),
        _ if !name.bytes().all(is_part) || name.bytes().all(|byte| byte == b'.') => Err(USER_NAME),
        _ if RESERVED.contains(&name) => Err("is reserved"),
        _ => Ok(()),
    }
}

fn check_password(password: &Secret) -> Result<(), &'static str> {
    match password.expose() {
        text if text.chars().count() < PASSWORD => Err("should be at least 8 character(s)"),
        text if text.len() > limits::PASSWORD => Err("should be at most 1024 byte(s)"),
        _ => Ok(()),
    }
}

/// The name of a key is part of URLs, and is shown to people who decide by it.
fn check_key_name(name: &str) -> Result<(), &'static str> {
    match name {
        _ if !is_label(name) => Err("should be one line of at most 255 characters"),
        _ if !is_plain(name) => Err("contains invisible characters or characters that change the direction of text"),
        // Clients interpret these as relative path segments, or as an escaped character.
        "." | ".." => Err("cannot be `.` or `..`, which have another meaning in a URL"),
        _ if has_escape(name) => Err("cannot contain `%2e`, which has another meaning in a URL"),
        _ => Ok(()),
    }
}

/// Whether a text contains `%2e`.
fn has_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|part| matches!(part, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Whether a text has one `@`, and no characters that have another meaning in a header or a page.
fn is_email(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let parts: Vec<&str> = text.split('@').collect();
    text.len() <= 254
        && is_plain(text)
        && parts.len() == 2
        && parts.into_iter().all(is_part)
        && !text.contains(['<', '>', '"', ','])
}

/// Whether a text for people is short and on one line.
fn is_label(text: &str) -> bool {
    text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
