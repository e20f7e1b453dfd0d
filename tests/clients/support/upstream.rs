//! A folder over HTTP, as an object store behind a CDN serves one; it counts, and it can be switched off.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

#[derive(Debug)]
pub(crate) struct StaticUpstream {
    address: SocketAddr,
    calls: Calls,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl StaticUpstream {
    pub(crate) fn serve(folder: &Path) -> Self {
        let calls = Calls::default();
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let state = (folder.to_path_buf(), Arc::clone(&calls));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, state) => {}
                    _ = stopped => {}
                }
            });
            // Dropping the runtime closes the listener and every connection.
        });
        Self { address: address.recv().unwrap(), calls, running: Some((stop, thread)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses every connection from now on.
    pub(crate) fn switch_off(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }

    /// How often each tarball was asked for, by file name.
    pub(crate) fn tarball_calls(&self) -> BTreeMap<String, usize> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter_map(|(path, n)| Some((path.strip_prefix("/tarballs/")?.to_owned(), *n))).collect()
    }
}

impl Drop for StaticUpstream {
    fn drop(&mut self) {
        self.switch_off();
    }
}

async fn accept(listener: TcpListener, state: (PathBuf, Calls)) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&state.0, &state.1, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(folder: &Path, calls: &Calls, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().replace("%2B", "+");
    *calls.lock().unwrap().entry(path.clone()).or_default() += 1;
    let inside = path.split('/').all(|segment| segment != "..");
    let Some(body) = inside.then(|| std::fs::read(folder.join(path.trim_start_matches('/'))).ok()).flatten() else {
        return response(StatusCode::NOT_FOUND, None, Bytes::from_static(b"no such key\n"));
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
    let etag = format!("\"{}\"", hex::encode(digest));
    let known = request.headers().get("if-none-match").is_some_and(|value| value.as_bytes() == etag.as_bytes());
    if known {
        return response(StatusCode::NOT_MODIFIED, Some(etag), Bytes::new());
    }
    response(StatusCode::OK, Some(etag), Bytes::from(body))
}

fn response(status: StatusCode, etag: Option<String>, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    if let Some(etag) = etag {
        response = response.header("etag", etag);
    }
    response.body(Full::new(body)).unwrap()
}
