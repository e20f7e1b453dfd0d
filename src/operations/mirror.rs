//! Runs mirrors, by command and by schedule.

use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::job_exclusion::ExclusiveJob;
use super::jobs::{MirrorAction, MirrorJob};
use super::operator::Operator;
use super::outcome::{Text, count};
use super::schedule::LastRuns;
use super::setup::MirrorSchedule;
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::repository::RemoteRepository;
use crate::shutdown::{self, Tasks};
use crate::tasks::mirror::{self, MirrorPlan, Mirrored, tree, verify};
use crate::tasks::report::Reporter;

/// Interval of the check for mirrors that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The result of a mirror job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorOutcome {
    /// Downloads, if the job downloads.
    pub brought: Option<MirrorReport>,
    /// Result of the verification, if the job verifies.
    pub here: Option<MirrorInventory>,
    /// Files written to a folder, if the job has one.
    pub folder: Option<MirrorFolder>,
}

/// What a mirror downloaded, or would download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorReport {
    /// Whether the job only reported what it would download.
    pub dry_run: bool,
    /// Number of packages in the mirror.
    pub packages: u64,
    /// Number of packages that have not changed.
    pub unchanged: u64,
    /// Number of tarballs that were already mirrored, of packages that have changed.
    pub there: u64,
    /// Number of tarballs that were downloaded, or would be.
    pub brought: u64,
    /// Number of bytes that were downloaded.
    pub bytes: u64,
    /// Number of releases with mirrored documentation, of packages that have changed; `None`: not part of the mirror.
    pub docs: Option<u64>,
    /// Number of packages that the registry no longer lists.
    pub gone: u64,
    /// Files that the registry lists but does not have.
    pub missing: Vec<String>,
    /// An error for each file that could not be downloaded.
    pub failed: Vec<String>,
    /// Number of cached files that were evicted during the run.
    pub evicted: u64,
}

/// The result of the verification of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorInventory {
    /// Number of packages with a valid index.
    pub packages: u64,
    /// Number of tarballs with the right checksum.
    pub tarballs: u64,
    /// Number of releases without a checksum in the registry; they are never stored.
    pub unprovable: u64,
    /// Number of missing or damaged files.
    pub wrong: usize,
}

/// Files written to a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorFolder {
    /// Number of packages in the folder.
    pub packages: u64,
    /// Number of files that were written.
    pub written: u64,
    /// Number of files that were removed, because the registry no longer lists them.
    pub removed: u64,
    /// Listed files that are not mirrored.
    pub missing: Vec<String>,
}

impl MirrorOutcome {
    pub(super) fn text(&self) -> Text {
        let mut text = Text::default();
        // Lines: downloads first, then the verification. Remarks: the other way round.
        if let Some(brought) = &self.brought {
            text.lines.extend(brought.lines());
        }
        if let Some(here) = &self.here {
            here.say(&mut text);
        }
        if let Some(brought) = &self.brought {
            brought.say(&mut text);
        }
        if let Some(folder) = &self.folder {
            folder.say(&mut text);
        }
        text
    }
}

impl MirrorReport {
    fn lines(&self) -> Vec<String> {
        let docs = self.docs.map(|docs| format!(", {docs} with documentation")).unwrap_or_default();
        let packages = format!("{}, {} of them unchanged", count(self.packages, "package", "packages"), self.unchanged);
        let line = if self.dry_run {
            let tarballs = count(self.there, "tarball is", "tarballs are");
            format!("{packages}; {tarballs} already mirrored, {} would be downloaded", self.brought)
        } else {
            format!(
                "{packages}; {} already mirrored, {} downloaded ({} bytes){docs}; {} no longer listed; {} failed",
                count(self.there, "tarball was", "tarballs were"),
                count(self.brought, "was", "were"),
                self.bytes,
                count(self.gone, "package is", "packages are"),
                self.failed.len()
            )
        };
        let mut lines = vec![line];
        if !self.missing.is_empty() {
            lines.push(format!("the registry lists {} files that it does not have", self.missing.len()));
        }
        lines
    }

    fn say(&self, text: &mut Text) {
        text.remarks.extend(self.missing.iter().map(|path| format!("missing from the upstream: {path}")));
        text.remarks.extend(self.failed.iter().map(|sentence| format!("hexkeep: {sentence}")));
        if !self.failed.is_empty() {
            text.failed = true;
            let why = "`names` and `versions` were not updated; run the mirror again to continue";
            text.remarks.push(format!("hexkeep: the mirror is incomplete, so {why}"));
        }
        if self.evicted > 0 {
            text.failed = true;
            let why = "storage.cache_limit is too small for the mirror";
            text.remarks
                .push(format!("hexkeep: {} files were evicted from the cache during the run: {why}", self.evicted));
        }
    }
}

impl MirrorInventory {
    fn say(&self, text: &mut Text) {
        let Self { packages, tarballs, unprovable, wrong } = self;
        text.lines.push(format!(
            "{packages} packages and {tarballs} tarballs are valid; {wrong} files are missing or damaged"
        ));
        if *unprovable > 0 {
            text.lines.push(format!("{unprovable} releases have no checksum in the registry and are never stored"));
        }
        if *wrong > 0 {
            text.failed = true;
            text.remarks.push(
                "hexkeep: the mirror is incomplete; run it with --verify --repair to download the missing files"
                    .to_owned(),
            );
        }
    }
}

impl MirrorFolder {
    fn say(&self, text: &mut Text) {
        let Self { packages, written, removed, missing } = self;
        text.lines.push(format!("the folder has {packages} packages; {written} files were written, {removed} removed"));
        let absent = missing.iter().map(|path| format!("not in the folder, because it is not mirrored: {path}"));
        text.remarks.extend(absent);
    }
}

impl Operator {
    pub(super) async fn mirror(&self, asked: MirrorJob, report: Reporter) -> Result<MirrorOutcome, OperationError> {
        let remote = self.remote(&asked.repository)?;
        let _place = self.under_way.begin(ExclusiveJob::Mirror(remote.key().clone())).map_err(Refusal::from)?;
        let plan = plan(&asked)?;
        if asked.to.is_some() && remote.enforcer().is_some() {
            return Err(Refusal::FolderOfPoliced(remote.key().to_string()).into());
        }
        if asked.to.is_some() && !remote.identity().direct {
            return Err(Refusal::FolderOfIndirect(self.virtuals_serving(remote.key())).into());
        }
        let mut outcome = MirrorOutcome::default();
        match asked.action {
            MirrorAction::Bring | MirrorAction::DryRun => {
                outcome.brought = Some(self.bring(&remote, &plan, &report).await?);
            }
            MirrorAction::Verify => outcome.here = Some(verify_mirrored(&remote, &plan, report.clone()).await?.0),
            MirrorAction::Repair => {
                let (here, found) = verify_mirrored(&remote, &plan, report.clone()).await?;
                outcome.here = Some(here);
                if !found.wrong.is_empty() {
                    remove_damaged(&remote, found).await?;
                    outcome.brought = Some(self.bring(&remote, &plan, &report).await?);
                    outcome.here = Some(verify_mirrored(&remote, &plan, report.clone()).await?.0);
                }
            }
        }
        if let Some(folder) = asked.to {
            let store = Arc::clone(&self.shared.store);
            let folder = shutdown::blocking(move || store.output(&folder)).await??;
            let tree::Written { packages, files, removed, missing } =
                tree::run(&remote, &plan, Arc::new(folder), &report).await?;
            outcome.folder = Some(MirrorFolder { packages, written: files, removed, missing });
        }
        Ok(outcome)
    }

    async fn bring(
        &self,
        remote: &Arc<RemoteRepository>,
        plan: &MirrorPlan,
        report: &Reporter,
    ) -> Result<MirrorReport, OperationError> {
        let evicted = self.shared.metrics.evicted.get();
        let done = mirror::run(remote, plan, report).await?;
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        let Mirrored { packages, unchanged, there, brought, docs, bytes, gone, missing, failed, .. } = done;
        let (dry_run, docs) = (plan.dry_run, plan.docs.then_some(docs));
        Ok(MirrorReport { dry_run, packages, unchanged, there, brought, bytes, docs, gone, missing, failed, evicted })
    }

    /// Runs the mirrors of the configuration by their schedules, until `tasks` stop.
    pub async fn run_scheduled_mirrors(&self, tasks: Tasks) {
        let runs = LastRuns::default();
        loop {
            for (key, schedule) in self.scheduled() {
                let Some(run) = runs.begin_due(&key, schedule.every, &self.under_way, &self.shared.clock) else {
                    continue;
                };
                let (operator, stopping) = (self.clone(), tasks.clone());
                tasks.spawn(async move {
                    let _run = run;
                    tokio::select! {
                        () = stopping.stopping() => {}
                        () = operator.run_scheduled_mirror(&key, &schedule) => {}
                    }
                });
            }
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn scheduled(&self) -> Vec<(RepoName, MirrorSchedule)> {
        let setup = self.setup();
        let scheduled = setup.repositories.iter();
        scheduled.filter_map(|one| Some((one.repository.key().clone(), one.mirror.clone()?))).collect()
    }

    async fn run_scheduled_mirror(&self, key: &RepoName, schedule: &MirrorSchedule) {
        let Ok(remote) = self.remote(key.as_str()) else { return };
        let plan = MirrorPlan {
            packages: Some(schedule.packages.clone()),
            latest: schedule.latest,
            since: None,
            docs: schedule.docs,
            connections: connection_limit(schedule.connections),
            rate: rate_limit(schedule.rate),
            dry_run: false,
            words: words(schedule.latest, None, schedule.docs),
        };
        let (report, mut events) = Reporter::new();
        let run = async {
            let outcome = self.bring(&remote, &plan, &report).await;
            drop(report);
            outcome
        };
        let (brought, ()) = tokio::join!(run, async { while events.recv().await.is_some() {} });
        let text = match brought {
            Ok(brought) => MirrorOutcome { brought: Some(brought), ..MirrorOutcome::default() }.text(),
            Err(error) => {
                let failure = error.sentence();
                return tracing::error!(repository = %key, %failure, "the mirror run failed");
            }
        };
        let done = text.lines.join("; ");
        if text.failed {
            let first = text.remarks.first().map(String::as_str).unwrap_or_default();
            tracing::error!(repository = %key, failures = text.remarks.len(), first, "{done}");
        } else {
            tracing::info!(repository = %key, "{done}");
        }
    }
}

/// Verifies all mirrored files.
async fn verify_mirrored(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    report: Reporter,
) -> Result<(MirrorInventory, verify::Verified), OperationError> {
    let plan = plan.clone();
    let found = remote.blocking(move |remote| verify::run(remote, &plan, &report)).await??;
    let (packages, tarballs, unprovable) = (found.packages, found.tarballs, found.unprovable);
    Ok((MirrorInventory { packages, tarballs, unprovable, wrong: found.wrong.len() }, found))
}

/// Removes damaged files from the cache, so that they are downloaded again.
async fn remove_damaged(remote: &Arc<RemoteRepository>, found: verify::Verified) -> Result<(), OperationError> {
    let forgotten = remote.blocking(move |remote| {
        found.concerned.iter().try_for_each(|(package, damaged)| remote.forget_mirrored(package, damaged))
    });
    Ok(forgotten.await??)
}

fn plan(asked: &MirrorJob) -> Result<MirrorPlan, Refusal> {
    let since = asked.since.map(Timestamp::from_millis);
    Ok(MirrorPlan {
        packages: if asked.packages.is_empty() { None } else { Some(globs(&asked.packages)?) },
        latest: asked.latest,
        since,
        docs: asked.docs,
        connections: connection_limit(asked.connections),
        rate: rate_limit(asked.rate),
        dry_run: asked.action == MirrorAction::DryRun,
        words: words(asked.latest, since, asked.docs),
    })
}

/// The limit for a configured number of concurrent requests: zero is no limit.
fn connection_limit(connections: usize) -> usize {
    if connections == 0 { usize::MAX } else { connections }
}

/// The limit for a configured rate: zero is no limit.
fn rate_limit(rate: Option<u64>) -> Option<u64> {
    rate.filter(|rate| *rate > 0)
}

/// The options that decide, besides the index, which files of a package are mirrored.
fn words(latest: Option<usize>, since: Option<Timestamp>, docs: bool) -> String {
    format!("latest {latest:?} since {:?} docs {docs}", since.map(Timestamp::as_millis))
}

fn globs(patterns: &[String]) -> Result<GlobSet, Refusal> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern);
        builder.add(glob.map_err(|why| Refusal::Pattern { pattern: pattern.clone(), why })?);
    }
    Ok(builder.build()?)
}
