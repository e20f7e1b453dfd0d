//! The ops listener for monitoring: `/live`, `/ready` and `/metrics`.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::shutdown::Tasks;

/// Time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the program that the listener reports.
pub trait Health: Send + Sync + fmt::Debug {
    /// Whether the daemon accepts requests: it has started and is not stopping. It is ready even if an upstream is
    /// down.
    fn is_ready(&self) -> bool;
    /// The metrics as OpenMetrics text.
    fn metrics(&self) -> String;
}

/// The bound ops listener.
#[derive(Debug)]
pub struct OpsListener {
    socket: TcpListener,
    health: Arc<dyn Health>,
}

impl OpsListener {
    /// Creates the listener on a bound socket.
    pub fn new(socket: TcpListener, health: Arc<dyn Health>) -> Self {
        Self { socket, health }
    }

    /// The address of the listener.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves requests until `tasks` stop.
    pub async fn run(self, tasks: Tasks) {
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                accepted = self.socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the ops listener");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let health = Arc::clone(&self.health);
            let stopping = tasks.clone();
            tasks.spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(&*health, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(%error, "a connection to the ops listener ended with an error");
                    },
                    () = stopping.stopping() => {}
                }
            });
        }
    }
}

fn answer<B>(health: &dyn Health, request: &Request<B>) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/live") => (StatusCode::OK, "text/plain", "live\n".to_owned()),
        (&Method::GET, "/ready") if health.is_ready() => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
        (&Method::GET, "/ready") => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n".to_owned()),
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", health.metrics())
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "not found: this listener serves /live, /ready and /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
