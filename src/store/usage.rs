//! Tracks the size of the cache and the last use of its files, and chooses the files to evict.
//!
//! Bytes are reserved before they are written, and the reservation ends when it is dropped. The state is kept in memory
//! and rebuilt at start from the files in the folders. Nothing is evicted until all files have been counted.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::clock::Timestamp;

/// The kind of a file, which determines the order of eviction. A blob can be downloaded again by its digest at any
/// time. A registry resource is the last valid copy of a resource that may have changed upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Blob,
    Resource,
}

#[derive(Clone, Copy, Debug)]
struct File {
    size: u64,
    used_at: Timestamp,
    class: Class,
}

/// The size and the last uses of a set of files, and their limit. Clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    limit: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
    /// Files evicted so far.
    pub(super) evicted: Counter,
}

/// The pinned files, each with the end of its pin.
///
/// There can be very many, and most of them do not exist here. Therefore only a keyed hash of each path is kept. If two
/// paths have the same hash, one file too many is pinned.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    /// The number of this set: a set that was begun later has a higher number.
    number: u64,
    hasher: RandomState,
    /// Sorted by hash after [`ready`](Self::ready).
    until: Vec<(u64, Timestamp)>,
}

/// A time after all others.
const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

impl Pins {
    /// Pins a file until the given time; `None`: for ever. A longer pin of the same file stays.
    pub(super) fn keep(&mut self, path: &Path, until: Option<Timestamp>) {
        self.until.push((self.hasher.hash_one(path), until.unwrap_or(FOR_EVER)));
    }

    fn ready(mut self) -> Self {
        self.until.sort_unstable_by_key(|(path, until)| (*path, Reverse(*until)));
        self.until.dedup_by_key(|(path, _)| *path);
        self.until.shrink_to_fit();
        self
    }

    fn have(&self, path: &Path, now: Timestamp) -> bool {
        if self.until.is_empty() {
            return false;
        }
        let path = self.hasher.hash_one(path);
        let found = self.until.binary_search_by_key(&path, |(path, _)| *path);
        found.is_ok_and(|at| self.until.get(at).is_some_and(|(_, until)| now < *until))
    }
}

#[derive(Debug)]
struct State {
    files: HashMap<PathBuf, File>,
    /// The active set of pins.
    pinned: Pins,
    /// The number of the set of pins that was begun last.
    readings: u64,
    stored: u64,
    reserved: u64,
    counted: bool,
}

/// A reservation of bytes that are about to be written. It ends when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    usage: Usage,
    bytes: u64,
}

impl Usage {
    pub(super) fn new(limit: u64) -> Self {
        let state = State {
            files: HashMap::new(),
            pinned: Pins { number: 0, hasher: RandomState::new(), until: Vec::new() },
            readings: 0,
            stored: 0,
            reserved: 0,
            counted: false,
        };
        let (limit, state) = (Arc::new(AtomicU64::new(limit)), Arc::new(Mutex::new(state)));
        Self { limit, state, evicted: Counter::default() }
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit, in bytes.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The total size of the files, in bytes.
    pub(super) fn stored(&self) -> u64 {
        self.state.lock().stored
    }

    /// Records that all files that existed at start have been counted.
    pub(super) fn counted(&self) {
        self.state.lock().counted = true;
    }

    /// Records a file, or its new size.
    pub(super) fn record(&self, path: &Path, size: u64, used_at: Timestamp, class: Class) {
        let mut state = self.state.lock();
        if let Some(old) = state.files.insert(path.to_path_buf(), File { size, used_at, class }) {
            state.stored = state.stored.saturating_sub(old.size);
        }
        state.stored = state.stored.saturating_add(size);
    }

    /// Records a file found at start, unless it is already known.
    pub(super) fn record_found(&self, path: &Path, size: u64, used_at: Timestamp, class: Class) {
        let known = self.state.lock().files.contains_key(path);
        if !known {
            self.record(path, size, used_at, class);
        }
    }

    pub(super) fn forget(&self, path: &Path) {
        let mut state = self.state.lock();
        if let Some(old) = state.files.remove(path) {
            state.stored = state.stored.saturating_sub(old.size);
        }
    }

    /// Records that a file was used.
    pub(super) fn touch(&self, path: &Path, now: Timestamp) {
        if let Some(file) = self.state.lock().files.get_mut(path) {
            file.used_at = file.used_at.max(now);
        }
    }

    /// When a file was last used; `None` if this run does not know the file.
    pub(super) fn used_at(&self, path: &Path) -> Option<Timestamp> {
        self.state.lock().files.get(path).map(|file| file.used_at)
    }

    /// Begins an empty set of pins.
    pub(super) fn no_pins(&self) -> Pins {
        let mut state = self.state.lock();
        state.readings += 1;
        Pins { number: state.readings, hasher: state.pinned.hasher.clone(), until: Vec::new() }
    }

    /// Activates a set of pins, unless the active one was begun later.
    pub(super) fn pin(&self, pinned: Pins) {
        let pinned = pinned.ready();
        let mut state = self.state.lock();
        if state.pinned.number < pinned.number {
            state.pinned = pinned;
        }
    }

    pub(super) fn is_pinned(&self, path: &Path, now: Timestamp) -> bool {
        self.state.lock().pinned.have(path, now)
    }

    /// Reserves `bytes`; `None` if the reserved bytes alone would exceed the limit. The caller must then evict the
    /// files that [`Usage::files_to_evict`] returns.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut state = self.state.lock();
        let reserved = state.reserved.checked_add(bytes)?;
        if reserved > self.limit() {
            return None;
        }
        state.reserved = reserved;
        drop(state);
        Some(Reservation { usage: self.clone(), bytes })
    }

    /// The files to evict so that the stored and the reserved bytes fit below the limit: blobs before resources, and
    /// the least recently used first. Files that are pinned at `now` are left out. Empty while everything fits, and
    /// until all files have been counted.
    pub(super) fn files_to_evict(&self, now: Timestamp) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let wanted = state.stored.saturating_add(state.reserved);
        let limit = self.limit();
        if wanted <= limit || !state.counted {
            return Vec::new();
        }
        // Evicts a little more than necessary, so that a full cache does not sort its files for each new one.
        let target = limit - limit / 32;
        let mut files: Vec<_> = state.files.iter().filter(|(path, _)| !state.pinned.have(path, now)).collect();
        files.sort_unstable_by_key(|(_, file)| (file.class, file.used_at));
        let mut left = wanted;
        let mut chosen = Vec::new();
        for (path, file) in files {
            if left <= target.max(state.reserved) {
                break;
            }
            left = left.saturating_sub(file.size);
            chosen.push((path.clone(), file.size));
        }
        chosen
    }
}

impl Reservation {
    /// Increases the reservation; `false` if the limit does not allow it.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let mut state = self.usage.state.lock();
        let Some(reserved) = state.reserved.checked_add(bytes).filter(|reserved| *reserved <= self.usage.limit())
        else {
            return false;
        };
        state.reserved = reserved;
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.usage.state.lock();
        state.reserved = state.reserved.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn reservations_come_back_when_dropped() {
        let usage = Usage::new(100);
        let mut first = usage.reserve(60).unwrap();
        assert!(usage.reserve(41).is_none());
        assert!(first.grow(40));
        assert!(!first.grow(1));
        assert_eq!(first.bytes(), 100);
        drop(first);
        assert!(usage.reserve(100).is_some());
    }

    #[test]
    fn the_least_recently_used_blob_goes_first_and_resources_last() {
        let usage = Usage::new(100);
        usage.record(Path::new("resource"), 40, at(1), Class::Resource);
        usage.record(Path::new("old"), 30, at(2), Class::Blob);
        usage.record(Path::new("new"), 30, at(3), Class::Blob);
        usage.touch(Path::new("old"), at(4));
        let _room = usage.reserve(20);
        assert!(usage.files_to_evict(at(9)).is_empty(), "nothing goes before everything is counted");
        usage.counted();
        let gone: Vec<_> = usage.files_to_evict(at(9)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(gone, [PathBuf::from("new")]);
    }

    #[test]
    fn pins_that_were_read_earlier_do_not_take_the_place_of_later_ones() {
        let usage = Usage::new(0);
        let (mut earlier, mut later) = (usage.no_pins(), usage.no_pins());
        earlier.keep(Path::new("one"), None);
        later.keep(Path::new("one"), None);
        later.keep(Path::new("other"), None);
        usage.pin(later);
        usage.pin(earlier);
        assert!(usage.is_pinned(Path::new("other"), Timestamp::from_secs(1)));
    }

    #[test]
    fn what_is_pinned_stays() {
        let usage = Usage::new(100);
        usage.record(Path::new("pinned"), 60, at(1), Class::Blob);
        usage.record(Path::new("used"), 60, at(2), Class::Blob);
        usage.counted();
        let gone = |now| usage.files_to_evict(at(now)).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let pin = |names: &[(&str, Option<Timestamp>)]| {
            let mut pins = usage.no_pins();
            names.iter().for_each(|(name, until)| pins.keep(Path::new(name), *until));
            usage.pin(pins);
        };
        pin(&[("pinned", Some(at(10)))]);
        assert_eq!(gone(9), [PathBuf::from("used")]);
        assert!(usage.is_pinned(Path::new("pinned"), at(9)));
        assert_eq!(gone(10), [PathBuf::from("pinned")], "its time is over");
        assert!(!usage.is_pinned(Path::new("pinned"), at(10)));
        pin(&[("pinned", None), ("used", None)]);
        assert_eq!(gone(9), Vec::<PathBuf>::new());
        // The longest pin counts.
        for (until, last) in [([Some(2), Some(5), Some(3)], Some(5)), ([Some(9), None, Some(1)], None)] {
            pin(&until.map(|until| ("pinned", until.map(at))));
            let is_pinned = |now| usage.is_pinned(Path::new("pinned"), at(now));
            assert_eq!(last.map(|last| (is_pinned(last - 1), is_pinned(last))), last.map(|_| (true, false)));
            assert_eq!(last.is_none(), is_pinned(1_000_000_000));
        }
        assert_eq!(usage.used_at(Path::new("used")), Some(at(2)));
    }

    #[test]
    fn sizes_are_replaced_not_added() {
        let usage = Usage::new(100);
        usage.record(Path::new("a"), 40, at(1), Class::Blob);
        usage.record(Path::new("a"), 10, at(2), Class::Blob);
        usage.record_found(Path::new("a"), 99, at(0), Class::Blob);
        assert_eq!(usage.stored(), 10);
        usage.forget(Path::new("a"));
        assert_eq!(usage.stored(), 0);
    }
}
