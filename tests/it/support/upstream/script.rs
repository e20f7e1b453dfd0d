//! What the scripted upstream answers: [`Step`]s, and the [`Gate`]s that hold them back until the test says so.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::Semaphore;

/// A response body of the scripted upstream.
pub(crate) type ScriptedBody = UnsyncBoxBody<Bytes, io::Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    /// Without the query; begins with `/`.
    pub(crate) path: String,
    /// The whole request target: absolute when the upstream was addressed as a proxy.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl Recorded {
    /// The value of a header, if it is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok();
        if values.next().is_some() { None } else { value }
    }
}

/// Holds an answer back until the test lets it pass; instead of a sleep. Clones are the same gate.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets `count` passers through (for a dripping body: pieces), now or when they come.
    pub(crate) fn release(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.0.close();
    }

    pub(super) async fn pass(&self) {
        // An error says that the gate is open for good.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

type Decide = dyn Fn(&Recorded) -> Step + Send + Sync;

/// One answer. Start from a constructor, add what should be different; a step can be cloned and used again.
///
/// ```ignore
/// Step::ok("bytes").header("etag", "\"1\"").gated(&gate)   // head only after gate.release(1)
/// Step::route().cut_after(100)                             // what the table has, cut off
/// Step::ok(vec![0; 4096]).drip(1024, &gate)                // 1 KiB a release
/// ```
#[derive(Clone)]
pub(crate) struct Step {
    pub(super) what: What,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) gate: Option<Gate>,
    cut: Option<usize>,
    drip: Option<(usize, Gate)>,
    chunked: bool,
}

#[derive(Clone)]
pub(super) enum What {
    /// As the route table says.
    Route,
    Answer(StatusCode, Bytes),
    Endless,
    Never,
    HangUp,
    Decide(Arc<Decide>),
}

impl Step {
    pub(super) fn new(what: What) -> Self {
        Self { what, headers: Vec::new(), gate: None, cut: None, drip: None, chunked: false }
    }

    /// What the table has for the path (404 if nothing), conditions and ranges honoured.
    pub(crate) fn route() -> Self {
        Self::new(What::Route)
    }

    /// 200 with these bytes, whatever the conditions of the request.
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self::new(What::Answer(StatusCode::OK, body.into()))
    }

    /// A status with a short text as its body.
    pub(crate) fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let body = if status == StatusCode::NOT_MODIFIED { Bytes::new() } else { "scripted".into() };
        Self::new(What::Answer(status, body))
    }

    /// A redirect with this status.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// 429, with a `Retry-After` if given.
    pub(crate) fn too_many(retry_after: Option<&str>) -> Self {
        let step = Self::status(429);
        if let Some(value) = retry_after { step.header("retry-after", value) } else { step }
    }

    /// 200 and a body that does not end.
    pub(crate) fn endless() -> Self {
        Self::new(What::Endless)
    }

    /// Takes the request and says nothing until the other side goes away.
    pub(crate) fn never() -> Self {
        Self::new(What::Never)
    }

    /// Takes the request and closes the connection.
    pub(crate) fn hang_up() -> Self {
        Self::new(What::HangUp)
    }

    /// Asks a function what to answer, which may look at the request; its step's own gate is not waited for.
    pub(crate) fn decide(decide: impl Fn(&Recorded) -> Self + Send + Sync + 'static) -> Self {
        Self::new(What::Decide(Arc::new(decide)))
    }

    /// Adds a header; it replaces what the answer had under that name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.parse().unwrap(), value.parse().unwrap()));
        self
    }

    /// Waits at the gate before the head is sent.
    pub(crate) fn gated(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Closes the connection after `bytes` of the body, though `Content-Length` (or the chunking) promises more.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Sends the body in pieces of `bytes`, each waiting at the gate.
    pub(crate) fn drip(mut self, bytes: usize, gate: &Gate) -> Self {
        self.drip = Some((bytes, gate.clone()));
        self
    }

    /// Leaves out `Content-Length`.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The response; `guard` lives as long as its body.
    pub(super) fn respond(
        self,
        status: StatusCode,
        headers: HeaderMap,
        content: Option<Bytes>,
        guard: impl Send + 'static,
    ) -> Response<ScriptedBody> {
        let endless = content.is_none();
        let rest = content.unwrap_or_default();
        let length = rest.len();
        let flow = Flow { rest, endless, left: self.cut, drip: self.drip, _guard: guard };
        let body = StreamBody::new(stream::unfold(flow, Flow::next).boxed());
        let mut response = Response::new(BodyExt::boxed_unsync(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if !endless && !self.chunked && status != StatusCode::NOT_MODIFIED {
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("headers", &self.headers).field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// A body on its way.
struct Flow<G> {
    rest: Bytes,
    endless: bool,
    left: Option<usize>,
    drip: Option<(usize, Gate)>,
    _guard: G,
}

impl<G> Flow<G> {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, io::Error>, Self)> {
        const PIECE: &[u8] = &[b'x'; 16 * 1024];
        if self.left == Some(0) {
            // The server writes out what it has whenever the body is pending, and drops it on an error: let it write.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            return Some((Err(io::Error::other("cut as scripted")), self));
        }
        if self.rest.is_empty() && !self.endless {
            return None;
        }
        if let Some((_, gate)) = &self.drip {
            gate.pass().await;
        }
        let size = self.drip.as_ref().map_or(PIECE.len(), |(size, _)| *size).min(self.left.unwrap_or(usize::MAX));
        let piece = if self.endless {
            Bytes::from_static(PIECE).split_to(size.min(PIECE.len()))
        } else {
            self.rest.split_to(size.min(self.rest.len()))
        };
        self.left = self.left.map(|left| left - piece.len());
        Some((Ok(Frame::data(piece)), self))
    }
}

/// Why the service drops a connection.
#[derive(Debug)]
pub(super) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up as scripted")
    }
}

impl std::error::Error for HangUp {}
