//! How fast a body has to come in: who sends next to nothing would hold a connection, and its place below
//! `max_connections`, for ever. May import nothing of ours.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

/// What a body has to keep up with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long the next bytes may take.
    pub(super) idle: Duration,
    /// Bytes a second, on the whole, after the time that one wait may take.
    pub(super) rate: u64,
}

/// Why a body has not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The client has gone, or what it sends is no HTTP.
    BrokenOff,
    /// It came too slowly.
    Slow,
}

impl Pace {
    /// The pieces of a body, as long as it keeps up. The time runs from now.
    pub(super) fn hold<S, E>(self, body: S) -> BoxStream<'static, Result<Bytes, Lost>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    {
        let began = Instant::now();
        let start = Some((body, 0_u64));
        stream::unfold(start, move |state| async move {
            let (mut body, received) = state?;
            let whole = Duration::from_secs(received.checked_div(self.rate).unwrap_or_default());
            let until = (began + self.idle + whole).min(Instant::now() + self.idle);
            match timeout_at(until, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(chunk))) => {
                    let received = received.saturating_add(chunk.len() as u64);
                    Some((Ok(chunk), Some((body, received))))
                }
                Ok(Some(Err(_))) => Some((Err(Lost::BrokenOff), None)),
                Err(_) => Some((Err(Lost::Slow), None)),
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const PACE: Pace = Pace { idle: Duration::from_millis(50), rate: 1_000_000 };

    async fn end(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static) -> Option<Lost> {
        let mut pieces = PACE.hold(body);
        let mut last = None;
        while let Some(piece) = pieces.next().await {
            last = piece.err();
        }
        last
    }

    #[tokio::test]
    async fn who_sends_nothing_is_not_waited_for() {
        assert_eq!(end(stream::pending()).await, Some(Lost::Slow));
    }

    /// Each byte comes before the wait is over, and the bytes never end.
    #[tokio::test]
    async fn nor_who_sends_next_to_nothing() {
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        assert_eq!(end(trickle.boxed()).await, Some(Lost::Slow));
    }

    #[tokio::test]
    async fn what_comes_at_once_is_taken() {
        let pieces = stream::iter(["a", "b"].map(|piece| Ok(Bytes::from_static(piece.as_bytes()))));
        assert_eq!(end(pieces).await, None);
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(())]);
        let pieces: Vec<_> = PACE.hold(broken).collect().await;
        assert_eq!(pieces, [Ok(Bytes::from_static(b"a")), Err(Lost::BrokenOff)]);
    }
}
