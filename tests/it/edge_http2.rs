//! HTTP/2 clients that take nothing, or ask for nothing: neither holds files, memory or a connection for long.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hexkeep::http::listener::Patience;
use http::Request;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::support::hub::{Hub, Wishes};
use super::support::{SAFETY, tls};

const STREAMS: usize = 32;
const TARBALL: &str = "/tarballs/jason-1.0.0.tar";

type Connection = JoinHandle<hyper::Result<()>>;

/// A daemon with one tarball of eight megabytes, which is on its disk.
async fn stocked(patience: Patience) -> Hub {
    let pem = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls/server.pem");
    let server = format!("tls: {{ cert: {0}, key: {0} }}", pem.display());
    let storage = "memory_limit: 1MiB".to_owned();
    let mut hub = Hub::with(Wishes { server, storage, patience, ..Wishes::default() }).await;
    let tarball = hub.registry.add_sized("jason", "1.0.0", 8 * 1024 * 1024);
    hub.publish();
    let (mut sender, _connection) = connect(&hub, 1024 * 1024, None).await;
    let body = ask(&mut sender).await.unwrap();
    assert_eq!(http_body_util::BodyExt::collect(body).await.unwrap().to_bytes(), tarball);
    hub
}

async fn connect(hub: &Hub, window: u32, pings: Option<Duration>) -> (SendRequest<Empty<Bytes>>, Connection) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls::CA).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).initial_stream_window_size(window).initial_connection_window_size(1 << 30);
    if let Some(interval) = pings {
        builder.keep_alive_interval(interval).keep_alive_while_idle(true);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>) -> hyper::Result<Incoming> {
    let request = Request::get(format!("https://127.0.0.1{TARBALL}")).body(Empty::new()).unwrap();
    let answer = sender.send_request(request).await?;
    assert_eq!(answer.status(), 200);
    Ok(answer.into_body())
}

/// Files of the store that are open.
fn open_files(hub: &Hub) -> usize {
    let data = hub.data();
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|target| target.starts_with(&data) && target.to_string_lossy().contains("/blobs/")).count()
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// Asks so often at once; the answers as they come.
fn ask_often(sender: &SendRequest<Empty<Bytes>>, times: usize) -> JoinSet<hyper::Result<Incoming>> {
    let mut asking = JoinSet::new();
    for _ in 0..times {
        let mut sender = sender.clone();
        asking.spawn(async move { ask(&mut sender).await });
    }
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_room_for_answers_is_closed_and_holds_few_files_until_then() {
    let patience = Patience { progress: Duration::from_secs(2), ..Patience::default() };
    let hub = stocked(patience).await;
    let (sender, connection) = connect(&hub, 0, Some(Duration::from_millis(100))).await;
    let before = open_files(&hub);
    let mut asking = ask_often(&sender, 4 * STREAMS);
    let mut answers = Vec::new();
    while answers.len() < STREAMS {
        answers.push(asking.join_next().await.unwrap().unwrap().unwrap());
    }
    assert!(open_files(&hub) - before <= STREAMS, "{} files", open_files(&hub) - before);
    // It answers every PING, and takes nothing.
    assert!(timeout(SAFETY, connection).await.is_ok(), "the connection stays");
    while let Some(answer) = asking.join_next().await {
        assert!(answer.unwrap().is_err(), "no more than {STREAMS} at one time");
    }
    let closed = async {
        while open_files(&hub) > before {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(SAFETY, closed).await.is_ok(), "files stay open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_closed_whatever_pings_it_answers() {
    let hub = stocked(Patience { head: Duration::from_millis(200), ..Patience::default() }).await;
    let (_sender, connection) = connect(&hub, 65_535, Some(Duration::from_millis(20))).await;
    assert!(timeout(SAFETY, connection).await.is_ok(), "the connection stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_cost_little_memory() {
    let hub = stocked(Patience::default()).await;
    let (sender, _connection) = connect(&hub, 65_535, None).await;
    let before = resident();
    let mut asking = ask_often(&sender, 4 * STREAMS);
    let mut answers = Vec::new();
    while answers.len() < STREAMS {
        answers.push(asking.join_next().await.unwrap().unwrap().unwrap());
    }
    // A window of 64 KiB on both sides of the wire, a buffer of 64 KiB and a piece of the file, for each.
    let grown = resident().saturating_sub(before);
    println!("{STREAMS} unread answers: {:.1} MiB", grown as f64 / 1_048_576.0);
    assert!(grown < STREAMS as u64 * 8 * 64 * 1024, "{grown} bytes for {STREAMS} answers");
    assert!(asking.try_join_next().is_none(), "no more than {STREAMS} at one time");
}
