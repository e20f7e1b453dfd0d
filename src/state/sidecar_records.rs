//! The queries behind the metadata files that are stored next to tarballs: their contents, their comparison with the
//! database, and restoring removed versions from them.

use std::collections::BTreeSet;

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::claims::Change;
use super::engine::{DatabaseError, Row, sql, sql_as};
use super::owners::Owners;
use super::packages::{OwnerLevel, TOMBSTONE, Tombstone, read_tombstone, tombstone};
use super::releases::Subject;
use super::{Lock, State, StateError, Writing};
use crate::clock::Timestamp;

impl State {
    /// All versions of a repository's packages, existing or removed, as package and version; with `package`, only those
    /// of this package.
    pub async fn known_versions(
        &self,
        repository: &str,
        package: Option<&str>,
    ) -> Result<BTreeSet<(String, String)>, StateError> {
        // Two separate queries: one with `$2 IS NULL OR` would scan all packages for a single one.
        let (of_release, of_tombstone) =
            if package.is_some() { ("AND p.name = $2", "AND package = $2") } else { ("", "") };
        let query = format!(
            "SELECT p.name, r.version FROM packages p JOIN releases r ON r.package_id = p.id \
             WHERE p.repository = $1 {of_release} \
             UNION SELECT package, version FROM tombstones WHERE repository = $1 {of_tombstone}"
        );
        let mut question = sql_as(query).bind(repository);
        if let Some(package) = package {
            question = question.bind(package);
        }
        let rows: Vec<(String, String)> =
            question.fetch_all(&self.pool).await.map_err(StateError::query("list the versions"))?;
        Ok(rows.into_iter().collect())
    }

    /// The removed versions of a package, each with its tombstone.
    pub async fn tombstones(&self, repository: &str, package: &str) -> Result<Vec<(String, Tombstone)>, StateError> {
        let wrap = || StateError::query("list the tombstones of a package");
        let query = format!(
            "SELECT {TOMBSTONE}, version FROM tombstones WHERE repository = $1 AND package = $2 ORDER BY version"
        );
        let rows = sql(query).bind(repository).bind(package).fetch_all(&self.pool).await.map_err(wrap())?;
        let read = |row: &Row| Ok((row.try_get(5)?, tombstone(row)?));
        rows.iter().map(read).collect::<Result<_, DatabaseError>>().map_err(wrap())
    }

    /// The owners of a package, even if it has no releases.
    pub async fn owners_of(&self, repository: &str, package: &str) -> Result<Owners, StateError> {
        let owners: Vec<(String, String)> = sql_as(
            "SELECT username, level FROM owners JOIN packages ON packages.id = package_id \
             WHERE repository = $1 AND name = $2",
        )
        .bind(repository)
        .bind(package)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the owners of a package"))?;
        Ok(owners.into_iter().filter_map(|(name, level)| Some((name, OwnerLevel::from_word(&level)?))).collect())
    }

    /// The packages of a repository, including packages without releases.
    pub async fn known_packages(&self, repository: &str) -> Result<BTreeSet<String>, StateError> {
        let rows: Vec<(String,)> = sql_as("SELECT name FROM packages WHERE repository = $1")
            .bind(repository)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("list the packages"))?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// Records from a file that a version existed and was removed. Returns `false`, and changes nothing, if the database
    /// knows the version and its record is final or not older. A package that is not in the database is created without
    /// releases. If nobody owns the package, `owners` become its owners; if they are empty, the organization does.
    pub async fn restore_tombstone(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        tombstone: &Tombstone,
        owners: &[(String, OwnerLevel)],
        by: &Actor,
    ) -> Result<bool, StateError> {
        let (repository, name, version) = subject;
        self.writing("restore a tombstone", Lock::Repository(repository), |mut writing| async move {
            let removed_at = sql_time(tombstone.removed_at);
            let recorded = writing.recorded_version(subject).await?;
            if recorded.is_some_and(|recorded| recorded.counts(tombstone.removed_at)) {
                return Ok(false);
            }
            writing.remove_tombstone(subject).await?;
            let bury = "INSERT INTO tombstones (repository, package, version, outer_checksum, is_final, reason, removed_by, \
                        removed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let bury = sql(bury).bind(repository).bind(name).bind(version.unwrap_or_default());
            let bury = bury.bind(tombstone.outer.to_string()).bind(tombstone.is_final).bind(&tombstone.reason);
            writing.run(bury.bind(tombstone.removed_by.as_deref()).bind(removed_at)).await?;
            // If the claim to a name was given up, its tombstones are kept, but nobody owns it.
            if recorded.is_none() {
                let make = "INSERT INTO packages (repository, name, inserted_at, updated_at) VALUES ($1, $2, $3, $3) \
                            ON CONFLICT (repository, name) DO NOTHING";
                writing.run(sql(make).bind(repository).bind(name).bind(removed_at)).await?;
                if let Some(package) = writing.package(repository, name).await?
                    && writing.owners(package).await?.is_empty()
                {
                    for (username, level) in owners {
                        writing.own(package, username, *level).await?;
                    }
                }
            } else if let Some(package) = writing.package(repository, name).await? {
                let remove = sql("DELETE FROM releases WHERE package_id = $1 AND version = $2");
                let removed = writing.run(remove.bind(package).bind(version.unwrap_or_default())).await?;
                if removed > 0 {
                    writing.latest(package).await?;
                    writing.keep_claim(repository, package).await?;
                    let action = if tombstone.is_final { Action::ReleaseRemove } else { Action::ReleaseRevert };
                    writing.log(now, action, subject, "removed by its file, which is newer", by).await?;
                }
            }
            // The package claims its name, unless the claim was given up.
            writing.claims.push(Change::Anew { repository: repository.to_owned() });
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// What the database records about a version, for the comparison with a file.
#[derive(Clone, Copy, Debug)]
pub struct RecordedVersion {
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// Whether an administrator removed the version, which nothing undoes.
    pub is_final: bool,
}

impl RecordedVersion {
    /// Whether the record counts, and not a file with this time of the last change.
    pub fn counts(self, updated_at: Timestamp) -> bool {
        self.is_final || self.updated_at >= updated_at
    }
}

impl Writing<'_> {
    /// The record of a version, released or removed; `None` if the database does not know it.
    pub(super) async fn recorded_version(
        &mut self,
        (repository, name, version): Subject<'_>,
    ) -> Result<Option<RecordedVersion>, StateError> {
        let version = version.unwrap_or_default();
        let wrap = StateError::query(self.operation);
        let released: Option<(i64,)> = sql_as(
            "SELECT r.updated_at FROM releases r JOIN packages p ON p.id = r.package_id \
             WHERE p.repository = $1 AND p.name = $2 AND r.version = $3",
        )
        .bind(repository)
        .bind(name)
        .bind(version)
        .fetch_optional(self.connection())
        .await
        .map_err(wrap)?;
        let removed = read_tombstone(self.connection(), repository, name, version).await?;
        let released = released.map(|(updated_at,)| from_sql_time(updated_at));
        let is_final = removed.as_ref().is_some_and(|tombstone| tombstone.is_final);
        let updated_at = released.max(removed.map(|tombstone| tombstone.removed_at));
        Ok(updated_at.map(|updated_at| RecordedVersion { updated_at, is_final }))
    }

    /// Removes the tombstone of a version, if it has one.
    pub(super) async fn remove_tombstone(
        &mut self,
        (repository, name, version): Subject<'_>,
    ) -> Result<(), StateError> {
        let remove = "DELETE FROM tombstones WHERE repository = $1 AND package = $2 AND version = $3";
        let remove = sql(remove).bind(repository).bind(name).bind(version.unwrap_or_default());
        self.run(remove).await.map(drop)
    }
}
