//! `verify-store`: proves everything that is cached again, by its signature or its digest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::repository::{Installs, RemoteRepository, VirtualRepository};
use crate::store::slots::Area;
use crate::store::{Store, StoreError};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
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
    /// A cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A file of local repositories that nothing names is left alone so long: a publish stores its file first.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// A file that a local repository has to have.
pub type Own = (String, Sha256);

/// How many things there are to look at.
pub fn count(store: &Store, own: &[Own]) -> Result<u64, ScrubError> {
    let (slots, _) = store.slots_found(Area::Registry)?;
    let (sealed, _) = store.slots_found(Area::Sealed)?;
    let (lists, _) = store.slots_found(Area::Lists)?;
    let (dumps, _) = store.slots_found(Area::Dumps)?;
    let (blobs, _) = store.blobs_found()?;
    Ok((slots.len() + sealed.len() + lists.len() + dumps.len() + blobs.len() + own.len()) as u64)
}

/// Proves every resource of `repositories` and `virtuals`, every blob, and every file of `own`; tells `seen` of each. With `repair`
/// what is not sound is removed, to be fetched or made again when it is wanted. Blocks.
pub fn run(
    store: &Store,
    repositories: &[Arc<RemoteRepository>],
    virtuals: &[Arc<VirtualRepository>],
    installs: &Installs,
    own: &[Own],
    repair: bool,
    seen: &mut dyn FnMut(Seen),
) -> Result<Findings, ScrubError> {
    let mut findings = Findings::default();
    let mut strangers: Vec<PathBuf> = Vec::new();
    let mut tell = |subject: String, sound: bool| {
        let tally = if sound { &mut findings.resources } else { &mut findings.damaged };
        *tally += 1;
        findings.removed += u64::from(!sound && repair);
        seen(Seen { subject, sound });
    };
    for repository in repositories {
        repository.scrub(repair, &mut tell)?;
    }
    for repository in virtuals {
        repository.scrub(repair, &mut tell)?;
    }
    installs.scrub(repair, &mut |list, sound| {
        let tally = if sound { &mut findings.resources } else { &mut findings.damaged };
        *tally += 1;
        findings.removed += u64::from(!sound && repair);
        seen(Seen { subject: list.to_string(), sound });
    })?;
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
    for (subject, digest) in own {
        let sound = store.local.check(digest)? == Some(true);
        let tally = if sound { &mut findings.blobs } else { &mut findings.damaged };
        *tally += 1;
        findings.lost += u64::from(!sound);
        seen(Seen { subject: subject.clone(), sound });
    }
    for path in strangers {
        findings.strangers += 1;
        seen(Seen { subject: path.display().to_string(), sound: false });
        if repair {
            store.remove_stranger(&path)?;
            findings.removed += 1;
        }
    }
    Ok(findings)
}

/// Finds files of local repositories that nothing names, such as a publish leaves that came to nothing. Blocks.
pub fn orphans(
    store: &Store,
    named: &BTreeSet<Sha256>,
    now: Timestamp,
    seen: &mut dyn FnMut(Seen),
) -> Result<Vec<Sha256>, ScrubError> {
    let mut found = store.local_found()?;
    found.retain(|digest| !named.contains(digest) && is_orphan(store, digest, now));
    for digest in &found {
        seen(Seen { subject: format!("local/blobs/{digest}, which nothing names"), sound: false });
    }
    Ok(found)
}

/// Whether a file that nothing names is old enough to be of no publish that is under way.
pub fn is_orphan(store: &Store, digest: &Sha256, now: Timestamp) -> bool {
    store.local.written(digest).is_some_and(|written| now.since(written) > ORPHAN_AGE)
}

fn check_blob(
    store: &Store,
    digest: &Sha256,
    repair: bool,
    findings: &mut Findings,
    seen: &mut dyn FnMut(Seen),
) -> Result<(), ScrubError> {
    // Evicted since it was listed: nothing to say.
    let Some(sound) = store.blobs.check(digest)? else { return Ok(()) };
    let tally = if sound { &mut findings.blobs } else { &mut findings.damaged };
    *tally += 1;
    if !sound && repair {
        store.blobs.remove(digest)?;
        findings.removed += 1;
    }
    seen(Seen { subject: format!("blobs/{digest}"), sound });
    Ok(())
}
