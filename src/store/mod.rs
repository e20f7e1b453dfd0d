//! The store: files and records in the storage folder. It does not interpret their contents.
//!
//! ```text
//! STORAGE/FORMAT        the version of the layout
//! STORAGE/lock          locked by the process that has the store open
//! STORAGE/tmp/          files that are being written; emptied at start
//! STORAGE/blobs/        files by digest
//! STORAGE/registry/     signed resources of upstreams, by name
//! STORAGE/sealed/       resources signed here, by name
//! STORAGE/lists/        lists of installers, by name
//! STORAGE/answers/      answers of upstreams' APIs, by digest of the request
//! STORAGE/dumps/        dumps of advisories, which are not signed
//! STORAGE/index/        the cache index
//! STORAGE/local/blobs/  files of local repositories by digest; no other copy exists
//! STORAGE/local/KEY/    the metadata of each release of a local repository
//! ```
//!
//! All files are written through one function, completely or not at all. The content of a file proves that it is valid
//! (by a digest or a signature), so files stay usable if the cache index is lost.

pub mod blobs;
mod buffers;
mod content;
pub mod disk;
pub mod durable_files;
pub mod index;
mod lock;
pub mod output;
mod pins;
mod publish;
pub mod read_at;
pub mod slots;
pub mod spool;
mod usage;
pub mod vault;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::pins::PinnedFiles;
pub use self::read_at::StoredFile;

use self::blobs::{Blobs, Worth};
use self::disk::Disk;
use self::index::{CacheIndex, MemoryIndex, SledIndex};
pub use self::lock::StoreLock;
use self::publish::{Staging, warn_of_shared_folders};
use self::slots::{Area, Slots};
use self::usage::{Class, Usage};
use self::vault::{DiskVault, Vault};
use crate::clock::{Clock, Timestamp};
use crate::hex::checksum::Sha256;
use crate::size::ByteSize;
use crate::telemetry::metrics::Metrics;

/// The folder of temporary files, below the storage path.
const TEMPORARY: &str = "tmp";

const FORMAT: &str = "hexkeep-store 1\n";

/// Memory for bodies that are passed on to clients without being stored, while the disk is full or fails.
const PASS_THROUGH_MEMORY: u64 = 128 * 1024 * 1024;

/// An operation on the store failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} ({path})")]
pub struct StoreError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl StoreError {
    fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }

    /// Whether the disk is full.
    fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether the file does not fit below the limit of the cache.
    pub fn is_over_limit(&self) -> bool {
        self.source.get_ref().is_some_and(|error| error.is::<OverLimit>())
    }
}

/// The file alone is larger than `storage.cache_limit`.
#[derive(Debug, thiserror::Error)]
#[error("it is larger than storage.cache_limit")]
struct OverLimit;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the store.
    #[error(
        "the store in \"{0}\" is in use by another hexkeep process; stop that process, or set another storage.path"
    )]
    InUse(PathBuf),
    /// The store has a format that this version does not know.
    #[error(
        "the store in \"{path}\" has the format \"{found}\", which this version does not support; use the version that wrote it, or set another storage.path"
    )]
    Format {
        /// The storage path.
        path: PathBuf,
        /// The content of the `FORMAT` file.
        found: String,
    },
    /// The store is incomplete: it is being restored from a backup.
    #[error("a restore into \"{0}\" was interrupted; run the restore command again")]
    Restoring(PathBuf),
    /// An operation of the file system failed.
    #[error(transparent)]
    Disk(#[from] StoreError),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    /// Cached files by digest.
    pub blobs: Blobs,
    /// Files of local repositories. The limit of the cache does not apply to them, and they are never evicted.
    pub local: Box<dyn Vault>,
    /// Cached files by name.
    pub slots: Slots,
    /// The cache index.
    pub index: Box<dyn CacheIndex>,
    root: PathBuf,
    staging: Staging,
    disk: Arc<dyn Disk>,
    usage: Usage,
    clock: Arc<dyn Clock>,
    _lock: StoreLock,
}

impl Store {
    /// Opens the store that `lock` is for: checks its format, removes temporary files that a crash left, and opens the
    /// cache index. Call [`Store::count`] afterwards, on another thread if the first request should not wait for it.
    pub fn open(
        lock: StoreLock,
        limit: ByteSize,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, OpenError> {
        let root = lock.path().to_path_buf();
        let staging = Staging::new(root.join(TEMPORARY), Arc::clone(&disk));
        let removed =
            staging.clean().map_err(|error| StoreError::new("empty the folder of temporary files", &root, error))?;
        if removed > 0 {
            tracing::info!(removed, "removed incomplete files that the previous run left");
        }
        check_format(&root, &staging)?;
        warn_of_shared_folders(&root);
        let mut usage = Usage::new(limit.bytes());
        usage.evicted = metrics.evicted.clone();
        let blobs = Blobs::new(
            root.join("blobs"),
            staging.clone(),
            Arc::clone(&disk),
            usage.clone(),
            Usage::new(PASS_THROUGH_MEMORY),
            Arc::clone(&clock),
            Worth::Derived,
        );
        let local = DiskVault::new(&root, staging.clone(), Arc::clone(&disk), Arc::clone(&clock));
        let slots = Slots::new(root.clone(), staging.clone(), Arc::clone(&disk), usage.clone(), Arc::clone(&clock));
        let index: Box<dyn CacheIndex> = match SledIndex::open(&root.join("index")) {
            Ok(index) => Box::new(index),
            Err(error) => {
                // Cached files prove themselves. Without the index, each must be revalidated with its upstream.
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot open the cache index; using an index in memory until the next start");
                Box::new(MemoryIndex::default())
            }
        };
        Ok(Self { blobs, local: Box::new(local), slots, index, root, staging, disk, usage, clock, _lock: lock })
    }

    /// Counts the existing files, so that the limit of the cache can be enforced. Blocks.
    pub fn count(&self) -> Result<(), StoreError> {
        for (folder, class) in [
            ("blobs", Class::Blob),
            ("registry", Class::Resource),
            ("sealed", Class::Resource),
            ("lists", Class::Resource),
            ("answers", Class::Blob),
            ("dumps", Class::Resource),
        ] {
            let root = self.root.join(folder);
            for (path, meta) in walk(&root).map_err(|error| StoreError::new("list a folder", &root, error))? {
                let used_at = meta.modified().map(Timestamp::from).unwrap_or_default();
                self.usage.record_found(&path, meta.len(), used_at, class);
            }
        }
        self.usage.counted();
        evict(&*self.disk, &self.usage, self.clock.now());
        Ok(())
    }

    /// Changes the limit of the cache, and evicts files above it. Blocks.
    pub fn set_limit(&self, limit: ByteSize) {
        self.usage.set_limit(limit.bytes());
        evict(&*self.disk, &self.usage, self.clock.now());
    }

    /// The size of the cached files that have been counted, in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.usage.stored()
    }

    /// The storage path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes an internal file that only its owner may read, such as a key. `name` is a path below the storage path and
    /// must not come from user input. A file that has the same bytes is left unchanged.
    pub fn write_own(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.staging.write_below(&self.root, name, bytes);
        written.map_err(|error| StoreError::new("write a file", &self.root.join(name), error))
    }

    /// Removes a file that [`Store::write_own`] wrote.
    pub fn remove_own(&self, name: &str) -> Result<(), StoreError> {
        remove_file(&*self.disk, &self.usage, &self.root.join(name)).map(drop)
    }

    /// The digests of all blobs, taken from their names, and the other files in the folder of blobs.
    pub fn blobs_found(&self) -> Result<(Vec<Sha256>, Vec<PathBuf>), StoreError> {
        let found = self.blobs.walk().map_err(|error| StoreError::new("list a folder", &self.root, error))?;
        let mut digests = Vec::new();
        let mut strangers = Vec::new();
        for (path, digest) in found {
            match digest {
                Some(digest) => digests.push(digest),
                None => strangers.push(path),
            }
        }
        Ok((digests, strangers))
    }

    /// Removes a file that does not belong to the store.
    pub fn remove_unknown_file(&self, path: &Path) -> Result<(), StoreError> {
        remove_file(&*self.disk, &self.usage, path).map(drop)
    }

    /// All slots of an area; see [`Slots::walk`].
    pub fn slots_found(&self, area: Area) -> Result<(Vec<slots::Slot>, Vec<PathBuf>), StoreError> {
        self.slots.walk(area)
    }
}

fn check_format(root: &Path, staging: &Staging) -> Result<(), OpenError> {
    let path = root.join("FORMAT");
    let mut found = String::new();
    match File::open(&path) {
        Ok(file) => {
            file.take(64)
                .read_to_string(&mut found)
                .map_err(|e| StoreError::new("read the store's format", &path, e))?;
            if found == durable_files::RESTORING {
                return Err(OpenError::Restoring(root.to_path_buf()));
            }
            if found != FORMAT {
                return Err(OpenError::Format { path: root.to_path_buf(), found: found.trim().to_owned() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let stamp = || {
                let staged = staging.create()?;
                staged.file().as_ref().write_all(FORMAT.as_bytes())?;
                staged.publish(&path)
            };
            stamp().map_err(|error| StoreError::new("write the store's format", &path, error))?;
        }
        Err(error) => return Err(StoreError::new("read the store's format", &path, error).into()),
    }
    Ok(())
}

/// All regular files below `root`; none if the folder does not exist.
fn walk(root: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // The file was replaced or evicted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.path(), meta));
            }
        }
    }
    Ok(files)
}

fn remove_file(disk: &dyn Disk, usage: &Usage, path: &Path) -> Result<bool, StoreError> {
    match disk.remove(path) {
        Ok(()) => {
            usage.forget(path);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            usage.forget(path);
            Ok(false)
        }
        Err(error) => Err(StoreError::new("remove a cached file", path, error)),
    }
}

fn evict(disk: &dyn Disk, usage: &Usage, now: Timestamp) -> usize {
    let mut gone = 0;
    for (path, _) in usage.files_to_evict(now) {
        match remove_file(disk, usage, &path) {
            Ok(_) => {
                usage.evicted.inc();
                gone += 1;
            }
            Err(error) => tracing::warn!(%error, "cannot remove a file from the cache"),
        }
    }
    if gone > 0 {
        tracing::info!(files = gone, "evicted cached files to stay below storage.cache_limit");
    }
    gone
}
