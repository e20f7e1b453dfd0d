//! Grants of read access, beyond the access of an organization's members.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::sql;
use super::{AccountError, DatabaseError, Lock, Owner, State, StateError};
use crate::clock::Timestamp;

/// A grant of read access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The row id.
    pub id: i64,
    /// The user or organization that has the access.
    pub owner: Owner,
    /// The key of the repository.
    pub repository: String,
    /// A pattern of package names, with `*`.
    pub pattern: String,
    /// The time at which it was granted.
    pub created_at: Timestamp,
}

impl State {
    /// Adds a grant; an existing one stays unchanged.
    pub async fn add_grant(
        &self,
        now: Timestamp,
        (owner, subject): (Owner, &str),
        repository: &str,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        self.writing("add a grant", Lock::Accounts, |mut writing| async move {
            let add = sql("INSERT INTO grants (user_id, organization_id, repository, pattern, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
            .bind(owner.user())
            .bind(owner.organization())
            .bind(repository)
            .bind(pattern)
            .bind(sql_time(now));
            if writing.run(add).await? > 0 {
                let detail = format!("{repository}/{pattern}");
                writing.line(now, (Action::GrantAdd, subject, &detail), by).await?;
            }
            writing.commit().await
        })
        .await
    }

    /// Removes a grant.
    pub async fn remove_grant(
        &self,
        now: Timestamp,
        (owner, subject): (Owner, &str),
        repository: &str,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), AccountError> {
        self.writing("remove a grant", Lock::Accounts, |mut writing| async move {
            let remove = sql(
                "DELETE FROM grants WHERE (user_id = $1 OR organization_id = $2) AND repository = $3 AND pattern = $4",
            );
            let remove = remove.bind(owner.user()).bind(owner.organization()).bind(repository).bind(pattern);
            if writing.run(remove).await? == 0 {
                return Err(AccountError::UnknownGrant);
            }
            let detail = format!("{repository}/{pattern}");
            writing.line(now, (Action::GrantRemove, subject, &detail), by).await?;
            Ok(writing.commit().await?)
        })
        .await
    }

    /// The grants of an owner, or all grants, sorted by repository and pattern.
    pub async fn grants(&self, owner: Option<Owner>) -> Result<Vec<Grant>, StateError> {
        let rows = sql("SELECT id, user_id, organization_id, repository, pattern, created_at FROM grants \
             WHERE $1 = 1 OR user_id = $2 OR organization_id = $3 ORDER BY repository, pattern, id")
        .bind(owner.is_none())
        .bind(owner.and_then(Owner::user))
        .bind(owner.and_then(Owner::organization))
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the grants"))?;
        rows.iter()
            .map(|row| {
                Ok(Grant {
                    id: row.try_get(0)?,
                    owner: Owner::from_columns(row.try_get(1)?, row.try_get(2)?)?,
                    repository: row.try_get(3)?,
                    pattern: row.try_get(4)?,
                    created_at: from_sql_time(row.try_get(5)?),
                })
            })
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the grants"))
    }
}
