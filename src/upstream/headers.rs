//! Reads the headers of answers. They are untrusted input. Pure functions.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER};

use super::limits::{MAX_ETAG, MAX_RETRY_AFTER};
use crate::clock::Timestamp;

/// The value of a header, if it occurs exactly once and is visible ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// The entity tag, if there is exactly one and it is valid (RFC 9110 §8.8.3). Quotes and `W/` are included.
pub(super) fn etag(headers: &HeaderMap) -> Option<String> {
    let tag = single(headers, &ETAG)?;
    is_etag(tag).then(|| tag.to_owned())
}

fn is_etag(tag: &str) -> bool {
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    tag.len() <= MAX_ETAG && inner.is_some_and(|inner| inner.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x7e)))
}

/// Whether a tag promises equal bytes, as `If-Range` needs (RFC 9110 §13.1.5).
pub(super) fn is_strong(tag: &str) -> bool {
    !tag.starts_with("W/") && is_etag(tag)
}

/// The modification date as written, if there is exactly one and it is a valid date.
pub(super) fn last_modified(headers: &HeaderMap) -> Option<String> {
    let date = single(headers, &LAST_MODIFIED)?;
    httpdate::parse_http_date(date).ok().map(|_| date.to_owned())
}

/// Whether the body has a content encoding.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        // A list such as "gzip, identity" is an encoding too, and an unreadable value counts as one.
        value.to_str().map_or(true, |text| {
            text.split(',').map(str::trim).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        })
    })
}

/// The requested pause (RFC 9110 §10.2.3: seconds or a date), at most [`MAX_RETRY_AFTER`]; `None` if absent or
/// unreadable.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = single(headers, &RETRY_AFTER)?.trim();
    let pause = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number that overflows is a very long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        Timestamp::from(httpdate::parse_http_date(value).ok()?).since(now)
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// The number of bytes in a part that begins at `offset` and reaches the end of the body; `None` if the headers
/// describe anything else (RFC 9110 §14.4).
pub(super) fn rest_from(headers: &HeaderMap, offset: u64) -> Option<u64> {
    let value = single(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (range, total) = value.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let reaches_end = total == "*" || number(total).is_some_and(|total| last.checked_add(1) == Some(total));
    if first == offset && last >= first && reaches_end { (last - first).checked_add(1) } else { None }
}

/// Parses digits only: `parse` alone would accept a sign.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn takes_only_a_single_well_formed_etag() {
        let long = format!("\"{}\"", "x".repeat(MAX_ETAG));
        let cases: [(&[&str], Option<&str>); 12] = [
            (&["\"abc\""], Some("\"abc\"")),
            (&["W/\"abc\""], Some("W/\"abc\"")),
            (&["\"\""], Some("\"\"")),
            (&[], None),
            (&["abc"], None),
            (&["\"abc"], None),
            (&["\""], None),
            (&["w/\"abc\""], None),
            (&["\"a b\""], None),
            (&["\"a\"b\""], None),
            (&["\"a\"", "\"a\""], None),
            (&[&long], None),
        ];
        for (values, expected) in cases {
            assert_eq!(etag(&with(ETAG, values)).as_deref(), expected, "{values:?}");
        }
        assert!(is_strong("\"a\""));
        assert!(!is_strong("W/\"a\""));
        assert!(!is_strong("a"));
    }

    #[test]
    fn takes_only_a_single_date() {
        let date = "Tue, 14 Nov 2023 22:13:20 GMT";
        assert_eq!(last_modified(&with(LAST_MODIFIED, &[date])).as_deref(), Some(date));
        assert_eq!(last_modified(&with(LAST_MODIFIED, &["yesterday"])), None);
        assert_eq!(last_modified(&with(LAST_MODIFIED, &[date, date])), None);
    }

    #[test]
    fn any_coding_but_identity_is_one() {
        for (values, expected) in [
            (&[][..], false),
            (&[""], false),
            (&["identity"], false),
            (&["Identity"], false),
            (&["gzip"], true),
            (&["identity, gzip"], true),
            (&["identity", "br"], true),
            (&["\u{e9}"], true),
        ] {
            assert_eq!(is_encoded(&with(CONTENT_ENCODING, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = Timestamp::from_secs(1_700_000_000);
        for (value, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("86400", Some(300)),
            ("99999999999999999999999999", Some(300)),
            ("Tue, 14 Nov 2023 22:13:50 GMT", Some(30)),
            ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
            ("Wed, 15 Nov 2023 22:13:20 GMT", Some(300)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&with(RETRY_AFTER, &[value]), now), expected, "{value}");
        }
    }

    #[test]
    fn a_part_must_be_the_rest() {
        for (value, expected) in [
            ("bytes 10-19/20", Some(10)),
            ("bytes 10-19/*", Some(10)),
            ("bytes 10-18/20", None),
            ("bytes 0-19/20", None),
            ("bytes 10-9/20", None),
            ("bytes 10-19/19", None),
            ("bytes */20", None),
            ("bytes +10-19/20", None),
            ("bytes 10-18446744073709551615/*", Some(u64::MAX - 9)),
            ("bytes 10-18446744073709551615/x", None),
            ("bytes 10-18446744073709551616/*", None),
            ("items 10-19/20", None),
            ("bytes 10-19", None),
        ] {
            assert_eq!(rest_from(&with(CONTENT_RANGE, &[value]), 10), expected, "{value}");
        }
        assert_eq!(rest_from(&with(CONTENT_RANGE, &["bytes 0-18446744073709551615/*"]), 0), None);
    }
}
