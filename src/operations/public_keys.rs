//! The public keys with which clients verify a repository.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::OperationError;
use super::operator::Operator;
use super::setup::Setup;
use crate::shutdown;

/// A public key of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Id in the configuration; `upstream` for a key of the upstream.
    pub id: String,
    /// The key as SPKI PEM.
    pub pem: String,
    /// Fingerprint, as `SHA256:…`.
    pub fingerprint: String,
}

/// The id of a key of the upstream.
const UPSTREAM: &str = "upstream";

impl Key {
    /// Whether the key belongs to the upstream, not to this server.
    pub fn is_upstreams(&self) -> bool {
        self.id == UPSTREAM
    }
}

impl Operator {
    /// The public keys of a repository, the one that signs first.
    pub async fn public_keys(&self, repository: &str) -> Result<Vec<Key>, OperationError> {
        let setup = self.setup();
        let managed = setup.managed(repository)?;
        let upstream = managed.upstream_keys.iter().map(|key| Key {
            id: UPSTREAM.to_owned(),
            pem: key.to_spki_pem().to_owned(),
            fingerprint: key.fingerprint().to_string(),
        });
        let upstream: Vec<Key> = upstream.collect();
        // At /repos/KEY a repository acts as an organization of the default repository, and has the same signature.
        let default = setup.managed(setup.default_repository.as_str())?;
        let ours_first = managed.is_signed_here || default.is_signed_here;
        let never_upstream = managed.is_signed_here;
        if !managed.can_be_signed {
            return Ok(upstream);
        }
        let own = self.own_keys(Arc::clone(&setup)).await?;
        Ok(match (ours_first, never_upstream) {
            (_, true) => own,
            (true, false) => own.into_iter().chain(upstream).collect(),
            (false, false) => upstream.into_iter().chain(own).collect(),
        })
    }

    async fn own_keys(&self, setup: Arc<Setup>) -> Result<Vec<Key>, OperationError> {
        let store = Arc::clone(&self.shared.store);
        let signers = shutdown::blocking(move || setup.signing_keys.all(&store)).await??;
        let key = |(id, signer): (String, Arc<crate::trust::Signer>)| Key {
            id,
            pem: signer.public_key().to_spki_pem().to_owned(),
            fingerprint: signer.fingerprint().to_string(),
        };
        Ok(signers.into_iter().map(key).collect())
    }
}
