//! A circuit breaker: stops requests to an upstream that is down or asked for a pause.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::circuit::Circuit;
use super::{Fetched, Upstream, UpstreamError, UpstreamRequest, UpstreamState};
use crate::clock::Clock;

/// Wraps an upstream. After three consecutive failures that mean that it is down, calls fail at once with
/// `AssumedOffline` for the configured time. Then one call is sent as a probe. Such failures are: no connection, TLS,
/// time-outs, 5xx, and a body that stalls or breaks off (counted once, however often it is resumed). While a pause that
/// the upstream asked for (429, or 503 with `Retry-After`) lasts, all calls fail at once with `RateLimited`.
#[derive(Debug)]
pub struct Breaker<U> {
    inner: U,
    circuit: Arc<Circuit>,
}

impl<U> Breaker<U> {
    /// Wraps `inner`. `name` is its name in the log, such as its address. `assumed_offline` is how long calls fail at
    /// once; zero turns this off, but pauses are still respected.
    pub fn new(name: impl Into<String>, inner: U, assumed_offline: Duration, clock: Arc<dyn Clock>) -> Self {
        Self::on(inner, Circuit::new(name.into(), assumed_offline, clock))
    }

    pub(super) fn on(inner: U, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit }
    }
}

impl<U: Upstream> Upstream for Breaker<U> {
    /// # Cancel safety
    /// A call that is dropped before it ends counts neither as a success nor as a failure. After a dropped probe, the
    /// next call is a probe.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        Box::pin(async move {
            let pass = match self.circuit.admit() {
                Ok(pass) => pass,
                Err(problem) => return Err(UpstreamError::new(problem, request.path, 0, Duration::ZERO)),
            };
            let resumes = request.resumes;
            let mut outcome = self.inner.fetch(request, deadline).await;
            pass.record_outcome(&mut outcome, resumes);
            outcome
        })
    }

    fn state(&self) -> UpstreamState {
        self.circuit.state()
    }
}
