//! The queries behind the metadata files that are stored next to tarballs: their contents, their comparison with the
//! database, and restoring removed versions from them.

use std::collections::BTreeSet;

use super::audit::sql_time;
use super::claims::Change;
use super::engine::{DatabaseError, Row, sql, sql_as};
use super::owners::Owners;
use super::packages::{OwnerLevel, TOMBSTONE, Tombstone, tombstone};
use super::releases::Subject;
use super::{Lock, State, StateError};

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

    /// Records from a file that a version existed and was removed. An existing release or tombstone of the version is
    /// left unchanged. A package that is not in the database is created without releases. If nobody owns the package,
    /// `owners` become its owners; if they are empty, the organization does.
    pub async fn restore_tombstone(
        &self,
        subject: Subject<'_>,
        tombstone: &Tombstone,
        owners: &[(String, OwnerLevel)],
    ) -> Result<(), StateError> {
        let (repository, name, version) = subject;
        self.writing("restore a tombstone", Lock::Repository(repository), |mut writing| async move {
            let removed_at = sql_time(tombstone.removed_at);
            let bury = "INSERT INTO tombstones (repository, package, version, outer_checksum, is_final, reason, removed_by, \
                        removed_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT 1 FROM releases r \
                        JOIN packages p ON p.id = r.package_id WHERE p.repository = $1 AND p.name = $2 AND r.version = $3) \
                        ON CONFLICT (repository, package, version) DO NOTHING";
            let bury = sql(bury).bind(repository).bind(name).bind(version.unwrap_or_default());
            let bury = bury.bind(tombstone.outer.to_string()).bind(tombstone.is_final).bind(&tombstone.reason);
            let is_new = writing.run(bury.bind(tombstone.removed_by.as_deref()).bind(removed_at)).await? > 0;
            // If the claim to a name was given up, its tombstones are kept, but nobody owns it.
            if is_new {
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
            }
            // The package claims its name, unless the claim was given up.
            writing.claims.push(Change::Anew { repository: repository.to_owned() });
            writing.commit().await
        })
        .await
    }
}
