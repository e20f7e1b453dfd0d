//! The in-memory cache for frequently used registry resources and small artifacts, limited in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use super::ready_resource::ReadyResource;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::resource::RegistryResource;
use crate::size::ByteSize;

/// How often the use of an artifact in memory is reported to the store, which evicts the least recently used files.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The in-memory cache. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    cache: Cache<Key, Value>,
    artifact_limit: u64,
}

/// Identifies the repository object that an entry belongs to. A repository that a reload has rebuilt shares nothing
/// with the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryOwner(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Resource(EntryOwner, RegistryResource),
    Blob(Sha256),
}

#[derive(Clone, Debug)]
enum Value {
    Resource(Arc<ReadyResource>),
    Blob(Arc<Blob>),
}

/// A complete artifact in memory.
#[derive(Debug)]
pub struct Blob {
    /// The bytes, verified.
    pub bytes: Bytes,
    touched: AtomicU64,
}

impl Blob {
    /// Whether the use of this artifact has to be reported to the store now.
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        let touched = self.touched.load(Ordering::Relaxed);
        let due = now.since(Timestamp::from_millis(touched)) > TOUCH_EVERY;
        if due {
            self.touched.store(now.as_millis(), Ordering::Relaxed);
        }
        due
    }
}

fn weight(_: &Key, value: &Value) -> u32 {
    let bytes = match value {
        Value::Resource(present) => present.weight(),
        Value::Blob(blob) => blob.bytes.len() + 256,
    };
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Memory {
    /// An empty cache of at most `limit` bytes.
    pub fn new(limit: ByteSize) -> Self {
        let cache = Cache::builder().weigher(weight).max_capacity(limit.bytes()).build();
        Self { cache, artifact_limit: limit.bytes() / 16 }
    }

    /// The largest artifact that is kept in memory: one file must not push out everything else.
    pub fn artifact_limit(&self) -> u64 {
        self.artifact_limit
    }

    /// A registry resource.
    pub fn resource(&self, owner: EntryOwner, resource: &RegistryResource) -> Option<Arc<ReadyResource>> {
        match self.cache.get(&Key::Resource(owner, resource.clone())) {
            Some(Value::Resource(present)) => Some(present),
            _ => None,
        }
    }

    /// Stores a registry resource.
    pub fn put_resource(&self, owner: EntryOwner, resource: &RegistryResource, present: &Arc<ReadyResource>) {
        self.cache.insert(Key::Resource(owner, resource.clone()), Value::Resource(Arc::clone(present)));
    }

    /// Stores a registry resource that was read from disk, unless a fetch has stored a newer one meanwhile; returns the
    /// stored one.
    pub fn put_resource_read(
        &self,
        owner: EntryOwner,
        resource: &RegistryResource,
        present: &Arc<ReadyResource>,
    ) -> Arc<ReadyResource> {
        let read = || Value::Resource(Arc::clone(present));
        let older = |held: &Value| match held {
            Value::Resource(held) => held.confirmed_at < present.confirmed_at,
            Value::Blob(_) => true,
        };
        match self.cache.entry(Key::Resource(owner, resource.clone())).or_insert_with_if(read, older).into_value() {
            Value::Resource(kept) => kept,
            Value::Blob(_) => Arc::clone(present),
        }
    }

    /// Removes a registry resource.
    pub fn remove_resource(&self, owner: EntryOwner, resource: &RegistryResource) {
        self.cache.invalidate(&Key::Resource(owner, resource.clone()));
    }

    /// A complete artifact.
    pub fn blob(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        match self.cache.get(&Key::Blob(*digest)) {
            Some(Value::Blob(blob)) => Some(blob),
            _ => None,
        }
    }

    /// Stores a complete, verified artifact.
    pub fn put_blob(&self, digest: &Sha256, bytes: Bytes, now: Timestamp) -> Arc<Blob> {
        let blob = Arc::new(Blob { bytes, touched: AtomicU64::new(now.as_millis()) });
        self.cache.insert(Key::Blob(*digest), Value::Blob(Arc::clone(&blob)));
        blob
    }

    /// Removes an artifact.
    pub fn remove_blob(&self, digest: &Sha256) {
        self.cache.invalidate(&Key::Blob(*digest));
    }
}
