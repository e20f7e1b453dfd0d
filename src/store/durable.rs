//! The durable files of a store as a whole: what a backup holds, and a store that is being made from one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::publish::{Staging, below, open_plain};
use super::{FORMAT, Store, StoreError, StoreLock, walk};

/// Folders in which every file is durable.
const FOLDERS: [&str; 2] = ["keys", "local"];

/// What `FORMAT` says while a store is being restored: nobody opens it.
pub(super) const RESTORING: &str = "hexkeep-restore 1\n";

/// Bytes that are moved at a time.
const PIECE: usize = 256 * 1024;

impl Store {
    /// The path of every durable file beside the database, below the storage path; sorted. Blocks.
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

    /// Opens one of them. Blocks.
    ///
    /// # Errors
    /// Besides those of reading: where its path leads through a symbolic link, which may lead to anything.
    pub fn open_durable(&self, path: &str) -> Result<fs::File, StoreError> {
        let opened = below(&self.root, path).and_then(|at| open_plain(&at));
        opened.map_err(|error| StoreError::new("read a file", &self.root.join(path), error))
    }

    /// A path below the storage path for a file of this run, which is not there and is given to nobody else. The next
    /// start removes the file if this run does not.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.staging.unused_path(name)
    }
}

/// Whether `path` is one that a backup may hold, and so stays below the storage path.
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

/// A store that is being made from a backup. Until [`Restoring::finish`] it cannot be opened.
#[derive(Debug)]
pub struct Restoring {
    root: PathBuf,
    staging: Staging,
    _lock: StoreLock,
}

/// Why a store cannot be made from a backup.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something that would be lost.
    #[error("{0} is not empty; give a storage.path that is, or move what is there away")]
    NotEmpty(PathBuf),
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] StoreError),
}

impl Restoring {
    /// Begins, in the empty folder that `lock` is for, or where an earlier attempt was interrupted. Blocks.
    pub fn begin(lock: StoreLock, disk: Arc<dyn Disk>) -> Result<Self, RestoreError> {
        let root = lock.path().to_path_buf();
        let wrap = |error| StoreError::new("look at the storage folder", &root, error);
        let interrupted = fs::read(root.join("FORMAT")).is_ok_and(|found| found == RESTORING.as_bytes());
        for entry in fs::read_dir(&root).map_err(wrap)? {
            let name = entry.map_err(wrap)?.file_name();
            if !interrupted && name != "lock" {
                return Err(RestoreError::NotEmpty(root));
            }
        }
        let staging = Staging::new(root.join("tmp"), disk);
        staging.clean().map_err(wrap)?;
        let restoring = Self { root, staging, _lock: lock };
        restoring.write("FORMAT", &mut RESTORING.as_bytes())?;
        for folder in FOLDERS {
            match fs::remove_dir_all(restoring.root.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::new("remove what was restored before", &restoring.root, error).into());
                }
                _ => {}
            }
        }
        Ok(restoring)
    }

    /// Writes one file, whole; `path` has been looked at by [`is_durable_path`], or is one that this program made up.
    pub fn write(&self, path: &str, from: &mut dyn io::Read) -> Result<(), StoreError> {
        let target = self.root.join(path);
        let mut write = || {
            below(&self.root, path)?;
            let staged = self.staging.create()?;
            let mut piece = vec![0; PIECE];
            loop {
                let read = from.read(&mut piece)?;
                let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
                staged.append(bytes)?;
            }
            staged.publish(&target)
        };
        write().map_err(|error| StoreError::new("write a file", &target, error))
    }

    /// Everything is there: from now on it is a store.
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
