//! `gc` and `stats`: removes cached files that are no longer needed, and reports disk usage.
//!
//! Only files that can be downloaded again are removed: tarballs, docs and installers. Indexes stay, so a removed file
//! is downloaded again at the next request, if the upstream still has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::report::{Progress, Reporter};
use crate::cache::CacheError;
use crate::cache::record::{self, InnerRecord};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::index::Index;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::version::ReleaseVersion;
use crate::repository::RemoteRepository;
use crate::store::slots::{Area, Slot};
use crate::store::{PinnedFiles, Store, StoreError};

/// Progress is reported after this number of files.
const PROGRESS_EVERY: u64 = 256;

/// Rules for files to keep. All other files are removed.
#[derive(Clone, Debug, Default)]
pub struct RetentionRules {
    /// Keep the releases in lock files and pins: package and version.
    pub releases: BTreeSet<(String, String)>,
    /// Keep this number of newest releases of each package.
    pub keep_latest: Option<usize>,
    /// Keep files that were used since this time; `None`: keep files that belong to no known release.
    pub used_since: Option<Timestamp>,
    /// Report what would be removed, without removing it.
    pub dry_run: bool,
}

/// The result of a garbage collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectReport {
    /// Number of removed files, or of those that would be removed.
    pub files: u64,
    /// Size of these files in bytes.
    pub bytes: u64,
    /// Number of remaining files.
    pub left: u64,
    /// Size of the remaining files in bytes.
    pub left_bytes: u64,
}

/// Why a garbage collection failed.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A file of the store cannot be read or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cached index cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The client disconnected.
    #[error("the garbage collection was cancelled, because the client disconnected; run the command again to continue")]
    Abandoned,
}

/// A stored file of a release.
struct Stored {
    repository: usize,
    name: ArtifactName,
    /// Position of the release in its package, with the newest release at 0.
    rank: usize,
    digest: Sha256,
    docs: bool,
}

/// All files of releases in cached indexes.
fn of_releases(remotes: &[Arc<RemoteRepository>]) -> Result<Vec<Stored>, GcError> {
    let mut all = Vec::new();
    for (repository, remote) in remotes.iter().enumerate() {
        for package in remote.stored_packages()? {
            let stored = remote.stored(&RegistryResource::Package(package.clone()))?;
            let Some(Index::Package(index)) = stored.as_ref().map(|stored| stored.index()) else { continue };
            let mut releases: Vec<(ReleaseVersion, Option<Sha256>)> = index
                .releases
                .iter()
                .filter_map(|release| Some((release.version.parse().ok()?, remote.digest_of(release))))
                .collect();
            releases.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
            for (rank, (version, tarball)) in releases.into_iter().enumerate() {
                let name = ArtifactName { package: package.clone(), version };
                let docs = remote.docs_digest(&name);
                let files = tarball.map(|digest| (digest, false)).into_iter().chain(docs.map(|digest| (digest, true)));
                for (digest, docs) in files {
                    all.push(Stored { repository, name: name.clone(), rank, digest, docs });
                }
            }
        }
    }
    Ok(all)
}

/// Removes all files that no rule keeps. Blocks.
pub fn run(
    store: &Store,
    remotes: &[Arc<RemoteRepository>],
    rules: &RetentionRules,
    report: &Reporter,
) -> Result<CollectReport, GcError> {
    let mut names: BTreeMap<Sha256, String> = BTreeMap::new();
    let mut kept: BTreeSet<Sha256> = BTreeSet::new();
    for stored in of_releases(remotes)? {
        let release = (stored.name.package.to_string(), stored.name.version.to_string());
        let is_new = rules.keep_latest.is_some_and(|latest| stored.rank < latest);
        if is_new || rules.releases.contains(&release) {
            kept.insert(stored.digest);
        }
        let path = if stored.docs { stored.name.docs_path() } else { stored.name.tarball_path() };
        names.insert(stored.digest, path);
    }
    let (blobs, _) = store.blobs_found()?;
    let mut collected = CollectReport::default();
    let mut progress = Progress { total: blobs.len() as u64, ..Progress::default() };
    for digest in blobs {
        if report.is_abandoned() {
            return Err(GcError::Abandoned);
        }
        progress.done += 1;
        if progress.done.is_multiple_of(PROGRESS_EVERY) {
            report.progress(progress);
        }
        // The file was evicted after it was listed.
        let Some(length) = store.blobs.length(&digest) else { continue };
        let is_used = match (rules.used_since, store.blobs.used(&digest)) {
            (Some(since), used) => used.is_none_or(|used| used >= since),
            // A file without a release may be an installer, or its index may not be stored yet.
            (None, _) => !names.contains_key(&digest),
        };
        if kept.contains(&digest) || is_used || store.is_pinned(&digest) {
            collected.left += 1;
            collected.left_bytes += length;
            continue;
        }
        if rules.dry_run {
            let name = names.get(&digest).cloned().unwrap_or_else(|| format!("blobs/{digest}"));
            report.say_blocking(format!("would be removed: {name}"));
        } else {
            store.blobs.remove(&digest)?;
        }
        collected.files += 1;
        collected.bytes += length;
    }
    Ok(collected)
}

/// Pinned releases. There may be very many, so each takes only a few bytes.
#[derive(Debug)]
pub struct PinnedReleases {
    store: Arc<Store>,
    pins: PinnedFiles,
    releases: Vec<(Sha256, Option<Timestamp>)>,
}

impl PinnedReleases {
    /// Creates an empty set.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), pins: store.pins(), releases: Vec::new() }
    }

    /// Adds a release of a package in the repository `source`. `checksum` is the outer or inner checksum of the tarball
    /// in hexadecimal. `until` is the time at which the pin expires; `None`: never.
    pub fn add(&mut self, (source, package): (&str, &str), checksum: &str, until: Option<Timestamp>) {
        if let Ok(checksum) = Sha256::from_hex(checksum) {
            self.releases.push((checksum, until));
        }
        if let Ok(slot) = Slot::new(Area::Registry, source, &format!("packages/{package}")) {
            self.pins.keep_slot(&slot, until);
        }
    }

    /// Protects the stored files of these releases, and the indexes that list them, from eviction until each pin
    /// expires. Replaces all earlier protections. Blocks.
    pub fn hold(mut self) {
        for (checksum, until) in self.releases {
            let known: Option<InnerRecord> = record::get(&*self.store.index, &checksum.to_string());
            let digest = known.map_or(Ok(checksum), |known| Sha256::from_hex(&known.outer));
            if let Ok(digest) = digest {
                self.pins.pin(&digest, until);
            }
        }
        self.pins.activate();
    }
}

/// Disk usage of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryUsage {
    /// Number of packages with a cached index.
    pub packages: u64,
    /// Number of cached tarballs, and their size in bytes.
    pub tarballs: (u64, u64),
    /// Number of cached documentation archives, and their size in bytes.
    pub docs: (u64, u64),
    /// The largest packages with their size in bytes, in descending order.
    pub largest: Vec<(String, u64)>,
}

/// Number of packages in the list of the largest.
const LARGEST: usize = 10;

/// Computes the disk usage of each repository. A file that belongs to two repositories counts for both. Blocks.
pub fn shares(store: &Store, remotes: &[Arc<RemoteRepository>]) -> Result<Vec<RepositoryUsage>, GcError> {
    let mut shares: Vec<(RepositoryUsage, BTreeMap<String, u64>)> = Vec::new();
    for remote in remotes {
        let packages = remote.stored_packages()?.len() as u64;
        shares.push((RepositoryUsage { packages, ..RepositoryUsage::default() }, BTreeMap::new()));
    }
    for stored in of_releases(remotes)? {
        let (Some(length), Some((share, packages))) =
            (store.blobs.length(&stored.digest), shares.get_mut(stored.repository))
        else {
            continue;
        };
        let (count, bytes) = if stored.docs { &mut share.docs } else { &mut share.tarballs };
        *count += 1;
        *bytes += length;
        *packages.entry(stored.name.package.to_string()).or_default() += length;
    }
    let told = shares.into_iter().map(|(share, packages)| {
        let mut largest: Vec<(String, u64)> = packages.into_iter().collect();
        largest.sort_by(|(one, its), (other, others)| others.cmp(its).then_with(|| one.cmp(other)));
        largest.truncate(LARGEST);
        RepositoryUsage { largest, ..share }
    });
    Ok(told.collect())
}
