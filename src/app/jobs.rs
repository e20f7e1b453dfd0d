//! Work that takes a while, done on an open store.

use std::sync::Arc;

use super::core::Core;
use crate::admin::Failure;
use crate::admin::commands::Outcome;
use crate::admin::locked::{Locked, LockedReleases};
use crate::admin::protocol::{Job, Prefetch};
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::repository::Repository;
use crate::tasks::prefetch::{self, Extent, Wanted};
use crate::tasks::report::{Progress, Reporter};
use crate::tasks::scrub::{self, Findings, ScrubError};

/// Progress of a scrub is told this often.
const PROGRESS_EVERY: u64 = 64;

/// What clients call the repository that they ask by default.
const HEXPM: &str = "hexpm";

impl Core {
    pub(super) async fn do_work(&self, job: Job, report: Reporter) -> Result<Outcome, Failure> {
        match job {
            Job::VerifyStore { repair } => self.scrub(repair, report).await,
            Job::Prefetch(prefetch) => self.prefetch(prefetch, &report).await,
            Job::Backup { file } => self.backup(file, report).await,
            Job::Import { repository, folder } => self.import(repository, folder, &report).await,
            Job::Mirror(mirror) => self.mirror(mirror, report).await,
            Job::Bundle(bundle) => self.bundle(bundle, report).await,
            Job::Collect(collect) => self.collect(collect, report).await,
        }
    }

    async fn scrub(&self, repair: bool, report: Reporter) -> Result<Outcome, Failure> {
        let (store, repositories, installs) = (Arc::clone(&self.shared.store), self.remotes(), self.installs());
        let virtuals: Vec<_> =
            self.repositories().iter().filter_map(|repository| repository.as_virtual().cloned()).collect();
        let mut own = Vec::new();
        for repository in self.repositories() {
            if let Some(local) = repository.as_local() {
                own.extend(local.files().await.map_err(|error| Failure::of(&error))?);
            }
        }
        let (named, now) =
            (self.state().named_files().await.map_err(|error| Failure::of(&error))?, self.shared.clock.now());
        let (mut findings, orphans) = tokio::task::spawn_blocking(move || {
            let mut progress = Progress { total: scrub::count(&store, &own)?, ..Progress::default() };
            report.progress(progress);
            let mut seen = |seen: scrub::Seen| {
                progress.done += 1;
                if !seen.sound {
                    report.say_blocking(format!("damaged: {}", seen.subject));
                }
                if progress.done.is_multiple_of(PROGRESS_EVERY) {
                    report.progress(progress);
                }
            };
            let findings = scrub::run(&store, &repositories, &virtuals, &installs, &own, repair, &mut seen)?;
            let orphans = scrub::orphans(&store, &named, now, &mut seen)?;
            Ok::<_, ScrubError>((findings, orphans))
        })
        .await
        .map_err(|_| Failure("the scrub ended without an answer".to_owned()))?
        .map_err(|error| Failure::of(&error))?;
        findings.strangers += orphans.len() as u64;
        if repair && !orphans.is_empty() {
            findings.removed += self.remove_orphans(orphans).await?;
        }
        let database = self.state().check().await.map_err(|error| Failure::of(&error))?;
        Ok(scrubbed(&findings, database))
    }

    async fn prefetch(&self, asked: Prefetch, report: &Reporter) -> Result<Outcome, Failure> {
        let (wanted, mut failed) = self.all_wanted(asked.repository.as_deref(), &asked.releases)?;
        let evicted = self.shared.metrics.evicted.get();
        let extent = Extent::from(&asked);
        let (done, _) = prefetch::run(wanted, extent, report).await;
        failed.extend(done.failed);
        let docs = if asked.docs { format!(", {} have documentation here", done.docs) } else { String::new() };
        let mut outcome = Outcome::line(format!(
            "{} releases were there, {} were fetched ({} bytes){docs}; {} failed",
            done.there,
            done.brought,
            done.bytes,
            failed.len()
        ));
        outcome.failed = !failed.is_empty();
        outcome.remarks = failed.into_iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        if evicted > 0 {
            outcome.failed = true;
            outcome.remarks.push(format!(
                "hexkeep: {evicted} files were evicted meanwhile, perhaps some of these: storage.cache_limit is too small"
            ));
        }
        Ok(outcome)
    }

    /// The repository that stands for what clients call hexpm.
    fn base(&self, key: Option<&str>) -> Result<Repository, Failure> {
        let key = key.map_or_else(|| self.settings().default_repository.to_string(), str::to_owned);
        self.repository(&key)
    }

    /// Refuses a repository that is read through virtual ones alone: what those hold, nothing holds back there.
    fn is_taken_from(&self, repository: &Repository) -> Result<(), Failure> {
        if repository.identity().direct {
            return Ok(());
        }
        Err(Failure(format!("{}: name one of these", self.only_through(repository.key()))))
    }

    /// Says of a repository that is not `direct` through which virtual ones it is read.
    pub(super) fn only_through(&self, key: &RepoName) -> String {
        let above = self.repositories().into_iter().filter_map(|one| {
            let composed = one.as_virtual().filter(|composed| one.identity().direct && composed.has_below(key))?;
            Some(format!("`{}`", composed.key()))
        });
        match above.collect::<Vec<_>>().as_slice() {
            [] => format!("`{key}` is not read directly (`direct: false`)"),
            above => format!("`{key}` is read through {} alone", above.join(", ")),
        }
    }

    /// What lock files name, in the words of this configuration, and a sentence for each thing that cannot be asked for.
    pub(super) fn all_wanted(
        &self,
        repository: Option<&str>,
        releases: &LockedReleases,
    ) -> Result<(Vec<Wanted>, Vec<String>), Failure> {
        let base = self.base(repository)?;
        self.is_taken_from(&base)?;
        let (mut wanted, mut failed) = (Vec::new(), Vec::new());
        for locked in releases {
            match self.wanted(&locked, &base, repository.is_some()) {
                Ok(one) => wanted.push(one),
                Err(failure) => failed.push(format!("{} {}: {failure}", locked.package, locked.version)),
            }
        }
        Ok((wanted, failed))
    }

    /// What a lock file names, in the words of this configuration. With `explicit` the base was named by whoever asks,
    /// and stands for whatever name the client has given it.
    fn wanted(&self, locked: &Locked<'_>, base: &Repository, explicit: bool) -> Result<Wanted, Failure> {
        let word = locked.repository.unwrap_or(HEXPM);
        let repository = match word.split_once(':') {
            Some((_, organization)) => self.repository(organization)?,
            None if word == HEXPM || word == base.name().as_str() || word == base.key().as_str() => base.clone(),
            None => match (self.repository(word), explicit) {
                (Ok(found), _) => found,
                (Err(_), true) => base.clone(),
                (Err(_), false) => {
                    return Err(Failure(format!(
                        "there is no repository `{word}`; --repo says which one stands for it"
                    )));
                }
            },
        };
        self.is_taken_from(&repository)?;
        let failed = |error: &dyn std::error::Error| Failure::of(error);
        let digest = |text: Option<&str>| text.map(Sha256::from_hex).transpose();
        Ok(Wanted {
            repository,
            name: ArtifactName {
                package: locked.package.parse().map_err(|error| failed(&error))?,
                version: locked.version.parse().map_err(|error| failed(&error))?,
            },
            inner: digest(locked.inner).map_err(|error| failed(&error))?,
            outer: digest(locked.outer).map_err(|error| failed(&error))?,
        })
    }
}

fn scrubbed(found: &Findings, database: Vec<String>) -> Outcome {
    let mut outcome = Outcome::line(format!(
        "{} resources and {} files are sound; {} damaged, {} out of place, {} removed",
        found.resources, found.blobs, found.damaged, found.strangers, found.removed
    ));
    if found.unknown > 0 {
        let unknown = found.unknown;
        outcome.lines.push(format!("{unknown} resources belong to repositories that are not configured: left alone"));
    }
    let database_is_sound = database.is_empty();
    outcome.lines.extend(database.into_iter().map(|line| format!("database: {line}")));
    if found.lost > 0 {
        outcome.remarks.push(format!(
            "hexkeep: {} files of local repositories are missing or damaged, and there is no other copy: restore \
             local/blobs in the storage path from a backup",
            found.lost
        ));
    }
    if found.needs_repair() {
        outcome.remarks.push(
            "hexkeep: the store is damaged; --repair removes what is, and it is fetched again when it is wanted".into(),
        );
    }
    if !database_is_sound {
        outcome.remarks.push("hexkeep: the database is damaged; restore state.sqlite from a backup".into());
    }
    outcome.failed = !outcome.remarks.is_empty();
    outcome
}

impl From<&Prefetch> for Extent {
    fn from(asked: &Prefetch) -> Self {
        Self { docs: asked.docs, latest: asked.latest, closure: asked.closure }
    }
}
