//! Mirrors, by order and by schedule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use parking_lot::Mutex;

use super::Failure;
use super::commands::Outcome;
use super::jobs::{Mirror, MirrorAction};
use super::operator::Operator;
use super::setup::MirrorSchedule;
use super::under_way::{Busy, Place, Work};
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::repository::RemoteRepository;
use crate::shutdown::Tasks;
use crate::tasks::mirror::{self, Mirrored, Plan, tree, verify};
use crate::tasks::report::Reporter;

/// How often it is looked whether a mirror is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Operator {
    pub(super) async fn mirror(&self, asked: Mirror, report: Reporter) -> Result<Outcome, Failure> {
        let remote = self.remote(&asked.repository)?;
        let _place = self.under_way.begin(Work::Mirror(remote.key().clone()))?;
        let plan = plan(&asked)?;
        if asked.to.is_some() && remote.enforcer().is_some() {
            let why = "a folder cannot hold back what the policy holds";
            return Err(Failure(format!("a policy holds for `{}`, and {why}: leave --to out", remote.key())));
        }
        if asked.to.is_some() && !self.repository(remote.key().as_str())?.identity().direct {
            let why = "a folder cannot hold back what is held there";
            return Err(Failure(format!("{}, and {why}: leave --to out", self.only_through(remote.key()))));
        }
        let mut outcome = match asked.action {
            MirrorAction::Bring | MirrorAction::DryRun => self.bring(&remote, &plan, &report).await?,
            MirrorAction::Verify => self.look(&remote, &plan, report.clone()).await?.0,
            MirrorAction::Repair => {
                let (outcome, found) = self.look(&remote, &plan, report.clone()).await?;
                if found.wrong.is_empty() {
                    outcome
                } else {
                    self.repair(&remote, plan.clone(), found, &report).await?
                }
            }
        };
        if let Some(folder) = asked.to {
            let store = Arc::clone(&self.shared.store);
            let folder = tokio::task::spawn_blocking(move || store.output(&folder)).await;
            let folder = folder.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
            let written = tree::run(&remote, &plan, Arc::new(folder), &report).await;
            let written = written.map_err(|error| Failure::of(&error))?;
            outcome.lines.push(format!(
                "the folder has {} packages; {} files were written, {} removed",
                written.packages, written.files, written.removed
            ));
            let absent = written.missing.iter().map(|path| format!("not in the folder, since it is not here: {path}"));
            outcome.remarks.extend(absent);
        }
        Ok(outcome)
    }

    async fn bring(&self, remote: &Arc<RemoteRepository>, plan: &Plan, report: &Reporter) -> Result<Outcome, Failure> {
        let evicted = self.shared.metrics.evicted.get();
        let done = mirror::run(remote, plan, report).await.map_err(|error| Failure::of(&error))?;
        let mut outcome = told(&done, plan);
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        if evicted > 0 {
            outcome.failed = true;
            let why = "storage.cache_limit is too small for what is mirrored";
            outcome.remarks.push(format!("hexkeep: {evicted} files were evicted meanwhile: {why}"));
        }
        Ok(outcome)
    }

    /// Looks at everything that is here.
    async fn look(
        &self,
        remote: &Arc<RemoteRepository>,
        plan: &Plan,
        report: Reporter,
    ) -> Result<(Outcome, verify::Verified), Failure> {
        let plan = plan.clone();
        let looked = remote.blocking(move |remote| verify::run(remote, &plan, &report)).await;
        let found = looked.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
        let mut outcome = Outcome::line(format!(
            "{} packages and {} tarballs are sound; {} are missing or wrong",
            found.packages,
            found.tarballs,
            found.wrong.len()
        ));
        if found.unprovable > 0 {
            outcome.lines.push(format!("{} releases have no checksum and are never stored", found.unprovable));
        }
        if !found.wrong.is_empty() {
            outcome.failed = true;
            outcome.remarks.push("hexkeep: the mirror is not complete; --repair brings what is missing".to_owned());
        }
        Ok((outcome, found))
    }

    async fn repair(
        &self,
        remote: &Arc<RemoteRepository>,
        plan: Plan,
        found: verify::Verified,
        report: &Reporter,
    ) -> Result<Outcome, Failure> {
        let forgotten = remote.blocking(move |remote| {
            found.concerned.iter().try_for_each(|(package, damaged)| remote.forget_mirrored(package, damaged))
        });
        forgotten.await.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
        let brought = self.bring(remote, &plan, report).await?;
        let (mut outcome, _) = self.look(remote, &plan, report.clone()).await?;
        outcome.lines.splice(0..0, brought.lines);
        outcome.failed |= brought.failed;
        outcome.remarks.extend(brought.remarks);
        Ok(outcome)
    }

    /// Runs the mirrors of the configuration by their schedules, until `tasks` are told to stop.
    pub async fn keep_mirrors(&self, tasks: Tasks) {
        // When the last run of each ended; `None` while one is under way.
        let runs: Arc<Mutex<BTreeMap<RepoName, Option<Timestamp>>>> = Arc::default();
        loop {
            for (key, schedule) in self.scheduled() {
                let now = self.shared.clock.now();
                let due = match runs.lock().get(&key) {
                    None => true,
                    Some(None) => false,
                    Some(Some(ended)) => !now.is_within(schedule.every, *ended),
                };
                if !due {
                    continue;
                }
                let place = match self.under_way.begin(Work::Mirror(key.clone())) {
                    Ok(place) => place,
                    // Somebody has ordered a run: that is one.
                    Err(Busy(Work::Mirror(_))) => {
                        runs.lock().insert(key, Some(now));
                        continue;
                    }
                    // It is looked again in a moment.
                    Err(busy @ Busy(Work::Import | Work::Collect)) => {
                        tracing::debug!(repository = %key, %busy, "a mirror is due and waits");
                        continue;
                    }
                };
                runs.lock().insert(key.clone(), None);
                let (operator, stopping, runs) = (self.clone(), tasks.clone(), Arc::clone(&runs));
                tasks.spawn(async move {
                    tokio::select! {
                        () = stopping.stopping() => {}
                        () = operator.keep_mirror(&key, &schedule, place) => {
                            runs.lock().insert(key, Some(operator.shared.clock.now()));
                        }
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

    async fn keep_mirror(&self, key: &RepoName, schedule: &MirrorSchedule, _place: Place) {
        let Ok(remote) = self.remote(key.as_str()) else { return };
        let plan = Plan {
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
        let (outcome, ()) = tokio::join!(run, async { while events.recv().await.is_some() {} });
        match outcome {
            Ok(outcome) if outcome.failed => {
                let failures = outcome.remarks.len();
                let first = outcome.remarks.first().map(String::as_str).unwrap_or_default();
                tracing::error!(repository = %key, failures, first, "{}", outcome.lines.join("; "));
            }
            Ok(outcome) => tracing::info!(repository = %key, "{}", outcome.lines.join("; ")),
            Err(failure) => tracing::error!(repository = %key, %failure, "the mirror could not be brought up to date"),
        }
    }
}

fn plan(asked: &Mirror) -> Result<Plan, Failure> {
    let since = asked.since.map(Timestamp::from_millis);
    Ok(Plan {
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

/// What a number of requests under way is as a limit: zero is none.
fn connection_limit(connections: usize) -> usize {
    if connections == 0 { usize::MAX } else { connections }
}

/// What a rate is as a limit: zero is none.
fn rate_limit(rate: Option<u64>) -> Option<u64> {
    rate.filter(|rate| *rate > 0)
}

/// What the files of a package depend on beside its index.
fn words(latest: Option<usize>, since: Option<Timestamp>, docs: bool) -> String {
    format!("latest {latest:?} since {:?} docs {docs}", since.map(Timestamp::as_millis))
}

fn globs(patterns: &[String]) -> Result<GlobSet, Failure> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder
            .add(Glob::new(pattern).map_err(|error| Failure(format!("`{pattern}` is no pattern: {}", error.kind())))?);
    }
    builder.build().map_err(|error| Failure::of(&error))
}

fn told(done: &Mirrored, plan: &Plan) -> Outcome {
    let docs = if plan.docs { format!(", {} have documentation here", done.docs) } else { String::new() };
    let packages = format!("{} packages, {} of them unchanged", done.packages, done.unchanged);
    let line = if plan.dry_run {
        format!("{packages}; {} tarballs are here, {} would be fetched", done.there, done.brought)
    } else {
        format!(
            "{packages}; {} tarballs were here, {} were fetched ({} bytes){docs}; {} packages are gone; {} failed",
            done.there,
            done.brought,
            done.bytes,
            done.gone,
            done.failed.len()
        )
    };
    let mut outcome = Outcome::line(line);
    if !done.missing.is_empty() {
        outcome.lines.push(format!("the registry lists {} files that it does not have", done.missing.len()));
        outcome.remarks.extend(done.missing.iter().map(|path| format!("not there upstream: {path}")));
    }
    outcome.remarks.extend(done.failed.iter().map(|sentence| format!("hexkeep: {sentence}")));
    if !done.failed.is_empty() {
        outcome.failed = true;
        let why = "`names` and `versions` stay as they were; run it again to go on";
        outcome.remarks.push(format!("hexkeep: not everything is here, so {why}"));
    }
    outcome
}
