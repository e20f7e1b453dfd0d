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

/// How many bytes a connection sends before others have their turn. A client that reads as fast as it is sent to never
/// blocks its socket, and would be served to its end before anybody else.
const TURN: u64 = 1024 * 1024;

/// The body of a response, of known length.
pub struct ResponseBody {
    source: Source,
    left: u64,
    /// Bytes given out since the connection last made way for others.
    run: u64,
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
        Self { left: bytes.len() as u64, source: Source::Memory(bytes), run: 0 }
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
        Self { source, left, run: 0 }
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
        if self.run >= TURN {
            self.run = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
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
                self.run += bytes.len() as u64;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_client_that_reads_fast_makes_way_for_others_after_each_turn() {
        let piece = Bytes::from(vec![0; 128 * 1024]);
        let pieces = usize::try_from(3 * TURN).unwrap() / piece.len();
        let chunks = stream::iter((0..pieces).map(move |_| Ok(piece.clone())));
        let mut body = ResponseBody { source: Source::Chunks(Box::pin(chunks)), left: 3 * TURN, run: 0 };
        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes).into();
        let mut context = Context::from_waker(&waker);
        let (mut turn, mut turns) = (0, Vec::new());
        loop {
            match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => turn += frame.unwrap().into_data().unwrap().len() as u64,
                Poll::Pending => turns.push(std::mem::take(&mut turn)),
            }
        }
        turns.push(turn);
        assert_eq!(turns, [TURN; 3]);
        // Whoever made way asks to be polled again: nothing else would wake it.
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }
}
