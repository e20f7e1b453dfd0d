//! Small files under typed names: `registry/hexpm/packages/jason`.
//!
//! A slot is the file of one cached resource. Any tool can read it. The signature of the resource proves the content,
//! so a slot can be trusted without a record. The record in the cache index only says when the resource was last
//! confirmed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::disk::Disk;
use super::publish::Staging;
use super::usage::{Class, Usage};
use crate::clock::{Clock, Timestamp};

/// The top-level folder of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Resources that upstreams signed.
    Registry,
    /// Resources that this server signed.
    Sealed,
    /// Lists of installers.
    Lists,
    /// Answers of the APIs of upstreams.
    Answers,
    /// Files without a signature, such as dumps of advisories.
    Dumps,
}

impl Area {
    /// The priority of eviction. Answers of an API can be requested again at any time.
    fn class(self) -> Class {
        match self {
            Self::Answers => Class::Blob,
            Self::Registry | Self::Sealed | Self::Lists | Self::Dumps => Class::Resource,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Sealed => "sealed",
            Self::Lists => "lists",
            Self::Answers => "answers",
            Self::Dumps => "dumps",
        }
    }
}

/// The address of a slot: an area, a repository key and a path of one or two segments. Segments are made of `A-Z a-z
/// 0-9 . _ + -` and are not made of dots alone, so a slot is always a file below the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    area: Area,
    repository: Box<str>,
    path: Box<str>,
}

/// The name of a slot is invalid.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" cannot be a file name in the store")]
pub struct BadSlot(Box<str>);

impl Slot {
    /// The slot of `path` (such as `packages/jason`) of a repository.
    pub fn new(area: Area, repository: &str, path: &str) -> Result<Self, BadSlot> {
        let sound = |segment: &str| {
            (1..=200).contains(&segment.len())
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
                && !segment.bytes().all(|b| b == b'.')
        };
        let mut segments = path.split('/');
        if !sound(repository) || !segments.clone().all(sound) || segments.nth(2).is_some() {
            return Err(BadSlot(path.into()));
        }
        Ok(Self { area, repository: repository.into(), path: path.into() })
    }

    /// The key of the repository that the slot belongs to.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The path of the resource in that repository, such as `packages/jason`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The key of this slot's record in the index.
    pub fn record_key(&self) -> String {
        format!("{}/{}", self.repository, self.path)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.area.folder(), self.repository, self.path)
    }
}

/// The content of a slot.
#[derive(Clone, Debug)]
pub struct SlotContent {
    /// The bytes.
    pub bytes: Bytes,
    /// When they were written.
    pub modified: Timestamp,
}

/// The slots of the cache. Methods block.
#[derive(Debug)]
pub struct Slots {
    root: PathBuf,
    staging: Staging,
    disk: Arc<dyn Disk>,
    usage: Usage,
    clock: Arc<dyn Clock>,
}

impl Slots {
    pub(super) fn new(
        root: PathBuf,
        staging: Staging,
        disk: Arc<dyn Disk>,
        usage: Usage,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { root, staging, disk, usage, clock }
    }

    pub(super) fn path(&self, slot: &Slot) -> PathBuf {
        let mut path = self.root.join(slot.area.folder());
        path.push(&*slot.repository);
        path.extend(slot.path.split('/'));
        path
    }

    /// Reads a slot; `None` if it does not exist. Reads at most one byte more than `max`, so that the caller can detect
    /// a file that is too large.
    pub fn read(&self, slot: &Slot, max: u64) -> Result<Option<SlotContent>, StoreError> {
        use io::Read as _;
        let path = self.path(slot);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::new("open a cached file", &path, error)),
        };
        let modified = file.metadata().and_then(|meta| meta.modified()).map(Timestamp::from).unwrap_or_default();
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| StoreError::new("read a cached file", &path, error))?;
        self.usage.touch(&path, self.clock.now());
        Ok(Some(SlotContent { bytes: bytes.into(), modified }))
    }

    /// Whether a slot exists.
    pub fn is_there(&self, slot: &Slot) -> bool {
        self.path(slot).exists()
    }

    /// Replaces the content of a slot, durably.
    pub fn write(&self, slot: &Slot, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(slot);
        let wrap = |error| StoreError::new("store a file", &path, error);
        let _room = self
            .usage
            .reserve(bytes.len() as u64)
            .ok_or_else(|| wrap(io::Error::new(io::ErrorKind::QuotaExceeded, super::OverLimit)))?;
        super::evict(&*self.disk, &self.usage, self.clock.now());
        let staged = self.staging.create().map_err(wrap)?;
        staged.append(bytes).map_err(wrap)?;
        staged.publish(&path).map_err(wrap)?;
        self.usage.record(&path, bytes.len() as u64, self.clock.now(), slot.area.class());
        Ok(())
    }

    /// Removes a slot. Returns whether it existed.
    pub fn remove(&self, slot: &Slot) -> Result<bool, StoreError> {
        super::remove_file(&*self.disk, &self.usage, &self.path(slot))
    }

    /// Every slot of an area, in no particular order, and the paths of other files in its folder.
    pub fn walk(&self, area: Area) -> Result<(Vec<Slot>, Vec<PathBuf>), StoreError> {
        let root = self.root.join(area.folder());
        let files = super::walk(&root).map_err(|error| StoreError::new("list a folder", &root, error))?;
        let mut slots = Vec::new();
        let mut strangers = Vec::new();
        for (path, _) in files {
            match slot_at(area, &root, &path) {
                Some(slot) => slots.push(slot),
                None => strangers.push(path),
            }
        }
        Ok((slots, strangers))
    }
}

fn slot_at(area: Area, root: &Path, path: &Path) -> Option<Slot> {
    let (repository, rest) = path.strip_prefix(root).ok()?.to_str()?.split_once('/')?;
    Slot::new(area, repository, rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_cannot_leave_the_store() {
        for (repository, path) in [
            ("..", "names"),
            ("hexpm", "../names"),
            ("hexpm", "packages/.."),
            ("hexpm", "packages/a/b"),
            ("hexpm", ""),
            ("hexpm", "packages/"),
            ("he/xpm", "names"),
            ("hexpm", "packages/a\0b"),
        ] {
            assert!(Slot::new(Area::Registry, repository, path).is_err(), "{repository} {path}");
        }
        let slot = Slot::new(Area::Registry, "hexpm", "packages/jason").unwrap();
        assert_eq!(slot.to_string(), "registry/hexpm/packages/jason");
        assert_eq!(slot_at(Area::Registry, Path::new("/x"), Path::new("/x/hexpm/packages/jason")), Some(slot));
    }
}
