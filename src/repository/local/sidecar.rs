//! A file beside each tarball that says what the tarball does not: with both, a repository can be made anew.
//!
//! Written after the database and before the answer. Where it cannot be written the change stands all the same, and the
//! log says so: it is the second copy, not the first.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::{About, LocalRepository, OwnerLevel, Release, Requirement, Retirement, blocking};
use crate::auth::WriteGrant;
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::upload;
use crate::repository::local::error::{LocalFailure, WriteError};
use crate::state::StateError;
use crate::state::packages::{Docs, Tombstone};
use crate::state::releases::{NewRelease, Restored};
use crate::store::spool::ContentReader;
use crate::store::vault::{Listed, Prefix, Put, VaultError, VaultFolder, VaultName, VaultPath};

/// The format of these files.
const FORMAT: u32 = 1;

/// Bytes of such a file; with every owner and requirement a package may have, far less.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many lines of the audit log are looked at for the last change of a package.
const RECENT: u32 = 100;

/// What is said of a release. Times are milliseconds since the epoch, checksums hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sidecar {
    format: u32,
    package: String,
    version: String,
    inner_checksum: String,
    outer_checksum: String,
    size: u64,
    inserted_at: u64,
    /// When its tarball was published, where that has taken the place of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published_at: Option<u64>,
    updated_at: u64,
    publisher: Option<String>,
    retirement: Option<SidecarRetirement>,
    owners: Vec<(String, String)>,
    docs: Option<(String, u64)>,
    /// Where dependencies live, as it was found at publish: package and repository key.
    dependencies: Vec<(String, String)>,
    /// `true` where the release was reverted or removed.
    #[serde(default)]
    removed: bool,
    /// How it was removed.
    #[serde(default)]
    tombstone: Option<SidecarTombstone>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SidecarTombstone {
    is_final: bool,
    reason: String,
    removed_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SidecarRetirement {
    reason: String,
    message: Option<String>,
}

/// What [`LocalRepository::reindex`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reindexed {
    /// Releases that were written.
    pub restored: usize,
    /// Versions that are gone and stay taken.
    pub taken: usize,
    /// Files that could not be used, and why.
    pub failed: Vec<String>,
}

impl LocalRepository {
    /// Writes down what the database says of every release of a package.
    pub(super) async fn write_sidecars(&self, name: &PackageName) {
        let package = match self.state.package(self.key().as_str(), name.as_str()).await {
            Ok(Some(package)) => package,
            Ok(None) => return,
            Err(error) => return self.not_written(&error),
        };
        let owners: Vec<(String, String)> =
            package.owners.iter().map(|(owner, level)| (owner.clone(), level.as_str().to_owned())).collect();
        let sidecars = package.releases.iter().map(|release| Sidecar::of(name, release, &owners));
        self.store_sidecars(sidecars.collect()).await;
    }

    /// Makes sure that the files say what the last change has made of the database: a sudden end may have come between
    /// the two. To be called once, before anything else is changed.
    pub async fn catch_up(&self) {
        let newest = match self.state.audit_log(self.key().as_str(), RECENT).await {
            Ok(newest) => newest,
            Err(error) => return self.not_written(&error),
        };
        let Some(last) = newest.into_iter().find(|entry| entry.package.is_some()) else { return };
        let Some(Ok(name)) = last.package.map(|package| package.parse::<PackageName>()) else { return };
        self.write_sidecars(&name).await;
        if let Some(version) = last.version {
            self.write_tombstone(&name, &version).await;
        }
    }

    /// The names of the packages that the files speak of.
    pub async fn names_in_files(&self) -> Result<BTreeSet<String>, VaultError> {
        let mut names = BTreeSet::new();
        let mut files = self.shared.store.local.list(Prefix::Folder(self.folder()?));
        while let Some(listed) = files.try_next().await? {
            let Listed::File(VaultName::Path(path)) = listed else { continue };
            // No name of a package has a dash.
            let name = path.file().strip_suffix(".json").and_then(|file| file.split_once('-'));
            names.extend(name.map(|(name, _)| name).filter(|name| PackageName::is_valid(name)).map(str::to_owned));
        }
        Ok(names)
    }

    /// Where the files are.
    fn folder(&self) -> Result<VaultFolder, VaultError> {
        Ok(VaultFolder::new(self.key().as_str())?)
    }

    /// The file of a release.
    fn path(&self, name: &str, version: &str) -> Result<VaultPath, VaultError> {
        Ok(self.folder()?.file(&format!("{name}-{version}.json"))?)
    }

    /// Claims those of `names`, found in files, that the database does not know: it was lost, or is older than the files.
    /// Else anybody could publish them elsewhere until the repository is made anew. To be called before anybody asks.
    pub async fn claim_found(&self, names: BTreeSet<String>) -> Result<(), StateError> {
        let new = self.state.claim_found(self.key().as_str(), names, self.shared.clock.now()).await?;
        if !new.is_empty() {
            tracing::error!(
                repository = %self.key(), packages = new.len(), first = new.first(),
                "the database does not know packages of which there are files: their names stay claimed; \
                 `hexkeep reindex` makes the repository anew from its files"
            );
        }
        Ok(())
    }

    /// Writes down that a release is gone.
    pub(super) async fn write_tombstone(&self, name: &PackageName, version: &str) {
        let tombstone = match self.state.tombstone(self.key().as_str(), name.as_str(), version).await {
            Ok(Some(tombstone)) => tombstone,
            Ok(None) => return,
            Err(error) => return self.not_written(&error),
        };
        let sidecar = Sidecar {
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
            owners: Vec::new(),
            docs: None,
            dependencies: Vec::new(),
            removed: true,
            tombstone: Some(SidecarTombstone {
                is_final: tombstone.is_final,
                reason: tombstone.reason,
                removed_by: tombstone.removed_by,
            }),
        };
        self.store_sidecars(vec![sidecar]).await;
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

    /// Makes the database of this repository anew from its files. What the database has and no file says stays.
    pub async fn reindex(&self, grant: &WriteGrant) -> Result<Reindexed, WriteError> {
        if grant.repository() != self.key() || !grant.is_administrator() {
            return Err(WriteError::NotGranted);
        }
        let _one = self.changing.lock().await;
        grant.confirm().await.map_err(WriteError::Withdrawn)?;
        let mut done = Reindexed::default();
        let vault = &self.shared.store.local;
        let mut files = vault.list(Prefix::Folder(self.folder()?));
        while let Some(listed) = files.try_next().await? {
            let path = match listed {
                Listed::File(VaultName::Path(path)) => path,
                Listed::File(VaultName::Digest(_)) => continue,
                Listed::Stranger(file) => {
                    done.failed.push(format!("{file}: it has a name that no file of a release has"));
                    continue;
                }
            };
            let file = path.file().to_owned();
            let Some(bytes) = vault.read(path.into(), MAX_BYTES).await? else { continue };
            match self.restore(grant, &bytes).await {
                Ok(true) => done.restored += 1,
                Ok(false) => done.taken += 1,
                Err(why) => done.failed.push(format!("{file}: {why}")),
            }
        }
        self.index.forget().await;
        Ok(done)
    }

    /// The users whom the files of all local repositories name as owners or publishers, also of repositories that are
    /// not configured now. What is no such file is passed over.
    pub async fn people_in_files(&self) -> Result<BTreeSet<String>, WriteError> {
        let mut people = BTreeSet::new();
        let vault = &self.shared.store.local;
        let mut files = vault.list(Prefix::Folders);
        while let Some(listed) = files.try_next().await? {
            let Listed::File(VaultName::Path(path)) = listed else { continue };
            if !RepoName::is_valid(path.folder().as_str()) {
                continue;
            }
            let Some(bytes) = vault.read(path.into(), MAX_BYTES).await? else { continue };
            let Ok(sidecar) = serde_json::from_slice::<Sidecar>(&bytes) else { continue };
            people.extend(sidecar.publisher);
            people.extend(sidecar.owners.into_iter().map(|(owner, _)| owner));
        }
        Ok(people)
    }

    /// Forgets that a release is gone.
    pub(super) async fn remove_tombstone(&self, name: &PackageName, version: &str) {
        let removed = async { self.shared.store.local.remove(self.path(name.as_str(), version)?.into()).await };
        if let Err(error) = removed.await {
            self.not_written(&error);
        }
    }

    /// Writes what a file says; whether it is of a release that is there.
    async fn restore(&self, grant: &WriteGrant, bytes: &[u8]) -> Result<bool, String> {
        let sidecar: Sidecar = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if sidecar.format != FORMAT {
            return Err(format!("format {} is not known", sidecar.format));
        }
        let outer = Sha256::from_hex(&sidecar.outer_checksum).map_err(|error| error.to_string())?;
        if sidecar.removed {
            self.restore_tombstone(&sidecar, outer).await.map_err(|error| error.to_string())?;
            return Ok(false);
        }
        let stored = self.stored(outer).await.map_err(|error| error.to_string())?;
        let read = blocking(move || Ok(upload::package(ContentReader::of(&stored))));
        let package = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let metadata = &package.metadata;
        if (metadata.name.as_str(), metadata.version.as_str()) != (&*sidecar.package, &*sidecar.version) {
            return Err(format!("its tarball is {} {}", metadata.name, metadata.version));
        }
        let lives = |package: &str| {
            let found = sidecar.dependencies.iter().find(|(name, _)| name == package);
            found.map_or_else(|| self.key().to_string(), |(_, key)| key.clone())
        };
        let requirements: Vec<Requirement> = metadata
            .requirements
            .iter()
            .map(|dependency| Requirement {
                package: dependency.package.to_string(),
                requirement: dependency.requirement.to_string(),
                optional: dependency.optional,
                app: dependency.app.to_string(),
                repository: lives(dependency.package.as_str()),
            })
            .collect();
        let retirement = sidecar.retirement.as_ref().and_then(SidecarRetirement::read);
        let owners: Vec<(String, OwnerLevel)> = sidecar
            .owners
            .iter()
            .filter_map(|(name, level)| Some((name.clone(), OwnerLevel::from_word(level)?)))
            .collect();
        let docs = sidecar
            .docs
            .as_ref()
            .and_then(|(digest, size)| Some(Docs { digest: Sha256::from_hex(digest).ok()?, size: *size }));
        let restored = Restored {
            release: NewRelease {
                inner: &package.inner,
                outer: &outer,
                size: sidecar.size,
                about: &About::from(metadata),
                requirements: &requirements,
                publisher: sidecar.publisher.as_deref(),
            },
            inserted_at: Timestamp::from_millis(sidecar.inserted_at),
            published_at: Timestamp::from_millis(sidecar.published_at.unwrap_or(sidecar.inserted_at)),
            updated_at: Timestamp::from_millis(sidecar.updated_at),
            docs,
            retirement: retirement.as_ref(),
            owners: &owners,
        };
        let subject = (self.key().as_str(), metadata.name.as_str(), Some(metadata.version.as_str()));
        let written = self.state.restore(self.shared.clock.now(), subject, &restored, grant.by()).await;
        written.map(|()| true).map_err(|error| error.to_string())
    }
}

impl LocalRepository {
    async fn restore_tombstone(&self, sidecar: &Sidecar, outer: Sha256) -> Result<(), StateError> {
        let how = sidecar.tombstone.as_ref();
        let tombstone = Tombstone {
            outer,
            is_final: how.is_some_and(|how| how.is_final),
            reason: how.map(|how| how.reason.clone()).unwrap_or_default(),
            removed_by: how.and_then(|how| how.removed_by.clone()),
            removed_at: Timestamp::from_millis(sidecar.inserted_at),
        };
        let subject = (self.key().as_str(), sidecar.package.as_str(), Some(sidecar.version.as_str()));
        self.state.restore_tombstone(subject, &tombstone).await
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
}

impl SidecarRetirement {
    fn read(&self) -> Option<Retirement> {
        Some(Retirement { reason: RetirementReason::from_word(&self.reason)?, message: self.message.clone() })
    }
}
