//! A vault in memory, for tests.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::stream::{self, BoxStream};
use parking_lot::Mutex;

use super::{Listed, Prefix, Put, Stat, Vault, VaultError, VaultName};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::hex::checksum::Sha256;
use crate::store::read_at::{ReadAt, StoredFile};

/// The files, by the text of their names.
#[derive(Debug, Default)]
pub(super) struct MemoryVault(Mutex<BTreeMap<String, File>>);

#[derive(Clone, Debug)]
struct File {
    name: VaultName,
    bytes: Bytes,
    kept: Timestamp,
}

impl MemoryVault {
    fn file(&self, name: &VaultName) -> Option<File> {
        self.0.lock().get(&name.to_string()).cloned()
    }

    fn open(&self, name: VaultName) -> Result<Bytes, VaultError> {
        match (self.file(&name), &name) {
            (None, _) => Err(VaultError::Missing(name)),
            (Some(file), VaultName::Digest(digest)) if Sha256::of(&file.bytes) != *digest => {
                Err(VaultError::Damaged(name))
            }
            (Some(file), _) => Ok(file.bytes),
        }
    }

    /// Replaces the bytes of a file, to simulate damage.
    pub(super) fn spoil(&self, name: &VaultName, bytes: &'static [u8]) {
        if let Some(file) = self.0.lock().get_mut(&name.to_string()) {
            file.bytes = Bytes::from_static(bytes);
        }
    }
}

impl Vault for MemoryVault {
    fn put(&self, file: Put) -> BoxFuture<'_, Result<(), VaultError>> {
        let (name, bytes) = match file {
            Put::File(finished) => {
                let mut bytes = Vec::new();
                finished.reader().read_to_end(&mut bytes).unwrap();
                (VaultName::Digest(*finished.digest()), bytes.into())
            }
            Put::Bytes(path, bytes) => (path.into(), bytes),
        };
        self.0.lock().insert(name.to_string(), File { name, bytes, kept: SystemClock.now() });
        ready(Ok(())).boxed()
    }

    fn get(&self, name: VaultName, range: Range<u64>) -> BoxFuture<'_, Result<StoredFile, VaultError>> {
        let stored = |bytes: Bytes| StoredFile { length: bytes.len() as u64, content: Arc::new(Memory(bytes)) };
        ready(self.open(name).map(|bytes| stored(bytes).part(range))).boxed()
    }

    fn stat(&self, name: VaultName) -> BoxFuture<'_, Result<Option<Stat>, VaultError>> {
        let stat = |file: File| Stat { length: file.bytes.len() as u64, used: file.kept };
        ready(Ok(self.file(&name).map(stat))).boxed()
    }

    fn verify_digest(&self, digest: Sha256) -> BoxFuture<'_, Result<(), VaultError>> {
        ready(self.open(digest.into()).map(drop)).boxed()
    }

    fn remove(&self, name: VaultName) -> BoxFuture<'_, Result<bool, VaultError>> {
        ready(Ok(self.0.lock().remove(&name.to_string()).is_some())).boxed()
    }

    fn list(&self, prefix: Prefix) -> BoxStream<'_, Result<Listed, VaultError>> {
        let fits = |name: &VaultName| match (&prefix, name) {
            (Prefix::Digests, VaultName::Digest(_)) | (Prefix::Folders, VaultName::Path(_)) => true,
            (Prefix::Folder(folder), VaultName::Path(path)) => path.folder() == folder,
            _ => false,
        };
        let files = self.0.lock();
        let names = files.values().map(|file| &file.name).filter(|name| fits(name));
        let listed: Vec<_> = names.map(|name| Ok(Listed::File(name.clone()))).collect();
        stream::iter(listed).boxed()
    }
}

#[derive(Debug)]
struct Memory(Bytes);

impl ReadAt for Memory {
    fn try_read(&self, offset: u64, length: u64) -> Option<io::Result<Bytes>> {
        let clip = |at: u64| usize::try_from(at).unwrap().min(self.0.len());
        let part = self.0.slice(clip(offset)..clip(offset.saturating_add(length)));
        Some(if part.is_empty() && length > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(part) })
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        self.try_read(offset, length).unwrap()
    }
}

#[tokio::test]
async fn a_vault_in_memory_is_a_vault() {
    super::conformance::suite(|| Box::new(MemoryVault::default())).await;
    let vault = MemoryVault::default();
    super::conformance::damage_is_told_and_left(&vault, |name, bytes| vault.spoil(name, bytes)).await;
}
