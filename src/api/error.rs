//! The errors of the API: status, message and headers of every refused request (server-api §1.5, §5.1; interface §3).
//!
//! Clients compare some of these messages and header values byte for byte, and rebar3 treats a refused write as
//! successful unless its status is 401, 403, 404, 422 or 500. So this one table defines every refusal.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::views;
use crate::auth::{AuthError, Denied};
use crate::hex::invalid::Invalid;
use crate::repository::RepoError;
use crate::repository::local::WriteError;
use crate::state::StateError;

/// An error of the API.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum ApiError {
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(String),
    /// The credential was rejected.
    #[error("{message}")]
    Credential {
        /// The message for the client.
        message: String,
        /// The status of the answer.
        status: StatusCode,
        /// The value of `www-authenticate`.
        challenge: Option<&'static str>,
    },
    /// The caller lacks a permission.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Nobody is allowed to do this, with the reason.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// The resource does not exist, or the caller may not know that it exists.
    #[error("Page not found")]
    NotFound,
    /// The path exists, but not with this method.
    #[error("Method not allowed")]
    Method,
    /// None of the formats that the client accepts is supported.
    #[error("Not acceptable")]
    NotAcceptable,
    /// The format of the request body is not supported.
    #[error("Unsupported media type")]
    UnsupportedMediaType,
    /// The request body is too large (uploads have a limit of their own).
    #[error("the body is too large: the limit is {most} bytes")]
    TooLarge {
        /// The limit for this path, in bytes.
        most: usize,
    },
    /// Some fields of the request are invalid.
    #[error("Validation error(s)")]
    Invalid(Invalid),
    /// The request body cannot be parsed; used for writes.
    #[error("{0}")]
    Unprocessable(String),
    /// The caller sent too many requests.
    #[error("{message}")]
    RateLimited {
        /// The message, with the name of the caller.
        message: String,
        /// Whether the request was a write: rebar3 does not understand 429.
        write: bool,
        /// Seconds until the next request is allowed.
        retry_after: u64,
    },
    /// The upstream is needed but cannot be reached, and there is no cached copy.
    #[error("the upstream cannot be reached or failed, and there is no copy in the cache; try again later")]
    Upstream,
    /// The resource is not in the cache, and the server is offline; the text says how to add it.
    #[error("{0}")]
    NotHere(String),
    /// An internal error, with its text, for an administrator.
    #[error("{0}")]
    Failed(String),
    /// An internal error; the log contains the details.
    #[error("Internal server error")]
    Internal,
}

impl ApiError {
    /// A malformed request, with the reason.
    pub(super) fn bad_request(why: &str) -> Self {
        Self::BadRequest(why.to_owned())
    }

    /// One invalid field.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid::of(field, message))
    }

    /// An internal error: the log gets the full error, the client gets no details.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "an API request failed");
        Self::Internal
    }

    /// The same error for a write: rebar3 treats statuses that it does not know as success.
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

    /// The HTTP status.
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
    /// The `message` field of the body.
    fn message(&self) -> String {
        match self {
            Self::Denied(denied) => denied_as(*denied).1.to_owned(),
            other => other.to_string(),
        }
    }

    /// The value of `www-authenticate`. Clients compare it byte for byte to decide which credential to request from
    /// their user.
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

    /// The body of the answer.
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
            // Not 429: rebar3 would treat it as success.
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
            // With the status and message of the second permission check.
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
