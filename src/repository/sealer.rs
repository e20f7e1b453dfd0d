//! Signs the resources that repositories send. This is the only place where a payload gets our signature.
//!
//! Stages pass payloads on. The last one, which sends the resource, uses the [`Sealer`] of its repository. Its [`Seal`]
//! is a stack: [`Memoised`] stores signed resources on disk, [`LocalKey`] signs.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::cache::payload::Payload;
use crate::cache::record::{self, SealedRecord};
use crate::cache::{CacheError, SharedCaches};
use crate::hex::checksum::{Hasher, Sha256};
use crate::hex::envelope::Envelope;
use crate::hex::limits;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::store::Store;
use crate::store::slots::{Area, Slot};
use crate::telemetry::metrics::RepositoryLabels;
use crate::trust::{ENCODER_ID, Origin, PublicKey, SignedResource, Signer, verify};

/// Which form of a resource is signed. Signed resources are stored separately for each form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// What the repository shows to callers who may see all of it.
    Whole,
    /// What callers with this scope see.
    Part(&'a str),
    /// What is not stored on disk.
    Passing,
}

/// Turns payloads into signed resources.
pub trait Seal: Send + Sync + fmt::Debug {
    /// The key that clients verify with.
    fn public_key(&self) -> &PublicKey;

    /// Signs a payload whose content is that of `origin`. Blocking work is done on the blocking pool.
    fn seal<'a>(
        &'a self,
        origin: Origin<'a>,
        scope: Scope<'a>,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<SignedResource, CacheError>>;
}

/// Signs with a key in this process.
#[derive(Debug)]
pub struct LocalKey {
    signer: Arc<Signer>,
    shared: SharedCaches,
}

impl LocalKey {
    /// Signs with the key of `signer`.
    pub fn new(signer: Arc<Signer>, shared: SharedCaches) -> Self {
        Self { signer, shared }
    }
}

impl Seal for LocalKey {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn seal<'a>(
        &'a self,
        _origin: Origin<'a>,
        _scope: Scope<'a>,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<SignedResource, CacheError>> {
        let signer = Arc::clone(&self.signer);
        Box::pin(async move {
            let sealed = self.shared.blocking(move |_| signer.seal(&payload)).await?;
            sealed.map_err(CacheError::internal)
        })
    }
}

/// Stores the results of another `Seal` on disk: for each payload, key, encoder and slot only one signature is made.
#[derive(Debug)]
pub struct Memoised<S> {
    inner: S,
    shared: SharedCaches,
    /// The repository that the resources belong to.
    key: RepoName,
}

impl<S: Seal> Memoised<S> {
    /// Stores the results of `inner` for the repository with this key.
    pub fn new(inner: S, shared: SharedCaches, key: RepoName) -> Self {
        Self { inner, shared, key }
    }

    /// The slot for this form of a resource.
    fn slot(&self, resource: &RegistryResource, scope: Scope<'_>) -> Result<Option<Slot>, CacheError> {
        let folder = match scope {
            Scope::Passing => return Ok(None),
            Scope::Whole => self.key.to_string(),
            // Keys contain no `+`, so no other repository has a folder of this name.
            Scope::Part(scope) => {
                let scope = Sha256::of(scope.as_bytes()).to_string();
                format!("{}+{}", self.key, scope.get(..16).unwrap_or(&scope))
            }
        };
        let slot = Slot::new(Area::Sealed, &folder, &resource.path());
        slot.map(Some).map_err(CacheError::internal)
    }
}

impl<S: Seal> Seal for Memoised<S> {
    fn public_key(&self) -> &PublicKey {
        self.inner.public_key()
    }

    fn seal<'a>(
        &'a self,
        origin: Origin<'a>,
        scope: Scope<'a>,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<SignedResource, CacheError>> {
        Box::pin(async move {
            let Some(slot) = self.slot(origin.resource, scope)? else {
                return self.inner.seal(origin, scope, payload).await;
            };
            let (repository, resource) = (origin.repository.clone(), origin.resource.clone());
            let (key, wanted) = (self.public_key().clone(), payload.clone());
            let look = move |store: &Store| {
                let memo = Memo { slot, derived_from: derived_from(&key, &wanted) };
                let origin = Origin { repository: &repository, resource: &resource };
                let kept = memo.find(store, &origin, &key, &wanted);
                (memo, kept)
            };
            let memo = match self.shared.blocking(look).await? {
                (_, Some(kept)) => return Ok(kept),
                (memo, None) => memo,
            };
            let sealed = self.inner.seal(origin, scope, payload).await?;
            let keep = sealed.clone();
            self.shared.blocking(move |store| memo.keep(store, &keep)).await?;
            let labels = RepositoryLabels { repository: self.key.as_str().into() };
            self.shared.metrics.sealed.get_or_create(&labels).inc();
            Ok(sealed)
        })
    }
}

/// A slot on disk, and the digest of everything that its content depends on.
#[derive(Debug)]
struct Memo {
    slot: Slot,
    derived_from: String,
}

impl Memo {
    /// The stored resource for the same payload, key and encoder, if it is undamaged. Blocks.
    fn find(&self, store: &Store, origin: &Origin<'_>, key: &PublicKey, payload: &Bytes) -> Option<SignedResource> {
        let record: SealedRecord = record::get(&*store.index, &self.slot.record_key())?;
        if record.derived_from != self.derived_from {
            return None;
        }
        let content = store.slots.read(&self.slot, limits::ENVELOPE as u64).ok()??;
        let envelope = Envelope::open(content.bytes, origin.resource.max_payload()).ok()?;
        if envelope.payload != *payload {
            return None;
        }
        Some(verify(envelope, std::slice::from_ref(key), origin).ok()?.pass_through())
    }

    /// Stores a signed resource. Blocks.
    fn keep(self, store: &Store, sealed: &SignedResource) {
        let Self { slot, derived_from } = self;
        let record = SealedRecord { derived_from };
        let written = store.slots.write(&slot, sealed.body());
        if !written.is_ok_and(|()| record::put(&*store.index, &slot.record_key(), &record).is_ok()) {
            // If this fails, it is signed again after a restart.
            tracing::debug!(%slot, "a signed resource could not be stored on disk");
        }
    }
}

/// Digest of everything that signed bytes depend on.
fn derived_from(key: &PublicKey, payload: &[u8]) -> String {
    let mut hasher = Hasher::new();
    for part in [key.fingerprint().as_str().as_bytes(), ENCODER_ID.as_bytes(), payload] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish().to_string()
}

/// Signs the resources that one repository sends. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealer {
    seal: Arc<dyn Seal>,
    shared: SharedCaches,
    /// The name inside payloads.
    repository: RepoName,
}

impl Sealer {
    /// Creates the sealer of the repository `key`, whose name inside payloads is `name`, with the key of `signer`.
    pub fn new(signer: Arc<Signer>, shared: SharedCaches, key: RepoName, name: RepoName) -> Self {
        let seal = Memoised::new(LocalKey::new(signer, shared.clone()), shared.clone(), key);
        Self { seal: Arc::new(seal), shared, repository: name }
    }

    /// The key that clients verify with.
    pub fn public_key(&self) -> &PublicKey {
        self.seal.public_key()
    }

    /// The signed form of a payload. Only one signature is made for it, however many callers request it.
    pub async fn signed(
        &self,
        resource: &RegistryResource,
        scope: Scope<'_>,
        payload: &Payload,
    ) -> Result<SignedResource, CacheError> {
        match payload.signed() {
            Some(signed) => Ok(signed),
            // Boxed because it is rare: otherwise each request would reserve memory for it.
            None => Box::pin(self.sign(resource, scope, payload)).await,
        }
    }

    async fn sign(
        &self,
        resource: &RegistryResource,
        scope: Scope<'_>,
        payload: &Payload,
    ) -> Result<SignedResource, CacheError> {
        let sign = async || {
            let bytes = match payload.plain() {
                Some(bytes) => bytes,
                None => {
                    let payload = payload.clone();
                    self.shared.blocking(move |_| payload.bytes()).await??
                }
            };
            let origin = Origin { repository: &self.repository, resource };
            self.seal.seal(origin, scope, bytes).await
        };
        payload.signed_once(sign).await
    }
}

/// Verifies every resource that was signed for the repository `key`, in every scope, and reports to `seen` whether it
/// is undamaged: complete, and signed by the key in its record. It may belong to an older payload, or to a key that is
/// no longer configured: then it is unused, and replaced by the next signature. With `repair` damaged ones are removed.
/// Blocks.
pub fn scrub(
    store: &Store,
    (key, name): (&RepoName, &RepoName),
    sealer: Option<&Sealer>,
    repair: bool,
    seen: &mut dyn FnMut(String, bool),
) -> Result<(), CacheError> {
    let (slots, _) = store.slots_found(Area::Sealed).map_err(CacheError::internal)?;
    for slot in slots {
        // The folder of a part has its scope after a `+`, which keys do not contain.
        let folder = slot.repository();
        if folder.split_once('+').map_or(folder, |(key, _)| key) != key.as_str() {
            continue;
        }
        let Some(resource) = RegistryResource::of_path(slot.path()) else { continue };
        let origin = Origin { repository: name, resource: &resource };
        let sound = is_sound(store, sealer.map(Sealer::public_key), &slot, &origin)?;
        if !sound && repair {
            store.slots.remove(&slot).map_err(CacheError::internal)?;
        }
        seen(slot.to_string(), sound);
    }
    Ok(())
}

fn is_sound(store: &Store, key: Option<&PublicKey>, slot: &Slot, origin: &Origin<'_>) -> Result<bool, CacheError> {
    let content = store.slots.read(slot, limits::ENVELOPE as u64).map_err(CacheError::internal)?;
    // It was removed after it was listed.
    let Some(content) = content else { return Ok(true) };
    let Ok(envelope) = Envelope::open(content.bytes, origin.resource.max_payload()) else { return Ok(false) };
    let record: Option<SealedRecord> = record::get(&*store.index, &slot.record_key());
    let is_of = |key: &&PublicKey| {
        record.as_ref().is_some_and(|record| record.derived_from == derived_from(key, &envelope.payload))
    };
    let Some(key) = key.filter(is_of) else { return Ok(true) };
    Ok(verify(envelope, std::slice::from_ref(key), origin).is_ok())
}

#[cfg(test)]
mod tests;
