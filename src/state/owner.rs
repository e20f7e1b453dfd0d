//! The owner of a key, grant or session: a user or an organization.

use super::audit::Action;
use super::engine::sql_as;
use super::{DatabaseError, StateError, Writing};

/// The owner of a key, grant or session, by row id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A user.
    User(i64),
    /// An organization.
    Organization(i64),
}

impl Owner {
    /// The row id of the user, if the owner is a user.
    pub fn user(self) -> Option<i64> {
        match self {
            Self::User(id) => Some(id),
            Self::Organization(_) => None,
        }
    }

    /// The row id of the organization, if the owner is an organization.
    pub fn organization(self) -> Option<i64> {
        match self {
            Self::User(_) => None,
            Self::Organization(id) => Some(id),
        }
    }

    /// Builds an owner from two columns, one of which is null.
    pub(super) fn from_columns(user: Option<i64>, organization: Option<i64>) -> Result<Self, DatabaseError> {
        match (user, organization) {
            (Some(id), None) => Ok(Self::User(id)),
            (None, Some(id)) => Ok(Self::Organization(id)),
            _ => Err(DatabaseError::decode("a row must belong to either a user or an organization")),
        }
    }
}

impl Writing<'_> {
    /// An owner as in the audit log: `user:alice`, `org:acme`; empty if the row does not exist.
    pub(super) async fn subject(&mut self, owner: Owner) -> Result<String, StateError> {
        let wrap = StateError::query(self.operation);
        let subject: Option<(String,)> = sql_as(
            "SELECT 'user:' || name FROM users WHERE id = $1 UNION ALL \
             SELECT 'org:' || name FROM organizations WHERE id = $2",
        )
        .bind(owner.user())
        .bind(owner.organization())
        .fetch_optional(self.connection())
        .await
        .map_err(wrap)?;
        Ok(subject.map(|(name,)| name).unwrap_or_default())
    }
}

/// An audit entry about an account: the action, `user:alice` or `org:acme`, and the details.
pub(super) type Line<'a> = (Action, &'a str, &'a str);
