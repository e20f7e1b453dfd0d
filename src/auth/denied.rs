//! The reasons to deny an authenticated request.

/// The reason to deny a request. The HTTP and API modules define the status, headers and message of each (interface
/// §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no credential.
    #[error("a credential is required")]
    NeedsCredential,
    /// The credential is valid, but has no permission for this.
    #[error("the credential has no permission for this")]
    Scope,
    /// The account may not know that the resource exists.
    #[error("the account has no read access")]
    Hidden,
    /// The account may read the resource, but not perform this action.
    #[error("the account is not allowed to do this")]
    Forbidden,
    /// A second factor is required, and the request has no code.
    #[error("a second factor is required")]
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
