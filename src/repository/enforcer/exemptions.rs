//! The exemptions of one view for releases in lock files, cached in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::failed;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::ArtifactName;
use crate::policy::class::Class;
use crate::policy::decision_inputs::{HeldSince, LockExemption, Pinned};
use crate::repository::RepoError;
use crate::state::exemptions::{GraceKind, Pin, View};
use crate::state::{State, StateError};

/// How many packages have their exemptions in memory.
const PACKAGES: u64 = 50_000;

/// By version: the exemption of each checksum that it had.
pub(super) type ExemptionsByVersion = HashMap<Box<str>, Vec<(String, LockExemption)>>;

#[derive(Debug)]
pub(super) struct Exemptions {
    view: RepoName,
    state: State,
    packages: moka::sync::Cache<(RepoName, PackageName), Arc<ExemptionsByVersion>>,
    /// Allows one reader or writer at a time, so that memory never gets older data than it had.
    one: tokio::sync::Mutex<()>,
}

impl Exemptions {
    pub(super) fn new(view: RepoName, state: State) -> Self {
        Self { view, state, packages: moka::sync::Cache::new(PACKAGES), one: tokio::sync::Mutex::default() }
    }

    fn scope<'a>(&'a self, source: &'a RepoName) -> View<'a> {
        View { view: self.view.as_str(), source: source.as_str() }
    }

    /// The exemptions of a package.
    pub(super) async fn of(
        &self,
        source: &RepoName,
        package: &PackageName,
    ) -> Result<Arc<ExemptionsByVersion>, RepoError> {
        let key = (source.clone(), package.clone());
        if let Some(owed) = self.packages.get(&key) {
            return Ok(owed);
        }
        let _one = self.one.lock().await;
        self.read(key).await.map_err(failed)
    }

    async fn read(&self, key: (RepoName, PackageName)) -> Result<Arc<ExemptionsByVersion>, StateError> {
        if let Some(owed) = self.packages.get(&key) {
            return Ok(owed);
        }
        let mut owed = ExemptionsByVersion::new();
        for line in self.state.exemptions(self.scope(&key.0), key.1.as_str()).await? {
            let exemption = LockExemption {
                delivered: line.delivered,
                licences_known: line.licences_known,
                pinned: line.pinned.map(|until| Pinned { until }),
                held_since: HeldSince {
                    cooldown: line.held_since.cooldown,
                    freeze: line.held_since.freeze,
                    licences: line.held_since.licences,
                    advisories: line.held_since.advisory,
                    retirement: line.held_since.retirement,
                },
            };
            owed.entry(line.version.into()).or_default().push((line.checksum, exemption));
        }
        let owed = Arc::new(owed);
        self.packages.insert(key, Arc::clone(&owed));
        Ok(owed)
    }

    /// Records that a release is delivered, unless this is recorded already.
    pub(super) async fn deliver(
        &self,
        source: &RepoName,
        release: &ArtifactName,
        checksum: &Sha256,
        licences_known: bool,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let (key, checksum) = ((source.clone(), release.package.clone()), checksum.to_string());
        let is_known = |owed: &ExemptionsByVersion| {
            let all = owed.get(release.version.as_str()).map(Vec::as_slice).unwrap_or_default();
            let is_written = |one: &LockExemption| one.delivered.is_some() && (one.licences_known || !licences_known);
            all.iter().any(|(of, exemption)| *of == checksum && is_written(exemption))
        };
        // It nearly always is; then the lock is not needed.
        if self.packages.get(&key).is_some_and(|owed| is_known(&owed)) {
            return Ok(());
        }
        let _one = self.one.lock().await;
        let owed = self.read(key.clone()).await?;
        if is_known(&owed) {
            return Ok(());
        }
        let pin = Pin {
            package: release.package.to_string(),
            version: release.version.to_string(),
            checksum: checksum.clone(),
        };
        self.state.delivered(self.scope(source), &pin, licences_known, now).await?;
        self.packages.invalidate(&key);
        self.read(key).await.map(drop)
    }

    /// Records when rules first held releases. A failed write is repeated with the next evaluation.
    pub(super) async fn begin_graces(
        &self,
        source: &RepoName,
        package: &PackageName,
        first_held: &[(Box<str>, Class)],
        now: Timestamp,
    ) {
        let graces = first_held.iter().map(|(version, class)| {
            let grace = match class {
                Class::Cooldown => GraceKind::Cooldown,
                Class::Freeze => GraceKind::Freeze,
                Class::Licence => GraceKind::Licences,
                Class::Advisory => GraceKind::Advisory,
                Class::Retirement => GraceKind::Retirement,
            };
            (version.to_string(), grace)
        });
        let graces: Vec<_> = graces.collect();
        if graces.is_empty() {
            return;
        }
        let _one = self.one.lock().await;
        let written = self.state.begin_graces(self.scope(source), package.as_str(), &graces, now).await;
        self.packages.invalidate(&(source.clone(), package.clone()));
        if let Err(error) = written {
            let error = &error as &dyn std::error::Error;
            tracing::error!(view = %self.view, %package, error, "the start of a hold could not be recorded");
        }
    }

    /// Discards what is in memory. Waits for a running read, so that data from before a change is not stored after it.
    pub(super) async fn forget(&self) {
        let _one = self.one.lock().await;
        self.packages.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        let (source, package): (RepoName, PackageName) = ("hexpm".parse().unwrap(), "jason".parse().unwrap());
        let book = Exemptions::new(source.clone(), state);
        // A read is running while a pin is written.
        let reading = book.one.lock().await;
        let mut forgetting = Box::pin(book.forget());
        assert!(forgetting.as_mut().now_or_never().is_none());
        let key = (source.clone(), package.clone());
        let old = ExemptionsByVersion::from([("1.0.0".into(), Vec::new())]);
        book.packages.insert(key.clone(), Arc::new(old));
        drop(reading);
        forgetting.await;
        assert!(book.packages.get(&key).is_none());
        assert!(book.of(&source, &package).await.unwrap().is_empty());
    }
}
