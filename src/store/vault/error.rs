//! Errors of vaults.

use std::io;

use super::name::{BadName, VaultName};
use crate::shutdown::{self, TaskError};
use crate::store::StoreError;
use crate::store::spool::SpoolError;

/// Why an operation of a vault failed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file does not exist.
    #[error("the file {0} is missing; restore it from a backup")]
    Missing(VaultName),
    /// The content of the file does not match its digest.
    #[error("the file {0} is damaged; restore it from a backup")]
    Damaged(VaultName),
    /// There is not enough space.
    #[error("cannot store a file; free space under storage.path")]
    Full(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The disk or another storage failed.
    #[error(transparent)]
    Io(StoreError),
    /// An open file could not be read.
    #[error("cannot read the whole file {name}")]
    Read {
        /// The file.
        name: VaultName,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] BadName),
    /// More bytes are appended although an earlier part could not be stored.
    #[error("an earlier part of the file could not be stored")]
    Broken,
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        if error.is_full() { Self::Full(Some(error.into())) } else { Self::Io(error) }
    }
}

impl From<SpoolError> for VaultError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoMemory => Self::Full(Some(error.into())),
            SpoolError::Disk(failure) => Self::Io(failure),
        }
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    shutdown::blocking(work).await?
}
