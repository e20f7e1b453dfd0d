//! Fetches a newer index without serving it yet: a mirror first downloads the files that it lists.
//!
//! Clients never see a staged index. It is verified like any other, and passes the gate when it is taken over.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::refresh::{self, Taken, UpstreamAnswer};
use super::{RegistryCache, stored_resource};
use crate::cache::error::{CacheError, Internal};
use crate::cache::freshness::UpstreamMode;
use crate::cache::ready_resource::ListRegression;
use crate::cache::record::RegistryRecord;
use crate::cache::validators::Validators;
use crate::hex::checksum::Sha256;
use crate::hex::index::Index;
use crate::hex::limits;
use crate::hex::resource::RegistryResource;
use crate::store::StoreError;
use crate::store::slots::Area;
use crate::trust::Verified;
use crate::upstream::AnswerBegun;

/// A resource as the upstream has it now, not served yet.
#[derive(Debug)]
pub struct StagedIndex {
    resource: RegistryResource,
    verified: Verified,
    /// The new bytes, if they differ from the stored ones.
    newer: Option<Newer>,
    /// Digest of the stored bytes.
    held: Option<Sha256>,
    validators: Validators,
}

#[derive(Debug)]
struct Newer {
    bytes: Bytes,
    /// What the new index has lost, and the old index.
    loss: Option<(ListRegression, Index)>,
}

/// The result of taking over a staged resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOver {
    /// It is served from now on.
    Done,
    /// Another fetch has stored a different one meanwhile: stage it again.
    ChangedMeanwhile,
    /// There is no room for it on the disk, or below the cache's limit.
    NotStored,
}

impl StagedIndex {
    /// The decoded index.
    pub fn index(&self) -> &Index {
        self.verified.index()
    }

    /// The signed payload.
    pub fn payload(&self) -> &Bytes {
        self.verified.payload()
    }

    /// Whether it differs from the stored one.
    pub fn is_newer(&self) -> bool {
        self.newer.is_some()
    }
}

impl RegistryCache {
    /// Fetches a resource from the upstream without serving it; `None` if the upstream does not have it.
    pub async fn stage(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<StagedIndex>, CacheError> {
        if self.options.rules.network == UpstreamMode::Offline {
            return Err(CacheError::Offline);
        }
        let (cache, wanted) = (Arc::clone(self), resource.clone());
        let held = self.shared.blocking(move |store| stored_resource::read(&cache, store, &wanted)).await??;
        let (before, validators) = match held {
            Some((verified, fresh)) => (Some(verified), fresh.validators),
            None => (None, Validators::default()),
        };
        let known = before.is_some();
        let heard = AnswerBegun::default();
        let mut answer = refresh::ask(self, resource, validators.clone(), known, false, deadline, &heard).await?;
        let mut loss = lost(before.as_ref(), &answer);
        if loss.is_some() {
            answer = refresh::ask(self, resource, Validators::default(), known, true, deadline, &heard).await?;
            loss = lost(before.as_ref(), &answer);
        }
        let held = before.as_ref().map(|before| Sha256::of(before.gzip()));
        let resource = resource.clone();
        match (answer, before) {
            (UpstreamAnswer::Missing, _) => Ok(None),
            (UpstreamAnswer::Unchanged, Some(verified)) => {
                Ok(Some(StagedIndex { resource, verified, newer: None, held, validators }))
            }
            // `ask` accepts "unchanged" only if it sent validators, which come from a stored resource.
            (UpstreamAnswer::Unchanged, None) => Err(CacheError::internal(Internal::UnexpectedNotModified)),
            (UpstreamAnswer::Body { verified, bytes, validators }, before) => {
                let loss = loss.zip(before.map(Verified::into_index));
                let same = held == Some(Sha256::of(&bytes));
                let newer = (!same).then_some(Newer { bytes, loss });
                Ok(Some(StagedIndex { resource, verified: *verified, newer, held, validators }))
            }
        }
    }

    /// Serves a staged resource from now on: passes it through the gate, signs it if needed, and stores it.
    pub async fn take_over(self: &Arc<Self>, staged: StagedIndex) -> Result<TakenOver, CacheError> {
        let StagedIndex { resource, verified, newer, held, validators } = staged;
        let slot = self.slot(Area::Registry, &resource)?;
        let key = slot.record_key();
        let now_held = self.shared.blocking(move |store| {
            let content = store.slots.read(&slot, limits::ENVELOPE as u64)?;
            Ok::<_, StoreError>(content.map(|content| Sha256::of(&content.bytes)))
        });
        let now_held = now_held.await?.map_err(CacheError::internal)?;
        if now_held != held {
            return Ok(TakenOver::ChangedMeanwhile);
        }
        let Some(Newer { bytes, loss }) = newer else {
            let record = RegistryRecord {
                digest: Sha256::of(verified.gzip()).to_string(),
                confirmed_at: self.shared.clock.now(),
                origin: self.options.origin.clone(),
                etag: validators.etag,
                last_modified: validators.last_modified,
                removed_at: None,
                carried: None,
            };
            self.shared.blocking(move |store| stored_resource::put_record(store, &key, &record)).await?;
            return Ok(TakenOver::Done);
        };
        if let Some((loss, before)) = loss {
            refresh::report_loss(self, &resource, Taken::Part(loss), &before).await?;
        }
        let (present, bypass) = refresh::replace(self, &resource, verified, bytes, validators).await?;
        // A resource that no client has requested stays out of memory.
        if self.shared.memory.resource(self.owner, &resource).is_some() {
            self.shared.memory.put_resource(self.owner, &resource, &present);
        }
        self.through.forget(&resource);
        self.gate.on_replaced(&resource);
        Ok(if bypass.is_some() { TakenOver::NotStored } else { TakenOver::Done })
    }

    /// The stored resource, if it is undamaged. Never contacts the upstream. Blocks.
    pub fn stored(&self, resource: &RegistryResource) -> Result<Option<Verified>, CacheError> {
        stored_resource::on_disk(self, resource)
    }

    /// Every stored resource, damaged or not. Blocks.
    pub fn all_stored(&self) -> Result<Vec<RegistryResource>, CacheError> {
        stored_resource::all(self)
    }

    /// Whether a resource is stored, damaged or not. Blocks.
    pub fn is_stored(&self, resource: &RegistryResource) -> Result<bool, CacheError> {
        let slot = self.slot(Area::Registry, resource)?;
        Ok(self.shared.store.slots.is_there(&slot))
    }
}

fn lost(before: Option<&Verified>, answer: &UpstreamAnswer) -> Option<ListRegression> {
    match answer {
        UpstreamAnswer::Body { verified, .. } => ListRegression::between(before?.index(), verified.index()),
        UpstreamAnswer::Unchanged | UpstreamAnswer::Missing => None,
    }
}
