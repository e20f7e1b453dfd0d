//! What the API answers when it does not do what was asked: status, words, headers (server-api §1.5, §5.1; interface §3).
//!
//! Clients compare some of these words and header values byte for byte, and rebar3 takes a refused write for done unless
//! its status is one of 401, 403, 404, 422 and 500. So what a refusal may be is decided here, in one table.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::views;
use crate::auth::{AuthError, Denied};
use crate::hex::invalid::Invalid;
use crate::repository::RepoError;
use crate::repository::local::WriteError;
use crate::state::StateError;

/// Why the API refuses.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum ApiError {
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// The credential is not accepted.
    #[error("{message}")]
    Credential {
        /// What the client is told.
        message: String,
        /// What it is to be answered with.
        status: StatusCode,
        /// The challenge.
        challenge: Option<&'static str>,
    },
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller may never, whoever it is; why.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// There is no such thing, or the caller may not know of it.
    #[error("Page not found")]
    NotFound,
    /// The address is known, the method is not.
    #[error("Method not allowed")]
    Method,
    /// No answer in the form that was asked for.
    #[error("Not acceptable")]
    NotAcceptable,
    /// A body in a form that is not understood.
    #[error("Unsupported media type")]
    UnsupportedMediaType,
    /// The body of a request that is not an upload is too long.
    #[error("the body is too large: at most {most} bytes are taken here")]
    TooLarge {
        /// Bytes that the address takes.
        most: usize,
    },
    /// Something that was sent is wrong, field by field.
    #[error("Validation error(s)")]
    Invalid(Invalid),
    /// Something that was sent cannot be understood; for requests that change something.
    #[error("{0}")]
    Unprocessable(String),
    /// Too many requests.
    #[error("{message}")]
    RateLimited {
        /// Who has made too many.
        message: String,
        /// Whether the request would change something: rebar3 does not know 429.
        write: bool,
        /// Seconds until the next may be made.
        retry_after: u64,
    },
    /// The upstream has to be asked and cannot be, and there is no copy of what it said before.
    #[error("the upstream cannot be reached or failed, and there is no copy in the cache; try again later")]
    Upstream,
    /// It is not here, and nobody is asked; how it would come here.
    #[error("{0}")]
    NotHere(String),
    /// Something of ours failed, and an administrator asks.
    #[error("{0}")]
    Failed(String),
    /// Something of ours failed; the log says what.
    #[error("Internal server error")]
    Internal,
}

impl ApiError {
    /// A request that cannot be understood, and why.
    pub(super) fn bad_request(why: &str) -> Self {
        Self::BadRequest(why.to_owned())
    }

    /// One wrong field.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid::of(field, message))
    }

    /// Something of ours failed: the log gets the whole story, the client none of it.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request of the API could not be answered");
        Self::Internal
    }

    /// The same for whoever changes something: rebar3 takes a status that it does not know for success.
    pub(super) fn for_writer(self) -> Self {
        match self {
            Self::BadRequest(_) | Self::NotAcceptable | Self::UnsupportedMediaType | Self::TooLarge { .. } => {
                Self::Unprocessable(self.message())
            }
            Self::Method => Self::NotFound,
            Self::Upstream | Self::NotHere(_) => Self::Internal,
            other => other,
        }
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Internal | Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Upstream | Self::NotHere(_) => StatusCode::BAD_GATEWAY,
            Self::Credential { status, .. } => *status,
            Self::Denied(denied) => denied_as(*denied).0,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) | Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited { write: true, .. } => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl ApiError {
    /// What goes into `message`.
    fn message(&self) -> String {
        match self {
            Self::Denied(denied) => denied_as(*denied).1.to_owned(),
            other => other.to_string(),
        }
    }

    /// The value of `www-authenticate`: clients compare it byte for byte to decide what to ask their user for.
    pub(super) fn challenge(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Credential { challenge, .. } => (*challenge)?,
            Self::Denied(Denied::NeedsCredential | Denied::Scope) => "Basic realm=hex",
            Self::Denied(Denied::SecondFactorMissing) => r#"Bearer realm="hex", error="totp_required""#,
            Self::Denied(Denied::SecondFactorWrong) => r#"Bearer realm="hex", error="invalid_totp""#,
            _ => return None,
        };
        Some(HeaderValue::from_static(text))
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        let invalid = if let Self::Invalid(invalid) = self { Some(invalid) } else { None };
        views::failure(self.status().as_u16(), &self.message(), invalid)
    }
}

fn denied_as(denied: Denied) -> (StatusCode, &'static str) {
    match denied {
        Denied::NeedsCredential => (StatusCode::UNAUTHORIZED, "missing authentication information"),
        Denied::Scope => (StatusCode::UNAUTHORIZED, "key not authorized for this action"),
        Denied::Hidden => (StatusCode::NOT_FOUND, "Page not found"),
        Denied::Forbidden => (StatusCode::FORBIDDEN, "account not authorized for this action"),
        Denied::SecondFactorMissing => (
            StatusCode::UNAUTHORIZED,
            "Two-factor authentication required. Include X-Hex-OTP header with your TOTP code.",
        ),
        Denied::SecondFactorWrong => (StatusCode::UNAUTHORIZED, "Invalid two-factor authentication code"),
        Denied::SecondFactorNotSetUp => {
            (StatusCode::FORBIDDEN, "Two-factor authentication must be enabled for API write access")
        }
        Denied::SecondFactorExhausted => {
            (StatusCode::FORBIDDEN, "Too many failed two-factor authentication attempts. Please try again later.")
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let status = match &error {
            // Not 429, which rebar3 would take for success.
            AuthError::Throttled { .. } | AuthError::CodesExhausted => StatusCode::FORBIDDEN,
            AuthError::State(_) | AuthError::Machine => return Self::internal(&error),
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::Credential { message: error.message(), status, challenge: error.www_authenticate() }
    }
}

impl From<RepoError> for ApiError {
    fn from(error: RepoError) -> Self {
        match &error {
            RepoError::Internal(_) | RepoError::State(_) | RepoError::Local(_) => Self::internal(&error),
            RepoError::Upstream(_) | RepoError::Timeout(_) | RepoError::Untrusted(_) | RepoError::NoNames { .. } => {
                Self::Upstream
            }
            RepoError::Offline { .. } if !error.is_absence() => Self::NotHere(error.advice()),
            _ => Self::NotFound,
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Invalid(invalid) => Self::Invalid(invalid),
            WriteError::NotIndexed(_) => Self::Invalid(Invalid::of("name", error.to_string())),
            WriteError::NotFound => Self::NotFound,
            WriteError::NotGranted => Self::Denied(Denied::Forbidden),
            // In the words in which `again` has found it out.
            WriteError::Withdrawn(why) => {
                why.downcast_ref::<Self>().cloned().unwrap_or(Self::Denied(Denied::Forbidden))
            }
            WriteError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_objects_on_every_level() {
        let mut invalid = Invalid::at(&["requirements", "cowboy"], "package does not exist");
        invalid.push(&["requirements", "plug"], "invalid requirement");
        invalid.push(&["name"], "is reserved");
        let body = ApiError::Invalid(invalid).body();
        let expected = json!({
            "status": 422,
            "message": "Validation error(s)",
            "errors": {
                "requirements": {"cowboy": "package does not exist", "plug": "invalid requirement"},
                "name": "is reserved",
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn challenges_are_what_clients_compare() {
        let challenge = |denied| ApiError::Denied(denied).challenge();
        assert_eq!(challenge(Denied::SecondFactorMissing).unwrap(), r#"Bearer realm="hex", error="totp_required""#);
        assert_eq!(challenge(Denied::SecondFactorWrong).unwrap(), r#"Bearer realm="hex", error="invalid_totp""#);
        assert_eq!(challenge(Denied::NeedsCredential).unwrap(), "Basic realm=hex");
        assert_eq!(challenge(Denied::Forbidden), None);
    }
}
