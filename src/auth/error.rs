//! Why nobody can be said to be asking.

use std::time::Duration;

use crate::state::StateError;

/// Why a credential was not accepted. The words and headers are hex.pm's, byte for byte: clients compare them.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// `Basic`, and what follows is not what that scheme says.
    #[error("invalid authentication information")]
    Malformed,
    /// A user name and a password that do not belong together.
    #[error("invalid username and password combination")]
    WrongPassword,
    /// A key or token that is none of ours, or a token that was revoked.
    #[error("invalid API key")]
    UnknownKey,
    /// A key of ours that was revoked or has ended.
    #[error("API key revoked")]
    RevokedKey,
    /// A token of ours that has ended: its client fetches another one.
    #[error("access token expired")]
    TokenExpired,
    /// Passwords are not taken here.
    #[error("Basic authentication is disabled. Update your client to use OAuth or an API key.")]
    BasicDisabled,
    /// No password is a proof, as all accounts need a second factor: clients that send passwords (rebar3, mix before 2.4)
    /// ask their users for no code. Whether it is the right one is not looked at.
    #[error(
        "A password alone is not accepted, because this server requires a second factor: use an API key, or log in \
         with mix hex.user auth"
    )]
    PasswordAlone,
    /// The password is wrong, or it is right and no proof, as this account has a second factor. Which of the two it is would
    /// tell a guesser the password.
    #[error(
        "invalid username and password combination; where a second factor protects the account, no password alone is \
         accepted: use an API key, or log in with mix hex.user auth"
    )]
    PasswordRefused,
    /// The account was shut out.
    #[error("account deactivated")]
    Deactivated,
    /// The password is right, and the code of the second factor is missing.
    #[error("Two-factor authentication required. Include X-Hex-OTP header with your TOTP code.")]
    CodeMissing,
    /// The code of the second factor is wrong or was used.
    #[error("Invalid two-factor authentication code")]
    CodeWrong,
    /// Too many wrong codes.
    #[error("Too many failed two-factor authentication attempts. Please try again later.")]
    CodesExhausted,
    /// Too many wrong credentials from there, or for that name.
    #[error("Too many failed authentication attempts. Please try again later.")]
    Throttled {
        /// When the next one is heard.
        retry_after: Duration,
    },
    /// The accounts cannot be read.
    #[error("the accounts cannot be read")]
    State(#[from] StateError),
    /// Passwords cannot be checked.
    #[error("the machine cannot do what a password needs")]
    Machine,
}

impl AuthError {
    /// What a client is told when a credential is needed and there is none.
    pub const MISSING: &'static str = "missing authentication information";

    /// The challenge of a 401 that asks for any credential.
    pub const CHALLENGE: &'static str = "Basic realm=hex";

    /// What a client is told.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The challenge that goes with a 401; none where it is no 401.
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
