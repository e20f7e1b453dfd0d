//! The signing keys of the server, and the resources signed with keys other than the active one.
//!
//! A client has one key for a repository. To change the key, there are two addresses: the usual one serves resources
//! signed with the active key, and `/keys/ID` serves the same resources signed with the key ID, until this key is
//! removed from the configuration. Repositories are not concerned: resources that they have signed with the active key
//! are signed again on demand, and cached.

use std::sync::Arc;

use moka::sync::Cache;

use super::error::RepoError;
use crate::cache::CacheError;
use crate::hex::checksum::Sha256;
use crate::shutdown;
use crate::trust::{Fingerprint, PublicKey, SignedResource, Signer};

/// Size of the resources that were signed again, in bytes.
const MEMORY: u64 = 32 * 1024 * 1024;

/// The keys by id, the active one first.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<(String, Arc<Signer>)>,
    /// By key, and by the digest of the resource that the active key has signed.
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
    /// A ring of `keys`, the active one first; empty if this server signs for no repository.
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
    /// The key with which clients verify.
    pub fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    /// Signs a resource with this key that the active key has signed. Cancel safe.
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
            // Concurrent callers wait for this one.
            let again = || key.signer.seal_again(&resource, key.active.public_key()).map_err(CacheError::internal);
            key.sealed.try_get_with(memo, again)
        });
        let sealed = sealed.await.map_err(CacheError::from)?;
        Ok(sealed.map_err(|error| (*error).clone())?)
    }
}
