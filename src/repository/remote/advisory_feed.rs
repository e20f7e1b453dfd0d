//! Advisories that a remote repository adds to its index: from a dump in the configuration, or from one that is
//! downloaded regularly. If a download fails, the last good copy stays in use.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::RemoteRepository;
use crate::cache::downloaded_file::DumpFile;
use crate::cache::validators::Validators;
use crate::cache::{CacheError, SharedCaches};
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::policy::osv::{AdvisoryDump, DumpError};
use crate::repository::changes::Event;
use crate::repository::enforcer::Enforcers;
use crate::telemetry::metrics::{ReasonLabels, RepositoryLabels};

/// Time between two downloads.
const EVERY: Duration = Duration::from_secs(3600);

/// Time until the next attempt after a failure.
const AGAIN: Duration = Duration::from_secs(300);

/// Maximum time for a download.
const PATIENCE: Duration = Duration::from_secs(120);

/// The advisories of a repository.
#[derive(Debug)]
pub struct AdvisoryFeed {
    key: RepoName,
    shared: SharedCaches,
    together: Arc<Enforcers>,
    /// The advisories without withdrawn ones, as of the last check.
    current: ArcSwapOption<AdvisoryDump>,
    /// Where they are downloaded from; `None`: they come from the configuration.
    from: Option<FeedSource>,
}

#[derive(Debug)]
struct FeedSource {
    file: Arc<DumpFile>,
    known: Mutex<Validators>,
    /// When to check again.
    due: Mutex<Timestamp>,
}

/// Why a downloaded dump is not used.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error("it could not be fetched")]
    Fetch(#[from] CacheError),
    #[error("it is not a dump of advisories in OSV format")]
    Bad(#[from] DumpError),
    #[error("it has no advisory for a Hex package; is it the dump of the Hex ecosystem?")]
    Empty,
}

impl AdvisoryFeed {
    /// A dump in the configuration. `together` is notified when some of it is withdrawn. Blocks.
    pub fn fixed(key: RepoName, dump: Arc<AdvisoryDump>, shared: SharedCaches, together: Arc<Enforcers>) -> Self {
        let now = shared.clock.now();
        let dump =
            if dump.has_withdrawn(now) { Arc::new(AdvisoryDump::clone(&dump).without_withdrawn(now)) } else { dump };
        Self { key, shared, together, current: ArcSwapOption::from(Some(dump)), from: None }
    }

    /// A dump that is downloaded; its stored copy is used at once. `together` is notified when it has changed. Blocks.
    pub fn fetched(key: RepoName, file: DumpFile, shared: SharedCaches, together: Arc<Enforcers>) -> Self {
        let now = shared.clock.now();
        let stored = file
            .stored()
            .and_then(|copy| Some((AdvisoryDump::read(&copy.bytes).ok()?.without_withdrawn(now), copy.validators)));
        let (dump, known) = stored.map(|(dump, known)| (Arc::new(dump), known)).unzip();
        let (known, due) = (Mutex::new(known.unwrap_or_default()), Mutex::default());
        let from = Some(FeedSource { file: Arc::new(file), known, due });
        let feed = Self { key, shared, together, current: ArcSwapOption::from(dump), from };
        feed.show();
        feed
    }

    /// The current advisories.
    pub fn current(&self) -> Option<Arc<AdvisoryDump>> {
        self.current.load_full()
    }

    fn show(&self) {
        if self.from.is_some() {
            let count = self.current.load().as_ref().map_or(0, |dump| dump.len());
            let labels = RepositoryLabels { repository: self.key.as_str().into() };
            self.shared.metrics.advisories.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Removes the advisories that are withdrawn by now; returns whether there were any.
    async fn withdraw(&self) -> Result<bool, CacheError> {
        let now = self.shared.clock.now();
        let Some(dump) = self.current().filter(|dump| dump.has_withdrawn(now)) else { return Ok(false) };
        let left = self.shared.blocking(move |_| AdvisoryDump::clone(&dump).without_withdrawn(now)).await?;
        self.current.store(Some(Arc::new(left)));
        self.show();
        self.together.changed(&self.key);
        tracing::info!(repository = %self.key, "advisories were withdrawn");
        Ok(true)
    }

    /// Downloads the dump if it is time to; returns whether it has changed.
    async fn refresh(&self) -> bool {
        let Some(from) = &self.from else { return false };
        if self.shared.clock.now().awaits(*from.due.lock(), EVERY) {
            return false;
        }
        let refreshed = from.refresh(&self.current, &self.shared).await;
        let (word, pause) = match &refreshed {
            Ok(true) => ("replaced", EVERY),
            Ok(false) => ("unchanged", EVERY),
            Err(RefreshError::Fetch(_)) => ("failed", AGAIN),
            Err(RefreshError::Bad(_) | RefreshError::Empty) => ("refused", AGAIN),
        };
        let labels = ReasonLabels { repository: self.key.as_str().into(), reason: word };
        self.shared.metrics.advisory_refreshes.get_or_create(&labels).inc();
        *from.due.lock() = self.shared.clock.now().plus(pause);
        self.show();
        match refreshed {
            Ok(is_new) => {
                if is_new {
                    self.together.changed(&self.key);
                    let advisories = self.current.load().as_ref().map_or(0, |dump| dump.len());
                    tracing::info!(repository = %self.key, advisories, "the advisories have changed");
                }
                is_new
            }
            Err(error) => {
                let kept = if self.current.load().is_some() {
                    "the last good one stays in use"
                } else {
                    "there is no older one"
                };
                let error = &error as &dyn std::error::Error;
                tracing::error!(repository = %self.key, error, "the dump of advisories could not be updated: {kept}");
                false
            }
        }
    }
}

impl FeedSource {
    async fn refresh(
        &self,
        current: &ArcSwapOption<AdvisoryDump>,
        shared: &SharedCaches,
    ) -> Result<bool, RefreshError> {
        // Without a dump here, the whole file is requested.
        let known = if current.load().is_some() { self.known.lock().clone() } else { Validators::default() };
        let Some(copy) = self.file.fetch(&known, Instant::now() + PATIENCE).await? else { return Ok(false) };
        let bytes: Bytes = copy.bytes.clone();
        let now = shared.clock.now();
        let dump =
            shared.blocking(move |_| AdvisoryDump::read(&bytes).map(|dump| dump.without_withdrawn(now))).await??;
        if dump.is_empty() {
            return Err(RefreshError::Empty);
        }
        let is_new = current.load().as_ref().is_none_or(|before| **before != dump);
        *self.known.lock() = copy.validators.clone();
        let file = Arc::clone(&self.file);
        shared.blocking(move |_| file.keep(&copy)).await?;
        current.store(Some(Arc::new(dump)));
        Ok(is_new)
    }
}

impl RemoteRepository {
    /// The advisories that are added to its index now.
    pub(super) fn advisories(&self) -> Option<Arc<AdvisoryDump>> {
        self.options.advisories.as_ref()?.current()
    }

    /// Updates its advisories: removes withdrawn ones, and downloads the dump if it is time to. An offline repository
    /// does not download it.
    pub async fn refresh_advisories(&self) {
        let Some(feed) = &self.options.advisories else { return };
        let withdrawn = feed.withdraw().await.unwrap_or_else(|error| {
            tracing::error!(repository = %self.key(), %error, "withdrawn advisories could not be removed, so they still apply");
            false
        });
        let refreshed =
            self.options.rules.network != crate::cache::freshness::UpstreamMode::Offline && feed.refresh().await;
        if withdrawn || refreshed {
            // Lists with advisories are rebuilt before clients request them.
            let (repository, resource) = (self.key().clone(), RegistryResource::Versions);
            self.changes.announce(Event::ResourceReplaced { repository, resource });
        }
    }

    /// The stored copy of its advisories, and whether it is undamaged. Blocks.
    pub(super) fn scrub_advisories(&self, repair: bool) -> Result<Option<(String, bool)>, CacheError> {
        let file = self.options.advisories.as_ref().and_then(|feed| feed.from.as_ref()).map(|from| &from.file);
        file.map_or(Ok(None), |file| file.scrub(repair))
    }
}
