//! Files addressed by the SHA-256 of their content: `blobs/ab/abcdef…`.
//!
//! The name proves the content. A blob that this process did not write is hashed before its first use. After that it is
//! trusted as long as its length, modification time and inode number stay the same.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;

use super::StoreError;
use super::buffers::Buffers;
use super::content::Content;
use super::disk::Disk;
use super::publish::Staging;
use super::read_at::StoredFile;
use super::spool::{Finished, Spool};
use super::usage::{Class, Usage};
use crate::clock::{Clock, Timestamp};
use crate::hex::checksum::{Hasher, Sha256};

/// How often the modification time of a file is set to the time of its last use, which preserves that time across
/// restarts.
const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// Identifies a file that was already hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    modified: (i64, i64),
    inode: u64,
}

impl From<&Metadata> for FileStamp {
    fn from(meta: &Metadata) -> Self {
        Self { length: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()), inode: meta.ino() }
    }
}

/// The blobs of the cache. Methods block.
#[derive(Debug)]
pub struct Blobs {
    root: PathBuf,
    staging: Staging,
    disk: Arc<dyn Disk>,
    usage: Usage,
    memory: Usage,
    buffers: Buffers,
    clock: Arc<dyn Clock>,
    proven: Mutex<HashMap<Sha256, FileStamp>>,
    worth: Worth,
}

/// Whether the files can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The files can be downloaded again.
    Derived,
    /// There is no other copy. A damaged file is kept, so that an operator can repair it.
    Durable,
}

/// The result of opening a blob.
#[derive(Debug)]
pub enum BlobLookup {
    /// The blob exists, and its content matches its name.
    Found(StoredFile),
    /// The blob does not exist.
    Absent,
    /// The content did not match the name. A file of the cache has been removed.
    Damaged,
}

/// The result of [`Blobs::store_file`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The file was stored.
    Stored,
    /// The file already existed.
    AlreadyStored,
}

/// Why a file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreFileError {
    /// The disk failed, or the file does not fit below the limit of the cache.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source of the file failed.
    #[error("cannot read the whole file")]
    Read(#[source] io::Error),
    /// The file has another digest.
    #[error("the file does not have the expected digest; its digest is {actual}")]
    Digest {
        /// The digest of the file.
        actual: Sha256,
    },
}

impl Blobs {
    pub(super) fn new(
        root: PathBuf,
        staging: Staging,
        disk: Arc<dyn Disk>,
        usage: Usage,
        memory: Usage,
        clock: Arc<dyn Clock>,
        worth: Worth,
    ) -> Self {
        let buffers = Buffers::default();
        Self { root, staging, disk, usage, memory, buffers, clock, proven: Mutex::default(), worth }
    }

    /// The buffers for reading the files.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    pub(super) fn path(&self, digest: &Sha256) -> PathBuf {
        let name = digest.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Opens a blob. Hashes it first if this process has not done so yet.
    pub fn open(&self, digest: &Sha256) -> Result<BlobLookup, StoreError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another program may have removed the file. It no longer takes space.
                self.usage.forget(&path);
                return Ok(BlobLookup::Absent);
            }
            Err(error) => return Err(StoreError::new("open a cached file", &path, error)),
        };
        let meta =
            file.metadata().map_err(|error| StoreError::new("read the metadata of a cached file", &path, error))?;
        let stamp = FileStamp::from(&meta);
        let proven = self.proven.lock().get(digest) == Some(&stamp);
        if !proven {
            let actual = hash(&file).map_err(|error| StoreError::new("read a cached file", &path, error))?;
            if actual != *digest && self.worth == Worth::Durable {
                tracing::error!(
                    %digest, %actual, path = %path.display(),
                    "a file of a local repository is damaged; restore it from a backup"
                );
                return Ok(BlobLookup::Damaged);
            }
            if actual != *digest {
                tracing::error!(%digest, %actual, "a cached file is damaged; it is removed and will be downloaded again");
                self.remove(digest)?;
                return Ok(BlobLookup::Damaged);
            }
        }
        self.mark_used(digest, &path, &file, stamp);
        let content = Arc::new(Content::in_file(Arc::new(file), self.buffers.clone()));
        Ok(BlobLookup::Found(StoredFile { content, length: meta.len() }))
    }

    /// The length of a blob, without checking its content; `None` if it does not exist.
    pub fn length(&self, digest: &Sha256) -> Option<u64> {
        self.path(digest).metadata().ok().map(|meta| meta.len())
    }

    /// When a blob was last written or used, with a precision of one hour; `None` if it does not exist.
    pub fn written(&self, digest: &Sha256) -> Option<Timestamp> {
        let meta = self.path(digest).metadata().ok()?;
        Some(Timestamp::from_secs(u64::try_from(meta.mtime()).unwrap_or_default()))
    }

    /// When a blob was last used, with a precision of one hour if that was before the last start; `None` if it does not
    /// exist.
    pub fn used(&self, digest: &Sha256) -> Option<Timestamp> {
        let written = self.written(digest)?;
        Some(self.usage.used_at(&self.path(digest)).map_or(written, |used| used.max(written)))
    }

    fn mark_used(&self, digest: &Sha256, path: &Path, file: &File, mut stamp: FileStamp) {
        let now = self.clock.now();
        self.usage.touch(path, now);
        let written = Timestamp::from_secs(u64::try_from(stamp.modified.0).unwrap_or_default());
        if now.since(written) > TOUCH_EVERY {
            let time = UNIX_EPOCH + Duration::from_millis(now.as_millis());
            // Errors are ignored: only the order of eviction after a restart depends on this time.
            if file.set_modified(time).is_ok()
                && let Ok(meta) = file.metadata()
            {
                stamp = FileStamp::from(&meta);
            }
        }
        self.proven.lock().insert(*digest, stamp);
    }

    /// Records that a blob was used without opening it, because its bytes were in memory.
    pub fn touch(&self, digest: &Sha256) {
        self.usage.touch(&self.path(digest), self.clock.now());
    }

    /// Begins to store a body of `expected` bytes, if the size is known. Other files are evicted to make room. If there
    /// is no room, or the disk fails, the body is passed on without being stored.
    pub fn begin(&self, expected: Option<u64>) -> Spool {
        let room = self.usage.reserve(expected.unwrap_or_default());
        if room.is_some() {
            self.evict();
        }
        Spool::begin(&self.staging, &self.buffers, room, self.memory.clone())
    }

    /// Publishes a complete body under its digest; `false` if it was not stored.
    pub fn publish(&self, finished: &mut Finished) -> Result<bool, StoreError> {
        let Some(staged) = finished.staged.take() else { return Ok(false) };
        let path = self.path(finished.digest());
        let file = Arc::clone(staged.file());
        staged.publish(&path).map_err(|error| StoreError::new("store a file", &path, error))?;
        // From here on the bytes count as stored, no longer as reserved.
        finished.room = None;
        self.usage.record(&path, finished.length(), self.clock.now(), Class::Blob);
        if let Ok(meta) = file.metadata() {
            self.proven.lock().insert(*finished.digest(), FileStamp::from(&meta));
        }
        self.evict();
        Ok(true)
    }

    /// Stores a file of `size` bytes that is read from `from`, if its digest is `digest`. Nothing is stored if the
    /// digest differs, `from` ends early, or there is no room. If a valid file already exists, nothing is read.
    pub fn store_file(
        &self,
        digest: &Sha256,
        size: u64,
        from: &mut dyn io::Read,
    ) -> Result<StoreOutcome, StoreFileError> {
        if matches!(self.open(digest)?, BlobLookup::Found(there) if there.length == size) {
            return Ok(StoreOutcome::AlreadyStored);
        }
        let path = self.path(digest);
        let wrap = |error| StoreError::new("store a file", &path, error);
        let room = self.usage.reserve(size);
        let room = room.ok_or_else(|| wrap(io::Error::new(io::ErrorKind::QuotaExceeded, super::OverLimit)))?;
        self.evict();
        let staged = self.staging.create().map_err(wrap)?;
        let (mut hasher, mut piece, mut left) = (Hasher::new(), vec![0; 256 * 1024], size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let read = from.read(piece.get_mut(..most).unwrap_or_default()).map_err(StoreFileError::Read)?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Err(StoreFileError::Read(io::ErrorKind::UnexpectedEof.into()));
            };
            hasher.update(bytes);
            staged.append(bytes).map_err(wrap)?;
            left -= read as u64;
        }
        let actual = hasher.finish();
        if actual != *digest {
            return Err(StoreFileError::Digest { actual });
        }
        let file = Arc::clone(staged.file());
        staged.publish(&path).map_err(wrap)?;
        drop(room);
        self.usage.record(&path, size, self.clock.now(), Class::Blob);
        if let Ok(meta) = file.metadata() {
            self.proven.lock().insert(*digest, FileStamp::from(&meta));
        }
        Ok(StoreOutcome::Stored)
    }

    /// Removes a blob. Returns whether it existed.
    pub fn remove(&self, digest: &Sha256) -> Result<bool, StoreError> {
        self.proven.lock().remove(digest);
        super::remove_file(&*self.disk, &self.usage, &self.path(digest))
    }

    /// Evicts files until the cache is below its limit. Returns the number of evicted files.
    pub fn evict(&self) -> usize {
        super::evict(&*self.disk, &self.usage, self.clock.now())
    }

    /// Every file in the folder, with the digest from its name; `None` if the name or the place is not that of a blob.
    pub(super) fn walk(&self) -> io::Result<Vec<(PathBuf, Option<Sha256>)>> {
        let mut found = Vec::new();
        for (path, _) in super::walk(&self.root)? {
            let digest = path.file_name().and_then(|name| name.to_str()).and_then(|name| Sha256::from_hex(name).ok());
            let placed = digest.filter(|digest| self.path(digest) == path);
            found.push((path, placed));
        }
        Ok(found)
    }

    /// Hashes a blob, even if it was hashed before. Returns whether its content matches its name; `None` if it does not
    /// exist.
    pub fn check(&self, digest: &Sha256) -> Result<Option<bool>, StoreError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::new("open a cached file", &path, error)),
        };
        let actual = hash(&file).map_err(|error| StoreError::new("read a cached file", &path, error))?;
        Ok(Some(actual == *digest))
    }
}

fn hash(mut file: &File) -> io::Result<Sha256> {
    use io::Read as _;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(hasher.finish())
}
