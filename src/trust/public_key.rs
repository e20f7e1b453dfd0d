//! Public RSA keys and their fingerprints.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rsa::pkcs1;
use rsa::pkcs8::der::asn1::BitStringRef;
use rsa::pkcs8::der::{Decode, Encode};
use rsa::pkcs8::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use rsa::pkcs8::{Document, LineEnding};

use super::pem::{KeyError, single_entry};
use crate::hex::checksum::Hasher;
use crate::hex::limits;

const SPKI: &str = "PUBLIC KEY";
const PKCS1: &str = "RSA PUBLIC KEY";

/// A public RSA key that Hex clients accept. Cheap to clone. Two keys are equal if modulus and exponent are.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    parsed: ParsedPublicKey,
    spki_pem: String,
    fingerprint: Fingerprint,
}

impl PublicKey {
    /// Reads a PEM text with one entry: SPKI (`PUBLIC KEY`) or PKCS#1 (`RSA PUBLIC KEY`). The key must have 2048 to
    /// 8192 bits.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = single_entry(text, SPKI)?;
        match label {
            SPKI => Self::from_spki_der(&der),
            PKCS1 => Self::from_pkcs1_der(&der),
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Err(KeyError::PrivateKeyGiven),
            other => Err(KeyError::Label { found: other.into(), expected: SPKI }),
        }
    }

    /// The key that signs the resources of `https://repo.hex.pm`.
    pub fn hexpm() -> Self {
        #[expect(clippy::expect_used, reason = "the text is compiled in and a test reads it")]
        static KEY: LazyLock<PublicKey> =
            LazyLock::new(|| PublicKey::from_pem(include_str!("hexpm.pem")).expect("hexpm.pem is a public key"));
        KEY.clone()
    }

    fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(KeyError::Der)?;
        if spki.algorithm.oid != pkcs1::ALGORITHM_OID {
            return Err(KeyError::NotRsa);
        }
        Self::from_pkcs1_der(spki.subject_public_key.raw_bytes())
    }

    /// Reads an `RSAPublicKey` (RFC 8017, A.1.1).
    pub(super) fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let numbers = pkcs1::RsaPublicKey::from_der(der).map_err(KeyError::Der)?;
        let (modulus, exponent) = (numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes());
        let bits = bit_length(modulus);
        if !(limits::RSA_MIN_BITS..=limits::RSA_MAX_BITS).contains(&bits) {
            return Err(KeyError::Bits { bits });
        }
        let normal = numbers.to_der().map_err(KeyError::Der)?;
        let spki = SubjectPublicKeyInfo {
            algorithm: pkcs1::ALGORITHM_ID,
            subject_public_key: BitStringRef::from_bytes(&normal).map_err(KeyError::Der)?,
        };
        let spki = Document::encode_msg(&spki).map_err(KeyError::Der)?;
        let spki_pem = spki.to_pem(SPKI, LineEnding::LF).map_err(KeyError::Der)?;
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, spki.as_bytes()).map_err(KeyError::Rejected)?;
        let fingerprint = Fingerprint::of(modulus, exponent);
        Ok(Self(Arc::new(Inner { parsed, spki_pem, fingerprint })))
    }

    /// The key as SPKI PEM, which every client reads, with a line break at the end.
    pub fn to_spki_pem(&self) -> &str {
        &self.0.spki_pem
    }

    /// The fingerprint, as `mix hex.repo add --fetch-public-key` expects it.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.0.fingerprint
    }

    pub(super) fn parsed(&self) -> &ParsedPublicKey {
        &self.0.parsed
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        // The SPKI form is the same for the same pair of numbers.
        self.0.spki_pem == other.0.spki_pem
    }
}

impl Eq for PublicKey {}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_pem(text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0.fingerprint)
    }
}

/// The number of bits of a big-endian number without leading zero bytes.
fn bit_length(bytes: &[u8]) -> usize {
    let unused = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (bytes.len() * 8).saturating_sub(unused)
}

/// The SHA-256 fingerprint of an RSA key in the format of OpenSSH: `SHA256:` and 43 characters of base64 without
/// padding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Arc<str>);

/// Why a text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key fingerprint consists of \"SHA256:\" and 43 characters of base64")]
pub struct FingerprintError;

impl Fingerprint {
    /// Hashes the public key in the format of RFC 4253, 6.6: the name of the algorithm, the exponent and the modulus,
    /// each after its length.
    fn of(modulus: &[u8], exponent: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        let mut field = |positive: bool, bytes: &[u8]| {
            // An mpint whose first bit is set would be negative. A leading zero byte makes it positive.
            let pad = positive && bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(u32::from(pad));
            hasher.update(&length.to_be_bytes());
            if pad {
                hasher.update(&[0]);
            }
            hasher.update(bytes);
        };
        field(false, b"ssh-rsa");
        field(true, exponent);
        field(true, modulus);
        Self(format!("SHA256:{}", STANDARD_NO_PAD.encode(hasher.finish().as_bytes())).into())
    }

    /// The text, prefix included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digest = text.strip_prefix("SHA256:").ok_or(FingerprintError)?;
        match STANDARD_NO_PAD.decode(digest) {
            Ok(digest) if digest.len() == 32 => Ok(Self(text.into())),
            _ => Err(FingerprintError),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rsa::RsaPublicKey;
    use rsa::pkcs1::EncodeRsaPublicKey;
    use rsa::pkcs8::DecodePublicKey;

    use super::*;
    use crate::trust::PrivateKey;

    const HEXPM: &str = include_str!("hexpm.pem");
    const PRIVATE: &str = include_str!("testdata/test-only-key.pem");

    #[test]
    fn the_built_in_key_is_hex_pms() {
        let key = PublicKey::hexpm();
        assert_eq!(key.fingerprint().as_str(), "SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk");
        assert_eq!(key.to_spki_pem().trim_end(), HEXPM.trim_end());
        assert_eq!(key.fingerprint().as_str().parse(), Ok(key.fingerprint().clone()));
    }

    #[test]
    fn pkcs1_comes_out_as_spki() {
        let pkcs1 = RsaPublicKey::from_public_key_pem(HEXPM).unwrap().to_pkcs1_pem(LineEnding::CRLF).unwrap();
        assert!(pkcs1.starts_with("-----BEGIN RSA PUBLIC KEY-----\r\n"));
        assert_eq!(PublicKey::from_pem(&pkcs1).unwrap(), PublicKey::hexpm());
        assert_eq!(PublicKey::from_pem(&format!("hex.pm's key:\n\n{pkcs1}\n")).unwrap(), PublicKey::hexpm());
    }

    fn refusal(text: &str) -> KeyError {
        PublicKey::from_pem(text).expect_err(text)
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        assert!(matches!(refusal(""), KeyError::Empty { .. }));
        assert!(matches!(refusal("ssh-rsa AAAAB3NzaC1yc2EAAA"), KeyError::Empty { .. }));
        assert!(matches!(refusal(&format!("{HEXPM}\n{HEXPM}")), KeyError::Entries(2)));
        assert!(matches!(refusal(PRIVATE), KeyError::PrivateKeyGiven));
        assert!(matches!(refusal(&HEXPM.replace("PUBLIC KEY", "CERTIFICATE")), KeyError::Certificate));
        assert!(matches!(refusal(&HEXPM.replace("PUBLIC KEY", "X509 CRL")), KeyError::Label { .. }));
        assert!(matches!(refusal(&HEXPM.replace("IDAQAB", "IDAQA!")), KeyError::Base64(_)));
        assert!(matches!(refusal(&HEXPM.replace("MIIB", "MIIC")), KeyError::Der(_)));
        assert!(matches!(refusal(&HEXPM.replace("PUBLIC KEY", "RSA PUBLIC KEY")), KeyError::Der(_)));
        assert!(matches!(refusal(HEXPM.trim_end().trim_end_matches('-')), KeyError::Unfinished { .. }));
        assert!(matches!(refusal(&"x".repeat(limits::PEM + 1)), KeyError::TooLong { .. }));
        let open = HEXPM.lines().take(3).collect::<Vec<_>>().join("\n");
        assert!(matches!(refusal(&format!("{open}\n{HEXPM}")), KeyError::Unfinished { .. }));
    }

    #[test]
    fn short_keys_and_foreign_algorithms_are_refused() {
        let short = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap().to_public_key();
        assert!(matches!(refusal(&short.to_pkcs1_pem(LineEnding::LF).unwrap()), KeyError::Bits { bits: 1024 }));
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert!(matches!(refusal(ed25519), KeyError::NotRsa));
    }

    #[test]
    fn the_pkcs1_key_of_another_registry_has_its_own_fingerprint() {
        let own = PrivateKey::from_pem(PRIVATE).unwrap();
        assert_ne!(own.public().fingerprint(), PublicKey::hexpm().fingerprint());
        assert!("SHA256:short".parse::<Fingerprint>().is_err());
        assert!("MD5:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk".parse::<Fingerprint>().is_err());
    }
}
