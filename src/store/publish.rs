//! Durable publish: the only rename in the program.
//!
//! A file is written under a temporary name on the same file system, synced, renamed over its final name, and the
//! folders on the way are synced. After a crash at any point the final name holds the old content or the new one,
//! whole; a temporary file that is left is removed at the next start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Disk;

/// Where temporary files are made.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    next: Arc<AtomicU64>,
}

impl Staging {
    pub(super) fn new(folder: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { folder, disk, next: Arc::new(AtomicU64::new(0)) }
    }

    /// Makes the folder and empties it: whatever is in it was left by a crash. The caller holds the store's lock.
    pub(super) fn clean(&self) -> io::Result<usize> {
        make_private(&self.folder)?;
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            self.disk.remove(&entry?.path())?;
            removed += 1;
        }
        Ok(removed)
    }

    /// A new, empty temporary file; removed when dropped unless it is published.
    pub(super) fn create(&self) -> io::Result<Staged> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}", std::process::id()));
        let file = Arc::new(self.disk.create(&path)?);
        Ok(Staged { path: Some(path), file, disk: Arc::clone(&self.disk) })
    }
}

/// A temporary file. Blocking; drop removes it.
#[derive(Debug)]
pub(super) struct Staged {
    path: Option<PathBuf>,
    file: Arc<File>,
    disk: Arc<dyn Disk>,
}

impl Staged {
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(&self.file, bytes)
    }

    /// Moves the file to `target`, durably. On an error the temporary file is removed and `target` is as it was, or,
    /// where only the last sync failed, already new.
    pub(super) fn publish(mut self, target: &Path) -> io::Result<()> {
        let folder = target.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let made = make_folders(folder)?;
        self.disk.sync(&self.file)?;
        if let Some(path) = &self.path {
            self.disk.rename(path, target)?;
        }
        self.path = None;
        self.disk.sync_dir(folder)?;
        for parent in made {
            self.disk.sync_dir(&parent)?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = self.disk.remove(&path)
        {
            tracing::warn!(%error, "a temporary file could not be removed; the next start removes it");
        }
    }
}

/// Makes `folder` and its parents where they are missing, for the daemon's own user: the storage path itself may be
/// one that was there before and is open to others.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes `folder` and says which existing parents got a new entry.
fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    let mut missing = folder;
    while !missing.exists() {
        let Some(parent) = missing.parent() else { break };
        changed.push(parent.to_path_buf());
        missing = parent;
    }
    if !changed.is_empty() {
        make_private(folder)?;
    }
    Ok(changed)
}
