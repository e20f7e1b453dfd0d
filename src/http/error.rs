//! The table from errors to HTTP statuses and messages (interface §3).
//!
//! The message tells the client what failed and what to do next; the chain of causes goes to the log. Answers with a
//! 5xx status have no `Retry-After`: Erlang's HTTP client would wait for that time without a message to its user.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::route::NoRoute;
use crate::auth::{AuthError, Denied};
use crate::hex::resource::{Resource, RouteError};
use crate::repository::RepoError;

/// An error answer as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Plain text, ASCII, one line, no quotation marks.
    pub text: Cow<'static, str>,
    /// Whether the resource is withheld, or may be: then a header with the message for mix is added.
    pub withheld: bool,
    /// The time after which the client can retry.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), withheld: false, retry_after: None }
    }

    fn withheld(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { withheld: true, ..Self::new(status, text) }
    }

    /// The error for a `resource` that cannot be served.
    pub fn of(error: &RepoError, resource: &Resource) -> Self {
        match error {
            RepoError::Upstream(_) | RepoError::Timeout(_) => Self::no_copy(error, &format!(" of {resource}")),
            error => error.into(),
        }
    }

    /// The error for a failed upstream, without a cached copy of `of_what`.
    fn no_copy(error: &RepoError, of_what: &str) -> Self {
        let failed = match error {
            RepoError::Upstream(error) => {
                let cause = error.cause().map(|cause| format!(" ({cause})")).unwrap_or_default();
                format!("the upstream cannot be reached or failed{cause}")
            }
            _ => "the upstream did not answer in time".to_owned(),
        };
        let text = format!("{failed}, and there is no copy{of_what} in the cache; try again later");
        Self::withheld(StatusCode::BAD_GATEWAY, text)
    }

    /// The method is not supported at this path.
    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here")
    }

    /// There are two hosts, none, or an invalid one.
    pub fn host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "a request must contain exactly one host: send one Host field, or in HTTP/2 one :authority, with only a host",
        )
    }

    /// There are two credentials.
    pub fn authorization() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "a request must contain at most one credential: send one Authorization field",
        )
    }

    /// The transfer coding is not supported.
    pub fn transfer_coding() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "the only supported transfer coding is chunked: send the body without another coding",
        )
    }

    /// The request line and the header fields are too long.
    pub fn head() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request line and the header fields are larger than 64 KiB",
        )
    }

    /// There are too many header fields.
    pub fn fields() -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has more than 64 header fields")
    }

    /// The path does not exist.
    pub fn path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "this path does not exist")
    }

    /// There is nothing under the path of a key: the key does not exist, or this server does not sign the repository.
    pub fn key() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no such signing key is configured, or the repository is not signed by this server",
        )
    }

    /// A browser sent the request for a page of another site (cross-site request forgery).
    pub fn foreign(public_url: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            format!(
                "a browser sent this from a page of another site, so nothing was changed: open the page at {public_url}"
            ),
        )
    }

    /// A submitted form is too large or malformed.
    pub fn form(status: StatusCode, why: String) -> Self {
        Self::new(status, why)
    }

    /// The name is not valid for the upload of a tarball.
    pub fn tarball_name() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "this is not the name of a tarball: upload it as NAME-VERSION.tar, such as core-1.0.0.tar, or to tarballs/ without a name",
        )
    }

    /// The range is beyond the end of the body.
    pub fn range() -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "the requested range is beyond the end of the file")
    }

    /// A bug of this program.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log of hexkeep")
    }
}

impl From<&NoRoute> for Refusal {
    fn from(error: &NoRoute) -> Self {
        let text = match error {
            NoRoute::UnknownRepository => "this server has no repository of this name",
            NoRoute::Path(RouteError::UnknownPath) => "this path does not exist",
            NoRoute::Path(RouteError::BadName(_)) => "the path contains an invalid name",
        };
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<&Denied> for Refusal {
    fn from(error: &Denied) -> Self {
        match error {
            Denied::NeedsCredential => Self::withheld(
                StatusCode::UNAUTHORIZED,
                "this repository is private and needs a key: mix hex.organization auth NAME --key KEY, or mix hex.repo set \
                 NAME --auth-key KEY",
            ),
            Denied::Scope => {
                Self::withheld(StatusCode::FORBIDDEN, "this key has no permission to download from this repository")
            }
            Denied::Hidden
            | Denied::Forbidden
            | Denied::SecondFactorMissing
            | Denied::SecondFactorWrong
            | Denied::SecondFactorNotSetUp
            | Denied::SecondFactorExhausted => {
                Self::withheld(StatusCode::FORBIDDEN, "this account has no read access to this repository")
            }
        }
    }
}

impl From<&AuthError> for Refusal {
    fn from(error: &AuthError) -> Self {
        match error {
            AuthError::State(_) | AuthError::Machine => Self::internal(),
            AuthError::Throttled { retry_after } => {
                Self { retry_after: Some(*retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, error.message()) }
            }
            AuthError::CodesExhausted => Self::new(StatusCode::TOO_MANY_REQUESTS, error.message()),
            _ => Self::withheld(StatusCode::UNAUTHORIZED, error.message()),
        }
    }
}

impl From<&RepoError> for Refusal {
    fn from(error: &RepoError) -> Self {
        match error {
            RepoError::NotFound => Self::new(StatusCode::NOT_FOUND, "not found"),
            RepoError::ChecksumRefused { release } => Self::withheld(
                StatusCode::FORBIDDEN,
                format!(
                    "the checksum of {release} changed upstream after it was published: the file is withheld until an \
                     administrator has checked it"
                ),
            ),
            RepoError::NoChecksum { release } => Self::withheld(
                StatusCode::FORBIDDEN,
                format!(
                    "the signed index has no checksum for {release}: the file cannot be verified, so it is withheld"
                ),
            ),
            RepoError::Withheld => Self::withheld(
                StatusCode::FORBIDDEN,
                "this account has no read access to the repository of this package",
            ),
            RepoError::NoNames { .. } => Self::withheld(
                StatusCode::BAD_GATEWAY,
                "the list of packages of a member of this repository is not available now, so other members must not answer in its place; try again later, and see the log of hexkeep",
            ),
            RepoError::Held { sentence } => Self::withheld(StatusCode::FORBIDDEN, sentence.to_string()),
            RepoError::NoListedChecksum { path } => Self::withheld(
                StatusCode::FORBIDDEN,
                format!(
                    "the list of installers has no checksum for {path}: the file cannot be verified, so it is withheld"
                ),
            ),
            RepoError::Offline { .. } => {
                let status = if error.is_absence() { StatusCode::NOT_FOUND } else { StatusCode::BAD_GATEWAY };
                Self::withheld(status, error.advice())
            }
            RepoError::Untrusted(_) => Self::withheld(
                StatusCode::BAD_GATEWAY,
                "the file from the upstream does not match its signature or its signed checksum, so it is withheld; \
                 see the log of hexkeep",
            ),
            RepoError::TakenAway => Self::withheld(
                StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
                "the upstream removed this for legal reasons, so it is withheld here, too",
            ),
            RepoError::Upstream(_) | RepoError::Timeout(_) => Self::no_copy(error, ""),
            RepoError::Internal(_) | RepoError::State(_) | RepoError::Local(_) => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheError;
    use crate::cache::error::Internal;
    use crate::repository::error::MissingOffline;

    #[test]
    fn texts_fit_into_a_header_and_leak_nothing() {
        let release = crate::hex::resource::ArtifactName::parse_tarball("jason-1.0.0.tar").unwrap();
        let errors = [
            RepoError::NotFound,
            RepoError::Withheld,
            RepoError::NoNames { member: "acme".parse().unwrap() },
            RepoError::ChecksumRefused { release: release.clone() },
            RepoError::NoChecksum { release },
            RepoError::Held { sentence: "jason 1.0.0 is held".into() },
            RepoError::NoListedChecksum { path: "builds/otp/ubuntu-14.04/OTP-17.0.tar.gz".into() },
            RepoError::Offline { what: "packages/jason of hexpm".into(), kind: MissingOffline::Listed },
            RepoError::Offline { what: "packages/jason of hexpm".into(), kind: MissingOffline::Unlisted },
            RepoError::Offline { what: "installs/hex.csv".into(), kind: MissingOffline::Installer },
            RepoError::Offline { what: "an answer".into(), kind: MissingOffline::Answer },
            RepoError::TakenAway,
            RepoError::Untrusted(CacheError::Missing),
            RepoError::Upstream(CacheError::Missing),
            RepoError::Timeout(CacheError::Missing),
            RepoError::Internal(CacheError::internal(Internal::UnexpectedNotModified)),
        ];
        for error in &errors {
            let text = Refusal::from(error).text;
            assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{text}");
            assert!(!text.contains("  "), "{text}");
        }
    }
}
