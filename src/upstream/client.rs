//! Sends one request to an upstream over HTTP, and follows its redirects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LOCATION, RANGE,
};
use reqwest::{Client, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::body::{Bounds, Head};
use super::error::{Problem, ProtocolProblem, RedirectProblem, url_without_secrets};
use super::limits::{DEFAULT_RETRY_AFTER, MAX_BODY_TIME, MAX_REDIRECTS};
use super::options::{BuildError, authorization, has_user_info, is_http, is_loopback, parse_base, proxy, proxy_hosts};
use super::redirect_targets::{self, Hop, Lookup, Network, RealNetwork};
use super::{
    Fetched, Upstream, UpstreamBody, UpstreamError, UpstreamOptions, UpstreamRequest, UpstreamState, after, headers,
};
use crate::clock::Clock;

/// An upstream that is reached over HTTP/1.1 or HTTP/2, with rustls. Sends each request once.
pub struct HttpUpstream {
    base: Url,
    authorization: Option<HeaderValue>,
    /// The client for the configured origin; the only one with the client certificate.
    origin: Client,
    /// The client for redirects within the origin of an upstream whose address is not public.
    same_origin: Client,
    /// The client for all other redirects. It connects to public addresses only.
    public: Client,
    lookup: Lookup,
    /// Whether a proxy may be used. Then the address of the target is unknown.
    is_proxied: bool,
    has_identity: bool,
    read_timeout: Duration,
    slots: Arc<Semaphore>,
    /// The clock, needed if `Retry-After` is a date.
    clock: Arc<dyn Clock>,
}

impl HttpUpstream {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// An option that cannot be used.
    pub fn new(options: &UpstreamOptions, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Self::on_network(options, clock, Arc::new(RealNetwork))
    }

    /// The same on a given network, for tests.
    ///
    /// # Errors
    /// An option that cannot be used.
    pub fn on_network(
        options: &UpstreamOptions,
        clock: Arc<dyn Clock>,
        network: Arc<dyn Network>,
    ) -> Result<Self, BuildError> {
        let base = parse_base(&options.url)?;
        if options.concurrency == 0 {
            return Err(BuildError::Concurrency);
        }
        let identity = options
            .client_cert
            .as_deref()
            .map(reqwest::Identity::from_pem)
            .transpose()
            .map_err(BuildError::ClientCert)?;
        let proxies: Arc<[String]> = proxy_hosts(options, &base).into();
        let lookup = |public_only| Lookup { network: Arc::clone(&network), public_only, proxies: Arc::clone(&proxies) };
        let again = client(options, &base, None, lookup(false))?;
        let public = client(options, &base, None, lookup(true))?;
        let has_identity = identity.is_some();
        let origin = if has_identity { client(options, &base, identity, lookup(false))? } else { again.clone() };
        Ok(Self {
            authorization: options.credentials.as_ref().map(authorization).transpose()?,
            is_proxied: !proxies.is_empty(),
            base,
            origin,
            same_origin: again,
            public,
            lookup: lookup(true),
            has_identity,
            read_timeout: options.read_timeout,
            slots: Arc::new(Semaphore::new(options.concurrency.min(Semaphore::MAX_PERMITS))),
            clock,
        })
    }

    /// The base URL without secrets.
    pub(super) fn address(&self) -> String {
        url_without_secrets(&self.base)
    }

    /// The URL of the request. Each segment of the path is encoded as needed. Dot segments are left out, so that the
    /// URL never leads above the base.
    fn url_of(&self, request: &UpstreamRequest) -> Url {
        let mut url = self.base.clone();
        // URLs with http or https always have path segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path.split('/'));
        }
        url.set_query(request.query.as_deref());
        url
    }

    /// Waits for a slot, sends the request, and follows redirects. Afterwards `progress.at` is the URL that answered or
    /// failed, and `progress.sent` says whether a request was sent.
    ///
    /// Cancel safety: the slot moves into the body that is returned; in every other case it is freed on return or drop.
    async fn request(&self, request: &UpstreamRequest, progress: &mut Progress) -> Result<Fetched, Problem> {
        let slot = match timeout_at(progress.deadline, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) if Instant::now() < progress.deadline => slot,
            // No slot became free, or only after the deadline.
            _ => return Err(Problem::Busy),
        };
        progress.sent = true;
        let asked = RequestHeaders::of(request);
        let mut redirects = 0;
        let mut hop = None;
        loop {
            let response = self.send(&asked, hop, progress).await?;
            request.heard.set();
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => {
                    if redirects == MAX_REDIRECTS {
                        return Err(RedirectProblem::TooMany.into());
                    }
                    redirects += 1;
                    let to = next_hop(&progress.at, response.headers())?;
                    let is_public = self.answers_publicly(&response);
                    hop =
                        Some(redirect_targets::decide(&progress.at, &to, request.redirects, is_public, &self.lookup)?);
                    progress.at = to;
                }
                _ => {
                    let trusted_us_with = redirects == 0 && (self.authorization.is_some() || self.has_identity);
                    return self.judge(response, request, &asked, trusted_us_with, slot, progress);
                }
            }
        }
    }

    /// Sends one request and waits for the head of its answer. Credentials are sent with the first request only, not to
    /// the target of a redirect, even in the same origin: the upstream chose that target, not the configuration.
    async fn send(&self, asked: &RequestHeaders, hop: Option<Hop>, progress: &Progress) -> Result<Response, Problem> {
        let client = match hop {
            None => &self.origin,
            Some(Hop::Same) => &self.same_origin,
            Some(Hop::ToPublic) => &self.public,
        };
        let first = hop.is_none();
        let mut request = client.get(progress.at.clone()).headers(asked.headers.clone());
        if let Some(authorization) = self.authorization.as_ref().filter(|_| first) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let silence_ends = after(Instant::now(), self.read_timeout);
        match timeout_at(silence_ends.min(progress.deadline), request.send()).await {
            Ok(answer) => answer.map_err(Problem::before_head),
            Err(_) if silence_ends < progress.deadline => Err(Problem::Idle(self.read_timeout)),
            Err(_) => Err(Problem::Deadline),
        }
    }

    /// Whether the server that answered has a public address. Behind a proxy the address is unknown. Then it counts as
    /// public, unless the URL contains an address that is not.
    fn answers_publicly(&self, response: &Response) -> bool {
        let seen = response.remote_addr().filter(|_| !self.is_proxied).map(|address| address.ip());
        let address = seen.or_else(|| redirect_targets::literal(response.url()));
        address.is_none_or(|address| self.lookup.network.is_public(address))
    }

    /// Interprets an answer that is not a redirect. `credentialed`: whether credentials were sent.
    fn judge(
        &self,
        response: Response,
        request: &UpstreamRequest,
        asked: &RequestHeaders,
        credentialed: bool,
        slot: OwnedSemaphorePermit,
        progress: &Progress,
    ) -> Result<Fetched, Problem> {
        let status = response.status().as_u16();
        let pause = || headers::retry_after(response.headers(), self.clock.now());
        match status {
            200 => {}
            206 if asked.range.is_none() => return Err(ProtocolProblem::UnaskedPartial.into()),
            206 => {}
            304 if asked.validator => return Ok(Fetched::NotModified),
            304 => return Err(ProtocolProblem::UnaskedNotModified.into()),
            404 | 410 => return Ok(Fetched::Missing { status }),
            403 if !credentialed => return Ok(Fetched::Missing { status }),
            401 | 403 => return Err(Problem::Refused(status)),
            429 => return Err(Problem::RateLimited(pause().unwrap_or(DEFAULT_RETRY_AFTER))),
            503 => return Err(pause().map_or(Problem::Status(status), Problem::RateLimited)),
            400.. => return Err(Problem::Status(status)),
            _ => return Err(ProtocolProblem::UnexpectedStatus(status).into()),
        }
        if headers::is_encoded(response.headers()) {
            return Err(ProtocolProblem::ContentEncoding.into());
        }
        let announced = response.content_length();
        let length = match (status, asked.range) {
            (206, Some(offset)) => {
                let rest = headers::rest_from(response.headers(), offset).ok_or(ProtocolProblem::ContentRange)?;
                if announced.is_some_and(|announced| announced != rest) {
                    return Err(ProtocolProblem::ContentRange.into());
                }
                Some(rest)
            }
            _ => announced,
        };
        if length.is_some_and(|length| length > request.max_body) {
            return Err(Problem::TooLarge(request.max_body));
        }
        let head = Head {
            status,
            length,
            etag: headers::etag(response.headers()),
            last_modified: headers::last_modified(response.headers()),
        };
        let bounds = Bounds {
            max_body: request.max_body,
            idle: self.read_timeout,
            deadline: progress.deadline,
            latest: after(Instant::now(), MAX_BODY_TIME),
        };
        let subject = url_without_secrets(&progress.at);
        Ok(Fetched::Body(UpstreamBody::new(head, response, slot, bounds, subject, progress.started)))
    }
}

impl Upstream for HttpUpstream {
    /// # Cancel safety
    /// Dropping the future cancels the request and frees its slot.
    fn fetch(&self, request: UpstreamRequest, deadline: Instant) -> BoxFuture<'_, Result<Fetched, UpstreamError>> {
        Box::pin(async move {
            let mut progress = Progress { at: self.url_of(&request), sent: false, started: Instant::now(), deadline };
            self.request(&request, &mut progress).await.map_err(|problem| {
                let Progress { at, sent, started, .. } = &progress;
                UpstreamError::new(problem, url_without_secrets(at), u32::from(*sent), started.elapsed())
                    .with_answered(request.heard.is_set())
            })
        })
    }

    fn state(&self) -> UpstreamState {
        UpstreamState::Online
    }
}

impl fmt::Debug for HttpUpstream {
    /// Only the address, because the clients contain the proxy and its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpstream").field("url", &self.address()).finish_non_exhaustive()
    }
}

/// The progress of a request.
struct Progress {
    at: Url,
    sent: bool,
    started: Instant,
    deadline: Instant,
}

/// The headers of a request, and the answers that they allow.
struct RequestHeaders {
    headers: HeaderMap,
    /// Whether 304 is a valid answer.
    validator: bool,
    /// The offset from which a 206 is a valid answer.
    range: Option<u64>,
}

impl RequestHeaders {
    fn of(request: &UpstreamRequest) -> Self {
        let mut asked = Self { headers: HeaderMap::new(), validator: false, range: None };
        if request.refresh {
            asked.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(from) = &request.range_from {
            // A weak tag does not promise equal bytes, and the rest of one file must not be joined to the beginning of
            // another.
            if headers::is_strong(&from.etag) && asked.put(IF_RANGE, &from.etag) {
                asked.put(RANGE, &format!("bytes={}-", from.offset));
                asked.range = Some(from.offset);
            }
            return asked;
        }
        for (name, value) in [(IF_NONE_MATCH, &request.etag), (IF_MODIFIED_SINCE, &request.last_modified)] {
            if let Some(value) = value {
                asked.validator |= asked.put(name, value);
            }
        }
        asked
    }

    /// Adds a header if its value is valid. A request without a validator is always correct, but transfers more.
    fn put(&mut self, name: HeaderName, value: &str) -> bool {
        HeaderValue::from_str(value).map(|value| self.headers.insert(name, value)).is_ok()
    }
}

/// The target of a redirect, if it may be followed.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, RedirectProblem> {
    let mut locations = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else { return Err(RedirectProblem::Location) };
    let location = location.to_str().map_err(|_| RedirectProblem::Location)?;
    let to = from.join(location).map_err(|_| RedirectProblem::Location)?;
    if !is_http(&to) {
        Err(RedirectProblem::Scheme)
    } else if from.scheme() == "https" && to.scheme() == "http" {
        Err(RedirectProblem::Downgrade)
    } else if has_user_info(&to) {
        Err(RedirectProblem::UserInfo)
    } else {
        Ok(to)
    }
}

fn client(
    options: &UpstreamOptions,
    base: &Url,
    identity: Option<reqwest::Identity>,
    lookup: Lookup,
) -> Result<Client, BuildError> {
    let user_agent = HeaderValue::from_str(&options.user_agent).map_err(|_| BuildError::UserAgent)?;
    let mut builder = Client::builder()
        .user_agent(user_agent)
        // `HttpUpstream` follows redirects itself, without sending the credentials.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .dns_resolver(Arc::new(lookup))
        .connect_timeout(options.connect_timeout);
    if let Some(url) = &options.proxy {
        builder = builder.proxy(proxy(url)?);
    } else if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if let Some(pem) = &options.ca_file {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| BuildError::CaFile(Some(error)))?;
        if roots.is_empty() {
            return Err(BuildError::CaFile(None));
        }
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build().map_err(BuildError::Tls)
}

#[cfg(test)]
mod tests;
