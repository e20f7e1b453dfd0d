//! Drains the rest of a request body after the answer. If the server closed the connection while the client still
//! sends, the client would lose the answer. So the unread rest is read and dropped, whatever part of the server refused
//! the request.
//!
//! A body is lent to the code that answers. If that code drops it before its end, the body comes back here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::hex::limits;
use crate::shutdown::Tasks;

/// The place to which a lent body returns; `None` if the request has no body.
pub(super) struct UnreadBody<B>(Option<Place<B>>);

type Place<B> = Arc<Mutex<Option<B>>>;

/// How much of a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyProgress {
    /// Nothing, and the client waits for `100 Continue`.
    Announced,
    /// All bytes that were requested have arrived.
    Taken,
    /// More bytes were requested, but have not arrived.
    Awaited,
    /// To its end, or to an error.
    Ended,
}

/// The body of a request, lent to the code that answers the request.
pub(super) struct LentBody<B> {
    body: Option<B>,
    place: Option<Place<B>>,
    progress: BodyProgress,
}

/// The same request with a lent body, and the place to which the body returns.
pub(super) fn lend<B: Body>(request: Request<B>) -> (Request<LentBody<B>>, UnreadBody<B>) {
    let place = (!request.body().is_end_stream()).then(Place::default);
    let waits = request.headers().contains_key(EXPECT);
    let progress = if waits { BodyProgress::Announced } else { BodyProgress::Taken };
    let unread = UnreadBody(place.clone());
    (request.map(|body| LentBody { body: Some(body), place, progress }), unread)
}

impl<B> UnreadBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Reads and drops the returned body, within limits, while the answer is sent. It does not wait for a client that
    /// stopped in the middle of its body.
    pub(super) fn drain_behind(self, tasks: &Tasks)
    where
        B: Send + 'static,
    {
        if self.0.as_ref().is_none_or(|place| place.lock().is_none()) {
            return;
        }
        let stopping = tasks.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = self.drain() => {}
                () = stopping.stopping() => {}
            }
        });
    }

    async fn drain(self) {
        let Some(mut body) = self.0.and_then(|place| place.lock().take()) else { return };
        let mut left = limits::DRAINED;
        let drained = async {
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
        };
        let _ = timeout(limits::DRAIN_TIME, drained).await;
    }
}

impl<B> Drop for LentBody<B> {
    fn drop(&mut self) {
        // Do not wait any longer for a client that stopped sending, or that never got `100 Continue`.
        if self.progress == BodyProgress::Taken
            && let Some(place) = &self.place
        {
            *place.lock() = self.body.take();
        }
    }
}

impl<B> Body for LentBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        self.progress = match &polled {
            Poll::Pending => BodyProgress::Awaited,
            Poll::Ready(Some(Ok(_))) => BodyProgress::Taken,
            Poll::Ready(Some(Err(_)) | None) => BodyProgress::Ended,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body_util::StreamBody;

    use super::*;

    type Pieces = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

    /// Two chunks, then nothing, forever.
    fn two_pieces() -> Pieces {
        let piece = || Ok(Frame::data(Bytes::from_static(b"x")));
        StreamBody::new(stream::iter([piece(), piece()]).chain(stream::pending()).boxed())
    }

    /// The returned body after this number of chunks was requested.
    async fn left(asked: usize, expect: bool) -> bool {
        let mut request = Request::new(two_pieces());
        if expect {
            request.headers_mut().insert(EXPECT, http::HeaderValue::from_static("100-continue"));
        }
        let (request, unread) = lend(request);
        let mut body = request.into_body();
        for _ in 0..asked {
            let piece = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context))).await;
            drop(piece);
        }
        drop(body);
        unread.0.is_some_and(|place| place.lock().is_some())
    }

    #[tokio::test]
    async fn what_was_not_asked_for_comes_back_and_what_was_waited_for_in_vain_does_not() {
        for (asked, expect, expected) in
            [(0, false, true), (1, false, true), (2, false, true), (3, false, false), (0, true, false), (1, true, true)]
        {
            assert_eq!(left(asked, expect).await, expected, "{asked} pieces, expect: {expect}");
        }
        let (_, unread) = lend(Request::new(http_body_util::Empty::<Bytes>::new()));
        assert!(unread.0.is_none(), "a request without a body allocates nothing");
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_let_go() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 65_536]))));
        let (request, unread) = lend(Request::new(StreamBody::new(endless)));
        drop(request);
        unread.drain().await;
    }
}
