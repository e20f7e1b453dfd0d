//! `verify-store`: proves everything that is stored again, by its signature or its digest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::repository::RemoteRepository;
use crate::store::slots::Area;
use crate::store::{Store, StoreError};

/// A file of local repositories that nothing names is left alone so long: a publish stores its file first.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// A file of a local repository that the database names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its digest.
    pub digest: Sha256,
    /// What it is.
    pub subject: String,
    /// Whether a release that is there needs it.
    pub must_exist: bool,
}

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
    /// Files of local repositories that have their digest.
    pub local: u64,
    /// Files of local repositories that are missing or damaged. There is no other copy, so they are left alone.
    pub lost: u64,
    /// Entries that are not what they claim to be.
    pub damaged: u64,
    /// Files that have no business in the store.
    pub strangers: u64,
    /// How many of the two were removed.
    pub removed: u64,
    /// Resources of repositories that are not configured; left alone.
    pub unknown: u64,
}

impl Findings {
    /// Whether nothing bad is left.
    pub fn is_sound(&self) -> bool {
        self.damaged + self.strangers == self.removed && self.lost == 0
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

/// How many things there are to look at.
pub fn count(store: &Store) -> Result<u64, ScrubError> {
    let (slots, _) = store.slots_found(Area::Registry)?;
    let (blobs, _) = store.blobs_found()?;
    Ok((slots.len() + blobs.len() + store.local_found()?.len()) as u64)
}

/// Proves every resource of `repositories` and every blob; tells `seen` of each. With `repair` what is not sound is
/// removed, to be fetched again when it is wanted. Blocks.
pub fn run(
    store: &Store,
    repositories: &[Arc<RemoteRepository>],
    repair: bool,
    seen: &mut dyn FnMut(Seen),
) -> Result<Findings, ScrubError> {
    let mut findings = Findings::default();
    let mut strangers: Vec<PathBuf> = Vec::new();
    for repository in repositories {
        repository.scrub(repair, &mut |resource, sound| {
            let tally = if sound { &mut findings.resources } else { &mut findings.damaged };
            *tally += 1;
            findings.removed += u64::from(!sound && repair);
            seen(Seen { subject: format!("{}/{resource}", repository.key()), sound });
        })?;
    }
    let known: BTreeSet<&str> = repositories.iter().map(|repository| repository.key().as_str()).collect();
    for area in [Area::Registry, Area::Sealed] {
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
        seen(Seen { subject: path.display().to_string(), sound: false });
        if repair {
            store.remove_stranger(&path)?;
            findings.removed += 1;
        }
    }
    Ok(findings)
}

/// Proves every file of local repositories that is named, and finds those that nothing names; their digests. Blocks.
pub fn local(
    store: &Store,
    named: &[Named],
    now: Timestamp,
    findings: &mut Findings,
    seen: &mut dyn FnMut(Seen),
) -> Result<Vec<Sha256>, ScrubError> {
    let mut checked = BTreeSet::new();
    for file in named {
        let new = checked.insert(file.digest);
        let sound = match store.local.check(&file.digest)? {
            Some(sound) => sound,
            None if file.must_exist => false,
            None => continue,
        };
        findings.local += u64::from(sound && new);
        findings.lost += u64::from(!sound);
        seen(Seen { subject: file.subject.clone(), sound });
    }
    let mut orphans = Vec::new();
    for digest in store.local_found()? {
        if !checked.contains(&digest) && is_orphan(store, &digest, now) {
            findings.strangers += 1;
            seen(Seen { subject: format!("local/blobs/{digest}, which nothing names"), sound: false });
            orphans.push(digest);
        }
    }
    Ok(orphans)
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
