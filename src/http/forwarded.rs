//! The address of the client: the peer of the connection, or the address that a trusted proxy reports. Pure.
//!
//! Every address is canonical: `::ffff:192.0.2.1`, which an IPv6 socket shows for an IPv4 peer, is `192.0.2.1`. The
//! networks in the configuration are canonical, too.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub address: IpAddr,
    /// Whether the connection comes from the local machine. An address that a proxy reports does not count.
    pub is_this_machine: bool,
}

/// The client behind a canonical `peer`. All lines of `X-Forwarded-For` are one list, to which each proxy appends the
/// address of its own peer. Read from its end, the client is the first address that is not a trusted proxy. An invalid
/// address ends the list, because anybody can invent the addresses before it.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = Client { address: peer, is_this_machine: peer.is_loopback() };
    if trusted.is_empty() || !is_trusted(peer) {
        return client;
    }
    let lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(|line| line.as_bytes()).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    for hop in hops.filter(|hop| !hop.is_empty()) {
        let Some(address) = address(hop) else { break };
        client = Client { address, is_this_machine: false };
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// Parses an address, with or without a port; IPv6 also in brackets; optionally in quotation marks.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    bare().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn forwarded(lines: &[&str]) -> HeaderMap {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        values.map(|value| (http::HeaderName::from_static("x-forwarded-for"), value)).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    fn client_of(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
        client(peer.parse().unwrap(), &forwarded(lines), &trusted).address.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, lines, expected) in [
            ("10.0.0.1", &["198.51.100.7"][..], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.9"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.0.0.9", "10.0.0.8"], "198.51.100.7"),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client_of(peer, lines), expected, "{peer} {lines:?}");
        }
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(client(peer, &forwarded(&["198.51.100.7"]), &[]).address, peer);
    }

    #[test]
    fn this_machine_is_the_peer_and_nobody_of_whom_it_is_told() {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8"].map(|net| net.parse().unwrap()).to_vec();
        for (peer, lines, expected) in [
            ("127.0.0.1", &[][..], true),
            ("::1", &[], true),
            ("127.0.0.1", &["198.51.100.7"], false),
            ("127.0.0.1", &["127.0.0.1"], false),
            ("10.0.0.1", &["127.0.0.1"], false),
            ("192.0.2.1", &["127.0.0.1"], false),
            // This address is ignored.
            ("::1", &["198.51.100.7"], true),
        ] {
            let found = client(peer.parse().unwrap(), &forwarded(lines), &trusted);
            assert_eq!(found.is_this_machine, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn an_address_is_read_in_every_spelling() {
        for (written, expected) in [
            ("198.51.100.7:5678", "198.51.100.7"),
            ("\"198.51.100.7:5678\"", "198.51.100.7"),
            ("  198.51.100.7\t", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:198.51.100.7]:443", "198.51.100.7"),
            ("2001:470::1", "2001:470::1"),
            ("[2001:470::1]", "2001:470::1"),
            ("\"[2001:470::1]:443\"", "2001:470::1"),
            ("198.51.100.7, [2001:db8::1]:443", "198.51.100.7"),
            ("198.51.100.7,,10.0.0.2,", "198.51.100.7"),
        ] {
            assert_eq!(client_of("10.0.0.1", &[written]), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_hides_what_stands_before_it() {
        for written in ["1.1.1.1, unknown", "1.1.1.1, _hidden", "1.1.1.1, 1.2.3.4:99999", "1.1.1.1, é", "1.1.1.1, [::1"]
        {
            assert_eq!(client_of("10.0.0.1", &[written]), "10.0.0.1", "{written}");
            assert_eq!(client_of("10.0.0.1", &[written, "10.0.0.2"]), "10.0.0.2", "{written}");
        }
    }

    proptest! {
        /// A client cannot change the address that the nearest proxy appends.
        #[test]
        fn nobody_chooses_their_own_address(
            said in proptest::collection::vec("[ -~]{0,30}", 0..4), octets in any::<[u8; 4]>(), port in any::<u16>(),
        ) {
            let own = IpAddr::from(octets);
            prop_assume!(octets[0] != 10);
            for written in [own.to_string(), format!("{own}:{port}"), format!("[::ffff:{own}]:{port}")] {
                let mut lines: Vec<&str> = said.iter().map(String::as_str).collect();
                lines.push(&written);
                prop_assert_eq!(client_of("10.0.0.1", &lines), own.to_string());
                let joined = lines.join(",");
                prop_assert_eq!(client_of("10.0.0.1", &[&joined, "10.0.0.2:1"]), own.to_string());
            }
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = address(&bytes);
        }
    }
}
