//! Limits the number of requests per minute to an upstream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::Problem;
use super::{Fetched, Upstream, UpstreamError, UpstreamRequest, UpstreamState};
use crate::clock::Clock;

/// Wraps an upstream. Counts every attempt in windows of one minute of the wall clock, as hex.pm does. Attempts above
/// the limit fail at once with `RateLimited`.
#[derive(Debug)]
pub struct Paced<U> {
    inner: U,
    per_minute: Option<usize>,
    clock: Arc<dyn Clock>,
    /// The number of the current window, and how many requests were sent in it.
    window: Mutex<(u64, usize)>,
}

impl<U> Paced<U> {
    /// Wraps `inner` and sends it at most `per_minute` requests per minute; `None`: no limit.
    pub fn new(inner: U, per_minute: Option<usize>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, per_minute, clock, window: Mutex::default() }
    }

    /// Counts one more attempt. If the limit is reached, returns the time until the next window.
    fn take(&self) -> Result<(), Duration> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let now = self.clock.now().as_secs();
        let mut window = self.window.lock();
        if window.0 != now / 60 {
            *window = (now / 60, 0);
        }
        if window.1 >= per_minute {
            return Err(Duration::from_secs(60 - now % 60));
        }
        window.1 += 1;
        Ok(())
    }
}

impl<U: Upstream> Upstream for Paced<U> {
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        match self.take() {
            Ok(()) => self.inner.fetch(request, deadline),
            Err(pause) => Box::pin(async move {
                Err(UpstreamError::new(Problem::RateLimited(pause), request.path, 0, Duration::ZERO))
            }),
        }
    }

    fn state(&self) -> UpstreamState {
        self.inner.state()
    }
}
