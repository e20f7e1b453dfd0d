//! Storage of files that exist nowhere else: tarballs and docs published to local repositories, and the metadata of
//! their releases.
//!
//! A [`Vault`] stores each file completely or not at all, and durably before it returns. `DiskVault` stores them in
//! `STORAGE/local`; no other room knows this folder. Every vault and every wrapper of one must pass the tests in
//! `conformance`.
//!
//! The methods are async: a vault runs blocking work itself. An uploaded file is always written to this machine first
//! ([`Intake`]), whatever vault stores it in the end.

#[cfg(test)]
pub(super) mod conformance;
mod disk;
mod error;
mod intake;
#[cfg(test)]
mod memory;
mod name;

pub(super) use disk::DiskVault;
pub use error::VaultError;
pub use intake::Intake;
pub use name::{BadName, VaultFolder, VaultName, VaultPath};

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::read_at::StoredFile;
use super::spool::Finished;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::shutdown::TaskError;

/// All bytes of a file.
pub const WHOLE: Range<u64> = 0..u64::MAX;

/// A storage of durable files.
///
/// Files are replaced atomically: a reader finds the old or the new file, even after a crash. An open file stays
/// readable if it is removed or replaced. A vault has no size limit, and only [`Vault::remove`] removes files.
pub trait Vault: Send + Sync + fmt::Debug {
    /// Stores a file, and replaces an existing file of the same name. When this returns, the file is durable.
    ///
    /// # Errors
    /// [`VaultError::Full`] if there is no space, [`VaultError::Io`]. Then the old file is unchanged; or the new file
    /// may be stored already, if the vault does not know whether the operation succeeded.
    fn put(&self, file: Put) -> BoxFuture<'_, Result<(), VaultError>>;

    /// Stores several files, one after the other, up to the first that fails.
    ///
    /// # Errors
    /// Those of [`Vault::put`].
    fn put_all(&self, files: Vec<Put>) -> BoxFuture<'_, Result<(), VaultError>> {
        Box::pin(async move {
            for file in files {
                self.put(file).await?;
            }
            Ok(())
        })
    }

    /// Opens the part of a file in `range`, cut at the end of the file. The digest of a file that is named by its
    /// digest is checked.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`] (the file is left as it is), [`VaultError::Io`].
    fn get(&self, name: VaultName, range: Range<u64>) -> BoxFuture<'_, Result<StoredFile, VaultError>>;

    /// The metadata of a file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    fn stat(&self, name: VaultName) -> BoxFuture<'_, Result<Option<Stat>, VaultError>>;

    /// Reads the whole file with this digest and checks the digest, even if it was checked before.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`] (the file is left as it is), [`VaultError::Io`].
    fn verify_digest(&self, digest: Sha256) -> BoxFuture<'_, Result<(), VaultError>>;

    /// Removes a file. Returns whether it existed.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    fn remove(&self, name: VaultName) -> BoxFuture<'_, Result<bool, VaultError>>;

    /// Lists the files that `prefix` selects, in the order of the text of their names. Files that are added or removed
    /// meanwhile may be listed or not.
    ///
    /// # Errors
    /// [`VaultError::Io`], as the last item.
    fn list(&self, prefix: Prefix) -> BoxStream<'_, Result<Listed, VaultError>>;
}

impl dyn Vault + '_ {
    /// Reads a file; `None` if it does not exist or has more than `max` bytes.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Io`], [`VaultError::Read`].
    pub async fn read(&self, name: VaultName, max: u64) -> Result<Option<Bytes>, VaultError> {
        let stored = match self.get(name.clone(), 0..max.saturating_add(1)).await {
            Ok(stored) if stored.length <= max => stored,
            Ok(_) | Err(VaultError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        stored.bytes().await.map(Some).map_err(|source| VaultError::Read { name, source })
    }

    /// Opens the file with this digest; `None` if it is missing or damaged. Call it only on a thread of the blocking
    /// pool, and only on few threads at a time.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn open_blocking(&self, digest: Sha256) -> Result<Option<StoredFile>, VaultError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| TaskError::Stopped)?;
        match runtime.block_on(self.get(digest.into(), WHOLE)) {
            Err(VaultError::Missing(_) | VaultError::Damaged(_)) => Ok(None),
            got => got.map(Some),
        }
    }
}

/// A file to be stored.
#[derive(Debug)]
pub enum Put {
    /// A completely received file, stored under its digest.
    File(Finished),
    /// Bytes, stored under a name. If the file has the same bytes, nothing is written.
    Bytes(VaultPath, Bytes),
}

/// The metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The size in bytes.
    pub length: u64,
    /// When it was stored or last read. A vault may update this only once an hour.
    pub used: Timestamp,
}

/// Selects the files to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// All files that are named by their digest.
    Digests,
    /// All files in one folder.
    Folder(VaultFolder),
    /// All files in all folders.
    Folders,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A file of the vault.
    File(VaultName),
    /// Another file in the folders of the vault, with its path there.
    Stranger(String),
}
