//! Signs payloads and wraps them in envelopes. All signatures of the program are made here.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA512;

use super::encoder::Encoder;
use super::key::PrivateKey;
use super::pem::KeyError;
use super::public_key::{Fingerprint, PublicKey};
use super::signed::SignedResource;
use super::verify::is_signed;
use crate::hex::envelope::{Envelope, EnvelopeError};
use crate::hex::limits;
use crate::hex::wire::{push_bytes, push_varint};

/// Why a payload could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The payload is larger than clients accept.
    #[error("the payload was not signed: it has {length} bytes, but at most {max} are allowed")]
    TooLarge { length: usize, max: usize },
    /// The cryptographic library failed.
    #[error("the payload could not be signed with key {key}")]
    Rsa {
        key: Fingerprint,
        #[source]
        source: aws_lc_rs::error::Unspecified,
    },
    /// The resource to be sealed again is not a valid envelope.
    #[error("the signed resource cannot be decoded")]
    Envelope(#[from] EnvelopeError),
    /// The resource to be sealed again is signed with another key than expected.
    #[error("the resource is not signed with key {0}")]
    Foreign(Fingerprint),
}

/// Signs payloads with one private key.
pub struct Signer {
    pair: KeyPair,
    public: PublicKey,
    encoder: Encoder,
}

impl Signer {
    /// Creates a signer for `key`.
    pub fn new(key: &PrivateKey) -> Result<Self, KeyError> {
        Self::with_encoder(key, Encoder::default())
    }

    /// Creates a signer for `key` that shares the cache of `encoder`, so that a payload that several keys seal is
    /// compressed once.
    pub fn with_encoder(key: &PrivateKey, encoder: Encoder) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8(key.pkcs8_der()).map_err(KeyError::Rejected)?;
        Ok(Self { pair, public: key.public().clone(), encoder })
    }

    /// The fingerprint of the key.
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// The public key, with which clients verify signatures.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `payload` and wraps it in its envelope.
    ///
    /// The result depends only on the payload, the key and [`ENCODER_ID`](super::ENCODER_ID), not on time or
    /// randomness. Sealing takes one or two milliseconds, and tens of milliseconds for an index as large as hex.pm's; a
    /// tenth of that if a similar payload was sealed before. Do not call it in an async task.
    pub fn seal(&self, payload: &[u8]) -> Result<SignedResource, SignError> {
        if payload.len() > limits::BULK_PAYLOAD {
            return Err(SignError::TooLarge { length: payload.len(), max: limits::BULK_PAYLOAD });
        }
        let signature = self.sign(payload)?;
        // The parts of the message `Signed` before and after the payload.
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        push_varint(&mut head, (1 << 3) | 2);
        push_varint(&mut head, payload.len() as u64);
        push_bytes(&mut tail, 2, &signature);
        Ok(SignedResource::new(self.encoder.gzip(&head, payload, &tail).into()))
    }

    /// Signs the SHA-512 digest of `message` (RSA PKCS#1 v1.5). The signature is always the same for one message and
    /// key.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // PKCS#1 v1.5 uses no randomness. Other paddings need this argument.
        self.pair
            .sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature)
            .map_err(|source| SignError::Rsa { key: self.fingerprint().clone(), source })?;
        Ok(signature)
    }

    /// Seals the payload of a resource again with this key. The resource is sealed with `by`, another key of this
    /// server.
    ///
    /// # Errors
    ///
    /// Also if `sealed` is not signed with `by`, so that resources of other registries cannot be signed this way.
    pub fn seal_again(&self, sealed: &SignedResource, by: &PublicKey) -> Result<SignedResource, SignError> {
        let envelope = Envelope::open(sealed.body().clone(), limits::BULK_PAYLOAD)?;
        if !is_signed(&envelope.payload, &envelope.signature, std::slice::from_ref(by)) {
            return Err(SignError::Foreign(by.fingerprint().clone()));
        }
        self.seal(&envelope.payload)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests;
