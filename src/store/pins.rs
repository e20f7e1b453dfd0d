//! Files that are not evicted.

use std::sync::Arc;

use super::slots::Slot;
use super::{Store, usage};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;

/// Files of a store that are to stay, there or not, each for its time; `None`: for ever. Each takes 16 bytes of memory.
#[derive(Debug)]
pub struct PinnedFiles {
    store: Arc<Store>,
    kept: usage::Pins,
}

impl PinnedFiles {
    /// Keeps a file until then; what is kept longer already stays so.
    pub fn keep(&mut self, digest: &Sha256, until: Option<Timestamp>) {
        self.kept.keep(&self.store.blobs.path(digest), until);
    }

    /// The same for what a slot holds.
    pub fn keep_slot(&mut self, slot: &Slot, until: Option<Timestamp>) {
        self.kept.keep(&self.store.slots.path(slot), until);
    }

    /// From now on these files, and no others, are not evicted, whatever the limit says; there they need not be. Where
    /// others have been held since that were begun later, those stay in force.
    pub fn hold(self) {
        self.store.usage.pin(self.kept);
    }
}

impl Store {
    /// No files yet.
    pub fn pins(self: &Arc<Self>) -> PinnedFiles {
        PinnedFiles { store: Arc::clone(self), kept: self.usage.no_pins() }
    }

    /// Whether a file is not evicted.
    pub fn is_pinned(&self, digest: &Sha256) -> bool {
        self.usage.is_pinned(&self.blobs.path(digest), self.clock.now())
    }
}
