//! Verifies all files of the store again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::OperationError;
use super::operator::Operator;
use super::orphans::OWED;
use super::outcome::{Text, count};
use crate::shutdown;
use crate::tasks::report::Reporter;
use crate::tasks::verify_store::{self, Findings, ItemReporter, ScrubError};

/// The result of a verification of the store and the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Findings in the store.
    pub findings: Findings,
    /// Local repositories with files that the database does not know, or that cannot be read.
    pub unindexed: Vec<String>,
    /// Number of packages of local repositories whose sidecars could not be written.
    pub owed: usize,
    /// Errors that the integrity check of the database reports.
    pub database: Vec<String>,
}

impl Scrubbed {
    pub(super) fn text(&self) -> Text {
        let Self { findings, unindexed, owed, database } = self;
        let Findings { resources, blobs, damaged, strangers, removed, unknown, lost, unused, kept } = findings;
        let mut text = Text::line(format!(
            "{resources} registry resources and {blobs} files are valid; {damaged} damaged, {strangers} unexpected, {removed} removed"
        ));
        if *unknown > 0 {
            text.lines.push(format!(
                "{unknown} registry resources belong to repositories that are not configured, and were not changed"
            ));
        }
        text.lines.extend(database.iter().map(|line| format!("database: {line}")));
        if *lost > 0 {
            text.remarks.push(format!(
                "hexkeep: {lost} files of local repositories are missing or damaged, and cannot be downloaded again: restore \
                 local/blobs in the storage path from a backup"
            ));
        }
        if !unindexed.is_empty() {
            let repositories = unindexed.join(", ");
            text.remarks.push(format!(
                "hexkeep: files of {repositories} contain releases that are missing in the database, or cannot be read: run \
                 `hexkeep reindex` for each of these repositories first; {kept} files of local repositories that the \
                 database does not list were kept, because there is no other copy"
            ));
        }
        if *owed > 0 {
            text.remarks.push(format!(
                "hexkeep: the latest change of {} is only in the database, because {OWED}",
                count(*owed, "package", "packages")
            ));
        }
        if *unused > 0 {
            text.remarks.push(format!(
                "hexkeep: nothing refers to {unused} files of local repositories; run the command with --repair to remove \
                 them"
            ));
        }
        if findings.needs_repair() {
            text.remarks.push(
                "hexkeep: the store is damaged; run the command with --repair to remove damaged files, so that they are downloaded again"
                    .to_owned(),
            );
        }
        if !database.is_empty() {
            text.remarks.push("hexkeep: the database is damaged; restore state.sqlite from a backup".to_owned());
        }
        text.failed = !text.remarks.is_empty();
        text
    }
}

impl Operator {
    pub(super) async fn scrub(&self, repair: bool, report: Reporter) -> Result<Scrubbed, OperationError> {
        // Use one configuration for the whole job, even if it is reloaded meanwhile.
        let setup = self.setup();
        let all = || setup.repositories.iter().map(|one| &one.repository);
        let remotes: Vec<_> = all().filter_map(|repository| repository.as_remote().map(Arc::clone)).collect();
        let virtuals: Vec<_> = all().filter_map(|repository| repository.as_virtual().cloned()).collect();
        let (store, installs) = (Arc::clone(&self.shared.store), Arc::clone(&setup.installs));
        let owed = self.write_owed_sidecars().await?;
        let mut own = Vec::new();
        for local in all().filter_map(|repository| repository.as_local()) {
            own.extend(local.files().await?);
        }
        let referred = self.referred_files().await?;
        let unindexed = referred.in_sidecars.unindexed.iter().cloned().collect();
        let local = verify_store::LocalRepositories { own, referred, now: self.shared.clock.now() };
        let own = local.own.len() as u64;
        let cached = shutdown::blocking(move || {
            let mut telling = ItemReporter::begin(report, verify_store::count(&store)? + own);
            let mut seen = |seen| telling.say_blocking(seen);
            let findings = verify_store::run(&store, &remotes, &virtuals, &installs, repair, &mut seen)?;
            Ok::<_, ScrubError>((findings, telling))
        });
        let (mut findings, mut telling) = cached.await??;
        let orphans = verify_store::run_local(&*self.shared.store.local, &local, &mut findings, &mut telling).await?;
        if repair && !orphans.is_empty() {
            let removed = self.remove_orphans(orphans).await?;
            findings.strangers += removed;
            findings.removed += removed;
        } else {
            findings.strangers += orphans.len() as u64;
            findings.unused += orphans.len() as u64;
        }
        Ok(Scrubbed { findings, unindexed, owed, database: self.state.check().await? })
    }
}
