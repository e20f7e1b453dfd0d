//! Files that say more than the database knows: it was lost, or it is older than they are.
//!
//! Until `reindex` has read them, nothing is written to the packages that they are of. Else a publish would take the place of a
//! release that is there, or of a version that was removed for good, and a stranger would own the name.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use parking_lot::Mutex;

use super::LocalRepository;
use super::error::{LocalFailure, WriteError};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::store::vault::{Listed, Prefix, VaultError, VaultName};

/// The versions that files speak of and the database did not know when they were compared, by package.
#[derive(Debug, Default)]
pub(super) struct UnknownVersions(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl UnknownVersions {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.0.lock().is_empty()
    }

    fn of(&self, package: &PackageName) -> Option<BTreeSet<String>> {
        self.0.lock().get(package.as_str()).cloned()
    }

    fn settle(&self, package: &PackageName) {
        self.0.lock().remove(package.as_str());
    }
}

impl LocalRepository {
    /// Compares the names of the files with the database. Packages that it does not know are claimed: else anybody could
    /// publish them elsewhere. Of versions that it does not know, nothing of their package is changed until `reindex`. To be
    /// called before anybody asks.
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
                "files have releases that the database does not know: nothing of these packages is changed until \
                 `hexkeep reindex` has made the repository anew from its files"
            );
        }
        *self.unknown.0.lock() = packages;
        Ok(())
    }

    /// The packages and versions that files speak of.
    async fn versions_in_files(&self) -> Result<BTreeSet<(String, String)>, VaultError> {
        let mut versions = BTreeSet::new();
        let mut files = self.shared.store.local.list(Prefix::Folder(self.folder()?));
        while let Some(listed) = files.try_next().await? {
            let Listed::File(VaultName::Path(path)) = listed else { continue };
            // No name of a package has a dash.
            let Some((name, version)) = path.file().strip_suffix(".json").and_then(|file| file.split_once('-')) else {
                continue;
            };
            if PackageName::is_valid(name) && version.parse::<ReleaseVersion>().is_ok() {
                versions.insert((name.to_owned(), version.to_owned()));
            }
        }
        Ok(versions)
    }

    /// Refuses to change a package of which files say more than the database knows. To be called by whoever changes
    /// something, while nobody else does.
    pub(super) async fn check_known(&self, name: &PackageName) -> Result<(), WriteError> {
        // None, for almost every package that there ever is.
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
