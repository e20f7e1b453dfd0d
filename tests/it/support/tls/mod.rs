//! Certificates made for these tests alone, valid until 2126: an authority, a server (127.0.0.1, localhost) and a client
//! signed by it, and a server that nobody vouches for. See `README` beside them for how they were made.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// The authority's certificate in PEM.
pub(crate) const CA: &[u8] = include_bytes!("ca.pem");

/// The client's certificate and key in one PEM text.
pub(crate) const CLIENT: &[u8] = include_bytes!("client.pem");

const SERVER: &[u8] = include_bytes!("server.pem");

const STRANGER: &[u8] = include_bytes!("stranger.pem");

/// A server side; with `require_client` it admits nobody without a certificate of the authority. Speaks the protocols
/// in `alpn`, such as `h2`.
pub(crate) fn server(require_client: bool, alpn: &[&str]) -> Arc<ServerConfig> {
    serving(SERVER, require_client, alpn)
}

/// A server side whose certificate it signed itself, so that it is refused also where the machine trusts the authority.
pub(crate) fn stranger() -> Arc<ServerConfig> {
    serving(STRANGER, false, &[])
}

fn serving(identity: &[u8], require_client: bool, alpn: &[&str]) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(identity).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if require_client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
