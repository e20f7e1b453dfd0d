//! Rate limits for incoming request bodies. Without them, a client that sends almost nothing could hold a connection,
//! which counts towards `max_connections`, forever.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use crate::hex::limits;

/// The minimum rate and the time limit of a request body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyRate {
    /// The longest pause between two chunks.
    pub(super) idle: Duration,
    /// The minimum average rate in bytes per second; the first `idle` seconds do not count.
    pub(super) rate: u64,
    /// The time limit for the whole body, at any rate.
    pub(super) whole: Duration,
}

/// The reason why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLoss {
    /// The client disconnected, or the body is not valid HTTP.
    BrokenOff,
    /// The body arrived too slowly.
    Slow,
    /// The body was not complete before its time limit.
    TooLong,
}

impl BodyRate {
    /// The limits of a body that is not an upload.
    pub(super) const SMALL: Self =
        Self { idle: limits::BODY_IDLE, rate: limits::BODY_RATE, whole: limits::API_BODY_TIME };

    /// The chunks of `body` as long as it keeps to these limits. The time starts now.
    pub(super) fn hold<'b, S, E>(self, body: S) -> BoxStream<'b, Result<Bytes, BodyLoss>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'b,
    {
        let began = Instant::now();
        let end = began + self.whole;
        let start = Some((body, 0_u64));
        stream::unfold(start, move |state| async move {
            let (mut body, received) = state?;
            let paced = Duration::from_secs(received.checked_div(self.rate).unwrap_or_default());
            let until = (began + self.idle + paced).min(Instant::now() + self.idle);
            match timeout_at(until.min(end), body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(chunk))) => {
                    let received = received.saturating_add(chunk.len() as u64);
                    Some((Ok(chunk), Some((body, received))))
                }
                Ok(Some(Err(_))) => Some((Err(BodyLoss::BrokenOff), None)),
                Err(_) if until < end => Some((Err(BodyLoss::Slow), None)),
                Err(_) => Some((Err(BodyLoss::TooLong), None)),
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const PACE: BodyRate =
        BodyRate { idle: Duration::from_millis(50), rate: 1_000_000, whole: Duration::from_secs(3600) };

    async fn end(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static) -> Option<BodyLoss> {
        end_of(PACE, body).await
    }

    async fn end_of(
        pace: BodyRate,
        body: impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static,
    ) -> Option<BodyLoss> {
        let mut pieces = pace.hold(body);
        let mut last = None;
        while let Some(piece) = pieces.next().await {
            last = piece.err();
        }
        last
    }

    #[tokio::test]
    async fn who_sends_nothing_is_not_waited_for() {
        assert_eq!(end(stream::pending()).await, Some(BodyLoss::Slow));
    }

    /// Each byte arrives before `idle` is over, and the bytes never end.
    #[tokio::test]
    async fn nor_who_sends_next_to_nothing() {
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        assert_eq!(end(trickle.boxed()).await, Some(BodyLoss::Slow));
    }

    /// The bytes arrive as fast as possible, and never end.
    #[tokio::test]
    async fn nor_who_never_comes_to_an_end() {
        let flood = stream::unfold((), async |()| {
            tokio::task::yield_now().await;
            Some((Ok(Bytes::from_static(&[0; 4096])), ()))
        });
        let pace = BodyRate { whole: Duration::from_millis(20), idle: Duration::from_secs(3600), ..PACE };
        assert_eq!(end_of(pace, flood.boxed()).await, Some(BodyLoss::TooLong));
    }

    #[tokio::test]
    async fn what_comes_at_once_is_taken() {
        let pieces = stream::iter(["a", "b"].map(|piece| Ok(Bytes::from_static(piece.as_bytes()))));
        assert_eq!(end(pieces).await, None);
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(())]);
        let pieces: Vec<_> = PACE.hold(broken).collect().await;
        assert_eq!(pieces, [Ok(Bytes::from_static(b"a")), Err(BodyLoss::BrokenOff)]);
    }
}
