//! A file on its way into a vault.

use bytes::{Bytes, BytesMut};

use super::error::{VaultError, blocking};
use crate::store::Store;
use crate::store::buffers::Buffers;
use crate::store::publish::Staging;
use crate::store::spool::{Finished, Spool};
use crate::store::usage::Usage;

/// Bytes that are gathered before the disk is bothered.
const BATCH: usize = 256 * 1024;

/// A file that is coming in, written to this machine's disk and hashed on the way. Nothing of it stays if it is dropped.
#[derive(Debug)]
pub struct Intake {
    spool: Option<Spool>,
    batch: BytesMut,
}

impl Store {
    /// Begins to take in a file.
    ///
    /// # Errors
    /// [`VaultError::Task`]. A disk that makes no file is told of by [`Intake::append`].
    pub async fn begin_intake(&self) -> Result<Intake, VaultError> {
        Intake::begin(self.staging.clone(), self.blobs.buffers().clone()).await
    }
}

impl Intake {
    pub(super) async fn begin(staging: Staging, buffers: Buffers) -> Result<Self, VaultError> {
        let begin = move || {
            // No limit is on what is local. What cannot be stored is not taken in, so nothing passes through memory.
            let room = Usage::new(u64::MAX).reserve(0);
            Ok(Spool::begin(&staging, &buffers, room, Usage::new(0)))
        };
        Ok(Self { spool: Some(blocking(begin).await?), batch: BytesMut::new() })
    }

    /// Takes in the next bytes. After an error, or where this is cancelled, nothing more is taken in.
    ///
    /// # Errors
    /// [`VaultError::Full`]; [`VaultError::Broken`] after an error.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<(), VaultError> {
        self.batch.extend_from_slice(chunk);
        if self.batch.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    /// All has come.
    ///
    /// # Errors
    /// [`VaultError::Full`].
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
