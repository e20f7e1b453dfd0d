//! Cache for the lists of installers that Mix downloads. Each list is cached together with its signature.
//!
//! Mix fetches a list, then its signature, then a file, and accepts the file only if all three match. The upstream
//! changes list and signature one after the other, and HTTP caches on the way keep them for different times. Therefore
//! both are fetched together, checked against each other as far as possible, stored in one file and replaced in one
//! step. If a new pair does not match, the last good pair stays.
//!
//! If the keys that sign the lists are configured (`installs.public_key`), the signature is verified. Otherwise the
//! list has to be the same after its signature was fetched, and list and signature have to change together: RSA
//! signatures of one text by one key are always equal, and those of two texts always differ.

mod bundle_io;
mod fetch;
mod stored;

pub use self::bundle_io::BundledList;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::SharedCaches;
use super::error::CacheError;
use super::freshness::FreshnessRules;
use super::read_through::{CacheSource, FetchedEntry, ReadThrough};
use super::served::Served;
use super::status::StaleReason;
use super::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::installs::List;
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::trust::PublicKey;
use crate::upstream::{AnswerBegun, Upstream};

/// The value of `repository` in logs and metrics of installers, which belong to no repository.
pub const INSTALLS: &str = "installs";

/// Size of the snapshots in memory, in bytes.
const MEMORY: u64 = 8 * 1024 * 1024;

/// The settings of a list cache.
#[derive(Debug)]
pub struct ListOptions {
    /// The upstream's base URL: validators are sent only to the upstream that they came from.
    pub origin: String,
    /// Freshness.
    pub rules: FreshnessRules,
    /// The keys that may sign the lists. If there are none, signatures are passed on unverified.
    pub public_keys: Vec<PublicKey>,
    /// How long a missing list is remembered as missing.
    pub missing_ttl: Duration,
    /// How long a fetch may take.
    pub deadline: Duration,
}

/// A list and its signature, fetched together.
#[derive(Debug)]
pub struct ListSnapshot {
    /// The list, unchanged.
    pub list: Bytes,
    /// Its signature, unchanged; `None` if it has none.
    pub signature: Option<Bytes>,
    /// When the upstream last confirmed both.
    pub confirmed_at: Timestamp,
    /// The upstream that the validators came from.
    origin: Box<str>,
    of_list: Validators,
    of_signature: Validators,
}

/// The cached lists of installers.
#[derive(Debug)]
pub struct ListCache {
    options: ListOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    held: moka::sync::Cache<List, Arc<ListSnapshot>>,
    through: ReadThrough<Self>,
    /// Pairs of which only one half changed, and since when the upstream has them.
    doubted: Mutex<HashMap<List, (Sha256, Timestamp)>>,
}

impl CacheSource for ListCache {
    type Key = List;
    type Entry = Arc<ListSnapshot>;

    fn confirmed_at(entry: &Arc<ListSnapshot>) -> Timestamp {
        entry.confirmed_at
    }

    fn stale_reason(error: &CacheError) -> Option<StaleReason> {
        match error {
            // A list that the upstream has removed may still be needed to install an old Elixir.
            CacheError::Missing => Some(StaleReason::Deleted),
            error => error.stale_reason(),
        }
    }

    fn in_memory(&self, list: &List) -> Option<Arc<ListSnapshot>> {
        self.held.get(list)
    }

    async fn load(self: &Arc<Self>, list: &List, _: Instant) -> Result<Option<Arc<ListSnapshot>>, CacheError> {
        let (cache, wanted) = (Arc::clone(self), list.clone());
        let read = self.shared.blocking(move |store| stored::read(&cache, store, &wanted)).await??;
        // A fetch may have ended since the file was read.
        Ok(read.map(|read| self.held.get_with(list.clone(), || Arc::new(read))))
    }

    async fn fetch(
        self: Arc<Self>,
        list: List,
        known: Option<Arc<ListSnapshot>>,
        past_caches: bool,
        _heard: AnswerBegun,
    ) -> Result<FetchedEntry<Arc<ListSnapshot>>, CacheError> {
        fetch::run(self, list, known, past_caches).await
    }
}

impl ListCache {
    /// An empty cache.
    pub fn new(options: ListOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        let weight =
            |_: &List, snapshot: &Arc<ListSnapshot>| u32::try_from(snapshot.list.len() + 4096).unwrap_or(u32::MAX);
        let through = ReadThrough::new(options.rules, options.missing_ttl, INSTALLS, &shared);
        Self {
            options,
            shared,
            upstream,
            held: moka::sync::Cache::builder().weigher(weight).max_capacity(MEMORY).build(),
            through,
            doubted: Mutex::default(),
        }
    }

    /// Returns the snapshot of a list by the rules of freshness, before `deadline`. Cancel safe: fetches continue
    /// without their caller.
    pub async fn get(
        self: &Arc<Self>,
        list: &List,
        deadline: Instant,
    ) -> Result<Served<Arc<ListSnapshot>>, CacheError> {
        self.through.get(self, list, deadline).await
    }

    /// Returns the snapshot as the upstream has it now, or the cached one if it was confirmed within `younger_than`.
    /// `past_caches` tells HTTP caches on the way to forward the request. Fails if the upstream fails.
    pub async fn get_newest(
        self: &Arc<Self>,
        list: &List,
        younger_than: Duration,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Arc<ListSnapshot>, CacheError> {
        let held = self.through.stored_entry(self, list, deadline).await?;
        let now = self.shared.clock.now();
        match held.filter(|held| now.is_within(younger_than, held.confirmed_at)) {
            Some(held) => Ok(held),
            None => self.through.get_newest(self, list, past_caches, deadline).await.map(|served| served.value),
        }
    }

    /// Removes all lists from the cache, and passes each stored one to `seen`. Blocks.
    pub fn purge(&self, seen: &mut dyn FnMut(&List, ListSnapshot)) -> Result<(), CacheError> {
        self.through.forget_all();
        self.held.invalidate_all();
        stored::purge(self, seen)
    }

    /// Reads every stored list again, and reports to `seen` whether it is undamaged; with `repair` damaged ones are
    /// removed. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(&List, bool)) -> Result<(), CacheError> {
        stored::scrub(self, repair, seen)
    }

    /// The upstream, for status reports.
    pub fn upstream(&self) -> &dyn Upstream {
        &*self.upstream
    }
}

fn labels(reason: &'static str) -> ReasonLabels {
    ReasonLabels { repository: Word::from(INSTALLS), reason }
}
