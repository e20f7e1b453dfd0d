//! The state of a circuit breaker ([`Breaker`](super::Breaker)), which decides whether requests are sent.
//!
//! ```text
//!            3 failures in a row                    time is up, one call
//!   closed ─────────────────────▶ open (no calls) ─────────────────────▶ probing (one call, no others)
//!     ▲                            ▲     ▲  probe failed                   │ │ │
//!     │                            │     └─────────────────────────────────┘ │ │
//!     │                            └── probe dropped (open, time still up) ──┘ │
//!     └──────────────────────────────────── the upstream answered ─────────────┘
//! ```
//! Independently of the phase, no call is made while a pause lasts that the upstream asked for with status 429.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::error::{Problem, UpstreamError, UpstreamErrorKind};
use super::limits::{FAILURES_TO_OPEN, MAX_RETRY_AFTER};
use super::{Fetched, UpstreamState};
use crate::clock::{Clock, Timestamp};

pub(super) struct Circuit {
    /// The name of the upstream in the log.
    name: String,
    /// How long the circuit stays open; zero: it never opens.
    offline_for: Duration,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Consecutive failures since the last success.
    failures: u32,
    /// How many of the last failures, in a row, were without any answer.
    silences: u32,
    paused_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Timestamp },
    Probing { until: Timestamp },
}

impl Circuit {
    pub(super) fn new(name: String, offline_for: Duration, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State { phase: Phase::Closed, failures: 0, silences: 0, paused_until: None };
        Arc::new(Self { name, offline_for, clock, state: Mutex::new(state) })
    }

    /// Asks for permission to make a call.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Pass, Problem> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        match self.state_at(&state, now) {
            UpstreamState::RateLimited { until } => return Err(Problem::RateLimited(until.since(now))),
            UpstreamState::AssumedOffline { .. } => {
                return Err(Problem::AssumedOffline { silent: state.silences >= FAILURES_TO_OPEN });
            }
            UpstreamState::Online => {}
        }
        let probe = if let Phase::Open { until } = state.phase {
            state.phase = Phase::Probing { until };
            true
        } else {
            false
        };
        Ok(Pass { circuit: Arc::clone(self), probe })
    }

    /// The result that a call would have now.
    pub(super) fn state(&self) -> UpstreamState {
        self.state_at(&self.state.lock(), self.clock.now())
    }

    fn state_at(&self, state: &State, now: Timestamp) -> UpstreamState {
        if let Some(until) = state.paused_until.filter(|until| now.awaits(*until, MAX_RETRY_AFTER)) {
            return UpstreamState::RateLimited { until };
        }
        match state.phase {
            Phase::Open { until } if now.awaits(until, self.offline_for) => UpstreamState::AssumedOffline { until },
            Phase::Probing { until } => UpstreamState::AssumedOffline { until },
            Phase::Closed | Phase::Open { .. } => UpstreamState::Online,
        }
    }

    fn succeeded(&self) {
        let mut state = self.state.lock();
        state.failures = 0;
        state.silences = 0;
        self.close(&mut state);
    }

    fn failed(&self, error: &UpstreamError, probe: bool) {
        if self.offline_for.is_zero() {
            return;
        }
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.silences = if error.is_unanswered() { state.silences.saturating_add(1) } else { 0 };
        // The failure of a call that began before the circuit opened does not count.
        if probe || (state.phase == Phase::Closed && state.failures >= FAILURES_TO_OPEN) {
            let until = self.clock.now().plus(self.offline_for);
            state.phase = Phase::Open { until };
            tracing::warn!(upstream = %self.name, %error, %until, "the upstream is assumed to be offline");
        }
    }

    fn paused(&self, pause: Duration) {
        let until = self.clock.now().plus(pause);
        let mut state = self.state.lock();
        state.paused_until = state.paused_until.max(Some(until));
        state.failures = 0;
        state.silences = 0;
        self.close(&mut state);
        tracing::warn!(upstream = %self.name, %until, "the upstream asked for a pause between requests");
    }

    fn close(&self, state: &mut State) {
        if state.phase != Phase::Closed {
            state.phase = Phase::Closed;
            tracing::info!(upstream = %self.name, "the upstream answers again");
        }
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("name", &self.name).field("state", &*self.state.lock()).finish_non_exhaustive()
    }
}

/// The permission to make one call. If it is dropped without an outcome, because the caller was cancelled, it counts
/// neither as a success nor as a failure, and the next call becomes the probe.
#[derive(Debug)]
pub(super) struct Pass {
    circuit: Arc<Circuit>,
    probe: bool,
}

impl Pass {
    /// Updates the state with the outcome of the call. If the call `resumes` a transfer, its failure has already been
    /// counted; it counts again only if the call is a probe.
    pub(super) fn record_outcome(mut self, outcome: &mut Result<Fetched, UpstreamError>, resumes: bool) {
        let circuit = Arc::clone(&self.circuit);
        let counted = resumes && !self.probe;
        match outcome {
            Ok(Fetched::NotModified | Fetched::Missing { .. }) => circuit.succeeded(),
            Ok(Fetched::Body(body)) => {
                body.report_to(Report { circuit: Arc::clone(&circuit), counted });
                let mut state = circuit.state.lock();
                state.silences = 0;
                if self.probe {
                    // The head of an answer shows that the upstream is online, and other calls need not wait for a long
                    // body. The circuit closes on trial: if this body fails, that failure opens it again.
                    state.failures = FAILURES_TO_OPEN - 1;
                    circuit.close(&mut state);
                }
            }
            Err(error) => match error.kind() {
                UpstreamErrorKind::RateLimited => circuit.paused(error.retry_after().unwrap_or_default()),
                // No request was sent, so this says nothing about the upstream.
                UpstreamErrorKind::Busy | UpstreamErrorKind::AssumedOffline => return,
                _ if error.says_down() && counted => {}
                _ if error.says_down() => circuit.failed(error, self.probe),
                // The answer is invalid, but the upstream is online.
                _ => circuit.succeeded(),
            },
        }
        self.probe = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.circuit.state.lock();
            if let Phase::Probing { until } = state.phase {
                state.phase = Phase::Open { until };
            }
        }
    }
}

/// Reports how a body ended. If it is dropped without a report, because the reader was cancelled, the body counts
/// neither as a success nor as a failure.
#[derive(Debug)]
pub(super) struct Report {
    circuit: Arc<Circuit>,
    /// Whether a failure of this transfer has already been counted.
    counted: bool,
}

impl Report {
    pub(super) fn complete(self) {
        self.circuit.succeeded();
    }

    pub(super) fn failed(self, error: &UpstreamError) {
        if !self.counted && (error.says_down() || error.kind() == UpstreamErrorKind::Truncated) {
            self.circuit.failed(error, false);
        }
    }
}
