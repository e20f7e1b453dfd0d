//! Rejects malformed request heads, which no client sends on purpose and which a proxy may interpret differently
//! (request smuggling). This is the first check of a request. Pure.

use http::header::{AUTHORIZATION, HOST, HeaderName, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Version};

use super::error::Refusal;

/// The largest head of an HTTP/1 request in bytes. The head of an HTTP/2 request is limited when it is decoded.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The largest number of header fields; clients send fewer than ten. The HTTP/1 parser has its own limit of 100: a
/// lower limit there would slow down each request.
const MAX_FIELDS: usize = 64;

/// The error in the head of a request, if any.
pub(super) fn fault<B>(request: &Request<B>) -> Option<Refusal> {
    let headers = request.headers();
    // Almost no request has two header fields of the same name.
    if headers.len() > headers.keys_len()
        && let Some(refusal) = repeated_field(headers)
    {
        return Some(refusal);
    }
    let is_named = match headers.get(HOST) {
        Some(host) => is_authority(host.as_bytes(), request.version()),
        None => request.version() != Version::HTTP_11,
    };
    if !is_named {
        return Some(Refusal::host());
    }
    // In HTTP/2 both `:authority` and `Host` may contain the host, which is ambiguous. What a `Host` may not contain, an
    // `:authority` and the address in a request line may not contain either.
    if let Some(authority) = request.uri().authority().map(Authority::as_str) {
        let is_other = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
        let differs = request.version() >= Version::HTTP_2 && headers.get(HOST).is_some_and(is_other);
        if differs || !is_authority(authority.as_bytes(), request.version()) {
            return Some(Refusal::host());
        }
    }
    if !is_plain_or_chunked(headers) {
        return Some(Refusal::transfer_coding());
    }
    if headers.len() > MAX_FIELDS {
        return Some(Refusal::fields());
    }
    let is_too_long = request.version() < Version::HTTP_2 && head_length(request) > MAX_HEAD;
    is_too_long.then(Refusal::head)
}

/// Fields that must not be repeated, because it is not clear which one counts (RFC 9112, 3.2; RFC 9110, 5.3).
fn repeated_field(headers: &HeaderMap) -> Option<Refusal> {
    let is_doubled = |name: HeaderName| headers.get_all(name).iter().nth(1).is_some();
    if is_doubled(HOST) {
        return Some(Refusal::host());
    }
    is_doubled(AUTHORIZATION).then(Refusal::authorization)
}

/// Whether a `Host` field or an authority contains only a host and an optional port: no user, no path, no list. Clients of HTTP/1.0 may
/// leave it empty.
fn is_authority(host: &[u8], version: Version) -> bool {
    if host.is_empty() {
        return version == Version::HTTP_10;
    }
    let (is_sound, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b']').unwrap_or_default();
            let (address, port) = rest.split_at(end);
            let is_sound = !address.is_empty()
                && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            (is_sound, port.get(1..).unwrap_or_default())
        }
        None => {
            let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
            let (name, port) = host.split_at(end);
            let is_sound = !name.is_empty()
                && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte));
            (is_sound, port)
        }
    };
    let is_port = |port: &[u8]| port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit));
    is_sound && (port.is_empty() || is_port(port))
}

/// Whether the body has no transfer coding, or only `chunked` once.
fn is_plain_or_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && codings.next().is_none()
}

/// The length of the head as it was sent: the request line and a line for each field.
fn head_length<B>(request: &Request<B>) -> usize {
    const AROUND_TARGET: usize = " ".len() + " HTTP/1.1\r\n".len() + "\r\n".len();
    const AROUND_FIELD: usize = ": ".len() + "\r\n".len();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let authority = request.uri().authority().map_or(0, |authority| authority.as_str().len());
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_FIELD);
    request.method().as_str().len() + target + authority + AROUND_TARGET + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn status(version: Version, fields: &[(&str, &str)]) -> Option<StatusCode> {
        let mut request = Request::put("/names").version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        fault(&request.body(()).unwrap()).map(|refusal| refusal.status)
    }

    #[test]
    fn there_is_one_host_and_one_coding() {
        let bad = Some(StatusCode::BAD_REQUEST);
        for (version, fields, expected) in [
            (Version::HTTP_11, &[("host", "a")][..], None),
            (Version::HTTP_11, &[], bad),
            (Version::HTTP_11, &[("host", "a"), ("host", "a")], bad),
            (Version::HTTP_10, &[], None),
            (Version::HTTP_10, &[("host", "a"), ("host", "b")], bad),
            (Version::HTTP_2, &[], None),
            (Version::HTTP_2, &[("host", "a"), ("host", "b")], bad),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "Chunked")], None),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "gzip, chunked")], bad),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], bad),
        ] {
            assert_eq!(status(version, fields), expected, "{version:?} {fields:?}");
        }
    }

    #[test]
    fn a_host_is_a_host() {
        for good in
            ["a", "A.test", "a.test.", "a_b", "a:80", "a:", "127.0.0.1:4000", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]"]
        {
            assert_eq!(status(Version::HTTP_11, &[("host", good)]), None, "{good}");
        }
        for bad in [
            "", "a b", "a, b", "a,b", "u@h", "u:p@h", "a#b", "a/b", "a?b", "a\\b", "a:8x", "a:80:80", "a:-1", ":80",
            "[::1", "[]", "[::1]x", "[g]", "a]", "\u{e9}", "\"a\"",
        ] {
            assert_eq!(status(Version::HTTP_11, &[("host", bad)]), Some(StatusCode::BAD_REQUEST), "{bad}");
        }
        assert_eq!(status(Version::HTTP_10, &[("host", "")]), None);
        assert_eq!(status(Version::HTTP_2, &[("host", "u@h")]), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn there_is_one_credential() {
        let with = |fields: &[(&str, &str)]| {
            let fields = [&[("host", "a")], fields].concat();
            [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2].map(|version| status(version, &fields))
        };
        assert_eq!(with(&[("authorization", "a"), ("accept", "a"), ("accept", "b")]), [None; 3]);
        let bad = [Some(StatusCode::BAD_REQUEST); 3];
        assert_eq!(with(&[("authorization", "a"), ("authorization", "a")]), bad);
        assert_eq!(with(&[("authorization", "a"), ("authorization", "")]), bad);
    }

    #[test]
    fn there_is_one_host_in_http2_too() {
        let bad = Some(StatusCode::BAD_REQUEST);
        for (version, target, host, expected) in [
            (Version::HTTP_2, "https://a/names", None, None),
            (Version::HTTP_2, "https://a:8443/names", Some("A:8443"), None),
            (Version::HTTP_2, "https://a/names", Some("b"), bad),
            (Version::HTTP_2, "https://a/names", Some("a:1"), bad),
            (Version::HTTP_2, "https://b@a/names", None, bad),
            (Version::HTTP_2, "https://a,b/names", None, bad),
            (Version::HTTP_2, "https://a:8x/names", None, bad),
            (Version::HTTP_2, "https://[::1]:8443/names", None, None),
            (Version::HTTP_11, "http://a,b/names", Some("a"), bad),
            (Version::HTTP_11, "http://b@a/names", Some("a"), bad),
            (Version::HTTP_11, "http://a/names", Some("b"), None),
        ] {
            let mut request = Request::get(target).version(version);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let found = fault(&request.body(()).unwrap()).map(|refusal| refusal.status);
            assert_eq!(found, expected, "{version:?} {target} {host:?}");
        }
    }

    #[test]
    fn a_head_has_so_many_fields() {
        let with = |count: usize| {
            let names: Vec<String> = (1..count).map(|number| format!("x-{number}")).collect();
            let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).chain([("host", "a")]).collect();
            [Version::HTTP_11, Version::HTTP_2].map(|version| status(version, &fields))
        };
        let too_many = Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!((with(MAX_FIELDS), with(MAX_FIELDS + 1)), ([None, None], [too_many, too_many]));
    }

    #[test]
    fn a_head_has_so_many_bytes() {
        let around = "PUT /names HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        let with = |length: usize| status(Version::HTTP_11, &[("host", "a"), ("x", &"y".repeat(length))]);
        assert_eq!(with(MAX_HEAD - around), None);
        assert_eq!(with(MAX_HEAD - around + 1), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
}
