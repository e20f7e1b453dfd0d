//! An answer with its cache status, for the HTTP layer.

use std::time::Duration;

use super::status::CacheStatus;

/// A value, and how the cache obtained it.
#[derive(Clone, Debug)]
pub struct Served<T> {
    /// The value.
    pub value: T,
    /// What the cache did.
    pub status: CacheStatus,
    /// How long this request waited for the upstream.
    pub upstream: Option<Duration>,
}

impl<T> Served<T> {
    /// An answer without a request to the upstream.
    pub fn at_once(value: T, status: CacheStatus) -> Self {
        Self { value, status, upstream: None }
    }

    /// Replaces the value, and keeps the rest.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Served<U> {
        Served { value: change(self.value), status: self.status, upstream: self.upstream }
    }
}
