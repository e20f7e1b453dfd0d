//! Reads registry resources from a bundle, which comes from a server that could reach the upstream.
//!
//! They are as trustworthy as their signature, which is the upstream's; but their age is unknown. So a stored resource
//! is never replaced by one that is recognizably older.

use std::sync::Arc;

use bytes::Bytes;

use super::stored_resource::{self, Freshness};
use super::{OnRemoved, RegistryCache, refresh};
use crate::cache::error::CacheError;
use crate::cache::ready_resource::ListRegression;
use crate::cache::record::{self, RegistryRecord};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::resource::RegistryResource;
use crate::store::slots::Area;
use crate::trust::Verified;

/// What is known about the age of an imported resource, apart from its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleAge {
    /// Nothing: it replaces the stored one unless something would be lost.
    Unknown,
    /// It belongs to lists that are older than the stored ones: it fills gaps, and replaces nothing.
    Older,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportResult {
    /// It is served from now on.
    Stored,
    /// The same resource is stored already.
    AlreadyStored,
    /// The stored resource is newer, and stays.
    Newer,
    /// The upstream has removed it.
    Removed,
    /// There is no room for it on the disk, or below the cache's limit.
    NotStored,
}

impl RegistryCache {
    /// Verifies an imported resource like one from the upstream. Blocks.
    pub fn prove(&self, resource: &RegistryResource, bytes: Bytes) -> Result<Verified, CacheError> {
        stored_resource::prove(self, resource, bytes).map_err(CacheError::untrusted)
    }

    /// Whether an imported list is older than the stored one. Blocks.
    pub fn is_older(&self, resource: &RegistryResource, carried: &Verified) -> Result<bool, CacheError> {
        let held = stored_resource::on_disk(self, resource)?;
        Ok(held.is_some_and(|held| ListRegression::between(held.index(), carried.index()).is_some()))
    }

    /// Passes an imported resource through the gate and serves it from now on, unless the stored one is newer.
    pub async fn import(
        self: &Arc<Self>,
        resource: &RegistryResource,
        bytes: Bytes,
        older: BundleAge,
    ) -> Result<ImportResult, CacheError> {
        let key = self.slot(Area::Registry, resource)?.record_key();
        let (cache, wanted) = (Arc::clone(self), resource.clone());
        let (verified, bytes, held, removed, confirmed) = self
            .shared
            .blocking(move |store| {
                let verified = cache.prove(&wanted, bytes.clone())?;
                let held = stored_resource::on_disk(&cache, &wanted)?;
                let record: Option<RegistryRecord> = record::get(&*store.index, &key);
                let record = record.filter(|_| held.is_some());
                let removed = record.as_ref().is_some_and(|record| record.removed_at.is_some());
                let confirmed = record.map(|record| record.carried.unwrap_or(record.confirmed_at));
                Ok::<_, CacheError>((verified, bytes, held, removed, confirmed))
            })
            .await??;
        if removed && self.on_removed(resource) != OnRemoved::Keep {
            return Ok(ImportResult::Removed);
        }
        if let Some(held) = held {
            if Sha256::of(held.gzip()) == Sha256::of(&bytes) {
                return Ok(ImportResult::AlreadyStored);
            }
            if older == BundleAge::Older || ListRegression::between(held.index(), verified.index()).is_some() {
                return Ok(ImportResult::Newer);
            }
        }
        // It may be of any age: names that are missing in it count as unknown until the upstream has confirmed it.
        let carried = Some(confirmed.unwrap_or(Timestamp::from_millis(0)));
        let fresh = Freshness { carried, ..Freshness::unconfirmed(self) };
        let (_, bypass) = refresh::put(self, resource, verified, bytes, fresh).await?;
        // The next request reads it from the disk.
        self.shared.memory.remove_resource(self.owner, resource);
        self.through.forget(resource);
        Ok(if bypass.is_some() { ImportResult::NotStored } else { ImportResult::Stored })
    }
}
