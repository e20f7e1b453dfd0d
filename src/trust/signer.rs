//! The one signer. May import `hex`.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use flate2::Crc;
use miniz_oxide::deflate::compress_to_vec;

use super::key::PrivateKey;
use super::pem::KeyError;
use super::public_key::{Fingerprint, PublicKey};
use super::signed::SignedResource;
use crate::hex::limits;
use crate::hex::wire::push_bytes;

/// Names the encoder that made the sealed bytes. A cache of sealed resources keeps it in its key: another encoder makes
/// other bytes, and with them other ETags, of the same payload.
pub const ENCODER_ID: &str = "gzip-miniz_oxide-0.9.1-level-6";

const LEVEL: u8 = 6;

/// RFC 1952: deflate, no flags, no time, no hint, an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

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
}

/// Signs payloads with one private key.
pub struct Signer {
    pair: KeyPair,
    public: PublicKey,
}

impl Signer {
    /// A signer that holds `key`.
    pub fn new(key: &PrivateKey) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8(key.pkcs8_der()).map_err(KeyError::Rejected)?;
        Ok(Self { pair, public: key.public().clone() })
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
    /// The result is a function of payload, key and [`ENCODER_ID`]: no time and no randomness goes in. Takes a
    /// millisecond or two, and for hex.pm's `versions` tens of them: not for an async task.
    pub fn seal(&self, payload: &[u8]) -> Result<SignedResource, SignError> {
        if payload.len() > limits::BULK_PAYLOAD {
            return Err(SignError::TooLarge { length: payload.len(), max: limits::BULK_PAYLOAD });
        }
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // PKCS#1 v1.5 takes no randomness; the argument is there for the other paddings.
        self.pair
            .sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), payload, &mut signature)
            .map_err(|source| SignError::Rsa { key: self.fingerprint().clone(), source })?;

        let mut signed = Vec::with_capacity(payload.len() + signature.len() + 16);
        push_bytes(&mut signed, 1, payload);
        push_bytes(&mut signed, 2, &signature);
        Ok(SignedResource::new(gzip(&signed).into()))
    }
}

/// One gzip member, made by `miniz_oxide` itself and not by `flate2`, whose encoder is whichever one any crate of the
/// build asked for.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let deflated = compress_to_vec(bytes, LEVEL);
    let mut checksum = Crc::new();
    checksum.update(bytes);
    let mut out = Vec::with_capacity(deflated.len() + GZIP_HEADER.len() + 8);
    out.extend_from_slice(&GZIP_HEADER);
    out.extend_from_slice(&deflated);
    out.extend_from_slice(&checksum.sum().to_le_bytes());
    // The length modulo 2^32, which is what `amount` counts.
    out.extend_from_slice(&checksum.amount().to_le_bytes());
    out
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests;
