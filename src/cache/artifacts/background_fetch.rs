//! Fetches tarballs in the background: no client waits for them.

use super::{ArtifactCache, ArtifactRequest, flight_key, outer_of};
use crate::cache::error::CacheError;
use crate::cache::fill::{ExpectedFile, FillState, FilledFile};
use crate::cache::freshness::UpstreamMode;
use crate::cache::record::{self, InnerRecord};
use crate::cache::single_flight::NoOutcome;
use crate::hex::checksum::Sha256;

/// Where an artifact is after a background fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactPlace {
    /// It was stored already, under this digest.
    AlreadyStored(Sha256),
    /// It was fetched: its digest and length.
    Fetched(Sha256, u64),
    /// It was fetched but not stored: there is no room on the disk or below the cache's limit.
    NotStored,
}

impl ArtifactCache {
    /// Records to which file an inner checksum or a SHA-512 belongs. The caller has verified that the file matches.
    /// Blocks.
    pub fn record_outer_digest(&self, expected: &ExpectedFile, outer: &Sha256) -> Result<(), CacheError> {
        let Some(key) = expected.record_key() else { return Ok(()) };
        let index = &*self.shared.store.index;
        let noted = record::put(index, &key, &InnerRecord { outer: outer.to_string() });
        noted.and_then(|()| index.flush()).map_err(CacheError::internal)
    }

    /// The digest under which an artifact is stored; `None` if it is not stored. Blocks.
    pub fn stored(&self, expected: &ExpectedFile) -> Option<Sha256> {
        let store = &self.shared.store;
        let digest = match expected.outer() {
            Some(digest) => digest,
            None => outer_of(store, &expected.record_key()?)?,
        };
        store.blobs.length(&digest).map(|_| digest)
    }

    /// Fetches an artifact unless it is stored already, and waits for the end of the fetch. A file that is stored
    /// already is not verified.
    pub async fn fetch_if_missing(&self, wanted: ArtifactRequest) -> Result<ArtifactPlace, CacheError> {
        if let Some(digest) = self.outer_digest(&wanted.expected).await?
            && self.shared.blocking(move |store| store.blobs.length(&digest)).await?.is_some()
        {
            return Ok(ArtifactPlace::AlreadyStored(digest));
        }
        if self.options.network == UpstreamMode::Offline {
            return Err(CacheError::Offline);
        }
        let (mut state, _) = self.join(flight_key(&wanted.expected), wanted);
        let ended = |state: &FillState| matches!(state, FillState::Done(_) | FillState::Failed(_));
        let state = state.wait_for(ended).await.map_err(|_| NoOutcome::Abandoned)?.clone();
        match state {
            FillState::Done(FilledFile { digest, length, bypass: None, .. }) => {
                Ok(ArtifactPlace::Fetched(digest, length))
            }
            FillState::Done(_) => Ok(ArtifactPlace::NotStored),
            FillState::Failed(error) => Err(error),
            FillState::Starting | FillState::Writing { .. } => Err(NoOutcome::Abandoned.into()),
        }
    }
}
