//! `verify-store`: proves everything that is cached again, by its signature or its digest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::report::{Progress, Reporter};
use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::repository::{Installs, RemoteRepository, VirtualRepository};
use crate::store::slots::Area;
use crate::store::vault::{Listed, Prefix, Vault, VaultError, VaultName};
use crate::store::{Store, StoreError};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedItem {
    /// What it is called.
    pub subject: String,
    /// Whether it is what it claims to be.
    pub sound: bool,
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Findings {
    /// Signed resources that verify.
    pub resources: u64,
    /// Files that have their digest.
    pub blobs: u64,
    /// Entries that are not what they claim to be.
    pub damaged: u64,
    /// Files that have no business in the store.
    pub strangers: u64,
    /// How many of the two were removed.
    pub removed: u64,
    /// Resources of repositories that are not configured; left alone.
    pub unknown: u64,
    /// How many of the damaged are files of local repositories, of which there is no other copy; left alone.
    pub lost: u64,
}

impl Findings {
    /// Whether something is left that a repair would remove.
    pub fn needs_repair(&self) -> bool {
        self.damaged + self.strangers > self.removed + self.lost
    }
}

/// Why a scrub could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files of local repositories.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A file of local repositories that nothing names is left alone so long: a publish stores its file first.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Progress of a scrub is told this often.
const PROGRESS_EVERY: u64 = 64;

/// Tells whoever waits what was seen.
#[derive(Debug)]
pub struct Telling {
    report: Reporter,
    progress: Progress,
}

impl Telling {
    /// Begins, with so many things to look at.
    pub fn begin(report: Reporter, total: u64) -> Self {
        let progress = Progress { total, ..Progress::default() };
        report.progress(progress);
        Self { report, progress }
    }

    /// Tells of one thing.
    pub async fn say(&mut self, seen: VerifiedItem) {
        if let Some(line) = self.count(&seen) {
            self.report.say(line).await;
        }
    }

    /// The same from a thread that may block.
    pub fn say_blocking(&mut self, seen: VerifiedItem) {
        if let Some(line) = self.count(&seen) {
            self.report.say_blocking(line);
        }
    }

    /// Counts it; what is to be said of it.
    fn count(&mut self, seen: &VerifiedItem) -> Option<String> {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(PROGRESS_EVERY) {
            self.report.progress(self.progress);
        }
        (!seen.sound).then(|| format!("damaged: {}", seen.subject))
    }
}

/// A file that a local repository has to have.
pub type LocalFile = (String, Sha256);

/// How many things there are to look at, beside the files of local repositories.
pub fn count(store: &Store) -> Result<u64, ScrubError> {
    let (slots, _) = store.slots_found(Area::Registry)?;
    let (sealed, _) = store.slots_found(Area::Sealed)?;
    let (lists, _) = store.slots_found(Area::Lists)?;
    let (dumps, _) = store.slots_found(Area::Dumps)?;
    let (blobs, _) = store.blobs_found()?;
    Ok((slots.len() + sealed.len() + lists.len() + dumps.len() + blobs.len()) as u64)
}

/// Proves every resource of `repositories` and `virtuals`, and every blob; tells `seen` of each. With `repair` what is not
/// sound is removed, to be fetched or made again when it is wanted. Blocks.
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
            store.remove_stranger(&path)?;
            findings.removed += 1;
        }
    }
    Ok(findings)
}

/// What is to be known of the files of local repositories.
#[derive(Clone, Debug)]
pub struct LocalRepositories {
    /// Files that have to be there.
    pub own: Vec<LocalFile>,
    /// Files that something names.
    pub named: BTreeSet<Sha256>,
    /// Which time it is.
    pub now: Timestamp,
}

/// Proves every file that local repositories have to have, and finds those that nothing names, such as a publish leaves
/// that came to nothing; says of each what it is, and gives the latter. Removes nothing.
pub async fn run_local(
    vault: &dyn Vault,
    local: &LocalRepositories,
    findings: &mut Findings,
    telling: &mut Telling,
) -> Result<Vec<Sha256>, ScrubError> {
    for (subject, digest) in &local.own {
        let sound = match vault.prove(*digest).await {
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
        if !local.named.contains(&digest) && is_orphan(vault, digest, local.now).await? {
            telling
                .say(VerifiedItem { subject: format!("local/blobs/{digest}, which nothing names"), sound: false })
                .await;
            orphans.push(digest);
        }
    }
    Ok(orphans)
}

/// Whether a file that nothing names is old enough to be of no publish that is under way.
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
    // Evicted since it was listed: nothing to say.
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
