//! What is done to users, keys, organizations and rights: the text is checked here, and who may do it at the edge.

use std::collections::BTreeSet;

use super::accounts::Accounts;
use super::error::AuthError;
use super::password;
use super::permission::Permissions;
use super::principal::Principal;
use super::secret::{KEY, NoRandom, random_text};
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

/// Names that belong to Hex.
pub(super) const RESERVED: &[&str] = &["me", "hex", "hexpm", "elixir", "erlang", "otp"];

/// Shortest name of a user or an organization, and of a password.
pub(super) const NAME: usize = 3;
const PASSWORD: usize = 8;

/// Why something about accounts was not done; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// It cannot be done as things are.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// What was sent is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A key was to be able to do more than the credential that makes it.
    #[error("a key cannot be made that may do more than the credential that makes it")]
    WiderThanOwn,
    /// The code of the second factor is wrong.
    #[error("the code of the second factor is wrong")]
    WrongCode,
    /// There is no address to be confirmed.
    #[error("the user gave no e-mail address: say which one is the user's")]
    NoAddress,
    /// The files of a repository, which name their owners, cannot be read.
    #[error("the files of the local repositories cannot be read")]
    Files(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] AuthError),
    /// Nothing secret can be made.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

impl From<StateError> for ManageError {
    fn from(error: StateError) -> Self {
        Self::Account(error.into())
    }
}

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Is made lower case.
    pub name: String,
    /// What people call them.
    pub full_name: Option<String>,
    /// Is made lower case.
    pub email: Option<String>,
    /// Robots have none.
    pub password: Option<Secret>,
    /// Whether everything is allowed.
    pub administrator: bool,
}

/// What of a user is to be changed; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// What people call them.
    pub full_name: Option<Option<String>>,
    /// Is made lower case.
    pub email: Option<Option<String>>,
    /// Whether everything is allowed.
    pub administrator: Option<bool>,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose it is to be.
    pub owner: Owner,
    /// The name that is wished for.
    pub name: String,
    /// What it is good for.
    pub permissions: Permissions,
    /// When it ends by itself.
    pub revoke_at: Option<Timestamp>,
}

impl Accounts {
    /// Makes a user on an administrator's word, which confirms the address.
    pub async fn create_user(&self, new: NewUser, by: &Actor) -> Result<User, ManageError> {
        self.make_user(new, false, by).await
    }

    /// Makes a user who asks for it. The address stays unconfirmed, and a name that packages name as their owner's or
    /// publisher's is taken: whoever has it owns them. `in_files` says which names the files of all repositories have;
    /// it is asked once, as what is written later is in the database, too.
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

    /// Confirms the address that a user gave at sign-up, or sets another one, which is confirmed as well.
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
        found.unless(())?;
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
        self.changed();
        Ok(user)
    }

    /// The user of a name or a confirmed e-mail address.
    pub async fn user(&self, name_or_email: &str) -> Result<Option<User>, StateError> {
        self.state.user(&name_or_email.to_lowercase()).await
    }

    /// All users by name.
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
        found.unless(())?;
        self.state.update_user(self.clock.now(), &user, by).await?;
        self.changed();
        self.known_user(name).await
    }

    /// Sets a user's password, or takes it away; the user's OAuth sessions end.
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
        self.changed();
        Ok(())
    }

    /// Shuts a user out. Log-ins of programs end for good; keys and the password do nothing until the user is let in again.
    pub async fn deactivate_user(&self, name: &str, by: &Actor) -> Result<(), ManageError> {
        self.set_active(name, false, by).await
    }

    /// Lets a user in again who was shut out.
    pub async fn reactivate_user(&self, name: &str, by: &Actor) -> Result<(), ManageError> {
        self.set_active(name, true, by).await
    }

    async fn set_active(&self, name: &str, active: bool, by: &Actor) -> Result<(), ManageError> {
        let user = self.known_user(name).await?;
        self.state.set_active(self.clock.now(), &user, active, by).await?;
        self.changed();
        Ok(())
    }

    /// Makes a key; its text is never seen again. Where a credential makes it, it is good for no more than that one, and
    /// where that is a key, or from one, it ends with it.
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
        found.unless(())?;
        let is_wider = |principal: &Principal| {
            new.permissions.policy_write() && !principal.is_administrator()
                || !principal.permissions.may_mint(&new.permissions.without_policy_write())
        };
        if minted_by.is_some_and(is_wider) {
            return Err(ManageError::WiderThanOwn);
        }
        let subject = self.subject(new.owner).await?;
        let secret = random_text::<16>(KEY)?;
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

    /// The live keys of an owner by name.
    pub async fn list_keys(&self, owner: Owner) -> Result<Vec<Key>, StateError> {
        self.state.keys(owner, self.clock.now()).await
    }

    /// Revokes the key of a name, with the keys that were made by it and the tokens that were exchanged for one of them.
    pub async fn revoke_key(&self, owner: Owner, name: &str, by: &Actor) -> Result<Revoked, ManageError> {
        let subject = self.subject(owner).await?;
        let revoked = self.state.revoke_keys(self.clock.now(), (owner, &subject), Some(name), by).await?;
        self.changed();
        if revoked.keys.is_empty() { Err(AccountError::UnknownKey.into()) } else { Ok(revoked) }
    }

    /// Revokes all keys of an owner, with those of others that were made by them.
    pub async fn revoke_all_keys(&self, owner: Owner, by: &Actor) -> Result<Revoked, ManageError> {
        let subject = self.subject(owner).await?;
        let revoked = self.state.revoke_keys(self.clock.now(), (owner, &subject), None, by).await?;
        self.changed();
        Ok(revoked)
    }

    pub(super) async fn known_user(&self, name: &str) -> Result<User, ManageError> {
        Ok(self.user(name).await?.ok_or(AccountError::UnknownUser)?)
    }

    pub(super) async fn known_organization(&self, name: &str) -> Result<Organization, ManageError> {
        Ok(self.state.organization(name).await?.ok_or(AccountError::UnknownOrganization)?)
    }

    /// An owner as the audit log names it.
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

/// What a user may be called.
const USER_NAME: &str = "has invalid format: a name has lower case letters, digits, `_`, `-` and `.`";

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
        text if text.len() > password::MOST => Err("should be at most 1024 byte(s)"),
        _ => Ok(()),
    }
}

/// The name of a key stands in addresses, and is shown to people who decide by it.
fn check_key_name(name: &str) -> Result<(), &'static str> {
    match name {
        _ if !is_label(name) => Err("should be at most 255 characters, of one line"),
        _ if !is_plain(name) => Err("has characters that are not shown as what they are"),
        // Clients take these for steps in a path, and an escape for what it stands for.
        "." | ".." => Err("is no name that an address can hold"),
        _ if has_escape(name) => Err("has an escape, which an address takes for another character"),
        _ => Ok(()),
    }
}

/// Whether there is a `%2e` in a text.
fn has_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|part| matches!(part, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Something, one `@`, something with nothing in it that could be mistaken in a header or a page.
fn is_email(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let parts: Vec<&str> = text.split('@').collect();
    text.len() <= 254
        && is_plain(text)
        && parts.len() == 2
        && parts.into_iter().all(is_part)
        && !text.contains(['<', '>', '"', ','])
}

/// Text for people: short, and of one line.
fn is_label(text: &str) -> bool {
    text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
