//! What can go wrong with an upstream, who is to blame, and what may be done about it.
//!
//! [`Problem`] is the detailed error of this room (operation and source); [`UpstreamError`] adds the subject, the number
//! of attempts and the time they took, and folds the detail into a small public set of kinds. Nothing in it holds a
//! credential: URLs are stripped of user-info, query and fragment before they get here.

mod cause;

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::Url;

use super::limits::MAX_REDIRECTS;
use super::reach::NotPublic;

/// What kind of failure it was; stable, for decisions and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamErrorKind {
    /// No connection, or it ended before an answer came.
    Connect,
    /// The connection is there, but TLS on it failed.
    Tls,
    /// Nothing came for the idle time-out, or a body took longer than the total bound.
    Timeout,
    /// The caller's deadline passed.
    Deadline,
    /// An answer with this status, where none of the other kinds fits.
    Status(u16),
    /// 401 or 403: the upstream does not accept our credentials, or wants some and we have none.
    Refused(u16),
    /// 429 or 503 with `Retry-After`; or no call was made because such a pause is running.
    RateLimited,
    /// No call was made: the upstream failed several times in a row a moment ago.
    AssumedOffline,
    /// Fewer bytes than announced.
    Truncated,
    /// More bytes than the request allows.
    TooLarge,
    /// A redirect that is not followed.
    Redirect,
    /// An answer that HTTP or the request does not permit.
    Protocol,
    /// No connection slot became free within the deadline; the upstream is not to blame.
    Busy,
}

/// The detail behind a kind.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("could not connect; check `url` and `proxy`")]
    Connect(#[source] reqwest::Error),
    #[error("the connection ended before an answer came")]
    Lost(#[source] reqwest::Error),
    #[error("TLS failed; if this upstream has an authority of its own, name it in `ca_file`")]
    Tls(#[source] reqwest::Error),
    #[error("nothing came for {}", humantime::format_duration(*.0))]
    Idle(Duration),
    #[error("the body was not complete after {}", humantime::format_duration(*.0))]
    Endless(Duration),
    #[error("the deadline passed")]
    Deadline,
    #[error("the answer was status {0}")]
    Status(u16),
    #[error("access was refused with status {0}; check `credentials` and `client_cert`")]
    Refused(u16),
    #[error("too many requests; the next is allowed in {}", humantime::format_duration(*.0))]
    RateLimited(Duration),
    #[error("not asked: it failed several times in a row and is assumed to be offline")]
    AssumedOffline {
        /// It gave no answer at all, each of those times.
        silent: bool,
    },
    #[error("the body ended after {got} of {} bytes", Expected(*.expected))]
    Truncated {
        expected: Option<u64>,
        got: u64,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("the body is larger than the {0} bytes allowed for it")]
    TooLarge(u64),
    #[error("its redirect is not followed: {0}")]
    Redirect(#[from] RedirectProblem),
    #[error("its answer breaks the protocol: {0}")]
    Protocol(#[from] ProtocolProblem),
    #[error("no connection slot became free in time; raise `concurrency` if this lasts")]
    Busy,
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RedirectProblem {
    #[error("more than {MAX_REDIRECTS} in a row")]
    TooMany,
    #[error("it has no single, well-formed Location")]
    Location,
    #[error("it leads from https to http")]
    Downgrade,
    #[error("it leads to a scheme that is neither http nor https")]
    Scheme,
    #[error("its Location holds a user name or password")]
    UserInfo,
    #[error(
        "it leads to another scheme, host or port, and nothing proves what comes from there; if that is meant, configure \
         the address that it leads to"
    )]
    Elsewhere,
    #[error(
        "it leads to an address that is not public (loopback, private, link-local or the like); if that is meant, \
         configure this address as the upstream's own"
    )]
    NotPublic,
}

/// Why an answer is not acceptable.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProtocolProblem {
    #[error("it is not HTTP")]
    Malformed(#[source] reqwest::Error),
    #[error("status {0} makes no sense here")]
    UnexpectedStatus(u16),
    #[error("304 to a request without a validator")]
    UnaskedNotModified,
    #[error("206 to a request without a range")]
    UnaskedPartial,
    #[error("the Content-Range is not the range that was asked for")]
    ContentRange,
    #[error("the bytes have a Content-Encoding, so they are not the ones that were signed")]
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
    /// Sorts an error that came instead of a response head.
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

/// Walks the chain of causes, looking into `io::Error` too, whose `source` skips the error it wraps.
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

/// A failed request: what was asked for, what went wrong, how often and how long it was tried.
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
    /// `subject` is a stripped URL (see [`shown`]) or a path below the base URL.
    pub(super) fn new(problem: Problem, subject: String, attempts: u32, elapsed: Duration) -> Self {
        Self(Box::new(Failure { problem, subject, attempts, elapsed, answered: false }))
    }

    /// The same failure of a request to which an answer had begun, or had not.
    pub(super) fn answered(mut self, answered: bool) -> Self {
        self.0.answered = answered;
        self
    }

    /// The same failure, as the last of `attempts` attempts in `elapsed`.
    pub(super) fn after(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = elapsed;
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> UpstreamErrorKind {
        self.0.problem.kind()
    }

    /// How many requests were sent; 0 where none was (assumed offline, a running pause, no free slot).
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Time from the call to the failure, all attempts together.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How long the upstream wants to be left alone, where it said so; at most five minutes.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.problem {
            Problem::RateLimited(pause) => Some(pause),
            _ => None,
        }
    }

    /// Whether the same request may well succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            UpstreamErrorKind::Connect | UpstreamErrorKind::Timeout | UpstreamErrorKind::Truncated => true,
            UpstreamErrorKind::Status(status) => status >= 500 || status == 408,
            // A certificate does not heal in 100 ms; the rest are answers, our own limits, or a plea to wait.
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

    /// Whether a copy from earlier may be served instead. Everything that keeps us from the present answer does; only
    /// 451 (RFC 7725) is the present answer: what was there was taken away by law.
    pub fn allows_stale(&self) -> bool {
        self.kind() != UpstreamErrorKind::Status(451)
    }

    /// Whether the upstream gave no answer at all, be it signed or not: nobody was there, or nobody could be heard. Where the
    /// head of an answer has come, to this attempt or an earlier one, it is none, however the rest fails.
    pub fn is_silence(&self) -> bool {
        match &self.0.problem {
            Problem::Connect(_) | Problem::Lost(_) | Problem::Tls(_) | Problem::Idle(_) | Problem::Deadline => {
                !self.0.answered
            }
            Problem::AssumedOffline { silent } => *silent,
            _ => false,
        }
    }

    /// Whether it says that the upstream as a whole is down, not that one answer is bad.
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

/// A URL as it may be printed: scheme, host, port and path. Queries hold signatures, user-info holds passwords.
pub(super) fn shown(url: &Url) -> String {
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
            assert_eq!(error.is_silence(), silent || matches!(error.0.problem, Problem::Idle(_)), "{error}");
            let left_alone = reason == "assumed_offline";
            assert_eq!(error.answered(true).is_silence(), left_alone, "what has begun to answer is not silent");
        }
    }

    #[test]
    fn a_url_is_shown_without_secrets() {
        let url = Url::parse("https://user:pass@host.test:8443/a/b?token=s3cr3t#frag").unwrap();
        assert_eq!(shown(&url), "https://host.test:8443/a/b");
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
