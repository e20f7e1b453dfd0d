//! Bytes that can be read at any offset, wherever they are kept.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::shutdown;

/// A finished or growing body. Readers share it. It stays readable after its name is removed or given to another file.
///
/// Offsets and lengths are bytes. Callers ask only for bytes that are there. An answer may be shorter than what was asked
/// for; it is never empty unless nothing was asked for.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Reads up to `length` bytes at `offset` if that needs no waiting. `None` says: use [`ReadAt::read`] on a thread that
    /// may wait.
    fn try_read(&self, offset: u64, length: u64) -> Option<io::Result<Bytes>>;

    /// Reads up to `length` bytes at `offset`. Blocks.
    fn read(&self, offset: u64, length: u64) -> io::Result<Bytes>;
}

/// Reads up to `length` bytes at `offset`: at once where that needs no waiting, else on the blocking pool. Cancel safe.
pub async fn read(from: &Arc<dyn ReadAt>, offset: u64, length: u64) -> io::Result<Bytes> {
    if let Some(ready) = from.try_read(offset, length) {
        return ready;
    }
    let from = Arc::clone(from);
    let read = shutdown::blocking(move || from.read(offset, length)).await;
    read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

/// A stored file, or a part of one, open for reading.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// The bytes.
    pub content: Arc<dyn ReadAt>,
    /// Their number.
    pub length: u64,
}

impl StoredFile {
    /// The bytes of `range` alone, cut at the end of the file.
    pub fn part(self, range: Range<u64>) -> Self {
        if range.start == 0 && range.end >= self.length {
            return self;
        }
        let end = range.end.min(self.length);
        let start = range.start.min(end);
        let length = end - start;
        Self { content: Arc::new(Part { whole: self.content, start, length }), length }
    }

    /// All of the bytes.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        let mut bytes = bytes::BytesMut::new();
        while (bytes.len() as u64) < self.length {
            let offset = bytes.len() as u64;
            let piece = read(&self.content, offset, self.length - offset).await?;
            if offset == 0 && piece.len() as u64 == self.length {
                return Ok(piece);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

/// A part of a file, whose offsets begin where it begins.
#[derive(Debug)]
struct Part {
    whole: Arc<dyn ReadAt>,
    start: u64,
    length: u64,
}

impl Part {
    fn clip(&self, offset: u64, length: u64) -> u64 {
        length.min(self.length.saturating_sub(offset))
    }
}

impl ReadAt for Part {
    fn try_read(&self, offset: u64, length: u64) -> Option<io::Result<Bytes>> {
        self.whole.try_read(self.start.saturating_add(offset), self.clip(offset, length))
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        self.whole.read(self.start.saturating_add(offset), self.clip(offset, length))
    }
}
