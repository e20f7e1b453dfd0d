//! Writes a file beside each tarball with the data that the tarball does not contain, and one for each removed version.
//! From these files and the tarballs the database can be rebuilt (`reindex`).
//!
//! They are written after the database and before the answer. If this fails, the change stays, the failure is logged,
//! and the files are owed: the transaction of each change marks its package, and the mark is removed only after the files
//! are written. Owed files are written at start, at a reload, every minute, and by `verify-store` and `backup`.

use serde::{Deserialize, Serialize};

use super::error::{LocalFailure, WriteError};
use super::{LocalRepository, OwnerLevel, Release, Retirement, blocking};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::name::PackageName;
use crate::repository::RepoError;
use crate::state::StateError;
use crate::state::packages::Tombstone;
use crate::state::sidecar_records::RecordedVersion;
use crate::store::vault::{Put, VaultError, VaultFolder, VaultPath};

/// The format of these files.
pub(super) const FORMAT: u32 = 1;

/// Maximum size of such a file, in bytes. Even with all owners and requirements that a package may have, it is far
/// smaller.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The data of a release. Times are milliseconds since the epoch, checksums hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) format: u32,
    pub(super) package: String,
    pub(super) version: String,
    pub(super) inner_checksum: String,
    pub(super) outer_checksum: String,
    pub(super) size: u64,
    pub(super) inserted_at: u64,
    /// When its tarball was published, if it has replaced another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) published_at: Option<u64>,
    pub(super) updated_at: u64,
    pub(super) publisher: Option<String>,
    pub(super) retirement: Option<SidecarRetirement>,
    pub(super) owners: Vec<(String, String)>,
    pub(super) docs: Option<(String, u64)>,
    /// The repositories of the dependencies, as found when it was published: package and repository key.
    pub(super) dependencies: Vec<(String, String)>,
    /// `true` if the release was reverted or removed.
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
    /// Writes the files of a package from the database: one for each release and for each removed version. If this fails,
    /// the files are still owed, and are written later.
    pub(super) async fn write_sidecars(&self, name: &PackageName) {
        // Read before the content, so that it never stands for a later change.
        let mark = self.state.sidecar_mark(self.key().as_str(), name.as_str());
        let written = async { self.store_sidecars(self.sidecars(name).await?).await };
        match written.await {
            Ok(()) => self.settle(mark).await,
            Err(error) => self.not_written(name, &error),
        }
    }

    async fn settle(&self, mark: Option<i64>) {
        let Some(mark) = mark else { return };
        if let Err(error) = self.state.sidecars_written(mark).await {
            tracing::warn!(
                repository = %self.key(), error = &error as &dyn std::error::Error,
                "cannot record that files beside tarballs were written: they will be written again later"
            );
        }
    }

    /// The content of the files of a package, from the database.
    pub(super) async fn sidecars(&self, name: &PackageName) -> Result<Vec<Sidecar>, StateError> {
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

    /// Writes the files that are owed because of a crash or a failure. Returns the number of packages whose files are still
    /// owed: they could not be written, or there are files that contain more than the database or are newer; these stay
    /// as they are until `reindex`.
    pub async fn write_owed_sidecars(&self) -> Result<usize, RepoError> {
        let key = self.key().as_str();
        self.state.clear_written_sidecars().await?;
        let owed = self.state.owed_sidecars(key).await?;
        for (package, mark) in &owed {
            let Ok(name) = package.parse::<PackageName>() else { continue };
            let _one = self.changing.lock().await;
            if self.check_known(&name).await.is_err() {
                continue;
            }
            match self.write_older_sidecars(&name).await {
                Ok(true) => self.settle(Some(*mark)).await,
                Ok(false) => tracing::warn!(
                    repository = %self.key(), package = %name,
                    "a file beside a tarball is newer than the database, and was not changed: run `hexkeep reindex`"
                ),
                Err(error) => self.not_written(&name, &error),
            }
        }
        if owed.is_empty() {
            return Ok(0);
        }
        self.state.clear_written_sidecars().await?;
        Ok(self.state.owed_sidecars(key).await?.len())
    }

    /// Writes the files of a package except those that are newer than the database. Returns whether all are written.
    async fn write_older_sidecars(&self, name: &PackageName) -> Result<bool, LocalFailure> {
        let mut older = Vec::new();
        let mut is_all = true;
        for sidecar in self.sidecars(name).await? {
            match self.read_sidecar(&sidecar.package, &sidecar.version).await? {
                Some(file) if !sidecar.counts_against(&file) => is_all = false,
                Some(_) | None => older.push(sidecar),
            }
        }
        self.store_sidecars(older).await?;
        Ok(is_all)
    }

    /// The content of the file of a version; `None` if there is no readable one.
    async fn read_sidecar(&self, name: &str, version: &str) -> Result<Option<Sidecar>, VaultError> {
        let bytes = self.shared.store.local.read(self.path(name, version)?.into(), MAX_BYTES).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Removes the file of a removed version.
    pub(super) async fn remove_sidecar(&self, name: &PackageName, version: &str) -> Result<(), WriteError> {
        self.shared.store.local.remove(self.path(name.as_str(), version)?.into()).await?;
        Ok(())
    }

    /// The folder of the files.
    pub(super) fn folder(&self) -> Result<VaultFolder, VaultError> {
        Ok(VaultFolder::new(self.key().as_str())?)
    }

    /// The file of a release.
    pub(super) fn path(&self, name: &str, version: &str) -> Result<VaultPath, VaultError> {
        Ok(self.folder()?.file(&format!("{name}-{version}.json"))?)
    }

    async fn store_sidecars(&self, sidecars: Vec<Sidecar>) -> Result<(), LocalFailure> {
        let mut named = Vec::new();
        for sidecar in sidecars {
            named.push((self.path(&sidecar.package, &sidecar.version)?, sidecar));
        }
        let encode = |(path, sidecar): (VaultPath, Sidecar)| {
            Put::Bytes(path, serde_json::to_vec_pretty(&sidecar).unwrap_or_default().into())
        };
        let files: Vec<Put> = blocking(move || Ok(named.into_iter().map(encode).collect())).await?;
        Ok(self.shared.store.local.put_all(files).await?)
    }

    fn not_written(&self, name: &PackageName, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(
            repository = %self.key(), package = %name, error,
            "a file beside a tarball could not be written: until this succeeds, the latest change is only in the database"
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

    /// Whether this record of the database counts, and not a file about the same version.
    pub(super) fn counts_against(&self, file: &Self) -> bool {
        let recorded = RecordedVersion {
            updated_at: Timestamp::from_millis(self.updated_at),
            is_final: self.tombstone.as_ref().is_some_and(|tombstone| tombstone.is_final),
        };
        recorded.counts(Timestamp::from_millis(file.updated_at))
    }

    /// The owners of the package when the file was last written.
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
