//! The one signer.

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
    /// More than any client would be given.
    #[error("a payload has at most {max} bytes, this one has {length}; it was not signed")]
    TooLarge { length: usize, max: usize },
    /// The cryptographic library failed.
    #[error("the payload could not be signed with key {key}")]
    Rsa {
        key: Fingerprint,
        #[source]
        source: aws_lc_rs::error::Unspecified,
    },
    /// What is to be sealed again is no sealed resource.
    #[error("what was sealed before cannot be opened")]
    Envelope(#[from] EnvelopeError),
    /// It is one, of another key than was said.
    #[error("what was sealed before is not signed with key {0}")]
    Foreign(Fingerprint),
}

/// Signs payloads with one private key.
pub struct Signer {
    pair: KeyPair,
    public: PublicKey,
    encoder: Encoder,
}

impl Signer {
    /// A signer that holds `key`.
    pub fn new(key: &PrivateKey) -> Result<Self, KeyError> {
        Self::with_encoder(key, Encoder::default())
    }

    /// A signer that holds `key` and shares the memory of `encoder`: what is sealed with several keys is compressed once.
    pub fn with_encoder(key: &PrivateKey, encoder: Encoder) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8(key.pkcs8_der()).map_err(KeyError::Rejected)?;
        Ok(Self { pair, public: key.public().clone(), encoder })
    }

    /// The fingerprint of the key.
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// The key that clients verify with.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `payload` and wraps it in its envelope.
    ///
    /// The result is a function of payload, key and [`ENCODER_ID`](super::ENCODER_ID): no time and no randomness goes in.
    /// Takes a millisecond or two, and for an index of hex.pm's size tens of them, a tenth where it was sealed before a
    /// small change: not for an async task.
    pub fn seal(&self, payload: &[u8]) -> Result<SignedResource, SignError> {
        if payload.len() > limits::BULK_PAYLOAD {
            return Err(SignError::TooLarge { length: payload.len(), max: limits::BULK_PAYLOAD });
        }
        let signature = self.sign(payload)?;
        // The message `Signed`, around the payload.
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        push_varint(&mut head, (1 << 3) | 2);
        push_varint(&mut head, payload.len() as u64);
        push_bytes(&mut tail, 2, &signature);
        Ok(SignedResource::new(self.encoder.gzip(&head, payload, &tail).into()))
    }

    /// A signature over the SHA-512 digest of `message` (RSA PKCS#1 v1.5), always the same for one message and key.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // PKCS#1 v1.5 takes no randomness; the argument is there for the other paddings.
        self.pair
            .sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature)
            .map_err(|source| SignError::Rsa { key: self.fingerprint().clone(), source })?;
        Ok(signature)
    }

    /// Seals with this key what is sealed with another key of ours, `by`: the same payload under another signature.
    ///
    /// # Errors
    ///
    /// Also where `sealed` is not signed with `by`: this is no way to vouch for what others have signed.
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
