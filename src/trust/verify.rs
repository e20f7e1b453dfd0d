//! Verifies the signatures and the contents of registry resources. All verification of the program happens here.

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

/// The requested repository and resource, which the payload must be about.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The repository's name inside payloads.
    pub repository: &'a RepoName,
    /// The resource that was fetched.
    pub resource: &'a RegistryResource,
}

/// Why an envelope is rejected. Checks are made in the order of the variants; the first failure is reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No public key of the repository matches the signature.
    #[error("the signature of {resource} does not match any public key of the repository \"{repository}\"")]
    Signature { repository: RepoName, resource: RegistryResource },
    /// The payload is signed, but is not a valid resource of this kind.
    #[error("the signed payload of {resource} is malformed")]
    Schema {
        resource: RegistryResource,
        #[source]
        source: SchemaError,
    },
    /// The payload is signed, but is from another repository.
    #[error(
        "the signed payload is from the repository {found:?}, but {expected:?} was requested; check the name of the repository"
    )]
    Repository { expected: RepoName, found: Box<str> },
    /// The payload is signed, but is about another package or policy.
    #[error("the signed payload is about {found:?}, but {expected:?} was requested")]
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

/// A verified registry resource: signed by a key of its repository, and the one that was requested.
pub struct Verified {
    gzip: Bytes,
    payload: Bytes,
    index: Index,
    key: Fingerprint,
    passed: OnceLock<SignedResource>,
}

impl Verified {
    /// The decoded resource.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The signed payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The bytes of the envelope, as received.
    pub fn gzip(&self) -> &Bytes {
        &self.gzip
    }

    /// The key that signed it.
    pub fn key(&self) -> &Fingerprint {
        &self.key
    }

    /// The resource as received, to be sent to clients. It is hashed once, on the first call.
    pub fn pass_through(&self) -> SignedResource {
        self.passed.get_or_init(|| SignedResource::new(self.gzip.clone())).clone()
    }

    /// The decoded resource; the bytes are dropped.
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

/// Checks the signature, the schema, the repository and the name, in this order. Unsigned bytes are not parsed beyond
/// their envelope.
///
/// This takes less than a millisecond for a large package and about ten milliseconds for hex.pm's `versions`, which
/// must therefore not be verified in an async task.
pub fn verify(envelope: Envelope, keys: &[PublicKey], origin: &Origin<'_>) -> Result<Verified, VerifyError> {
    let Origin { repository, resource } = *origin;
    let Envelope { gzip, payload, signature } = envelope;

    // The payload is hashed once for all keys.
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

/// Whether `signature` is a signature of the SHA-512 digest of `message` (RSA PKCS#1 v1.5) by one of `keys`. The lists
/// of installers are signed in this way, in a separate file.
pub fn is_signed(message: &[u8], signature: &[u8], keys: &[PublicKey]) -> bool {
    let hash = digest(&SHA512, message);
    keys.iter().any(|key| key.parsed().verify_digest_sig(&hash, signature).is_ok())
}

#[cfg(test)]
mod tests;
