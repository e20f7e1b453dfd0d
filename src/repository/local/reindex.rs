//! Rebuilds the database of a repository from its files, and collects the users in them.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::error::WriteError;
use super::sidecar::{FORMAT, MAX_BYTES, Sidecar, SidecarRetirement};
use super::{Docs, LocalRepository, OwnerLevel, ReleaseMetadata, Requirement, blocking};
use crate::auth::WriteGrant;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::upload;
use crate::state::StateError;
use crate::state::packages::Tombstone;
use crate::state::releases::{NewRelease, RestoredRelease};
use crate::store::spool::ContentReader;
use crate::store::vault::{Listed, Prefix, VaultName};

/// The result of [`LocalRepository::reindex`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reindexed {
    /// Number of releases that were written.
    pub restored: usize,
    /// Number of releases that the database has as their files do.
    pub unchanged: usize,
    /// Number of removed versions, which cannot be used again.
    pub taken: usize,
    /// Releases and removed versions that the database has otherwise than their files, which are not newer.
    pub kept: Vec<String>,
    /// Files that could not be used, with the reason.
    pub failed: Vec<String>,
}

/// What a file changed.
enum Outcome {
    /// The release was written.
    Restored,
    /// Nothing: the database has the same release.
    Unchanged,
    /// The version is removed, in the database, too.
    Taken,
    /// Nothing: the database has the version otherwise, and counts.
    Kept(PackageName, String),
}

/// The database, as far as files are compared with it.
#[derive(Default)]
struct Known {
    /// The packages before the first file was read.
    packages: BTreeSet<String>,
    /// The content that the files of the last package should have.
    sidecars: Option<(PackageName, Vec<Sidecar>)>,
    /// Packages that the database knew and that have a file which differed from it.
    differing: BTreeSet<PackageName>,
}

impl LocalRepository {
    /// Rebuilds the database of this repository from its files. What is only in the database stays. Where the database
    /// knows a version, it counts, unless the file is newer; so do the owners of a package that it knows. Files that do
    /// not count are written again.
    pub async fn reindex(&self, grant: &WriteGrant) -> Result<Reindexed, WriteError> {
        if grant.repository() != self.key() || !grant.is_administrator() {
            return Err(WriteError::NotGranted);
        }
        let _one = self.changing.lock().await;
        grant.confirm().await.map_err(WriteError::Withdrawn)?;
        let mut done = Reindexed::default();
        let mut known = Known { packages: self.state.known_packages(self.key().as_str()).await?, ..Known::default() };
        let vault = &self.shared.store.local;
        let mut files = vault.list(Prefix::Folder(self.folder()?));
        while let Some(listed) = files.try_next().await? {
            let path = match listed {
                Listed::File(VaultName::Path(path)) => path,
                Listed::File(VaultName::Digest(_)) => continue,
                Listed::Stranger(file) => {
                    done.failed.push(format!("{file}: this is not a valid name for a file of a release"));
                    continue;
                }
            };
            let file = path.file().to_owned();
            let Some(bytes) = vault.read(path.into(), MAX_BYTES).await? else { continue };
            match self.restore(grant, &bytes, &mut known).await {
                Ok(Outcome::Restored) => done.restored += 1,
                Ok(Outcome::Unchanged) => done.unchanged += 1,
                Ok(Outcome::Taken) => done.taken += 1,
                Ok(Outcome::Kept(name, version)) => done.kept.push(format!("{name} {version}")),
                Err(why) => done.failed.push(format!("{file}: {why}")),
            }
        }
        let names: Vec<&str> = known.differing.iter().map(PackageName::as_str).collect();
        self.state.owe_sidecars(self.key().as_str(), &names).await?;
        for name in &known.differing {
            self.write_sidecars(name).await;
        }
        self.index.forget().await;
        Ok(done)
    }

    /// The users who are owners or publishers in the files of all local repositories, including repositories that are
    /// not configured now. Other files are skipped.
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

    /// Writes the content of a file to the database, if it counts.
    async fn restore(&self, grant: &WriteGrant, bytes: &[u8], known: &mut Known) -> Result<Outcome, String> {
        let sidecar: Sidecar = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if sidecar.format != FORMAT {
            return Err(format!("format {} is unknown", sidecar.format));
        }
        let name = sidecar.package.parse::<PackageName>().map_err(|error| error.to_string())?;
        if let Some(recorded) =
            self.recorded(&name, &sidecar.version, known).await.map_err(|error| error.to_string())?
        {
            match recorded {
                recorded if *recorded == sidecar && sidecar.removed => return Ok(Outcome::Taken),
                recorded if *recorded == sidecar => return Ok(Outcome::Unchanged),
                recorded if recorded.counts_against(&sidecar) => {
                    known.differing.insert(name.clone());
                    return Ok(Outcome::Kept(name, sidecar.version));
                }
                _ => {}
            }
        }
        let is_known = known.packages.contains(name.as_str());
        if is_known {
            known.differing.insert(name.clone());
        }
        let owners = if is_known { Vec::new() } else { sidecar.owners() };
        let outer = Sha256::from_hex(&sidecar.outer_checksum).map_err(|error| error.to_string())?;
        if sidecar.removed {
            let written = self.restore_tombstone(grant, &sidecar, outer, &owners).await;
            let written = written.map_err(|error| error.to_string())?;
            return Ok(if written { Outcome::Taken } else { Outcome::Kept(name, sidecar.version) });
        }
        let stored = self.stored(outer).await.map_err(|error| error.to_string())?;
        let read = blocking(move || Ok(upload::read_accepted(ContentReader::of(&stored))));
        let package = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let metadata = &package.metadata;
        if (metadata.name.as_str(), metadata.version.as_str()) != (&*sidecar.package, &*sidecar.version) {
            return Err(format!("its tarball contains another release: {} {}", metadata.name, metadata.version));
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
        let docs = sidecar
            .docs
            .as_ref()
            .and_then(|(digest, size)| Some(Docs { digest: Sha256::from_hex(digest).ok()?, size: *size }));
        let restored = RestoredRelease {
            release: NewRelease {
                inner: &package.inner,
                outer: &outer,
                size: sidecar.size,
                about: &ReleaseMetadata::from(metadata),
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
        let written = written.map_err(|error| error.to_string())?;
        Ok(if written { Outcome::Restored } else { Outcome::Kept(name, sidecar.version) })
    }

    /// The content that the file of a version should have; `None` if the database does not know the version.
    async fn recorded<'a>(
        &self,
        name: &PackageName,
        version: &str,
        known: &'a mut Known,
    ) -> Result<Option<&'a Sidecar>, StateError> {
        if known.sidecars.as_ref().is_none_or(|(package, _)| package != name) {
            known.sidecars = Some((name.clone(), self.sidecars(name).await?));
        }
        let sidecars = known.sidecars.as_ref().map(|(_, sidecars)| sidecars.as_slice()).unwrap_or_default();
        Ok(sidecars.iter().find(|sidecar| sidecar.version == version))
    }

    async fn restore_tombstone(
        &self,
        grant: &WriteGrant,
        sidecar: &Sidecar,
        outer: Sha256,
        owners: &[(String, OwnerLevel)],
    ) -> Result<bool, StateError> {
        let how = sidecar.tombstone.as_ref();
        let tombstone = Tombstone {
            outer,
            is_final: how.is_some_and(|how| how.is_final),
            reason: how.map(|how| how.reason.clone()).unwrap_or_default(),
            removed_by: how.and_then(|how| how.removed_by.clone()),
            removed_at: Timestamp::from_millis(sidecar.inserted_at),
        };
        let subject = (self.key().as_str(), sidecar.package.as_str(), Some(sidecar.version.as_str()));
        self.state.restore_tombstone(self.shared.clock.now(), subject, &tombstone, owners, grant.by()).await
    }
}
