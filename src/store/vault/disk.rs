//! A vault in the storage folder: `local/blobs/AB/ABCD…` and `local/FOLDER/FILE`.
//!
//! The digest of a file that is named by it is checked. A file with another name is read, written and removed only if
//! its path contains no symbolic link.

use std::fs::{self, DirEntry};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, TryStreamExt as _};

use super::error::{VaultError, blocking};
use super::name::{VaultFolder, VaultName, VaultPath};
use super::{Listed, Prefix, Put, Stat, Vault};
use crate::clock::{Clock, Timestamp};
use crate::hex::checksum::Sha256;
use crate::store::StoreError;
use crate::store::blobs::{BlobLookup, Blobs, Worth};
use crate::store::content::Content;
use crate::store::disk::Disk;
use crate::store::publish::{Staging, below, open_plain};
use crate::store::read_at::StoredFile;
use crate::store::spool::Finished;
use crate::store::usage::Usage;

/// The folder in the store that contains the files.
const FOLDER: &str = "local";

/// A vault in the folder of the store.
#[derive(Clone, Debug)]
pub(in crate::store) struct DiskVault(Arc<Files>);

/// The blocking implementation.
#[derive(Debug)]
struct Files {
    /// The storage path.
    root: PathBuf,
    blobs: Blobs,
    staging: Staging,
    disk: Arc<dyn Disk>,
}

impl DiskVault {
    pub(in crate::store) fn new(root: &Path, staging: Staging, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        // The vault has no size limit, and needs no memory to pass files on.
        let (usage, memory) = (Usage::new(u64::MAX), Usage::new(0));
        let folder = root.join(FOLDER).join("blobs");
        let blobs = Blobs::new(folder, staging.clone(), Arc::clone(&disk), usage, memory, clock, Worth::Durable);
        Self(Arc::new(Files { root: root.to_path_buf(), blobs, staging, disk }))
    }

    /// Runs `work` on a thread that may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, VaultError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, VaultError>> {
        let files = Arc::clone(&self.0);
        Box::pin(blocking(move || work(&files)))
    }
}

impl Vault for DiskVault {
    fn put(&self, file: Put) -> BoxFuture<'_, Result<(), VaultError>> {
        self.blocking(move |files| files.put(file))
    }

    fn put_all(&self, all: Vec<Put>) -> BoxFuture<'_, Result<(), VaultError>> {
        self.blocking(move |files| all.into_iter().try_for_each(|file| files.put(file)))
    }

    fn get(&self, name: VaultName, range: Range<u64>) -> BoxFuture<'_, Result<StoredFile, VaultError>> {
        self.blocking(move |files| Ok(files.open(name)?.part(range)))
    }

    fn stat(&self, name: VaultName) -> BoxFuture<'_, Result<Option<Stat>, VaultError>> {
        self.blocking(move |files| files.stat(&name))
    }

    fn verify_digest(&self, digest: Sha256) -> BoxFuture<'_, Result<(), VaultError>> {
        self.blocking(move |files| match files.blobs.check(&digest)? {
            Some(true) => Ok(()),
            Some(false) => Err(VaultError::Damaged(digest.into())),
            None => Err(VaultError::Missing(digest.into())),
        })
    }

    fn remove(&self, name: VaultName) -> BoxFuture<'_, Result<bool, VaultError>> {
        self.blocking(move |files| files.remove(&name))
    }

    fn list(&self, prefix: Prefix) -> BoxStream<'_, Result<Listed, VaultError>> {
        // Lists folder by folder, so that only the names in one folder are in memory.
        stream::once(self.blocking(move |files| files.places(prefix)))
            .map_ok(|places| stream::iter(places).map(Ok))
            .try_flatten()
            .and_then(|place| self.blocking(move |files| files.names_in(&place)))
            .map_ok(stream::iter)
            .try_flatten()
            .boxed()
    }
}

/// A folder with files of one kind.
enum Place {
    /// The folder of digests that begin with these two digits.
    Digests(String),
    /// Another folder.
    Folder(VaultFolder),
}

impl Files {
    /// The path of a file below the storage path.
    fn relative(name: &VaultName) -> String {
        format!("{FOLDER}/{name}")
    }

    fn put(&self, file: Put) -> Result<(), VaultError> {
        match file {
            Put::File(finished) => self.put_file(finished),
            Put::Bytes(path, bytes) => self.put_bytes(path, &bytes),
        }
    }

    fn put_file(&self, mut finished: Finished) -> Result<(), VaultError> {
        if self.blobs.publish(&mut finished)? { Ok(()) } else { Err(VaultError::Full(None)) }
    }

    fn put_bytes(&self, path: VaultPath, bytes: &Bytes) -> Result<(), VaultError> {
        let relative = Self::relative(&path.into());
        let written = self.staging.write_below(&self.root, &relative, bytes);
        Ok(written.map_err(|error| StoreError::new("write a file", &self.root.join(relative), error))?)
    }

    fn open(&self, name: VaultName) -> Result<StoredFile, VaultError> {
        match name {
            VaultName::Digest(digest) => match self.blobs.open(&digest)? {
                BlobLookup::Found(stored) => Ok(stored),
                BlobLookup::Absent => Err(VaultError::Missing(name)),
                BlobLookup::Damaged => Err(VaultError::Damaged(name)),
            },
            VaultName::Path(_) => {
                let relative = Self::relative(&name);
                let opened = below(&self.root, &relative).and_then(|path| {
                    let file = open_plain(&path)?;
                    Ok((file.metadata()?.len(), file))
                });
                match opened {
                    Ok((length, file)) => {
                        let content = Content::in_file(Arc::new(file), self.blobs.buffers().clone());
                        Ok(StoredFile { content: Arc::new(content), length })
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VaultError::Missing(name)),
                    Err(error) => Err(StoreError::new("read a file", &self.root.join(relative), error).into()),
                }
            }
        }
    }

    fn stat(&self, name: &VaultName) -> Result<Option<Stat>, VaultError> {
        let relative = Self::relative(name);
        let found = match name {
            VaultName::Digest(_) => fs::metadata(self.root.join(&relative)),
            VaultName::Path(_) => below(&self.root, &relative).and_then(fs::symlink_metadata),
        };
        match found {
            Ok(meta) => {
                let used = meta.modified().map(Timestamp::from).unwrap_or_default();
                Ok(Some(Stat { length: meta.len(), used }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::new("read the metadata of a file", &self.root.join(relative), error).into()),
        }
    }

    fn remove(&self, name: &VaultName) -> Result<bool, VaultError> {
        match name {
            VaultName::Digest(digest) => Ok(self.blobs.remove(digest)?),
            VaultName::Path(_) => {
                let relative = Self::relative(name);
                match below(&self.root, &relative).and_then(|path| self.disk.remove(&path)) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(StoreError::new("remove a file", &self.root.join(relative), error).into()),
                }
            }
        }
    }

    /// The folders that contain the files of `prefix`, in the order of the names of these files.
    fn places(&self, prefix: Prefix) -> Result<Vec<Place>, VaultError> {
        let local = self.root.join(FOLDER);
        match prefix {
            Prefix::Folder(folder) => Ok(vec![Place::Folder(folder)]),
            Prefix::Digests => {
                let mut names = folders_in(&local.join("blobs"))?;
                names.sort();
                Ok(names.into_iter().map(Place::Digests).collect())
            }
            Prefix::Folders => {
                let mut folders: Vec<_> =
                    folders_in(&local)?.iter().filter_map(|name| VaultFolder::new(name).ok()).collect();
                // Names of files are compared, in which the name of the folder is followed by a slash.
                folders.sort_by_cached_key(|folder| format!("{}/", folder.as_str()));
                Ok(folders.into_iter().map(Place::Folder).collect())
            }
        }
    }

    fn names_in(&self, place: &Place) -> Result<Vec<Result<Listed, VaultError>>, VaultError> {
        let path = match place {
            Place::Digests(digits) => format!("blobs/{digits}"),
            Place::Folder(folder) => folder.as_str().to_owned(),
        };
        let name_of = |file: &str| match place {
            Place::Digests(_) => Sha256::from_hex(file).ok().map(VaultName::Digest),
            Place::Folder(folder) => folder.file(file).ok().map(VaultName::Path),
        };
        let mut found = Vec::new();
        for entry in entries(&self.root.join(FOLDER).join(&path))? {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let file = entry.file_name().to_string_lossy().into_owned();
            let at = format!("{path}/{file}");
            let name = name_of(&file).filter(|name| name.to_string() == at);
            found.push((name.map_or_else(|| Listed::Stranger(at.clone()), Listed::File), at));
        }
        found.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(found.into_iter().map(|(listed, _)| Ok(listed)).collect())
    }
}

/// The entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> Result<Vec<DirEntry>, VaultError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect),
    };
    Ok(entries.map_err(|error| StoreError::new("list a folder", folder, error))?)
}

/// The names of the folders and the symbolic links in a folder. Symbolic links are rejected when they are read.
fn folders_in(folder: &Path) -> Result<Vec<String>, VaultError> {
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
    let folders = entries(folder)?.into_iter().filter(is_folder);
    Ok(folders.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests;
