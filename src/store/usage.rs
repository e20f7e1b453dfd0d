//! How many bytes the cache holds, who was used last, and what has to go.
//!
//! Bytes are reserved before they are written and released when the reservation is dropped. The account is kept in
//! memory and made anew at start by walking the folders; until that walk is done nothing is evicted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::clock::Timestamp;

/// What kind of file this is, which decides who goes first: a blob can be fetched again by its digest at any time,
/// while a registry resource is the last good copy of something that may have changed.
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

/// The account. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    limit: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
    /// Files evicted so far.
    pub(super) evicted: Counter,
}

/// Files that stay, and until when; `None`: for ever.
pub(super) type Pins = HashMap<PathBuf, Option<Timestamp>>;

fn lasts(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| now < until)
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<PathBuf, File>,
    /// Files that stay, there or not, and how long.
    pinned: Pins,
    stored: u64,
    reserved: u64,
    counted: bool,
}

/// Bytes that somebody is about to write; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    usage: Usage,
    bytes: u64,
}

impl Usage {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit: Arc::new(AtomicU64::new(limit)), state: Arc::default(), evicted: Counter::default() }
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// From now on so many bytes may be stored.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes stored now.
    pub(super) fn stored(&self) -> u64 {
        self.state.lock().stored
    }

    /// Says that all files that were there at start have been recorded.
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

    /// Records a file found at start, unless something newer is known of it.
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

    /// Says that a file was used.
    pub(super) fn touch(&self, path: &Path, now: Timestamp) {
        if let Some(file) = self.state.lock().files.get_mut(path) {
            file.used_at = file.used_at.max(now);
        }
    }

    /// When a file was used last, as far as this run knows.
    pub(super) fn used_at(&self, path: &Path) -> Option<Timestamp> {
        self.state.lock().files.get(path).map(|file| file.used_at)
    }

    /// Replaces the files that stay whatever the limit says.
    pub(super) fn pin(&self, pinned: Pins) {
        self.state.lock().pinned = pinned;
    }

    pub(super) fn is_pinned(&self, path: &Path, now: Timestamp) -> bool {
        self.state.lock().pinned.get(path).is_some_and(|until| lasts(*until, now))
    }

    /// Reserves `bytes` if they can fit below the limit at all; the caller evicts what [`Usage::excess`] then names.
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

    /// The files to remove, least recently used first and blobs before resources, so that what is stored and reserved
    /// fits; never one that is pinned at `now`. Empty while everything fits, and until the files have been counted.
    pub(super) fn excess(&self, now: Timestamp) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let wanted = state.stored.saturating_add(state.reserved);
        let limit = self.limit();
        if wanted <= limit || !state.counted {
            return Vec::new();
        }
        // A little more than needed, so that a store at its limit does not sort its files for each new one.
        let target = limit - limit / 32;
        let stays = |path: &PathBuf| state.pinned.get(path).is_some_and(|until| lasts(*until, now));
        let mut files: Vec<_> = state.files.iter().filter(|(path, _)| !stays(path)).collect();
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
    /// Makes the reservation larger; `false` where the limit does not allow it.
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
        assert!(usage.excess(at(9)).is_empty(), "nothing goes before everything is counted");
        usage.counted();
        let gone: Vec<_> = usage.excess(at(9)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(gone, [PathBuf::from("new")]);
    }

    #[test]
    fn what_is_pinned_stays() {
        let usage = Usage::new(100);
        usage.record(Path::new("pinned"), 60, at(1), Class::Blob);
        usage.record(Path::new("used"), 60, at(2), Class::Blob);
        usage.counted();
        let gone = |now| usage.excess(at(now)).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        usage.pin([(PathBuf::from("pinned"), Some(at(10)))].into());
        assert_eq!(gone(9), [PathBuf::from("used")]);
        assert!(usage.is_pinned(Path::new("pinned"), at(9)));
        assert_eq!(gone(10), [PathBuf::from("pinned")], "its time is over");
        assert!(!usage.is_pinned(Path::new("pinned"), at(10)));
        usage.pin(["pinned", "used"].map(|name| (PathBuf::from(name), None)).into());
        assert_eq!(gone(9), Vec::<PathBuf>::new());
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
