//! A snapshot of a package, by which a change is decided: once before it begins, and again in its transaction.

use std::collections::BTreeMap;

use super::engine::{Executor, sql_as};
use super::packages::{ListedPackage, OwnerLevel, Tombstone, listed_packages, read_tombstone};
use super::{State, StateError, Writing};

/// The state of a package and of one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSnapshot {
    /// The package with its releases; `None` if it has none.
    pub package: Option<ListedPackage>,
    /// Whether the repository claims the name.
    pub is_claimed: bool,
    /// The record of the version, if it was removed.
    pub tombstone: Option<Tombstone>,
}

impl State {
    /// The current state; it may change before a change begins.
    pub async fn present(&self, repository: &str, name: &str, version: &str) -> Result<PackageSnapshot, StateError> {
        present((&self.pool).into(), repository, name, version).await
    }
}

impl Writing<'_> {
    /// The current state, which the lock of the repository keeps unchanged.
    pub(super) async fn present(
        &mut self,
        repository: &str,
        name: &str,
        version: &str,
    ) -> Result<PackageSnapshot, StateError> {
        present(self.connection().into(), repository, name, version).await
    }

    /// The owners of a package, by user name.
    pub(super) async fn owners(&mut self, package: i64) -> Result<BTreeMap<String, OwnerLevel>, StateError> {
        let owners: Vec<(String, String)> = sql_as("SELECT username, level FROM owners WHERE package_id = $1")
            .bind(package)
            .fetch_all(self.connection())
            .await
            .map_err(StateError::query("read the owners of a package"))?;
        Ok(owners.into_iter().filter_map(|(name, level)| Some((name, OwnerLevel::from_word(&level)?))).collect())
    }
}

async fn present(
    mut on: Executor<'_>,
    repository: &str,
    name: &str,
    version: &str,
) -> Result<PackageSnapshot, StateError> {
    let package = listed_packages(&mut on, repository, Some(name)).await?.pop();
    // A package with releases is always claimed.
    let is_claimed = package.is_some() || is_claimed(&mut on, repository, name).await?;
    let tombstone = read_tombstone(&mut on, repository, name, version).await?;
    Ok(PackageSnapshot { package, is_claimed, tombstone })
}

/// Whether a repository claims a name, according to the tables.
pub(super) async fn is_claimed(on: impl Into<Executor<'_>>, repository: &str, name: &str) -> Result<bool, StateError> {
    let claimed: (bool,) = sql_as(
        "SELECT NOT EXISTS (SELECT 1 FROM claims WHERE repository = $1 AND name = $2 AND forgotten IS NOT NULL) \
         AND (EXISTS (SELECT 1 FROM claims WHERE repository = $1 AND name = $2) \
         OR EXISTS (SELECT 1 FROM packages WHERE repository = $1 AND name = $2) \
         OR EXISTS (SELECT 1 FROM tombstones WHERE repository = $1 AND package = $2) \
         OR EXISTS (SELECT 1 FROM ledger WHERE repository = $1 AND package = $2))",
    )
    .bind(repository)
    .bind(name)
    .fetch_one(on)
    .await
    .map_err(StateError::query("read the claims of a repository"))?;
    Ok(claimed.0)
}
