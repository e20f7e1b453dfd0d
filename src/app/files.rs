//! `verify-store`: the cache, the files of local repositories, and the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::administer::failure;
use super::core::Core;
use crate::admin::Failure;
use crate::admin::protocol::{Event, Report};
use crate::hex::checksum::Sha256;
use crate::repository::LocalRepository;
use crate::tasks::scrub::{self, Named};

/// Progress is told this often.
const PROGRESS_EVERY: u64 = 64;

impl Core {
    pub(super) async fn verify(&self, repair: bool, events: mpsc::Sender<Event>) -> Result<Report, Failure> {
        let (store, repositories) = (Arc::clone(&self.shared.store), self.remotes());
        let (named, now) = (self.named_files().await?, self.shared.clock.now());
        let (mut findings, orphans) = tokio::task::spawn_blocking(move || {
            // Nobody listening is no reason to stop.
            let _ = events.blocking_send(Event::Total(scrub::count(&store)?));
            let mut done = 0;
            let mut seen = |seen: scrub::Seen| {
                done += 1;
                if !seen.sound {
                    let _ = events.blocking_send(Event::Damaged(seen.subject));
                }
                if done % PROGRESS_EVERY == 0 {
                    let _ = events.blocking_send(Event::Done(done));
                }
            };
            let mut findings = scrub::run(&store, &repositories, repair, &mut seen)?;
            let orphans = scrub::local(&store, &named, now, &mut findings, &mut seen)?;
            Ok::<_, scrub::ScrubError>((findings, orphans))
        })
        .await
        .map_err(|_| Failure("the scrub ended without an answer".to_owned()))?
        .map_err(failure)?;
        if repair && !orphans.is_empty() {
            findings.removed += self.remove_orphans(orphans).await?;
        }
        let database = self.state().check().await.map_err(failure)?;
        Ok(Report { findings, database })
    }

    /// What the database says the files of local repositories are.
    async fn named_files(&self) -> Result<Vec<Named>, Failure> {
        let files = self.state().files().await.map_err(failure)?;
        let named = files.into_iter().map(|file| Named {
            digest: file.digest,
            subject: file.subject,
            must_exist: file.is_listed,
        });
        Ok(named.collect())
    }

    /// Removes files that nothing names, while nothing is published that could name them: it is looked once more.
    async fn remove_orphans(&self, orphans: Vec<Sha256>) -> Result<u64, Failure> {
        let all = self.repositories();
        let locals: Vec<&Arc<LocalRepository>> = all.iter().filter_map(|one| one.as_local()).collect();
        let mut held = Vec::new();
        for local in &locals {
            held.push(local.hold().await);
        }
        let named: BTreeSet<Sha256> = self.named_files().await?.into_iter().map(|file| file.digest).collect();
        let (store, now) = (Arc::clone(&self.shared.store), self.shared.clock.now());
        tokio::task::spawn_blocking(move || {
            let mut removed = 0;
            for digest in orphans.iter().filter(|digest| !named.contains(digest)) {
                if scrub::is_orphan(&store, digest, now) && store.local.remove(digest).map_err(failure)? {
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
        .map_err(|_| Failure("the scrub ended without an answer".to_owned()))?
    }
}
