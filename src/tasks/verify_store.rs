//! `verify-store`: verifies all files of the store again, by signature or checksum.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::report::{Progress, Reporter};
use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::repository::local::SidecarFiles;
use crate::repository::{Installs, RemoteRepository, VirtualRepository};
use crate::store::slots::Area;
use crate::store::vault::{Listed, Prefix, Vault, VaultError, VaultName};
use crate::store::{Store, StoreError};

/// A file or resource that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedItem {
    /// Its name.
    pub subject: String,
    /// Whether it is valid.
    pub sound: bool,
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Findings {
    /// Number of resources with a valid signature.
    pub resources: u64,
    /// Number of files with the right checksum.
    pub blobs: u64,
    /// Number of damaged files and resources.
    pub damaged: u64,
    /// Number of files that do not belong to the store.
    pub strangers: u64,
    /// Number of removed files of these two kinds.
    pub removed: u64,
    /// Number of resources of repositories that are not configured; they are not changed.
    pub unknown: u64,
    /// Number of damaged files of local repositories. They are not removed, because they cannot be downloaded again.
    pub lost: u64,
    /// Number of files of local repositories that nothing refers to and that were not removed; they are strangers, too.
    pub unused: u64,
    /// Number of files of local repositories that the database does not refer to, and that are kept: a sidecar refers to
    /// them, or the database is incomplete.
    pub kept: u64,
}

impl Findings {
    /// Whether there are files that a repair would remove and that are downloaded or generated again.
    pub fn needs_repair(&self) -> bool {
        self.damaged + self.strangers > self.removed + self.lost + self.unused
    }
}

/// Why a verification failed.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// A file of the store cannot be read or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a local repository cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A cached resource cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Minimum age at which an unused file of local repositories is removed: publishing stores a file before it is listed.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Progress is reported after this number of files.
const PROGRESS_EVERY: u64 = 64;

/// Reports verified items to the client.
#[derive(Debug)]
pub struct ItemReporter {
    report: Reporter,
    progress: Progress,
}

impl ItemReporter {
    /// Starts the report of this number of items.
    pub fn begin(report: Reporter, total: u64) -> Self {
        let progress = Progress { total, ..Progress::default() };
        report.progress(progress);
        Self { report, progress }
    }

    /// Reports one item.
    pub async fn say(&mut self, seen: VerifiedItem) {
        if let Some(line) = self.count(&seen) {
            self.report.say(line).await;
        }
    }

    /// Reports one item, from a thread that may block.
    pub fn say_blocking(&mut self, seen: VerifiedItem) {
        if let Some(line) = self.count(&seen) {
            self.report.say_blocking(line);
        }
    }

    /// Counts an item. Returns a line for the user if it is damaged.
    fn count(&mut self, seen: &VerifiedItem) -> Option<String> {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(PROGRESS_EVERY) {
            self.report.progress(self.progress);
        }
        (!seen.sound).then(|| format!("damaged: {}", seen.subject))
    }
}

/// A file that a local repository must have: its name and its digest.
pub type LocalFile = (String, Sha256);

/// Number of items to verify, without the files of local repositories.
pub fn count(store: &Store) -> Result<u64, ScrubError> {
    let (slots, _) = store.slots_found(Area::Registry)?;
    let (sealed, _) = store.slots_found(Area::Sealed)?;
    let (lists, _) = store.slots_found(Area::Lists)?;
    let (dumps, _) = store.slots_found(Area::Dumps)?;
    let (blobs, _) = store.blobs_found()?;
    Ok((slots.len() + sealed.len() + lists.len() + dumps.len() + blobs.len()) as u64)
}

/// Verifies every resource of `repositories` and `virtuals`, and every cached file, and calls `seen` for each. With
/// `repair`, damaged files are removed; they are downloaded or generated again at the next request. Blocks.
pub fn run(
    store: &Store,
    repositories: &[Arc<RemoteRepository>],
    virtuals: &[Arc<VirtualRepository>],
    installs: &Installs,
    repair: bool,
    seen: &mut dyn FnMut(VerifiedItem),
) -> Result<Findings, ScrubError> {
    let mut findings = Findings::default();
    let mut strangers: Vec<PathBuf> = Vec::new();
    let mut tell = |subject: String, sound: bool| {
        let tally = if sound { &mut findings.resources } else { &mut findings.damaged };
        *tally += 1;
        findings.removed += u64::from(!sound && repair);
        seen(VerifiedItem { subject, sound });
    };
    for repository in repositories {
        repository.scrub(repair, &mut tell)?;
    }
    for repository in virtuals {
        repository.scrub(repair, &mut tell)?;
    }
    installs.scrub(repair, &mut |list, sound| tell(list.to_string(), sound))?;
    let known: BTreeSet<&str> = repositories.iter().map(|repository| repository.key().as_str()).collect();
    for area in [Area::Registry, Area::Sealed, Area::Lists, Area::Dumps] {
        let (slots, odd) = store.slots_found(area)?;
        strangers.extend(odd);
        if area == Area::Registry {
            let unknown = slots.iter().filter(|slot| !known.contains(slot.repository())).count();
            findings.unknown += unknown as u64;
        }
    }
    let (blobs, odd) = store.blobs_found()?;
    strangers.extend(odd);
    for digest in blobs {
        check_blob(store, &digest, repair, &mut findings, seen)?;
    }
    for path in strangers {
        findings.strangers += 1;
        seen(VerifiedItem { subject: path.display().to_string(), sound: false });
        if repair {
            store.remove_unknown_file(&path)?;
            findings.removed += 1;
        }
    }
    Ok(findings)
}

/// The files of local repositories.
#[derive(Clone, Debug)]
pub struct LocalRepositories {
    /// Files that must exist.
    pub own: Vec<LocalFile>,
    /// Files that are in use.
    pub referred: ReferredFiles,
    /// Current time.
    pub now: Timestamp,
}

/// The files that the database or a sidecar refers to.
#[derive(Clone, Debug)]
pub struct ReferredFiles {
    /// Those in the database.
    pub in_database: BTreeSet<Sha256>,
    /// Those in sidecars.
    pub in_sidecars: SidecarFiles,
}

impl ReferredFiles {
    /// Whether a file must be kept. Nothing shows to which repository a file belongs, so all are kept while the database
    /// of any repository is incomplete.
    pub fn keeps(&self, digest: &Sha256) -> bool {
        let SidecarFiles { named, unindexed } = &self.in_sidecars;
        self.in_database.contains(digest) || named.contains(digest) || !unindexed.is_empty()
    }
}

/// Verifies every file that local repositories must have, and finds unused files, which a failed publish can leave.
/// Reports each file, and returns the unused ones. Removes nothing.
pub async fn run_local(
    vault: &dyn Vault,
    local: &LocalRepositories,
    findings: &mut Findings,
    telling: &mut ItemReporter,
) -> Result<Vec<Sha256>, ScrubError> {
    for (subject, digest) in &local.own {
        let sound = match vault.verify_digest(*digest).await {
            Ok(()) => true,
            Err(VaultError::Missing(_) | VaultError::Damaged(_)) => false,
            Err(error) => return Err(error.into()),
        };
        let tally = if sound { &mut findings.blobs } else { &mut findings.damaged };
        *tally += 1;
        findings.lost += u64::from(!sound);
        telling.say(VerifiedItem { subject: subject.clone(), sound }).await;
    }
    let mut orphans = Vec::new();
    let mut files = vault.list(Prefix::Digests);
    while let Some(listed) = files.try_next().await? {
        let Listed::File(VaultName::Digest(digest)) = listed else { continue };
        if local.referred.keeps(&digest) {
            findings.kept += u64::from(!local.referred.in_database.contains(&digest));
        } else if is_orphan(vault, digest, local.now).await? {
            telling.say(VerifiedItem { subject: format!("local/blobs/{digest} (not in use)"), sound: false }).await;
            orphans.push(digest);
        }
    }
    Ok(orphans)
}

/// Whether an unused file is too old to belong to an active publish.
pub async fn is_orphan(vault: &dyn Vault, digest: Sha256, now: Timestamp) -> Result<bool, VaultError> {
    Ok(vault.stat(digest.into()).await?.is_some_and(|stat| now.since(stat.used) > ORPHAN_AGE))
}

fn check_blob(
    store: &Store,
    digest: &Sha256,
    repair: bool,
    findings: &mut Findings,
    seen: &mut dyn FnMut(VerifiedItem),
) -> Result<(), ScrubError> {
    // The file was evicted after it was listed.
    let Some(sound) = store.blobs.check(digest)? else { return Ok(()) };
    let tally = if sound { &mut findings.blobs } else { &mut findings.damaged };
    *tally += 1;
    if !sound && repair {
        store.blobs.remove(digest)?;
        findings.removed += 1;
    }
    seen(VerifiedItem { subject: format!("blobs/{digest}"), sound });
    Ok(())
}
