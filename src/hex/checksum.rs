//! SHA-256 digests (outer and inner checksums, names of blobs, ETags) and SHA-512 digests (in lists of installers).

use std::fmt;
use std::io;
use std::str::FromStr;

use aws_lc_rs::digest;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// Why a text is not a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 checksum is written as 64 hexadecimal digits")]
pub struct ChecksumError;

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&digest::digest(&digest::SHA256, bytes))
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Result<Self, ChecksumError> {
        let mut bytes = [0; 32];
        ::hex::decode_to_slice(text, &mut bytes).map_err(|_| ChecksumError)?;
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn from_digest(digest: &digest::Digest) -> Self {
        let mut bytes = [0; 32];
        // A SHA-256 digest has 32 bytes. Copying with `zip` needs no fallible conversion.
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Sha256 {
    type Error = ChecksumError;

    fn try_from(bytes: &[u8]) -> Result<Self, ChecksumError> {
        bytes.try_into().map(Self).map_err(|_| ChecksumError)
    }
}

impl FromStr for Sha256 {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        Self::from_hex(text)
    }
}

impl fmt::Display for Sha256 {
    /// 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        ::hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// A SHA-512 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha512([u8; 64]);

/// Why a text is not a SHA-512 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-512 checksum is written as 128 hexadecimal digits")]
pub struct Sha512Error;

impl Sha512 {
    /// The digest of all bytes of `reader`.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut context = digest::Context::new(&digest::SHA512);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            context.update(bytes);
        }
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Ok(Self(bytes))
    }

    /// Reads 128 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Result<Self, Sha512Error> {
        let mut bytes = [0; 64];
        ::hex::decode_to_slice(text, &mut bytes).map_err(|_| Sha512Error)?;
        Ok(Self(bytes))
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Sha512 {
    /// 128 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&::hex::encode(self.0))
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512({self})")
    }
}

/// Computes the SHA-256 digest of bytes that arrive piece by piece.
#[derive(Clone)]
pub struct Hasher(digest::Context);

impl Hasher {
    /// Creates a hasher without input.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Sha256 {
        Sha256::from_digest(&self.0.finish())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(SHA-256)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn agrees_with_the_standard_whole_and_in_pieces() {
        assert_eq!(Sha256::of(b"abc").to_string(), ABC);
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Sha256::of(b"abc"));
    }

    /// FIPS 180-2, appendix C.1.
    const ABC_512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                           2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn the_longer_digest_agrees_with_the_standard() {
        let digest = Sha512::of_reader(&b"abc"[..]).unwrap();
        assert_eq!(digest.to_string(), ABC_512);
        assert_eq!(Sha512::from_hex(&ABC_512.to_uppercase()), Ok(digest));
        for wrong in ["", ABC, &format!("{ABC_512}0"), &ABC_512.replace('d', "x")] {
            assert_eq!(Sha512::from_hex(wrong), Err(Sha512Error), "{wrong}");
        }
    }

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        assert_eq!(ABC.parse::<Sha256>(), Ok(Sha256::of(b"abc")));
        assert_eq!(Sha256::from_hex(&ABC.to_uppercase()), Ok(Sha256::of(b"abc")));
        for wrong in ["", "7816", ABC.trim_start_matches('b'), &format!("{ABC}0"), &ABC.replace('b', "x")] {
            assert_eq!(Sha256::from_hex(wrong), Err(ChecksumError), "{wrong}");
        }
        assert!(Sha256::try_from(&[0_u8; 31][..]).is_err());
        assert_eq!(Sha256::try_from(&[7_u8; 32][..]), Ok(Sha256::from_bytes([7; 32])));
    }
}
