//! Why a local repository does not do what it is asked to.

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

/// Something of our own failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalFailure {
    /// The database.
    #[error(transparent)]
    State(Arc<StateError>),
    /// The files.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Our own signature.
    #[error(transparent)]
    Sign(#[from] CacheError),
    /// A file that should be there.
    #[error("the file {digest} of a local repository is missing or damaged; restore it from a backup")]
    File {
        /// What it is called.
        digest: Sha256,
    },
    /// Another repository, without which it is not known whether something may be done.
    #[error("another repository of this server cannot be asked")]
    Neighbour(#[source] Box<RepoError>),
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<StateError> for LocalFailure {
    fn from(error: StateError) -> Self {
        Self::State(Arc::new(error))
    }
}

/// Why something was not changed. Nothing was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// What was sent is wrong, or cannot be done now; field by field.
    #[error("{0}")]
    Invalid(Invalid),
    /// There is no such package or release.
    #[error("not found")]
    NotFound,
    /// The right does not cover this package.
    #[error("the right does not cover this package")]
    NotGranted,
    /// The right has ended since the request began; why.
    #[error("{0}")]
    Withdrawn(GrantWithdrawn),
    /// Files of the package say more than the database knows, which was lost or is older than they are.
    #[error("the files of `{0}` have releases that the database does not know: run `hexkeep reindex {0}` first")]
    NotIndexed(RepoName),
    /// Something of our own failed.
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
