//! Tries again what may well succeed a moment later.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::circuit::Circuit;
use super::{Fetched, Upstream, UpstreamError, UpstreamRequest, UpstreamState};

/// How often and how fast.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The longest pause before the second attempt; doubles with each further one.
    pub base: Duration,
    /// Turns the longest pause into the one that is made, so that clients which failed together do not return together.
    pub jitter: fn(Duration) -> Duration,
}

impl Default for RetryPolicy {
    /// 3 attempts, 100 ms, full jitter.
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(100), jitter: full_jitter }
    }
}

/// Anything from nothing to `longest`, evenly.
fn full_jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

/// What may be spent on further attempts, so that an outage does not triple the load: a burst of ten, and one for every
/// five requests.
#[derive(Debug)]
struct Budget(Mutex<u32>);

impl Budget {
    /// In fifths of an attempt: each request brings one.
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

/// Wraps an upstream: a retryable failure is tried again, with exponential backoff and jitter, as long as attempts,
/// budget and at least half of the time until the deadline are left. Once a body has been handed out its failures are
/// the caller's.
#[derive(Debug)]
pub struct Retrying<U> {
    inner: U,
    policy: RetryPolicy,
    budget: Budget,
    circuit: Option<Arc<Circuit>>,
}

impl<U> Retrying<U> {
    /// Retries calls to `inner` as `policy` says.
    pub fn new(inner: U, policy: RetryPolicy) -> Self {
        Self { inner, policy, budget: Budget(Mutex::new(Budget::MOST)), circuit: None }
    }

    /// Makes no further attempt while `circuit` would refuse a new call.
    pub(super) fn heeding(mut self, circuit: Arc<Circuit>) -> Self {
        self.circuit = Some(circuit);
        self
    }

    /// The pause before another attempt, or `None` where there must not be one.
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
        // The budget comes last: what is asked of it is spent.
        (left >= whole / 2 && self.budget.withdraw()).then_some(pause)
    }
}

impl<U: Upstream> Upstream for Retrying<U> {
    /// # Cancel safety
    /// Holds nothing between attempts; dropping it ends the attempt under way.
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
                    // An attempt that was refused unsent is none.
                    Err(error) => {
                        let sent = attempts - u32::from(error.attempts() == 0);
                        error.after(sent, started.elapsed())
                    }
                };
                let Some(pause) = self.pause(&error, attempts, started, deadline) else { return Err(error) };
                tracing::debug!(%error, ?pause, "asking upstream again");
                sleep(pause).await;
            }
        })
    }

    fn state(&self) -> UpstreamState {
        self.inner.state()
    }
}
