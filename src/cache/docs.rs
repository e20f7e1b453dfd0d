//! Cache for documentation tarballs. They have no checksum, and the upstream may replace them at any time.
//!
//! Docs are fetched completely before the first byte is sent, stored by their digest like other files, and revalidated
//! after `docs_ttl`. The caller knows from its verified index whether the release exists.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::SharedCaches;
use super::artifacts::{ArtifactLookup, VerifiedArtifact, open};
use super::error::CacheError;
use super::fill::{self, ExpectedFile, FillContext, FillState};
use super::freshness::{FreshnessRules, UpstreamMode};
use super::read_through::{CacheSource, FetchedEntry, ReadThrough};
use super::record::{self, DocsRecord};
use super::served::Served;
use super::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::resource::ArtifactName;
use crate::store::index::Tree;
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::upstream::{AnswerBegun, Upstream};

/// The settings of a docs cache.
#[derive(Debug)]
pub struct DocsOptions {
    /// The repository's key.
    pub key: String,
    /// The upstream's base URL: validators are sent only to the upstream that they came from.
    pub origin: String,
    /// Freshness; its `ttl` is the repository's `docs_ttl`.
    pub rules: FreshnessRules,
    /// How long missing docs are remembered as missing.
    pub missing_ttl: Duration,
    /// How long a complete fetch may take.
    pub deadline: Duration,
}

/// The cached docs of one repository.
#[derive(Debug)]
pub struct DocsCache {
    options: DocsOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    through: ReadThrough<Self>,
}

/// Docs that are stored.
#[derive(Clone, Debug)]
pub(super) struct StoredDocs {
    record: DocsRecord,
    found: ArtifactLookup,
    digest: Sha256,
}

impl CacheSource for DocsCache {
    type Key = ArtifactName;
    type Entry = StoredDocs;

    fn confirmed_at(entry: &StoredDocs) -> Timestamp {
        entry.record.confirmed_at
    }

    async fn load(self: &Arc<Self>, name: &ArtifactName, _: Instant) -> Result<Option<StoredDocs>, CacheError> {
        self.stored(name).await
    }

    async fn current(self: &Arc<Self>, name: &ArtifactName) -> Result<Option<StoredDocs>, CacheError> {
        self.stored(name).await
    }

    async fn fetch(
        self: Arc<Self>,
        name: ArtifactName,
        known: Option<StoredDocs>,
        _past_caches: bool,
        _heard: AnswerBegun,
    ) -> Result<FetchedEntry<StoredDocs>, CacheError> {
        let outcome = self.attempt(&name, known).await;
        self.report(&name, outcome.as_ref().err());
        outcome
    }
}

impl DocsCache {
    /// A cache with no fetches running.
    pub fn new(options: DocsOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        let through = ReadThrough::new(options.rules, options.missing_ttl, &options.key, &shared);
        Self { options, shared, upstream, through }
    }

    fn record_key(&self, name: &ArtifactName) -> String {
        format!("{}/{name}", self.options.key)
    }

    /// Returns the complete docs of a release, before `deadline`. Cancel safe.
    pub async fn get(
        self: &Arc<Self>,
        name: &ArtifactName,
        deadline: Instant,
    ) -> Result<Served<VerifiedArtifact>, CacheError> {
        let served = self.through.get(self, name, deadline).await?;
        Ok(served.map(|docs| VerifiedArtifact { artifact: docs.found.into(), digest: docs.digest }))
    }

    /// Removes the docs of a release from the cache; returns whether they were stored. Blocks.
    pub fn purge(&self, name: &ArtifactName) -> Result<bool, CacheError> {
        self.through.forget(name);
        self.drop_record(&self.record_key(name))
    }

    /// Removes all docs of a package, or of the repository, from the cache; returns how many were stored. Blocks.
    pub fn purge_all(&self, package: Option<&str>) -> Result<usize, CacheError> {
        self.through.forget_all();
        let prefix = match package {
            Some(package) => format!("{}/{package}-", self.options.key),
            None => format!("{}/", self.options.key),
        };
        let keys = self.shared.store.index.keys(Tree::Docs, &prefix).unwrap_or_default();
        let mut removed = 0;
        for key in keys {
            removed += usize::from(self.drop_record(&key)?);
        }
        Ok(removed)
    }

    /// The digest under which the docs of a release are stored; `None` if they have not been fetched. Blocks.
    pub fn stored_digest(&self, name: &ArtifactName) -> Option<Sha256> {
        let record: DocsRecord = record::get(&*self.shared.store.index, &self.record_key(name))?;
        Sha256::from_hex(&record.digest).ok()
    }

    /// Records that the docs of a release are the blob `digest`, which did not come from the upstream (but from a
    /// bundle). If the repository is not offline and has docs from the upstream, those stay. Blocks.
    pub fn import(&self, name: &ArtifactName, digest: &Sha256) -> Result<(), CacheError> {
        let key = self.record_key(name);
        let store = &self.shared.store;
        let held: Option<DocsRecord> = record::get(&*store.index, &key);
        let there =
            held.and_then(|held| Sha256::from_hex(&held.digest).ok()).filter(|held| store.blobs.length(held).is_some());
        if there == Some(*digest) || (there.is_some() && self.options.rules.network != UpstreamMode::Offline) {
            return Ok(());
        }
        let rules = &self.options.rules;
        let age = rules.ttl.saturating_add(rules.stale_while_revalidate).as_millis();
        let age = u64::try_from(age).unwrap_or(u64::MAX);
        let record = DocsRecord {
            digest: digest.to_string(),
            confirmed_at: Timestamp::from_millis(self.shared.clock.now().as_millis().saturating_sub(age)),
            origin: self.options.origin.clone(),
            etag: None,
            last_modified: None,
        };
        let written = record::put(&*store.index, &key, &record).and_then(|()| store.index.flush());
        self.through.forget(name);
        written.map_err(CacheError::internal)
    }

    fn drop_record(&self, key: &str) -> Result<bool, CacheError> {
        let store = &self.shared.store;
        let Some(record): Option<DocsRecord> = record::get(&*store.index, key) else { return Ok(false) };
        if let Err(error) = store.index.remove(Tree::Docs, key) {
            tracing::warn!(%error, key, "a record of the cache index could not be removed");
        }
        let Ok(digest) = Sha256::from_hex(&record.digest) else { return Ok(true) };
        self.shared.memory.remove_blob(&digest);
        store.blobs.remove(&digest).map_err(CacheError::internal)?;
        Ok(true)
    }

    /// The docs in memory or on disk.
    async fn stored(&self, name: &ArtifactName) -> Result<Option<StoredDocs>, CacheError> {
        let key = self.record_key(name);
        let word = Word::from(self.options.key.as_str());
        let shared = self.shared.clone();
        self.shared
            .blocking(move |store| {
                let Some(record): Option<DocsRecord> = record::get(&*store.index, &key) else { return Ok(None) };
                let Ok(digest) = Sha256::from_hex(&record.digest) else { return Ok(None) };
                let found = match shared.memory.blob(&digest) {
                    Some(blob) => Some(ArtifactLookup::Memory(blob.bytes.clone())),
                    None => open(&shared, store, &digest, word)?,
                };
                Ok(found.map(|found| StoredDocs { record, found, digest }))
            })
            .await?
    }

    async fn attempt(
        &self,
        name: &ArtifactName,
        known: Option<StoredDocs>,
    ) -> Result<FetchedEntry<StoredDocs>, CacheError> {
        let same_origin = known.as_ref().map(|known| &known.record).filter(|it| it.origin == self.options.origin);
        let validators = same_origin.map_or_else(Validators::default, |record| Validators {
            etag: record.etag.clone(),
            last_modified: record.last_modified.clone(),
        });
        let filling = FillContext {
            path: name.docs_path(),
            validators,
            expected: ExpectedFile::Anything,
            known: known.is_some(),
            max_body: limits::DOCS as u64,
            deadline: self.options.deadline,
            recheck: Box::new(|_| Box::pin(async { false })),
            upstream: Arc::clone(&self.upstream),
            shared: self.shared.clone(),
        };
        let (sender, _receiver) = watch::channel(FillState::Starting);
        let now = self.shared.clock.now();
        match (fill::run(filling, sender).await?, known) {
            (None, None) => Err(CacheError::Missing),
            (None, Some(known)) => {
                let record = DocsRecord { confirmed_at: now, ..known.record };
                self.write(name, record).await?;
                let Some(entry) = self.stored(name).await? else { return Err(CacheError::Missing) };
                Ok(FetchedEntry { entry, unchanged: true, bypass: None })
            }
            (Some((filled, validators)), known) => {
                let digest = filled.digest;
                if known.is_some_and(|known| known.digest != digest) {
                    tracing::info!(repository = self.options.key, release = %name, %digest, "docs were replaced upstream");
                }
                let record = DocsRecord {
                    digest: digest.to_string(),
                    confirmed_at: now,
                    origin: self.options.origin.clone(),
                    etag: validators.etag,
                    last_modified: validators.last_modified,
                };
                if filled.bypass.is_none() {
                    self.write(name, record.clone()).await?;
                }
                let entry = StoredDocs { record, found: ArtifactLookup::Stored(filled.stored()), digest };
                Ok(FetchedEntry { entry, unchanged: false, bypass: filled.bypass })
            }
        }
    }

    /// Writes the record of fetched docs. Nothing else says which docs belong to a release, so it is flushed at once.
    async fn write(&self, name: &ArtifactName, record: DocsRecord) -> Result<(), CacheError> {
        let key = self.record_key(name);
        let written = self
            .shared
            .blocking(move |store| record::put(&*store.index, &key, &record).and_then(|()| store.index.flush()))
            .await?;
        if let Err(error) = written {
            tracing::warn!(%error, "the record of fetched docs could not be written: the docs will be fetched again");
        }
        Ok(())
    }

    fn report(&self, name: &ArtifactName, error: Option<&CacheError>) {
        let labels = |reason| ReasonLabels { repository: Word::from(self.options.key.as_str()), reason };
        let requests = &self.shared.metrics.upstream_requests;
        match error {
            None => {
                requests.get_or_create(&labels("docs")).inc();
            }
            Some(CacheError::Missing) => {
                requests.get_or_create(&labels("missing")).inc();
            }
            Some(error) => {
                if let CacheError::Upstream(upstream) = error {
                    requests.get_or_create(&labels(upstream.reason())).inc();
                }
                let chain = error as &dyn std::error::Error;
                tracing::warn!(repository = self.options.key, release = %name, error = chain, "docs could not be fetched");
            }
        }
    }
}
