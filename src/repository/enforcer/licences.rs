//! Reads the licences from the metadata of complete, verified tarballs, and stores them by checksum.

use std::collections::HashMap;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use super::{Enforcer, Judgement};
use crate::cache::CacheError;
use crate::cache::artifacts::VerifiedArtifact;
use crate::cache::error::Internal;
use crate::cache::record::{self, InnerRecord, LicenceRecord};
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::metadata;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::upload::outer::Outer;
use crate::policy::release_facts::LicenceFacts;
use crate::policy::rules::RuleInput;
use crate::repository::{Artifact, RepoError};
use crate::store::Store;
use crate::store::blobs::BlobLookup;
use crate::store::spool::ContentReader;

/// The licences in the metadata of a tarball.
pub(super) type StatedLicences = Arc<LicenceFacts>;

/// The licences of those releases whose tarballs were read before, by the checksums in their index: outer ones, or the
/// inner ones of old releases, whose files are stored under another checksum. Blocks.
pub(super) fn known(
    store: &Store,
    recent: &moka::sync::Cache<Sha256, StatedLicences>,
    checksums: &[Sha256],
) -> HashMap<Sha256, StatedLicences> {
    let of_file = |checksum: &Sha256| {
        let file: InnerRecord = record::get(&*store.index, &checksum.to_string())?;
        of(store, &Sha256::from_hex(&file.outer).ok()?)
    };
    let stated = |checksum: &Sha256| recent.get(checksum).or_else(|| of(store, checksum)).or_else(|| of_file(checksum));
    checksums.iter().filter_map(|checksum| Some((*checksum, stated(checksum)?))).collect()
}

/// The licences of the tarball with this digest, if it was read before. Blocks.
fn of(store: &Store, digest: &Sha256) -> Option<StatedLicences> {
    let record: LicenceRecord = record::get(&*store.index, &digest.to_string())?;
    Some(Arc::new(match record.unreadable {
        Some(why) => LicenceFacts::Unreadable(why.into()),
        None => LicenceFacts::Stated(record.licences.into_iter().map(String::into_boxed_str).collect()),
    }))
}

/// Stores the licences of the tarball with this digest. Blocks.
fn keep(store: &Store, digest: &Sha256, licences: &LicenceFacts) {
    let record = match licences {
        LicenceFacts::Stated(texts) => {
            LicenceRecord { licences: texts.iter().map(ToString::to_string).collect(), unreadable: None }
        }
        LicenceFacts::Unreadable(why) => LicenceRecord { licences: Vec::new(), unreadable: Some(why.to_string()) },
    };
    if let Err(error) = record::put(&*store.index, &digest.to_string(), &record) {
        tracing::warn!(%error, "the licences of a release could not be stored: they are read again at its next download");
    }
}

/// A reader that remembers its own failure, to tell a disk error from a broken tarball.
struct Watched<R> {
    inner: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Reads the licences from a complete tarball. An error is a disk error, and says nothing about the tarball. Blocks.
fn read(source: impl Read + Seek) -> Result<StatedLicences, CacheError> {
    let mut source = Watched { inner: source, failure: None };
    let outer = Outer::read(&mut source, limits::DOWNLOAD);
    if let Some(failure) = source.failure {
        return Err(CacheError::internal(Internal::Reread(failure)));
    }
    let stated = outer.and_then(|outer| metadata::licences_of(&outer.metadata).map_err(|error| error.to_string()));
    Ok(Arc::new(match stated {
        Ok(texts) => LicenceFacts::Stated(texts.into()),
        Err(why) => LicenceFacts::Unreadable(why.into()),
    }))
}

/// The licences of a complete tarball, which is verified to have this digest. Reads and stores them if they are
/// unknown. Blocks.
fn read_and_keep(store: &Store, digest: &Sha256, source: impl Read + Seek) -> Result<StatedLicences, CacheError> {
    if let Some(known) = of(store, digest) {
        return Ok(known);
    }
    let stated = read(source)?;
    keep(store, digest, &stated);
    Ok(stated)
}

impl Enforcer {
    /// Whether a rule for this repository needs licences.
    pub fn asks_about_licences(&self, source: &RepoName) -> bool {
        self.rules(source).is_some_and(|rules| rules.need(RuleInput::Licences))
    }

    /// Whether an evaluation needed the licences of the release with this checksum and did not know them.
    pub fn asks_for_licences(&self, judgement: &Judgement, checksum: &Sha256) -> bool {
        judgement.unread.contains(checksum)
    }

    /// Reads and stores the licences of a complete tarball; `checksum` is its checksum in the index of `source`.
    pub async fn read_licences(
        &self,
        (source, package, checksum): (&RepoName, &PackageName, &Sha256),
        file: &VerifiedArtifact,
    ) -> Result<(), RepoError> {
        let (artifact, digest) = (file.artifact.again(), file.digest);
        let stated = self.shared.blocking(move |store| match artifact {
            Artifact::Memory(bytes) => read_and_keep(store, &digest, io::Cursor::new(bytes)),
            Artifact::Stored(stored) => read_and_keep(store, &digest, ContentReader::of(&stored)),
            // The end of the file is not verified yet.
            Artifact::Filling(_) => Err(CacheError::MissingListed),
        });
        let stated = stated.await??;
        self.together.recent.insert(digest, Arc::clone(&stated));
        self.together.recent.insert(*checksum, Arc::clone(&stated));
        self.together.learned(source, package, &stated);
        Ok(())
    }

    /// Reads and stores the licences of a stored tarball; returns whether the tarball is stored.
    pub async fn read_stored_licences(
        &self,
        source: &RepoName,
        package: &PackageName,
        digest: Sha256,
    ) -> Result<bool, RepoError> {
        let stated = self.shared.blocking(move |store| match store.blobs.open(&digest) {
            Ok(BlobLookup::Found(stored)) => read_and_keep(store, &digest, ContentReader::of(&stored)).map(Some),
            Ok(BlobLookup::Absent | BlobLookup::Damaged) => Ok(None),
            Err(error) => Err(CacheError::internal(error)),
        });
        let stated = stated.await??;
        if let Some(stated) = &stated {
            self.together.learned(source, package, stated);
        }
        Ok(stated.is_some())
    }
}
