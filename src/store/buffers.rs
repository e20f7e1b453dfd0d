//! A pool of reusable read buffers.
//!
//! A large file is read and sent in chunks. Allocating and zeroing a new buffer for each chunk would take as long as
//! the read itself. These buffers return to the pool once the connection has sent them.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Size of one buffer. It fits the second-level cache of a core, so that the bytes are still cached when they are sent.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// The most buffers that the pool keeps; more can be in use.
const KEPT: usize = 64;

/// A pool of buffers. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// A buffer of [`BUFFER_BYTES`] bytes with arbitrary content.
    pub(super) fn take(&self) -> Buffer {
        let memory = self.0.lock().pop().unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        Buffer { memory, filled: 0, pool: self.clone() }
    }
}

/// A buffer from the pool.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Box<[u8]>,
    filled: usize,
    pool: Buffers,
}

impl Buffer {
    /// The first `length` bytes for writing, or all bytes if there are fewer.
    pub(super) fn space(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.memory.len());
        self.memory.get_mut(..length).unwrap_or_default()
    }

    /// The first `filled` bytes as a value that returns the buffer to the pool when its last clone is dropped.
    pub(super) fn freeze(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(self.memory.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut kept = self.pool.0.lock();
        if kept.len() < KEPT && memory.len() == BUFFER_BYTES {
            kept.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_after_its_last_clone() {
        let pool = Buffers::default();
        let mut buffer = pool.take();
        buffer.space(3).copy_from_slice(b"abc");
        let bytes = buffer.freeze(3);
        let clone = bytes.clone();
        drop(bytes);
        assert_eq!(pool.0.lock().len(), 0);
        assert_eq!(&clone[..], b"abc");
        drop(clone);
        assert_eq!(pool.0.lock().len(), 1);
    }
}
