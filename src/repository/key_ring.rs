//! The signing keys of the server, and what is seen under those that do not sign.
//!
//! Clients hold one key for a repository, so keys are changed at two addresses: what the active key signs is at the usual
//! one, and below `/keys/ID` the same is signed with the key ID until it leaves the configuration. Repositories know
//! nothing of it: what they seal with the active key is sealed again, on demand, and remembered.

use std::sync::Arc;

use moka::sync::Cache;

use super::error::RepoError;
use crate::cache::CacheError;
use crate::hex::checksum::Sha256;
use crate::shutdown;
use crate::trust::{Fingerprint, PublicKey, SignedResource, Signer};

/// Memory for what was sealed again.
const MEMORY: u64 = 32 * 1024 * 1024;

/// The keys by id, the active one first.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<(String, Arc<Signer>)>,
    /// By the key, and the digest of what the active key has sealed.
    sealed: Cache<(Fingerprint, Sha256), SignedResource>,
}

/// A key of the ring.
#[derive(Clone, Debug)]
pub struct RingKey {
    active: Arc<Signer>,
    signer: Arc<Signer>,
    sealed: Cache<(Fingerprint, Sha256), SignedResource>,
}

impl KeyRing {
    /// A ring of `keys`, the active one first; an empty one where no repository is signed here.
    pub fn new(keys: Vec<(String, Arc<Signer>)>) -> Self {
        let sealed = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(|_, sealed: &SignedResource| u32::try_from(sealed.body().len()).unwrap_or(u32::MAX))
            .build();
        Self { keys, sealed }
    }

    /// The key with this id.
    pub fn get(&self, id: &str) -> Option<RingKey> {
        let (_, active) = self.keys.first()?;
        let (_, signer) = self.keys.iter().find(|(known, _)| known == id)?;
        Some(RingKey { active: Arc::clone(active), signer: Arc::clone(signer), sealed: self.sealed.clone() })
    }
}

impl RingKey {
    /// What clients verify with.
    pub fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    /// What the active key has sealed, sealed with this one. Cancel safe.
    pub async fn sealed(&self, resource: SignedResource) -> Result<SignedResource, RepoError> {
        if self.signer.fingerprint() == self.active.fingerprint() {
            return Ok(resource);
        }
        let memo = (self.signer.fingerprint().clone(), *resource.digest());
        if let Some(sealed) = self.sealed.get(&memo) {
            return Ok(sealed);
        }
        let key = self.clone();
        let sealed = shutdown::blocking(move || {
            // Whoever asks meanwhile waits for this one.
            let again = || key.signer.seal_again(&resource, key.active.public_key()).map_err(CacheError::internal);
            key.sealed.try_get_with(memo, again)
        });
        let sealed = sealed.await.map_err(CacheError::from)?;
        Ok(sealed.map_err(|error| (*error).clone())?)
    }
}
