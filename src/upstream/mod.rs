//! The upstream room: fetches bytes from a remote registry and says precisely what went wrong.
//!
//! It knows HTTP and nothing of Hex: paths come in, bodies and validators go out. Behaviour is added by wrapping one
//! [`Upstream`] in another: [`HttpUpstream`] makes one request, [`Retrying`] repeats it, [`Breaker`] stops asking an
//! upstream that is down. [`build`] stacks them.

mod body;
mod breaker;
mod circuit;
mod client;
mod error;
mod headers;
mod heard;
mod limits;
mod options;
mod pace;
mod reach;
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
pub use heard::Heard;
pub use options::{BuildError, USER_AGENT, UpstreamOptions};
pub use pace::Paced;
pub use reach::{Network, Redirects};
pub use retry::{RetryPolicy, Retrying};

use crate::clock::{Clock, Timestamp};

/// What is asked of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Appended to the base URL, such as `packages/jason`; not encoded yet, no leading slash.
    pub path: String,
    /// Behind the path, encoded: `search=json&sort=name`.
    pub query: Option<String>,
    /// Sent as `If-None-Match`, verbatim.
    pub etag: Option<String>,
    /// Sent as `If-Modified-Since`, verbatim.
    pub last_modified: Option<String>,
    /// Only the rest of a representation we have the beginning of; then the two validators above are not sent.
    pub range_from: Option<RangeFrom>,
    /// Goes on with a transfer that broke off, which has been counted: should this request fail too, it is not another
    /// failure.
    pub resumes: bool,
    /// Ask past caches on the way (`Cache-Control: no-cache`).
    pub refresh: bool,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// Largest body taken, in bytes.
    pub max_body: u64,
    /// Is told as soon as an answer begins, of whichever attempt. Clones of the request share it.
    pub heard: Heard,
}

impl UpstreamRequest {
    /// A plain request for `path`, which follows redirects within the origin of the upstream alone.
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
            heard: Heard::default(),
        }
    }
}

/// Where to go on with a body that broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeFrom {
    /// Bytes already here.
    pub offset: u64,
    /// The tag these bytes had. A weak or malformed one proves nothing: then the whole is asked for.
    pub etag: String,
}

/// What an upstream answered.
#[derive(Debug)]
pub enum Fetched {
    /// 304: what the validator named is still right.
    NotModified,
    /// There is no such thing: 404, 410, or 403 to a request without credentials (object stores say that).
    Missing {
        /// The status it said so with.
        status: u16,
    },
    /// 200 or 206.
    Body(UpstreamBody),
}

/// What a call made now would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// It would be sent.
    Online,
    /// It would be refused: the upstream failed several times in a row. Past `until` one call is under way to see.
    AssumedOffline {
        /// When one call will be let through.
        until: Timestamp,
    },
    /// It would be refused: the upstream asked for a pause.
    RateLimited {
        /// When calls are let through again.
        until: Timestamp,
    },
}

/// Somewhere to fetch from.
pub trait Upstream: Send + Sync + fmt::Debug {
    /// Makes one request. `deadline` bounds the time to the head of the answer, every wait included, and
    /// [`UpstreamBody::read_to_end`]; a body read piece by piece is bounded by the idle time-out and 15 minutes.
    ///
    /// Dropping the future ends the request and frees what it held.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>>;

    /// What a call made now would meet; for metrics and readiness.
    fn state(&self) -> UpstreamState;
}

/// The upstream that `options` describe, with retries and a breaker.
///
/// # Errors
/// An option that cannot be used.
pub fn build(options: &UpstreamOptions, clock: Arc<dyn Clock>) -> Result<Arc<dyn Upstream>, BuildError> {
    let http = HttpUpstream::new(options, Arc::clone(&clock))?;
    let circuit = Circuit::new(http.address(), options.assumed_offline, Arc::clone(&clock));
    // The breaker stands outside the retries: a call that failed three times in half a second is one failure, not the
    // three that take the upstream off for half a minute. What this order would lose is given back by `heeding`: once
    // the circuit is open or a pause is running, calls already inside make no further attempt, and a probe makes one.
    let paced = Paced::new(http, options.per_minute, clock);
    let retrying = Retrying::new(paced, RetryPolicy::default()).heeding(Arc::clone(&circuit));
    Ok(Arc::new(Breaker::on(retrying, circuit)))
}

/// `start + by`, or far enough away where that does not fit.
fn after(start: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
    start.checked_add(by).unwrap_or(start + FAR)
}

#[cfg(test)]
mod tests;
