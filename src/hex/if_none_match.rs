//! Parses `If-None-Match` headers as registry clients send them (RFC 9110, section 13.1.2). Pure functions.

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

/// A tag in `If-None-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag<'a> {
    /// `*`
    Any,
    /// An entity tag, without quotation marks.
    Of(&'a str),
}

/// The tags in `If-None-Match`, including weak ones, and unquoted ones, which some clients send. Empty headers, which
/// one client sends, are ignored.
pub fn tags(headers: &HeaderMap) -> impl Iterator<Item = Tag<'_>> {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter_map(|tag| match tag {
        "" => None,
        "*" => Some(Tag::Any),
        tag => Some(Tag::Of(tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"'))),
    })
}

/// Whether `If-None-Match` contains `etag`, which is quoted.
pub fn names(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = etag.trim_matches('"');
    tags(headers).any(|tag| tag == Tag::Any || tag == Tag::Of(opaque))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(names(&headers, "\"abc\""), matches, "{sent:?}");
        }
        assert!(!names(&HeaderMap::new(), "\"abc\""));
    }
}
