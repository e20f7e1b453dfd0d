//! Response bodies: from memory, from a file, or from a file that is still coming in.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body::{Body, Frame, SizeHint};

use crate::repository::{Artifact, BodyError, FillReader, StoredReader};

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The body of a response, of known length.
pub struct ResponseBody {
    source: Source,
    left: u64,
}

enum Source {
    Memory(Bytes),
    Chunks(Chunks),
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// All of `bytes`.
    pub fn whole(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, source: Source::Memory(bytes) }
    }

    /// A part of an artifact that is whole, or all of one that is coming in.
    pub(super) fn artifact(artifact: Artifact, part: Range<u64>) -> Self {
        let left = part.end.saturating_sub(part.start);
        let source = match artifact {
            Artifact::Memory(bytes) => Source::Memory(slice(&bytes, &part)),
            Artifact::Stored(stored) => {
                let reader = StoredReader::new(&stored, part.start, part.end);
                Source::Chunks(Box::pin(stream::unfold(reader, |mut reader: StoredReader| async move {
                    reader.next().await.map(|chunk| (chunk, reader))
                })))
            }
            Artifact::Filling(reader) => {
                Source::Chunks(Box::pin(stream::unfold(reader, |mut reader: FillReader| async move {
                    reader.next().await.map(|chunk| (chunk, reader))
                })))
            }
        };
        Self { source, left }
    }

    /// Bytes that have not been given out yet.
    pub fn left(&self) -> u64 {
        self.left
    }
}

fn slice(bytes: &Bytes, part: &Range<u64>) -> Bytes {
    let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (clip(part.start), clip(part.end));
    bytes.slice(start.min(end)..end)
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match &mut self.source {
            Source::Memory(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Chunks(chunks) => match chunks.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(chunk) => chunk,
            },
        };
        Poll::Ready(chunk.map(|chunk| {
            chunk.map(|bytes| {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Frame::data(bytes)
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
