//! The cache index: small records about cached files, in trees of keys and values.
//!
//! Records are derived data. A lost record costs one request to an upstream, so records need not be on the disk before
//! an answer is sent. A damaged index is deleted and rebuilt.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;

use super::publish::make_private;

/// A kind of record. The name of a tree in the index never changes its meaning; see `docs/STORE-FORMAT.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// When registry slots were last confirmed by their upstream.
    Registry,
    /// The inputs from which a sealed slot was built.
    Sealed,
    /// The docs of a release.
    Docs,
    /// The outer checksum of a tarball whose index lists only the inner one, or the SHA-256 of an installer by its
    /// SHA-512.
    Inner,
    /// The licences that a tarball states.
    Licences,
    /// When lists of installers were last confirmed by their upstream.
    Lists,
    /// How far a mirror has downloaded a package.
    Mirror,
}

impl Tree {
    /// All trees.
    pub const ALL: [Self; 7] =
        [Self::Registry, Self::Sealed, Self::Docs, Self::Inner, Self::Licences, Self::Lists, Self::Mirror];

    fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Sealed => "sealed",
            Self::Docs => "docs",
            Self::Inner => "inner",
            Self::Licences => "licences",
            Self::Lists => "lists",
            Self::Mirror => "mirror",
        }
    }
}

/// An operation on the index failed.
#[derive(Debug, thiserror::Error)]
#[error("the cache index failed; if it is damaged, hexkeep rebuilds it at the next start")]
pub struct IndexError(#[source] sled::Error);

impl IndexError {
    /// Whether another process has the database open. The library has no error kind for this, only these words.
    fn is_lock(&self) -> bool {
        matches!(&self.0, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
    }
}

/// Stores records by tree and key. Methods block for the time of a memory access, rarely of a disk access.
pub trait CacheIndex: Send + Sync + fmt::Debug {
    /// The record at `key`.
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, IndexError>;
    /// Replaces the record at `key`.
    fn put(&self, tree: Tree, key: &str, record: &[u8]) -> Result<(), IndexError>;
    /// Removes the record at `key`.
    fn remove(&self, tree: Tree, key: &str) -> Result<(), IndexError>;
    /// All keys that begin with `prefix`.
    fn keys(&self, tree: Tree, prefix: &str) -> Result<Vec<String>, IndexError>;
    /// Makes everything durable.
    fn flush(&self) -> Result<(), IndexError>;
}

/// The index on disk.
#[derive(Debug)]
pub struct SledIndex {
    db: sled::Db,
    trees: BTreeMap<Tree, sled::Tree>,
}

/// Memory that the index may use for its pages.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often, and after which pauses, opening a locked database is retried: 2 s in all.
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

impl SledIndex {
    /// Opens the index in `folder`. An index that cannot be opened is deleted and created again, and the error is
    /// logged. If another process has it open, this is an error. Blocks.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        let mut opened = Self::open_caught(folder);
        for _ in 0..LOCK_ATTEMPTS {
            if !matches!(&opened, Ok(Err(error)) if error.is_lock()) {
                break;
            }
            // This process holds the lock of the store. Only a child process that is being started can share the open
            // files, for a moment.
            std::thread::sleep(LOCK_PAUSE);
            opened = Self::open_caught(folder);
        }
        match opened {
            Ok(Ok(index)) => return Ok(index),
            Ok(Err(error)) if error.is_lock() => return Err(error),
            Ok(Err(error)) => tracing::error!(%error, "the cache index is damaged; it is deleted and rebuilt"),
            Err(_) => tracing::error!("the cache index is damaged; it is deleted and rebuilt"),
        }
        let removed = if folder.is_dir() { fs::remove_dir_all(folder) } else { fs::remove_file(folder) };
        removed.map_err(|error| IndexError(sled::Error::Io(error)))?;
        Self::try_open(folder)
    }

    /// Opens the index. The database library panics on some kinds of damage instead of returning an error; the panic is
    /// caught.
    fn open_caught(folder: &Path) -> std::thread::Result<Result<Self, IndexError>> {
        catch_unwind(AssertUnwindSafe(|| Self::try_open(folder)))
    }

    fn try_open(folder: &Path) -> Result<Self, IndexError> {
        // The library creates files with the default mode, so the folder must exclude other users.
        make_private(folder).map_err(|error| IndexError(sled::Error::Io(error)))?;
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(500))
            .open()
            .map_err(IndexError)?;
        let trees = Tree::ALL
            .into_iter()
            .map(|tree| db.open_tree(tree.name()).map(|opened| (tree, opened)))
            .collect::<Result<_, _>>()
            .map_err(IndexError)?;
        Ok(Self { db, trees })
    }

    fn tree(&self, tree: Tree) -> Result<&sled::Tree, IndexError> {
        self.trees.get(&tree).ok_or(IndexError(sled::Error::CollectionNotFound(tree.name().into())))
    }
}

impl CacheIndex for SledIndex {
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.tree(tree)?.get(key).map_err(IndexError)?.map(|record| record.to_vec()))
    }

    fn put(&self, tree: Tree, key: &str, record: &[u8]) -> Result<(), IndexError> {
        self.tree(tree)?.insert(key, record).map(drop).map_err(IndexError)
    }

    fn remove(&self, tree: Tree, key: &str) -> Result<(), IndexError> {
        self.tree(tree)?.remove(key).map(drop).map_err(IndexError)
    }

    fn keys(&self, tree: Tree, prefix: &str) -> Result<Vec<String>, IndexError> {
        let mut keys = Vec::new();
        for key in self.tree(tree)?.scan_prefix(prefix).keys() {
            let key = key.map_err(IndexError)?;
            keys.extend(String::from_utf8(key.to_vec()).ok());
        }
        Ok(keys)
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.db.flush().map(drop).map_err(IndexError)
    }
}

/// An index in memory, used if the index on disk cannot be opened.
#[derive(Debug, Default)]
pub struct MemoryIndex(Mutex<BTreeMap<(Tree, String), Vec<u8>>>);

impl CacheIndex for MemoryIndex {
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.0.lock().get(&(tree, key.to_owned())).cloned())
    }

    fn put(&self, tree: Tree, key: &str, record: &[u8]) -> Result<(), IndexError> {
        self.0.lock().insert((tree, key.to_owned()), record.to_vec());
        Ok(())
    }

    fn remove(&self, tree: Tree, key: &str) -> Result<(), IndexError> {
        self.0.lock().remove(&(tree, key.to_owned()));
        Ok(())
    }

    fn keys(&self, tree: Tree, prefix: &str) -> Result<Vec<String>, IndexError> {
        let map = self.0.lock();
        Ok(map.keys().filter(|(t, key)| *t == tree && key.starts_with(prefix)).map(|(_, key)| key.clone()).collect())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests that every implementation of the index must pass.
    fn conforms(index: &dyn CacheIndex) {
        assert_eq!(index.get(Tree::Docs, "a").unwrap(), None);
        index.put(Tree::Docs, "a/1", b"one").unwrap();
        index.put(Tree::Docs, "a/2", b"two").unwrap();
        index.put(Tree::Registry, "a/3", b"three").unwrap();
        index.put(Tree::Docs, "a/1", b"uno").unwrap();
        assert_eq!(index.get(Tree::Docs, "a/1").unwrap().as_deref(), Some(&b"uno"[..]));
        assert_eq!(index.keys(Tree::Docs, "a/").unwrap(), ["a/1", "a/2"]);
        index.remove(Tree::Docs, "a/1").unwrap();
        index.remove(Tree::Docs, "never there").unwrap();
        assert_eq!(index.keys(Tree::Docs, "").unwrap(), ["a/2"]);
        index.flush().unwrap();
    }

    #[test]
    fn the_index_in_memory_conforms() {
        conforms(&MemoryIndex::default());
    }

    #[test]
    fn the_index_on_disk_conforms_and_survives_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        conforms(&SledIndex::open(&path).unwrap());
        let again = SledIndex::open(&path).unwrap();
        assert_eq!(again.keys(Tree::Docs, "").unwrap(), ["a/2"]);
    }

    #[test]
    fn an_index_that_somebody_else_has_open_is_waited_for_and_never_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        conforms(&SledIndex::open(&path).unwrap());
        let theirs = fs::File::open(path.join("db")).unwrap();
        theirs.lock().unwrap();
        assert!(SledIndex::open_caught(&path).unwrap().unwrap_err().is_lock());
        let opened = std::thread::scope(|scope| {
            let opening = scope.spawn(|| SledIndex::open(&path).unwrap());
            theirs.unlock().unwrap();
            opening.join().unwrap()
        });
        assert_eq!(opened.keys(Tree::Docs, "").unwrap(), ["a/2"]);
    }

    #[test]
    fn a_damaged_index_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        conforms(&SledIndex::open(&path).unwrap());
        for entry in fs::read_dir(&path).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                let length = file.metadata().unwrap().len();
                let file = fs::OpenOptions::new().write(true).open(file).unwrap();
                file.set_len(length / 2).unwrap();
            }
        }
        let index = SledIndex::open(&path).unwrap();
        index.put(Tree::Docs, "b", b"1").unwrap();
        assert_eq!(index.get(Tree::Docs, "b").unwrap().as_deref(), Some(&b"1"[..]));
    }
}
