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

mod carried;
mod fetch;
mod stored;

pub use self::carried::Carried;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Shared;
use super::error::CacheError;
use super::flights::Flights;
use super::freshness::{Network, Plan, Rules, plan};
use super::present::Validators;
use super::registry::{REST_AFTER_FAILURE, STALE_AFTER};
use super::served::Served;
use super::status::{BypassReason, CacheStatus, StaleReason};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::installs::List;
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::trust::PublicKey;
use crate::upstream::Upstream;

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
    pub rules: Rules,
    /// Keys of which one signs the lists; without any, signatures are passed on unverified.
    pub public_keys: Vec<PublicKey>,
    /// How long "it does not exist" is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take.
    pub deadline: Duration,
}

/// A list and its signature, as they were together.
#[derive(Debug)]
pub struct Snapshot {
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
    shared: Shared,
    upstream: Arc<dyn Upstream>,
    held: moka::sync::Cache<List, Arc<Snapshot>>,
    fetches: Flights<List, Result<Fetched, CacheError>>,
    setbacks: moka::sync::Cache<List, (Timestamp, CacheError)>,
    /// Pairs of which one half changed alone, and since when they have been seen.
    doubted: Mutex<HashMap<List, (Sha256, Timestamp)>>,
}

/// A snapshot that was just confirmed or replaced.
#[derive(Clone, Debug)]
struct Fetched {
    snapshot: Arc<Snapshot>,
    unchanged: bool,
    bypass: Option<BypassReason>,
    took: Duration,
}

impl ListCache {
    /// A cache with nothing in memory.
    pub fn new(options: ListOptions, shared: Shared, upstream: Arc<dyn Upstream>) -> Self {
        let weight = |_: &List, snapshot: &Arc<Snapshot>| u32::try_from(snapshot.list.len() + 4096).unwrap_or(u32::MAX);
        let fetches = Flights::new(shared.tasks.clone());
        Self {
            options,
            shared,
            upstream,
            held: moka::sync::Cache::builder().weigher(weight).max_capacity(MEMORY).build(),
            fetches,
            setbacks: moka::sync::Cache::new(1_000),
            doubted: Mutex::default(),
        }
    }

    /// The snapshot of a list, by the rules of freshness, before `deadline`. Cancel safe: fetches go on alone.
    pub async fn get(self: &Arc<Self>, list: &List, deadline: Instant) -> Result<Served<Arc<Snapshot>>, CacheError> {
        let now = self.shared.clock.now();
        let held = self.present(list).await?;
        let setback = self.setback(list, now);
        let action = plan(held.as_ref().map(|held| held.confirmed_at), now, &self.options.rules);
        match (action, held) {
            (Plan::Serve, Some(held)) => Ok(Served::at_once(held, CacheStatus::Hit)),
            (Plan::ServeOffline, Some(held)) => Ok(self.stale(held, StaleReason::Offline)),
            (Plan::ServeStaleThenRevalidate, Some(held)) => {
                if setback.is_none() {
                    drop(self.fetch(list, Some(&held), false));
                }
                Ok(self.stale(held, StaleReason::Revalidating))
            }
            (Plan::RevalidateOrStale, Some(held)) => {
                let error = match setback {
                    Some(error) => error,
                    None => {
                        let patience = deadline.min(Instant::now() + STALE_AFTER);
                        match self.wait(list, Some(&held), false, patience).await {
                            Ok(fresh) => return Ok(fresh),
                            Err(error) => error,
                        }
                    }
                };
                match (error.stale_reason(), error) {
                    (Some(reason), _) => Ok(self.stale(held, reason)),
                    // A list that upstream has no more may still be what an old Elixir is installed from.
                    (None, CacheError::Missing) => Ok(self.stale(held, StaleReason::Deleted)),
                    (None, error) => Err(error),
                }
            }
            (Plan::Refuse, _) => Err(CacheError::Offline),
            (_, held) => match setback {
                Some(error) => Err(error),
                None => self.wait(list, held.as_ref(), false, deadline).await,
            },
        }
    }

    /// The snapshot as the upstream has it now, unless ours was confirmed within `younger_than`; `past_caches` asks the
    /// caches on the way not to answer. Fails where the upstream does.
    pub async fn get_newest(
        self: &Arc<Self>,
        list: &List,
        younger_than: Duration,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, CacheError> {
        let held = self.present(list).await?;
        let now = self.shared.clock.now();
        if let Some(held) = held.as_ref().filter(|held| now.is_within(younger_than, held.confirmed_at)) {
            return Ok(Arc::clone(held));
        }
        if self.options.rules.network == Network::Offline {
            return Err(CacheError::Offline);
        }
        if let Some(error) = self.setback(list, now) {
            return Err(error);
        }
        self.wait(list, held.as_ref(), past_caches, deadline).await.map(|served| served.value)
    }

    /// Forgets all lists, and hands out each that was stored. Blocks.
    pub fn purge(&self, seen: &mut dyn FnMut(&List, Snapshot)) -> Result<(), CacheError> {
        self.setbacks.invalidate_all();
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

    async fn present(self: &Arc<Self>, list: &List) -> Result<Option<Arc<Snapshot>>, CacheError> {
        if let Some(held) = self.held.get(list) {
            return Ok(Some(held));
        }
        let (cache, wanted) = (Arc::clone(self), list.clone());
        let read = self.shared.blocking(move |store| stored::read(&cache, store, &wanted)).await??;
        // A fetch may have ended since the file was read.
        Ok(read.map(|read| self.held.get_with(list.clone(), || Arc::new(read))))
    }

    async fn wait(
        self: &Arc<Self>,
        list: &List,
        held: Option<&Arc<Snapshot>>,
        past_caches: bool,
        until: Instant,
    ) -> Result<Served<Arc<Snapshot>>, CacheError> {
        let ticket = self.fetch(list, held, past_caches);
        let led = ticket.led();
        let fetched = ticket.wait(until).await??;
        let status = match (fetched.bypass, led, fetched.unchanged) {
            (Some(reason), _, _) => CacheStatus::Bypass(reason),
            (None, false, _) => CacheStatus::Coalesced,
            (None, true, true) => CacheStatus::Revalidated,
            (None, true, false) => CacheStatus::Miss,
        };
        Ok(Served { value: fetched.snapshot, status, upstream: Some(fetched.took) })
    }

    fn fetch(
        self: &Arc<Self>,
        list: &List,
        held: Option<&Arc<Snapshot>>,
        past_caches: bool,
    ) -> super::flights::Ticket<Result<Fetched, CacheError>> {
        self.fetches.join(list.clone(), || fetch::run(Arc::clone(self), list.clone(), held.cloned(), past_caches))
    }

    fn setback(&self, list: &List, now: Timestamp) -> Option<CacheError> {
        let (at, error) = self.setbacks.get(list)?;
        let kept = match &error {
            CacheError::Missing => self.options.missing_ttl,
            error if error.is_bad_answer() => self.options.missing_ttl,
            _ => REST_AFTER_FAILURE,
        };
        now.is_within(kept, at).then_some(error)
    }

    fn stale(&self, held: Arc<Snapshot>, reason: StaleReason) -> Served<Arc<Snapshot>> {
        self.shared.metrics.stale.get_or_create(&labels(reason.word())).inc();
        Served::at_once(held, CacheStatus::Stale(reason))
    }
}

fn labels(reason: &'static str) -> ReasonLabels {
    ReasonLabels { repository: Word::from(INSTALLS), reason }
}
