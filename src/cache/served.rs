//! An answer and its story, which travels to the edge without the edge knowing the cache.

use std::time::Duration;

use super::status::CacheStatus;

/// A value, and how it came about.
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
    /// An answer that needed no upstream.
    pub fn at_once(value: T, status: CacheStatus) -> Self {
        Self { value, status, upstream: None }
    }

    /// The same story with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Served<U> {
        Served { value: change(self.value), status: self.status, upstream: self.upstream }
    }
}
