//! A disk that fails when a test says so.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hexkeep::store::disk::{Disk, RealDisk};
use parking_lot::{Condvar, Mutex};

/// The machine's disk, with switches.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    /// No new files can be made.
    pub(crate) no_new_files: AtomicBool,
    /// Bytes that may still be written before the disk is full, where `limited` is set.
    pub(crate) room: AtomicU64,
    /// Whether `room` counts.
    pub(crate) limited: AtomicBool,
    /// Syncing a file fails.
    pub(crate) no_sync: AtomicBool,
    /// Renaming fails.
    pub(crate) no_rename: AtomicBool,
    /// How often files may be renamed until renaming takes as long as the test wants.
    renames: Mutex<Option<u32>>,
    let_on: Condvar,
    /// How many wait for that.
    waiting: AtomicUsize,
}

impl FaultyDisk {
    /// From now on only `bytes` more fit.
    pub(crate) fn fill_up_after(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
        self.limited.store(true, Ordering::SeqCst);
    }

    /// From now on only so many files are renamed; who renames the next waits until [`FaultyDisk::heal`].
    pub(crate) fn hold_renames_after(&self, count: u32) {
        *self.renames.lock() = Some(count);
    }

    /// Lets those go on who wait to rename a file.
    pub(crate) fn let_renames_on(&self) {
        *self.renames.lock() = None;
        self.let_on.notify_all();
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        for switch in [&self.no_new_files, &self.limited, &self.no_sync, &self.no_rename] {
            switch.store(false, Ordering::SeqCst);
        }
        self.let_renames_on();
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        if self.no_new_files.load(Ordering::SeqCst) { Err(full()) } else { RealDisk.create(path) }
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if self.limited.load(Ordering::SeqCst) {
            let take = |room: u64| room.checked_sub(bytes.len() as u64);
            if self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
                return Err(full());
            }
        }
        RealDisk.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.no_sync.load(Ordering::SeqCst) { Err(io::Error::other("EIO")) } else { RealDisk.sync(file) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut left = self.renames.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.let_on.wait_while(&mut left, |left| *left == Some(0));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(count) = &mut *left {
            *count -= 1;
        }
        drop(left);
        if self.no_rename.load(Ordering::SeqCst) { Err(io::Error::other("EIO")) } else { RealDisk.rename(from, to) }
    }
}
