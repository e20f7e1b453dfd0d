//! Errors of requests to upstreams: what failed, whether the upstream is at fault, and whether a retry or a cached copy
//! is allowed.
//!
//! [`Problem`] is the detailed error of this room (operation and source). [`UpstreamError`] adds the URL, the number of
//! attempts and the time that they took, and offers a small public set of kinds. Errors never contain credentials:
//! user-info, query and fragment are removed from URLs before.

mod cause;

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::Url;

use super::limits::MAX_REDIRECTS;
use super::redirect_targets::NotPublic;

/// The kind of a failure. Stable, for decisions and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamErrorKind {
    /// There is no connection, or it ended before an answer arrived.
    Connect,
    /// The connection was established, but TLS failed.
    Tls,
    /// No bytes arrived within the idle time-out, or a body exceeded the total time limit.
    Timeout,
    /// The deadline of the caller passed.
    Deadline,
    /// An answer with this status, if no other kind fits.
    Status(u16),
    /// 401 or 403: the upstream rejects the configured credentials, or requires some and none are configured.
    Refused(u16),
    /// 429, or 503 with `Retry-After`; or no request was sent because such a pause is running.
    RateLimited,
    /// No request was sent, because the upstream has just failed several times in a row.
    AssumedOffline,
    /// The body had fewer bytes than announced.
    Truncated,
    /// The body had more bytes than the request allows.
    TooLarge,
    /// A redirect that is not followed.
    Redirect,
    /// An answer that violates HTTP or does not fit the request.
    Protocol,
    /// No connection slot became free within the deadline. The upstream is not at fault.
    Busy,
}

/// The detailed cause of a failure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("could not connect; check `url` and `proxy`")]
    Connect(#[source] reqwest::Error),
    #[error("the upstream closed the connection before it sent an answer")]
    Lost(#[source] reqwest::Error),
    #[error("TLS failed; if the upstream uses a private certificate authority, set `ca_file`")]
    Tls(#[source] reqwest::Error),
    #[error("no data arrived for {}", humantime::format_duration(*.0))]
    Idle(Duration),
    #[error("the body was not complete after {}", humantime::format_duration(*.0))]
    Endless(Duration),
    #[error("the deadline passed")]
    Deadline,
    #[error("the upstream answered with status {0}")]
    Status(u16),
    #[error("access denied (status {0}); check `credentials` and `client_cert`")]
    Refused(u16),
    #[error("too many requests; the next one is allowed in {}", humantime::format_duration(*.0))]
    RateLimited(Duration),
    #[error("no request was sent: the upstream failed several times in a row and is assumed to be offline")]
    AssumedOffline {
        /// Whether it gave no answer at all, each of those times.
        silent: bool,
    },
    #[error("the body ended after {got} of {} bytes", Expected(*.expected))]
    Truncated {
        expected: Option<u64>,
        got: u64,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("the body is larger than {0} bytes, which is the limit")]
    TooLarge(u64),
    #[error("the redirect was not followed: {0}")]
    Redirect(#[from] RedirectProblem),
    #[error("the answer is invalid: {0}")]
    Protocol(#[from] ProtocolProblem),
    #[error("no connection slot became free in time; increase `concurrency` if this happens often")]
    Busy,
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RedirectProblem {
    #[error("there were more than {MAX_REDIRECTS} redirects in a row")]
    TooMany,
    #[error("it does not have exactly one valid Location header")]
    Location,
    #[error("it leads from https to http")]
    Downgrade,
    #[error("it leads to a scheme that is neither http nor https")]
    Scheme,
    #[error("its Location contains a user name or a password")]
    UserInfo,
    #[error(
        "it leads to another scheme, host or port, and the answer cannot be verified by a signature or checksum; if this is intended, \
         configure the address that it leads to"
    )]
    Elsewhere,
    #[error(
        "it leads to an address that is not public (loopback, private, link-local or similar); if this is intended, \
         configure this address as the `url` of the upstream"
    )]
    NotPublic,
}

/// Why an answer is invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProtocolProblem {
    #[error("it is not HTTP")]
    Malformed(#[source] reqwest::Error),
    #[error("the status {0} is not expected here")]
    UnexpectedStatus(u16),
    #[error("it is 304, but the request had no validator")]
    UnaskedNotModified,
    #[error("it is 206, but the request had no range")]
    UnaskedPartial,
    #[error("its Content-Range is not the requested range")]
    ContentRange,
    #[error("it has a Content-Encoding, so its bytes are not the signed ones")]
    ContentEncoding,
}

struct Expected(Option<u64>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => bytes.fmt(f),
            None => f.write_str("an unknown number of"),
        }
    }
}

impl Problem {
    /// Classifies an error that occurred before the head of a response.
    pub(super) fn before_head(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if has_cause(&error, |cause| cause.is::<NotPublic>()) {
            RedirectProblem::NotPublic.into()
        } else if has_cause(&error, |cause| cause.is::<rustls::Error>()) {
            Self::Tls(error)
        } else if error.is_connect() {
            Self::Connect(error)
        } else if has_cause(&error, |cause| {
            cause.downcast_ref::<hyper::Error>().is_some_and(|http| http.is_parse() || http.is_parse_too_large())
        }) {
            Self::Protocol(ProtocolProblem::Malformed(error))
        } else {
            Self::Lost(error)
        }
    }

    pub(super) fn kind(&self) -> UpstreamErrorKind {
        match self {
            Self::Connect(_) | Self::Lost(_) => UpstreamErrorKind::Connect,
            Self::Tls(_) => UpstreamErrorKind::Tls,
            Self::Idle(_) | Self::Endless(_) => UpstreamErrorKind::Timeout,
            Self::Deadline => UpstreamErrorKind::Deadline,
            Self::Status(status) => UpstreamErrorKind::Status(*status),
            Self::Refused(status) => UpstreamErrorKind::Refused(*status),
            Self::RateLimited(_) => UpstreamErrorKind::RateLimited,
            Self::AssumedOffline { .. } => UpstreamErrorKind::AssumedOffline,
            Self::Truncated { .. } => UpstreamErrorKind::Truncated,
            Self::TooLarge(_) => UpstreamErrorKind::TooLarge,
            Self::Redirect(_) => UpstreamErrorKind::Redirect,
            Self::Protocol(_) => UpstreamErrorKind::Protocol,
            Self::Busy => UpstreamErrorKind::Busy,
        }
    }
}

/// Whether an error in the chain of causes satisfies `wanted`. Looks inside `io::Error` too, whose `source` skips the
/// error that it wraps.
fn has_cause(error: &(dyn Error + 'static), wanted: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if wanted(cause) {
            return true;
        }
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    false
}

/// A failed request: the URL, the cause, and the number and the duration of the attempts.
#[derive(Debug)]
pub struct UpstreamError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    problem: Problem,
    subject: String,
    attempts: u32,
    elapsed: Duration,
    answered: bool,
}

impl UpstreamError {
    /// Creates an error about `subject`, a URL without secrets (see [`url_without_secrets`]) or a path below the base URL.
    pub(super) fn new(problem: Problem, subject: String, attempts: u32, elapsed: Duration) -> Self {
        Self(Box::new(Failure { problem, subject, attempts, elapsed, answered: false }))
    }

    /// Sets whether the answer to the request had begun.
    pub(super) fn with_answered(mut self, answered: bool) -> Self {
        self.0.answered = answered;
        self
    }

    /// Sets the number of attempts, of which this failure was the last, and their duration.
    pub(super) fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = elapsed;
        self
    }

    /// The kind of the failure.
    pub fn kind(&self) -> UpstreamErrorKind {
        self.0.problem.kind()
    }

    /// The number of requests that were sent; 0 if the upstream is assumed to be offline, asked for a pause, or no slot
    /// was free.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The time from the call to the failure, over all attempts.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The pause that the upstream asked for, at most five minutes.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.problem {
            Problem::RateLimited(pause) => Some(pause),
            _ => None,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            UpstreamErrorKind::Connect | UpstreamErrorKind::Timeout | UpstreamErrorKind::Truncated => true,
            UpstreamErrorKind::Status(status) => status >= 500 || status == 408,
            // An invalid certificate stays invalid. The others are answers, limits of this server, or requests to wait.
            UpstreamErrorKind::Tls
            | UpstreamErrorKind::Deadline
            | UpstreamErrorKind::Refused(_)
            | UpstreamErrorKind::RateLimited
            | UpstreamErrorKind::AssumedOffline
            | UpstreamErrorKind::TooLarge
            | UpstreamErrorKind::Redirect
            | UpstreamErrorKind::Protocol
            | UpstreamErrorKind::Busy => false,
        }
    }

    /// Whether a cached copy may be served instead. All failures allow this except status 451 (RFC 7725), which says
    /// that the resource is no longer available for legal reasons.
    pub fn allows_stale(&self) -> bool {
        self.kind() != UpstreamErrorKind::Status(451)
    }

    /// Whether the upstream gave no answer at all. If the head of an answer arrived, in this attempt or an earlier one,
    /// this is `false`, however the rest failed.
    pub fn is_unanswered(&self) -> bool {
        match &self.0.problem {
            Problem::Connect(_) | Problem::Lost(_) | Problem::Tls(_) | Problem::Idle(_) | Problem::Deadline => {
                !self.0.answered
            }
            Problem::AssumedOffline { silent } => *silent,
            _ => false,
        }
    }

    /// Whether the failure means that the upstream as a whole is down, and not only that one answer is invalid.
    pub(super) fn says_down(&self) -> bool {
        matches!(
            self.kind(),
            UpstreamErrorKind::Connect
                | UpstreamErrorKind::Tls
                | UpstreamErrorKind::Timeout
                | UpstreamErrorKind::Deadline
                | UpstreamErrorKind::Status(500..)
        )
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { problem, subject, attempts, elapsed, .. } = &*self.0;
        write!(f, "upstream {subject}: {problem}")?;
        match attempts {
            0 => Ok(()),
            1 => write!(f, " (1 attempt, {} ms)", elapsed.as_millis()),
            _ => write!(f, " ({attempts} attempts, {} ms)", elapsed.as_millis()),
        }
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.problem.source()
    }
}

/// A URL without secrets: scheme, host, port and path. A query can contain signatures, and user-info contains
/// passwords.
pub(super) fn url_without_secrets(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(problem: Problem) -> UpstreamError {
        UpstreamError::new(problem, "http://upstream.test/names".into(), 1, Duration::from_millis(7))
    }

    #[test]
    fn every_kind_says_what_may_be_done() {
        let truncated = Problem::Truncated { expected: Some(9), got: 3, source: None };
        let cases = [
            (Problem::Idle(Duration::from_secs(1)), "timeout", true, true, true),
            (Problem::Endless(Duration::from_secs(900)), "timeout", true, true, true),
            (Problem::Deadline, "deadline", false, true, true),
            (Problem::Status(500), "status_5xx", true, true, true),
            (Problem::Status(408), "status_4xx", true, true, false),
            (Problem::Status(400), "status_4xx", false, true, false),
            (Problem::Status(451), "status_4xx", false, false, false),
            (Problem::Refused(401), "refused", false, true, false),
            (Problem::RateLimited(Duration::from_secs(3)), "rate_limited", false, true, false),
            (Problem::AssumedOffline { silent: true }, "assumed_offline", false, true, false),
            (truncated, "truncated", true, true, false),
            (Problem::TooLarge(5), "too_large", false, true, false),
            (Problem::Redirect(RedirectProblem::TooMany), "redirect", false, true, false),
            (Problem::Protocol(ProtocolProblem::ContentEncoding), "protocol", false, true, false),
            (Problem::Busy, "busy", false, true, false),
        ];
        for (problem, reason, retryable, stale, down) in cases {
            let error = error(problem);
            assert_eq!(error.reason(), reason, "{error}");
            assert_eq!(error.is_retryable(), retryable, "{error}");
            assert_eq!(error.allows_stale(), stale, "{error}");
            assert_eq!(error.says_down(), down, "{error}");
            let silent = ["connect", "tls", "deadline", "assumed_offline"].contains(&reason);
            assert_eq!(error.is_unanswered(), silent || matches!(error.0.problem, Problem::Idle(_)), "{error}");
            let left_alone = reason == "assumed_offline";
            assert_eq!(error.with_answered(true).is_unanswered(), left_alone, "what has begun to answer is not silent");
        }
    }

    #[test]
    fn a_url_is_shown_without_secrets() {
        let url = Url::parse("https://user:pass@host.test:8443/a/b?token=s3cr3t#frag").unwrap();
        assert_eq!(url_without_secrets(&url), "https://host.test:8443/a/b");
    }

    #[test]
    fn reads_as_a_sentence() {
        let error = error(Problem::Truncated { expected: Some(9), got: 3, source: None });
        assert_eq!(
            error.to_string(),
            "upstream http://upstream.test/names: the body ended after 3 of 9 bytes (1 attempt, 7 ms)"
        );
    }

    #[test]
    fn finds_a_cause_that_io_hides() {
        let inner = rustls::Error::General("no".into());
        let wrapped = io::Error::other(io::Error::other(inner));
        assert!(has_cause(&wrapped, |cause| cause.is::<rustls::Error>()));
        assert!(!has_cause(&wrapped, |cause| cause.is::<hyper::Error>()));
    }
}
