//! What releases state as their licences: read out of a tarball while it comes, known afterwards by its checksum.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::record::{self, LicenceRecord};
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::metadata;
use crate::hex::tarball::{Beginning, metadata_at_the_beginning};
use crate::repository::{Artifact, BodyError, StoredReader};
use crate::store::Store;

/// The licences that a release states.
pub(super) type Stated = Arc<[Box<str>]>;

/// The licences of those releases whose tarballs were read before, or are being read. Blocks.
pub(super) fn known(
    store: &Store,
    supposed: &moka::sync::Cache<Sha256, Stated>,
    outer: &[Sha256],
) -> HashMap<Sha256, Stated> {
    let one = |digest: &Sha256| Some((*digest, supposed.get(digest).or_else(|| of(store, digest))?));
    outer.iter().filter_map(one).collect()
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
