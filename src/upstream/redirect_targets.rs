//! Decides which redirects are followed.
//!
//! An untrusted answer must not make this server connect to internal systems (server-side request forgery). A redirect
//! to another origin is therefore followed only if a signature or a checksum proves the bytes afterwards, and only to
//! public addresses, not into networks that only this machine can reach. The check applies to the addresses that a name
//! resolves to, not to the name.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};

use super::error::RedirectProblem;

/// Which redirects are followed for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Only redirects within the origin (scheme, host, port) of the upstream: for bytes that no signature and no
    /// checksum proves.
    WithinOrigin,
    /// Also redirects to other origins with public addresses: for bytes that a signature or a checksum proves.
    ToPublic,
}

/// Name resolution and the classification of addresses. A trait, so that tests can replace both.
pub trait Network: Send + Sync + fmt::Debug {
    /// Resolves a host name.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// Whether an address is public.
    fn is_public(&self, address: IpAddr) -> bool;
}

/// The real network of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RealNetwork;

impl Network for RealNetwork {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn is_public(&self, address: IpAddr) -> bool {
        is_public(address)
    }
}

/// Whether an address is public, so that it means the same host everywhere: not loopback, private, link-local,
/// unique-local, multicast, unspecified or reserved, and not an IPv6 address that embeds such an IPv4 address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_reserved = match (a, b, c) {
        // This network, shared by carriers, protocol assignments, benchmarks, reserved.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (240.., ..) => true,
        // The relays of 6to4.
        (192, 88, 99) => true,
        _ => false,
    };
    !(is_reserved
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Mapped, compatible (with `::` and `::1`), translated.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => is_public_v4(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        // NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Teredo and benchmarks, ORCHID, documentation.
        [0x2001, 0 | 2, ..] | [0x2001, 0x10..=0x2f, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // The range of global unicast addresses: not unique-local, link-local, site-local or multicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The restrictions under which a redirect is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// With the same restrictions as the request before it.
    Same,
    /// Only to public addresses.
    ToPublic,
}

/// Decides whether a redirect is followed. `from_public`: whether the redirecting server has a public address.
/// [`Lookup`] checks the addresses that the target's name resolves to, when the connection is made.
pub(super) fn decide(
    from: &Url,
    to: &Url,
    redirects: Redirects,
    from_public: bool,
    lookup: &Lookup,
) -> Result<Hop, RedirectProblem> {
    let same = from.origin() == to.origin();
    if !same && redirects == Redirects::WithinOrigin {
        return Err(RedirectProblem::Elsewhere);
    }
    if same && !from_public {
        return Ok(Hop::Same);
    }
    let is_proxy = to.host_str().is_some_and(|host| lookup.proxies.iter().any(|proxy| proxy == host));
    match literal(to) {
        Some(address) if !lookup.network.is_public(address) => Err(RedirectProblem::NotPublic),
        _ if is_proxy => Err(RedirectProblem::NotPublic),
        _ => Ok(Hop::ToPublic),
    }
}

/// The IP address in a URL that has no host name. Such an address is never resolved.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Resolves names for a client. With `public_only`, a name that resolves to an address that is not public fails.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) network: Arc<dyn Network>,
    pub(super) public_only: bool,
    /// The hosts of proxies, which may have any address.
    pub(super) proxies: Arc<[String]>,
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { network, public_only, proxies } = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found = network.lookup(host.clone()).await?;
            if public_only && !proxies.contains(&host) && !found.iter().all(|address| network.is_public(*address)) {
                return Err(NotPublic.into());
            }
            // The port is that of the URL.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

/// A name resolves to an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not public")]
pub(super) struct NotPublic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_everybodys_is_public() {
        for text in ["1.1.1.1", "9.255.255.255", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in
            ["198.17.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a04:4e42::1", "2001:4860::8888"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:2f::1",
            "2001:db8::1",
            "3fff::1",
            // IPv4 addresses embedded in IPv6.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "2002:c0a8:101::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        assert!(is_public("::ffff:1.1.1.1".parse().unwrap()) && is_public("64:ff9b::1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn a_redirect_is_followed_where_it_may_lead() {
        use Redirects::{ToPublic, WithinOrigin};
        let from = "https://repo.test/names";
        let (elsewhere, private) = (Err(RedirectProblem::Elsewhere), Err(RedirectProblem::NotPublic));
        let (same, guarded) = (Ok(Hop::Same), Ok(Hop::ToPublic));
        let proxies = ["proxy.test".to_owned()].into();
        let lookup = Lookup { network: Arc::new(RealNetwork), public_only: true, proxies };
        // (from, to, from a public address, result without a proof, result with a proof)
        for (from, to, from_public, unproven, proven) in [
            (from, "https://repo.test/other", true, guarded, guarded),
            (from, "https://repo.test/other", false, same, same),
            (from, "https://repo.test:444/other", true, elsewhere, guarded),
            (from, "https://bucket.test/other", true, elsewhere, guarded),
            (from, "https://bucket.test/other", false, elsewhere, guarded),
            (from, "https://1.1.1.1/other", true, elsewhere, guarded),
            (from, "https://127.0.0.1/other", true, elsewhere, private),
            (from, "https://127.1/other", true, elsewhere, private),
            (from, "https://2130706433/other", true, elsewhere, private),
            (from, "https://0x7f.1/other", true, elsewhere, private),
            (from, "https://[::1]/other", true, elsewhere, private),
            (from, "https://[::ffff:10.0.0.1]/other", true, elsewhere, private),
            (from, "https://169.254.169.254/latest", false, elsewhere, private),
            (from, "https://proxy.test/other", true, elsewhere, private),
            ("http://10.0.0.1/a", "http://10.0.0.1/b", false, same, same),
            ("http://10.0.0.1/a", "http://10.0.0.1:8080/b", false, elsewhere, private),
            ("http://10.0.0.1/a", "http://10.0.0.2/b", false, elsewhere, private),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(decide(&from, &to, WithinOrigin, from_public, &lookup), unproven, "{from} {to}");
            assert_eq!(decide(&from, &to, ToPublic, from_public, &lookup), proven, "{from} {to}");
        }
    }
}
