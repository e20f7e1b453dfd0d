//! The disk side of a registry cache: reads, verifies, stores and removes resources, and prepares them for clients.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::{OnRemoved, RegistryCache};
use crate::cache::error::{CacheError, Untrusted};
use crate::cache::gate::{Admission, RefusedReleases};
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::record::{self, RegistryRecord};
use crate::cache::status::BypassReason;
use crate::cache::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::limits;
use crate::hex::resource::RegistryResource;
use crate::store::Store;
use crate::store::index::Tree;
use crate::store::slots::Area;
use crate::trust::{Origin, Verified, verify};

/// Reads a stored resource and verifies it. One that fails is removed and counted.
pub(super) async fn load(
    cache: Arc<RegistryCache>,
    resource: RegistryResource,
) -> Result<Option<Arc<ReadyResource>>, CacheError> {
    let found = {
        let (cache, resource) = (Arc::clone(&cache), resource.clone());
        let shared = cache.shared.clone();
        shared.blocking(move |store| read(&cache, store, &resource)).await??
    };
    let Some((verified, fresh)) = found else { return Ok(None) };
    let present = finish(&cache, &resource, verified, fresh).await?;
    // A fetch may have ended since the file was read, possibly before its record was written.
    Ok(Some(cache.shared.memory.put_resource_read(cache.owner, &resource, &present)))
}

/// When a resource was confirmed, and its validators.
#[derive(Debug)]
pub(super) struct Freshness {
    pub(super) confirmed_at: Timestamp,
    pub(super) removed_at: Option<Timestamp>,
    pub(super) validators: Validators,
    pub(super) carried: Option<Timestamp>,
}

/// The latest time of confirmation with which a resource counts as expired.
fn unconfirmed(cache: &RegistryCache) -> Timestamp {
    let now = cache.shared.clock.now().as_millis();
    let ttl = cache.options.rules.ttl.saturating_add(cache.options.rules.stale_while_revalidate);
    Timestamp::from_millis(now.saturating_sub(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
}

impl Freshness {
    /// For a genuine resource that the upstream has not confirmed: the upstream is asked before it is served, if
    /// possible.
    pub(super) fn unconfirmed(cache: &RegistryCache) -> Self {
        Self { confirmed_at: unconfirmed(cache), removed_at: None, validators: Validators::default(), carried: None }
    }
}

/// Reads a stored resource and verifies it, without the gate. Blocks.
pub(super) fn read(
    cache: &RegistryCache,
    store: &Store,
    resource: &RegistryResource,
) -> Result<Option<(Verified, Freshness)>, CacheError> {
    let slot = cache.slot(Area::Registry, resource)?;
    let content = match store.slots.read(&slot, limits::ENVELOPE as u64) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(error) => {
            // An unreadable file counts as missing: the upstream may still have it.
            tracing::error!(%slot, error = &error as &dyn std::error::Error, "a cached resource cannot be read");
            return Ok(None);
        }
    };
    let digest = Sha256::of(&content.bytes);
    let verified = match prove(cache, resource, content.bytes) {
        Ok(verified) => verified,
        Err(error) => {
            tracing::error!(
                %slot, reason = error.reason(), error = &error as &dyn std::error::Error,
                "a cached resource is damaged or signed by another key: it is removed and will be fetched again"
            );
            cache.shared.metrics.damaged.get_or_create(&cache.reason_labels("registry")).inc();
            store.slots.remove(&slot).map_err(CacheError::internal)?;
            forget_record(store, &slot.record_key());
            return Ok(None);
        }
    };
    let record: Option<RegistryRecord> =
        record::get(&*store.index, &slot.record_key()).filter(|r: &RegistryRecord| r.digest == digest.to_string());
    let fresh = match record {
        Some(record) if record.removed_at.is_some() && cache.on_removed(resource) != OnRemoved::Keep => {
            return Ok(None);
        }
        Some(record) => {
            let same_origin = record.origin == cache.options.origin;
            let validators = Validators { etag: record.etag, last_modified: record.last_modified };
            Freshness {
                confirmed_at: record.confirmed_at,
                removed_at: record.removed_at,
                validators: if same_origin { validators } else { Validators::default() },
                carried: record.carried,
            }
        }
        // The record is lost: the resource is genuine, and as old as its file. It counts as expired until the upstream
        // confirms it.
        None => Freshness { confirmed_at: content.modified.min(unconfirmed(cache)), ..Freshness::unconfirmed(cache) },
    };
    Ok(Some((verified, fresh)))
}

/// Checks the size, unpacks and verifies: the only way from bytes to a resource that may be served.
pub(super) fn prove(cache: &RegistryCache, resource: &RegistryResource, bytes: Bytes) -> Result<Verified, Untrusted> {
    let envelope = Envelope::open(bytes, resource.max_payload())?;
    let origin = Origin { repository: &cache.options.name, resource };
    Ok(verify(envelope, &cache.options.public_keys, &origin)?)
}

/// Passes a resource through the gate and builds the payloads for clients. If the resource that it replaces was sent
/// with our signature, the new one is signed now, so that no client has to wait for it.
pub(super) async fn finish(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    verified: Verified,
    fresh: Freshness,
) -> Result<Arc<ReadyResource>, CacheError> {
    let admitted =
        cache.gate.admit(resource, verified.index(), verified.payload()).await.map_err(CacheError::internal)?;
    let Admission { refused, expected_files: demands } = admitted;
    let source = Sha256::of(verified.gzip());
    let before = cache.shared.memory.resource(cache.owner, resource);
    let made = {
        let (cache, resource) = (Arc::clone(cache), resource.clone());
        let shared = cache.shared.clone();
        let make = move || {
            let digest = Sha256::of(verified.payload());
            let own = match cache.options.own {
                false => None,
                true => Some(own(&cache, &resource, &verified, digest, &refused)?),
            };
            Ok::<_, CacheError>(Arc::new(ReadyResource {
                upstream: cache.options.pass_through.then(|| Payload::passed_through(&verified, digest)),
                own,
                index: Arc::new(verified.into_index()),
                refused: Arc::new(refused),
                expected_files: Arc::new(demands),
                confirmed_at: fresh.confirmed_at,
                removed_at: fresh.removed_at,
                carried: fresh.carried,
                source,
                validators: fresh.validators,
            }))
        };
        shared.blocking(move |_| make()).await??
    };
    let was_sent = before.is_some_and(|before| before.own.as_ref().is_some_and(Payload::is_signed));
    if let (Some(own), true) = (&made.own, was_sent) {
        cache.gate.sign(resource, own).await?;
    }
    Ok(made)
}

/// The payload that we sign: a verified payload, edited by the gate. `digest` is that of the verified payload.
fn own(
    cache: &RegistryCache,
    resource: &RegistryResource,
    verified: &Verified,
    digest: Sha256,
    refused: &RefusedReleases,
) -> Result<Payload, CacheError> {
    let shown = cache.gate.edit_for_clients(resource, verified.payload(), refused).map_err(CacheError::untrusted)?;
    Ok(match shown {
        Cow::Borrowed(_) => Payload::verified(verified, digest),
        Cow::Owned(less) => Payload::new(less),
    })
}

/// Stores the upstream's bytes, then their record. Returns the reason if there was no room: the resource can be served
/// all the same.
pub(super) fn store(
    cache: &RegistryCache,
    store: &Store,
    resource: &RegistryResource,
    bytes: &[u8],
    record: &RegistryRecord,
) -> Result<Option<BypassReason>, CacheError> {
    let slot = cache.slot(Area::Registry, resource)?;
    match store.slots.write(&slot, bytes) {
        Ok(()) => {
            put_record(store, &slot.record_key(), record);
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(%slot, error = &error as &dyn std::error::Error, "a resource is served without being stored");
            let reason = if error.is_over_limit() { BypassReason::NoRoom } else { BypassReason::DiskFull };
            cache.shared.metrics.bypassed.get_or_create(&cache.reason_labels(reason.word())).inc();
            Ok(Some(reason))
        }
    }
}

/// Writes a freshness record. If it is lost, the upstream is asked once more after a restart.
pub(super) fn put_record(store: &Store, key: &str, value: &RegistryRecord) {
    if let Err(error) = record::put(&*store.index, key, value) {
        tracing::warn!(%error, key, "a record of the cache index could not be written");
    }
}

fn forget_record(store: &Store, key: &str) {
    if let Err(error) = store.index.remove(Tree::Registry, key) {
        tracing::warn!(%error, key, "a record of the cache index could not be removed");
    }
}

pub(super) fn purge(cache: &RegistryCache, resource: Option<&RegistryResource>) -> Result<usize, CacheError> {
    let store = &cache.shared.store;
    let resources = match resource {
        Some(resource) => vec![resource.clone()],
        None => all(cache)?,
    };
    let mut removed = 0;
    for resource in &resources {
        for area in [Area::Registry, Area::Sealed] {
            let slot = cache.slot(area, resource)?;
            let there = store.slots.remove(&slot).map_err(CacheError::internal)?;
            removed += usize::from(there && area == Area::Registry);
        }
        let key = cache.slot(Area::Registry, resource)?.record_key();
        forget_record(store, &key);
        cache.shared.memory.remove_resource(cache.owner, resource);
        cache.through.forget(resource);
    }
    if resource.is_none() {
        cache.through.forget_all();
    }
    Ok(removed)
}

/// Every stored resource of this repository. Blocks.
pub(super) fn all(cache: &RegistryCache) -> Result<Vec<RegistryResource>, CacheError> {
    let (slots, _) = cache.shared.store.slots.walk(Area::Registry).map_err(CacheError::internal)?;
    let prefix = format!("{}/", cache.options.key);
    Ok(slots.iter().filter_map(|slot| RegistryResource::of_path(slot.record_key().strip_prefix(&prefix)?)).collect())
}

/// The stored resource, if it is undamaged. Blocks.
pub(super) fn on_disk(cache: &RegistryCache, resource: &RegistryResource) -> Result<Option<Verified>, CacheError> {
    let slot = cache.slot(Area::Registry, resource)?;
    let content = cache.shared.store.slots.read(&slot, limits::ENVELOPE as u64).map_err(CacheError::internal)?;
    Ok(content.and_then(|content| prove(cache, resource, content.bytes).ok()))
}

/// Verifies every stored resource again, and reports whether it is undamaged. With `repair` damaged ones are removed.
pub(super) fn scrub(cache: &RegistryCache, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
    for resource in all(cache)? {
        let sound = on_disk(cache, &resource)?.is_some();
        if !sound && repair {
            purge(cache, Some(&resource))?;
        }
        seen(format!("{}/{resource}", cache.options.key), sound);
    }
    Ok(())
}
