//! One table from errors to statuses and sentences (interface §3).
//!
//! Clients get a phrase and what to do next; the chain of causes goes to the log. No `Retry-After` goes out with a
//! 5xx: Erlang's HTTP client would obey it in silence until its user gives up.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::route::NoRoute;
use crate::auth::{AuthError, Denied};
use crate::hex::resource::{Resource, RouteError};
use crate::repository::RepoError;

/// A refusal as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Plain text, ASCII, one line, no quotation marks.
    pub text: Cow<'static, str>,
    /// Whether something is withheld, or may be: then mix is told in a header, too.
    pub withheld: bool,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), withheld: false, retry_after: None }
    }

    fn withheld(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { withheld: true, ..Self::new(status, text) }
    }

    /// Why a resource is not answered with.
    pub fn of(error: &RepoError, resource: &Resource) -> Self {
        match error {
            RepoError::Upstream(_) | RepoError::Timeout(_) => Self::no_copy(error, &format!(" of {resource}")),
            error => error.into(),
        }
    }

    /// An upstream that failed, where there is no copy `of_what`.
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

    /// The method is not one that this address knows.
    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
    }

    /// Two hosts, or none, or something that is no host.
    pub fn host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "a request names one host: send one Host field, or in HTTP/2 one :authority, with a host and nothing else",
        )
    }

    /// Two credentials.
    pub fn authorization() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "a request has one credential: send one Authorization field")
    }

    /// A body in a form that is not taken.
    pub fn transfer_coding() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "of transfer codings only chunked is taken: send the body as it is")
    }

    /// A head that is too long.
    pub fn head() -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request has more than 64 KiB")
    }

    /// Too many header fields.
    pub fn fields() -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has more than 64 header fields")
    }

    /// A path that cannot be one.
    pub fn path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing under this path")
    }

    /// A key's address below which there is nothing: no such key, or a repository that is not signed here.
    pub fn key() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no such signing key is configured, or the repository is not signed by this server",
        )
    }

    /// Something that a page of another site makes a browser send.
    pub fn foreign(public_url: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            format!(
                "a browser sent this from a page of another site, so nothing was changed: open the page at {public_url}"
            ),
        )
    }

    /// A form that is too long, or none.
    pub fn form(status: StatusCode, why: String) -> Self {
        Self::new(status, why)
    }

    /// A name under which no tarball may be put.
    pub fn tarball_name() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "this is no name of a tarball: put it as NAME-VERSION.tar, such as core-1.0.0.tar, or into tarballs/ without a name",
        )
    }

    /// A range that the body does not have.
    pub fn range() -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "the file does not have these bytes")
    }

    /// A bug of ours.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log of hexkeep says more")
    }
}

impl From<&NoRoute> for Refusal {
    fn from(error: &NoRoute) -> Self {
        let text = match error {
            NoRoute::UnknownRepository => "there is no such repository here",
            NoRoute::Path(RouteError::UnknownPath) => "there is nothing under this path",
            NoRoute::Path(RouteError::BadName(_)) => "the path names something that cannot exist",
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
            Denied::Scope => Self::withheld(
                StatusCode::FORBIDDEN,
                "this key is not good for fetching from this repository: it has no permission for it",
            ),
            Denied::Hidden
            | Denied::Forbidden
            | Denied::SecondFactorMissing
            | Denied::SecondFactorWrong
            | Denied::SecondFactorNotSetUp
            | Denied::SecondFactorExhausted => {
                Self::withheld(StatusCode::FORBIDDEN, "this account may not read this repository")
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
                    "the checksum of {release} changed upstream after it was published: it is withheld until an \
                     administrator has looked at it"
                ),
            ),
            RepoError::NoChecksum { release } => Self::withheld(
                StatusCode::FORBIDDEN,
                format!("the signed index has no checksum for {release}: nothing could be verified, so it is withheld"),
            ),
            RepoError::Withheld => Self::withheld(
                StatusCode::FORBIDDEN,
                "this account may not read the repository that this package belongs to",
            ),
            RepoError::NoNames { .. } => Self::withheld(
                StatusCode::BAD_GATEWAY,
                "a repository behind this one has no list of its packages now, so it is not known what others may \
                 answer; try again later; the log of hexkeep says more",
            ),
            RepoError::Held { sentence } => Self::withheld(StatusCode::FORBIDDEN, sentence.to_string()),
            RepoError::NoListedChecksum { path } => Self::withheld(
                StatusCode::FORBIDDEN,
                format!(
                    "the list that names {path} has no checksum for it: nothing could be verified, so it is withheld"
                ),
            ),
            RepoError::Offline { .. } => {
                let status = if error.is_absence() { StatusCode::NOT_FOUND } else { StatusCode::BAD_GATEWAY };
                Self::withheld(status, error.advice())
            }
            RepoError::Untrusted(_) => Self::withheld(
                StatusCode::BAD_GATEWAY,
                "what the upstream sent does not verify against its signature or signed checksum: it is withheld; \
                 the log of hexkeep says more",
            ),
            RepoError::TakenAway => Self::withheld(
                StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
                "the upstream has taken this away for legal reasons: it is withheld here, too",
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
    use crate::repository::error::NotHere;

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
            RepoError::Offline { what: "packages/jason of hexpm".into(), kind: NotHere::Listed },
            RepoError::Offline { what: "packages/jason of hexpm".into(), kind: NotHere::Unlisted },
            RepoError::Offline { what: "installs/hex.csv".into(), kind: NotHere::Installer },
            RepoError::Offline { what: "an answer".into(), kind: NotHere::Answer },
            RepoError::TakenAway,
            RepoError::Untrusted(CacheError::Missing),
            RepoError::Upstream(CacheError::Missing),
            RepoError::Timeout(CacheError::Missing),
            RepoError::Internal(CacheError::internal(Internal::Unasked)),
        ];
        for error in &errors {
            let text = Refusal::from(error).text;
            assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{text}");
            assert!(!text.contains("  "), "{text}");
        }
    }
}
