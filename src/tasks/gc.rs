//! `gc` and `stats`: which cached files nothing needs any more, and what takes how much room.
//!
//! Only files that can be fetched again are looked at: tarballs, docs, installers. Indexes stay, so what was removed comes
//! back when somebody asks for it, if there is somebody to give it.

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

/// Progress is told this often.
const PROGRESS_EVERY: u64 = 256;

/// What is kept. A file goes that no rule keeps.
#[derive(Clone, Debug, Default)]
pub struct RetentionRules {
    /// Releases that lock files or pins name: package and version.
    pub releases: BTreeSet<(String, String)>,
    /// So many of the newest releases of each package; `None`: of releases, those that were used.
    pub keep_latest: Option<usize>,
    /// What was used since; `None`: files that are of no known release, and the newest of those that are.
    pub used_since: Option<Timestamp>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectReport {
    /// Files that went, or would.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that stay.
    pub left: u64,
    /// Bytes of them.
    pub left_bytes: u64,
}

/// Why it could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Whoever has ordered it has gone.
    #[error("nobody waits for the collection any more: give the command again to go on")]
    Abandoned,
}

/// A stored file of a release.
struct Stored {
    repository: usize,
    name: ArtifactName,
    /// Place of the release among those of its package, the newest first.
    rank: usize,
    digest: Sha256,
    docs: bool,
}

/// Every file of a release that an index here names.
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

/// Removes what no rule keeps. Blocks.
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
        // Evicted since it was listed.
        let Some(length) = store.blobs.length(&digest) else { continue };
        let is_used = match (rules.used_since, store.blobs.used(&digest)) {
            (Some(since), used) => used.is_none_or(|used| used >= since),
            // What is of no release may be an installer, or of a release whose index is on its way.
            (None, _) => !names.contains_key(&digest),
        };
        if kept.contains(&digest) || is_used || store.is_pinned(&digest) {
            collected.left += 1;
            collected.left_bytes += length;
            continue;
        }
        if rules.dry_run {
            let name = names.get(&digest).cloned().unwrap_or_else(|| format!("blobs/{digest}"));
            report.say_blocking(format!("would go: {name}"));
        } else {
            store.blobs.remove(&digest)?;
        }
        collected.files += 1;
        collected.bytes += length;
    }
    Ok(collected)
}

/// Releases that lock files pin, in few bytes each: there may be very many.
#[derive(Debug)]
pub struct PinnedReleases {
    store: Arc<Store>,
    pins: PinnedFiles,
    releases: Vec<(Sha256, Option<Timestamp>)>,
}

impl PinnedReleases {
    /// None yet.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), pins: store.pins(), releases: Vec::new() }
    }

    /// Adds a release of a package of the repository `source`. `checksum`: that of the whole tarball in hexadecimal, or the
    /// inner one; `until`: `None`: for ever.
    pub fn add(&mut self, (source, package): (&str, &str), checksum: &str, until: Option<Timestamp>) {
        if let Ok(checksum) = Sha256::from_hex(checksum) {
            self.releases.push((checksum, until));
        }
        if let Ok(slot) = Slot::new(Area::Registry, source, &format!("packages/{package}")) {
            self.pins.keep_slot(&slot, until);
        }
    }

    /// Keeps, as long as each pin lasts, the stored files of these releases and the indexes that list them, and lets all
    /// others go. Blocks.
    pub fn hold(mut self) {
        for (checksum, until) in self.releases {
            let known: Option<InnerRecord> = record::get(&*self.store.index, &checksum.to_string());
            let digest = known.map_or(Ok(checksum), |known| Sha256::from_hex(&known.outer));
            if let Ok(digest) = digest {
                self.pins.keep(&digest, until);
            }
        }
        self.pins.hold();
    }
}

/// What a repository takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryUsage {
    /// Packages whose index is here.
    pub packages: u64,
    /// Tarballs that are here, and their bytes.
    pub tarballs: (u64, u64),
    /// Docs that are here, and their bytes.
    pub docs: (u64, u64),
    /// The packages that take most, the largest first, with their bytes.
    pub largest: Vec<(String, u64)>,
}

/// So many packages are named.
const LARGEST: usize = 10;

/// What each of `remotes` takes. A file that two have counts for both. Blocks.
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
