//! The end of a fill: verifies the file, and only then stores it.

use super::{ExpectedFile, FillContext, FilledFile};
use crate::cache::error::{CacheError, Internal, Untrusted};
use crate::cache::record::{self, InnerRecord};
use crate::cache::status::BypassReason;
use crate::hex::checksum::{Sha256, Sha512};
use crate::hex::tarball;
use crate::store::Store;
use crate::store::spool::{Finished, NotStored};

/// Records to which file a checksum belongs. Nothing else does, so the record is flushed before the file is served.
fn note_outer(store: &Store, path: &str, key: &str, outer: &Sha256) {
    let noted = record::put(&*store.index, key, &InnerRecord { outer: outer.to_string() });
    if let Err(error) = noted.and_then(|()| store.index.flush()) {
        tracing::warn!(path, %error, "the checksum of a tarball could not be recorded: the tarball will be fetched again");
    }
}

/// Compares the checksums, and only then stores the file.
pub(super) async fn verify_and_store(
    filling: FillContext,
    finished: Finished,
    not_stored: Option<NotStored>,
) -> Result<FilledFile, CacheError> {
    let digest = *finished.digest();
    let (finished, verdict) = match filling.expected {
        ExpectedFile::Anything => (finished, Ok(())),
        ExpectedFile::Outer(expected) if expected == digest => (finished, Ok(())),
        ExpectedFile::Outer(expected) => (finished, Err(Untrusted::Digest { expected, actual: digest })),
        ExpectedFile::Both { outer, .. } if outer != digest => {
            (finished, Err(Untrusted::Digest { expected: outer, actual: digest }))
        }
        ExpectedFile::Inner(expected) | ExpectedFile::Both { inner: expected, .. } => {
            let taken = move || {
                let inner = tarball::inner_checksum(finished.reader());
                (finished, inner)
            };
            let (finished, inner) = filling.shared.blocking(move |_| taken()).await?;
            let verdict = match inner {
                Ok(actual) if actual == expected => Ok(()),
                Ok(actual) => Err(Untrusted::Digest { expected, actual }),
                Err(error) => Err(Untrusted::Tarball(error)),
            };
            (finished, verdict)
        }
        ExpectedFile::Sha512(expected) => {
            let taken = move || {
                let actual = Sha512::of_reader(finished.reader());
                (finished, actual)
            };
            let (finished, actual) = filling.shared.blocking(move |_| taken()).await?;
            let verdict = match actual {
                Ok(actual) if actual == expected => Ok(()),
                Ok(actual) => Err(Untrusted::Sha512 { expected: Box::new(expected), actual: Box::new(actual) }),
                Err(error) => return Err(CacheError::internal(Internal::Reread(error))),
            };
            (finished, verdict)
        }
    };
    let replaced = match verdict {
        Ok(()) => false,
        // The release may have been replaced meanwhile: then the refreshed index lists this digest.
        Err(error) if (filling.recheck)(digest).await => {
            tracing::info!(path = filling.path, %error, "a release was replaced upstream while it was being fetched");
            true
        }
        Err(error) => return Err(CacheError::untrusted(error)),
    };
    let (content, length) = (finished.content(), finished.length());
    let key = filling.expected.record_key().filter(|_| !replaced);
    let path = filling.path.clone();
    let kept = filling
        .shared
        .blocking(move |store| {
            let mut finished = finished;
            let kept = store.blobs.publish(&mut finished).map(|_| finished);
            if let Some(key) = key {
                note_outer(store, &path, &key, &digest);
            }
            kept
        })
        .await?;
    let bypass = match kept {
        // Readers still hold the spool, stored or not.
        Ok(_) => not_stored.map(BypassReason::from),
        Err(error) => {
            tracing::warn!(
                path = filling.path,
                error = &error as &dyn std::error::Error,
                "a file is served without being stored"
            );
            Some(not_stored.map_or(BypassReason::DiskFull, BypassReason::from))
        }
    };
    if replaced {
        return Err(CacheError::Replaced);
    }
    Ok(FilledFile { content, length, digest, bypass })
}
