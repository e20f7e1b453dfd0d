//! Why a request is turned away.

/// Why a request is turned away. What each means in status, header and words is the edge's (interface §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody has said who they are.
    #[error("a credential is needed")]
    NeedsCredential,
    /// The credential is good, but not for this.
    #[error("the credential is not good for this")]
    Scope,
    /// The account may not even know what is there.
    #[error("the account may not read this")]
    Hidden,
    /// The account may read this and not do that.
    #[error("the account may not do this")]
    Forbidden,
    /// A second factor is needed, and no code came along.
    #[error("a second factor is needed")]
    SecondFactorMissing,
    /// The code of the second factor is wrong.
    #[error("the code of the second factor is wrong")]
    SecondFactorWrong,
    /// A second factor is required, and the account has none.
    #[error("a second factor must be set up first")]
    SecondFactorNotSetUp,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    SecondFactorExhausted,
}
