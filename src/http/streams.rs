//! Closes idle and stalled HTTP/2 connections: connections without a request, and connections whose client reads
//! nothing of an answer, even if the client answers PINGs.
//!
//! Otherwise a client could make many requests, never open the flow-control windows for their answers, and hold files
//! and buffers forever, while other streams keep the connection alive.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::Service;

use super::listener::ListenerTimeouts;

/// The size of the chunks of an answer. The next chunk is only sent after the client has accepted the last one, so
/// chunks measure the progress of the client.
const PIECE: usize = 16 * 1024;

/// The open streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    patience: ListenerTimeouts,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// For each stream, since when it waits for the client; `None` if the client waits for the server.
    open: HashMap<u64, Option<Instant>>,
    /// The start of the time without open streams.
    idle: Instant,
}

/// The reason to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// There was no open stream for too long.
    Idle,
    /// The client read nothing of an answer for too long.
    Stalled,
}

impl Streams {
    pub(super) fn new(patience: ListenerTimeouts) -> Arc<Self> {
        let state = State { next: 0, open: HashMap::new(), idle: Instant::now() };
        Arc::new(Self { patience, state: Mutex::new(state) })
    }

    fn open(self: &Arc<Self>) -> Stream {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, None);
        Stream { id, of: Arc::clone(self) }
    }

    /// Restarts the time without open streams.
    pub(super) fn begin_idle(&self) {
        self.state.lock().idle = Instant::now();
    }

    fn overdue(&self, now: Instant) -> Option<Overdue> {
        let state = self.state.lock();
        let waits = |since: Instant, patience: Duration| now.saturating_duration_since(since) >= patience;
        if state.open.is_empty() && waits(state.idle, self.patience.head) {
            return Some(Overdue::Idle);
        }
        let stalled = state.open.values().flatten().any(|since| waits(*since, self.patience.progress));
        stalled.then_some(Overdue::Stalled)
    }

    /// Waits until the connection must be closed. Cancel safe.
    pub(super) async fn wait_until_overdue(&self) -> Overdue {
        let tick = self.patience.head.min(self.patience.progress) / 4;
        loop {
            sleep(tick).await;
            if let Some(overdue) = self.overdue(Instant::now()) {
                return overdue;
            }
        }
    }
}

/// A stream with a request; it ends when dropped.
#[derive(Debug)]
struct Stream {
    id: u64,
    of: Arc<Streams>,
}

impl Stream {
    fn set(&self, since: Option<Instant>) {
        self.of.state.lock().open.insert(self.id, since);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        state.open.remove(&self.id);
        if state.open.is_empty() {
            state.idle = Instant::now();
        }
    }
}

/// A service that registers its requests as streams of their connection.
#[derive(Clone, Debug)]
pub(super) struct WatchedService<S> {
    inner: S,
    streams: Arc<Streams>,
}

impl<S> WatchedService<S> {
    pub(super) fn new(inner: S, streams: Arc<Streams>) -> Self {
        Self { inner, streams }
    }
}

impl<S, R, B> Service<Request<R>> for WatchedService<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Pieces<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let stream = self.streams.open();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            stream.set(Some(Instant::now()));
            Ok(response.map(|body| Pieces { body, left: Bytes::new(), stream }))
        })
    }
}

/// A body in small chunks; the next chunk is read when the client has accepted the last one.
#[derive(Debug)]
pub(super) struct Pieces<B> {
    body: B,
    /// The rest of the last frame that was read.
    left: Bytes,
    stream: Stream,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => {
                    this.stream.set(None);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.left = bytes,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Ready(end) => return Poll::Ready(end),
            }
        }
        this.stream.set(Some(Instant::now()));
        let piece = this.left.split_to(this.left.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, hint) = (self.left.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(left));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(left));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    const PATIENCE: ListenerTimeouts =
        ListenerTimeouts { head: Duration::from_secs(30), progress: Duration::from_secs(60), upload: Duration::ZERO };

    fn service<B: Body<Data = Bytes> + Send + 'static>(
        streams: &Arc<Streams>,
        body: B,
    ) -> impl Service<Request<()>, Response = Response<Pieces<B>>, Error = Infallible> {
        let mut body = Some(body);
        let inner = tower::service_fn(move |_: Request<()>| {
            let body = body.take();
            async move { Ok(Response::new(body.unwrap())) }
        });
        WatchedService::new(inner, Arc::clone(streams))
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_idle() {
        let streams = Streams::new(PATIENCE);
        assert_eq!((streams.overdue(after(29)), streams.overdue(after(30))), (None, Some(Overdue::Idle)));
        let stream = streams.open();
        assert_eq!(streams.overdue(after(10_000)), None, "the server is slow, not the client");
        drop(stream);
        assert_eq!((streams.overdue(after(29)), streams.overdue(after(31))), (None, Some(Overdue::Idle)));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_stalled_whatever_others_take() {
        let streams = Streams::new(PATIENCE);
        let mut unread = service(&streams, Full::new(Bytes::from_static(b"x")));
        let unread = unread.call(Request::new(())).await.unwrap();
        assert_eq!((streams.overdue(after(59)), streams.overdue(after(60))), (None, Some(Overdue::Stalled)));
        let mut read = service(&streams, Full::new(Bytes::from_static(b"x")));
        let read = read.call(Request::new(())).await.unwrap().into_body();
        assert_eq!(read.collect().await.unwrap().to_bytes(), "x");
        assert_eq!(streams.overdue(after(60)), Some(Overdue::Stalled));
        drop(unread);
        assert_eq!(streams.overdue(after(31)), Some(Overdue::Idle));
    }

    #[tokio::test]
    async fn a_body_is_given_out_in_pieces_and_progress_is_each_of_them() {
        let streams = Streams::new(PATIENCE);
        let whole = Bytes::from(vec![7; 3 * PIECE + 1]);
        let mut answers = service(&streams, Full::new(whole.clone()));
        let mut body = answers.call(Request::new(())).await.unwrap().into_body();
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(
                piece.len() <= PIECE
                    && body.size_hint().exact() == Some((whole.len() - seen.len() - piece.len()) as u64)
            );
            seen.extend_from_slice(&piece);
        }
        assert!(body.is_end_stream() && seen == whole);
    }

    #[tokio::test]
    async fn a_body_that_is_not_there_yet_is_not_the_clients_fault() {
        let streams = Streams::new(PATIENCE);
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let mut answers = service(&streams, never);
        let mut body = answers.call(Request::new(())).await.unwrap().into_body();
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        assert_eq!(streams.overdue(after(10_000)), None);
    }
}
