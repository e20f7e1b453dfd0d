//! Generates and parses the secrets of clients, and hashes them with the secret of the server.
//!
//! API keys are `hkk_` and 32 hexadecimal digits, access tokens `hkt_…`, refresh tokens `hkr_…`, so that a leaked
//! secret is easy to recognize. An access token contains its id, its expiry and a MAC, so an expired token can still be
//! recognized as valid once.

use std::borrow::Cow;
use std::ops::Range;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// The prefix of API keys.
pub(super) const KEY: &str = "hkk_";

/// The prefix of access tokens.
pub(super) const ACCESS: &str = "hkt_";

/// The prefix of refresh tokens.
pub(super) const REFRESH: &str = "hkr_";

/// The form of the secrets with a prefix.
struct SecretForm {
    prefix: &'static str,
    /// The number of characters after the prefix.
    length: usize,
    is_part: fn(&u8) -> bool,
}

/// The forms of all secrets that clients get.
const FORMS: [SecretForm; 3] = [
    SecretForm { prefix: KEY, length: 2 * KEY_BYTES, is_part: u8::is_ascii_hexdigit },
    SecretForm {
        prefix: ACCESS,
        length: (16 + 8 + 32_usize) * 4 / 3 + 1,
        is_part: |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    },
    SecretForm { prefix: REFRESH, length: 2 * REFRESH_BYTES, is_part: u8::is_ascii_hexdigit },
];

/// The first characters of every secret.
const COMMON_START: &[u8] = b"hk";

/// The length of the shortest secret: an API key.
const SHORTEST: usize = KEY.len() + 2 * KEY_BYTES;

/// Random bytes in an API key.
pub(super) const KEY_BYTES: usize = 16;

/// Random bytes in a refresh token.
pub(super) const REFRESH_BYTES: usize = 32;

/// Replaces secrets in the log.
const MASK: &str = "[secret]";

/// Whether a text from a client contains a text in the form of an API key or a token of this server, also
/// percent-encoded (once or twice). Such a text must not be sent upstream or logged.
pub fn contains_secret(text: &str) -> bool {
    // Most paths end here: this runs for each request. An encoded secret is longer than the secret.
    if text.len() < SHORTEST {
        return false;
    }
    if find_secret(text).is_some() {
        return true;
    }
    if !text.contains('%') {
        return false;
    }
    let once = percent_decode_str(text).decode_utf8_lossy();
    find_secret(&once).is_some() || find_secret(&percent_decode_str(&once).decode_utf8_lossy()).is_some()
}

/// The text for the log: with `[secret]` in place of each API key and token of this server.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if !contains_secret(text) {
        return Cow::Borrowed(text);
    }
    let mut masked = Cow::Borrowed(text);
    while let Some(found) = find_secret(&masked) {
        masked.to_mut().replace_range(found, MASK);
    }
    // An encoded secret has no place in the text as it is.
    if contains_secret(&masked) { Cow::Borrowed(MASK) } else { masked }
}

fn find_secret(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let last = bytes.len().checked_sub(SHORTEST)?;
    (0..=last).find_map(|at| {
        let rest = bytes.get(at..).filter(|rest| rest.starts_with(COMMON_START))?;
        FORMS.iter().find_map(|form| {
            let behind = rest.strip_prefix(form.prefix.as_bytes())?.get(..form.length)?;
            behind.iter().all(form.is_part).then_some(at..at + form.prefix.len() + form.length)
        })
    })
}

/// The operating system provides no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system provides no random numbers")]
pub struct NoRandom;

/// The text is not a server secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server secret must have 64 hexadecimal digits")]
pub struct NotASecret;

/// The purpose of a MAC. The same text has a different MAC for each purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacPurpose {
    Key,
    Access,
    Device,
    Recovery,
    Cache,
}

/// 32 bytes with which keys and tokens are hashed. Without them, a copy of the database is useless; if they change, all
/// keys and tokens become invalid.
#[derive(Clone)]
pub struct ServerSecret {
    bytes: [u8; 32],
    key: hmac::Key,
}

impl ServerSecret {
    /// A new random secret.
    pub fn generate() -> Result<Self, NoRandom> {
        Ok(Self::from_bytes(random()?))
    }

    /// The secret with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }
    }

    /// Parses the output of [`ServerSecret::to_text`]; ignores surrounding whitespace.
    pub fn from_text(text: &str) -> Result<Self, NotASecret> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| NotASecret)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The secret as 64 hexadecimal digits, for its file.
    pub fn to_text(&self) -> Secret {
        Secret::new(hex::encode(self.bytes))
    }

    pub(super) fn mac(&self, purpose: MacPurpose, data: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[purpose as u8]);
        context.update(data);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    pub(super) fn mac_text(&self, purpose: MacPurpose, text: &str) -> String {
        hex::encode(self.mac(purpose, text.as_bytes()))
    }

    /// The two halves of a key's hash: one for the lookup, one for the comparison.
    pub(super) fn halves(&self, key: &str) -> (String, String) {
        let mac = self.mac(MacPurpose::Key, key.as_bytes());
        let (lookup, compared) = mac.split_at(16);
        (hex::encode(lookup), hex::encode(compared))
    }

    /// A new access token and its id.
    pub(super) fn access_token(&self, expires: Timestamp) -> Result<(Secret, String), NoRandom> {
        let id: [u8; 16] = random()?;
        let mut bytes = id.to_vec();
        bytes.extend(expires.as_secs().to_be_bytes());
        bytes.extend(self.mac(MacPurpose::Access, &bytes));
        Ok((Secret::new(format!("{ACCESS}{}", URL_SAFE_NO_PAD.encode(bytes))), hex::encode(id)))
    }

    /// The id and the expiry of an access token; `None` if this server did not create it.
    pub(super) fn read_access_token(&self, token: &str) -> Option<(String, Timestamp)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(ACCESS)?).ok()?;
        let (said, mac) = bytes.split_at_checked(24)?;
        if !equal(mac, &self.mac(MacPurpose::Access, said)) {
            return None;
        }
        let (id, expires) = said.split_at_checked(16)?;
        Some((hex::encode(id), Timestamp::from_secs(u64::from_be_bytes(expires.try_into().ok()?))))
    }
}

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret([redacted])")
    }
}

/// Compares two texts in constant time.
pub(super) fn equal(one: &[u8], two: &[u8]) -> bool {
    verify_slices_are_equal(one, two).is_ok()
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// Random text: a prefix and `N` bytes in hexadecimal digits.
pub(super) fn random_text<const N: usize>(prefix: &str) -> Result<String, NoRandom> {
    Ok(format!("{prefix}{}", hex::encode(random::<N>()?)))
}

/// The hash of a refresh token as it is stored, and as gleam sends it to revoke the token.
pub(super) fn sha256_text(text: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_and_is_never_shown() {
        let secret = ServerSecret::generate().unwrap();
        let text = secret.to_text();
        let again = ServerSecret::from_text(&format!("{}\n", text.expose())).unwrap();
        assert_eq!(again.halves("hkk_x"), secret.halves("hkk_x"));
        assert_ne!(ServerSecret::generate().unwrap().halves("hkk_x"), secret.halves("hkk_x"));
        assert!(!format!("{secret:?}").contains(text.expose()));
        assert!(ServerSecret::from_text("00").is_err() && ServerSecret::from_text(&"g".repeat(64)).is_err());
    }

    #[test]
    fn a_secret_is_found_in_any_text() {
        let token = ServerSecret::from_bytes([7; 32]).access_token(Timestamp::from_secs(1_700_000_000)).unwrap().0;
        let key = random_text::<KEY_BYTES>(KEY).unwrap();
        for secret in [key.clone(), token.expose().to_owned(), random_text::<REFRESH_BYTES>(REFRESH).unwrap()] {
            assert!(contains_secret(&secret), "{secret}");
            assert_eq!(without_secrets(&format!("/a/{secret}-1.0.0.tar/{secret}")), "/a/[secret]-1.0.0.tar/[secret]");
            for encoded in
                [secret.replace('_', "%5F"), secret.replace('_', "%255f"), format!("%68{}", secret.get(1..).unwrap())]
            {
                assert!(contains_secret(&format!("/é/{encoded}")), "{encoded}");
                assert_eq!(without_secrets(&format!("/é/{encoded}")), "[secret]");
            }
            let cut = secret.get(..secret.len() - 1).unwrap();
            assert!(!contains_secret(cut), "{cut}");
        }
        for text in ["", "hkk_", "hkk_tools", "/packages/hkt_client", "hkk_é", "100%", "%ff", key.get(4..).unwrap()] {
            assert!(!contains_secret(text), "{text}");
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn a_token_is_ours_or_nothing() {
        let secret = ServerSecret::from_bytes([7; 32]);
        let expires = Timestamp::from_secs(1_700_000_000);
        let (token, id) = secret.access_token(expires).unwrap();
        assert_eq!(secret.read_access_token(token.expose()), Some((id, expires)));
        assert_eq!(ServerSecret::from_bytes([8; 32]).read_access_token(token.expose()), None);
        let body = URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(ACCESS).unwrap()).unwrap();
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            let changed = format!("{ACCESS}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(secret.read_access_token(&changed), None, "byte {at}");
        }
        for text in ["", "hkt_", "hkt_AAAA", "hkt_!", "hkk_00"] {
            assert_eq!(secret.read_access_token(text), None, "{text}");
        }
    }

    #[test]
    fn a_mac_for_one_thing_is_none_for_another() {
        let secret = ServerSecret::from_bytes([7; 32]);
        assert_ne!(secret.mac(MacPurpose::Key, b"x"), secret.mac(MacPurpose::Device, b"x"));
        let (lookup, compared) = secret.halves("hkk_x");
        assert_eq!((lookup.len(), compared.len()), (32, 32));
        assert_ne!(lookup, compared);
    }
}
