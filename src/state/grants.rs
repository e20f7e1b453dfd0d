//! Rights to read that are given beyond those of members.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::sql;
use super::{AccountError, DatabaseError, Lock, Owner, State, StateError};
use crate::clock::Timestamp;

/// A right to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Row.
    pub id: i64,
    /// Who has it.
    pub owner: Owner,
    /// Key of the repository.
    pub repository: String,
    /// Package names, with `*`.
    pub pattern: String,
    /// When it was given.
    pub created_at: Timestamp,
}

impl State {
    /// Gives a right to read; one that is there already stays as it is.
    pub async fn add_grant(
        &self,
        now: Timestamp,
        (owner, subject): (Owner, &str),
        repository: &str,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        self.writing("give a right", Lock::Accounts, |mut writing| async move {
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

    /// Takes a right to read away.
    pub async fn remove_grant(
        &self,
        now: Timestamp,
        (owner, subject): (Owner, &str),
        repository: &str,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), AccountError> {
        self.writing("take a right away", Lock::Accounts, |mut writing| async move {
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

    /// The rights that an owner was given, or all, by repository and pattern.
    pub async fn grants(&self, owner: Option<Owner>) -> Result<Vec<Grant>, StateError> {
        let rows = sql("SELECT id, user_id, organization_id, repository, pattern, created_at FROM grants \
             WHERE $1 = 1 OR user_id = $2 OR organization_id = $3 ORDER BY repository, pattern, id")
        .bind(owner.is_none())
        .bind(owner.and_then(Owner::user))
        .bind(owner.and_then(Owner::organization))
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the rights"))?;
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
            .map_err(StateError::query("read the rights"))
    }
}
