//! Protects writes against cross-site request forgery. A page of another site can make a browser send a request with
//! the name and the password that the browser stored for this server. Such writes are refused. Clients that are not
//! browsers send neither of the two headers that are checked here. Pure.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::route::host_name;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request is a write from a page of another site. `is_host` says whether a name is a configured host. A page
/// belongs to this server if its origin is `public_url` or the requested host, and that host is configured.
pub(super) fn is_foreign_write(
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    public_url: &str,
    is_host: impl Fn(&str) -> bool,
) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let is_own_fetch = |site: &[u8]| matches!(site, b"same-origin" | b"none");
    if headers.get_all(FETCH_SITE).iter().any(|site| !is_own_fetch(site.as_bytes())) {
        return true;
    }
    let public = origin(public_url);
    let asked = uri.authority().map(http::uri::Authority::as_str);
    let asked = asked.or_else(|| headers.get(HOST)?.to_str().ok()).filter(|asked| is_host(&host_name(asked)));
    // The scheme of clients is the one of `public_url`, since a proxy may terminate TLS.
    let scheme = public.as_ref().map(|origin| origin.0.as_str()).unwrap_or_default();
    let asked = asked.and_then(|asked| origin(&format!("{scheme}://{asked}")));
    let is_own = |sent: &str| origin(sent).is_some_and(|sent| Some(&sent) == public.as_ref() || Some(sent) == asked);
    headers.get_all(ORIGIN).iter().any(|sent| !sent.to_str().is_ok_and(is_own))
}

/// The scheme, host and port of a URL.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    let host = host_name(authority);
    let port = match authority.get(host.len()..)?.trim_start_matches('.').strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if scheme == "https" => 443,
        None => 80,
    };
    Some((scheme, host.into_owned(), port))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refused(method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri = Uri::from_static("/api/keys");
        is_foreign_write((method, &uri, &all), "https://Hex.example.com/base", |host| host == "acme.example")
    }

    #[test]
    fn a_browser_says_whose_page_it_was() {
        for (site, foreign) in [
            ("same-origin", false),
            ("none", false),
            ("same-site", true),
            ("cross-site", true),
            ("", true),
            ("Same-Origin", true),
        ] {
            assert_eq!(refused(&Method::POST, &[("sec-fetch-site", site)]), foreign, "{site}");
            assert!(!refused(&Method::GET, &[("sec-fetch-site", site)]));
        }
        assert!(refused(&Method::PUT, &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]));
        assert!(!refused(&Method::DELETE, &[]));
    }

    #[test]
    fn an_origin_is_ours_or_that_of_a_configured_host_that_is_asked() {
        for (host, sent, foreign) in [
            ("hex.example.com", "https://hex.example.com", false),
            ("hex.example.com", "https://hex.example.com:443", false),
            ("127.0.0.1:4000", "https://HEX.example.com", false),
            ("acme.example", "https://acme.example", false),
            ("acme.example:8443", "https://acme.example:8443", false),
            ("acme.example", "https://hex.example.com", false),
            ("hex.example.com", "http://hex.example.com", true),
            ("hex.example.com", "https://hex.example.com:8443", true),
            ("hex.example.com", "https://acme.example", true),
            ("acme.example", "http://acme.example", true),
            ("acme.example", "https://acme.example:8443", true),
            // A foreign domain that resolves to this server is still foreign.
            ("evil.example", "https://evil.example", true),
            ("hex.example.com", "https://hex.example.com.evil.example", true),
            ("hex.example.com", "https://hex.example.com@evil.example", true),
            ("hex.example.com", "null", true),
            ("hex.example.com", "", true),
        ] {
            assert_eq!(refused(&Method::POST, &[("host", host), ("origin", sent)]), foreign, "{sent} to {host}");
        }
        assert!(refused(&Method::POST, &[("origin", "https://hex.example.com"), ("origin", "https://evil.example")]));
    }
}
