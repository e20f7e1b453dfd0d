//! Response bodies: from memory, from a file, or from a file that is still being downloaded.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::Version;
use http_body::{Body, Frame, SizeHint};

use crate::repository::{Artifact, BodyError, DeliveryReceipt, FillReader, StoredReader};

/// An action that runs before the last bytes of a body are sent.
type Before = Pin<Box<dyn Future<Output = ()> + Send>>;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Bytes that a connection sends before it yields to other connections. The socket of a client that reads as fast as
/// the server writes never blocks, so without this limit the client would be served to the end before any other.
const TURN: u64 = 1024 * 1024;

/// Size of the chunks read from a file for an answer that is alone on its connection.
const ALONE: u64 = 128 * 1024;

/// The same for an answer that shares its connection with many others, each of which may stay unread.
const AMONG_OTHERS: u64 = 32 * 1024;

/// The body of a response; its length is known.
pub struct ResponseBody {
    source: Source,
    left: u64,
    /// Bytes sent since the connection last yielded.
    run: u64,
    end: End,
}

/// What happens at the end of a body.
enum End {
    /// Nothing.
    Plain,
    /// An action runs before the last bytes are sent.
    Before(Before),
    /// The action runs, and the last bytes wait for it.
    Waiting(Before, Bytes),
}

enum Source {
    Memory(Bytes),
    Chunks(Chunks),
}

impl ResponseBody {
    /// An empty body.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body with all of `bytes`.
    pub fn whole(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, source: Source::Memory(bytes), run: 0, end: End::Plain }
    }

    /// A part of a complete artifact, or all of one that is still being downloaded, for an answer in this version of
    /// HTTP. The receipt is written before the last bytes are sent; if they are never sent, it is not written.
    pub(super) fn artifact(
        artifact: Artifact,
        part: Range<u64>,
        version: Version,
        receipt: Option<DeliveryReceipt>,
    ) -> Self {
        let piece = if version == Version::HTTP_2 { AMONG_OTHERS } else { ALONE };
        let left = part.end.saturating_sub(part.start);
        let source = match artifact {
            Artifact::Memory(bytes) => Source::Memory(slice(&bytes, &part)),
            Artifact::Stored(stored) => {
                let reader = StoredReader::new(&stored, part.start, part.end).in_pieces_of(piece);
                Source::Chunks(Box::pin(stream::unfold(reader, |mut reader: StoredReader| async move {
                    reader.next().await.map(|chunk| (chunk, reader))
                })))
            }
            Artifact::Filling(reader) => Source::Chunks(Box::pin(stream::unfold(
                reader.in_pieces_of(piece),
                |mut reader: FillReader| async move { reader.next().await.map(|chunk| (chunk, reader)) },
            ))),
        };
        let end = receipt.map_or(End::Plain, |receipt| End::Before(Box::pin(receipt.write())));
        Self { source, left, run: 0, end }
    }

    /// Bytes that are not sent yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn next_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.source {
            Source::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Source::Chunks(chunks) => chunks.as_mut().poll_next(context),
        }
    }

    fn given_out(&mut self, bytes: Bytes) -> Frame<Bytes> {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.run += bytes.len() as u64;
        Frame::data(bytes)
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
        if !matches!(self.end, End::Waiting(..)) {
            let bytes = match ready!(self.next_chunk(context)) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match std::mem::replace(&mut self.end, End::Plain) {
                End::Before(before) if bytes.len() as u64 >= self.left => self.end = End::Waiting(before, bytes),
                end => {
                    self.end = end;
                    return Poll::Ready(Some(Ok(self.given_out(bytes))));
                }
            }
        }
        if let End::Waiting(before, _) = &mut self.end {
            ready!(before.as_mut().poll(context));
        }
        match std::mem::replace(&mut self.end, End::Plain) {
            End::Waiting(_, bytes) => Poll::Ready(Some(Ok(self.given_out(bytes)))),
            End::Plain | End::Before(_) => Poll::Ready(None),
        }
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
        let mut body =
            ResponseBody { source: Source::Chunks(Box::pin(chunks)), left: 3 * TURN, run: 0, end: End::Plain };
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
        // A body that yields must wake its own task: nothing else would.
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }
}
