//! Retries requests that may succeed a moment later.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::circuit::Circuit;
use super::{Fetched, Upstream, UpstreamError, UpstreamRequest, UpstreamState};

/// The number of attempts and the pauses between them.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The most attempts, the first included.
    pub attempts: u32,
    /// The longest pause before the second attempt; doubles with each further one.
    pub base: Duration,
    /// Chooses the actual pause from the longest one, so that clients that failed together do not retry together.
    pub jitter: fn(Duration) -> Duration,
}

impl Default for RetryPolicy {
    /// 3 attempts, 100 ms, full jitter.
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(100), jitter: full_jitter }
    }
}

/// A uniformly distributed pause between zero and `longest`.
fn full_jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

/// The budget for further attempts, so that an outage does not triple the load: a burst of ten, and one for every five
/// requests.
#[derive(Debug)]
struct Budget(Mutex<u32>);

impl Budget {
    /// The budget counts fifths of an attempt. Each request adds one fifth.
    const ATTEMPT: u32 = 5;
    const MOST: u32 = 10 * Self::ATTEMPT;

    fn deposit(&self) {
        let mut fifths = self.0.lock();
        *fifths = fifths.saturating_add(1).min(Self::MOST);
    }

    fn withdraw(&self) -> bool {
        let mut fifths = self.0.lock();
        fifths.checked_sub(Self::ATTEMPT).map(|rest| *fifths = rest).is_some()
    }
}

/// Wraps an upstream. Retries a retryable failure with exponential backoff and jitter, as long as attempts, budget and
/// at least half of the time until the deadline are left. Failures while a body is read are not retried: the caller
/// handles them.
#[derive(Debug)]
pub struct Retrying<U> {
    inner: U,
    policy: RetryPolicy,
    budget: Budget,
    circuit: Option<Arc<Circuit>>,
}

impl<U> Retrying<U> {
    /// Wraps `inner` and retries its failures by `policy`.
    pub fn new(inner: U, policy: RetryPolicy) -> Self {
        Self { inner, policy, budget: Budget(Mutex::new(Budget::MOST)), circuit: None }
    }

    /// Makes no further attempt while `circuit` rejects new calls.
    pub(super) fn respecting(mut self, circuit: Arc<Circuit>) -> Self {
        self.circuit = Some(circuit);
        self
    }

    /// The pause before another attempt; `None` if there must not be one.
    fn pause(&self, error: &UpstreamError, attempts: u32, started: Instant, deadline: Instant) -> Option<Duration> {
        if attempts >= self.policy.attempts || !error.is_retryable() {
            return None;
        }
        if self.circuit.as_ref().is_some_and(|circuit| circuit.state() != UpstreamState::Online) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let pause = (self.policy.jitter)(self.policy.base.saturating_mul(doubled));
        let whole = deadline.saturating_duration_since(started);
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(pause);
        // The budget is checked last, because the check spends it.
        (left >= whole / 2 && self.budget.withdraw()).then_some(pause)
    }
}

impl<U: Upstream> Upstream for Retrying<U> {
    /// # Cancel safety
    /// Holds no resources between attempts. Dropping the future cancels the current attempt.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        Box::pin(async move {
            let started = Instant::now();
            self.budget.deposit();
            let mut attempts = 0;
            loop {
                attempts += 1;
                let error = match self.inner.fetch(request.clone(), deadline).await {
                    Ok(Fetched::Body(mut body)) => {
                        body.attempts = attempts;
                        body.started = started;
                        return Ok(Fetched::Body(body));
                    }
                    Ok(answer) => return Ok(answer),
                    // An attempt that failed before it was sent does not count.
                    Err(error) => {
                        let sent = attempts - u32::from(error.attempts() == 0);
                        error.with_attempts(sent, started.elapsed())
                    }
                };
                let Some(pause) = self.pause(&error, attempts, started, deadline) else { return Err(error) };
                tracing::debug!(%error, ?pause, "retrying a request to the upstream");
                sleep(pause).await;
            }
        })
    }

    fn state(&self) -> UpstreamState {
        self.inner.state()
    }
}
