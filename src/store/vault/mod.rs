//! Files of which there is no other copy: tarballs and docs that were published here, and what is said of each release.
//!
//! A [`Vault`] keeps them, whole or not at all, and durably before it answers. `DiskVault` keeps them in `STORAGE/local`;
//! only the store knows that. Every vault, and every wrapper around one, passes the suite in `conformance`.
//!
//! A vault is asked by async code: what blocks does so inside of it. A file that comes in is written on this machine
//! first ([`Intake`]), whatever keeps it in the end.

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

/// What keeps durable files.
///
/// A name is given to a whole file by one act: who reads it meanwhile, or after a crash, finds the old file or the new
/// one. An open file stays readable when its name is removed or given to another file. Nothing limits the bytes of a vault,
/// and nothing in it is removed but by [`Vault::remove`].
pub trait Vault: Send + Sync + fmt::Debug {
    /// Keeps a file, in the place of the one of its name. When this returns, the file outlives a crash.
    ///
    /// # Errors
    /// [`VaultError::Full`] where there is no room, [`VaultError::Io`]. The name is then what it was, or, where the vault
    /// does not know whether the file was kept, already the new file.
    fn put(&self, file: Put) -> BoxFuture<'_, Result<(), VaultError>>;

    /// Keeps several files, one after the other, up to the first that fails.
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

    /// Opens the bytes of `range` of a file, cut at the file's end. A file that is named by its digest has that digest.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`] (the file is left as it is), [`VaultError::Io`].
    fn get(&self, name: VaultName, range: Range<u64>) -> BoxFuture<'_, Result<StoredFile, VaultError>>;

    /// What is known of a file without its bytes; `None` where there is none.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    fn stat(&self, name: VaultName) -> BoxFuture<'_, Result<Option<Stat>, VaultError>>;

    /// Reads the file with this digest from its beginning to its end, and compares, whatever was proven before.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`] (the file is left as it is), [`VaultError::Io`].
    fn prove(&self, digest: Sha256) -> BoxFuture<'_, Result<(), VaultError>>;

    /// Removes a file; says whether it was there.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    fn remove(&self, name: VaultName) -> BoxFuture<'_, Result<bool, VaultError>>;

    /// The files that `prefix` says, in the order of the text of their names. Files that come or go meanwhile are
    /// listed or not.
    ///
    /// # Errors
    /// [`VaultError::Io`], as the last item.
    fn list(&self, prefix: Prefix) -> BoxStream<'_, Result<Listed, VaultError>>;
}

impl dyn Vault + '_ {
    /// The bytes of a file; `None` where there is none, or where it has more than `max` bytes.
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

    /// Opens the file with this digest; `None` where it is missing or damaged. For work that runs where it may block: on a
    /// thread of the blocking pool, of which only few do this at a time.
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

/// A file to be kept.
#[derive(Debug)]
pub enum Put {
    /// A file that has come in whole, under its digest.
    File(Finished),
    /// Bytes under a name. Where the name has these bytes already, nothing is written.
    Bytes(VaultPath, Bytes),
}

/// What is known of a file without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub length: u64,
    /// When it was kept, or read last: a vault may note that once an hour.
    pub used: Timestamp,
}

/// Which files are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// All that are named by their digest.
    Digests,
    /// All in one folder.
    Folder(VaultFolder),
    /// All in any folder.
    Folders,
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A file of the vault.
    File(VaultName),
    /// Something else in its place, which has this name there.
    Stranger(String),
}
