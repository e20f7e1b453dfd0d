//! Builds responses with the headers that clients depend on (client-protocol §1.4–§1.6).
//!
//! There is never a `Content-Encoding`, since registry resources are themselves gzip files. There is never a redirect.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::body::ResponseBody;
use super::conditional::{self, RangePart};
use super::error::Refusal;
use crate::hex::checksum::Sha256;
use crate::hex::if_none_match;
use crate::repository::{Artifact, CacheLifetime, CacheStatus, Delivered, DeliveryAnswer, DeliveryReceipt, Served};

const CACHE: HeaderName = HeaderName::from_static("x-hexkeep-cache");
pub(super) const HEX_MESSAGE: HeaderName = HeaderName::from_static("x-hex-message");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The parts of a request that determine the form of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponsePreferences<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// The version of HTTP, which the answer also uses.
    pub(super) version: Version,
}

impl<'a> ResponsePreferences<'a> {
    /// The preferences of a request.
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self { method: request.method(), headers: request.headers(), version: request.version() }
    }

    /// The preferences in the head of a request.
    pub(super) fn of_head(parts: &'a Parts) -> Self {
        Self { method: &parts.method, headers: &parts.headers, version: parts.version }
    }

    /// Whether the request only reads.
    pub(super) fn is_read(self) -> bool {
        *self.method == Method::GET || *self.method == Method::HEAD
    }
}

/// The headers that describe the body of an answer.
#[derive(Clone, Debug)]
pub(super) struct EntityFacts {
    pub(super) etag: Option<String>,
    pub(super) keep: CacheLifetime,
    pub(super) status: CacheStatus,
}

impl EntityFacts {
    /// Whether the client already has this version of the body.
    pub(super) fn not_modified(&self, wishes: ResponsePreferences<'_>) -> bool {
        self.etag.as_deref().is_some_and(|etag| if_none_match::names(wishes.headers, etag))
    }

    fn write(&self, headers: &mut HeaderMap) {
        if let Some(etag) = self.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(ETAG, etag);
        }
        headers.insert(CACHE_CONTROL, cache_control(self.keep));
        headers.insert(CACHE, cache_header(self.status));
    }
}

fn cache_control(keep: CacheLifetime) -> HeaderValue {
    match keep {
        CacheLifetime::Immutable => HeaderValue::from_static("public, max-age=604800, immutable"),
        CacheLifetime::Revalidate => HeaderValue::from_static("public, max-age=0, must-revalidate"),
        CacheLifetime::For(time) if time == Duration::from_secs(60) => HeaderValue::from_static("public, max-age=60"),
        CacheLifetime::For(time) => HeaderValue::from_str(&format!("public, max-age={}", time.as_secs()))
            .unwrap_or(HeaderValue::from_static("no-cache")),
    }
}

fn cache_header(status: CacheStatus) -> HeaderValue {
    match status {
        CacheStatus::Hit => HeaderValue::from_static("hit"),
        other => HeaderValue::from_str(&other.to_string()).unwrap_or(HeaderValue::from_static("hit")),
    }
}

/// Marks an answer that needed a credential as private: no shared cache may store it.
pub(super) fn private(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let Some(value) = response.headers_mut().get_mut(CACHE_CONTROL) {
        let text = value.to_str().unwrap_or_default().replace("public", "private");
        *value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("private, no-cache"));
    }
    response
}

/// An answer of the API; its body is complete.
pub(super) fn complete(response: Response<Bytes>, is_head: bool) -> Response<ResponseBody> {
    let length = response.body().len();
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = response.map(|bytes| if is_head { ResponseBody::empty() } else { ResponseBody::whole(bytes) });
    if !bodiless {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// 304: the client already has the body.
pub(super) fn unchanged(facts: &EntityFacts) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    facts.write(response.headers_mut());
    response
}

/// 200 for a HEAD request; the length of the body may be unknown.
pub(super) fn head(facts: &EntityFacts, length: Option<u64>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, OCTETS);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    facts.write(headers);
    response
}

/// A registry resource or another small body in memory.
pub(super) fn whole(wishes: ResponsePreferences<'_>, facts: &EntityFacts, bytes: Bytes) -> Response<ResponseBody> {
    if facts.not_modified(wishes) {
        return unchanged(facts);
    }
    artifact(wishes, facts, Artifact::Memory(bytes), None)
}

/// A tarball or a documentation archive, or its headers. This is the only function that delivers these files.
pub(super) fn delivered(wishes: ResponsePreferences<'_>, served: Served<Delivered>) -> Response<ResponseBody> {
    let Served { value, status, .. } = served;
    let facts = EntityFacts { etag: value.digest().as_ref().map(quoted), keep: value.keep(), status };
    match value.into_answer() {
        (DeliveryAnswer::File(file), receipt) => artifact(wishes, &facts, file, receipt),
        (DeliveryAnswer::Unchanged, _) => unchanged(&facts),
        (DeliveryAnswer::Head(length), _) => head(&facts, length),
    }
}

/// An artifact or the requested part of it, with the receipt that is written before its last byte is sent.
pub(super) fn artifact(
    wishes: ResponsePreferences<'_>,
    facts: &EntityFacts,
    artifact: Artifact,
    receipt: Option<DeliveryReceipt>,
) -> Response<ResponseBody> {
    let length = artifact.length();
    let etag = facts.etag.as_deref().unwrap_or_default();
    // A file that is still being downloaded can only be sent in order.
    let part = match &artifact {
        Artifact::Filling(_) => RangePart::Whole,
        Artifact::Memory(_) | Artifact::Stored(_) => conditional::part(wishes.headers, length, etag),
    };
    let (status, range) = match part {
        RangePart::Whole => (StatusCode::OK, 0..length),
        RangePart::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
        RangePart::Unsatisfiable => {
            let mut response = refusal(wishes, &Refusal::range());
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                response.headers_mut().insert(CONTENT_RANGE, range);
            }
            return response;
        }
    };
    let sent = range.end - range.start;
    let content_range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| HeaderValue::from_str(&format!("bytes {}-{}/{length}", range.start, range.end - 1)).ok())
        .flatten();
    let body = match *wishes.method {
        Method::HEAD => ResponseBody::empty(),
        _ => ResponseBody::artifact(artifact, range, wishes.version, receipt),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, OCTETS);
    headers.insert(CONTENT_LENGTH, sent.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = content_range {
        headers.insert(CONTENT_RANGE, range);
    }
    facts.write(headers);
    response
}

/// A body that this program generates.
pub(super) fn fixed(wishes: ResponsePreferences<'_>, bytes: Bytes) -> Response<ResponseBody> {
    let facts = EntityFacts {
        etag: Some(quoted(&Sha256::of(&bytes))),
        keep: CacheLifetime::For(Duration::from_secs(300)),
        status: CacheStatus::Hit,
    };
    text(wishes, &facts, bytes)
}

/// A digest as an entity tag.
pub(super) fn quoted(digest: &Sha256) -> String {
    format!("\"{digest}\"")
}

/// A public key in PEM format.
pub(super) fn text(wishes: ResponsePreferences<'_>, facts: &EntityFacts, bytes: Bytes) -> Response<ResponseBody> {
    let mut response = whole(wishes, facts, bytes);
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// An error answer after which the connection is closed, because the end of the request's body cannot be found.
pub(super) fn last_refusal(wishes: ResponsePreferences<'_>, refused: &Refusal) -> Response<ResponseBody> {
    let mut response = refusal(wishes, refused);
    // HTTP/2 has no such field: each request ends by itself.
    if wishes.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An error answer: one line of text.
pub(super) fn refusal(wishes: ResponsePreferences<'_>, refusal: &Refusal) -> Response<ResponseBody> {
    let line = Bytes::from(format!("{}\n", refusal.text));
    let length = line.len();
    let body = if wishes.method == Method::HEAD { ResponseBody::empty() } else { ResponseBody::whole(line) };
    let mut response = Response::new(body);
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"hex\""));
    }
    response
}
