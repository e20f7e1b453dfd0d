//! An upstream for measurements: serves what a function says, with tags and 304, and counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Requests so far, and those of them that a tag was the answer to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) unchanged: u64,
}

/// A server that runs until its runtime ends.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
    unchanged: Arc<AtomicU64>,
}

impl Upstream {
    /// Serves what `body` has for a path; what it has nothing for is a 404.
    pub(crate) async fn start(body: impl Fn(&str) -> Option<Bytes> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (body, requests, unchanged) = (Arc::new(body), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let upstream = Self { address, requests: Arc::clone(&requests), unchanged: Arc::clone(&unchanged) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (body, requests, unchanged) = (Arc::clone(&body), Arc::clone(&requests), Arc::clone(&unchanged));
                let service = service_fn(move |request: Request<Incoming>| {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let response = answer(&request, body(request.uri().path()));
                    unchanged.fetch_add(u64::from(response.status() == 304), Ordering::Relaxed);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        upstream
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { requests: self.requests.load(Ordering::Relaxed), unchanged: self.unchanged.load(Ordering::Relaxed) }
    }
}

fn answer(request: &Request<Incoming>, body: Option<Bytes>) -> Response<Full<Bytes>> {
    let Some(body) = body else { return Response::builder().status(404).body(Full::default()).unwrap() };
    let etag = format!("\"{}\"", Sha256::of(&body));
    if request.headers().get("if-none-match").is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        return Response::builder().status(304).header("etag", etag).body(Full::default()).unwrap();
    }
    Response::builder().header("etag", etag).body(Full::new(body)).unwrap()
}
