//! A body that is being received: it is hashed, written to a temporary file, and can be read while it grows.
//!
//! If the disk is full or fails, the transfer continues: the rest is kept in memory, up to a limit, and the body is not
//! stored.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::buffers::Buffers;
use super::content::Content;
use super::publish::{Staged, Staging};
use super::read_at::{ReadAt, StoredFile};
use super::usage::{Reservation, Usage};
use super::{StoreError, TEMPORARY};
use crate::hex::checksum::{Hasher, Sha256};

/// Why a body will not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// It does not fit below the limit of the cache.
    NoRoom,
    /// The disk is full or failed.
    DiskFull,
}

/// Why receiving a body fails.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk is full, and the memory for this case is used up.
    #[error(
        "the disk is full, and there is not enough memory to pass the file on without storing it; free space under storage.path"
    )]
    NoMemory,
    /// The disk failed for another reason, and the memory for this case is used up.
    #[error("cannot write a temporary file, and there is not enough memory to pass the file on without storing it")]
    Disk(#[source] StoreError),
}

/// A body that is being received. Methods block. Dropping it removes the temporary file.
#[derive(Debug)]
pub struct Spool {
    content: Arc<Content>,
    staged: Option<Staged>,
    hasher: Hasher,
    written: u64,
    room: Option<Reservation>,
    memory: Usage,
    memory_held: Option<Reservation>,
    not_stored: Option<NotStored>,
    /// Why the temporary file could not be written, unless the disk is full.
    failure: Option<StoreError>,
}

impl Spool {
    /// Creates a temporary file for a body, for which `room` is reserved. If there is no room, or the file cannot be
    /// created, the body is kept in `memory` and not stored.
    pub(super) fn begin(staging: &Staging, buffers: &Buffers, room: Option<Reservation>, memory: Usage) -> Self {
        let (staged, failure) = match staging.create() {
            Ok(staged) => (Some(staged), None),
            Err(error) => {
                tracing::warn!(%error, "cannot create a temporary file; the download is passed on without being stored");
                (None, Some(error))
            }
        };
        let content = Arc::new(match &staged {
            Some(staged) => Content::in_file(Arc::clone(staged.file()), buffers.clone()),
            None => Content::in_memory(buffers.clone()),
        });
        let not_stored = match (&staged, &room) {
            (None, _) => Some(NotStored::DiskFull),
            (Some(_), None) => Some(NotStored::NoRoom),
            (Some(_), Some(_)) => None,
        };
        let failure = failure.and_then(|error| unless_full("create a temporary file", error));
        Self {
            content,
            staged,
            hasher: Hasher::new(),
            written: 0,
            room,
            memory,
            memory_held: None,
            not_stored,
            failure,
        }
    }

    /// The content, for readers.
    pub fn content(&self) -> Arc<dyn ReadAt> {
        Arc::<Content>::clone(&self.content)
    }

    /// The number of bytes received so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Why this body will not be stored; `None` if it will be.
    pub fn not_stored(&self) -> Option<NotStored> {
        self.not_stored
    }

    /// Hashes and appends `chunk`. Blocks.
    pub fn append(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        self.hasher.update(&chunk);
        let length = chunk.len() as u64;
        if let Some(room) = &mut self.room
            && self.written + length > room.bytes()
            && !room.grow(length)
        {
            self.room = None;
            self.not_stored = Some(NotStored::NoRoom);
        }
        let on_disk = match (&self.staged, &self.memory_held) {
            (Some(staged), None) => match staged.append(&chunk) {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "cannot store a file; the download is passed on without being stored");
                    self.failure = unless_full("write a temporary file", error);
                    self.give_up_storing();
                    false
                }
            },
            _ => false,
        };
        if !on_disk {
            self.hold(chunk)?;
        }
        self.written += length;
        Ok(())
    }

    fn give_up_storing(&mut self) {
        self.content.continue_in_memory(self.written);
        self.room = None;
        self.not_stored = Some(NotStored::DiskFull);
    }

    fn hold(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        let length = chunk.len() as u64;
        let granted = match &mut self.memory_held {
            Some(held) => held.grow(length),
            None => {
                self.memory_held = self.memory.reserve(length);
                self.memory_held.is_some()
            }
        };
        if !granted {
            return Err(self.failure.take().map_or(SpoolError::NoMemory, SpoolError::Disk));
        }
        self.content.push(self.written, chunk);
        Ok(())
    }

    /// Completes the body, and computes its digest.
    pub fn finish(self) -> Finished {
        let digest = self.hasher.finish();
        Finished {
            content: self.content,
            staged: self.staged.filter(|_| self.not_stored.is_none()),
            digest,
            length: self.written,
            room: self.room,
            _memory_held: self.memory_held,
        }
    }
}

/// The failure of an operation on a temporary file; `None` if the disk is full.
fn unless_full(operation: &'static str, error: io::Error) -> Option<StoreError> {
    Some(StoreError::new(operation, Path::new(TEMPORARY), error)).filter(|failure| !failure.is_full())
}

/// A complete body that is not published yet. Dropping it removes the temporary file.
#[derive(Debug)]
pub struct Finished {
    content: Arc<Content>,
    pub(super) staged: Option<Staged>,
    digest: Sha256,
    length: u64,
    pub(super) room: Option<Reservation>,
    _memory_held: Option<Reservation>,
}

impl Finished {
    /// SHA-256 of the whole body.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The content, for readers.
    pub fn content(&self) -> Arc<dyn ReadAt> {
        Arc::<Content>::clone(&self.content)
    }

    /// The whole body as a blocking reader.
    pub fn reader(&self) -> ContentReader {
        ContentReader { content: self.content(), offset: 0, length: self.length }
    }
}

/// A blocking reader of a file, which can also seek.
#[derive(Clone, Debug)]
pub struct ContentReader {
    content: Arc<dyn ReadAt>,
    offset: u64,
    length: u64,
}

impl io::Read for ContentReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let wanted = self.length.saturating_sub(self.offset).min(target.len() as u64);
        if wanted == 0 {
            return Ok(0);
        }
        let bytes = self.content.read(self.offset, wanted)?;
        target.get_mut(..bytes.len()).ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl io::Seek for ContentReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(by) => self.length.checked_add_signed(by),
            io::SeekFrom::Current(by) => self.offset.checked_add_signed(by),
        };
        self.offset = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

impl ContentReader {
    /// Reads a stored file from its beginning.
    pub fn of(stored: &StoredFile) -> Self {
        Self { content: Arc::clone(&stored.content), offset: 0, length: stored.length }
    }
}
