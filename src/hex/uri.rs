//! Encodes segments of URLs of this server, and checks the links of packages.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters to escape in a segment of a path (all except RFC 3986 `pchar`).
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Encodes any text as one segment of the path of a URL of this server. Because some clients escape twice, the server
/// decodes a path again if an escape is left. Therefore a percent sign is escaped twice here. So are the dots of `.`
/// and `..`, which clients treat as relative segments even if they are escaped once.
pub fn segment(text: &str) -> Cow<'_, str> {
    match text {
        "." => Cow::Borrowed("%252E"),
        ".." => Cow::Borrowed("%252E%252E"),
        _ if text.contains('%') => {
            let once = text.replace('%', "%25");
            Cow::Owned(utf8_percent_encode(&once, IN_SEGMENT).to_string())
        }
        _ => utf8_percent_encode(text, IN_SEGMENT).into(),
    }
}

/// Whether `text` is an http or https URL with a host.
pub(super) fn is_web(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_web && !host.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    #[test]
    fn a_segment_is_one_and_says_what_it_is_made_of() {
        for (text, expected) in [
            ("ci", "ci"),
            ("joe@laptop", "joe@laptop"),
            ("1.0.0-rc.1+b", "1.0.0-rc.1+b"),
            ("a b/c?d#e", "a%20b%2Fc%3Fd%23e"),
            ("%2e", "%25252e"),
            ("100%", "100%2525"),
            (".", "%252E"),
            ("..", "%252E%252E"),
            ("läptop", "l%C3%A4ptop"),
        ] {
            assert_eq!(segment(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_as_a_segment_is_read_again(text in ".{1,20}") {
            let written = segment(&text).into_owned();
            proptest::prop_assert!(!written.contains('/') && written != "." && written != "..");
            let once = percent_decode_str(&written).decode_utf8().unwrap();
            let read = if once.contains('%') { percent_decode_str(&once).decode_utf8().unwrap() } else { once.clone() };
            proptest::prop_assert_eq!(read, text);
        }
    }
}
