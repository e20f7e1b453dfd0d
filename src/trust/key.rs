//! Private RSA keys: generating, reading and writing them.
//!
//! The `rsa` crate generates keys and reads and writes their file formats. It never signs with them, because its
//! private-key operations leak timing (RUSTSEC-2023-0071). Signing uses `aws-lc-rs`, in `signer`.

use std::fmt;

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{self, EncodeRsaPrivateKey};
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::{LineEnding, PrivateKeyInfo, SecretDocument};

use super::pem::{KeyError, single_entry};
use super::public_key::PublicKey;
use crate::hex::limits;
use crate::secret::Secret;

const PKCS8: &str = "PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";

/// A private RSA key that was checked to be usable. It is wiped from memory when dropped, and `Debug` does not print
/// it.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: SecretDocument,
    public: PublicKey,
}

impl PrivateKey {
    /// Generates a new key of `bits` bits (2048 to 8192). This takes from a tenth of a second to minutes, so do not
    /// call it in an async task.
    pub fn generate(bits: usize) -> Result<Self, KeyError> {
        if !(limits::RSA_MIN_BITS..=limits::RSA_MAX_BITS).contains(&bits) {
            return Err(KeyError::Bits { bits });
        }
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).map_err(KeyError::Generate)?;
        let der = key.to_pkcs1_der().map_err(|_| KeyError::Generate(rsa::Error::Internal))?;
        Self::from_pkcs1_der(der.as_bytes())
    }

    /// Reads a PEM text with one unencrypted entry: PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = single_entry(text, PKCS8)?;
        // From here on, the bytes are wiped when they are dropped.
        let der = SecretDocument::try_from(der).map_err(KeyError::Der)?;
        match label {
            PKCS8 => {
                let info = PrivateKeyInfo::from_der(der.as_bytes()).map_err(KeyError::Der)?;
                if info.algorithm.oid != pkcs1::ALGORITHM_OID {
                    return Err(KeyError::NotRsa);
                }
                Self::from_pkcs1_der(info.private_key)
            }
            PKCS1 => Self::from_pkcs1_der(der.as_bytes()),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::PublicKeyGiven),
            "EC PRIVATE KEY" => Err(KeyError::NotRsa),
            other => Err(KeyError::Label { found: other.into(), expected: PKCS8 }),
        }
    }

    /// Reads an `RSAPrivateKey` (RFC 8017, A.1.2), and checks that its numbers form a valid key.
    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        pkcs1::RsaPrivateKey::from_der(der).map_err(KeyError::Der)?;
        let pair = KeyPair::from_der(der).map_err(KeyError::Rejected)?;
        let public = PublicKey::from_pkcs1_der(pair.public_key().as_ref())?;
        let info = PrivateKeyInfo::new(pkcs1::ALGORITHM_ID, der);
        Ok(Self { pkcs8: SecretDocument::encode_msg(&info).map_err(KeyError::Der)?, public })
    }

    /// The key as PKCS#8 PEM. Write it only to a file that nobody but its owner may read.
    pub fn to_pem(&self) -> Result<Secret, KeyError> {
        let text = self.pkcs8.to_pem(PKCS8, LineEnding::LF).map_err(KeyError::Der)?;
        Ok(Secret::new(text.as_str()))
    }

    /// The key as PKCS#8, for the signer.
    pub(super) fn pkcs8_der(&self) -> &[u8] {
        self.pkcs8.as_bytes()
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, [redacted])", self.public.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::DecodePrivateKey;

    use super::*;

    const PRIVATE: &str = include_str!("testdata/test-only-key.pem");

    #[test]
    fn both_formats_are_read_and_pkcs8_is_written() {
        let key = PrivateKey::from_pem(PRIVATE).unwrap();
        assert_eq!(key.to_pem().unwrap().expose(), PRIVATE);
        let pkcs1 = RsaPrivateKey::from_pkcs8_pem(PRIVATE).unwrap().to_pkcs1_pem(LineEnding::LF).unwrap();
        assert_eq!(PrivateKey::from_pem(&pkcs1).unwrap().to_pem().unwrap().expose(), PRIVATE);
        assert_eq!(format!("{key:?}"), format!("PrivateKey({}, [redacted])", key.public().fingerprint()));
    }

    #[test]
    fn a_generated_key_is_written_and_read() {
        let key = PrivateKey::generate(2048).unwrap();
        let again = PrivateKey::from_pem(key.to_pem().unwrap().expose()).unwrap();
        assert_eq!(key.public(), again.public());
        assert!(matches!(PrivateKey::generate(1024), Err(KeyError::Bits { bits: 1024 })));
        assert!(matches!(PrivateKey::generate(16384), Err(KeyError::Bits { .. })));
    }

    #[test]
    fn what_cannot_sign_is_refused_by_name() {
        let refusal = |text: &str| PrivateKey::from_pem(text).unwrap_err();
        assert!(matches!(refusal(include_str!("hexpm.pem")), KeyError::PublicKeyGiven));
        assert!(matches!(refusal(&PRIVATE.replace(PKCS8, "ENCRYPTED PRIVATE KEY")), KeyError::Encrypted));
        assert!(matches!(refusal(&PRIVATE.replace(PKCS8, "EC PRIVATE KEY")), KeyError::NotRsa));
        assert!(matches!(
            refusal("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----"),
            KeyError::Encrypted
        ));
        assert!(matches!(refusal("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"), KeyError::Der(_)));
        // With one number changed, it is still valid DER, but not a valid key.
        let der = SecretDocument::from_pem(PRIVATE).unwrap().1;
        let mut bytes = der.as_bytes().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let damaged = SecretDocument::try_from(bytes).unwrap().to_pem(PKCS8, LineEnding::LF).unwrap();
        assert!(matches!(refusal(&damaged), KeyError::Rejected(_)));
    }
}
