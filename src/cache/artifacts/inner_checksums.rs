//! Files that are here under their outer checksum, and have to have an inner one, too.

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
    /// Whether what was found is all that is expected; its outer checksum is proven.
    pub(super) async fn check_inner(&self, expected: &ExpectedFile, found: &ArtifactLookup) -> Result<(), CacheError> {
        if !matches!(expected, ExpectedFile::Both { .. }) {
            return Ok(());
        }
        let (expected, found) = (expected.clone(), found.clone());
        let proven = self.shared.blocking(move |store| {
            prove(store, &expected, || match &found {
                ArtifactLookup::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read>,
                ArtifactLookup::Stored(stored) => Box::new(ContentReader::of(stored)),
            })
        });
        proven.await?
    }

    /// The whole-file digest of what is expected, as far as it is known of a file that has all that is expected.
    pub async fn proven_outer(&self, expected: &ExpectedFile) -> Result<Option<Sha256>, CacheError> {
        let outer = self.outer(expected).await?;
        let ExpectedFile::Both { inner, .. } = expected else { return Ok(outer) };
        let key = inner.to_string();
        let noted = self.shared.blocking(move |store| outer_of(store, &key)).await?;
        Ok(outer.filter(|outer| noted == Some(*outer)))
    }

    /// Whether a stored file whose outer checksum is proven is all that is expected. Blocks.
    pub fn fits(&self, expected: &ExpectedFile, stored: &crate::store::StoredFile) -> bool {
        prove(&self.shared.store, expected, || ContentReader::of(stored)).is_ok()
    }
}

/// Whether a file with the right outer checksum has the inner one, too, where that is wanted: noted when a file was proven
/// by it, else read from the file. Blocks.
pub(super) fn prove<R: Read>(
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
    // Without the note it is read again the next time.
    if let Err(error) = record::put(&*store.index, &key, &InnerRecord { outer: outer.to_string() }) {
        tracing::warn!(%error, "the inner checksum of a tarball was not noted");
    }
    Ok(())
}
