//! The lock that ensures that only one process uses a store.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{OpenError, StoreError, publish};

/// The lock on a store. It locks the file `lock` in the folder of the store, and is released when it is dropped or the
/// process ends.
#[derive(Debug)]
pub struct StoreLock {
    path: PathBuf,
    file: File,
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // A child process that is being started shares the open file for a moment, so closing the file would not
        // release the lock.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "cannot unlock the store; it stays locked until this process ends");
        }
    }
}

impl StoreLock {
    /// Whether another process has the lock. Creates no files.
    pub fn is_held(path: &Path) -> bool {
        File::open(path.join("lock")).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Whether the folder contains a store. Creates no files.
    pub fn is_there(path: &Path) -> bool {
        path.join("lock").exists()
    }

    /// The folder of the store.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock. Creates the folder (mode 0700) if it does not exist.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let wrap = |operation, error| StoreError::new(operation, path, error);
        if !path.exists() {
            publish::make_private(path).map_err(|error| wrap("create the storage folder", error))?;
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
