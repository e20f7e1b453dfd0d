//! The errors of changes to accounts.

use super::StateError;

/// The error of a change to accounts; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// An account of this name exists.
    #[error("has already been taken")]
    NameTaken,
    /// A user with this address exists.
    #[error("already in use")]
    EmailTaken,
    /// No user has this name or row id.
    #[error("unknown user")]
    UnknownUser,
    /// No organization has this name or row id.
    #[error("unknown organization")]
    UnknownOrganization,
    /// The owner has no active key of this name.
    #[error("unknown key")]
    UnknownKey,
    /// The key that creates another key was revoked or has expired.
    #[error("the key that creates it was revoked or has expired")]
    MakerEnded,
    /// The grant does not exist.
    #[error("unknown grant")]
    UnknownGrant,
    /// The session does not exist.
    #[error("unknown session")]
    UnknownSession,
    /// The user is a member of the organization.
    #[error("is already member")]
    AlreadyMember,
    /// The user is not a member of the organization.
    #[error("is not a member")]
    NotMember,
    /// An organization needs at least one administrator.
    #[error("cannot demote last admin member")]
    LastAdmin,
    /// The server needs at least one active administrator.
    #[error("is the last active administrator: make another user an administrator first")]
    LastAdministrator,
    /// An organization needs at least one member.
    #[error("cannot remove last member")]
    LastMember,
}
