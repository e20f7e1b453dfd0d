//! Backup and restore of the durable files of a store: those that cannot be downloaded again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::publish::{Staging, below, open_plain};
use super::{FORMAT, Store, StoreError, StoreLock, TEMPORARY, walk};

/// Folders in which every file is durable.
const FOLDERS: [&str; 2] = ["keys", "local"];

/// The content of `FORMAT` while a store is being restored. Such a store cannot be opened.
pub(super) const RESTORING: &str = "hexkeep-restore 1\n";

impl Store {
    /// The paths of all durable files except the database, relative to the storage path and sorted. Blocks.
    pub fn durable_files(&self) -> Result<Vec<String>, StoreError> {
        let mut files = Vec::new();
        for folder in FOLDERS {
            let root = self.root.join(folder);
            for (path, _) in walk(&root).map_err(|error| StoreError::new("list a folder", &root, error))? {
                let relative = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
                files.extend(relative.map(str::to_owned));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Opens a durable file. Blocks.
    ///
    /// # Errors
    /// An error of the file system, or a symbolic link in the path, which could lead to any file.
    pub fn open_durable(&self, path: &str) -> Result<fs::File, StoreError> {
        let opened = below(&self.root, path).and_then(|at| open_plain(&at));
        opened.map_err(|error| StoreError::new("read a file", &self.root.join(path), error))
    }

    /// A unique path for a temporary file, which does not exist yet. If this run does not remove the file, the next
    /// start does.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.staging.unused_path(name)
    }
}

/// Whether a backup may contain a file with this path. Such a path never leaves the storage path.
pub fn is_durable_path(path: &str) -> bool {
    let sound = |segment: &str| {
        !segment.is_empty()
            && segment.chars().any(|character| character != '.')
            && segment.chars().all(|character| character.is_ascii_alphanumeric() || "._+-".contains(character))
    };
    let mut segments = path.split('/');
    let in_folder = segments.next().is_some_and(|first| FOLDERS.contains(&first)) && segments.clone().count() > 0;
    in_folder && segments.all(sound)
}

/// A store that is being restored from a backup. It cannot be opened before [`Restoring::finish`].
#[derive(Debug)]
pub struct Restoring {
    root: PathBuf,
    staging: Staging,
    _lock: StoreLock,
}

/// Why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder is not empty: its files would be overwritten.
    #[error("\"{0}\" is not empty; set storage.path to an empty folder, or move these files away")]
    NotEmpty(PathBuf),
    /// An operation of the file system failed.
    #[error(transparent)]
    Disk(#[from] StoreError),
}

impl Restoring {
    /// Begins a restore into the folder that `lock` is for. The folder must be empty, or contain an interrupted
    /// restore. Blocks.
    pub fn begin(lock: StoreLock, disk: Arc<dyn Disk>) -> Result<Self, RestoreError> {
        let root = lock.path().to_path_buf();
        let wrap = |error| StoreError::new("read the storage folder", &root, error);
        let interrupted = fs::read(root.join("FORMAT")).is_ok_and(|found| found == RESTORING.as_bytes());
        for entry in fs::read_dir(&root).map_err(wrap)? {
            let name = entry.map_err(wrap)?.file_name();
            if !interrupted && name != "lock" {
                return Err(RestoreError::NotEmpty(root));
            }
        }
        let staging = Staging::new(root.join(TEMPORARY), disk);
        staging.clean().map_err(wrap)?;
        let restoring = Self { root, staging, _lock: lock };
        restoring.write("FORMAT", &mut RESTORING.as_bytes())?;
        for folder in FOLDERS {
            match fs::remove_dir_all(restoring.root.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(
                        StoreError::new("remove the files of an interrupted restore", &restoring.root, error).into()
                    );
                }
                _ => {}
            }
        }
        Ok(restoring)
    }

    /// Writes one file, completely or not at all. `path` must satisfy [`is_durable_path`], or be a constant of the
    /// program.
    pub fn write(&self, path: &str, from: &mut dyn io::Read) -> Result<(), StoreError> {
        let target = self.root.join(path);
        let mut write = || {
            below(&self.root, path)?;
            let staged = self.staging.create()?;
            staged.append_all(from)?;
            staged.publish(&target)
        };
        write().map_err(|error| StoreError::new("write a file", &target, error))
    }

    /// Completes the restore. From now on the store can be opened.
    pub fn finish(self) -> Result<(), StoreError> {
        self.write("FORMAT", &mut FORMAT.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_durable_folders_are_taken() {
        for path in ["keys/k1.pem", "keys/auth.secret", "local/blobs/ab/abcd", "local/acme/core-1.0.0-rc.1+b.json"] {
            assert!(is_durable_path(path), "{path}");
        }
        for path in [
            "",
            "keys",
            "keys/",
            "/keys/a",
            "keys/../a",
            "keys/..",
            "keys/./a",
            "local//a",
            "state.sqlite",
            "FORMAT",
            "blobs/ab/abcd",
            "keys/a\0b",
            "keys/a b",
            "local/\u{e9}",
            "../keys/a",
            "keys/a/",
        ] {
            assert!(!is_durable_path(path), "{path}");
        }
    }
}
