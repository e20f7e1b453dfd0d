//! What releases state as their licences: read out of a tarball while it comes, known afterwards by its checksum.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Enforcer, Judgement};
use crate::cache::CacheError;
use crate::cache::artifacts::Proven;
use crate::cache::flights::NoOutcome;
use crate::cache::record::{self, InnerRecord, LicenceRecord};
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::metadata;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::tarball::{self, Beginning, metadata_at_the_beginning};
use crate::repository::{Artifact, BodyError, RepoError, StoredReader};
use crate::store::Store;
use crate::store::blobs::Lookup;
use crate::store::spool::ContentReader;

/// The licences that a release states.
pub(super) type Stated = Arc<[Box<str>]>;

/// The licences of those releases whose tarballs were read before, or are being read, by the checksums of their index:
/// outer ones, or inner ones of old releases, whose files are known by others. Blocks.
pub(super) fn known(
    store: &Store,
    supposed: &moka::sync::Cache<Sha256, Stated>,
    checksums: &[Sha256],
) -> HashMap<Sha256, Stated> {
    let of_file = |checksum: &Sha256| {
        let file: InnerRecord = record::get(&*store.index, &checksum.to_string())?;
        of(store, &Sha256::from_hex(&file.outer).ok()?)
    };
    let stated =
        |checksum: &Sha256| supposed.get(checksum).or_else(|| of(store, checksum)).or_else(|| of_file(checksum));
    checksums.iter().filter_map(|checksum| Some((*checksum, stated(checksum)?))).collect()
}

/// Reads and keeps the licences of a tarball that is stored; `None` where it is not there. Blocks.
fn read_stored(store: &Store, digest: &Sha256) -> Result<Option<Stated>, CacheError> {
    let Lookup::Found(stored) = store.blobs.open(digest).map_err(CacheError::internal)? else { return Ok(None) };
    // A tarball that cannot be read states nothing.
    let told = tarball::metadata(ContentReader::of(&stored)).unwrap_or_default();
    let stated: Stated = metadata::licences_of(&told).into();
    keep(store, digest, &stated);
    Ok(Some(stated))
}

/// The licences of the release with this checksum, if its tarball was read before. Blocks.
pub(super) fn of(store: &Store, digest: &Sha256) -> Option<Stated> {
    let record: LicenceRecord = record::get(&*store.index, &digest.to_string())?;
    Some(record.licences.into_iter().map(String::into_boxed_str).collect())
}

/// Keeps the licences of a tarball that was proven to have this checksum. Blocks.
pub(super) fn keep(store: &Store, digest: &Sha256, stated: &Stated) {
    let record = LicenceRecord { licences: stated.iter().map(ToString::to_string).collect() };
    if let Err(error) = record::put(&*store.index, &digest.to_string(), &record) {
        tracing::warn!(%error, "the licences of a release were not kept: they are read again at its next download");
    }
}

/// A tarball that is being read from its beginning.
#[derive(Debug)]
pub(super) struct Probe {
    artifact: Artifact,
    stored: Option<StoredReader>,
}

impl Probe {
    pub(super) fn new(artifact: Artifact) -> Self {
        let stored = match &artifact {
            Artifact::Stored(stored) => Some(StoredReader::new(stored, 0, stored.length)),
            Artifact::Memory(_) | Artifact::Filling(_) => None,
        };
        Self { artifact, stored }
    }

    /// Whether the bytes are proven already.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.artifact, Artifact::Filling(_))
    }

    async fn next(&mut self) -> Option<Result<bytes::Bytes, BodyError>> {
        match (&mut self.artifact, &mut self.stored) {
            (_, Some(reader)) => reader.next().await,
            (Artifact::Filling(reader), None) => reader.next().await,
            (Artifact::Memory(bytes), None) => {
                let rest = std::mem::take(bytes);
                (!rest.is_empty()).then_some(Ok(rest))
            }
            (Artifact::Stored(_), None) => None,
        }
    }

    /// Reads until the metadata are there; what they state. A tarball that cannot be read states nothing.
    pub(super) async fn stated(&mut self) -> Result<Stated, BodyError> {
        let most = limits::TARBALL + limits::TARBALL_METADATA;
        let mut beginning = Vec::new();
        while beginning.len() < most {
            let Some(piece) = self.next().await else { break };
            beginning.extend_from_slice(&piece?);
            match metadata_at_the_beginning(&beginning) {
                Beginning::Metadata(bytes) => return Ok(metadata::licences_of(&bytes).into()),
                Beginning::Broken => break,
                Beginning::TooShort => {}
            }
        }
        Ok(Arc::from([]))
    }

    /// Reads to the end, which only comes when the whole file has been proven.
    pub(super) async fn prove(mut self) -> Result<(), BodyError> {
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(())
    }
}

impl Enforcer {
    /// Whether licences count for what comes from this repository.
    pub fn asks_about_licences(&self, source: &RepoName) -> bool {
        self.rules(source).is_some_and(|rules| rules.licences.is_some())
    }

    /// Whether a judgement was made without knowing the licences of the release with this checksum, which count.
    pub fn asks_for_licences(&self, judgement: &Judgement, checksum: &Sha256) -> bool {
        judgement.unread.contains(checksum)
    }

    /// The licences of a tarball, of which there may be no more than a beginning; `checksum` is what the index of
    /// `source` knows it by. They count at once, and are kept when all of it has been proven.
    pub async fn read_licences(
        self: &Arc<Self>,
        (source, package, checksum): (&RepoName, &PackageName, &Sha256),
        proven: Proven,
        deadline: Instant,
    ) -> Result<(), RepoError> {
        let (digest, supposed) = (proven.digest, self.together.supposed.clone());
        let known = self.shared.blocking(move |store| known(store, &supposed, &[digest]).remove(&digest)).await?;
        if let Some(stated) = known {
            self.together.supposed.insert(*checksum, Arc::clone(&stated));
            self.together.learned(source, package, Some(&stated));
            return Ok(());
        }
        let mut probe = Probe::new(proven.artifact);
        let stated = tokio::time::timeout_at(deadline, probe.stated()).await;
        let stated = stated.map_err(|_| CacheError::NoOutcome(NoOutcome::Deadline))?.map_err(|error| {
            tracing::debug!(%package, error = &error as &dyn std::error::Error, "a tarball broke off");
            CacheError::MissingListed
        })?;
        self.together.supposed.insert(digest, Arc::clone(&stated));
        self.together.supposed.insert(*checksum, Arc::clone(&stated));
        self.together.learned(source, package, Some(&stated));
        let (enforcer, source, package, checksum) = (Arc::clone(self), source.clone(), package.clone(), *checksum);
        self.shared.tasks.spawn(async move {
            if probe.is_whole() || probe.prove().await.is_ok() {
                // What is not kept is read again at the next download.
                let _ = enforcer.shared.blocking(move |store| keep(store, &digest, &stated)).await;
            } else {
                // They were stated by bytes that turned out to be others.
                enforcer.together.supposed.invalidate(&digest);
                enforcer.together.supposed.invalidate(&checksum);
                enforcer.together.learned(&source, &package, None);
            }
        });
        Ok(())
    }

    /// Reads and keeps the licences of a tarball that was brought into the store; whether it is there.
    pub async fn read_stored_licences(
        &self,
        source: &RepoName,
        package: &PackageName,
        digest: Sha256,
    ) -> Result<bool, RepoError> {
        let stated = self.shared.blocking(move |store| read_stored(store, &digest)).await??;
        if let Some(stated) = &stated {
            self.together.learned(source, package, Some(stated));
        }
        Ok(stated.is_some())
    }
}
