//! An upload: a file that is being received and will be stored in a vault.

use bytes::{Bytes, BytesMut};

use super::error::{VaultError, blocking};
use crate::store::Store;
use crate::store::buffers::Buffers;
use crate::store::publish::Staging;
use crate::store::spool::{Finished, Spool};
use crate::store::usage::Usage;

/// The number of bytes that are collected before they are written to the disk.
const BATCH: usize = 256 * 1024;

/// A file that is being received. It is hashed and written to a temporary file on this machine. Dropping it removes the
/// file.
#[derive(Debug)]
pub struct Intake {
    spool: Option<Spool>,
    batch: BytesMut,
}

impl Store {
    /// Begins to receive a file.
    ///
    /// # Errors
    /// [`VaultError::Task`]. If no temporary file can be created, [`Intake::append`] fails.
    pub async fn begin_intake(&self) -> Result<Intake, VaultError> {
        Intake::begin(self.staging.clone(), self.blobs.buffers().clone()).await
    }
}

impl Intake {
    pub(super) async fn begin(staging: Staging, buffers: Buffers) -> Result<Self, VaultError> {
        let begin = move || {
            // Files of local repositories have no limit. A file that cannot be stored is rejected, so no memory is
            // reserved to pass it on.
            let room = Usage::new(u64::MAX).reserve(0);
            Ok(Spool::begin(&staging, &buffers, room, Usage::new(0)))
        };
        Ok(Self { spool: Some(blocking(begin).await?), batch: BytesMut::new() })
    }

    /// Appends the next bytes. After an error or a cancelled call, all further calls fail.
    ///
    /// # Errors
    /// [`VaultError::Full`], [`VaultError::Io`]; [`VaultError::Broken`] after an error.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<(), VaultError> {
        self.batch.extend_from_slice(chunk);
        if self.batch.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`VaultError::Full`], [`VaultError::Io`].
    pub async fn finish(mut self) -> Result<Finished, VaultError> {
        self.write().await?;
        Ok(self.spool.take().ok_or(VaultError::Broken)?.finish())
    }

    async fn write(&mut self) -> Result<(), VaultError> {
        let batch: Bytes = self.batch.split().freeze();
        let mut spool = self.spool.take().ok_or(VaultError::Broken)?;
        let append = move || {
            spool.append(batch)?;
            Ok(spool)
        };
        self.spool = Some(blocking(append).await?);
        Ok(())
    }
}
