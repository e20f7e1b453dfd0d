//! Connections: accepted, encrypted, served, and ended in good order.

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
use tokio_rustls::TlsAcceptor;

use super::dispatch::Site;
use super::stack::{Stack, stack};
use super::stall::{PATIENCE, StallGuard};
use crate::shutdown::Tasks;

/// How long a request's head, or a TLS handshake, may take; and how long a connection may be kept without a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Header fields of a request; clients send fewer than ten.
const MAX_HEADERS: usize = 64;

/// Bytes of a request's head, and of a connection's write buffer.
const MAX_BUFFER: usize = 64 * 1024;

/// After a failed accept (usually: no file descriptors left) the listener rests, so that it does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The public listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    site: Arc<Site>,
    /// Set where TLS is spoken; a reload may replace the certificate.
    tls: Arc<ArcSwapOption<ServerConfig>>,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Listens on a bound socket.
    pub fn new(
        socket: TcpListener,
        site: Arc<Site>,
        tls: Arc<ArcSwapOption<ServerConfig>>,
        max_connections: usize,
    ) -> Self {
        Self { socket, site, tls, connections: Arc::new(Semaphore::new(max_connections)) }
    }

    /// The address it is bound to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `tasks` are told to stop; connections run as members of `tasks`.
    pub async fn run(self, tasks: Tasks) {
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => self.begin(stream, peer, permit, &tasks),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// A place below the limit first, then a connection: those over it wait in the kernel's queue. Cancel safe.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit =
            Arc::clone(&self.connections).acquire_owned().await.map_err(|_| io::Error::from(io::ErrorKind::Other))?;
        let (stream, peer) = self.socket.accept().await?;
        Ok((stream, peer, permit))
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, tasks: &Tasks) {
        // Answers are written whole; waiting to merge them with later bytes only delays them.
        let _ = stream.set_nodelay(true);
        let service = stack(&self.site, peer.ip());
        let open = self.site.metrics.connections.clone();
        let (tls, stopping) = (self.tls.load_full(), tasks.clone());
        tasks.spawn(async move {
            open.inc();
            let stream = StallGuard::new(stream, PATIENCE);
            match tls {
                None => serve_http1(stream, service, &stopping).await,
                Some(config) => serve_tls(stream, service, config, &stopping).await,
            }
            open.dec();
            drop(permit);
        });
    }
}

async fn serve_tls(stream: StallGuard<TcpStream>, service: Stack, config: Arc<ServerConfig>, tasks: &Tasks) {
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = match tokio::time::timeout(HEAD_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, service, tasks).await;
    } else {
        serve_http1(stream, service, tasks).await;
    }
}

async fn serve_http1<T>(stream: T, service: Stack, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    to_the_end(connection, tasks).await;
}

async fn serve_http2<T>(stream: T, service: Stack, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    to_the_end(connection, tasks).await;
}

async fn to_the_end<C>(connection: C, tasks: &Tasks)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tasks.stopping() => {
            // What is under way is answered in full, then the connection closes.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
