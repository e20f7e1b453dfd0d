//! The fetch log: who requested which release, and the outcome. Entries are written in batches.

use super::audit::{from_sql_time, sql_time};
use super::engine::{Row, sql};
use super::{DatabaseError, Lock, State, StateError, in_order};
use crate::clock::Timestamp;

/// The outcome of a request for a release. The words are stored, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchOutcome {
    /// The release was delivered.
    Delivered,
    /// A policy holds the release, and the request was refused.
    Held,
    /// A policy would hold the release if it were enforced.
    WouldHold,
}

impl FetchOutcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Held, Self::WouldHold];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Held => "held",
            Self::WouldHold => "would_hold",
        }
    }
}

/// A group of equal requests, which are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// The key of the requested repository.
    pub repository: String,
    pub package: String,
    pub version: String,
    pub outcome: FetchOutcome,
    /// The policy rule that holds the release; empty if it was delivered.
    pub rule: String,
    /// `user:alice`, `org:acme`; empty for anonymous requests.
    pub actor: String,
    /// The credential: `key:NAME` (also for a token that was exchanged for the key), `password`, `token:ID`; empty
    /// without a credential.
    pub credential: String,
    /// An address or a network; empty if addresses are not stored.
    pub address: String,
}

impl Fetch {
    /// The fields in the order of the primary key.
    fn place(&self) -> [&str; 8] {
        let outcome = self.outcome.as_str();
        let release = [&self.package, &self.version, &self.repository].map(String::as_str);
        let caller = [&self.rule, &self.actor, &self.credential, &self.address].map(String::as_str);
        [release[0], release[1], release[2], outcome, caller[0], caller[1], caller[2], caller[3]]
    }
}

/// The times and the number of the requests in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTally {
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
}

/// The largest number of entries in an answer.
const MOST: u32 = 10_000;

const COLUMNS: &str = "repository, package, version, outcome, rule, actor, credential, address, first, last, count";

impl State {
    /// Adds to the counts, all or none.
    pub async fn add_fetches(&self, fetches: &[(Fetch, FetchTally)]) -> Result<(), StateError> {
        self.writing("write the fetch log", Lock::None, |mut writing| async move {
            for (fetch, tally) in in_order(fetches, |(fetch, _)| fetch.place()) {
                let query = sql(
                    "INSERT INTO fetches (repository, package, version, outcome, rule, actor, credential, address, first, \
                     last, count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                     ON CONFLICT (package, version, repository, outcome, rule, actor, credential, address) DO UPDATE SET \
                     first = CASE WHEN fetches.first < $9 THEN fetches.first ELSE $9 END, \
                     last = CASE WHEN fetches.last > $10 THEN fetches.last ELSE $10 END, count = fetches.count + $11",
                )
                .bind(&fetch.repository)
                .bind(&fetch.package)
                .bind(&fetch.version)
                .bind(fetch.outcome.as_str())
                .bind(&fetch.rule)
                .bind(&fetch.actor)
                .bind(&fetch.credential)
                .bind(&fetch.address)
                .bind(sql_time(tally.first))
                .bind(sql_time(tally.last))
                .bind(i64::try_from(tally.count).unwrap_or(i64::MAX));
                writing.run(query).await?;
            }
            writing.commit().await
        })
        .await
    }

    /// The deliveries of a package or a release, in one repository or in all; newest first.
    pub async fn fetches_of(
        &self,
        repository: Option<&str>,
        package: &str,
        version: Option<&str>,
    ) -> Result<Vec<(Fetch, FetchTally)>, StateError> {
        let condition = "package = $1 AND ($2 IS NULL OR version = $2) AND ($3 IS NULL OR repository = $3) \
                         AND outcome = 'delivered'";
        self.fetches(condition, &[Some(package), version, repository]).await
    }

    /// The requests for releases that a repository's policy holds or would hold; newest first.
    pub async fn held_fetches(&self, repository: &str) -> Result<Vec<(Fetch, FetchTally)>, StateError> {
        self.fetches("repository = $1 AND outcome IN ('held', 'would_hold')", &[Some(repository)]).await
    }

    async fn fetches(
        &self,
        condition: &'static str,
        values: &[Option<&str>],
    ) -> Result<Vec<(Fetch, FetchTally)>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE {condition} ORDER BY last DESC LIMIT {MOST}");
        let wrap = || StateError::query("read the fetch log");
        let query = values.iter().fold(sql(query), |query, value| query.bind(*value));
        let rows = query.fetch_all(&self.pool).await.map_err(wrap())?;
        rows.iter().map(fetch).collect::<Result<_, DatabaseError>>().map_err(wrap())
    }

    /// Deletes entries whose last request was before a time.
    pub async fn forget_fetches(&self, before: Timestamp) -> Result<(), StateError> {
        self.writing("clean the fetch log", Lock::None, |mut writing| async move {
            writing.run(sql("DELETE FROM fetches WHERE last < $1").bind(sql_time(before))).await?;
            writing.commit().await
        })
        .await
    }
}

fn fetch(row: &Row) -> Result<(Fetch, FetchTally), DatabaseError> {
    let word: String = row.try_get(3)?;
    let outcome = FetchOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    let fetch = Fetch {
        repository: row.try_get(0)?,
        package: row.try_get(1)?,
        version: row.try_get(2)?,
        outcome: outcome.ok_or_else(|| DatabaseError::decode(format!("{word:?} is not an outcome")))?,
        rule: row.try_get(4)?,
        actor: row.try_get(5)?,
        credential: row.try_get(6)?,
        address: row.try_get(7)?,
    };
    let tally = FetchTally {
        first: from_sql_time(row.try_get(8)?),
        last: from_sql_time(row.try_get(9)?),
        count: u64::try_from(row.try_get::<i64>(10)?).unwrap_or_default(),
    };
    Ok((fetch, tally))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{Database, on_each_engine};

    async fn what_is_added_is_counted_together_and_forgotten_in_time(database: Database) {
        let state = database.open().await;
        let fetch = |version: &str, actor: &str, outcome| Fetch {
            repository: "hexpm".to_owned(),
            package: "jason".to_owned(),
            version: version.to_owned(),
            outcome,
            rule: if outcome == FetchOutcome::Delivered { "" } else { "cooldown" }.to_owned(),
            actor: actor.to_owned(),
            credential: String::new(),
            address: "192.0.2.0/24".to_owned(),
        };
        let tally = |first: u64, last: u64, count| FetchTally {
            first: Timestamp::from_secs(first),
            last: Timestamp::from_secs(last),
            count,
        };
        let one = fetch("1.0.0", "user:alice", FetchOutcome::Delivered);
        let held = fetch("1.0.0", "", FetchOutcome::WouldHold);
        let (other, newer) = (fetch("1.0.0", "", FetchOutcome::Delivered), fetch("2.0.0", "", FetchOutcome::Delivered));
        let first = [(one.clone(), tally(10, 20, 3)), (held.clone(), tally(10, 10, 1))];
        state.add_fetches(&first).await.unwrap();
        let again = [(one.clone(), tally(5, 30, 2)), (other.clone(), tally(25, 25, 1)), (newer, tally(1, 40, 9))];
        state.add_fetches(&again).await.unwrap();

        let found = state.fetches_of(None, "jason", Some("1.0.0")).await.unwrap();
        assert_eq!(found, [(one, tally(5, 30, 5)), (other, tally(25, 25, 1))]);
        assert_eq!(state.fetches_of(Some("hexpm"), "jason", None).await.unwrap().len(), 3);
        assert_eq!(state.fetches_of(Some("other"), "jason", None).await.unwrap(), []);
        assert_eq!(state.held_fetches("hexpm").await.unwrap(), [(held, tally(10, 10, 1))]);
        state.forget_fetches(Timestamp::from_secs(30)).await.unwrap();
        let left = state.fetches_of(None, "jason", None).await.unwrap();
        assert_eq!(left.iter().map(|(_, tally)| tally.count).collect::<Vec<_>>(), [9, 5]);
        assert_eq!(state.held_fetches("hexpm").await.unwrap(), []);
    }

    on_each_engine!(what_is_added_is_counted_together_and_forgotten_in_time,);
}
