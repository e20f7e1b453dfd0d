//! A file beside each tarball that says what the tarball does not, and one for each version that was removed: with them and
//! the tarballs a repository can be made anew (`reindex`).
//!
//! Written after the database and before the answer. Where it cannot be written the change stands all the same, and the
//! log says so: it is the second copy, not the first.

use serde::{Deserialize, Serialize};

use super::error::{LocalFailure, WriteError};
use super::{LocalRepository, OwnerLevel, Release, Retirement, blocking};
use crate::choice::Choice as _;
use crate::hex::build::RetirementReason;
use crate::hex::name::PackageName;
use crate::state::StateError;
use crate::state::packages::Tombstone;
use crate::store::vault::{Put, VaultError, VaultFolder, VaultPath};

/// The format of these files.
pub(super) const FORMAT: u32 = 1;

/// Bytes of such a file; with every owner and requirement a package may have, far less.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many lines of the audit log are looked at for the last change of a package.
const RECENT: u32 = 100;

/// What is said of a release. Times are milliseconds since the epoch, checksums hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) format: u32,
    pub(super) package: String,
    pub(super) version: String,
    pub(super) inner_checksum: String,
    pub(super) outer_checksum: String,
    pub(super) size: u64,
    pub(super) inserted_at: u64,
    /// When its tarball was published, where that has taken the place of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) published_at: Option<u64>,
    pub(super) updated_at: u64,
    pub(super) publisher: Option<String>,
    pub(super) retirement: Option<SidecarRetirement>,
    pub(super) owners: Vec<(String, String)>,
    pub(super) docs: Option<(String, u64)>,
    /// Where dependencies live, as it was found at publish: package and repository key.
    pub(super) dependencies: Vec<(String, String)>,
    /// `true` where the release was reverted or removed.
    #[serde(default)]
    pub(super) removed: bool,
    /// How it was removed.
    #[serde(default)]
    pub(super) tombstone: Option<SidecarTombstone>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SidecarTombstone {
    pub(super) is_final: bool,
    pub(super) reason: String,
    pub(super) removed_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SidecarRetirement {
    pub(super) reason: String,
    pub(super) message: Option<String>,
}

impl LocalRepository {
    /// Writes down what the database says of a package: of every release, and of every version that was removed.
    pub(super) async fn write_sidecars(&self, name: &PackageName) {
        match self.sidecars(name).await {
            Ok(sidecars) => self.store_sidecars(sidecars).await,
            Err(error) => self.not_written(&error),
        }
    }

    async fn sidecars(&self, name: &PackageName) -> Result<Vec<Sidecar>, StateError> {
        let (key, package) = (self.key().as_str(), name.as_str());
        let (releases, owners) = match self.state.package(key, package).await? {
            Some(package) => (package.releases, package.owners),
            None => (Vec::new(), self.state.owners_of(key, package).await?),
        };
        let tombstones = self.state.tombstones(key, package).await?;
        let owners: Vec<(String, String)> =
            owners.into_iter().map(|(owner, level)| (owner, level.as_str().to_owned())).collect();
        let releases = releases.iter().map(|release| Sidecar::of(name, release, &owners));
        let removed = tombstones.iter().map(|(version, tombstone)| Sidecar::removed(name, version, tombstone, &owners));
        Ok(releases.chain(removed).collect())
    }

    /// Makes sure that the files say what the last change has made of the database: a sudden end may have come between
    /// the two. To be called once, before anything else is changed. Files that say more than the database stay as they are.
    pub async fn catch_up(&self) {
        if self.unknown.any() {
            return;
        }
        let newest = match self.state.audit_log(self.key().as_str(), RECENT).await {
            Ok(newest) => newest,
            Err(error) => return self.not_written(&error),
        };
        let Some(last) = newest.into_iter().find_map(|entry| entry.package) else { return };
        let Ok(name) = last.parse::<PackageName>() else { return };
        self.write_sidecars(&name).await;
    }

    /// Forgets that a release is gone.
    pub(super) async fn remove_sidecar(&self, name: &PackageName, version: &str) -> Result<(), WriteError> {
        self.shared.store.local.remove(self.path(name.as_str(), version)?.into()).await?;
        Ok(())
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> Result<VaultFolder, VaultError> {
        Ok(VaultFolder::new(self.key().as_str())?)
    }

    /// The file of a release.
    pub(super) fn path(&self, name: &str, version: &str) -> Result<VaultPath, VaultError> {
        Ok(self.folder()?.file(&format!("{name}-{version}.json"))?)
    }

    async fn store_sidecars(&self, sidecars: Vec<Sidecar>) {
        let mut named = Vec::new();
        for sidecar in sidecars {
            match self.path(&sidecar.package, &sidecar.version) {
                Ok(path) => named.push((path, sidecar)),
                Err(error) => self.not_written(&error),
            }
        }
        let encode = |(path, sidecar): (VaultPath, Sidecar)| {
            Put::Bytes(path, serde_json::to_vec_pretty(&sidecar).unwrap_or_default().into())
        };
        let written = async {
            let files: Vec<Put> = blocking(move || Ok(named.into_iter().map(encode).collect())).await?;
            Ok::<_, LocalFailure>(self.shared.store.local.put_all(files).await?)
        };
        if let Err(error) = written.await {
            self.not_written(&error);
        }
    }

    fn not_written(&self, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(
            repository = %self.key(), error,
            "a file beside a tarball was not written: the database is right, and a rebuild from files would not be"
        );
    }
}

impl Sidecar {
    fn of(name: &PackageName, release: &Release, owners: &[(String, String)]) -> Self {
        let listed = &release.listed;
        Self {
            format: FORMAT,
            package: name.to_string(),
            version: listed.version.clone(),
            inner_checksum: listed.inner.to_string(),
            outer_checksum: listed.outer.to_string(),
            size: listed.size,
            inserted_at: listed.inserted_at.as_millis(),
            published_at: (listed.published_at != listed.inserted_at).then(|| listed.published_at.as_millis()),
            updated_at: release.updated_at.as_millis(),
            publisher: release.publisher.clone(),
            retirement: listed.retirement.as_ref().map(|retirement| SidecarRetirement {
                reason: retirement.reason.word().to_owned(),
                message: retirement.message.clone(),
            }),
            owners: owners.to_vec(),
            docs: listed.docs.map(|docs| (docs.digest.to_string(), docs.size)),
            dependencies: release
                .requirements
                .iter()
                .map(|requirement| (requirement.package.clone(), requirement.repository.clone()))
                .collect(),
            removed: false,
            tombstone: None,
        }
    }

    fn removed(name: &PackageName, version: &str, tombstone: &Tombstone, owners: &[(String, String)]) -> Self {
        Self {
            format: FORMAT,
            package: name.to_string(),
            version: version.to_owned(),
            inner_checksum: String::new(),
            outer_checksum: tombstone.outer.to_string(),
            size: 0,
            inserted_at: tombstone.removed_at.as_millis(),
            published_at: None,
            updated_at: tombstone.removed_at.as_millis(),
            publisher: None,
            retirement: None,
            owners: owners.to_vec(),
            docs: None,
            dependencies: Vec::new(),
            removed: true,
            tombstone: Some(SidecarTombstone {
                is_final: tombstone.is_final,
                reason: tombstone.reason.clone(),
                removed_by: tombstone.removed_by.clone(),
            }),
        }
    }

    /// The owners of the package, as they were when the file was written last.
    pub(super) fn owners(&self) -> Vec<(String, OwnerLevel)> {
        let level = |(name, level): &(String, String)| Some((name.clone(), OwnerLevel::from_word(level)?));
        self.owners.iter().filter_map(level).collect()
    }
}

impl SidecarRetirement {
    pub(super) fn read(&self) -> Option<Retirement> {
        Some(Retirement { reason: RetirementReason::from_word(&self.reason)?, message: self.message.clone() })
    }
}
