//! Files that are not evicted.

use std::collections::HashMap;

use super::Store;
use super::slots::Slot;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;

/// How long each of some things stays; `None`: for ever.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    blobs: HashMap<Sha256, Option<Timestamp>>,
    slots: Vec<(Slot, Option<Timestamp>)>,
}

impl Pins {
    /// Keeps a file until then; what is kept longer already stays so.
    pub fn keep(&mut self, digest: Sha256, until: Option<Timestamp>) {
        self.blobs.entry(digest).and_modify(|kept| *kept = later(*kept, until)).or_insert(until);
    }

    /// The same for what a slot holds.
    pub fn keep_slot(&mut self, slot: Slot, until: Option<Timestamp>) {
        self.slots.push((slot, until));
    }
}

fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

impl Store {
    /// From now on these files, and no others, are not evicted, whatever the limit says; there they need not be.
    pub fn pin(&self, pins: &Pins) {
        let mut paths: super::usage::Pins = HashMap::new();
        let blobs = pins.blobs.iter().map(|(digest, until)| (self.blobs.path(digest), *until));
        for (path, until) in blobs.chain(pins.slots.iter().map(|(slot, until)| (self.slots.path(slot), *until))) {
            paths.entry(path).and_modify(|kept| *kept = later(*kept, until)).or_insert(until);
        }
        self.usage.pin(paths);
    }

    /// Whether a file is not evicted.
    pub fn is_pinned(&self, digest: &Sha256) -> bool {
        self.usage.is_pinned(&self.blobs.path(digest), self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_counts() {
        let at = Timestamp::from_secs;
        let digest = Sha256::of(b"x");
        let mut pins = Pins::default();
        for (until, kept) in [(Some(at(2)), Some(at(2))), (Some(at(1)), Some(at(2))), (None, None), (Some(at(9)), None)]
        {
            pins.keep(digest, until);
            assert_eq!(pins.blobs.get(&digest), Some(&kept));
        }
    }
}
