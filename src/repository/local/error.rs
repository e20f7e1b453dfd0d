//! Errors of a local repository.

use std::sync::Arc;

use crate::auth::GrantWithdrawn;
use crate::cache::CacheError;
use crate::hex::checksum::Sha256;
use crate::hex::invalid::Invalid;
use crate::hex::name::RepoName;
use crate::repository::RepoError;
use crate::shutdown::TaskError;
use crate::state::StateError;
use crate::store::vault::VaultError;

/// An internal failure.
#[derive(Debug, thiserror::Error)]
pub enum LocalFailure {
    /// The database.
    #[error(transparent)]
    State(Arc<StateError>),
    /// The files.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Signing with our own key.
    #[error(transparent)]
    Sign(#[from] CacheError),
    /// A file that must exist.
    #[error("the file {digest} of a local repository is missing or damaged; restore it from a backup")]
    File {
        /// Its digest, which is its name.
        digest: Sha256,
    },
    /// Another repository could not be queried, so it is unknown whether an operation is allowed.
    #[error("another repository of this server could not be queried")]
    Neighbour(#[source] Box<RepoError>),
    /// A task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<StateError> for LocalFailure {
    fn from(error: StateError) -> Self {
        Self::State(Arc::new(error))
    }
}

/// Why a change failed. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The request is invalid, or not possible now, by field.
    #[error("{0}")]
    Invalid(Invalid),
    /// There is no such package or release.
    #[error("not found")]
    NotFound,
    /// The right does not cover this package.
    #[error("the permission does not include this package")]
    NotGranted,
    /// The right has ended since the request began, with the reason.
    #[error("{0}")]
    Withdrawn(GrantWithdrawn),
    /// The files of the package contain more than the database, which was lost or is older than they are.
    #[error("the files of `{0}` contain releases that are missing in the database: run `hexkeep reindex {0}` first")]
    NotIndexed(RepoName),
    /// An internal failure.
    #[error(transparent)]
    Failed(Arc<LocalFailure>),
}

impl WriteError {
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid::of(field, message))
    }
}

impl From<Invalid> for WriteError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl<E: Into<LocalFailure>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Failed(Arc::new(error.into()))
    }
}

impl From<RepoError> for WriteError {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Local(failure) => Self::Failed(failure),
            RepoError::State(error) => Self::Failed(Arc::new(LocalFailure::State(error))),
            _ => Self::NotFound,
        }
    }
}
