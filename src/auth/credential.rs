//! Parses the `Authorization` header. Pure.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::secret::{ACCESS, KEY};

/// The longest header that is parsed.
const MOST: usize = 4096;

/// The credential in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// A text with the prefix of API keys.
    Key(String),
    /// A text with the prefix of access tokens.
    Token(String),
    /// User name (or e-mail address) and password.
    Password { name: String, password: String },
    /// A credential of another server.
    Foreign,
    /// `Basic` with invalid contents.
    Malformed,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Parses a header; an empty header contains no credential.
pub(super) fn read(header: &[u8]) -> Option<Credential> {
    let header = header.trim_ascii();
    if header.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(header) else { return Some(Credential::Foreign) };
    if text.len() > MOST {
        return Some(Credential::Foreign);
    }
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    match (scheme.to_ascii_lowercase().as_str(), rest) {
        ("bearer" | "basic", "") => None,
        ("bearer", token) => Some(ours(token).unwrap_or(Credential::Foreign)),
        ("basic", pair) => basic(pair),
        (_, "") => Some(ours(text).unwrap_or(Credential::Foreign)),
        _ => Some(Credential::Foreign),
    }
}

fn ours(text: &str) -> Option<Credential> {
    if text.starts_with(KEY) {
        Some(Credential::Key(text.to_owned()))
    } else if text.starts_with(ACCESS) {
        Some(Credential::Token(text.to_owned()))
    } else {
        None
    }
}

/// A key or token in place of the password or of the user name; otherwise a user name and a password.
fn basic(pair: &str) -> Option<Credential> {
    let decoded = BASE64.decode(pair).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((name, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Some(Credential::Malformed);
    };
    if name.is_empty() && password.is_empty() {
        return None;
    }
    // User names cannot contain NUL.
    if name.contains('\0') {
        return Some(Credential::Malformed);
    }
    let password_of = || Credential::Password { name: name.to_lowercase(), password: password.to_owned() };
    Some(ours(password).or_else(|| ours(name)).unwrap_or_else(password_of))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn of_basic(pair: &str) -> Option<Credential> {
        read(format!("bAsIc {}", STANDARD.encode(pair)).as_bytes())
    }

    #[test]
    fn every_form_of_a_key_is_the_same_key() {
        let key = Some(Credential::Key("hkk_00".into()));
        for header in ["hkk_00", " hkk_00 ", "Bearer hkk_00", "bearer   hkk_00", "BEARER hkk_00"] {
            assert_eq!(read(header.as_bytes()), key, "{header}");
        }
        for pair in ["x:hkk_00", ":hkk_00", "hkk_00:", "hkk_00:x", "hkk_00:x-oauth-basic"] {
            assert_eq!(of_basic(pair), key, "{pair}");
        }
        assert_eq!(read(b"Bearer hkt_x"), Some(Credential::Token("hkt_x".into())));
    }

    #[test]
    fn what_is_empty_is_none() {
        for header in ["", "  ", "\t", "Bearer", "Bearer  ", "Basic", "Basic "] {
            assert_eq!(read(header.as_bytes()), None, "{header:?}");
        }
        assert_eq!(of_basic(":"), None);
    }

    #[test]
    fn the_rest_is_a_password_foreign_or_malformed() {
        let password =
            |name: &str, password: &str| Some(Credential::Password { name: name.into(), password: password.into() });
        assert_eq!(of_basic("Alice:se:cret"), password("alice", "se:cret"));
        assert_eq!(read(b"Basic YTpi"), password("a", "b"));
        assert_eq!(read(b"Basic YTpiYg"), password("a", "bb"), "without its padding");
        for header in ["Basic !", "Basic YQ==", "Basic /w=="] {
            assert_eq!(read(header.as_bytes()), Some(Credential::Malformed), "{header}");
        }
        for header in ["0123456789abcdef0123456789abcdef", "Token hkk_00", "Bearer ey.x.y", "hkr_00"] {
            assert_eq!(read(header.as_bytes()), Some(Credential::Foreign), "{header}");
        }
        assert_eq!(read(b"\xff"), Some(Credential::Foreign));
        assert_eq!(read(format!("hkk_{}", "0".repeat(5000)).as_bytes()), Some(Credential::Foreign));
    }

    proptest! {
        #[test]
        fn nothing_panics(header in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&header);
        }
    }
}
