//! The errors of authentication.

use std::time::Duration;

use crate::state::StateError;

/// The reason why a credential was rejected. The texts and headers are those of hex.pm byte for byte: clients compare
/// them.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A `Basic` header with invalid contents.
    #[error("invalid authentication information")]
    Malformed,
    /// The user name and the password do not match.
    #[error("invalid username and password combination")]
    WrongPassword,
    /// An unknown key or token, or a revoked token.
    #[error("invalid API key")]
    UnknownKey,
    /// A key that was revoked or has expired.
    #[error("API key revoked")]
    RevokedKey,
    /// An expired token: the client requests a new one.
    #[error("access token expired")]
    TokenExpired,
    /// Passwords are disabled on this server.
    #[error("Basic authentication is disabled. Update your client to use OAuth or an API key.")]
    BasicDisabled,
    /// No password is accepted, because every account needs a second factor, and clients that send passwords (rebar3,
    /// mix before 2.4) do not request a code. The password is not checked.
    #[error(
        "A password alone is not accepted, because this server requires a second factor: use an API key, or log in \
         with mix hex.user auth"
    )]
    PasswordAlone,
    /// The password is wrong, or it is right but the account has a second factor. Separate errors would help an
    /// attacker guess the password.
    #[error(
        "invalid username and password combination; if the account has a second factor, a password alone is not \
         accepted: use an API key, or log in with mix hex.user auth"
    )]
    PasswordRefused,
    /// The account is deactivated.
    #[error("account deactivated")]
    Deactivated,
    /// The password is right, but the code of the second factor is missing.
    #[error("Two-factor authentication required. Include X-Hex-OTP header with your TOTP code.")]
    CodeMissing,
    /// The code of the second factor is wrong, or was already used.
    #[error("Invalid two-factor authentication code")]
    CodeWrong,
    /// Too many wrong codes were sent.
    #[error("Too many failed two-factor authentication attempts. Please try again later.")]
    CodesExhausted,
    /// Too many wrong credentials from this address or for this name.
    #[error("Too many failed authentication attempts. Please try again later.")]
    Throttled {
        /// The time after which the next attempt is checked.
        retry_after: Duration,
    },
    /// The database of accounts failed.
    #[error("cannot read the accounts")]
    State(#[from] StateError),
    /// The password cannot be hashed.
    #[error("cannot hash the password")]
    Machine,
}

impl AuthError {
    /// The message if a required credential is missing.
    pub const MISSING: &'static str = "missing authentication information";

    /// The challenge of a 401 that accepts every kind of credential.
    pub const CHALLENGE: &'static str = "Basic realm=hex";

    /// The message for the client.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The `WWW-Authenticate` challenge of a 401; `None` for other statuses.
    pub fn www_authenticate(&self) -> Option<&'static str> {
        match self {
            Self::Malformed | Self::WrongPassword | Self::PasswordRefused | Self::UnknownKey | Self::RevokedKey => {
                Some(Self::CHALLENGE)
            }
            Self::TokenExpired => Some("Bearer realm=\"hex\", error=\"token_expired\""),
            Self::BasicDisabled | Self::PasswordAlone => Some("Bearer realm=\"hex\""),
            Self::CodeMissing => Some("Bearer realm=\"hex\", error=\"totp_required\""),
            Self::CodeWrong => Some("Bearer realm=\"hex\", error=\"invalid_totp\""),
            Self::Deactivated | Self::CodesExhausted | Self::Throttled { .. } | Self::State(_) | Self::Machine => None,
        }
    }
}
