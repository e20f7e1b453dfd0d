//! Checks the inner checksum of files that are stored under their outer checksum.

use std::io::{self, Read};

use super::{ArtifactCache, ArtifactLookup, outer_of};
use crate::cache::error::{CacheError, Untrusted};
use crate::cache::fill::ExpectedFile;
use crate::cache::record::{self, InnerRecord};
use crate::hex::checksum::Sha256;
use crate::hex::tarball;
use crate::store::Store;
use crate::store::spool::ContentReader;

impl ArtifactCache {
    /// Checks that a stored file has every expected checksum; its outer checksum is verified already.
    pub(super) async fn check_inner(&self, expected: &ExpectedFile, found: &ArtifactLookup) -> Result<(), CacheError> {
        if !matches!(expected, ExpectedFile::Both { .. }) {
            return Ok(());
        }
        let (expected, found) = (expected.clone(), found.clone());
        let proven = self.shared.blocking(move |store| {
            verify_inner_checksum(store, &expected, || match &found {
                ArtifactLookup::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read>,
                ArtifactLookup::Stored(stored) => Box::new(ContentReader::of(stored)),
            })
        });
        proven.await?
    }

    /// The SHA-256 of the whole file, if that file is known to have every expected checksum.
    pub async fn verified_outer_digest(&self, expected: &ExpectedFile) -> Result<Option<Sha256>, CacheError> {
        let outer = self.outer_digest(expected).await?;
        let ExpectedFile::Both { inner, .. } = expected else { return Ok(outer) };
        let key = inner.to_string();
        let noted = self.shared.blocking(move |store| outer_of(store, &key)).await?;
        Ok(outer.filter(|outer| noted == Some(*outer)))
    }

    /// Whether a stored file with a verified outer checksum has every expected checksum. Blocks.
    pub fn fits(&self, expected: &ExpectedFile, stored: &crate::store::StoredFile) -> bool {
        verify_inner_checksum(&self.shared.store, expected, || ContentReader::of(stored)).is_ok()
    }
}

/// Checks that a file with the right outer checksum also has the expected inner one. The result is recorded in the
/// index; without a record it is computed from the file. Blocks.
pub(super) fn verify_inner_checksum<R: Read>(
    store: &Store,
    expected: &ExpectedFile,
    file: impl FnOnce() -> R,
) -> Result<(), CacheError> {
    let ExpectedFile::Both { outer, inner } = expected else { return Ok(()) };
    let key = inner.to_string();
    if outer_of(store, &key) == Some(*outer) {
        return Ok(());
    }
    let actual: Sha256 =
        tarball::inner_checksum(file()).map_err(|error| CacheError::untrusted(Untrusted::Tarball(error)))?;
    if actual != *inner {
        return Err(CacheError::untrusted(Untrusted::Digest { expected: *inner, actual }));
    }
    // Without the record the file is read again the next time.
    if let Err(error) = record::put(&*store.index, &key, &InnerRecord { outer: outer.to_string() }) {
        tracing::warn!(%error, "the inner checksum of a tarball could not be recorded");
    }
    Ok(())
}
