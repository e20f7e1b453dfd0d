//! Remembers the last payload of resources that are built for each request: if the new one is equal, the old one is
//! used, with its signature.

use std::hash::Hash;

use crate::cache::payload::Payload;

/// How many payloads are remembered.
const KEPT: u64 = 64;

/// The last payload of each resource.
#[derive(Debug)]
pub(super) struct LastMade<K: Eq + Hash + Send + Sync + 'static>(moka::sync::Cache<K, Payload>);

impl<K: Eq + Hash + Send + Sync + 'static> LastMade<K> {
    /// Starts empty.
    pub(super) fn new() -> Self {
        Self(moka::sync::Cache::new(KEPT))
    }

    /// Stores a new payload, unless it equals the last one; returns the stored one.
    pub(super) fn keep(&self, key: K, made: Payload) -> Payload {
        match self.0.get(&key).filter(|last| last.digest() == made.digest()) {
            Some(last) => last,
            None => {
                self.0.insert(key, made.clone());
                made
            }
        }
    }
}
