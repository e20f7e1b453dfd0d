//! The audit log: what happened that somebody may have to answer for.

use sqlx::Row as _;

use super::{State, StateError};
use crate::clock::Timestamp;

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
}

impl State {
    /// Adds a line to the audit log.
    pub async fn audit(
        &self,
        at: Timestamp,
        action: Action,
        subject: (&str, Option<&str>, Option<&str>),
        detail: &str,
    ) -> Result<(), StateError> {
        let (repository, package, version) = subject;
        let _one = self.writer.lock().await;
        sqlx::query(
            "INSERT INTO audit (at, action, repository, package, version, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(sql_time(at))
        .bind(action.as_str())
        .bind(repository)
        .bind(package)
        .bind(version)
        .bind(detail)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(StateError::query("write the audit log"))
    }

    /// The newest lines about a repository, newest first.
    pub async fn audit_log(&self, repository: &str, limit: u32) -> Result<Vec<Entry>, StateError> {
        let rows = sqlx::query(
            "SELECT at, action, repository, package, version, detail FROM audit \
             WHERE repository = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(repository)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the audit log"))?;
        rows.into_iter()
            .map(|row| {
                Ok(Entry {
                    at: from_sql_time(row.try_get(0)?),
                    action: row.try_get(1)?,
                    repository: row.try_get(2)?,
                    package: row.try_get(3)?,
                    version: row.try_get(4)?,
                    detail: row.try_get(5)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(StateError::query("read the audit log"))
    }
}

/// SQL has signed integers.
pub(super) fn sql_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}
