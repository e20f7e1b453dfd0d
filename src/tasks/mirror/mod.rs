//! `mirror`: downloads a whole registry, or a part of it, and updates the copy.
//!
//! Files are stored before the lists that contain them: the tarballs of a package, then its index, and `names` and
//! `versions` at the end, when all packages are stored. Each list is replaced atomically. A record for each package
//! contains its mirrored state, so an interrupted run continues where it stopped, and a run without changes only
//! requests `names` and `versions` conditionally.

mod due_packages;
mod package;
pub mod tree;
pub mod verify;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use globset::GlobSet;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::due_packages::Due;
use super::background_retry::{TransferRate, retry};
use super::report::{Progress, Reporter, sentence};
use crate::cache::registry::{StagedIndex, TakenOver};
use crate::clock::Timestamp;
use crate::hex::resource::RegistryResource;
use crate::repository::{RemoteRepository, RepoError};

/// The part of a registry to mirror, and limits of the run.
#[derive(Clone, Debug)]
pub struct MirrorPlan {
    /// Patterns of package names; `None`: all.
    pub packages: Option<GlobSet>,
    /// Number of newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Only releases that were published since this time; a release without a date counts as new.
    pub since: Option<Timestamp>,
    /// Include documentation.
    pub docs: bool,
    /// Maximum number of concurrent requests.
    pub connections: usize,
    /// Maximum bytes per second; `None`: no limit.
    pub rate: Option<u64>,
    /// Report what would be downloaded, without downloading it.
    pub dry_run: bool,
    /// The options that decide, besides the index, which files of a package are mirrored. After a change of these
    /// options, every package is checked again.
    pub words: String,
}

/// The result of a mirror run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Number of packages in the mirror.
    pub packages: u64,
    /// Number of packages that have not changed.
    pub unchanged: u64,
    /// Number of tarballs that were already mirrored, of packages that have changed.
    pub there: u64,
    /// Number of tarballs that were downloaded, or would be.
    pub brought: u64,
    /// Number of releases with mirrored documentation, of packages that have changed.
    pub docs: u64,
    /// Number of bytes that were downloaded.
    pub bytes: u64,
    /// Number of packages that the registry no longer lists.
    pub gone: u64,
    /// Files that the registry lists but does not have.
    pub missing: Vec<String>,
    /// An error for each file that could not be downloaded.
    pub failed: Vec<String>,
    /// Whether `names` and `versions` were updated.
    pub switched: bool,
}

/// Why a mirror run could not start.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A list cannot be downloaded.
    #[error("cannot download `{resource}`")]
    Bulk {
        /// `names` or `versions`.
        resource: RegistryResource,
        /// Cause.
        #[source]
        source: RepoError,
    },
    /// The registry has no list of its packages, so it cannot be mirrored.
    #[error("cannot mirror the upstream: it has no `{0}`, the list of its packages")]
    NoBulk(RegistryResource),
    /// The cache cannot be read.
    #[error("cannot read the mirrored files")]
    Here(#[from] RepoError),
}

/// The shared state of a mirror run.
struct Run<'a> {
    remote: &'a Arc<RemoteRepository>,
    plan: &'a MirrorPlan,
    pace: TransferRate,
    places: Semaphore,
    tally: Mutex<Mirrored>,
    progress: Mutex<Progress>,
    report: &'a Reporter,
}

/// Runs a mirror. If the future is dropped, the run stops, and downloaded files stay.
pub async fn run(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    report: &Reporter,
) -> Result<Mirrored, MirrorError> {
    let names = bulk(remote, RegistryResource::Names).await?;
    let versions = bulk(remote, RegistryResource::Versions).await?;
    let Due { packages, wanted, unchanged, releases, gone } =
        due_packages::due(remote, plan, &names, &versions).await?;
    let run = Run {
        remote,
        plan,
        pace: TransferRate::new(plan.rate),
        places: Semaphore::new(plan.connections.clamp(1, Semaphore::MAX_PERMITS)),
        tally: Mutex::new(Mirrored { packages: wanted, unchanged, ..Mirrored::default() }),
        progress: Mutex::new(Progress { total: releases, ..Progress::default() }),
        report,
    };
    report.progress(*run.progress.lock());
    let each = stream::iter(packages).map(|package| run.package(package));
    each.buffer_unordered(plan.connections.max(1)).for_each(|()| std::future::ready(())).await;
    if !plan.dry_run {
        for package in &gone {
            match retry(RepoError::again_after, || remote.ask_again(package)).await {
                Ok(()) => run.tally.lock().gone += 1,
                Err(error) => run.failed(format!("packages/{package}: {}", sentence(&error))).await,
            }
        }
    }
    let mut tally = run.tally.into_inner();
    if !plan.dry_run && tally.failed.is_empty() {
        tally.switched = true;
        for staged in [names, versions] {
            // If the cache already has a newer list, the next run mirrors its packages.
            if remote.take_over(staged).await? == TakenOver::NotStored {
                tally.switched = false;
                tally.failed.push(
                    "no space for `names` and `versions`: the disk is full, or storage.cache_limit is reached"
                        .to_owned(),
                );
            }
        }
    }
    tally.missing.sort();
    tally.failed.sort();
    Ok(tally)
}

async fn bulk(remote: &Arc<RemoteRepository>, resource: RegistryResource) -> Result<StagedIndex, MirrorError> {
    match retry(RepoError::again_after, || remote.stage(&resource)).await {
        Ok(Some(staged)) => Ok(staged),
        Ok(None) => Err(MirrorError::NoBulk(resource)),
        Err(source) => Err(MirrorError::Bulk { resource, source }),
    }
}

impl Run<'_> {
    async fn failed(&self, sentence: String) {
        self.report.say(format!("failed: {sentence}")).await;
        self.tally.lock().failed.push(sentence);
    }

    fn advance(&self, releases: u64, bytes: u64) {
        let mut progress = self.progress.lock();
        progress.done += releases;
        progress.bytes += bytes;
        self.report.progress(*progress);
    }
}
