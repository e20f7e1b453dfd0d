//! The one process that uses a store.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{OpenError, StoreError, publish};

/// The right to use the store in a folder: a lock on its `lock` file, released when dropped or when the process ends.
#[derive(Debug)]
pub struct StoreLock {
    path: PathBuf,
    file: File,
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // A process that is being started shares the open file for a moment: closing ours alone would not let go.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the store stays locked until this process ends");
        }
    }
}

impl StoreLock {
    /// Whether another process has the lock; makes nothing.
    pub fn is_held(path: &Path) -> bool {
        File::open(path.join("lock")).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Whether there is a store in this folder; makes nothing.
    pub fn is_there(path: &Path) -> bool {
        path.join("lock").exists()
    }

    /// The store's folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock, making the folder (mode 0700) if need be.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let wrap = |operation, error| StoreError::new(operation, path, error);
        if !path.exists() {
            publish::make_private(path).map_err(|error| wrap("make the storage folder", error))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|error| wrap("open the lock file", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), file }),
            Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_path_buf())),
            Err(fs::TryLockError::Error(error)) => Err(wrap("lock the store", error).into()),
        }
    }
}
