//! Who asks. May import `hex` names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::permission::Permissions;
use crate::state::audit::By;

/// What a member of an organization may do. Ordered: each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Fetch.
    Read,
    /// Publish, retire, write docs.
    Write,
    /// Owners, members, keys of the organization.
    Admin,
}

impl Role {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads the word of the API.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// What an owner of a package may do. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerLevel {
    /// Publish, retire, write docs.
    Maintainer,
    /// And change the owners.
    Full,
}

impl OwnerLevel {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maintainer => "maintainer",
            Self::Full => "full",
        }
    }

    /// Reads the word of the API.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Maintainer, Self::Full].into_iter().find(|level| level.as_str() == word)
    }
}

/// On whose behalf a credential acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
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
        /// Whether it was exchanged for an API key, whose bearer was never asked for a second factor.
        exchanged: bool,
    },
}

/// A caller whose credential was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// On whose behalf.
    pub who: Who,
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
            Who::User { name, .. } => Some(name),
            Who::Organization { .. } => None,
        }
    }

    /// Whether everything is allowed.
    pub fn is_administrator(&self) -> bool {
        matches!(self.who, Who::User { administrator: true, .. })
    }

    /// For the audit log.
    pub fn by(&self) -> By {
        By {
            actor: Some(match &self.who {
                Who::User { name, .. } => format!("user:{name}"),
                Who::Organization { name, .. } => format!("org:{name}"),
            }),
            credential: Some(match &self.proof {
                Proof::Password => "password".to_owned(),
                Proof::Key { name, .. } => format!("key:{name}"),
                Proof::Token { id, .. } => format!("token:{id}"),
            }),
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
