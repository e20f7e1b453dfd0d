//! Tests of retries, the circuit breaker and the limits of bodies, with an upstream that returns a list of outcomes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::body::{Bounds, Head};
use super::circuit::Circuit;
use super::error::{Problem, ProtocolProblem};
use super::limits::MAX_BODY_TIME;
use super::*;
use crate::clock::ManualClock;

const OFFLINE: Duration = Duration::from_secs(30);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

enum Outcome {
    NotModified,
    Missing,
    /// A body that announces this many bytes, and its actual bytes.
    Body(u64, &'static [u8]),
    Fails(Problem),
    /// Never answers.
    Hangs,
}

#[derive(Default)]
struct Fake {
    outcomes: Mutex<VecDeque<Outcome>>,
    calls: Mutex<usize>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    fn will(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.outcomes.lock().extend(outcomes);
    }

    fn calls(&self) -> usize {
        *self.calls.lock()
    }
}

impl Upstream for Arc<Fake> {
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        Box::pin(async move {
            *self.calls.lock() += 1;
            let outcome = self.outcomes.lock().pop_front().expect("a call too many");
            match outcome {
                Outcome::NotModified => Ok(Fetched::NotModified),
                Outcome::Missing => Ok(Fetched::Missing { status: 404 }),
                Outcome::Body(length, bytes) => {
                    Ok(Fetched::Body(body(Some(length), bytes, request.max_body, deadline)))
                }
                Outcome::Fails(problem) => Err(UpstreamError::new(problem, request.path, 1, Duration::ZERO)),
                Outcome::Hangs => std::future::pending().await,
            }
        })
    }

    fn state(&self) -> UpstreamState {
        UpstreamState::Online
    }
}

fn body(length: Option<u64>, bytes: &'static [u8], max_body: u64, deadline: Instant) -> UpstreamBody {
    let response = reqwest::Response::from(http::Response::new(Bytes::from_static(bytes)));
    let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let now = Instant::now();
    let bounds = Bounds { max_body, idle: Duration::from_secs(10), deadline, latest: now + MAX_BODY_TIME };
    let head = Head { status: 200, length, etag: None, last_modified: None };
    UpstreamBody::new(head, response, slot, bounds, "http://upstream.test/names".into(), now)
}

fn request() -> UpstreamRequest {
    UpstreamRequest::get("names", 1000)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(100)
}

fn down() -> Outcome {
    Outcome::Fails(Problem::Status(500))
}

fn at_once() -> RetryPolicy {
    RetryPolicy { jitter: |_| Duration::ZERO, ..RetryPolicy::default() }
}

fn share(clock: &Arc<ManualClock>) -> Arc<dyn Clock> {
    Arc::<ManualClock>::clone(clock)
}

fn breaker(fake: &Arc<Fake>, offline: Duration) -> (Breaker<Arc<Fake>>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (Breaker::new("fake", Arc::clone(fake), offline, share(&clock)), clock)
}

async fn reason(upstream: &impl Upstream) -> &'static str {
    match upstream.fetch(request(), soon()).await {
        Ok(_) => "ok",
        Err(error) => error.reason(),
    }
}

#[tokio::test]
async fn only_what_may_pass_is_tried_again_and_three_times_at_most() {
    let cases: [(Vec<Outcome>, &str, usize); 6] = [
        (vec![down(), Outcome::NotModified], "ok", 2),
        (vec![down(), Outcome::Fails(Problem::Idle(OFFLINE)), Outcome::Missing], "ok", 3),
        (vec![down(), down(), down()], "status_5xx", 3),
        (vec![Outcome::Fails(Problem::Status(400))], "status_4xx", 1),
        (vec![Outcome::Fails(Problem::RateLimited(OFFLINE))], "rate_limited", 1),
        (vec![down(), Outcome::Fails(Problem::Deadline)], "deadline", 2),
    ];
    for (outcomes, expected, calls) in cases {
        let fake = Arc::new(Fake::default());
        fake.will(outcomes);
        let retrying = Retrying::new(Arc::clone(&fake), at_once());
        match retrying.fetch(request(), soon()).await {
            Ok(_) => assert_eq!(expected, "ok"),
            Err(error) => {
                assert_eq!(error.reason(), expected);
                assert_eq!(error.attempts() as usize, calls, "{error}");
            }
        }
        assert_eq!(fake.calls(), calls, "{expected}");
    }
}

#[tokio::test]
async fn a_further_attempt_needs_half_of_the_time() {
    for (pause, calls) in [(60, 1), (0, 2)] {
        let fake = Arc::new(Fake::default());
        fake.will([down(), Outcome::NotModified]);
        let jitter = if pause == 60 { |_| Duration::from_secs(60) } else { |_| Duration::ZERO };
        let retrying = Retrying::new(Arc::clone(&fake), RetryPolicy { jitter, ..at_once() });
        let outcome = retrying.fetch(request(), soon()).await;
        assert_eq!(outcome.is_ok(), calls == 2);
        assert_eq!(fake.calls(), calls);
    }
}

#[tokio::test]
async fn an_outage_does_not_triple_the_load() {
    let fake = Arc::new(Fake::default());
    let retrying = Retrying::new(Arc::clone(&fake), at_once());
    for _ in 0..100 {
        fake.outcomes.lock().clear();
        fake.will([down(), down(), down()]);
        assert_eq!(reason(&retrying).await, "status_5xx");
    }
    let further = fake.calls() - 100;
    assert!((25..=30).contains(&further), "{further} further attempts");
}

#[tokio::test]
async fn pauses_double_and_are_spread() {
    let policy = RetryPolicy::default();
    for _ in 0..100 {
        assert!((policy.jitter)(policy.base) <= policy.base);
    }
    let fake = Arc::new(Fake::default());
    fake.will([down(), down(), down()]);
    let no_jitter = RetryPolicy { base: Duration::from_millis(1), jitter: |longest| longest, attempts: 3 };
    let error = Retrying::new(Arc::clone(&fake), no_jitter).fetch(request(), soon()).await.unwrap_err();
    assert!(error.elapsed() >= Duration::from_millis(3), "1 ms and 2 ms");
}

#[tokio::test]
async fn no_further_attempt_while_the_circuit_is_open() {
    let fake = Arc::new(Fake::default());
    let clock = Arc::new(ManualClock::new(START));
    let circuit = Circuit::new("fake".into(), OFFLINE, share(&clock));
    let retrying = Retrying::new(Arc::clone(&fake), at_once()).respecting(Arc::clone(&circuit));
    let stack = Breaker::on(retrying, circuit);
    fake.will((0..9).map(|_| down()));
    for calls in [3, 6, 9, 9] {
        reason(&stack).await;
        assert_eq!(fake.calls(), calls, "a call that fails thrice is one failure");
    }
    clock.advance(OFFLINE);
    fake.will([down()]);
    assert_eq!(reason(&stack).await, "status_5xx");
    assert_eq!(fake.calls(), 10, "a probe is one attempt");
}

#[tokio::test]
async fn three_failures_in_a_row_and_it_is_left_alone() {
    let fake = Arc::new(Fake::default());
    let (breaker, clock) = breaker(&fake, OFFLINE);
    // A success or any other answer in between resets the count. Failures by limits of this server do not count.
    fake.will([down(), down(), Outcome::NotModified, down(), down(), Outcome::Missing, down(), down()]);
    fake.will([Outcome::Fails(Problem::Protocol(ProtocolProblem::ContentRange)), down(), down()]);
    fake.will([Outcome::Fails(Problem::Busy)]);
    for _ in 0..12 {
        assert_ne!(reason(&breaker).await, "assumed_offline");
        assert_eq!(breaker.state(), UpstreamState::Online);
    }
    fake.will([Outcome::Fails(Problem::Deadline)]);
    assert_eq!(reason(&breaker).await, "deadline");
    assert_eq!(breaker.state(), UpstreamState::AssumedOffline { until: START.plus(OFFLINE) });

    let error = breaker.fetch(request(), soon()).now_or_never().unwrap().unwrap_err();
    assert_eq!((error.reason(), error.attempts()), ("assumed_offline", 0));
    clock.advance(OFFLINE - Duration::from_millis(1));
    assert_eq!(reason(&breaker).await, "assumed_offline");
    assert_eq!(fake.calls(), 13);

    // Half open: a failed probe opens the circuit again for the same time, a successful one closes it.
    clock.advance(Duration::from_millis(1));
    fake.will([down()]);
    assert_eq!(reason(&breaker).await, "status_5xx");
    assert_eq!(reason(&breaker).await, "assumed_offline");
    clock.advance(OFFLINE);
    fake.will([Outcome::Missing, down(), Outcome::Missing]);
    for expected in ["ok", "status_5xx", "ok"] {
        assert_eq!(reason(&breaker).await, expected);
    }
}

#[tokio::test]
async fn one_probe_at_a_time_and_a_dropped_one_makes_room() {
    let fake = Arc::new(Fake::default());
    let (breaker, clock) = breaker(&fake, OFFLINE);
    fake.will([down(), down(), down()]);
    for _ in 0..3 {
        reason(&breaker).await;
    }
    clock.advance(OFFLINE);
    assert_eq!(breaker.state(), UpstreamState::Online, "the next call is let through");
    fake.will([Outcome::Hangs]);
    let mut probe = breaker.fetch(request(), soon());
    assert!((&mut probe).now_or_never().is_none());
    assert_eq!(reason(&breaker).await, "assumed_offline");
    assert_eq!(breaker.state(), UpstreamState::AssumedOffline { until: START.plus(OFFLINE) });
    drop(probe);
    fake.will([Outcome::NotModified]);
    assert_eq!(reason(&breaker).await, "ok");
    assert_eq!(breaker.state(), UpstreamState::Online);
}

#[tokio::test]
async fn zero_switches_the_breaker_off_but_not_the_pause() {
    let fake = Arc::new(Fake::default());
    let (breaker, _) = breaker(&fake, Duration::ZERO);
    fake.will((0..5).map(|_| down()));
    for _ in 0..5 {
        assert_eq!(reason(&breaker).await, "status_5xx");
    }
    fake.will([Outcome::Fails(Problem::RateLimited(OFFLINE))]);
    for _ in 0..3 {
        assert_eq!(reason(&breaker).await, "rate_limited");
    }
    assert_eq!(fake.calls(), 6);
}

#[tokio::test]
async fn a_pause_holds_for_everybody_until_it_is_over() {
    let fake = Arc::new(Fake::default());
    let (breaker, clock) = breaker(&fake, OFFLINE);
    fake.will([Outcome::Fails(Problem::RateLimited(Duration::from_secs(7)))]);
    assert_eq!(reason(&breaker).await, "rate_limited");
    clock.advance(Duration::from_secs(3));
    let error = breaker.fetch(request(), soon()).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), ("rate_limited", 0));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(4)));
    assert_eq!(breaker.state(), UpstreamState::RateLimited { until: START.plus(Duration::from_secs(7)) });
    clock.advance(Duration::from_secs(4));
    fake.will([Outcome::NotModified]);
    assert_eq!(reason(&breaker).await, "ok");
    assert_eq!(fake.calls(), 2);
}

#[test]
fn a_clock_set_back_does_not_lock_us_out() {
    let (until, year) = (START.plus(OFFLINE), Duration::from_secs(365 * 24 * 3600));
    assert!(START.awaits(until, OFFLINE));
    assert!(!until.awaits(until, OFFLINE));
    assert!(!START.awaits(START.plus(year), OFFLINE), "set farther ahead than we ever set it");
}

async fn read(upstream: &impl Upstream) -> Result<Bytes, UpstreamError> {
    match upstream.fetch(request(), soon()).await? {
        Fetched::Body(body) => body.read_to_end().await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_end_of_a_body_counts() {
    let fake = Arc::new(Fake::default());
    let (breaker, clock) = breaker(&fake, OFFLINE);
    let cut = || Outcome::Body(9, b"abc");
    // After two truncated bodies, a complete one, a dropped one and two truncated ones, the circuit is closed. One more
    // opens it.
    fake.will([cut(), cut(), Outcome::Body(3, b"abc"), cut(), cut(), cut(), cut()]);
    for expected in ["truncated", "truncated", "ok", "dropped", "truncated", "truncated"] {
        if expected == "dropped" {
            drop(breaker.fetch(request(), soon()).await.unwrap());
        } else {
            assert_eq!(read(&breaker).await.map_or_else(|error| error.reason(), |_| "ok"), expected);
        }
        assert_eq!(breaker.state(), UpstreamState::Online);
    }
    assert_eq!(read(&breaker).await.unwrap_err().reason(), "truncated");
    assert_eq!(reason(&breaker).await, "assumed_offline");

    // The head of a probe's answer closes the circuit on trial, until a body is complete.
    clock.advance(OFFLINE);
    fake.will([cut(), Outcome::Missing]);
    let Ok(Fetched::Body(body)) = breaker.fetch(request(), soon()).await else { panic!() };
    assert_eq!(breaker.state(), UpstreamState::Online);
    body.read_to_end().await.unwrap_err();
    assert_eq!(reason(&breaker).await, "assumed_offline");
}

#[tokio::test]
async fn a_transfer_that_is_taken_up_again_fails_once() {
    let fake = Arc::new(Fake::default());
    let (breaker, clock) = breaker(&fake, OFFLINE);
    let resuming = || UpstreamRequest { resumes: true, ..request() };
    let cut = || Outcome::Body(9, b"abc");
    for transfer in 1..=3 {
        fake.will([cut(), cut(), down()]);
        assert_eq!(breaker.state(), UpstreamState::Online, "{transfer}");
        read(&breaker).await.unwrap_err();
        let Ok(Fetched::Body(again)) = breaker.fetch(resuming(), soon()).await else { break };
        again.read_to_end().await.unwrap_err();
        breaker.fetch(resuming(), soon()).await.unwrap_err();
    }
    assert_eq!(fake.calls(), 7, "the third transfer is not taken up again");

    // As a probe, a resumed transfer counts.
    clock.advance(OFFLINE);
    let Ok(Fetched::Body(probe)) = breaker.fetch(resuming(), soon()).await else { panic!() };
    probe.read_to_end().await.unwrap_err();
    assert_eq!(reason(&breaker).await, "assumed_offline");
}

#[tokio::test]
async fn a_failed_body_never_looks_complete() {
    let mut body = body(Some(9), b"abc", 1000, soon());
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    for _ in 0..2 {
        assert_eq!(body.chunk().await.unwrap_err().kind(), UpstreamErrorKind::Truncated);
    }
}

#[tokio::test]
async fn a_body_has_an_end_in_time() {
    let mut late = body(None, b"abc", 1000, soon());
    late.bounds.latest = Instant::now();
    assert_eq!(late.chunk().await.unwrap_err().kind(), UpstreamErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_has_an_end_in_bytes() {
    for (max, expected) in [(3, true), (2, false), (0, false)] {
        let read = body(None, b"abc", max, soon()).read_to_end().await;
        assert_eq!(read.is_ok(), expected, "{max}");
    }
    assert_eq!(body(Some(0), b"", 0, soon()).read_to_end().await.unwrap(), "");
}
