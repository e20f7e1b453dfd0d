//! Finds files that contain more than the database, because it was lost or is older than they are.
//!
//! Until `reindex` has read these files, their packages cannot be changed. Otherwise a publish could replace an
//! existing release, or a version that was removed permanently, and someone else could own the name.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use parking_lot::Mutex;

use super::LocalRepository;
use super::error::{LocalFailure, WriteError};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::store::vault::{Listed, Prefix, VaultError, VaultName};

/// The versions that had files but were missing in the database when both were compared, by package.
#[derive(Debug, Default)]
pub(super) struct UnknownVersions(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl UnknownVersions {
    fn of(&self, package: &PackageName) -> Option<BTreeSet<String>> {
        self.0.lock().get(package.as_str()).cloned()
    }

    fn settle(&self, package: &PackageName) {
        self.0.lock().remove(package.as_str());
    }
}

impl LocalRepository {
    /// Compares the file names with the database. Packages that it does not have are claimed, because others could
    /// publish them elsewhere. If it lacks versions of a package, the package cannot be changed until `reindex`. Called
    /// before the first request.
    pub async fn compare_with_files(&self) -> Result<(), LocalFailure> {
        let mut unknown = self.versions_in_files().await?;
        let names = unknown.iter().map(|(name, _)| name.clone()).collect();
        let claimed = self.state.claim_found(self.key().as_str(), names, self.shared.clock.now()).await?;
        let known = self.state.known_versions(self.key().as_str(), None).await?;
        unknown.retain(|version| !known.contains(version));
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, version) in unknown {
            packages.entry(name).or_default().insert(version);
        }
        if let Some((name, versions)) = packages.first_key_value() {
            tracing::error!(
                repository = %self.key(),
                packages = packages.len(),
                versions = packages.values().map(BTreeSet::len).sum::<usize>(),
                unknown_packages = claimed.len(),
                first = %format_args!("{name} {}", versions.first().map_or("", String::as_str)),
                "files contain releases that are missing in the database: their packages cannot be changed until \
                 `hexkeep reindex` has rebuilt the database of the repository from its files"
            );
        }
        *self.unknown.0.lock() = packages;
        Ok(())
    }

    /// The packages and versions that have files.
    async fn versions_in_files(&self) -> Result<BTreeSet<(String, String)>, VaultError> {
        let mut versions = BTreeSet::new();
        let mut files = self.shared.store.local.list(Prefix::Folder(self.folder()?));
        while let Some(listed) = files.try_next().await? {
            let Listed::File(VaultName::Path(path)) = listed else { continue };
            // Package names contain no dash.
            let Some((name, version)) = path.file().strip_suffix(".json").and_then(|file| file.split_once('-')) else {
                continue;
            };
            if PackageName::is_valid(name) && version.parse::<ReleaseVersion>().is_ok() {
                versions.insert((name.to_owned(), version.to_owned()));
            }
        }
        Ok(versions)
    }

    /// Fails if files contain more of a package than the database. Called while the lock for changes is held.
    pub(super) async fn check_known(&self, name: &PackageName) -> Result<(), WriteError> {
        // Almost every package has none.
        let Some(versions) = self.unknown.of(name) else { return Ok(()) };
        let known = self.state.known_versions(self.key().as_str(), Some(name.as_str())).await?;
        for version in versions {
            let path = self.path(name.as_str(), &version)?;
            let is_known = known.contains(&(name.to_string(), version));
            if !is_known && self.shared.store.local.stat(path.into()).await?.is_some() {
                return Err(WriteError::NotIndexed(self.key().clone()));
            }
        }
        self.unknown.settle(name);
        Ok(())
    }
}
