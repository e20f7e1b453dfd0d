//! Who asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::denied::Denied;
use super::permission::Permissions;
use crate::state::Owner;
use crate::state::audit::Actor;
pub use crate::state::organizations::Role;
pub use crate::state::packages::OwnerLevel;

/// On whose behalf a credential acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person or a robot.
    User {
        /// Row of the user.
        id: i64,
        /// The user's name.
        name: String,
        /// Whether everything is allowed.
        administrator: bool,
    },
    /// An organization, by a key of its own.
    Organization {
        /// Row of the organization.
        id: i64,
        /// The organization's name.
        name: String,
    },
}

/// What proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// User name and password.
    Password,
    /// An API key.
    Key {
        /// Row of the key.
        id: i64,
        /// Its name.
        name: String,
    },
    /// An OAuth access token.
    Token {
        /// Its id.
        id: String,
        /// The API key that was exchanged for it, whose bearer was never asked for a second factor; `None`: a user has
        /// let a program in.
        key: Option<ExchangedKey>,
    },
}

/// An API key that was exchanged for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangedKey {
    /// Row of the key.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A caller whose credential was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// On whose behalf.
    pub who: Subject,
    /// What proved it.
    pub proof: Proof,
    /// What the credential is good for; never more than `who` may do.
    pub permissions: Permissions,
    /// Organizations by name, and the role in each; for an organization's key, itself with [`Role::Write`].
    pub roles: BTreeMap<String, Role>,
    /// Grants to read: repository key and package pattern.
    pub reads: Vec<(String, String)>,
    /// Whether a second factor was shown, and is on for this account.
    pub second_factor: SecondFactor,
    /// Where from.
    pub address: Option<IpAddr>,
    /// With what.
    pub agent: Option<String>,
}

/// The state of a caller's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// The account has none, and none is required.
    NotNeeded,
    /// The credential does not need one (keys, passwords, tokens of organizations).
    Exempt,
    /// It is needed, and no code was sent.
    Missing,
    /// The code was wrong.
    Wrong,
    /// The code was right.
    Shown,
    /// It is required, and the account has none.
    NotSetUp,
    /// Too many wrong codes.
    Exhausted,
}

impl Principal {
    /// The user's name, where it is one.
    pub fn user(&self) -> Option<&str> {
        match &self.who {
            Subject::User { name, .. } => Some(name),
            Subject::Organization { .. } => None,
        }
    }

    /// Whether the account has this name, a user's or an organization's.
    pub fn is_named(&self, name: &str) -> bool {
        let (Subject::User { name: own, .. } | Subject::Organization { name: own, .. }) = &self.who;
        own == name
    }

    /// Whether everything is allowed.
    pub fn is_administrator(&self) -> bool {
        matches!(self.who, Subject::User { administrator: true, .. })
    }

    /// Whether the API may be written to by this credential, where it is about no package: organizations and members.
    pub fn may_write_api(&self) -> Result<(), Denied> {
        if !self.permissions.api_write() {
            return Err(Denied::Scope);
        }
        self.shown_second_factor()
    }

    /// Whether keys may be made and revoked: by a password, or a credential for the whole API.
    pub fn may_change_keys(&self) -> Result<(), Denied> {
        if !self.permissions.whole_api() {
            return Err(Denied::Scope);
        }
        self.shown_second_factor()
    }

    /// Whether orders of an administrator are carried out. Some make keys and users, so the credential has to be good for
    /// the whole API.
    pub fn may_order(&self) -> Result<(), Denied> {
        self.may_change_keys()?;
        if self.is_administrator() { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Whether releases may be pinned and policies waived.
    pub fn may_write_policies(&self) -> Result<(), Denied> {
        if self.permissions.policy_write() {
            return self.shown_second_factor();
        }
        self.may_write_api()?;
        if self.is_administrator() { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Whether nothing is missing of the second factor.
    pub(super) fn shown_second_factor(&self) -> Result<(), Denied> {
        match self.second_factor {
            SecondFactor::NotNeeded | SecondFactor::Exempt | SecondFactor::Shown => Ok(()),
            SecondFactor::Missing => Err(Denied::SecondFactorMissing),
            SecondFactor::Wrong => Err(Denied::SecondFactorWrong),
            SecondFactor::NotSetUp => Err(Denied::SecondFactorNotSetUp),
            SecondFactor::Exhausted => Err(Denied::SecondFactorExhausted),
        }
    }

    /// Whose keys, grants and sessions this caller's are.
    pub fn owner(&self) -> Owner {
        match self.who {
            Subject::User { id, .. } => Owner::User(id),
            Subject::Organization { id, .. } => Owner::Organization(id),
        }
    }

    /// Row of the API key behind the credential: the one that was shown, or was exchanged for the token that was shown.
    pub fn key(&self) -> Option<i64> {
        match &self.proof {
            Proof::Key { id, .. } => Some(*id),
            Proof::Token { key, .. } => key.as_ref().map(|key| key.id),
            Proof::Password => None,
        }
    }

    /// For the audit log and the fetch log. A token that a key was exchanged for is named by the key, which people know.
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

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody has said who they are, or with words that are not ours.
    Anonymous,
    /// Somebody we know.
    Known(Arc<Principal>),
}

impl Caller {
    /// Who it is, where that is known.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Anonymous => None,
            Self::Known(principal) => Some(principal),
        }
    }
}
