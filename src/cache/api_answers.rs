//! Cache for the answers of an upstream's HTTP API, such as package metadata and search results. The answers are
//! unsigned JSON; while the API fails, stale ones are served.
//!
//! Concurrent callers of the same query share one request, which is sent without credentials. Answers to a path without
//! parameters are also stored on disk. Answers to searches, of which there is no limited number, are kept in memory
//! only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::SharedCaches;
use super::error::{CacheError, Untrusted};
use super::freshness::FreshnessRules;
use super::read_through::{CacheSource, FetchedEntry, ReadThrough};
use super::served::Served;
use super::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::store::Store;
use crate::store::slots::{Area, Slot};
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::upstream::{AnswerBegun, Fetched as Answer, Upstream, UpstreamRequest};

/// Size of the answers in memory, in bytes of their JSON.
const MEMORY: u64 = 16 * 1024 * 1024;

/// The settings of an answer cache.
#[derive(Debug)]
pub struct AnswerOptions {
    /// The repository's key.
    pub key: String,
    /// The API's base URL: answers and validators are used only with the API that they came from.
    pub origin: String,
    /// Freshness.
    pub rules: FreshnessRules,
    /// How long a missing or unusable answer is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take.
    pub deadline: Duration,
}

/// A query to an API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiQuery {
    /// Path below the API's base URL: `packages/jason`.
    pub path: String,
    /// The encoded parameters, sorted by name; empty if there are none.
    pub query: String,
}

/// The cached answers of one API.
#[derive(Debug)]
pub struct AnswerCache {
    options: AnswerOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    held: moka::sync::Cache<ApiQuery, CachedAnswer>,
    through: ReadThrough<Self>,
}

/// An answer, and when it was confirmed.
#[derive(Clone, Debug)]
pub(super) struct CachedAnswer {
    value: Arc<Value>,
    length: usize,
    confirmed_at: Timestamp,
    validators: Validators,
}

/// The file format of a stored answer.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredAnswer<'a> {
    path: std::borrow::Cow<'a, str>,
    query: std::borrow::Cow<'a, str>,
    origin: std::borrow::Cow<'a, str>,
    confirmed_at: Timestamp,
    etag: Option<String>,
    last_modified: Option<String>,
    value: std::borrow::Cow<'a, Value>,
}

const MAGIC: &[u8] = b"hexkeep-answer 1 ";

impl CacheSource for AnswerCache {
    type Key = ApiQuery;
    type Entry = CachedAnswer;

    fn confirmed_at(entry: &CachedAnswer) -> Timestamp {
        entry.confirmed_at
    }

    fn in_memory(&self, question: &ApiQuery) -> Option<CachedAnswer> {
        self.held.get(question)
    }

    async fn load(self: &Arc<Self>, question: &ApiQuery, _: Instant) -> Result<Option<CachedAnswer>, CacheError> {
        if !is_kept(question) {
            return Ok(None);
        }
        let (cache, wanted) = (Arc::clone(self), question.clone());
        let read = self.shared.blocking(move |store| cache.read(store, &wanted)).await??;
        Ok(read.map(|read| self.held.get_with(question.clone(), || read)))
    }

    async fn fetch(
        self: Arc<Self>,
        question: ApiQuery,
        known: Option<CachedAnswer>,
        _past_caches: bool,
        _heard: AnswerBegun,
    ) -> Result<FetchedEntry<CachedAnswer>, CacheError> {
        let outcome = self.attempt(&question, known).await;
        self.report(&question, outcome.as_ref().err());
        outcome
    }
}

impl AnswerCache {
    /// An empty cache.
    pub fn new(options: AnswerOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        let weight = |question: &ApiQuery, held: &CachedAnswer| {
            u32::try_from(held.length + question.query.len() + 512).unwrap_or(u32::MAX)
        };
        let through = ReadThrough::new(options.rules, options.missing_ttl, &options.key, &shared);
        Self {
            options,
            shared,
            upstream,
            held: moka::sync::Cache::builder().weigher(weight).max_capacity(MEMORY).build(),
            through,
        }
    }

    /// Returns the answer by the rules of freshness, before `deadline`. Cancel safe: fetches continue without their
    /// caller.
    pub async fn get(
        self: &Arc<Self>,
        question: &ApiQuery,
        deadline: Instant,
    ) -> Result<Served<Arc<Value>>, CacheError> {
        let served = self.through.get(self, question, deadline).await?;
        Ok(served.map(|held| held.value))
    }

    /// Removes all answers from memory, and those to `paths` (or all) from the disk. Blocks.
    pub fn purge(&self, paths: Option<&[String]>) -> Result<(), CacheError> {
        self.held.invalidate_all();
        self.through.forget_all();
        let slots = &self.shared.store.slots;
        let found = match paths {
            Some(paths) => {
                let question = |path: &String| ApiQuery { path: path.clone(), query: String::new() };
                paths.iter().map(|path| self.slot(&question(path))).collect::<Result<_, _>>()?
            }
            None => {
                let (found, _) = slots.walk(Area::Answers).map_err(CacheError::internal)?;
                found.into_iter().filter(|slot| slot.repository() == self.options.key).collect::<Vec<_>>()
            }
        };
        for slot in found {
            slots.remove(&slot).map_err(CacheError::internal)?;
        }
        Ok(())
    }

    fn slot(&self, question: &ApiQuery) -> Result<Slot, CacheError> {
        let name = Sha256::of(question.path.as_bytes()).to_string();
        Slot::new(Area::Answers, &self.options.key, &name).map_err(CacheError::internal)
    }

    /// Reads an answer from the disk; `None` if it is damaged or from another API.
    fn read(&self, store: &Store, question: &ApiQuery) -> Result<Option<CachedAnswer>, CacheError> {
        let slot = self.slot(question)?;
        let Ok(Some(content)) = store.slots.read(&slot, (limits::UPSTREAM_API_ANSWER + 4096) as u64) else {
            return Ok(None);
        };
        let Some(kept) = decode(&content.bytes) else {
            tracing::error!(%slot, "a cached answer is damaged: it is removed and will be fetched again");
            let labels = ReasonLabels { repository: Word::from(self.options.key.as_str()), reason: "answer" };
            self.shared.metrics.damaged.get_or_create(&labels).inc();
            store.slots.remove(&slot).map_err(CacheError::internal)?;
            return Ok(None);
        };
        let ours = kept.path == question.path && kept.query == question.query && kept.origin == self.options.origin;
        Ok(ours.then(|| CachedAnswer {
            value: Arc::new(kept.value.into_owned()),
            length: content.bytes.len(),
            confirmed_at: kept.confirmed_at,
            validators: Validators { etag: kept.etag, last_modified: kept.last_modified },
        }))
    }

    async fn attempt(
        self: &Arc<Self>,
        question: &ApiQuery,
        known: Option<CachedAnswer>,
    ) -> Result<FetchedEntry<CachedAnswer>, CacheError> {
        let validators = known.as_ref().map(|known| known.validators.clone()).unwrap_or_default();
        let request = UpstreamRequest {
            query: Some(question.query.clone()).filter(|query| !query.is_empty()),
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..UpstreamRequest::get(question.path.clone(), limits::UPSTREAM_API_ANSWER as u64)
        };
        let deadline = Instant::now() + self.options.deadline;
        let now = || self.shared.clock.now();
        let (held, unchanged) = match self.upstream.fetch(request, deadline).await.map_err(CacheError::upstream)? {
            Answer::Missing { .. } => return Err(CacheError::Missing),
            Answer::NotModified => match known {
                Some(known) => (CachedAnswer { confirmed_at: now(), ..known }, true),
                None => return Err(CacheError::Missing),
            },
            Answer::Body(body) => {
                let validators = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
                let bytes = body.read_to_end().await.map_err(CacheError::upstream)?;
                let value: Value =
                    serde_json::from_slice(&bytes).map_err(|_| CacheError::untrusted(Untrusted::Json))?;
                let (value, length) = (Arc::new(value), bytes.len());
                (CachedAnswer { value, length, confirmed_at: now(), validators }, false)
            }
        };
        self.held.insert(question.clone(), held.clone());
        if is_kept(question) {
            let (cache, question, held) = (Arc::clone(self), question.clone(), held.clone());
            self.shared.blocking(move |store| cache.write(store, &question, &held)).await??;
        }
        Ok(FetchedEntry { entry: held, unchanged, bypass: None })
    }

    /// Stores an answer on disk. If that fails, it is fetched again after a restart.
    fn write(&self, store: &Store, question: &ApiQuery, held: &CachedAnswer) -> Result<(), CacheError> {
        use std::borrow::Cow;
        let slot = self.slot(question)?;
        let kept = StoredAnswer {
            path: Cow::Borrowed(&question.path),
            query: Cow::Borrowed(&question.query),
            origin: Cow::Borrowed(&self.options.origin),
            confirmed_at: held.confirmed_at,
            etag: held.validators.etag.clone(),
            last_modified: held.validators.last_modified.clone(),
            value: Cow::Borrowed(&held.value),
        };
        if let Err(error) = store.slots.write(&slot, &encode(&kept)) {
            tracing::warn!(%slot, error = &error as &dyn std::error::Error, "an answer of an API could not be stored");
        }
        Ok(())
    }

    fn report(&self, question: &ApiQuery, error: Option<&CacheError>) {
        let labels = |reason| ReasonLabels { repository: Word::from(self.options.key.as_str()), reason };
        let requests = &self.shared.metrics.upstream_requests;
        let Some(error) = error else {
            requests.get_or_create(&labels("api")).inc();
            return;
        };
        match error {
            CacheError::Missing => {
                self.held.invalidate(question);
                requests.get_or_create(&labels("missing")).inc();
                return;
            }
            CacheError::Upstream(upstream) => {
                requests.get_or_create(&labels(upstream.reason())).inc();
            }
            _ => {}
        }
        let error = error as &dyn std::error::Error;
        tracing::warn!(
            repository = self.options.key,
            path = question.path,
            error,
            "a request to an upstream's API failed"
        );
    }
}

/// Whether an answer is stored on disk: only those without parameters, because the number of searches is unlimited.
fn is_kept(question: &ApiQuery) -> bool {
    question.query.is_empty()
}

fn encode(kept: &StoredAnswer<'_>) -> Vec<u8> {
    // A struct of texts and values always has a JSON form.
    let body = serde_json::to_vec(kept).unwrap_or_default();
    [MAGIC, Sha256::of(&body).to_string().as_bytes(), b"\n", &body].concat()
}

fn decode(bytes: &Bytes) -> Option<StoredAnswer<'static>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, body) = (rest.get(..64)?, rest.get(64..)?.strip_prefix(b"\n")?);
    let digest = Sha256::from_hex(std::str::from_utf8(digest).ok()?).ok()?;
    let sound = Sha256::of(body) == digest;
    sound.then(|| serde_json::from_slice(body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_format_of_a_file_is_what_it_was() {
        let kept = StoredAnswer {
            path: "packages/jason".into(),
            query: "".into(),
            origin: "https://hex.pm/api".into(),
            confirmed_at: Timestamp::from_millis(5),
            etag: None,
            last_modified: Some("x".into()),
            value: std::borrow::Cow::Owned(json!({"name": "jason"})),
        };
        let bytes = encode(&kept);
        let body = r#"{"path":"packages/jason","query":"","origin":"https://hex.pm/api","confirmed_at":5,"etag":null,"last_modified":"x","value":{"name":"jason"}}"#;
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            format!("hexkeep-answer 1 {}\n{body}", Sha256::of(body.as_bytes()))
        );
        let read = decode(&Bytes::from(bytes.clone())).unwrap();
        assert_eq!((&*read.path, &*read.value), ("packages/jason", &json!({"name": "jason"})));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&Bytes::from(damaged)).is_none(), "byte {at}");
            assert!(decode(&Bytes::copy_from_slice(&bytes[..at])).is_none(), "{at} bytes");
        }
    }
}
