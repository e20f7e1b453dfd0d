//! Lists of installers with their signatures, each pair one snapshot.
//!
//! Mix fetches a list, then its signature, then a file, and believes the file only if all three belong together. The
//! upstream changes list and signature one after the other, and caches on the way keep them for different times; so the
//! two are fetched together, checked against each other as far as that is possible, stored in one file and switched in
//! one step. A pair that does not belong together leaves the last good one in its place.
//!
//! What can be checked: with the keys that sign the lists (`installs.public_key`) that the signature is the list's.
//! Without them, that the list is the same after the signature was fetched, and that no half of a pair changes alone:
//! RSA signatures of one text by one key are always the same bytes, and of another text always others.

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
use crate::upstream::{Heard, Upstream};

/// The word under which installers are logged and counted, where a repository's key stands else.
pub const INSTALLS: &str = "installs";

/// Snapshots in memory, in bytes.
const MEMORY: u64 = 8 * 1024 * 1024;

/// What a cache of lists needs to know.
#[derive(Debug)]
pub struct ListOptions {
    /// The upstream's base URL: validators are used only with the upstream that gave them.
    pub origin: String,
    /// Freshness.
    pub rules: FreshnessRules,
    /// Keys of which one signs the lists; without any, signatures are passed on unverified.
    pub public_keys: Vec<PublicKey>,
    /// How long "it does not exist" is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take.
    pub deadline: Duration,
}

/// A list and its signature, as they were together.
#[derive(Debug)]
pub struct ListSnapshot {
    /// The list, as the upstream has it.
    pub list: Bytes,
    /// Its signature, as the upstream has it; `None` where there is none.
    pub signature: Option<Bytes>,
    /// When the upstream confirmed both last.
    pub confirmed_at: Timestamp,
    /// Who gave the validators.
    origin: Box<str>,
    of_list: Validators,
    of_signature: Validators,
}

/// The lists of installers.
#[derive(Debug)]
pub struct ListCache {
    options: ListOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    held: moka::sync::Cache<List, Arc<ListSnapshot>>,
    through: ReadThrough<Self>,
    /// Pairs of which one half changed alone, and since when they have been seen.
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
            // A list that upstream has no more may still be what an old Elixir is installed from.
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
        _heard: Heard,
    ) -> Result<FetchedEntry<Arc<ListSnapshot>>, CacheError> {
        fetch::run(self, list, known, past_caches).await
    }
}

impl ListCache {
    /// A cache with nothing in memory.
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

    /// The snapshot of a list, by the rules of freshness, before `deadline`. Cancel safe: fetches go on alone.
    pub async fn get(
        self: &Arc<Self>,
        list: &List,
        deadline: Instant,
    ) -> Result<Served<Arc<ListSnapshot>>, CacheError> {
        self.through.get(self, list, deadline).await
    }

    /// The snapshot as the upstream has it now, unless ours was confirmed within `younger_than`; `past_caches` asks the
    /// caches on the way not to answer. Fails where the upstream does.
    pub async fn get_newest(
        self: &Arc<Self>,
        list: &List,
        younger_than: Duration,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Arc<ListSnapshot>, CacheError> {
        let held = self.through.present(self, list, deadline).await?;
        let now = self.shared.clock.now();
        match held.filter(|held| now.is_within(younger_than, held.confirmed_at)) {
            Some(held) => Ok(held),
            None => self.through.get_newest(self, list, past_caches, deadline).await.map(|served| served.value),
        }
    }

    /// Forgets all lists, and hands out each that was stored. Blocks.
    pub fn purge(&self, seen: &mut dyn FnMut(&List, ListSnapshot)) -> Result<(), CacheError> {
        self.through.forget_all();
        self.held.invalidate_all();
        stored::purge(self, seen)
    }

    /// Reads every stored list again, and says of each whether it is sound; with `repair` the others are removed.
    /// Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(&List, bool)) -> Result<(), CacheError> {
        stored::scrub(self, repair, seen)
    }

    /// The upstream, for its state.
    pub fn upstream(&self) -> &dyn Upstream {
        &*self.upstream
    }
}

fn labels(reason: &'static str) -> ReasonLabels {
    ReasonLabels { repository: Word::from(INSTALLS), reason }
}
