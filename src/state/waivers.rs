//! Waivers: exceptions to a policy, with a reason and an end.

use super::audit::{self, Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::{DatabaseError, Lock, State, StateError};
use crate::clock::Timestamp;

/// A waiver of the policy of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    pub id: i64,
    pub package: String,
    /// The version requirement as written; `None` for all releases.
    pub requirement: Option<String>,
    pub until: Timestamp,
    pub reason: String,
    pub given: Timestamp,
    /// The user who created it.
    pub given_by: Option<String>,
}

/// A waiver to create.
#[derive(Clone, Copy, Debug)]
pub struct NewWaiver<'a> {
    pub package: &'a str,
    pub requirement: Option<&'a str>,
    pub until: Timestamp,
    pub reason: &'a str,
}

impl State {
    /// The active waivers of a view, the oldest first.
    pub async fn waivers(&self, view: &str, now: Timestamp) -> Result<Vec<Waiver>, StateError> {
        let wrap = || StateError::query("read the waivers");
        let rows = sql("SELECT id, package, requirement, until, reason, given, given_by FROM waivers \
             WHERE view = $1 AND until > $2 AND withdrawn IS NULL ORDER BY id")
        .bind(view)
        .bind(sql_time(now))
        .fetch_all(&self.pool)
        .await
        .map_err(wrap())?;
        rows.iter().map(waiver).collect::<Result<_, DatabaseError>>().map_err(wrap())
    }

    /// Creates a waiver and adds an entry to the audit log; returns its number.
    pub async fn waive(&self, view: &str, new: NewWaiver<'_>, now: Timestamp, by: &Actor) -> Result<i64, StateError> {
        const OPERATION: &str = "add a waiver";
        self.writing(OPERATION, Lock::View(view), |mut writing| async move {
            let (id,): (i64,) = sql_as(
                "INSERT INTO waivers (view, package, requirement, until, reason, given, given_by) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            )
            .bind(view)
            .bind(new.package)
            .bind(new.requirement)
            .bind(sql_time(new.until))
            .bind(new.reason)
            .bind(sql_time(now))
            .bind(by.actor.as_deref())
            .fetch_one(writing.connection())
            .await
            .map_err(StateError::query(OPERATION))?;
            let releases = new.requirement.map(|text| format!(" {text}")).unwrap_or_default();
            let detail =
                format!("{}{releases} is waived until {}: {} (number {id})", new.package, new.until, new.reason);
            let subject = (view, Some(new.package), None);
            audit::insert(writing.connection(), now, Action::PolicyWaive, subject, &detail, by)
                .await
                .map_err(StateError::query(OPERATION))?;
            writing.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Withdraws a waiver of a view and adds an entry to the audit log; returns whether it was active.
    pub async fn withdraw(&self, view: &str, id: i64, now: Timestamp, by: &Actor) -> Result<bool, StateError> {
        const OPERATION: &str = "withdraw a waiver";
        self.writing(OPERATION, Lock::View(view), |mut writing| async move {
            let found: Option<(String,)> = sql_as(
                "UPDATE waivers SET withdrawn = $3 WHERE view = $1 AND id = $2 AND until > $3 AND withdrawn IS NULL \
                 RETURNING package",
            )
            .bind(view)
            .bind(id)
            .bind(sql_time(now))
            .fetch_optional(writing.connection())
            .await
            .map_err(StateError::query(OPERATION))?;
            let Some((package,)) = found else { return Ok(false) };
            let (subject, detail) = ((view, Some(package.as_str()), None), format!("waiver number {id} is withdrawn"));
            audit::insert(writing.connection(), now, Action::PolicyWithdraw, subject, &detail, by)
                .await
                .map_err(StateError::query(OPERATION))?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

fn waiver(row: &Row) -> Result<Waiver, DatabaseError> {
    Ok(Waiver {
        id: row.try_get(0)?,
        package: row.try_get(1)?,
        requirement: row.try_get(2)?,
        until: from_sql_time(row.try_get(3)?),
        reason: row.try_get(4)?,
        given: from_sql_time(row.try_get(5)?),
        given_by: row.try_get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{Database, on_each_engine};

    async fn waivers_end_and_are_withdrawn_and_both_are_written_down(database: Database) {
        let state = database.open().await;
        let (at, by) = (Timestamp::from_secs, Actor::console());
        let new = |requirement, until| NewWaiver { package: "jason", requirement, until: at(until), reason: "SEC-1" };
        let first = state.waive("hexpm", new(Some("~> 1.1"), 100), at(10), &by).await.unwrap();
        let second = state.waive("hexpm", new(None, 50), at(10), &by).await.unwrap();
        assert_eq!(state.waivers("hexpm", at(49)).await.unwrap().len(), 2);
        assert_eq!(state.waivers("other", at(49)).await.unwrap(), []);
        let [left] = state.waivers("hexpm", at(50)).await.unwrap().try_into().unwrap();
        assert_eq!(
            (left.id, left.requirement.as_deref(), left.given_by.as_deref()),
            (first, Some("~> 1.1"), Some("console"))
        );
        assert!(!state.withdraw("hexpm", second, at(60), &by).await.unwrap(), "the waiver has ended");
        assert!(
            !state.withdraw("other", first, at(60), &by).await.unwrap(),
            "the waiver belongs to another repository"
        );
        assert!(state.withdraw("hexpm", first, at(60), &by).await.unwrap());
        assert!(!state.withdraw("hexpm", first, at(61), &by).await.unwrap(), "once");
        assert_eq!(state.waivers("hexpm", at(61)).await.unwrap(), []);
        let log = state.audit_log("hexpm", 9).await.unwrap();
        let actions: Vec<&str> = log.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["policy.withdraw", "policy.waive", "policy.waive"]);
        assert!(log[2].detail.contains("jason ~> 1.1 is waived until") && log[2].detail.contains("SEC-1"));
    }

    on_each_engine!(waivers_end_and_are_withdrawn_and_both_are_written_down,);
}
