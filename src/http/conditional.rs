//! Conditional and range requests (RFC 9110, sections 13 and 14), as far as registry clients use them. Pure.

use std::ops::Range;

use http::HeaderMap;
use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// Whether `If-None-Match` names `etag`, which is quoted. Empty headers are no condition: one client sends them.
pub(super) fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = etag.trim_matches('"');
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // Weak comparison, and unquoted tags as some clients replay them.
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == opaque && !tag.is_empty())
}

/// What a `Range` header asks of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: no range, or one that is not to be honoured.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// Bytes that the body does not have.
    Unsatisfiable,
}

/// Reads the range that a request asks of a body of `length` bytes with this `etag`. Several ranges in one request, and
/// units other than bytes, get the whole.
pub(super) fn part(headers: &HeaderMap, length: u64, etag: &str) -> Part {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Part::Whole };
    if let Some(condition) = headers.get(IF_RANGE)
        && condition.as_bytes() != etag.as_bytes()
    {
        return Part::Whole;
    }
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(last)) if last >= start => (start, last.saturating_add(1)),
        (Some(start), None) if last.trim().is_empty() => (start, length),
        (None, Some(0)) if first.trim().is_empty() => return Part::Unsatisfiable,
        (None, Some(suffix)) if first.trim().is_empty() => (length.saturating_sub(suffix), length),
        _ => return Part::Whole,
    };
    if start >= length {
        return Part::Unsatisfiable;
    }
    Part::Bytes(start..end.min(length))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with(name: http::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn tags_match_in_every_form_that_clients_replay() {
        for (sent, matches) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("abc", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("", false),
            (" , ", false),
            ("\"abcd\"", false),
            ("\"\"", false),
        ] {
            assert_eq!(not_modified(&with(IF_NONE_MATCH, sent), "\"abc\""), matches, "{sent:?}");
        }
        assert!(!not_modified(&HeaderMap::new(), "\"abc\""));
    }

    #[test]
    fn ranges() {
        for (sent, part_of_ten) in [
            ("bytes=0-3", Part::Bytes(0..4)),
            ("bytes=4-", Part::Bytes(4..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=8-99", Part::Bytes(8..10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(part(&with(RANGE, sent), 10, "\"e\""), part_of_ten, "{sent}");
        }
        let mut headers = with(RANGE, "bytes=0-3");
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(part(&headers, 10, "\"e\""), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_body(sent in "bytes=[0-9]{0,22}-[0-9]{0,22}", length in 0_u64..100) {
            if let Part::Bytes(range) = part(&with(RANGE, &sent), length, "\"e\"") {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
