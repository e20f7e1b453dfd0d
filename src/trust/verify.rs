//! The one verifier.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA512, digest};
use bytes::Bytes;

use super::public_key::{Fingerprint, PublicKey};
use super::signed::SignedResource;
use crate::hex::envelope::Envelope;
use crate::hex::index::{Index, SchemaError};
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;

/// What was asked for, and of whom: what the payload must say about itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The repository's name inside payloads.
    pub repository: &'a RepoName,
    /// The resource that was fetched.
    pub resource: &'a RegistryResource,
}

/// Why an envelope is not what was asked for. The first thing that is wrong, in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// None of the repository's keys made this signature.
    #[error("the signature of {resource} is not by any public key of the repository {repository}")]
    Signature { repository: RepoName, resource: RegistryResource },
    /// Signed, but not a resource of this kind.
    #[error("the signed payload of {resource} is malformed")]
    Schema {
        resource: RegistryResource,
        #[source]
        source: SchemaError,
    },
    /// Signed for another repository.
    #[error(
        "the signed payload belongs to the repository {found:?}, but {expected:?} was asked; check the repository's name"
    )]
    Repository { expected: RepoName, found: Box<str> },
    /// Signed for another package or policy.
    #[error("the signed payload is about {found:?}, but {expected:?} was asked for")]
    Name { expected: Box<str>, found: Box<str> },
}

impl VerifyError {
    /// A stable word for logs, metrics and headers.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Signature { .. } => "bad_signature",
            Self::Schema { .. } => "bad_schema",
            Self::Repository { .. } => "wrong_repository",
            Self::Name { .. } => "wrong_name",
        }
    }
}

/// A registry resource that is signed by a key of its repository and is what was asked for.
pub struct Verified {
    gzip: Bytes,
    payload: Bytes,
    index: Index,
    key: Fingerprint,
    passed: OnceLock<SignedResource>,
}

impl Verified {
    /// What the resource says.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The signed bytes.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The envelope's bytes as they came.
    pub fn gzip(&self) -> &Bytes {
        &self.gzip
    }

    /// The key that signed it.
    pub fn key(&self) -> &Fingerprint {
        &self.key
    }

    /// The resource as it came, to be sent on. Hashed once, however often it is asked for.
    pub fn pass_through(&self) -> SignedResource {
        self.passed.get_or_init(|| SignedResource::new(self.gzip.clone())).clone()
    }

    /// What the resource says, without its bytes.
    pub fn into_index(self) -> Index {
        self.index
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("repository", &self.index.repository())
            .field("name", &self.index.name())
            .field("payload", &self.payload.len())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Checks signature, schema, repository and name, in this order: nothing unsigned is parsed beyond its envelope.
///
/// Takes less than a millisecond for a large package and some ten milliseconds for hex.pm's `versions`: the latter is
/// not for an async task.
pub fn verify(envelope: Envelope, keys: &[PublicKey], origin: &Origin<'_>) -> Result<Verified, VerifyError> {
    let Origin { repository, resource } = *origin;
    let Envelope { gzip, payload, signature } = envelope;

    // Hashed once, whatever the number of keys.
    let hash = digest(&SHA512, &payload);
    let key = keys
        .iter()
        .find(|key| key.parsed().verify_digest_sig(&hash, &signature).is_ok())
        .ok_or_else(|| VerifyError::Signature { repository: repository.clone(), resource: resource.clone() })?;
    let index = Index::decode(resource, &payload)
        .map_err(|source| VerifyError::Schema { resource: resource.clone(), source })?;
    if index.repository() != repository.as_str() {
        let found = index.repository().into();
        return Err(VerifyError::Repository { expected: repository.clone(), found });
    }
    match (resource.name(), index.name()) {
        (Some(expected), Some(found)) if expected != found => {
            return Err(VerifyError::Name { expected: expected.into(), found: found.into() });
        }
        _ => {}
    }
    Ok(Verified { gzip, payload, index, key: key.fingerprint().clone(), passed: OnceLock::new() })
}

/// Whether `signature` is of one of `keys` over the SHA-512 digest of `message` (RSA PKCS#1 v1.5): how lists of installers
/// are signed, in a file beside them.
pub fn is_signed(message: &[u8], signature: &[u8], keys: &[PublicKey]) -> bool {
    let hash = digest(&SHA512, message);
    keys.iter().any(|key| key.parsed().verify_digest_sig(&hash, signature).is_ok())
}

#[cfg(test)]
mod tests;
