//! Files that are not evicted.

use std::collections::BTreeSet;

use super::Store;
use super::slots::Slot;
use crate::hex::checksum::Sha256;

impl Store {
    /// From now on these files, and no others, are not evicted, whatever the limit says; there they need not be.
    pub fn pin(&self, blobs: &BTreeSet<Sha256>, slots: &[Slot]) {
        let blobs = blobs.iter().map(|digest| self.blobs.path(digest));
        self.usage.pin(blobs.chain(slots.iter().map(|slot| self.slots.path(slot))).collect());
    }

    /// Whether a file is not evicted.
    pub fn is_pinned(&self, digest: &Sha256) -> bool {
        self.usage.is_pinned(&self.blobs.path(digest))
    }
}
