//! Writes one log line and updates the metrics for every request, when its response body has ended.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};

use super::body::ResponseBody;
use super::dispatch::Site;
use crate::auth::without_secrets;
use crate::hex::name::RepoName;
use crate::hex::resource::{RegistryResource, Resource};
use crate::repository::{BodyError, CacheStatus, Served};
use crate::telemetry::access::AccessLine;
use crate::telemetry::metrics::{RequestKind, RequestLabels, Word};

/// The subject of a request and how it was answered, for the log.
#[derive(Clone, Debug, Default)]
pub struct RequestSummary {
    /// The repository.
    pub repository: Option<RepoName>,
    /// The resource.
    pub resource: Option<Resource>,
    /// The status of the cache.
    pub cache: Option<CacheStatus>,
    /// The time spent waiting for the upstream.
    pub upstream: Option<Duration>,
    /// The kind of a request that is not for a resource of a repository: `api`, `page`.
    pub other: Option<&'static str>,
}

impl RequestSummary {
    /// A request to the API.
    pub fn api() -> Self {
        Self { other: Some("api"), ..Self::default() }
    }

    /// A request for a page.
    pub fn page() -> Self {
        Self { other: Some("page"), ..Self::default() }
    }

    fn kind(&self) -> &'static str {
        match &self.resource {
            None => self.other.unwrap_or("-"),
            Some(Resource::Registry(RegistryResource::Names)) => "names",
            Some(Resource::Registry(RegistryResource::Versions)) => "versions",
            Some(Resource::Registry(RegistryResource::Package(_))) => "package",
            Some(Resource::Registry(RegistryResource::Policy(_))) => "policy",
            Some(Resource::Tarball(_)) => "tarball",
            Some(Resource::Docs(_)) => "docs",
            Some(Resource::PublicKey) => "public_key",
            Some(Resource::Installs(_)) => "installs",
        }
    }

    fn package(&self) -> (&str, &str) {
        match &self.resource {
            Some(Resource::Registry(RegistryResource::Package(name))) => (name.as_str(), "-"),
            Some(Resource::Tarball(name) | Resource::Docs(name)) => (name.package.as_str(), name.version.as_str()),
            _ => ("-", "-"),
        }
    }
}

/// Copies the cache's data about an answer.
pub(super) fn story_of<T>(story: &mut RequestSummary, served: &Served<T>) {
    story.cache = Some(served.status);
    story.upstream = served.upstream;
}

/// The id of a request: a random prefix for the process, and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// The next id.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static START: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| fastrand::u64(..));
        Self(START.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The id as the value of a header.
    pub fn header(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.to_string()).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The longest logged path in bytes; the rest is cut off.
const LOGGED_PATH: usize = 256;

/// The logged status if the client disconnects before the answer (499, as in nginx).
const CLIENT_LEFT: u16 = 499;

/// The record of a request. It is written to the log and the metrics when it is dropped: with the response body, or
/// earlier.
pub(super) struct Record {
    pub(super) id: RequestId,
    began: Instant,
    client: IpAddr,
    method: Method,
    path: Box<str>,
    status: u16,
    story: RequestSummary,
    sent: u64,
    outcome: RequestOutcome,
    site: Arc<Site>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestOutcome {
    /// The whole answer was sent.
    Complete,
    /// The client disconnected before that.
    ClientLeft,
    /// The response body failed, and the connection was closed.
    Cut,
}

impl RequestOutcome {
    fn word(self) -> &'static str {
        match self {
            Self::Complete => "ok",
            Self::ClientLeft => "client_left",
            Self::Cut => "cut",
        }
    }
}

impl Record {
    /// The record of a new request from `peer`.
    pub(super) fn new(method: Method, path: &str, peer: IpAddr, site: Arc<Site>) -> Self {
        let path = without_secrets(path);
        let end = path.ceil_char_boundary(LOGGED_PATH);
        Self {
            id: RequestId::next(),
            began: Instant::now(),
            client: peer,
            method,
            path: path.get(..end).unwrap_or_default().into(),
            status: CLIENT_LEFT,
            story: RequestSummary::default(),
            sent: 0,
            outcome: RequestOutcome::ClientLeft,
            site,
        }
    }

    /// Sets the answer of the request; its body is sent next.
    pub(super) fn answered(&mut self, status: u16, story: RequestSummary, client: IpAddr) {
        self.status = status;
        self.story = story;
        self.client = client;
    }
}

/// A response body with the record of its request.
pub struct ObservedBody {
    inner: ResponseBody,
    length: u64,
    record: Record,
}

impl ObservedBody {
    pub(super) fn new(inner: ResponseBody, record: Record) -> Self {
        Self { length: inner.left(), inner, record }
    }
}

impl fmt::Debug for ObservedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Body for ObservedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &frame {
            self.record.outcome = RequestOutcome::Cut;
            tracing::error!(
                request_id = %self.record.id, error = error as &dyn std::error::Error,
                "a response body failed: the connection is closed so that the client detects the incomplete answer"
            );
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        self.record.sent = self.length.saturating_sub(self.inner.left());
        if self.record.outcome != RequestOutcome::Cut && self.inner.left() == 0 {
            self.record.outcome = RequestOutcome::Complete;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let record = &*self;
        let took = record.began.elapsed();
        let cache = record.story.cache.map_or("-", CacheStatus::word);
        let kind = record.story.kind();
        let repository = record.story.repository.as_ref().map_or("-", RepoName::as_str);
        let metrics = &record.site.metrics;
        metrics.sent_bytes.inc_by(record.sent);
        let word = record.story.repository.as_ref().map_or_else(Word::none, |name| Word(name.shared()));
        let labels = RequestLabels { repository: word, kind, status: record.status, cache };
        metrics.requests.get_or_create(&labels).inc();
        metrics.request_seconds.get_or_create(&RequestKind { kind, cache }).observe(took.as_secs_f64());
        if record.outcome == RequestOutcome::ClientLeft {
            metrics.aborted.inc();
        }
        let (package, version) = record.story.package();
        if let Some(logging) = &record.site.logging {
            logging.access(&AccessLine {
                request_id: record.id.0,
                client: record.client,
                method: record.method.as_str(),
                path: &record.path,
                repository,
                package,
                version,
                status: record.status,
                cache,
                reason: record.story.cache.and_then(CacheStatus::reason).unwrap_or("-"),
                upstream_ms: record.story.upstream.map_or(0, millis),
                ms: millis(took),
                bytes: record.sent,
                outcome: record.outcome.word(),
            });
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
