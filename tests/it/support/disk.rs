//! A disk that fails when a test says so.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hexkeep::store::disk::{Disk, RealDisk};

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
}

impl FaultyDisk {
    /// From now on only `bytes` more fit.
    pub(crate) fn fill_up_after(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
        self.limited.store(true, Ordering::SeqCst);
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        for switch in [&self.no_new_files, &self.limited, &self.no_sync, &self.no_rename] {
            switch.store(false, Ordering::SeqCst);
        }
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
        if self.no_rename.load(Ordering::SeqCst) { Err(io::Error::other("EIO")) } else { RealDisk.rename(from, to) }
    }
}
