//! A trait for bytes that can be read at any offset, on the disk or in memory.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::shutdown;

/// A complete or growing body, shared by its readers. It stays readable after its file is removed or replaced.
///
/// Offsets and lengths are in bytes. Callers must request only bytes that exist. A result may be shorter than
/// requested, but is not empty unless `length` is 0.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Reads up to `length` bytes at `offset` if this is possible without blocking. `None` means that the caller must
    /// use [`ReadAt::read`] on a thread that may block.
    fn try_read(&self, offset: u64, length: u64) -> Option<io::Result<Bytes>>;

    /// Reads up to `length` bytes at `offset`. Blocks.
    fn read(&self, offset: u64, length: u64) -> io::Result<Bytes>;
}

/// Reads up to `length` bytes at `offset`: at once if this is possible without blocking, else on the blocking pool.
/// Cancel safe.
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
    /// The number of bytes.
    pub length: u64,
}

impl StoredFile {
    /// The part of the file in `range`. The range is cut at the end of the file.
    pub fn part(self, range: Range<u64>) -> Self {
        if range.start == 0 && range.end >= self.length {
            return self;
        }
        let end = range.end.min(self.length);
        let start = range.start.min(end);
        let length = end - start;
        Self { content: Arc::new(Part { whole: self.content, start, length }), length }
    }

    /// Reads all bytes into memory.
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

/// A part of a file. Offsets are relative to the beginning of the part.
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
