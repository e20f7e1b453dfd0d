//! The bytes of a body, readable at any offset: a file, followed by the bytes that no longer fitted on the disk and are
//! kept in memory.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use rustix::io::ReadWriteFlags;

use super::buffers::{BUFFER_BYTES, Buffers};
use super::read_at::ReadAt;

/// A growing or complete body, shared by its readers. The file stays readable after it was renamed or removed.
#[derive(Debug)]
pub(super) struct Content {
    file: Option<Arc<File>>,
    memory: RwLock<Memory>,
    buffers: Buffers,
}

/// The part that is kept in memory.
#[derive(Debug)]
struct Memory {
    /// Offset of the first byte in `chunks`.
    starts_at: u64,
    chunks: Vec<(u64, Bytes)>,
}

impl Content {
    pub(super) fn in_file(file: Arc<File>, buffers: Buffers) -> Self {
        Self { file: Some(file), memory: RwLock::new(Memory { starts_at: u64::MAX, chunks: Vec::new() }), buffers }
    }

    pub(super) fn in_memory(buffers: Buffers) -> Self {
        Self { file: None, memory: RwLock::new(Memory { starts_at: 0, chunks: Vec::new() }), buffers }
    }

    /// Keeps all bytes from `offset` on in memory.
    pub(super) fn continue_in_memory(&self, offset: u64) {
        let mut memory = self.memory.write();
        memory.starts_at = memory.starts_at.min(offset);
    }

    /// Adds bytes at `offset`, which is the end of the previous chunk.
    pub(super) fn push(&self, offset: u64, chunk: Bytes) {
        self.memory.write().chunks.push((offset, chunk));
    }

    /// The number of bytes in the file from `offset` on, or as `Err` the rest of the chunk in memory at `offset`.
    fn in_file_before(&self, offset: u64) -> Result<u64, io::Result<Bytes>> {
        let memory = self.memory.read();
        if offset < memory.starts_at {
            return Ok(memory.starts_at - offset);
        }
        let position = memory.chunks.partition_point(|(start, _)| *start <= offset);
        let found = position.checked_sub(1).and_then(|at| memory.chunks.get(at)).and_then(|(start, chunk)| {
            let within = usize::try_from(offset - start).ok()?;
            (within < chunk.len()).then(|| chunk.slice(within..))
        });
        Err(found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }
}

impl ReadAt for Content {
    fn try_read(&self, offset: u64, length: u64) -> Option<io::Result<Bytes>> {
        match self.in_file_before(offset) {
            Ok(limit) => {
                let file = self.file.as_ref()?;
                let mut buffer = self.buffers.take();
                let space = buffer.space(clip(length.min(limit)));
                let mut slices = [io::IoSliceMut::new(space)];
                match rustix::io::preadv2(file.as_fd(), &mut slices, offset, ReadWriteFlags::NOWAIT) {
                    Ok(read) if read > 0 => Some(Ok(buffer.freeze(read))),
                    // The bytes are not in the page cache, the file ends, or the file system does not support NOWAIT:
                    // the caller uses the blocking read.
                    Ok(_) | Err(_) => None,
                }
            }
            Err(bytes) => Some(bytes.map(|bytes| bytes.slice(..clip(length).min(bytes.len())))),
        }
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        match self.in_file_before(offset) {
            Ok(limit) => {
                let file = self.file.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
                let mut buffer = self.buffers.take();
                let read = loop {
                    match rustix::io::pread(file.as_fd(), buffer.space(clip(length.min(limit))), offset) {
                        Err(rustix::io::Errno::INTR) => {}
                        other => break other?,
                    }
                };
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(buffer.freeze(read))
            }
            Err(bytes) => bytes.map(|bytes| bytes.slice(..clip(length).min(bytes.len()))),
        }
    }
}

fn clip(length: u64) -> usize {
    usize::try_from(length).unwrap_or(BUFFER_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn reads_across_the_place_where_the_disk_was_full() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let content = Content::in_file(Arc::new(file), Buffers::default());
        content.continue_in_memory(7);
        content.push(7, Bytes::from_static(b"abc"));
        content.push(10, Bytes::from_static(b"def"));
        let mut seen = Vec::new();
        while seen.len() < 13 {
            let offset = u64::try_from(seen.len()).unwrap();
            seen.extend_from_slice(&content.read(offset, 5).unwrap());
        }
        assert_eq!(seen, b"0123456abcdef");
        assert!(content.read(13, 1).is_err());
        assert_eq!(content.try_read(8, 100).unwrap().unwrap(), "bc");
    }
}
