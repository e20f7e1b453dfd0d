//! Words and phrases for failures of upstreams, for headers, logs and clients.

use super::{Problem, UpstreamError, UpstreamErrorKind, has_cause};

impl UpstreamError {
    /// A stable word for the response header, the log and the metric.
    pub fn reason(&self) -> &'static str {
        match self.kind() {
            UpstreamErrorKind::Connect => "connect",
            UpstreamErrorKind::Tls => "tls",
            UpstreamErrorKind::Timeout => "timeout",
            UpstreamErrorKind::Deadline => "deadline",
            UpstreamErrorKind::Status(500..) => "status_5xx",
            UpstreamErrorKind::Status(_) => "status_4xx",
            UpstreamErrorKind::Refused(_) => "refused",
            UpstreamErrorKind::RateLimited => "rate_limited",
            UpstreamErrorKind::AssumedOffline => "assumed_offline",
            UpstreamErrorKind::Truncated => "truncated",
            UpstreamErrorKind::TooLarge => "too_large",
            UpstreamErrorKind::Redirect => "redirect",
            UpstreamErrorKind::Protocol => "protocol",
            UpstreamErrorKind::Busy => "busy",
        }
    }

    /// The cause in a few words for clients, without host names and settings.
    pub fn cause(&self) -> String {
        match self.kind() {
            UpstreamErrorKind::Connect if self.is_unresolved() => "name resolution failed".to_owned(),
            UpstreamErrorKind::Connect => "no connection".to_owned(),
            UpstreamErrorKind::Tls => "TLS failed".to_owned(),
            UpstreamErrorKind::Timeout | UpstreamErrorKind::Deadline => "no answer in time".to_owned(),
            UpstreamErrorKind::Status(status) => format!("status {status}"),
            UpstreamErrorKind::Refused(status) => format!("access denied (status {status})"),
            UpstreamErrorKind::RateLimited => "too many requests".to_owned(),
            UpstreamErrorKind::AssumedOffline => {
                "it failed several times in a row and is assumed to be offline".to_owned()
            }
            UpstreamErrorKind::Truncated => "its answer ended too early".to_owned(),
            UpstreamErrorKind::TooLarge => "its answer is too large".to_owned(),
            UpstreamErrorKind::Redirect => "its redirect was not followed".to_owned(),
            UpstreamErrorKind::Protocol => "its answer is invalid".to_owned(),
            UpstreamErrorKind::Busy => "too many requests at the same time".to_owned(),
        }
    }

    /// Whether the name of the host could not be resolved.
    fn is_unresolved(&self) -> bool {
        let Problem::Connect(error) = &self.0.problem else { return false };
        has_cause(error, |cause| cause.to_string().starts_with("dns error"))
    }
}
