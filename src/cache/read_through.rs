//! Reads an entry from memory, disk or an upstream, and decides whether it is served, refreshed, served stale or
//! refused.
//!
//! This is the only place that acts on a [`Plan`]. A [`CacheSource`] says what is cached, and how it is loaded and
//! fetched. Single flight, back-off after failures, status words and the count of stale answers are the same for all
//! sources.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SharedCaches;
use super::error::CacheError;
use super::freshness::{FreshnessRules, Plan, UpstreamMode, plan};
use super::recent_failures::{RecentFailures, is_lasting_failure};
use super::served::Served;
use super::single_flight::{Flights, Ticket};
use super::status::{BypassReason, CacheStatus, StaleReason};
use crate::clock::{Clock, Timestamp};
use crate::telemetry::metrics::{Metrics, ReasonLabels, Word};
use crate::upstream::AnswerBegun;

/// How long a client waits for the upstream before it gets a stale answer.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// One kind of cached content: where its entries are stored, and how they are fetched.
pub(super) trait CacheSource: Send + Sync + Sized + 'static {
    /// Identifies an entry.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What is served. Cheap to clone.
    type Entry: Clone + Send + Sync + 'static;

    /// When the upstream last confirmed an entry.
    fn confirmed_at(entry: &Self::Entry) -> Timestamp;

    /// Whether two entries of one key are the same.
    fn is_same(one: &Self::Entry, other: &Self::Entry) -> bool {
        Self::confirmed_at(one) == Self::confirmed_at(other)
    }

    /// Whether the upstream has removed an entry that is kept.
    fn is_removed(_entry: &Self::Entry) -> bool {
        false
    }

    /// The reason for serving an older entry after an error; `None` if the error is the answer.
    fn stale_reason(error: &CacheError) -> Option<StaleReason> {
        error.stale_reason()
    }

    /// The entry in memory. Returns at once.
    fn in_memory(&self, _key: &Self::Key) -> Option<Self::Entry> {
        None
    }

    /// The entry on disk. A damaged one is removed and counts as missing.
    fn load(
        self: &Arc<Self>,
        key: &Self::Key,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Self::Entry>, CacheError>> + Send;

    /// The entry that the last fetch has left behind.
    fn current(
        self: &Arc<Self>,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<Self::Entry>, CacheError>> + Send {
        std::future::ready(Ok(self.in_memory(key)))
    }

    /// Fetches the entry from the upstream, stores it, counts and logs the outcome. `known` is the caller's entry;
    /// `past_caches` tells HTTP caches on the way to forward the request; `heard` is passed to the request.
    fn fetch(
        self: Arc<Self>,
        key: Self::Key,
        known: Option<Self::Entry>,
        past_caches: bool,
        heard: AnswerBegun,
    ) -> impl Future<Output = Result<FetchedEntry<Self::Entry>, CacheError>> + Send;
}

/// An entry that was just confirmed or replaced.
#[derive(Clone, Debug)]
pub(super) struct FetchedEntry<E> {
    pub(super) entry: E,
    /// The upstream said that nothing has changed.
    pub(super) unchanged: bool,
    /// Why it was not stored, if so.
    pub(super) bypass: Option<BypassReason>,
}

/// The outcome of a fetch that callers share.
#[derive(Clone, Debug)]
struct FlightResult<E> {
    fetched: FetchedEntry<E>,
    /// Another fetch had stored the entry before this one started.
    by_another: bool,
    took: Duration,
}

type FlightOutcome<E> = Result<FlightResult<E>, CacheError>;

/// Whether the upstream is asked before an expired entry is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    WhereNeeded,
    First,
}

/// The read-through logic of one cache.
pub(super) struct ReadThrough<S: CacheSource> {
    rules: FreshnessRules,
    /// The `repository` label in metrics.
    word: Word,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    fetches: Flights<S::Key, FlightOutcome<S::Entry>>,
    setbacks: RecentFailures<S::Key>,
}

impl<S: CacheSource> fmt::Debug for ReadThrough<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThrough").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl<S: CacheSource> ReadThrough<S> {
    /// Starts with no fetches running. `missing_ttl` is how long a missing or unusable answer is remembered.
    pub(super) fn new(rules: FreshnessRules, missing_ttl: Duration, word: &str, shared: &SharedCaches) -> Self {
        Self {
            rules,
            word: Word::from(word),
            fetches: Flights::new(shared.tasks.clone()),
            setbacks: RecentFailures::new(missing_ttl, Arc::clone(&shared.clock)),
            clock: Arc::clone(&shared.clock),
            metrics: Arc::clone(&shared.metrics),
        }
    }

    /// Returns the entry by the rules of freshness, before `deadline`. Cancel safe: fetches continue without their
    /// caller.
    pub(super) async fn get(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        deadline: Instant,
    ) -> Result<Served<S::Entry>, CacheError> {
        self.read(source, key, Ask::WhereNeeded, deadline).await.map(|(served, _)| served)
    }

    /// Returns the entry, with the error if the upstream could not confirm it. Unlike [`ReadThrough::get`], this asks
    /// the upstream before it serves an expired entry, and waits for the answer until `deadline`.
    pub(super) async fn get_confirmed(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        deadline: Instant,
    ) -> Result<(Served<S::Entry>, Option<CacheError>), CacheError> {
        self.read(source, key, Ask::First, deadline).await
    }

    /// Returns the entry as the upstream has it now, whatever is cached. Fails if the upstream fails.
    pub(super) async fn get_newest(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Served<S::Entry>, CacheError> {
        if self.rules.network == UpstreamMode::Offline {
            return Err(CacheError::Offline);
        }
        let entry = self.stored_entry(source, key, deadline).await?;
        self.wait(source, key, entry, past_caches, deadline).await
    }

    /// Returns the entry as the upstream confirmed it at `since` or later, if it does so before `patience`; otherwise
    /// like [`ReadThrough::get`]. Does not wait if the upstream failed a moment ago or the repository is offline.
    pub(super) async fn get_since(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        since: Timestamp,
        patience: Instant,
        deadline: Instant,
    ) -> Result<Served<S::Entry>, CacheError> {
        let served = self.get(source, key, deadline).await?;
        let is_newest = S::confirmed_at(&served.value) >= since || self.rules.network == UpstreamMode::Offline;
        if is_newest || self.setbacks.get(key).is_some() {
            return Ok(served);
        }
        let newest = self.wait(source, key, Some(served.value.clone()), false, patience.min(deadline)).await;
        Ok(newest.unwrap_or(served))
    }

    /// Returns the stored entry, however old it is.
    pub(super) async fn stored_entry(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        deadline: Instant,
    ) -> Result<Option<S::Entry>, CacheError> {
        match source.in_memory(key) {
            Some(entry) => Ok(Some(entry)),
            None => source.load(key, deadline).await,
        }
    }

    /// Whether the upstream is silent about a key: it has not begun to answer the running fetch, or gave no answer to the
    /// last one.
    pub(super) fn is_silent(&self, key: &S::Key) -> bool {
        match self.fetches.has_begun(key) {
            Some(begun) => !begun,
            None => self.setbacks.last(key).is_none_or(|error| error.is_silence()),
        }
    }

    /// What is known of the upstream after a failure: if no request was sent, this is its last answer about the key.
    pub(super) fn last_word(&self, key: &S::Key, error: CacheError) -> CacheError {
        if error.is_unsent() { self.setbacks.last_answer(key).unwrap_or(error) } else { error }
    }

    /// Forgets the recent failure of a key: its entry came from elsewhere, or was removed on purpose.
    pub(super) fn forget(&self, key: &S::Key) {
        self.setbacks.forget(key);
    }

    /// Forgets all recent failures.
    pub(super) fn forget_all(&self) {
        self.setbacks.forget_all();
    }

    async fn read(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        ask: Ask,
        deadline: Instant,
    ) -> Result<(Served<S::Entry>, Option<CacheError>), CacheError> {
        let mut entry = source.in_memory(key);
        if let Some(entry) = &entry
            && self.plan(Some(entry)) == Plan::Serve
        {
            return Ok((hit::<S>(entry.clone()), None));
        }
        let setback = self.setbacks.get(key);
        if entry.is_none() {
            if let Some(error @ CacheError::Missing) = setback {
                return Err(error);
            }
            entry = source.load(key, deadline).await?;
        }
        match (self.plan(entry.as_ref()), entry) {
            (Plan::Serve, Some(entry)) => Ok((hit::<S>(entry), None)),
            (Plan::ServeOffline, Some(entry)) => Ok((self.stale(entry, StaleReason::Offline), None)),
            (Plan::ServeStaleThenRevalidate, Some(entry)) if ask == Ask::WhereNeeded => {
                let reason = match &setback {
                    // A fetch that failed a moment ago is not repeated for every request.
                    Some(error) => S::stale_reason(error).unwrap_or(StaleReason::Revalidating),
                    None => {
                        // Detached: the ticket is dropped, the fetch goes on.
                        drop(self.fetch(source, key, Some(entry.clone()), false));
                        StaleReason::Revalidating
                    }
                };
                Ok((self.stale(entry, reason), None))
            }
            (Plan::ServeStaleThenRevalidate | Plan::RevalidateOrStale, Some(entry)) => {
                let error = match setback {
                    Some(error) => error,
                    None => {
                        let until = match ask {
                            Ask::First => deadline,
                            Ask::WhereNeeded => deadline.min(Instant::now() + STALE_AFTER),
                        };
                        match self.wait(source, key, Some(entry.clone()), false, until).await {
                            Ok(fresh) => return Ok((fresh, None)),
                            Err(error) => error,
                        }
                    }
                };
                match S::stale_reason(&error) {
                    Some(reason) => Ok((self.stale(entry, reason), Some(error))),
                    None => Err(error),
                }
            }
            (Plan::Refuse, _) => Err(CacheError::Offline),
            // No entry can be served meanwhile, so the fetch is repeated unless it would fail the same way again.
            (_, entry) => match setback.filter(is_lasting_failure) {
                Some(error) => Err(error),
                None => Ok((self.wait(source, key, entry, false, deadline).await?, None)),
            },
        }
    }

    fn plan(&self, entry: Option<&S::Entry>) -> Plan {
        plan(entry.map(S::confirmed_at), self.clock.now(), &self.rules)
    }

    async fn wait(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        known: Option<S::Entry>,
        past_caches: bool,
        until: Instant,
    ) -> Result<Served<S::Entry>, CacheError> {
        let ticket = self.fetch(source, key, known, past_caches);
        let led = ticket.led();
        let FlightResult { fetched, by_another, took } = ticket.wait(until).await??;
        let status = match (fetched.bypass, led && !by_another, fetched.unchanged) {
            _ if S::is_removed(&fetched.entry) => CacheStatus::Stale(StaleReason::Deleted),
            (Some(reason), _, _) => CacheStatus::Bypass(reason),
            (None, false, _) => CacheStatus::Coalesced,
            (None, true, true) => CacheStatus::Revalidated,
            (None, true, false) => CacheStatus::Miss,
        };
        Ok(Served { value: fetched.entry, status, upstream: Some(took) })
    }

    fn fetch(
        &self,
        source: &Arc<S>,
        key: &S::Key,
        known: Option<S::Entry>,
        past_caches: bool,
    ) -> Ticket<FlightOutcome<S::Entry>> {
        let flight = Flight {
            source: Arc::clone(source),
            key: key.clone(),
            rules: self.rules,
            clock: Arc::clone(&self.clock),
            setbacks: self.setbacks.clone(),
        };
        self.fetches.join_heard(key.clone(), |heard| flight.run(known, past_caches, heard))
    }

    fn stale(&self, entry: S::Entry, reason: StaleReason) -> Served<S::Entry> {
        let labels = ReasonLabels { repository: self.word.clone(), reason: reason.word() };
        self.metrics.stale.get_or_create(&labels).inc();
        Served::at_once(entry, CacheStatus::Stale(reason))
    }
}

/// One fetch, detached from the callers that wait for it.
struct Flight<S: CacheSource> {
    source: Arc<S>,
    key: S::Key,
    rules: FreshnessRules,
    clock: Arc<dyn Clock>,
    setbacks: RecentFailures<S::Key>,
}

impl<S: CacheSource> Flight<S> {
    async fn run(self, known: Option<S::Entry>, past_caches: bool, heard: AnswerBegun) -> FlightOutcome<S::Entry> {
        let began = Instant::now();
        if !past_caches && let Some(outcome) = self.brought_by_another(known.as_ref()).await {
            return outcome;
        }
        let outcome = Arc::clone(&self.source).fetch(self.key.clone(), known, past_caches, heard).await;
        match &outcome {
            Ok(_) => self.setbacks.forget(&self.key),
            Err(error) => self.setbacks.remember(&self.key, error),
        }
        outcome.map(|fetched| FlightResult { fetched, by_another: false, took: began.elapsed() })
    }

    /// The outcome of another fetch since `known` was looked up. Without this check, a caller that looked before that
    /// fetch ended, and joined after it, would fetch a second time.
    async fn brought_by_another(&self, known: Option<&S::Entry>) -> Option<FlightOutcome<S::Entry>> {
        if let Some(error) = self.setbacks.get(&self.key).filter(is_lasting_failure) {
            return Some(Err(error));
        }
        let entry = match self.source.current(&self.key).await {
            Ok(entry) => entry?,
            Err(error) => return Some(Err(error)),
        };
        let other = known.is_none_or(|known| !S::is_same(&entry, known));
        let fresh = plan(Some(S::confirmed_at(&entry)), self.clock.now(), &self.rules) == Plan::Serve;
        (other && fresh).then(|| {
            let fetched = FetchedEntry { entry, unchanged: false, bypass: None };
            Ok(FlightResult { fetched, by_another: true, took: Duration::ZERO })
        })
    }
}

fn hit<S: CacheSource>(entry: S::Entry) -> Served<S::Entry> {
    let status = if S::is_removed(&entry) { CacheStatus::Stale(StaleReason::Deleted) } else { CacheStatus::Hit };
    Served::at_once(entry, status)
}

#[cfg(test)]
mod tests;
