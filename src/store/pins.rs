//! Pins: files of the cache that are never evicted, for instance because lock files contain them.

use std::sync::Arc;

use super::slots::Slot;
use super::{Store, usage};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;

/// A set of pinned files, each until a given time or for ever. The files need not exist. Each takes 16 bytes of memory.
#[derive(Debug)]
pub struct PinnedFiles {
    store: Arc<Store>,
    kept: usage::Pins,
}

impl PinnedFiles {
    /// Pins a file until the given time; `None`: for ever. A longer pin of the same file stays.
    pub fn pin(&mut self, digest: &Sha256, until: Option<Timestamp>) {
        self.kept.keep(&self.store.blobs.path(digest), until);
    }

    /// Pins the file of a slot.
    pub fn keep_slot(&mut self, slot: &Slot, until: Option<Timestamp>) {
        self.kept.keep(&self.store.slots.path(slot), until);
    }

    /// Activates this set: from now on these files and no others are pinned, whatever the limit of the cache is. If a
    /// set that was begun later is already active, that one stays active.
    pub fn activate(self) {
        self.store.usage.pin(self.kept);
    }
}

impl Store {
    /// Begins an empty set of pinned files.
    pub fn pins(self: &Arc<Self>) -> PinnedFiles {
        PinnedFiles { store: Arc::clone(self), kept: self.usage.no_pins() }
    }

    /// Whether a blob is pinned now.
    pub fn is_pinned(&self, digest: &Sha256) -> bool {
        self.usage.is_pinned(&self.blobs.path(digest), self.clock.now())
    }
}
