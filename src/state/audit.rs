//! The audit log: what happened that somebody may have to answer for.

use std::net::IpAddr;

use sqlx::{Row as _, SqliteConnection};

use super::{State, StateError};
use crate::clock::Timestamp;

/// Longest agent that is written down, as hex.pm has it.
const AGENT: usize = 255;

/// Who does something, and where from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// `user:alice`, `org:acme`, or `console` for a command on this machine; `None`: the program itself.
    pub actor: Option<String>,
    /// What proved it: `password`, `key:NAME`, `token:ID`.
    pub credential: Option<String>,
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub agent: Option<String>,
}

impl By {
    /// A command that was given on this machine.
    pub fn console() -> Self {
        Self { actor: Some("console".to_owned()), ..Self::default() }
    }
}

/// What was done or seen. The words are stored, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Upstream changed the checksum of a release and the change was accepted.
    ChecksumChanged,
    /// Upstream changed the checksum of a release and the change was refused.
    ChecksumRefused,
    /// Upstream removed a package.
    PackageRemoved,
    /// Upstream's index of a package lost releases.
    ReleasesRemoved,
    /// An index of upstream's went back in time.
    RolledBack,
    /// An administrator purged cached entries.
    Purged,
}

impl Action {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChecksumChanged => "upstream.checksum_changed",
            Self::ChecksumRefused => "upstream.checksum_refused",
            Self::PackageRemoved => "upstream.package_removed",
            Self::ReleasesRemoved => "upstream.releases_removed",
            Self::RolledBack => "upstream.rolled_back",
            Self::Purged => "cache.purged",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The stored word of the action.
    pub action: String,
    /// Repository key.
    pub repository: String,
    /// Package, where it is about one.
    pub package: Option<String>,
    /// Version, where it is about one.
    pub version: Option<String>,
    /// A sentence.
    pub detail: String,
    /// Who did it.
    pub by: By,
}

/// The columns of an [`Entry`], in the order in which [`entry`] reads them.
const COLUMNS: &str = "at, action, repository, package, version, detail, actor, credential, address, agent";

impl State {
    /// Adds a line to the audit log about something that the program itself did or saw.
    pub async fn audit(
        &self,
        at: Timestamp,
        action: Action,
        subject: (&str, Option<&str>, Option<&str>),
        detail: &str,
    ) -> Result<(), StateError> {
        self.audit_by(at, action, subject, detail, &By::default()).await
    }

    /// Adds a line to the audit log.
    pub async fn audit_by(
        &self,
        at: Timestamp,
        action: Action,
        subject: (&str, Option<&str>, Option<&str>),
        detail: &str,
        by: &By,
    ) -> Result<(), StateError> {
        let _one = self.writer.lock().await;
        let wrap = || StateError::query("write the audit log");
        let mut connection = self.pool.acquire().await.map_err(wrap())?;
        insert(&mut connection, at, action, subject, detail, by).await.map_err(wrap())
    }

    /// The newest lines about a repository, newest first.
    pub async fn audit_log(&self, repository: &str, limit: u32) -> Result<Vec<Entry>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM audit WHERE repository = $1 ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(repository)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("read the audit log"))?;
        rows.iter().map(entry).collect::<Result<_, sqlx::Error>>().map_err(StateError::query("read the audit log"))
    }
}

/// Adds a line inside a transaction, so that what was done and that it was done are written together or not at all.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    at: Timestamp,
    action: Action,
    (repository, package, version): (&str, Option<&str>, Option<&str>),
    detail: &str,
    by: &By,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at, action, repository, package, version, detail, actor, credential, address, agent) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(sql_time(at))
    .bind(action.as_str())
    .bind(repository)
    .bind(package)
    .bind(version)
    .bind(detail)
    .bind(by.actor.as_deref())
    .bind(by.credential.as_deref())
    .bind(by.address.map(|address| address.to_string()))
    .bind(by.agent.as_deref().map(|agent| agent.chars().take(AGENT).collect::<String>()))
    .execute(connection)
    .await
    .map(drop)
}

fn entry(row: &sqlx::sqlite::SqliteRow) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        at: from_sql_time(row.try_get(0)?),
        action: row.try_get(1)?,
        repository: row.try_get(2)?,
        package: row.try_get(3)?,
        version: row.try_get(4)?,
        detail: row.try_get(5)?,
        by: By {
            actor: row.try_get(6)?,
            credential: row.try_get(7)?,
            address: row.try_get::<Option<String>, _>(8)?.and_then(|text| text.parse().ok()),
            agent: row.try_get(9)?,
        },
    })
}

/// SQL has signed integers.
pub(super) fn sql_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}
