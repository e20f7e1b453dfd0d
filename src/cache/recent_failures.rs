//! Remembers the last failure of each key, so that an upstream that just failed is not asked again for every request,
//! and so that its last answer is known while no requests are sent.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::error::CacheError;
use crate::clock::{Clock, Timestamp};

/// After a failure, stale answers are given at once for this long before the upstream is asked again.
pub(super) const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How many failed keys are remembered.
const SETBACKS: u64 = 20_000;

/// The last failure of a key, and when it happened.
#[derive(Clone, Debug)]
struct RecentFailure {
    at: Timestamp,
    error: CacheError,
    /// What the upstream answered to the last request that was sent, if it answered, other than "it does not exist".
    answer: Option<CacheError>,
}

/// The keys whose last fetch failed.
pub(super) struct RecentFailures<K> {
    missing_ttl: Duration,
    clock: Arc<dyn Clock>,
    last: moka::sync::Cache<K, RecentFailure>,
}

impl<K> Clone for RecentFailures<K> {
    fn clone(&self) -> Self {
        Self { missing_ttl: self.missing_ttl, clock: Arc::clone(&self.clock), last: self.last.clone() }
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> RecentFailures<K> {
    /// Starts without failures. `missing_ttl` is how long a missing or unusable answer is remembered.
    pub(super) fn new(missing_ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { missing_ttl, clock, last: moka::sync::Cache::new(SETBACKS) }
    }

    /// The failure of a key, if it is so recent that the fetch is not repeated yet.
    pub(super) fn get(&self, key: &K) -> Option<CacheError> {
        let setback = self.last.get(key)?;
        let kept = if is_lasting_failure(&setback.error) { self.missing_ttl } else { REST_AFTER_FAILURE };
        self.clock.now().is_within(kept, setback.at).then_some(setback.error)
    }

    /// Remembers a failure. A failure without a request says nothing new about the upstream, so its last answer stays.
    pub(super) fn remember(&self, key: &K, error: &CacheError) {
        let answer = match error {
            error if error.is_unsent() => self.last_answer(key),
            CacheError::Missing => None,
            error => (!error.is_silence()).then(|| error.clone()),
        };
        self.last.insert(key.clone(), RecentFailure { at: self.clock.now(), error: error.clone(), answer });
    }

    /// The last failure of a key, however long ago.
    pub(super) fn last(&self, key: &K) -> Option<CacheError> {
        self.last.get(key).map(|setback| setback.error)
    }

    /// What the upstream answered to the last request that was sent, however long ago; `None` if it has not answered,
    /// or if it answered that the key does not exist.
    pub(super) fn last_answer(&self, key: &K) -> Option<CacheError> {
        self.last.get(key)?.answer
    }

    pub(super) fn forget(&self, key: &K) {
        self.last.invalidate(key);
    }

    pub(super) fn forget_all(&self) {
        self.last.invalidate_all();
    }
}

/// Whether the upstream answered, and would give the same answer again.
pub(super) fn is_lasting_failure(error: &CacheError) -> bool {
    matches!(error, CacheError::Missing | CacheError::NoList) || error.is_bad_answer()
}
