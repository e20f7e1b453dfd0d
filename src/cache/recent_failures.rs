//! Remembers the last failure of each key, so that an upstream that just failed is not asked again for every request.

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

    pub(super) fn remember(&self, key: &K, error: &CacheError) {
        self.last.insert(key.clone(), RecentFailure { at: self.clock.now(), error: error.clone() });
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
