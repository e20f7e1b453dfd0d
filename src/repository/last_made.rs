//! Resources that are made for each request: one that says the same as the one before is that one, with its signature.

use std::hash::Hash;

use crate::cache::payload::Payload;

/// How many are kept.
const KEPT: u64 = 64;

/// The last payload of each resource.
#[derive(Debug)]
pub(super) struct LastMade<K: Eq + Hash + Send + Sync + 'static>(moka::sync::Cache<K, Payload>);

impl<K: Eq + Hash + Send + Sync + 'static> LastMade<K> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(moka::sync::Cache::new(KEPT))
    }

    /// Keeps what is made now, unless the last one says the same; what is kept.
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
