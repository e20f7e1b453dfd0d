//! The public listener: accepts connections, handles TLS, serves requests, and shuts down gracefully.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::dispatch::Site;
use super::head_guard::HeadGuard;
use super::malformed_heads::MAX_HEAD;
use super::stack::{Stack, stack};
use super::stall_guard::StallGuard;
use super::streams::{Overdue, Streams, WatchedService};
use crate::hex::limits;
use crate::shutdown::Tasks;

/// The time limits of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// The time limit of a request's head, of a block of header fields in HTTP/2, and of a TLS handshake; also of a
    /// connection without a request.
    pub head: Duration,
    /// The longest time in which a client reads nothing of an answer, on a connection and on each stream of HTTP/2.
    pub progress: Duration,
    /// The time limit of an upload, from its first byte to its last.
    pub upload: Duration,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), progress: Duration::from_secs(60), upload: limits::UPLOAD_TIME }
    }
}

/// The number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;

/// The size of each stream's send buffer. When it is full, the file is not read any further. One chunk of the file
/// comes on top: 64 KiB together.
const MAX_SEND_BUFFER: usize = 32 * 1024;

/// Pause after a failed accept (usually because no file descriptors are left), so that the loop does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The shortest time between two log lines about failed accepts.
const FAILURE_REPORTS_EVERY: Duration = Duration::from_secs(1);

/// Counts failed accepts, so that they do not fill the log.
#[derive(Debug, Default)]
struct AcceptFailures {
    reported_at: Option<Instant>,
    unreported: u64,
}

impl AcceptFailures {
    /// Counts a failure. Returns the number of failures since the last line in the log if the next line is due.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.reported_at.is_some_and(|reported_at| now.duration_since(reported_at) < FAILURE_REPORTS_EVERY) {
            return None;
        }
        self.reported_at = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

/// The public listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    site: Arc<Site>,
    /// The TLS configuration, if TLS is enabled; a reload may replace it.
    tls: Arc<ArcSwapOption<ServerConfig>>,
    connections: Arc<Semaphore>,
    patience: ListenerTimeouts,
}

impl Listener {
    /// A listener on a bound socket.
    pub fn new(
        socket: TcpListener,
        site: Arc<Site>,
        tls: Arc<ArcSwapOption<ServerConfig>>,
        max_connections: usize,
        patience: ListenerTimeouts,
    ) -> Self {
        Self {
            socket,
            site,
            tls,
            patience,
            connections: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// The address of the socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until `tasks` are told to stop. Connections run as members of `tasks`.
    pub async fn run(self, tasks: Tasks) {
        let mut failures = AcceptFailures::default();
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => self.begin(stream, peer, permit, &tasks),
                Err(error) => {
                    if let Some(failures) = failures.count(Instant::now()) {
                        tracing::warn!(%error, failures, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Waits for a free place below the limit of connections, then for a connection. Further connections wait in the
    /// kernel's queue. Cancel safe.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit =
            Arc::clone(&self.connections).acquire_owned().await.map_err(|_| io::Error::from(io::ErrorKind::Other))?;
        let (stream, peer) = self.socket.accept().await?;
        Ok((stream, peer, permit))
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, tasks: &Tasks) {
        // Answers are written at once; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        // An IPv6 socket shows IPv4 peers as `::ffff:192.0.2.1`.
        let service = stack(&self.site, peer.ip().to_canonical());
        let open = self.site.metrics.connections.clone();
        let (tls, patience, stopping) = (self.tls.load_full(), self.patience, tasks.clone());
        tasks.spawn(async move {
            open.inc();
            let stream = StallGuard::new(stream, patience.progress);
            match tls {
                None => serve_http1(stream, service, patience, &stopping).await,
                Some(config) => serve_tls((stream, config), service, patience, &stopping).await,
            }
            open.dec();
            drop(permit);
        });
    }
}

async fn serve_tls(
    (stream, config): (StallGuard<TcpStream>, Arc<ServerConfig>),
    service: Stack,
    patience: ListenerTimeouts,
    tasks: &Tasks,
) {
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = match tokio::time::timeout(patience.head, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake timed out"),
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, service, patience, tasks).await;
    } else {
        serve_http1(stream, service, patience, tasks).await;
    }
}

async fn serve_http1<T>(stream: T, service: Stack, patience: ListenerTimeouts, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    serve_connection(connection, None, tasks).await;
}

async fn serve_http2<T>(stream: T, service: Stack, patience: ListenerTimeouts, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = HeadGuard::new(stream, patience.head);
    let streams = Streams::new(patience);
    let service = WatchedService::new(service, Arc::clone(&streams));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Some(patience.head))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    serve_connection(connection, Some(&streams), tasks).await;
}

/// Serves a connection to its end. Its `streams` may end it when it is overdue.
async fn serve_connection<C>(connection: C, streams: Option<&Streams>, tasks: &Tasks)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = std::pin::pin!(connection);
    let mut ending = false;
    let ended = loop {
        let overdue = async {
            match streams {
                Some(streams) => streams.wait_until_overdue().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = tasks.stopping(), if !ending => {
                // Requests in progress are answered in full, then the connection is closed.
                connection.as_mut().graceful_shutdown();
                ending = true;
            }
            overdue = overdue => {
                if ending || overdue == Overdue::Stalled {
                    return tracing::debug!(?overdue, "closing an idle or stalled connection");
                }
                // The end of an answer may still be in transit: the client gets the same time again to read it.
                connection.as_mut().graceful_shutdown();
                ending = true;
                streams.into_iter().for_each(Streams::begin_idle);
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_accepts_are_told_once_a_second() {
        let mut failures = AcceptFailures::default();
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let told: Vec<Option<u64>> = [0, 100, 999, 1000, 1100, 5000].map(|millis| failures.count(at(millis))).to_vec();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
