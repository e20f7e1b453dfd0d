//! A folder outside the store, such as a mirror or a bundle, in which files are published completely or not at all. All
//! users can read them.
//!
//! Other users may be able to write there too, so symbolic links below the folder are never followed.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::publish::{PIECE, Staged, Staging, below, open_plain};
use super::read_at::StoredFile;
use super::spool::ContentReader;
use super::{Store, StoreError};
use crate::hex::checksum::{Hasher, Sha256};

/// The folder of temporary files.
const STAGING: &str = ".hexkeep-tmp";

/// A folder to publish files in. Methods block. Names are paths below the folder, and must not come from user input.
#[derive(Debug)]
pub struct OutputFolder {
    root: PathBuf,
    staging: Staging,
    disk: Arc<dyn Disk>,
}

impl Store {
    /// Opens a folder to publish files in. Creates it if it does not exist.
    pub fn output(&self, root: &Path) -> Result<OutputFolder, StoreError> {
        let wrap = |error| StoreError::new("use a folder", root, error);
        fs::create_dir_all(root).map_err(wrap)?;
        let staging = Staging::new(root.join(STAGING), Arc::clone(&self.disk));
        staging.clean_among_others().map_err(wrap)?;
        Ok(OutputFolder { root: root.to_path_buf(), staging, disk: Arc::clone(&self.disk) })
    }
}

impl OutputFolder {
    /// Publishes `bytes` under `name`.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut bytes = bytes;
        self.publish(name, &mut bytes)
    }

    /// Publishes a copy of a stored file under `name`.
    pub fn copy(&self, name: &str, stored: &StoredFile) -> Result<(), StoreError> {
        self.publish(name, &mut ContentReader::of(stored))
    }

    /// Publishes the bytes that `fill` writes under `name`, readable only by their owner.
    pub fn write_private<T, E>(&self, name: &str, fill: impl FnOnce(&mut dyn io::Write) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let path = self.path("write a file", name)?;
        let wrap = |error| StoreError::new("write a file", &path, error);
        let staged = self.staging.create().map_err(wrap)?;
        let filled = fill(&mut Appending(&staged))?;
        staged.publish(&path).map_err(wrap)?;
        Ok(filled)
    }

    /// The path of `name`. Fails if any part of it is a symbolic link.
    fn path(&self, operation: &'static str, name: &str) -> Result<PathBuf, StoreError> {
        below(&self.root, name).map_err(|error| StoreError::new(operation, &self.root.join(name), error))
    }

    fn publish(&self, name: &str, from: &mut dyn io::Read) -> Result<(), StoreError> {
        let path = self.path("write a file", name)?;
        let mut publish = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let staged = self.staging.create()?;
            staged.append_all(from)?;
            staged.file().set_permissions(fs::Permissions::from_mode(0o644))?;
            staged.publish(&path)
        };
        publish().map_err(|error| StoreError::new("write a file", &path, error))
    }

    /// Reads the file `name`; `None` if it does not exist or has more than `max` bytes.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path("read a file", name)?;
        let mut bytes = Vec::new();
        match open_plain(&path).and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes)) {
            Ok(_) => Ok((bytes.len() as u64 <= max).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::new("read a file", &path, error)),
        }
    }

    /// The digest of the file `name`; `None` if it does not exist.
    pub fn digest(&self, name: &str) -> Result<Option<Sha256>, StoreError> {
        let path = self.path("read a file", name)?;
        let wrap = |error| StoreError::new("read a file", &path, error);
        let mut file = match open_plain(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrap(error)),
        };
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece).map_err(wrap)?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
        }
        Ok(Some(hasher.finish()))
    }

    /// Whether the file `name` exists.
    pub fn is_there(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.path("look for a file", name)?.exists())
    }

    /// The names of the files in `folder`.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path("list a folder", folder)?;
        let wrap = |error| StoreError::new("list a folder", &path, error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrap(error)),
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        Ok(names.collect::<Result<Vec<_>, _>>().map_err(wrap)?.into_iter().flatten().collect())
    }

    /// Removes the file `name`, if it exists.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path("remove a file", name)?;
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::new("remove a file", &path, error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes to a file that is not published yet.
struct Appending<'a>(&'a Staged);

impl io::Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // This succeeds only if the folder is empty.
        let _ = fs::remove_dir(self.root.join(STAGING));
    }
}
