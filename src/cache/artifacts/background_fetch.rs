//! Bringing a tarball that nobody waits for.

use super::{ArtifactCache, ArtifactRequest, flight_key, outer_of};
use crate::cache::error::CacheError;
use crate::cache::fill::{ExpectedFile, FillState, FilledFile};
use crate::cache::freshness::UpstreamMode;
use crate::cache::record::{self, InnerRecord};
use crate::cache::single_flight::NoOutcome;
use crate::hex::checksum::Sha256;

/// Where an artifact is after it was to be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactPlace {
    /// It was stored already, under this digest.
    There(Sha256),
    /// It was fetched; its digest and length.
    Brought(Sha256, u64),
    /// It was fetched, and there is no room for it on the disk or below the cache's limit.
    NotStored,
}

impl ArtifactCache {
    /// Notes which file a checksum that is not its own belongs to; whoever calls has read the file and found that it does.
    /// Blocks.
    pub fn note(&self, expected: &ExpectedFile, outer: &Sha256) -> Result<(), CacheError> {
        let Some(key) = expected.record_key() else { return Ok(()) };
        let index = &*self.shared.store.index;
        let noted = record::put(index, &key, &InnerRecord { outer: outer.to_string() });
        noted.and_then(|()| index.flush()).map_err(CacheError::internal)
    }

    /// The digest under which an artifact is stored, where it is. Blocks.
    pub fn stored(&self, expected: &ExpectedFile) -> Option<Sha256> {
        let store = &self.shared.store;
        let digest = match expected.outer() {
            Some(digest) => digest,
            None => outer_of(store, &expected.record_key()?)?,
        };
        store.blobs.length(&digest).map(|_| digest)
    }

    /// Brings an artifact into the store where it is not there yet, and waits for its end. Whether a file that is there
    /// is sound is not looked at.
    pub async fn bring(&self, wanted: ArtifactRequest) -> Result<ArtifactPlace, CacheError> {
        if let Some(digest) = self.outer(&wanted.expected).await?
            && self.shared.blocking(move |store| store.blobs.length(&digest)).await?.is_some()
        {
            return Ok(ArtifactPlace::There(digest));
        }
        if self.options.network == UpstreamMode::Offline {
            return Err(CacheError::Offline);
        }
        let (mut state, _) = self.join(flight_key(&wanted.expected), wanted);
        let ended = |state: &FillState| matches!(state, FillState::Done(_) | FillState::Failed(_));
        let state = state.wait_for(ended).await.map_err(|_| NoOutcome::Abandoned)?.clone();
        match state {
            FillState::Done(FilledFile { digest, length, bypass: None, .. }) => {
                Ok(ArtifactPlace::Brought(digest, length))
            }
            FillState::Done(_) => Ok(ArtifactPlace::NotStored),
            FillState::Failed(error) => Err(error),
            FillState::Starting | FillState::Writing { .. } => Err(NoOutcome::Abandoned.into()),
        }
    }
}
