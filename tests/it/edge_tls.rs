//! TLS on the public listener: Hex's own client speaks nothing newer than 1.2, others nothing older than 1.3.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::hub::{Hub, Wishes};
use super::support::{raw, tls};

async fn stocked() -> Hub {
    let pem = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls/server.pem");
    let server = format!("tls: {{ cert: {0}, key: {0} }}", pem.display());
    let mut hub = Hub::with(Wishes { server, ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub
}

/// A connection of a client that speaks these versions and offers these protocols.
async fn connect(
    hub: &Hub,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls::CA).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_either_version_is_served() {
    let hub = stocked().await;
    for (offered, expected) in [
        (&[&rustls::version::TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&rustls::version::TLS13], ProtocolVersion::TLSv1_3),
        (&[&rustls::version::TLS12, &rustls::version::TLS13], ProtocolVersion::TLSv1_3),
    ] {
        for alpn in [&[][..], &["http/1.1"]] {
            let mut stream = connect(&hub, offered, alpn).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            for _ in 0..2 {
                let request = b"GET /packages/jason HTTP/1.1\r\nhost: localhost\r\n\r\n";
                let answer = raw::ask(&mut stream, request).await;
                assert_eq!(
                    (answer.status, &answer.body[..]),
                    (200, &hub.registry.package("jason")[..]),
                    "{expected:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_with_those_who_offer_it() {
    let hub = stocked().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(&hub, &[version], &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::task::spawn(connection);
        let mut ask = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
            let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            let (parts, body) = response.into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        };
        let (head, body) = ask(Method::HEAD, "/tarballs/jason-1.0.0.tar").await;
        assert_eq!((head.status.as_u16(), body.len()), (200, 0));
        let length = head.headers.get("content-length").cloned();
        for path in ["/packages/jason", "/tarballs/jason-1.0.0.tar", "/public_key", "/installs/hex-1.x.csv"] {
            let (parts, body) = ask(Method::GET, path).await;
            assert_eq!(parts.status.as_u16(), 200, "{path}");
            assert_eq!(parts.headers["content-length"], body.len().to_string(), "{path}");
            assert!(parts.headers["etag"].to_str().unwrap().starts_with('"'), "{path}");
            if path.starts_with("/tarballs") {
                let expected = body.len().to_string();
                assert!(length.as_ref().is_none_or(|length| *length == expected), "HEAD said {length:?}");
            }
        }
        let (miss, text) = ask(Method::GET, "/packages/nothing").await;
        assert_eq!((miss.status.as_u16(), text.is_empty()), (404, false));
        drop(sender);
        connection.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_found_in_an_http2_request() {
    let mut hub = Hub::with(Wishes {
        server: format!(
            "tls: {{ cert: {0}, key: {0} }}",
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls/server.pem").display()
        ),
        repository: "hosts: [hex.example]".to_owned(),
        more: vec![
            "acme: { type: remote, url: \"{url}/repos/acme\", public_key: {key}, hosts: [localhost] }".to_owned(),
        ],
        ..Wishes::default()
    })
    .await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let stream = connect(&hub, &[&rustls::version::TLS13], &["h2"]).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::task::spawn(connection);
    for (host, status) in [("hex.example", 200), ("HEX.example:443", 200), ("localhost", 404), ("localhost:4000", 404)]
    {
        let request = Request::builder().uri(format!("https://{host}/packages/jason"));
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{host}");
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_on_a_tls_port_gets_no_answer_and_harms_nobody() {
    let hub = stocked().await;
    let request = b"GET /packages/jason HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(raw::exchange(hub.app().addresses().listen, request).await.status, 0);
    assert!(connect(&hub, &[&rustls::version::TLS13], &["acme-tls/1"]).await.is_err(), "no protocol in common");
    let mut stream = connect(&hub, &[&rustls::version::TLS12], &[]).await.unwrap();
    let answer = raw::ask(&mut stream, b"GET /packages/jason HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}
