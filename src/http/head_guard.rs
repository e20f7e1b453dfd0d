//! The time limit for the header fields of an HTTP/2 request, which is the same as for the head of an HTTP/1 request.
//!
//! The frames of one block of header fields follow each other without other frames between them. A block that the
//! client never ends does not open a stream, so without this limit nothing else would close the connection soon.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Length of the client's preface in HTTP/2 (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// Length of a frame header (RFC 9113 §4.1).
const FRAME_HEAD: usize = 9;

/// Types of frames that contain header fields.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The flag of the last frame of a block of header fields.
const END_HEADERS: u8 = 4;

/// An HTTP/2 connection whose reads fail when a block of header fields takes too long.
#[derive(Debug)]
pub(super) struct HeadGuard<T> {
    inner: T,
    patience: Duration,
    frames: Frames,
    /// The number of the open block, and its time limit.
    waiting: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<T> HeadGuard<T> {
    pub(super) fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, frames: Frames::default(), waiting: None }
    }

    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        let Some(block) = self.frames.open_block() else {
            self.waiting = None;
            return false;
        };
        if self.waiting.as_ref().is_none_or(|(number, _)| *number != block) {
            self.waiting = Some((block, Box::pin(sleep_until(Instant::now() + self.patience))));
        }
        self.waiting.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(context).is_ready())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadGuard<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.frames.read(buf.filled().get(before..).unwrap_or_default());
        if self.is_overdue(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { outcome }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeadGuard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Parses the headers of the client's frames and skips their payloads.
#[derive(Debug)]
struct Frames {
    /// Bytes of the preface, or of the current frame's payload, that have not arrived yet.
    left: usize,
    /// The bytes of the next frame header that have arrived.
    head: Vec<u8>,
    /// The number of blocks of header fields so far.
    blocks: u64,
    /// Whether the last block is still open.
    is_open: bool,
    /// Whether the last block ends with the current frame.
    ends: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self { left: PREFACE, head: Vec::with_capacity(FRAME_HEAD), blocks: 0, is_open: false, ends: false }
    }
}

impl Frames {
    /// The number of the block that is still open.
    fn open_block(&self) -> Option<u64> {
        self.is_open.then_some(self.blocks)
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { FRAME_HEAD - self.head.len() };
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= piece.len();
            } else {
                self.head.extend_from_slice(piece);
                self.begin();
            }
            if self.left == 0 && self.ends {
                (self.is_open, self.ends) = (false, false);
            }
        }
    }

    /// Starts the payload of a frame when its header is complete.
    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head[..] else { return };
        if self.head.len() < FRAME_HEAD {
            return;
        }
        self.head.clear();
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if kind == HEADERS {
            self.blocks += 1;
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            (self.is_open, self.ends) = (true, flags & END_HEADERS != 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// Bytes from a client, each with the block that is open after it.
    fn session() -> Vec<(Vec<u8>, Option<u64>)> {
        const DATA: u8 = 0;
        const SETTINGS: u8 = 4;
        vec![
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), None),
            (frame(SETTINGS, 0, &[]), None),
            (frame(HEADERS, END_HEADERS, b"abc"), None),
            (frame(DATA, END_HEADERS, &[1; 40]), None),
            (frame(HEADERS, 0, b"x"), Some(2)),
            (frame(CONTINUATION, 0, &[]), Some(2)),
            (frame(CONTINUATION, END_HEADERS, &[]), None),
            (frame(HEADERS, 1, &[]), Some(3)),
            (frame(CONTINUATION, END_HEADERS | 1, &[9; 200]), None),
        ]
    }

    #[test]
    fn blocks_are_open_until_the_end_of_the_frame_that_ends_them_however_the_bytes_come() {
        for size in [1, 2, 5, 9, 10, 24, 1000] {
            let mut frames = Frames::default();
            for (number, (bytes, open)) in session().into_iter().enumerate() {
                bytes.chunks(size).for_each(|piece| frames.read(piece));
                assert_eq!(frames.open_block(), open, "{number}, {size} at a time");
            }
        }
        let mut frames = Frames::default();
        let all = session().into_iter().flat_map(|(bytes, _)| bytes).collect::<Vec<u8>>();
        let end = all.len() - 1;
        frames.read(&all[..end]);
        assert_eq!(frames.open_block(), Some(3), "a byte is missing");
        frames.read(&all[end..]);
        assert_eq!((frames.open_block(), frames.blocks), (None, 3));
    }

    #[tokio::test]
    async fn a_block_that_is_not_ended_fails_the_connection() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut guarded = HeadGuard::new(ours, Duration::from_millis(10));
        for (bytes, _) in session() {
            theirs.write_all(&bytes).await.unwrap();
        }
        let mut all = vec![0; session().iter().map(|(bytes, _)| bytes.len()).sum()];
        guarded.read_exact(&mut all).await.unwrap();
        theirs.write_all(&frame(HEADERS, 0, &[])).await.unwrap();
        let error = guarded.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
