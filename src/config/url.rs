//! Parses and normalizes URLs in a configuration.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::bounds;
use super::fault::Fault;

/// The parts of a URL: scheme and authority in lower case, the path without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    /// `user:password`, as written.
    pub(super) user_info: Option<String>,
    /// Host, with port if the URL has one.
    pub(super) host: String,
    /// Empty or `/…`.
    pub(super) path: String,
}

impl Url {
    /// The URL with scheme, host and path.
    pub(super) fn without_user_info(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }
}

/// Parses `text`, whose scheme must be one of `schemes` (each with its `://`).
pub(super) fn parse(text: &str, schemes: &'static [&'static str], example: &'static str) -> Result<Url, Fault> {
    let bad = || Fault::Url { example };
    if text.len() > bounds::MAX_URL_BYTES {
        return Err(bad());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(if text.contains(':') || !text.contains('.') {
            bad()
        } else {
            Fault::UrlScheme { allowed: schemes }
        });
    };
    let scheme = scheme.to_ascii_lowercase();
    if !schemes.iter().any(|allowed| allowed.strip_suffix("://") == Some(scheme.as_str())) {
        return Err(Fault::UrlScheme { allowed: schemes });
    }
    if text.contains(['?', '#']) {
        return Err(Fault::UrlQuery);
    }
    // The crate http checks the general syntax. The host is checked more strictly below.
    let uri: Uri = format!("{scheme}://{rest}").parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?.as_str();
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info.to_owned()), host),
        None => (None, authority),
    };
    let host = host.to_ascii_lowercase();
    if !is_host_and_port(&host) {
        return Err(bad());
    }
    Ok(Url { scheme, user_info, host, path: uri.path().trim_end_matches('/').to_owned() })
}

/// Replaces the user name and password in `url`, if it has any.
pub(super) fn redact(url: &str) -> String {
    let parts = url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    parts.map_or_else(|| url.to_owned(), |(scheme, host)| format!("{scheme}://redacted@{host}"))
}

fn is_host_and_port(text: &str) -> bool {
    let is_port =
        |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(text),
    }
}

/// A DNS name (RFC 1123, and underscores, which occur inside companies) or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(label) && (!numeric || text.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &[&str] = &["http://", "https://"];

    fn read(text: &str) -> Result<String, String> {
        parse(text, WEB, "https://repo.hex.pm").map(|url| url.without_user_info()).map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn urls_take_one_form() {
        for (text, expected) in [
            ("https://repo.hex.pm", "https://repo.hex.pm"),
            ("HTTPS://Repo.Hex.PM/", "https://repo.hex.pm"),
            ("http://127.0.0.1:4000//", "http://127.0.0.1:4000"),
            ("http://[::1]:80/a/B/", "http://[::1]:80/a/B"),
            ("http://cache_1/x", "http://cache_1/x"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_no_client_can_use_is_refused() {
        for text in [
            "",
            "repo",
            "https://",
            "https:///x",
            "https://a b",
            "https://-a",
            "https://1.2.3.999",
            "https://h:99999",
            "https://h:",
            "https://[::zz]",
            "https://[::1",
            "https://a..b",
            "https://h\u{0}",
            "https://ü",
            "mailto:x@y.z",
        ] {
            assert!(read(text).is_err_and(|fault| fault.starts_with("Url {")), "{text}: {:?}", read(text));
        }
        assert!(read(&format!("https://h/{}", "x".repeat(3000))).is_err());
        assert!(read("repo.hex.pm").is_err_and(|fault| fault.starts_with("UrlScheme")));
        assert!(read("ftp://repo.hex.pm").is_err_and(|fault| fault.starts_with("UrlScheme")));
        assert!(read("https://h/?x").is_err_and(|fault| fault == "UrlQuery"));
        assert!(read("https://h/#x").is_err_and(|fault| fault == "UrlQuery"));
    }

    #[test]
    fn user_info_is_kept_apart() {
        assert_eq!(redact("socks5://me:p%40w@h:1"), "socks5://redacted@h:1");
        assert_eq!(redact("http://h:1"), "http://h:1");
        let url = parse("http://me:pw@h:1", WEB, "").unwrap();
        assert_eq!((url.user_info.as_deref(), url.without_user_info().as_str()), (Some("me:pw"), "http://h:1"));
    }
}
