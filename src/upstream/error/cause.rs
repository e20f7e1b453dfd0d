//! What went wrong with an upstream, as headers, logs and clients are told.

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

    /// What went wrong, in a few words for whoever asked; they name no host and no setting.
    pub fn cause(&self) -> String {
        match self.kind() {
            UpstreamErrorKind::Connect if self.is_unresolved() => "name resolution failed".to_owned(),
            UpstreamErrorKind::Connect => "no connection".to_owned(),
            UpstreamErrorKind::Tls => "TLS failed".to_owned(),
            UpstreamErrorKind::Timeout | UpstreamErrorKind::Deadline => "no answer in time".to_owned(),
            UpstreamErrorKind::Status(status) => format!("status {status}"),
            UpstreamErrorKind::Refused(status) => format!("access refused, status {status}"),
            UpstreamErrorKind::RateLimited => "too many requests".to_owned(),
            UpstreamErrorKind::AssumedOffline => {
                "it failed several times in a row and is not asked for a while".to_owned()
            }
            UpstreamErrorKind::Truncated => "its answer broke off".to_owned(),
            UpstreamErrorKind::TooLarge => "its answer is too large".to_owned(),
            UpstreamErrorKind::Redirect => "its redirect is not followed".to_owned(),
            UpstreamErrorKind::Protocol => "its answer breaks the protocol".to_owned(),
            UpstreamErrorKind::Busy => "too many requests are under way".to_owned(),
        }
    }

    /// Whether the name of its host has no address.
    fn is_unresolved(&self) -> bool {
        let Problem::Connect(error) = &self.0.problem else { return false };
        has_cause(error, |cause| cause.to_string().starts_with("dns error"))
    }
}
