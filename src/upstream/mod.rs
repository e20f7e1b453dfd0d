//! The HTTP client for upstreams: fetches bytes from a remote registry, and reports precisely what failed.
//!
//! This room implements HTTP, not Hex: callers pass paths, and get bodies and validators. Each feature is an
//! [`Upstream`] that wraps another one: [`HttpUpstream`] makes one request, [`Paced`] limits the rate, [`Retrying`]
//! repeats failed requests, and [`Breaker`] (a circuit breaker) stops requests to an upstream that is down. [`build`]
//! combines them.

mod body;
mod breaker;
mod circuit;
mod client;
mod error;
mod first_byte;
mod headers;
mod limits;
mod options;
mod redirect_targets;
mod request_rate;
mod retry;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use body::UpstreamBody;
pub use breaker::Breaker;
use circuit::Circuit;
pub use client::HttpUpstream;
pub use error::{UpstreamError, UpstreamErrorKind};
pub use first_byte::AnswerBegun;
pub use options::{BuildError, USER_AGENT, UpstreamOptions};
pub use redirect_targets::{Network, Redirects};
pub use request_rate::Paced;
pub use retry::{RetryPolicy, Retrying};

use crate::clock::{Clock, Timestamp};

/// A request to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// The path below the base URL, such as `packages/jason`; not encoded, without a leading slash.
    pub path: String,
    /// The query, encoded: `search=json&sort=name`.
    pub query: Option<String>,
    /// Sent as `If-None-Match`, verbatim.
    pub etag: Option<String>,
    /// Sent as `If-Modified-Since`, verbatim.
    pub last_modified: Option<String>,
    /// Requests only the rest of a body of which the beginning was received. Then the two validators above are not
    /// sent.
    pub range_from: Option<RangeFrom>,
    /// Continues a transfer that broke off. The circuit breaker has counted that failure, and does not count another
    /// one if this request fails too.
    pub resumes: bool,
    /// Bypasses caches on the way (`Cache-Control: no-cache`).
    pub refresh: bool,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// Largest body that is accepted, in bytes.
    pub max_body: u64,
    /// Set as soon as the answer to any attempt begins. Clones of the request share it.
    pub heard: AnswerBegun,
}

impl UpstreamRequest {
    /// A plain request for `path`. Redirects are followed only within the origin of the upstream.
    pub fn get(path: impl Into<String>, max_body: u64) -> Self {
        Self {
            path: path.into(),
            query: None,
            etag: None,
            last_modified: None,
            range_from: None,
            resumes: false,
            refresh: false,
            redirects: Redirects::WithinOrigin,
            max_body,
            heard: AnswerBegun::default(),
        }
    }
}

/// Where to continue a body that broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeFrom {
    /// The number of bytes already received.
    pub offset: u64,
    /// The ETag of these bytes. With a weak or malformed ETag the whole body is requested, because such a tag proves
    /// nothing.
    pub etag: String,
}

/// The answer of an upstream.
#[derive(Debug)]
pub enum Fetched {
    /// 304: the caller's copy is still current.
    NotModified,
    /// The path does not exist: 404, 410, or 403 to a request without credentials, as object stores answer.
    Missing {
        /// The status of the answer.
        status: u16,
    },
    /// The body of an answer with status 200 or 206.
    Body(UpstreamBody),
}

/// The result that a request would have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// It would be sent.
    Online,
    /// It would fail at once, because the upstream failed several times in a row. After `until` one request tests
    /// whether it is online again.
    AssumedOffline {
        /// When one request will be sent.
        until: Timestamp,
    },
    /// It would fail at once, because the upstream asked for a pause (429, or 503 with `Retry-After`).
    RateLimited {
        /// When requests are sent again.
        until: Timestamp,
    },
}

/// A server to fetch from.
pub trait Upstream: Send + Sync + fmt::Debug {
    /// Sends one request. `deadline` limits the time until the head of the answer, waiting times included, and
    /// [`UpstreamBody::read_to_end`]. A body that is read piece by piece is limited by the idle time-out and 15
    /// minutes.
    ///
    /// Dropping the future cancels the request and frees its resources.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>>;

    /// The result that a request would have now, for metrics and readiness.
    fn state(&self) -> UpstreamState;
}

/// Creates the upstream that `options` describe, with a rate limit, retries and a circuit breaker.
///
/// # Errors
/// An option that cannot be used.
pub fn build(options: &UpstreamOptions, clock: Arc<dyn Clock>) -> Result<Arc<dyn Upstream>, BuildError> {
    let http = HttpUpstream::new(options, Arc::clone(&clock))?;
    let circuit = Circuit::new(http.address(), options.assumed_offline, Arc::clone(&clock));
    // The breaker wraps the retries: a call whose three attempts fail within half a second counts as one failure. It
    // must not be the three failures that take the upstream offline for half a minute. `heeding` makes up for the
    // drawback of this order: once the circuit is open or a pause is running, calls that are under way make no further
    // attempt, and a probe makes only one.
    let paced = Paced::new(http, options.per_minute, clock);
    let retrying = Retrying::new(paced, RetryPolicy::default()).respecting(Arc::clone(&circuit));
    Ok(Arc::new(Breaker::on(retrying, circuit)))
}

/// `start + by`, or a year after `start` if that overflows.
fn after(start: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
    start.checked_add(by).unwrap_or(start + FAR)
}

#[cfg(test)]
mod tests;
