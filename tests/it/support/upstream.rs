//! A scripted upstream: a real HTTP server on a port of its own that does what the test says, however rude.
//!
//! ```ignore
//! let upstream = ScriptedUpstream::start().await;
//! upstream.serve("/names", names);                              // 200 with an ETag; 304, 206 and HEAD work
//! upstream.script("/names", [Step::status(503), Step::route().cut_after(10)]);   // the next two requests only
//! let remote = HttpUpstream::new(&UpstreamOptions::new(upstream.url()), clock)?; // …
//! upstream.wait_for_calls_to("/names", 2).await;                // no sleep: returns when they have arrived
//! assert_eq!(upstream.calls_to("/names")[0].header("if-none-match"), None);
//! ```
//! Which answer a request gets, first match: the queue of its path ([`script`](ScriptedUpstream::script)), the standing
//! step of its path ([`always`](ScriptedUpstream::always)), the standing step for everything
//! ([`everything`](ScriptedUpstream::everything)), the route table ([`serve`](ScriptedUpstream::serve)), 404.
//! Paths begin with `/`. Dropping the server ends it and every connection.

mod script;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) use script::{Gate, Recorded, Step};
use script::{HangUp, ScriptedBody, What};

use super::SAFETY;

/// The server. All methods take `&self`, so it can be shared by reference or `Arc`.
#[derive(Debug)]
pub(crate) struct ScriptedUpstream {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    script: Arc<Script>,
    power: Mutex<Power>,
}

#[derive(Debug)]
enum Power {
    On {
        listener: Arc<TcpListener>,
        /// The one task that accepts.
        acceptor: JoinSet<()>,
        connections: Arc<Mutex<JoinSet<()>>>,
    },
    /// Keeps the port without listening: connections are refused, and nobody else can take it.
    Off(TcpSocket),
    /// Between the two.
    Switching,
}

/// What the table has under a path.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) body: Bytes,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

#[derive(Debug, Default)]
struct Plan {
    routes: HashMap<String, Route>,
    queues: HashMap<String, VecDeque<Step>>,
    standing: HashMap<String, Step>,
    everything: Option<Step>,
}

#[derive(Debug)]
struct Script {
    plan: Mutex<Plan>,
    calls: watch::Sender<Vec<Recorded>>,
    /// Requests whose answer is not finished.
    open: watch::Sender<usize>,
}

impl ScriptedUpstream {
    /// Starts on a free port of 127.0.0.1, over plain HTTP/1.1. Needs a tokio runtime.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same over TLS (see [`super::tls`]); HTTP/2 where `h2` is negotiated.
    pub(crate) async fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(config)).await
    }

    async fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let socket = hold("127.0.0.1:0".parse().unwrap());
        let address = socket.local_addr().unwrap();
        let script = Arc::new(Script {
            plan: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
            open: watch::Sender::new(0),
        });
        let power = Mutex::new(power_on(socket.listen(1024).unwrap(), &tls, &script));
        Self { address, tls, script, power }
    }

    /// The base URL, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Puts bytes under a path, with an `ETag` made from them.
    pub(crate) fn serve(&self, path: &str, body: impl Into<Bytes>) {
        let body = body.into();
        let etag = Some(etag_of(&body));
        self.serve_route(path, Route { body, etag, last_modified: None });
    }

    /// Puts bytes and validators under a path.
    pub(crate) fn serve_route(&self, path: &str, route: Route) {
        assert!(path.starts_with('/'), "{path}");
        self.script.plan.lock().routes.insert(path.to_owned(), route);
    }

    /// Takes a path off the table: 404 from now on.
    pub(crate) fn forget(&self, path: &str) {
        self.script.plan.lock().routes.remove(path);
    }

    /// Adds answers for the next requests to a path, one each.
    pub(crate) fn script(&self, path: &str, steps: impl IntoIterator<Item = Step>) {
        assert!(path.starts_with('/'), "{path}");
        self.script.plan.lock().queues.entry(path.to_owned()).or_default().extend(steps);
    }

    /// The answer to every request to a path that has no queue.
    pub(crate) fn always(&self, path: &str, step: Step) {
        assert!(path.starts_with('/'), "{path}");
        self.script.plan.lock().standing.insert(path.to_owned(), step);
    }

    /// The answer to every request that has neither queue nor standing step; `None` goes back to the table.
    pub(crate) fn everything(&self, step: Option<Step>) {
        self.script.plan.lock().everything = step;
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn calls(&self) -> Vec<Recorded> {
        self.script.calls.borrow().clone()
    }

    /// The requests after the first `count`.
    pub(crate) fn calls_since(&self, count: usize) -> Vec<Recorded> {
        self.script.calls.borrow()[count..].to_vec()
    }

    /// The requests to one path.
    pub(crate) fn calls_to(&self, path: &str) -> Vec<Recorded> {
        self.script.calls.borrow().iter().filter(|call| call.path == path).cloned().collect()
    }

    /// Waits until at least `count` requests have arrived in all.
    pub(crate) async fn wait_for_calls(&self, count: usize) {
        reach(&self.script.calls, "calls", |calls| calls.len() >= count).await;
    }

    /// Waits until at least `count` requests to `path` have arrived.
    pub(crate) async fn wait_for_calls_to(&self, path: &str, count: usize) {
        reach(&self.script.calls, path, |calls| calls.iter().filter(|call| call.path == path).count() >= count).await;
    }

    /// Waits until no answer is under way: all are sent or their clients gone.
    pub(crate) async fn wait_until_idle(&self) {
        reach(&self.script.open, "idleness", |open| *open == 0).await;
    }

    /// Drops every connection and refuses new ones, until [`switch_on`](Self::switch_on); routes and scripts stay.
    pub(crate) async fn switch_off(&self) {
        let power = std::mem::replace(&mut *self.power.lock(), Power::Switching);
        let Power::On { listener, mut acceptor, connections } = power else { panic!("switched off twice") };
        acceptor.shutdown().await;
        let mut connections = std::mem::take(&mut *connections.lock());
        connections.shutdown().await;
        // Closing it would not do: a process that another test starts has everything of ours open for a moment.
        SockRef::from(&*listener).shutdown(Shutdown::Both).unwrap();
        let socket = hold(self.address);
        // Not earlier: a free port is anybody's.
        drop(listener);
        *self.power.lock() = Power::Off(socket);
    }

    /// Listens again, on the same port.
    pub(crate) fn switch_on(&self) {
        let mut power = self.power.lock();
        let Power::Off(socket) = std::mem::replace(&mut *power, Power::Switching) else { panic!("it is on") };
        *power = power_on(socket.listen(1024).unwrap(), &self.tls, &self.script);
    }
}

/// The strong tag that [`ScriptedUpstream::serve`] gives to bytes.
pub(crate) fn etag_of(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

async fn reach<T>(watched: &watch::Sender<T>, what: &str, wanted: impl FnMut(&T) -> bool) {
    let mut receiver = watched.subscribe();
    let reached = tokio::time::timeout(SAFETY, receiver.wait_for(wanted)).await;
    assert!(reached.is_ok(), "waited {SAFETY:?} for {what} in vain");
}

/// Takes a port without listening, beside a socket that does not listen any more.
fn hold(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn power_on(listener: TcpListener, tls: &Option<Arc<ServerConfig>>, script: &Arc<Script>) -> Power {
    let connections = Arc::new(Mutex::new(JoinSet::new()));
    let mut acceptor = JoinSet::new();
    let listener = Arc::new(listener);
    let (tls, script, kept) = (tls.clone(), Arc::clone(script), Arc::clone(&connections));
    let accepting = Arc::clone(&listener);
    acceptor.spawn(async move {
        while let Ok((stream, _)) = accepting.accept().await {
            kept.lock().spawn(connection(stream, tls.clone(), Arc::clone(&script)));
        }
    });
    Power::On { listener, acceptor, connections }
}

async fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, script: Arc<Script>) {
    // A failed handshake or a broken connection is what some tests are about.
    if let Some(config) = tls {
        let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        speak(stream, http2, script).await;
    } else {
        speak(stream, false, script).await;
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool, script: Arc<Script>) {
    let service = service_fn(move |request| Arc::clone(&script).answer(request));
    let io = TokioIo::new(stream);
    let _ended = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

impl Script {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ScriptedBody>, HangUp> {
        let call = Recorded {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        let mut step = self.next_step(&call.path);
        let open = Open::new(&self);
        self.calls.send_modify(|calls| calls.push(call.clone()));
        if let Some(gate) = step.gate.take() {
            gate.pass().await;
        }
        while let What::Decide(decide) = &step.what {
            step = decide(&call);
        }
        let (status, headers, content) = match step.what.clone() {
            What::Route => self.plan.lock().routes.get(&call.path).map_or_else(missing, |route| route.answer(&call)),
            What::Answer(status, body) => (status, HeaderMap::new(), Some(body)),
            What::Endless => (StatusCode::OK, HeaderMap::new(), None),
            What::Never => std::future::pending().await,
            What::HangUp | What::Decide(_) => return Err(HangUp),
        };
        Ok(step.respond(status, headers, content, open))
    }

    fn next_step(&self, path: &str) -> Step {
        let mut plan = self.plan.lock();
        let queued = plan.queues.get_mut(path).and_then(VecDeque::pop_front);
        queued
            .or_else(|| plan.standing.get(path).cloned())
            .or_else(|| plan.everything.clone())
            .unwrap_or_else(Step::route)
    }
}

type Answer = (StatusCode, HeaderMap, Option<Bytes>);

fn missing() -> Answer {
    (StatusCode::NOT_FOUND, HeaderMap::new(), Some("no such path".into()))
}

impl Route {
    /// 200, 304 or 206, as a well-behaved server would (`If-None-Match`, `If-Modified-Since`, `If-Range`, one range).
    fn answer(&self, call: &Recorded) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ETAG, &self.etag), (LAST_MODIFIED, &self.last_modified)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let not_modified = match (call.header("if-none-match"), &self.etag) {
            (Some(tags), Some(etag)) => tags.split(',').any(|tag| tag.trim() == etag),
            (Some(_), None) => false,
            (None, _) => {
                call.header("if-modified-since").is_some_and(|date| Some(date) == self.last_modified.as_deref())
            }
        };
        if not_modified {
            return (StatusCode::NOT_MODIFIED, headers, Some(Bytes::new()));
        }
        let same = call.header("if-range").is_none_or(|tag| Some(tag) == self.etag.as_deref());
        let range = call.header("range").filter(|_| same).and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return (StatusCode::OK, headers, Some(self.body.clone()));
        };
        let total = self.body.len();
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(total, |last: usize| (last + 1).min(total));
        if first >= end {
            headers.insert(CONTENT_RANGE, format!("bytes */{total}").parse().unwrap());
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers, Some(Bytes::new()));
        }
        headers.insert(CONTENT_RANGE, format!("bytes {first}-{}/{total}", end - 1).parse().unwrap());
        (StatusCode::PARTIAL_CONTENT, headers, Some(self.body.slice(first..end)))
    }
}

/// Counts a request as open while it lives.
struct Open(Arc<Script>);

impl Open {
    fn new(script: &Arc<Script>) -> Self {
        script.open.send_modify(|open| *open += 1);
        Self(Arc::clone(script))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}
