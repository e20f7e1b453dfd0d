//! The cache for tarballs or installers: finds files by digest in memory and on disk, else streams them while they are stored.

mod background_fetch;
mod inner_checksums;
pub use background_fetch::ArtifactPlace;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::SharedCaches;
use super::error::CacheError;
use super::fill::{self, DigestRecheck, ExpectedFile, FillContext, FillState, FilledFile};
use super::freshness::UpstreamMode;
use super::reader::{Artifact, FillReader};
use super::record::{self, InnerRecord};
use super::served::Served;
use super::single_flight::{Flights, NoOutcome};
use super::status::CacheStatus;
use super::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::store::blobs::BlobLookup;
use crate::store::spool::ContentReader;
use crate::store::{Store, StoredFile};
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::upstream::Upstream;

/// The settings of an artifact cache.
#[derive(Debug)]
pub struct ArtifactOptions {
    /// The repository's key, for logs and metrics.
    pub key: String,
    /// How the upstream is treated.
    pub network: UpstreamMode,
    /// How long a failed verification is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take until its answer begins.
    pub deadline: Duration,
}

/// The cached tarballs of one repository.
#[derive(Debug)]
pub struct ArtifactCache {
    options: ArtifactOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    loads: Flights<Sha256, Result<Option<ArtifactLookup>, CacheError>>,
    fills: Arc<Mutex<HashMap<Sha256, watch::Receiver<FillState>>>>,
    refused: moka::sync::Cache<Sha256, (Timestamp, CacheError)>,
}

/// A request for an artifact: its path below the upstream's base URL, and the checksum from its verified index.
pub struct ArtifactRequest {
    /// `tarballs/jason-1.4.4.tar`
    pub path: String,
    /// The outer checksum, or the inner one if the index has no other.
    pub expected: ExpectedFile,
    /// Called if the digest does not match.
    pub recheck: DigestRecheck,
}

impl fmt::Debug for ArtifactRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactRequest").field("path", &self.path).finish_non_exhaustive()
    }
}

/// An artifact with the SHA-256 of the whole file. During a fetch it is the expected digest: the last bytes wait for it.
#[derive(Debug)]
pub struct VerifiedArtifact {
    /// The bytes.
    pub artifact: Artifact,
    /// Their digest.
    pub digest: Sha256,
}

#[derive(Clone, Debug)]
pub(super) enum ArtifactLookup {
    Memory(Bytes),
    Stored(StoredFile),
}

impl From<ArtifactLookup> for Artifact {
    fn from(found: ArtifactLookup) -> Self {
        match found {
            ArtifactLookup::Memory(bytes) => Self::Memory(bytes),
            ArtifactLookup::Stored(stored) => Self::Stored(stored),
        }
    }
}

impl ArtifactCache {
    /// A cache with no fetches running.
    pub fn new(options: ArtifactOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        let loads = Flights::new(shared.tasks.clone());
        let refused = moka::sync::Cache::new(20_000);
        Self { options, shared, upstream, loads, fills: Arc::default(), refused }
    }

    /// The SHA-256 of the whole file, under which a tarball is stored; `None` if it is not known yet.
    pub async fn outer_digest(&self, expected: &ExpectedFile) -> Result<Option<Sha256>, CacheError> {
        if let Some(digest) = expected.outer() {
            return Ok(Some(digest));
        }
        match expected.record_key() {
            Some(key) => self.shared.blocking(move |store| outer_of(store, &key)).await,
            None => Ok(None),
        }
    }

    /// The length of a stored tarball, without opening it.
    pub async fn stored_length(&self, digest: Sha256) -> Result<Option<u64>, CacheError> {
        if let Some(blob) = self.shared.memory.blob(&digest) {
            return Ok(Some(blob.bytes.len() as u64));
        }
        self.shared.blocking(move |store| store.blobs.length(&digest)).await
    }

    /// Returns the artifact when its bytes can be streamed, before `deadline`. Cancel safe: a fetch continues alone.
    pub async fn get(
        &self,
        wanted: ArtifactRequest,
        deadline: Instant,
    ) -> Result<Served<VerifiedArtifact>, CacheError> {
        if let Some(digest) = self.outer_digest(&wanted.expected).await?
            && let Some(found) = self.find(digest, deadline).await?
        {
            self.check_inner(&wanted.expected, &found).await?;
            return Ok(Served::at_once(VerifiedArtifact { artifact: found.into(), digest }, CacheStatus::Hit));
        }
        if self.options.network == UpstreamMode::Offline {
            return Err(CacheError::Offline);
        }
        let now = self.shared.clock.now();
        let key = flight_key(&wanted.expected);
        if let Some((at, error)) = self.refused.get(&key)
            && now.is_within(self.options.missing_ttl, at)
        {
            return Err(error);
        }
        let began = Instant::now();
        let expected = wanted.expected.clone();
        let (state, led) = self.join(key, wanted);
        let (value, status) = begin(state, &expected, led, deadline).await?;
        Ok(Served { value, status, upstream: Some(began.elapsed()) })
    }

    /// Looks for an artifact in memory and on disk.
    async fn find(&self, digest: Sha256, deadline: Instant) -> Result<Option<ArtifactLookup>, CacheError> {
        if let Some(blob) = self.shared.memory.blob(&digest) {
            if blob.needs_touch(self.shared.clock.now()) {
                self.shared.store.blobs.touch(&digest);
            }
            return Ok(Some(ArtifactLookup::Memory(blob.bytes.clone())));
        }
        self.load(digest).wait(deadline).await?
    }

    /// Opens and verifies a stored artifact; concurrent callers share one read.
    fn load(&self, digest: Sha256) -> super::single_flight::Ticket<Result<Option<ArtifactLookup>, CacheError>> {
        let (shared, key) = (self.shared.clone(), Word::from(self.options.key.as_str()));
        self.loads.join(digest, || async move {
            let inner = shared.clone();
            shared.blocking(move |store| open(&inner, store, &digest, key)).await?
        })
    }

    /// Joins the running fetch of an artifact, or starts one.
    fn join(&self, key: Sha256, wanted: ArtifactRequest) -> (watch::Receiver<FillState>, bool) {
        let mut fills = self.fills.lock();
        if let Some(state) = fills.get(&key) {
            return (state.clone(), false);
        }
        let (sender, receiver) = watch::channel(FillState::Starting);
        fills.insert(key, receiver.clone());
        drop(fills);
        let under_way = UnderWay { key, fills: Arc::clone(&self.fills) };
        let filling = FillContext {
            path: wanted.path,
            validators: Validators::default(),
            expected: wanted.expected,
            known: false,
            max_body: limits::DOWNLOAD,
            deadline: self.options.deadline,
            recheck: wanted.recheck,
            upstream: Arc::clone(&self.upstream),
            shared: self.shared.clone(),
        };
        let report = FillReport {
            shared: self.shared.clone(),
            repository: Word::from(self.options.key.as_str()),
            path: filling.path.clone(),
            refused: self.refused.clone(),
        };
        let shared = self.shared.clone();
        self.shared.tasks.spawn(async move {
            // The last fetch may have stored the file after this caller looked for it: then no new fetch is needed.
            if let Some(filled) = stored_meanwhile(&shared, &filling.expected).await {
                drop(under_way);
                sender.send_replace(FillState::Done(filled));
                return;
            }
            let outcome = fill::run(filling, sender).await;
            report.outcome(key, outcome.map(|filled| filled.map(|(filled, _)| filled)));
            drop(under_way);
        });
        (receiver, true)
    }

    /// Removes a tarball from the cache; returns whether it was stored. Blocks.
    pub fn purge(&self, expected: &ExpectedFile) -> Result<bool, CacheError> {
        let store = &self.shared.store;
        self.refused.invalidate(&flight_key(expected));
        let outer = expected.outer().or_else(|| expected.record_key().and_then(|key| outer_of(store, &key)));
        let Some(digest) = outer else { return Ok(false) };
        self.shared.memory.remove_blob(&digest);
        store.blobs.remove(&digest).map_err(CacheError::internal)
    }
}

/// Waits until a fetch can be streamed; small files, and those of unknown length or checksum (ETag), until they are complete.
async fn begin(
    mut state: watch::Receiver<FillState>,
    expected: &ExpectedFile,
    led: bool,
    deadline: Instant,
) -> Result<(VerifiedArtifact, CacheStatus), CacheError> {
    let known = expected.outer();
    let ready = |state: &FillState| match state {
        FillState::Starting => false,
        FillState::Writing { length, .. } => known.is_some() && length.is_some_and(|length| length > limits::HELD_BACK),
        FillState::Done(_) | FillState::Failed(_) => true,
    };
    let began = tokio::time::timeout_at(deadline, state.wait_for(ready)).await;
    let current = began.map_err(|_| NoOutcome::Deadline)?.map_err(|_| NoOutcome::Abandoned)?.clone();
    let fetched = if led { CacheStatus::Miss } else { CacheStatus::Coalesced };
    match (current, known) {
        (FillState::Writing { length: Some(length), bypass, .. }, Some(digest)) => {
            let artifact = Artifact::Filling(FillReader::new(state, length));
            Ok((VerifiedArtifact { artifact, digest }, bypass.map_or(fetched, CacheStatus::Bypass)))
        }
        (FillState::Done(filled), _) => {
            let status = filled.bypass.map_or(fetched, CacheStatus::Bypass);
            Ok((VerifiedArtifact { artifact: Artifact::Stored(filled.stored()), digest: filled.digest }, status))
        }
        (FillState::Failed(error), _) => Err(error),
        (FillState::Starting | FillState::Writing { .. }, _) => Err(NoOutcome::Abandoned.into()),
    }
}

/// Removes a fetch from the list of running fetches when its task ends, however it ends.
struct UnderWay {
    key: Sha256,
    fills: Arc<Mutex<HashMap<Sha256, watch::Receiver<FillState>>>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.fills.lock().remove(&self.key);
    }
}

/// The key of a fetch: requests for the same checksums share one fetch.
fn flight_key(expected: &ExpectedFile) -> Sha256 {
    match expected {
        ExpectedFile::Outer(digest) | ExpectedFile::Inner(digest) => *digest,
        ExpectedFile::Both { outer, inner } => Sha256::of(&[*outer.as_bytes(), *inner.as_bytes()].concat()),
        ExpectedFile::Sha512(digest) => Sha256::of(digest.as_bytes()),
        ExpectedFile::Anything => Sha256::of(b""),
    }
}

fn outer_of(store: &Store, inner: &str) -> Option<Sha256> {
    let record: InnerRecord = record::get(&*store.index, inner)?;
    Sha256::from_hex(&record.outer).ok()
}

/// The artifact, if it was stored after the caller looked for it.
async fn stored_meanwhile(shared: &SharedCaches, expected: &ExpectedFile) -> Option<FilledFile> {
    let expected = expected.clone();
    let found = shared.blocking(move |store| {
        let digest = match expected.outer() {
            Some(digest) => digest,
            None => outer_of(store, &expected.record_key()?)?,
        };
        match store.blobs.open(&digest) {
            Ok(BlobLookup::Found(stored)) => {
                inner_checksums::verify_inner_checksum(store, &expected, || ContentReader::of(&stored)).ok()?;
                let StoredFile { content, length } = stored;
                Some(FilledFile { content, length, digest, bypass: None })
            }
            Ok(BlobLookup::Absent | BlobLookup::Damaged) | Err(_) => None,
        }
    });
    found.await.ok().flatten()
}

/// Opens a stored artifact. A small one is read completely, verified and kept in memory.
pub(super) fn open(
    shared: &SharedCaches,
    store: &Store,
    digest: &Sha256,
    repository: Word,
) -> Result<Option<ArtifactLookup>, CacheError> {
    let stored = match store.blobs.open(digest) {
        Ok(BlobLookup::Found(stored)) => stored,
        Ok(BlobLookup::Absent) => return Ok(None),
        Ok(BlobLookup::Damaged) => {
            shared.metrics.damaged.get_or_create(&ReasonLabels { repository, reason: "blob" }).inc();
            return Ok(None);
        }
        Err(error) => {
            // An unreadable file counts as missing: the upstream may still have it.
            tracing::error!(error = &error as &dyn std::error::Error, "a cached file cannot be read");
            return Ok(None);
        }
    };
    if stored.length > shared.memory.artifact_limit() {
        return Ok(Some(ArtifactLookup::Stored(stored)));
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(stored.length).unwrap_or_default());
    while (bytes.len() as u64) < stored.length {
        let offset = bytes.len() as u64;
        match stored.content.read(offset, stored.length - offset) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => {
                tracing::error!(%error, %digest, "a cached file cannot be read");
                return Ok(None);
            }
        }
    }
    let blob = shared.memory.put_blob(digest, bytes.freeze(), shared.clock.now());
    Ok(Some(ArtifactLookup::Memory(blob.bytes.clone())))
}

/// Counts and logs the outcome of a fetch.
struct FillReport {
    shared: SharedCaches,
    repository: Word,
    path: String,
    refused: moka::sync::Cache<Sha256, (Timestamp, CacheError)>,
}

impl FillReport {
    fn outcome(&self, key: Sha256, outcome: Result<Option<FilledFile>, CacheError>) {
        let labels = |reason| ReasonLabels { repository: self.repository.clone(), reason };
        let metrics = &self.shared.metrics;
        match outcome {
            Ok(Some(filled)) => {
                metrics.upstream_requests.get_or_create(&labels("body")).inc();
                let total = crate::telemetry::metrics::RepositoryLabels { repository: self.repository.clone() };
                metrics.upstream_bytes.get_or_create(&total).inc_by(filled.length);
                if let Some(bypass) = filled.bypass {
                    metrics.bypassed.get_or_create(&labels(bypass.word())).inc();
                }
            }
            Ok(None) => {}
            Err(error) => self.failure(key, error, labels),
        }
    }

    fn failure(&self, key: Sha256, error: CacheError, labels: impl Fn(&'static str) -> ReasonLabels) {
        let metrics = &self.shared.metrics;
        let repository = &*self.repository.0;
        let chain = &error as &dyn std::error::Error;
        match &error {
            CacheError::Untrusted(untrusted) => {
                metrics.untrusted.get_or_create(&labels(untrusted.reason())).inc();
                tracing::error!(
                    repository,
                    path = self.path,
                    reason = untrusted.reason(),
                    error = chain,
                    "a file does not match its index or list: it is neither stored nor served"
                );
                self.refused.insert(key, (self.shared.clock.now(), error.clone()));
            }
            CacheError::Missing | CacheError::MissingListed => {
                metrics.upstream_requests.get_or_create(&labels("missing")).inc();
                tracing::warn!(repository, path = self.path, "the upstream lists a file but does not have it");
            }
            CacheError::Upstream(upstream) => {
                metrics.upstream_requests.get_or_create(&labels(upstream.reason())).inc();
                tracing::warn!(repository, path = self.path, error = chain, "a file could not be fetched");
            }
            CacheError::Replaced => {}
            _ => {
                tracing::error!(repository, path = self.path, error = chain, "a file could not be fetched");
            }
        }
    }
}
