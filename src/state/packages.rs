//! Queries of packages in local repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::from_sql_time;
use super::engine::{Executor, Row, sql, sql_as};
pub use super::package::{
    Docs, ListedPackage, ListedRelease, OwnerLevel, Package, Release, ReleaseMetadata, Requirement, Retirement,
    SearchRow, Tombstone,
};
use super::{DatabaseError, State, StateError};
use crate::choice::Choice as _;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;

const LISTED: &str = "version, inner_checksum, outer_checksum, size, docs_checksum, docs_size, retired_reason, \
                      retired_message, r.inserted_at, coalesce(r.published_at, r.inserted_at)";

impl State {
    /// All packages of a repository with their releases, sorted by name.
    pub async fn listed(&self, repository: &str) -> Result<Vec<ListedPackage>, StateError> {
        listed_packages(&self.pool, repository, None).await
    }

    /// A package of a repository with its releases.
    pub async fn listed_package(&self, repository: &str, name: &str) -> Result<Option<ListedPackage>, StateError> {
        Ok(listed_packages(&self.pool, repository, Some(name)).await?.pop())
    }

    /// A package with all its data; `None` if it has no releases.
    pub async fn package(&self, repository: &str, name: &str) -> Result<Option<Package>, StateError> {
        let wrap = || StateError::query("read a package");
        let row = sql(
            "SELECT id, name, inserted_at, updated_at, docs_updated_at FROM packages WHERE repository = $1 AND name = $2 \
             AND EXISTS (SELECT 1 FROM releases WHERE package_id = packages.id)",
        )
        .bind(repository)
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(wrap())?;
        let Some(row) = row else { return Ok(None) };
        let id: i64 = row.try_get(0).map_err(wrap())?;
        let query =
            format!("SELECT {LISTED}, id, metadata, publisher, updated_at FROM releases r WHERE package_id = $1");
        let releases = sql(query).bind(id).fetch_all(&self.pool).await.map_err(wrap())?;
        let requirements =
            sql("SELECT release_id, q.package, requirement, optional, app, repository FROM requirements q \
             JOIN releases r ON r.id = q.release_id WHERE r.package_id = $1 ORDER BY q.package")
            .bind(id)
            .fetch_all(&self.pool)
            .await
            .map_err(wrap())?;
        let owners: Vec<(String, String)> = sql_as("SELECT username, level FROM owners WHERE package_id = $1")
            .bind(id)
            .fetch_all(&self.pool)
            .await
            .map_err(wrap())?;
        let read = || {
            let mut by_release: BTreeMap<i64, Vec<Requirement>> = BTreeMap::new();
            for row in &requirements {
                by_release.entry(row.try_get(0)?).or_default().push(requirement(row)?);
            }
            let releases = releases.iter().map(|row| release(row, &mut by_release)).collect::<Result<_, _>>()?;
            let docs: Option<i64> = row.try_get(4)?;
            Ok(Package {
                name: row.try_get(1)?,
                inserted_at: from_sql_time(row.try_get(2)?),
                updated_at: from_sql_time(row.try_get(3)?),
                docs_updated_at: docs.map(from_sql_time),
                owners: owners
                    .into_iter()
                    .map(|(name, level)| Ok((name, OwnerLevel::from_word(&level).ok_or_else(|| unknown("level"))?)))
                    .collect::<Result<_, DatabaseError>>()?,
                releases,
            })
        };
        read().map(Some).map_err(wrap())
    }

    /// Whether a package was ever published here, even if nothing is left of it.
    pub async fn was_published(&self, repository: &str, package: &str) -> Result<bool, StateError> {
        let found = sql("SELECT 1 FROM packages WHERE repository = $1 AND name = $2");
        let found = found.bind(repository).bind(package).fetch_optional(&self.pool).await;
        Ok(found.map_err(StateError::query("look for a package"))?.is_some())
    }

    /// The level of a user as an owner of a package, even if the package has no releases.
    pub async fn owner_level(
        &self,
        repository: &str,
        package: &str,
        username: &str,
    ) -> Result<Option<OwnerLevel>, StateError> {
        let found: Option<(String,)> = sql_as(
            "SELECT level FROM owners JOIN packages ON packages.id = package_id \
             WHERE repository = $1 AND name = $2 AND username = $3",
        )
        .bind(repository)
        .bind(package)
        .bind(username)
        .fetch_optional(&self.pool)
        .await
        .map_err(StateError::query("read the owners of a package"))?;
        Ok(found.and_then(|(level,)| OwnerLevel::from_word(&level)))
    }

    /// Whether a package has any user as its owner.
    pub async fn is_owned(&self, repository: &str, package: &str) -> Result<bool, StateError> {
        let found = sql(
            "SELECT 1 FROM owners JOIN packages ON packages.id = package_id WHERE repository = $1 AND name = $2 LIMIT 1",
        )
        .bind(repository)
        .bind(package)
        .fetch_optional(&self.pool)
        .await
        .map_err(StateError::query("read the owners of a package"))?;
        Ok(found.is_some())
    }

    /// All packages that a user owns, as repository key and name.
    pub async fn owned(&self, username: &str) -> Result<Vec<(String, String)>, StateError> {
        sql_as(
            "SELECT repository, name FROM owners JOIN packages ON packages.id = owners.package_id WHERE username = $1 \
             AND EXISTS (SELECT 1 FROM releases WHERE package_id = packages.id) ORDER BY repository, name",
        )
        .bind(username)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the packages of a user"))
    }

    /// All packages of a repository with the metadata of their latest release, sorted by name, for a search. With
    /// `depends`, only those whose latest release depends on that package; with `build_tool`, only those with a release
    /// for that tool.
    pub async fn search(
        &self,
        repository: &str,
        depends: Option<(&str, Option<[&str; 2]>)>,
        build_tool: Option<&str>,
    ) -> Result<Vec<SearchRow>, StateError> {
        let (package, homes) = depends.map_or((None, None), |(package, homes)| (Some(package), homes));
        let wrap = || StateError::query("search the packages");
        let rows = sql(
            "SELECT p.name, p.inserted_at, p.updated_at, r.metadata FROM packages p JOIN releases r ON r.id = p.latest \
             WHERE p.repository = $1 \
             AND ($2 IS NULL OR EXISTS (SELECT 1 FROM requirements q WHERE q.release_id = p.latest AND q.package = $2 \
                                        AND ($4 IS NULL OR q.repository IN ($4, $5)))) \
             AND ($3 IS NULL OR EXISTS (SELECT 1 FROM releases t WHERE t.package_id = p.id \
                                        AND replace(t.build_tools, ' ' || $3 || ' ', '') <> t.build_tools)) \
             ORDER BY p.name",
        )
        .bind(repository)
        .bind(package)
        .bind(build_tool)
        .bind(homes.map(|homes| homes[0]))
        .bind(homes.map(|homes| homes[1]))
        .fetch_all(&self.pool)
        .await
        .map_err(wrap())?;
        let read = |row: &Row| {
            Ok(SearchRow {
                name: row.try_get(0)?,
                inserted_at: from_sql_time(row.try_get(1)?),
                updated_at: from_sql_time(row.try_get(2)?),
                about: about(row.try_get(3)?)?,
            })
        };
        rows.iter().map(read).collect::<Result<_, DatabaseError>>().map_err(wrap())
    }

    /// The record of a removed version.
    pub async fn tombstone(
        &self,
        repository: &str,
        package: &str,
        version: &str,
    ) -> Result<Option<Tombstone>, StateError> {
        read_tombstone(&self.pool, repository, package, version).await
    }

    /// All files of local repositories that are in use: by existing releases, and by reverted ones. Files that an
    /// administrator removed are not included.
    pub async fn named_files(&self) -> Result<BTreeSet<Sha256>, StateError> {
        let wrap = || StateError::query("list the files of local repositories");
        let rows: Vec<(String,)> = sql_as(
            "SELECT outer_checksum FROM releases UNION SELECT docs_checksum FROM releases WHERE docs_checksum IS NOT NULL \
             UNION SELECT outer_checksum FROM tombstones WHERE is_final = 0",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(wrap())?;
        rows.into_iter().map(|(text,)| digest(text)).collect::<Result<_, DatabaseError>>().map_err(wrap())
    }

    /// The packages on this server that depend on a package, as repository and name.
    pub async fn dependants(&self, repository: &str, package: &str) -> Result<Vec<(RepoName, String)>, StateError> {
        let found: Vec<(String, String)> = sql_as(
            "SELECT DISTINCT p.repository, p.name FROM requirements q JOIN releases r ON r.id = q.release_id \
             JOIN packages p ON p.id = r.package_id WHERE q.package = $2 AND q.repository = $1 \
             AND NOT (p.repository = $1 AND p.name = $2) ORDER BY 1, 2",
        )
        .bind(repository)
        .bind(package)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the dependants of a package"))?;
        Ok(found.into_iter().filter_map(|(of, name)| Some((of.parse().ok()?, name))).collect())
    }
}

/// All packages of a repository with releases, or only the one with `name`.
pub(super) async fn listed_packages(
    on: impl Into<Executor<'_>>,
    repository: &str,
    name: Option<&str>,
) -> Result<Vec<ListedPackage>, StateError> {
    // Two separate queries: one with `$2 IS NULL OR` would scan all packages for a single one.
    let one = if name.is_some() { "AND p.name = $2" } else { "" };
    let query = format!(
        "SELECT {LISTED}, p.name, p.inserted_at, p.updated_at FROM packages p JOIN releases r ON r.package_id = p.id \
         WHERE p.repository = $1 {one} ORDER BY p.name"
    );
    let mut question = sql(query).bind(repository);
    if let Some(name) = name {
        question = question.bind(name);
    }
    let rows = question.fetch_all(on).await;
    let rows = rows.map_err(StateError::query("list the packages"))?;
    let mut packages: Vec<ListedPackage> = Vec::new();
    let mut take = |row: &Row| {
        let (release, name): (ListedRelease, String) = (listed(row)?, row.try_get(10)?);
        match packages.last_mut().filter(|package| package.name == name) {
            Some(package) => package.releases.push(release),
            None => packages.push(ListedPackage {
                name,
                inserted_at: from_sql_time(row.try_get(11)?),
                updated_at: from_sql_time(row.try_get(12)?),
                releases: vec![release],
            }),
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut take).map_err(StateError::query("list the packages"))?;
    Ok(packages)
}

pub(super) async fn read_tombstone(
    on: impl Into<Executor<'_>>,
    repository: &str,
    package: &str,
    version: &str,
) -> Result<Option<Tombstone>, StateError> {
    let wrap = || StateError::query("read a tombstone");
    let query = format!("SELECT {TOMBSTONE} FROM tombstones WHERE repository = $1 AND package = $2 AND version = $3");
    let row = sql(query).bind(repository).bind(package).bind(version).fetch_optional(on).await.map_err(wrap())?;
    row.map(|row| tombstone(&row)).transpose().map_err(wrap())
}

/// The columns that [`tombstone`] reads.
pub(super) const TOMBSTONE: &str = "outer_checksum, is_final, reason, removed_by, removed_at";

pub(super) fn tombstone(row: &Row) -> Result<Tombstone, DatabaseError> {
    Ok(Tombstone {
        outer: digest(row.try_get(0)?)?,
        is_final: row.try_get(1)?,
        reason: row.try_get(2)?,
        removed_by: row.try_get(3)?,
        removed_at: from_sql_time(row.try_get(4)?),
    })
}

fn unknown(what: &str) -> DatabaseError {
    DatabaseError::decode(format!("the database contains an unknown {what}"))
}

fn digest(text: String) -> Result<Sha256, DatabaseError> {
    Sha256::from_hex(&text).map_err(DatabaseError::decode)
}

fn about(json: String) -> Result<ReleaseMetadata, DatabaseError> {
    serde_json::from_str(&json).map_err(DatabaseError::decode)
}

/// Reads the columns of [`LISTED`].
fn listed(row: &Row) -> Result<ListedRelease, DatabaseError> {
    let size = |size: i64| u64::try_from(size).unwrap_or_default();
    let docs = match (row.try_get::<Option<String>>(4)?, row.try_get::<Option<i64>>(5)?) {
        (Some(text), Some(bytes)) => Some(Docs { digest: digest(text)?, size: size(bytes) }),
        _ => None,
    };
    let retirement = match row.try_get::<Option<String>>(6)? {
        Some(word) => Some(Retirement {
            reason: RetirementReason::from_word(&word).ok_or_else(|| unknown("reason"))?,
            message: row.try_get(7)?,
        }),
        None => None,
    };
    Ok(ListedRelease {
        version: row.try_get(0)?,
        inner: digest(row.try_get(1)?)?,
        outer: digest(row.try_get(2)?)?,
        size: size(row.try_get(3)?),
        docs,
        retirement,
        inserted_at: from_sql_time(row.try_get(8)?),
        published_at: from_sql_time(row.try_get(9)?),
    })
}

fn release(row: &Row, requirements: &mut BTreeMap<i64, Vec<Requirement>>) -> Result<Release, DatabaseError> {
    Ok(Release {
        listed: listed(row)?,
        requirements: requirements.remove(&row.try_get(10)?).unwrap_or_default(),
        about: about(row.try_get(11)?)?,
        publisher: row.try_get(12)?,
        updated_at: from_sql_time(row.try_get(13)?),
    })
}

fn requirement(row: &Row) -> Result<Requirement, DatabaseError> {
    Ok(Requirement {
        package: row.try_get(1)?,
        requirement: row.try_get(2)?,
        optional: row.try_get(3)?,
        app: row.try_get(4)?,
        repository: row.try_get(5)?,
    })
}
