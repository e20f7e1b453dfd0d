//! Leaves an upstream alone that is down or asked for a pause.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::circuit::Circuit;
use super::{Fetched, Upstream, UpstreamError, UpstreamRequest, UpstreamState};
use crate::clock::Clock;

/// Wraps an upstream: after three consecutive failures that say it is down (no connection, TLS, time-outs, 5xx; a body
/// that stalls or breaks off counts as well, once however often it is taken up again) calls fail at once with `AssumedOffline` for a while; then one is let
/// through to see. While a pause asked for by 429 or 503 lasts, all calls fail at once with `RateLimited`.
#[derive(Debug)]
pub struct Breaker<U> {
    inner: U,
    circuit: Arc<Circuit>,
}

impl<U> Breaker<U> {
    /// `name` is what the log calls it, such as its address. `assumed_offline`: how long calls are refused; zero: never
    /// (pauses are kept all the same).
    pub fn new(name: impl Into<String>, inner: U, assumed_offline: Duration, clock: Arc<dyn Clock>) -> Self {
        Self::on(inner, Circuit::new(name.into(), assumed_offline, clock))
    }

    pub(super) fn on(inner: U, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit }
    }
}

impl<U: Upstream> Upstream for Breaker<U> {
    /// # Cancel safety
    /// A call dropped half-way counts neither for nor against the upstream; a dropped probe frees its place.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        Box::pin(async move {
            let pass = match self.circuit.admit() {
                Ok(pass) => pass,
                Err(problem) => return Err(UpstreamError::new(problem, request.path, 0, Duration::ZERO)),
            };
            let resumes = request.resumes;
            let mut outcome = self.inner.fetch(request, deadline).await;
            pass.settle(&mut outcome, resumes);
            outcome
        })
    }

    fn state(&self) -> UpstreamState {
        self.circuit.state()
    }
}
