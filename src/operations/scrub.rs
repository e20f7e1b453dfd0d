//! Everything in the store, proven again.

use std::sync::Arc;

use super::Failure;
use super::commands::Outcome;
use super::operator::Operator;
use crate::tasks::report::Reporter;
use crate::tasks::scrub::{self, Findings, ScrubError, Telling};

impl Operator {
    pub(super) async fn scrub(&self, repair: bool, report: Reporter) -> Result<Outcome, Failure> {
        let (store, repositories, installs) = (Arc::clone(&self.shared.store), self.remotes(), self.installs());
        let virtuals: Vec<_> =
            self.repositories().iter().filter_map(|repository| repository.as_virtual().cloned()).collect();
        let mut own = Vec::new();
        for repository in self.repositories() {
            if let Some(local) = repository.as_local() {
                own.extend(local.files().await.map_err(|error| Failure::of(&error))?);
            }
        }
        let named = self.state.named_files().await.map_err(|error| Failure::of(&error))?;
        let local = scrub::Local { own, named, now: self.shared.clock.now() };
        let own = local.own.len() as u64;
        let cached = tokio::task::spawn_blocking(move || {
            let mut telling = Telling::begin(report, scrub::count(&store)? + own);
            let mut seen = |seen| telling.say_blocking(seen);
            let findings = scrub::run(&store, &repositories, &virtuals, &installs, repair, &mut seen)?;
            Ok::<_, ScrubError>((findings, telling))
        });
        let cached = cached.await.map_err(|_| Failure("the scrub ended without an answer".to_owned()))?;
        let (mut findings, mut telling) = cached.map_err(|error| Failure::of(&error))?;
        let orphans = scrub::run_local(&*self.shared.store.local, &local, &mut findings, &mut telling).await;
        let orphans = orphans.map_err(|error| Failure::of(&error))?;
        findings.strangers += orphans.len() as u64;
        if repair && !orphans.is_empty() {
            findings.removed += self.remove_orphans(orphans).await?;
        }
        let database = self.state.check().await.map_err(|error| Failure::of(&error))?;
        Ok(scrubbed(&findings, database))
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
