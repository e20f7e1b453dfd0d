//! The options of the connection to an upstream, and their validation.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::secret::Secret;

/// The `User-Agent` that is sent to upstreams.
pub const USER_AGENT: &str = concat!("hexkeep/", env!("CARGO_PKG_VERSION"));

/// The options of the connection to one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Base URL, `http` or `https`, with or without a path; no user-info, query or fragment.
    pub url: String,
    /// The longest time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest time without data: from sending a request to the head of its answer, and between two pieces of a
    /// body.
    pub read_timeout: Duration,
    /// The most requests at the same time, including those whose bodies are being read; at least 1.
    pub concurrency: usize,
    /// How long no requests are sent after the upstream failed several times in a row; zero: requests are always sent.
    pub assumed_offline: Duration,
    /// The value of the `Authorization` header, sent to the origin of `url` only.
    pub credentials: Option<Secret>,
    /// Proxy URL (http, https, socks5, socks5h; user-info allowed). Without one the usual environment variables
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` apply, except for an upstream on a loopback address.
    pub proxy: Option<Secret>,
    /// PEM certificates that are trusted in addition to those of the system.
    pub ca_file: Option<Vec<u8>>,
    /// PEM certificate chain and private key, used for the origin of `url` only.
    pub client_cert: Option<Vec<u8>>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The most requests per minute; `None`: no limit.
    pub per_minute: Option<usize>,
}

impl UpstreamOptions {
    /// The documented defaults for an upstream at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(10),
            concurrency: 32,
            assumed_offline: Duration::from_secs(30),
            credentials: None,
            proxy: None,
            ca_file: None,
            client_cert: None,
            user_agent: USER_AGENT.to_owned(),
            per_minute: None,
        }
    }
}

/// Why the options are invalid. Never contains credentials or the user-info of a proxy.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// `url` cannot be used.
    #[error("`url` must be an absolute http or https URL without user name, password, query and fragment")]
    Url,
    /// `concurrency` is zero.
    #[error("`concurrency` must be at least 1")]
    Concurrency,
    /// `credentials` cannot be sent.
    #[error(
        "`credentials` must be one line of visible ASCII characters, because it is sent in the Authorization header"
    )]
    Credentials,
    /// `user_agent` cannot be sent.
    #[error("the user agent must be one line of visible ASCII characters")]
    UserAgent,
    /// `proxy` cannot be used.
    #[error("`proxy` must be a URL such as http://proxy:3128, https://… or socks5://…")]
    Proxy,
    /// `ca_file` contains no readable certificate.
    #[error("`ca_file` must contain one or more certificates in PEM format")]
    CaFile(#[source] Option<reqwest::Error>),
    /// `client_cert` contains no readable certificate and key.
    #[error(
        "`client_cert` must contain a certificate chain and its private key (PKCS#8, PKCS#1 or SEC1) in PEM format"
    )]
    ClientCert(#[source] reqwest::Error),
    /// TLS cannot be set up.
    #[error(
        "cannot set up TLS; check `ca_file` and `client_cert`, and that the system's CA certificates are installed"
    )]
    Tls(#[source] reqwest::Error),
}

/// Parses `url` and checks the rules of [`UpstreamOptions::url`].
pub(super) fn parse_base(url: &str) -> Result<Url, BuildError> {
    let url = Url::parse(url).map_err(|_| BuildError::Url)?;
    let plain = is_http(&url) && !has_user_info(&url) && url.query().is_none() && url.fragment().is_none();
    if plain { Ok(url) } else { Err(BuildError::Url) }
}

pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

pub(super) fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The `Authorization` header, marked as sensitive so that neither logs nor HTTP/2 header compression keep it.
pub(super) fn authorization(credentials: &Secret) -> Result<HeaderValue, BuildError> {
    let mut value = HeaderValue::from_str(credentials.expose()).map_err(|_| BuildError::Credentials)?;
    if value.is_empty() {
        return Err(BuildError::Credentials);
    }
    value.set_sensitive(true);
    Ok(value)
}

/// The configured proxy. The cause of an error is dropped on purpose, because it may quote the URL.
pub(super) fn proxy(url: &Secret) -> Result<reqwest::Proxy, BuildError> {
    let url = Url::parse(url.expose()).map_err(|_| BuildError::Proxy)?;
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Err(BuildError::Proxy);
    }
    reqwest::Proxy::all(url).map_err(|_| BuildError::Proxy)
}

/// The hosts of the proxies that a client may use: the configured one, else those from environment variables. These
/// hosts are trusted, and may have addresses that are not public.
pub(super) fn proxy_hosts(options: &UpstreamOptions, base: &Url) -> Vec<String> {
    let of_environment = || {
        let names = ["http_proxy", "https_proxy", "all_proxy"];
        let names = names.into_iter().flat_map(|name| [name.to_owned(), name.to_uppercase()]);
        names.filter_map(|name| std::env::var(name).ok()).collect()
    };
    let texts: Vec<String> = match &options.proxy {
        Some(url) => vec![url.expose().to_owned()],
        None if is_loopback(base) => Vec::new(),
        None => of_environment(),
    };
    let host = |text: String| {
        // In environment variables, a proxy may lack its scheme.
        let url = Url::parse(&text).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{text}")).ok());
        url.and_then(|url| url.host_str().map(str::to_ascii_lowercase))
    };
    texts.into_iter().filter_map(host).collect()
}

/// Whether a URL is for this machine itself, which cannot be reached through a proxy.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_a_plain_base_url() {
        for url in ["https://repo.hex.pm", "http://127.0.0.1:4000/repos/acme", "http://[::1]/"] {
            assert!(parse_base(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "repo.hex.pm",
            "ftp://host.test",
            "file:///etc/passwd",
            "https://user@host.test",
            "https://user:pass@host.test",
            "https://host.test?x=1",
            "https://host.test#x",
            "https://",
        ] {
            assert!(matches!(parse_base(url), Err(BuildError::Url)), "{url}");
        }
    }

    #[test]
    fn knows_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://localhost.test", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn takes_only_a_usable_proxy() {
        for url in ["http://proxy.test:3128", "https://u:p@proxy.test", "socks5://proxy.test:1080", "socks5h://[::1]:1"]
        {
            assert!(proxy(&Secret::new(url)).is_ok(), "{url}");
        }
        for url in ["", "proxy.test:3128", "ftp://u:s3cr3t@proxy.test", "http://"] {
            let error = proxy(&Secret::new(url)).unwrap_err();
            assert!(matches!(error, BuildError::Proxy), "{url}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn a_credential_is_a_header_value_and_hidden() {
        let value = authorization(&Secret::new("Bearer s3cr3t")).unwrap();
        assert!(value.is_sensitive());
        assert!(!format!("{value:?}").contains("s3cr3t"));
        for text in ["", "s3cr3t\n", "s3cr3t\u{e9}\u{0}"] {
            let error = authorization(&Secret::new(text)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }
}
