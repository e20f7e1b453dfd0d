//! Reads an artifact chunk by chunk, whether it is stored or still being fetched.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::error::CacheError;
use super::fill::FillState;
use super::single_flight::NoOutcome;
use crate::hex::limits;
use crate::store::StoredFile;
use crate::store::read_at::{self, ReadAt};

/// How many bytes are read at a time by default.
const PIECE: u64 = 128 * 1024;

/// An artifact, ready to be sent.
#[derive(Debug)]
pub enum Artifact {
    /// Complete, in memory.
    Memory(Bytes),
    /// Complete, on disk.
    Stored(StoredFile),
    /// Being fetched; its length is known.
    Filling(FillReader),
}

impl Artifact {
    /// The number of bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stored(stored) => stored.length,
            Self::Filling(reader) => reader.length,
        }
    }

    /// The complete artifact: waits until the fetch has ended and the file is verified. Cancel safe.
    pub async fn whole(self) -> Result<Self, CacheError> {
        match self {
            Self::Filling(reader) => reader.proven().await.map(Self::Stored),
            Self::Memory(_) | Self::Stored(_) => Ok(self),
        }
    }

    /// A second handle that reads the artifact from its beginning.
    pub fn again(&self) -> Self {
        match self {
            Self::Memory(bytes) => Self::Memory(bytes.clone()),
            Self::Stored(stored) => Self::Stored(stored.clone()),
            Self::Filling(reader) => Self::Filling(FillReader::new(reader.state.clone(), reader.length)),
        }
    }
}

/// Why a body ends early. The connection is closed, so the client knows that the body is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The fetch of the file has failed.
    #[error("the file could not be fetched completely")]
    Fill(#[source] CacheError),
    /// The length of the file differs from the `content-length` that was sent.
    #[error("the file does not have the length that its upstream announced")]
    Length,
    /// The disk failed.
    #[error("the file could not be read completely")]
    Read(#[source] io::Error),
}

/// Reads a part of a stored file.
#[derive(Debug)]
pub struct StoredReader {
    content: Arc<dyn ReadAt>,
    offset: u64,
    end: u64,
    piece: u64,
}

impl StoredReader {
    /// Reads the bytes from `start` to before `end`, which must not exceed the file's length.
    pub fn new(stored: &StoredFile, start: u64, end: u64) -> Self {
        Self { content: Arc::clone(&stored.content), offset: start, end: end.min(stored.length), piece: PIECE }
    }

    /// Reads at most `bytes` at a time.
    pub fn in_pieces_of(self, bytes: u64) -> Self {
        Self { piece: bytes, ..self }
    }

    /// The next bytes, `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if self.offset >= self.end {
            return None;
        }
        let chunk = read(&self.content, self.offset, self.end.min(self.offset + self.piece)).await;
        Some(chunk.inspect(|bytes| self.offset += bytes.len() as u64))
    }
}

/// Reads a file while it is being fetched. The last bytes are held back until the digest has matched.
#[derive(Debug)]
pub struct FillReader {
    state: watch::Receiver<FillState>,
    length: u64,
    offset: u64,
    piece: u64,
}

impl FillReader {
    pub(super) fn new(state: watch::Receiver<FillState>, length: u64) -> Self {
        Self { state, length, offset: 0, piece: PIECE }
    }

    /// Reads at most `bytes` at a time.
    pub fn in_pieces_of(self, bytes: u64) -> Self {
        Self { piece: bytes, ..self }
    }

    /// The complete file, once it is verified.
    async fn proven(mut self) -> Result<StoredFile, CacheError> {
        let ended = |state: &FillState| matches!(state, FillState::Done(_) | FillState::Failed(_));
        match self.state.wait_for(ended).await.as_deref() {
            Ok(FillState::Done(filled)) => Ok(filled.stored()),
            Ok(FillState::Failed(error)) => Err(error.clone()),
            Ok(FillState::Starting | FillState::Writing { .. }) | Err(_) => Err(NoOutcome::Abandoned.into()),
        }
    }

    /// The next bytes, `None` at the end. The last bytes are returned only after the file is verified. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if self.offset >= self.length {
            return None;
        }
        let (content, limit) = loop {
            match &*self.state.borrow_and_update() {
                FillState::Writing { content, written, .. } => {
                    let limit = written.min(&self.length.saturating_sub(limits::HELD_BACK)).to_owned();
                    if limit > self.offset {
                        break (Arc::clone(content), limit);
                    }
                }
                // A resumed transfer may have another length than the upstream announced first: the file is right, but
                // this client would take an incomplete or too long body for all of it.
                FillState::Done(filled) if filled.length != self.length => return Some(Err(BodyError::Length)),
                FillState::Done(filled) => break (Arc::clone(&filled.content), self.length),
                FillState::Failed(error) => return Some(Err(BodyError::Fill(error.clone()))),
                FillState::Starting => {}
            }
            // A fetch that ended without a result has failed; its end is never taken for the end of the file.
            if self.state.changed().await.is_err() {
                let error = CacheError::NoOutcome(NoOutcome::Abandoned);
                return Some(Err(BodyError::Fill(error)));
            }
        };
        if self.offset >= limit {
            return Some(Err(BodyError::Read(io::ErrorKind::UnexpectedEof.into())));
        }
        let chunk = read(&content, self.offset, limit.min(self.offset + self.piece)).await;
        Some(chunk.inspect(|bytes| self.offset += bytes.len() as u64))
    }
}

/// Reads the bytes from `offset` to before `end`.
async fn read(content: &Arc<dyn ReadAt>, offset: u64, end: u64) -> Result<Bytes, BodyError> {
    read_at::read(content, offset, end - offset).await.map_err(BodyError::Read)
}
