//! Whose something is: a user's or an organization's.

use super::audit::Action;
use super::engine::sql_as;
use super::{DatabaseError, StateError, Writing};

/// Whose a key, a grant or a session is, by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A user's.
    User(i64),
    /// An organization's.
    Organization(i64),
}

impl Owner {
    /// The row of the user, where it is one.
    pub fn user(self) -> Option<i64> {
        match self {
            Self::User(id) => Some(id),
            Self::Organization(_) => None,
        }
    }

    /// The row of the organization, where it is one.
    pub fn organization(self) -> Option<i64> {
        match self {
            Self::User(_) => None,
            Self::Organization(id) => Some(id),
        }
    }

    /// From two columns, one of which is empty.
    pub(super) fn from_columns(user: Option<i64>, organization: Option<i64>) -> Result<Self, DatabaseError> {
        match (user, organization) {
            (Some(id), None) => Ok(Self::User(id)),
            (None, Some(id)) => Ok(Self::Organization(id)),
            _ => Err(DatabaseError::decode("a row belongs to a user or to an organization")),
        }
    }
}

impl Writing<'_> {
    /// An owner as the audit log has it: `user:alice`, `org:acme`; nothing where there is no such row.
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

/// What is written to the audit log about an account: the action, `user:alice` or `org:acme`, and a sentence.
pub(super) type Line<'a> = (Action, &'a str, &'a str);
