//! HTTP/2 clients that take nothing, or ask for nothing: neither holds files, memory or a connection for long.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hexkeep::http::listener::ListenerTimeouts;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::hub::{Hub, Wishes};
use super::support::process::{Daemon, Home};
use super::support::registry::TestRegistry;
use super::support::upstream::ScriptedUpstream;
use super::support::{SAFETY, tls};

const STREAMS: usize = 32;
const SIZE: usize = 8 * 1024 * 1024;
const TARBALL: &str = "/tarballs/jason-1.0.0.tar";

type Connection = JoinHandle<hyper::Result<()>>;

/// These settings of a server, and TLS.
fn tls_on(server: &str) -> String {
    let pem = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls/server.pem");
    let comma = if server.is_empty() { "" } else { ", " };
    format!("{server}{comma}tls: {{ cert: {0}, key: {0} }}", pem.display())
}

/// A daemon with one large tarball, which is on its disk.
async fn stocked(patience: ListenerTimeouts) -> Hub {
    let server = tls_on("");
    let storage = "memory_limit: 1MiB".to_owned();
    let mut hub = Hub::with(Wishes { server, storage, patience, ..Wishes::default() }).await;
    let tarball = hub.registry.add_sized("jason", "1.0.0", SIZE);
    hub.publish();
    let (mut sender, _connection, _) = connect(address(&hub), 1024 * 1024, None).await;
    assert_eq!(ask(&mut sender).await.unwrap().collect().await.unwrap().to_bytes(), tarball);
    hub
}

fn address(hub: &Hub) -> SocketAddr {
    hub.app().addresses().listen
}

/// A client's side of a connection that counts the bytes that have come, and reads no more of them once it is deaf.
struct Counted<T> {
    inner: T,
    received: Arc<AtomicUsize>,
    deaf: Arc<AtomicBool>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.deaf.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.received.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A client that gives each answer so much room, and all of them together as much as they like.
async fn connect(
    address: SocketAddr,
    window: u32,
    pings: Option<Duration>,
) -> (SendRequest<Empty<Bytes>>, Connection, Arc<AtomicUsize>) {
    connect_until_deaf(address, window, pings, Arc::default()).await
}

async fn tls_stream(address: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls::CA).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap()
}

/// The same, until it is made deaf.
async fn connect_until_deaf(
    address: SocketAddr,
    window: u32,
    pings: Option<Duration>,
    deaf: Arc<AtomicBool>,
) -> (SendRequest<Empty<Bytes>>, Connection, Arc<AtomicUsize>) {
    let stream = tls_stream(address, b"h2").await;
    let received = Arc::new(AtomicUsize::new(0));
    let stream = Counted { inner: stream, received: Arc::clone(&received), deaf };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).initial_stream_window_size(window).initial_connection_window_size(1 << 30);
    if let Some(interval) = pings {
        builder.keep_alive_interval(interval).keep_alive_while_idle(true);
    }
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    // An answer comes behind the settings of the server, which say how many requests there may be.
    let request = Request::head("https://127.0.0.1/public_key").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    (sender, connection, received)
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
    let patience = ListenerTimeouts { progress: Duration::from_secs(2), ..ListenerTimeouts::default() };
    let hub = stocked(patience).await;
    let (sender, connection, _) = connect(address(&hub), 0, Some(Duration::from_millis(100))).await;
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
    let hub = stocked(ListenerTimeouts { head: Duration::from_millis(200), ..ListenerTimeouts::default() }).await;
    let (_sender, connection, _) = connect(address(&hub), 65_535, Some(Duration::from_millis(20))).await;
    assert!(timeout(SAFETY, connection).await.is_ok(), "the connection stays");
}

/// Each is open for less than two of its times: one for a head, and for one without a request another to come to its end.
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_never_end_are_closed_before_a_connection_without_a_request_is() {
    const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";
    const CONTINUATION: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01\x84";
    let hub = stocked(ListenerTimeouts { head: Duration::from_secs(1), ..ListenerTimeouts::default() }).await;
    let begin = async |sent: &[&[u8]]| {
        let mut stream = tls_stream(address(&hub), b"h2").await;
        stream.write_all(&sent.concat()).await.unwrap();
        // The server has begun, too.
        stream.read_u8().await.unwrap();
        stream
    };
    let to_its_end = async |mut stream: TlsStream<TcpStream>| drop(stream.read_to_end(&mut Vec::new()).await);
    let idle = begin(&[BEGIN]).await;
    let endless = begin(&[BEGIN, HEADERS, CONTINUATION]).await;
    let first = tokio::select! {
        () = to_its_end(idle) => "idle",
        () = to_its_end(endless) => "endless",
        () = tokio::time::sleep(SAFETY) => "nobody",
    };
    assert_eq!(first, "endless");
}

/// A daemon of its own with one large tarball, which is on its disk; a client that reads, and the tarball.
async fn apart() -> ((Home, ScriptedUpstream), Daemon, SendRequest<Empty<Bytes>>, Bytes) {
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    let tarball = registry.add_sized("jason", "1.0.0", SIZE);
    registry.publish(&upstream);
    let config =
        Home::config(&upstream.url(), "").replace("ops_listen: 127.0.0.1:0", &tls_on("ops_listen: 127.0.0.1:0"));
    let home = Home::new(&config.replace("storage: { path: data }", "storage: { path: data, memory_limit: 1MiB }"));
    home.write("registry.pem", &registry.public_key());
    let daemon = home.serve();
    let (mut reader, _connection, _) = connect(daemon.listen(), 1024 * 1024, None).await;
    assert_eq!(ask(&mut reader).await.unwrap().collect().await.unwrap().to_bytes(), tarball);
    ((home, upstream), daemon, reader, tarball)
}

/// How much memory was taken when it does not grow any more while somebody else is served.
async fn settled(daemon: &Daemon, reader: &mut SendRequest<Empty<Bytes>>, before: u64) -> u64 {
    let mut grown = 0;
    let mut still = 0;
    while still < 5 {
        assert!(ask(reader).await.unwrap().collect().await.unwrap().to_bytes().len() >= SIZE);
        let now = daemon.memory("VmHWM").saturating_sub(before);
        still = if now > grown { 0 } else { still + 1 };
        grown = now;
    }
    grown
}

/// The client gives as much room as can be and does not read from its socket: what is ready for it waits here.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http2_has_at_most_64_kibibytes_ready() {
    const CONNECTIONS: usize = 10;
    let (_home, daemon, mut reader, _) = apart().await;
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let deaf = Arc::new(AtomicBool::new(false));
        let (sender, connection, _) = connect_until_deaf(daemon.listen(), (1 << 31) - 1, None, Arc::clone(&deaf)).await;
        deaf.store(true, Ordering::Relaxed);
        held.push((ask_often(&sender, STREAMS), sender, connection));
    }
    let grown = settled(&daemon, &mut reader, before).await;
    let each = grown / (CONNECTIONS * STREAMS) as u64;
    println!("{each} bytes for each of {STREAMS} unread answers on {CONNECTIONS} connections");
    // 64 KiB of the file; the rest is what belongs to the request, and its part of what the connection has.
    assert!(each < 96 * 1024, "{each} bytes for each answer");
}

/// The same over HTTP/1.1, where a connection has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http1_has_at_most_384_kibibytes_ready() {
    const CONNECTIONS: usize = 100;
    let (_home, daemon, mut reader, _) = apart().await;
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = tls_stream(daemon.listen(), b"http/1.1").await;
        stream.write_all(format!("GET {TARBALL} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        held.push(stream);
    }
    let each = settled(&daemon, &mut reader, before).await / CONNECTIONS as u64;
    println!("{each} bytes for each of {CONNECTIONS} unread answers");
    assert!(each < 384 * 1024, "{each} bytes for each answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_cost_little_memory() {
    const WINDOW: u32 = 65_535;
    let (_home, daemon, mut reader, tarball) = apart().await;
    let (sender, _connection, received) = connect(daemon.listen(), WINDOW, None).await;
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let mut asking = ask_often(&sender, 4 * STREAMS);
    let mut answers = Vec::new();
    let every_window_is_full = async {
        while received.load(Ordering::Relaxed) < STREAMS * WINDOW as usize {
            match asking.try_join_next() {
                Some(answer) => answers.push(answer.unwrap().unwrap()),
                None => tokio::task::yield_now().await,
            }
        }
    };
    timeout(SAFETY, every_window_is_full).await.unwrap();
    // Whoever comes later is served, so that by then all that may be answered has been.
    assert_eq!(ask(&mut reader).await.unwrap().collect().await.unwrap().to_bytes(), tarball);
    answers.extend(std::iter::from_fn(|| asking.try_join_next()).map(|answer| answer.unwrap().unwrap()));
    // For each a buffer of 64 KiB, and what was read of the file in one piece.
    let grown = daemon.memory("VmHWM").saturating_sub(before);
    println!("{} unread answers: {:.2} MiB", answers.len(), grown as f64 / 1_048_576.0);
    assert!(answers.len() <= STREAMS, "{} at one time", answers.len());
    assert!(grown < STREAMS as u64 * 6 * 64 * 1024, "{grown} bytes for {STREAMS} answers");
}
