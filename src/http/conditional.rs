//! Conditional and range requests (RFC 9110, sections 13 and 14), as far as registry clients use them. Pure.

use std::ops::Range;

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

use crate::hex::checksum::Sha256;
use crate::hex::if_none_match::{Tag, tags};
use crate::repository::Condition;

/// The condition of a request for a file whose entity tag is its digest.
pub(super) fn condition(headers: &HeaderMap) -> Condition {
    let mut condition = Condition::default();
    for tag in tags(headers) {
        match tag {
            Tag::Any => condition.has_any = true,
            // Digests are written in lower case.
            Tag::Of(text) => {
                condition.has.extend(Sha256::from_hex(text).ok().filter(|digest| digest.to_string() == text));
            }
        }
    }
    condition
}

/// The part of a body that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RangePart {
    /// The whole body: there is no range, or the range is ignored.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// Bytes beyond the end of the body.
    Unsatisfiable,
}

/// The range in a `Range` header.
#[derive(Clone, Copy)]
enum RequestedRange {
    /// From `start` to `end`; without `end`, to the end of the body.
    Span { start: u64, end: Option<u64> },
    /// The last bytes of the body.
    Last(u64),
}

/// Parses `Range`. Several ranges and units other than bytes are ignored, so that the whole body is sent.
fn requested_range(headers: &HeaderMap) -> Option<RequestedRange> {
    let spec = headers.get(RANGE)?.to_str().ok()?.trim().strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(start), Some(last)) if last >= start => {
            Some(RequestedRange::Span { start, end: Some(last.saturating_add(1)) })
        }
        (Some(start), None) if last.trim().is_empty() => Some(RequestedRange::Span { start, end: None }),
        (None, Some(count)) if first.trim().is_empty() => Some(RequestedRange::Last(count)),
        _ => None,
    }
}

/// The part of a body of `length` bytes with this `etag` that a request asks for.
pub(super) fn part(headers: &HeaderMap, length: u64, etag: &str) -> RangePart {
    let Some(asked) = requested_range(headers) else { return RangePart::Whole };
    if headers.get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != etag.as_bytes()) {
        return RangePart::Whole;
    }
    let (start, end) = match asked {
        RequestedRange::Span { start, end } => (start, end.unwrap_or(length)),
        RequestedRange::Last(0) => return RangePart::Unsatisfiable,
        RequestedRange::Last(count) => (length.saturating_sub(count), length),
    };
    if start >= length {
        return RangePart::Unsatisfiable;
    }
    RangePart::Bytes(start..end.min(length))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::IF_NONE_MATCH;
    use proptest::prelude::*;

    use super::*;

    fn with(name: http::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_tag_is_a_file_where_it_is_a_digest() {
        let digest = Sha256::of(b"abc");
        for (sent, names, any) in [
            (format!("\"{digest}\""), true, false),
            (format!("W/\"{digest}\", \"other\""), true, false),
            (digest.to_string(), true, false),
            (digest.to_string().to_uppercase(), false, false),
            ("*".to_owned(), false, true),
            ("\"*\"".to_owned(), false, false),
            (String::new(), false, false),
        ] {
            let condition = condition(&with(IF_NONE_MATCH, &sent));
            assert_eq!((condition.has.contains(&digest), condition.has_any), (names, any), "{sent:?}");
        }
    }

    #[test]
    fn ranges() {
        for (sent, part_of_ten) in [
            ("bytes=0-3", RangePart::Bytes(0..4)),
            ("bytes=4-", RangePart::Bytes(4..10)),
            ("bytes=-3", RangePart::Bytes(7..10)),
            ("bytes=-30", RangePart::Bytes(0..10)),
            ("bytes=8-99", RangePart::Bytes(8..10)),
            ("bytes=10-", RangePart::Unsatisfiable),
            ("bytes=-0", RangePart::Unsatisfiable),
            ("bytes=5-2", RangePart::Whole),
            ("bytes=0-1,4-5", RangePart::Whole),
            ("bytes=a-b", RangePart::Whole),
            ("lines=1-2", RangePart::Whole),
        ] {
            assert_eq!(part(&with(RANGE, sent), 10, "\"e\""), part_of_ten, "{sent}");
        }
        let mut headers = with(RANGE, "bytes=0-3");
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(part(&headers, 10, "\"e\""), RangePart::Whole);
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_body(sent in "bytes=[0-9]{0,22}-[0-9]{0,22}", length in 0_u64..100) {
            let headers = with(RANGE, &sent);
            if let RangePart::Bytes(range) = part(&headers, length, "\"e\"") {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
