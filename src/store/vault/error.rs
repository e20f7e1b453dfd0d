//! Why a vault does not do what it is asked to.

use std::io;

use super::name::{BadName, VaultName};
use crate::shutdown::{self, TaskError};
use crate::store::StoreError;
use crate::store::spool::SpoolError;

/// Why a vault does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such file.
    #[error("the file {0} is missing; restore it from a backup")]
    Missing(VaultName),
    /// The file is not what its name says.
    #[error("the file {0} is damaged; restore it from a backup")]
    Damaged(VaultName),
    /// There is no room.
    #[error("a file could not be stored; make room under the storage path")]
    Full(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The disk, or whatever else keeps the files.
    #[error(transparent)]
    Io(StoreError),
    /// An open file could not be read.
    #[error("the file {name} could not be read to its end")]
    Read {
        /// Which.
        name: VaultName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No file can have that name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// What comes in goes on after a part of it was not stored.
    #[error("a part of the file could not be stored before")]
    Broken,
    /// A task gave no answer.
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
        }
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    shutdown::blocking(work).await?
}
