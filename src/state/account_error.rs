//! Why something about accounts was not done.

use super::StateError;

/// Why something about accounts was not done; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is an account of this name.
    #[error("has already been taken")]
    NameTaken,
    /// There is a user with this address.
    #[error("already in use")]
    EmailTaken,
    /// No user has this name or row.
    #[error("unknown user")]
    UnknownUser,
    /// No organization has this name or row.
    #[error("unknown organization")]
    UnknownOrganization,
    /// The owner has no live key of this name.
    #[error("unknown key")]
    UnknownKey,
    /// The key by which another one was to be made was revoked, or has ended.
    #[error("the key that was to make it was revoked or has ended")]
    MakerEnded,
    /// There is no such right to read.
    #[error("unknown grant")]
    UnknownGrant,
    /// There is no such session.
    #[error("unknown session")]
    UnknownSession,
    /// The user is a member of the organization.
    #[error("is already member")]
    AlreadyMember,
    /// The user is not a member of the organization.
    #[error("is not a member")]
    NotMember,
    /// An organization keeps one administrator.
    #[error("cannot demote last admin member")]
    LastAdmin,
    /// The server keeps one administrator who is let in.
    #[error("is the last active administrator: make another user an administrator first")]
    LastAdministrator,
    /// An organization keeps one member.
    #[error("cannot remove last member")]
    LastMember,
}
