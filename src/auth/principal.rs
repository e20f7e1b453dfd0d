//! The caller of a request: its account, credential and permissions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::denied::Denied;
use super::permission::Permissions;
use crate::state::Owner;
use crate::state::audit::Actor;
pub use crate::state::organizations::Role;
pub use crate::state::packages::OwnerLevel;

/// The account of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person or a robot.
    User {
        /// The row id of the user.
        id: i64,
        /// The user's name.
        name: String,
        /// Whether the user is an administrator.
        administrator: bool,
    },
    /// An organization, with its own key.
    Organization {
        /// The row id of the organization.
        id: i64,
        /// The organization's name.
        name: String,
    },
}

/// The credential of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// User name and password.
    Password,
    /// An API key.
    Key {
        /// The row id of the key.
        id: i64,
        /// Its name.
        name: String,
    },
    /// An OAuth access token.
    Token {
        /// Its id.
        id: String,
        /// The API key that was exchanged for the token; such a token needs no second factor. `None` if a user approved
        /// a program.
        key: Option<ExchangedKey>,
    },
}

/// An API key that was exchanged for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangedKey {
    /// The row id of the key.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A caller whose credential was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account of the caller.
    pub who: Subject,
    /// The credential.
    pub proof: Proof,
    /// The permissions of the credential; never more than those of the account.
    pub permissions: Permissions,
    /// The roles in organizations, by name. The key of an organization has [`Role::Write`] in it.
    pub roles: BTreeMap<String, Role>,
    /// Grants of read access: repository key and package pattern.
    pub reads: Vec<(String, String)>,
    /// The state of the second factor.
    pub second_factor: SecondFactor,
    /// The IP address of the client.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of the client.
    pub agent: Option<String>,
}

/// The state of a caller's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// The account has no second factor, and none is required.
    NotNeeded,
    /// This kind of credential needs none (keys, passwords, tokens of organizations).
    Exempt,
    /// A code is required, but none was sent.
    Missing,
    /// The code was wrong.
    Wrong,
    /// The code was right.
    Shown,
    /// A second factor is required, but the account has none.
    NotSetUp,
    /// Too many wrong codes were sent.
    Exhausted,
}

impl Principal {
    /// The name of the user, if the caller is a user.
    pub fn user(&self) -> Option<&str> {
        match &self.who {
            Subject::User { name, .. } => Some(name),
            Subject::Organization { .. } => None,
        }
    }

    /// Whether the account, a user or an organization, has this name.
    pub fn is_named(&self, name: &str) -> bool {
        let (Subject::User { name: own, .. } | Subject::Organization { name: own, .. }) = &self.who;
        own == name
    }

    /// Whether the caller is an administrator.
    pub fn is_administrator(&self) -> bool {
        matches!(self.who, Subject::User { administrator: true, .. })
    }

    /// Whether the credential may write to the API outside of packages: organizations and members.
    pub fn may_write_api(&self) -> Result<(), Denied> {
        if !self.permissions.api_write() {
            return Err(Denied::Scope);
        }
        self.shown_second_factor()
    }

    /// Whether the caller may create and revoke keys: with a password, or with full access to the API.
    pub fn may_change_keys(&self) -> Result<(), Denied> {
        if !self.permissions.whole_api() {
            return Err(Denied::Scope);
        }
        self.shown_second_factor()
    }

    /// Whether the caller may run administrative commands. Some of them create keys and users, so the credential needs
    /// full access to the API.
    pub fn may_run_commands(&self) -> Result<(), Denied> {
        self.may_change_keys()?;
        if self.is_administrator() { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Whether the caller may pin releases and waive policies.
    pub fn may_write_policies(&self) -> Result<(), Denied> {
        if self.permissions.policy_write() {
            return self.shown_second_factor();
        }
        self.may_write_api()?;
        if self.is_administrator() { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Checks that no second factor is missing.
    pub(super) fn shown_second_factor(&self) -> Result<(), Denied> {
        match self.second_factor {
            SecondFactor::NotNeeded | SecondFactor::Exempt | SecondFactor::Shown => Ok(()),
            SecondFactor::Missing => Err(Denied::SecondFactorMissing),
            SecondFactor::Wrong => Err(Denied::SecondFactorWrong),
            SecondFactor::NotSetUp => Err(Denied::SecondFactorNotSetUp),
            SecondFactor::Exhausted => Err(Denied::SecondFactorExhausted),
        }
    }

    /// The owner of the caller's keys, grants and sessions.
    pub fn owner(&self) -> Owner {
        match self.who {
            Subject::User { id, .. } => Owner::User(id),
            Subject::Organization { id, .. } => Owner::Organization(id),
        }
    }

    /// The row id of the API key behind the credential: the key itself, or the key that was exchanged for the token.
    pub fn key(&self) -> Option<i64> {
        match &self.proof {
            Proof::Key { id, .. } => Some(*id),
            Proof::Token { key, .. } => key.as_ref().map(|key| key.id),
            Proof::Password => None,
        }
    }

    /// The actor for the audit log and the fetch log. A token that was exchanged for a key appears as the key, which
    /// people know.
    pub fn by(&self) -> Actor {
        Actor {
            actor: Some(match &self.who {
                Subject::User { name, .. } => format!("user:{name}"),
                Subject::Organization { name, .. } => format!("org:{name}"),
            }),
            credential: Some(match &self.proof {
                Proof::Password => "password".to_owned(),
                Proof::Key { name, .. } | Proof::Token { key: Some(ExchangedKey { name, .. }), .. } => {
                    format!("key:{name}")
                }
                Proof::Token { id, key: None } => format!("token:{id}"),
            }),
            key: self.key(),
            address: self.address,
            agent: self.agent.clone(),
        }
    }
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// There is no credential, or one of another server.
    Anonymous,
    /// An authenticated caller.
    Known(Arc<Principal>),
}

impl Caller {
    /// The authenticated caller, if any.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Anonymous => None,
            Self::Known(principal) => Some(principal),
        }
    }
}
