//! `mirror`: a whole registry, or a part of it, brought here and kept up with.
//!
//! What is listed is here before the list is: the tarballs of a package, then its index, and `names` and `versions` at
//! the end, when every package of theirs has been brought. Each of them is switched in one step. A record of each
//! package says up to where it was brought, so a run that was interrupted goes on there, and one that finds nothing new
//! asks for `names` and `versions` alone, by their validators.

mod due;
mod package;
pub mod tree;
pub mod verify;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use globset::GlobSet;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::due::Due;
use super::patience::{TransferRate, again};
use super::report::{Progress, Reporter, sentence};
use crate::cache::registry::{StagedIndex, TakenOver};
use crate::clock::Timestamp;
use crate::hex::resource::RegistryResource;
use crate::repository::{RemoteRepository, RepoError};

/// Which part of a registry is wanted, and how fast.
#[derive(Clone, Debug)]
pub struct MirrorPlan {
    /// Names of packages; `None`: all.
    pub packages: Option<GlobSet>,
    /// So many of the newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Only what was published since; what has no date counts as new.
    pub since: Option<Timestamp>,
    /// Documentation, too.
    pub docs: bool,
    /// Requests under way at one time.
    pub connections: usize,
    /// Bytes a second; `None`: as fast as it goes.
    pub rate: Option<u64>,
    /// Only say what there is to do.
    pub dry_run: bool,
    /// What the tarballs of each package depend on beside its index: another extent makes every package due again.
    pub words: String,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Packages that are wanted.
    pub packages: u64,
    /// Those that had not changed.
    pub unchanged: u64,
    /// Tarballs that were here already, of packages that had changed.
    pub there: u64,
    /// Tarballs that were brought, or would be.
    pub brought: u64,
    /// Documentation that is here, of packages that had changed.
    pub docs: u64,
    /// Bytes that were brought.
    pub bytes: u64,
    /// Packages that the registry lists no more.
    pub gone: u64,
    /// Files that the registry lists and does not have.
    pub missing: Vec<String>,
    /// What could not be brought, a sentence each.
    pub failed: Vec<String>,
    /// Whether `names` and `versions` are those of this run.
    pub switched: bool,
}

/// Why a run could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The upstream, or something of our own.
    #[error("`{resource}` cannot be fetched")]
    Bulk {
        /// `names` or `versions`.
        resource: RegistryResource,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// A registry that does not say what it has cannot be mirrored.
    #[error("the upstream has no `{0}`: it does not say what there is")]
    NoBulk(RegistryResource),
    /// Something of our own.
    #[error("what is here cannot be looked at")]
    Here(#[from] RepoError),
}

/// What the packages of a run share.
struct Run<'a> {
    remote: &'a Arc<RemoteRepository>,
    plan: &'a MirrorPlan,
    pace: TransferRate,
    places: Semaphore,
    tally: Mutex<Mirrored>,
    progress: Mutex<Progress>,
    report: &'a Reporter,
}

/// Mirrors. Dropping it stops it, and what was brought stays.
pub async fn run(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    report: &Reporter,
) -> Result<Mirrored, MirrorError> {
    let names = bulk(remote, RegistryResource::Names).await?;
    let versions = bulk(remote, RegistryResource::Versions).await?;
    let Due { packages, wanted, unchanged, releases, gone } = due::due(remote, plan, &names, &versions).await?;
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
            match again(RepoError::again_after, || remote.ask_again(package)).await {
                Ok(()) => run.tally.lock().gone += 1,
                Err(error) => run.failed(format!("packages/{package}: {}", sentence(&error))).await,
            }
        }
    }
    let mut tally = run.tally.into_inner();
    if !plan.dry_run && tally.failed.is_empty() {
        tally.switched = true;
        for staged in [names, versions] {
            // Who was overtaken finds something newer there, which the next run brings.
            if remote.take_over(staged).await? == TakenOver::NotStored {
                tally.switched = false;
                tally.failed.push("there is no room for `names` and `versions`".to_owned());
            }
        }
    }
    tally.missing.sort();
    tally.failed.sort();
    Ok(tally)
}

async fn bulk(remote: &Arc<RemoteRepository>, resource: RegistryResource) -> Result<StagedIndex, MirrorError> {
    match again(RepoError::again_after, || remote.stage(&resource)).await {
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
