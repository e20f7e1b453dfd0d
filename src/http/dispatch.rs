//! Dispatches a request: finds its route, then calls the API, a page or a repository.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use ipnet::IpNet;
use tokio::time::Instant;

use super::body::ResponseBody;
use super::error::Refusal;
use super::forwarded::{self, Client};
use super::hex_message::{self, HiddenMessages, StaleMessages};
use super::malformed_heads;
use super::observe::RequestSummary;
use super::pages;
use super::repository_request::{HiddenNotice, RepositoryRequest};
use super::respond::{self, HEX_MESSAGE, ResponsePreferences};
use super::route::{ApiRoute, Bases, NoRoute, Route, RouteTarget, host_name, route};
use super::same_site::is_foreign_write;
use super::unread_body::{LentBody, UnreadBody};
use crate::api::{Api, ApiContext, BaseUrl, CurrentConfiguration};
use crate::auth::{Accounts, RateLimiter};
use crate::clock::Clock;
use crate::hex::name::RepoName;
use crate::hex::resource::{ArtifactName, Resource, RouteError};
use crate::operations::Operations;
use crate::repository::{
    CacheStatus, Catalog, FetchLog, Installs, KeyRing, Repository, RequestContext, SignedBy, StaleReason,
};
use crate::shutdown::Tasks;
use crate::telemetry::logging::Logging;
use crate::telemetry::metrics::Metrics;

/// The services and settings that answer requests. A reload replaces them as a whole.
#[derive(Debug)]
pub struct LiveState {
    /// The repositories.
    pub catalog: Arc<Catalog>,
    /// The installers of Hex, Rebar and OTP, which are the same below every base path.
    pub installs: Arc<Installs>,
    /// The signing keys.
    pub keys: Arc<KeyRing>,
    /// All accounts.
    pub accounts: Arc<Accounts>,
    /// The rate limiter of the API.
    pub limiter: Arc<RateLimiter>,
    /// The log of delivered files and their recipients.
    pub fetch_log: Arc<FetchLog>,
    /// The service that runs administrative commands; gone when the daemon stops.
    pub operations: Weak<dyn Operations>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Scheme and authority of this server as clients use them, without a trailing slash.
    pub public_url: Arc<str>,
    /// The networks of proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The time limit from the request to the first byte of the answer.
    pub deadline: Duration,
    /// The time limit from the first byte of an upload to its last.
    pub upload_time: Duration,
    /// Runs writes to their end, even if the client disconnects.
    pub tasks: Tasks,
}

/// The state that all connections share.
#[derive(Debug)]
pub struct Site {
    /// The current services and settings.
    pub live: Arc<ArcSwap<LiveState>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The access log, if any.
    pub logging: Option<Logging>,
    told: StaleMessages,
    told_of_hidden: HiddenMessages,
    api: Api,
}

/// A response, and the data about it for the log.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response<ResponseBody>,
    /// The data for the log.
    pub summary: RequestSummary,
    /// The IP address of the client.
    pub client: IpAddr,
}

impl CurrentConfiguration for ArcSwap<LiveState> {
    fn configuration(&self) -> (Arc<Catalog>, Arc<Accounts>) {
        let live = self.load();
        (Arc::clone(&live.catalog), Arc::clone(&live.accounts))
    }
}

impl Bases for Catalog {
    type Repository = Repository;

    fn by_host(&self, host: &str) -> Option<Self::Repository> {
        Self::by_host(self, &host_name(host)).cloned()
    }

    fn default_base(&self) -> Self::Repository {
        self.default_repository().clone()
    }

    fn by_key(&self, key: &str) -> Option<Self::Repository> {
        self.get(key).cloned()
    }
}

impl Site {
    /// A site that answers with `live`.
    pub fn new(live: LiveState, metrics: Arc<Metrics>, logging: Option<Logging>) -> Self {
        Self {
            live: Arc::new(ArcSwap::from_pointee(live)),
            metrics,
            logging,
            told: StaleMessages::new(),
            told_of_hidden: HiddenMessages::new(),
            api: Api::new(),
        }
    }

    /// Answers one request from `peer`. The unread rest of its body is read and dropped while the answer is sent.
    pub(super) async fn answer<B>(
        &self,
        request: Box<Request<LentBody<B>>>,
        unread: UnreadBody<B>,
        peer: IpAddr,
    ) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Unpin + Send + 'static,
    {
        let answer = self.find(request, peer).await;
        unread.drain_behind(&self.live.load().tasks);
        answer
    }

    /// Routes the request and answers it.
    async fn find<B>(&self, request: Box<Request<B>>, peer: IpAddr) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let live = self.live.load_full();
        let asker = forwarded::client(peer, request.headers(), &live.trusted_proxies);
        let client = asker.address;
        if let Some(refusal) = malformed_heads::fault(&request) {
            let response = respond::last_refusal(ResponsePreferences::of(&request), &refusal);
            return Answer { response, summary: RequestSummary::default(), client };
        }
        let head = (request.method(), request.uri(), request.headers());
        if is_foreign_write(head, &live.public_url, |host| live.catalog.by_host(host).is_some()) {
            let wishes = ResponsePreferences::of(&request);
            let response = respond::refusal(wishes, &Refusal::foreign(&live.public_url));
            return Answer { response, summary: RequestSummary::default(), client };
        }
        let host = request.uri().host();
        let host = host.or_else(|| request.headers().get(HOST).and_then(|host| host.to_str().ok()));
        match route(&*live.catalog, host, request.uri().path()) {
            // Rare branches are boxed: otherwise the size of their futures would slow down every cache hit.
            Ok(RouteTarget::Api(found)) => Box::pin(self.ask_api(&live, found, *request, asker)).await,
            Ok(RouteTarget::Page(page)) => Box::pin(pages::answer(&live, page, *request, client)).await,
            Ok(RouteTarget::Tarballs(repository))
                if request.method() == Method::PUT && repository.identity().direct =>
            {
                let found = deployment(repository, None, request.uri().path());
                Box::pin(self.ask_api(&live, found, *request, asker)).await
            }
            Ok(RouteTarget::Resource(Route { repository, resource: Resource::Tarball(name), key: None, .. }))
                if request.method() == Method::PUT && repository.identity().direct =>
            {
                let found = deployment(repository, Some(&name), request.uri().path());
                Box::pin(self.ask_api(&live, found, *request, asker)).await
            }
            Ok(RouteTarget::Tarballs(_)) => {
                let wishes = ResponsePreferences::of(&request);
                Answer {
                    response: respond::refusal(wishes, &Refusal::path()),
                    summary: RequestSummary::default(),
                    client,
                }
            }
            Ok(RouteTarget::Resource(found)) if !found.repository.identity().direct => {
                let wishes = ResponsePreferences::of(&request);
                let refusal = Refusal::from(&NoRoute::UnknownRepository);
                Answer { response: respond::refusal(wishes, &refusal), summary: RequestSummary::default(), client }
            }
            Ok(RouteTarget::Resource(found)) => {
                let (parts, _) = request.into_parts();
                let wishes = ResponsePreferences::of_head(&parts);
                self.ask_repository(&live, found, wishes, client).await
            }
            Err(error) => {
                let wishes = ResponsePreferences::of(&request);
                // A tarball can be uploaded to this folder, but not under this name.
                let is_known = wishes.is_read() || request.method() == Method::PUT;
                let is_tarball = request.uri().path().contains("/tarballs/");
                let refusal = match error {
                    _ if !is_known => Refusal::method(),
                    NoRoute::Path(RouteError::BadName(_)) if is_tarball && !wishes.is_read() => Refusal::tarball_name(),
                    error => Refusal::from(&error),
                };
                Answer { response: respond::refusal(wishes, &refusal), summary: RequestSummary::default(), client }
            }
        }
    }

    async fn ask_api<B>(
        &self,
        live: &LiveState,
        found: ApiRoute<Repository>,
        request: Request<B>,
        asker: Client,
    ) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let client = asker.address;
        let story = RequestSummary {
            repository: found.repository.as_ref().map(|repository| repository.key().clone()),
            ..RequestSummary::api()
        };
        let call = ApiContext {
            deadline: live.deadline,
            upload_time: live.upload_time,
            catalog: Arc::clone(&live.catalog),
            accounts: Arc::clone(&live.accounts),
            repository: found.repository,
            named: found.named,
            base: base(live, &request, found.api, found.files),
            limiter: Arc::clone(&live.limiter),
            operations: Weak::clone(&live.operations),
            clock: Arc::clone(&live.clock),
            client,
            is_this_machine: asker.is_this_machine,
            current: Arc::clone(&self.live) as Arc<dyn CurrentConfiguration>,
            public_url: Arc::clone(&live.public_url),
            tasks: live.tasks.clone(),
        };
        let is_head = request.method() == Method::HEAD;
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let response = match Uri::try_from(format!("{}{query}", found.path)) {
            Ok(uri) => {
                parts.uri = uri;
                self.api.answer(Request::from_parts(parts, axum::body::Body::new(body)), call).await
            }
            Err(_) => {
                let wishes = ResponsePreferences::of_head(&parts);
                return Answer { response: respond::refusal(wishes, &Refusal::path()), summary: story, client };
            }
        };
        Answer { response: respond::complete(response, is_head), summary: story, client }
    }

    async fn ask_repository(
        &self,
        live: &LiveState,
        found: Route<Repository>,
        wishes: ResponsePreferences<'_>,
        client: IpAddr,
    ) -> Answer {
        let mut story = RequestSummary::default();
        if !wishes.is_read() {
            return Answer { response: respond::refusal(wishes, &Refusal::method()), summary: story, client };
        }
        let repository = found.repository;
        // Clients verify an organization with the public key of its base repository. If this server signs the base, it
        // must also sign its organizations.
        let signed_by = match found.base.signature() {
            SignedBy::Own => SignedBy::Own,
            SignedBy::Upstream => repository.signature(),
        };
        let key = match &found.key {
            None => None,
            Some(id) => match live.keys.get(id).filter(|_| signed_by == SignedBy::Own) {
                Some(key) => Some(key),
                None => return Answer { response: respond::refusal(wishes, &Refusal::key()), summary: story, client },
            },
        };
        story.repository = Some(repository.key().clone());
        let began = Instant::now();
        let question = RepositoryRequest {
            repository: &repository,
            resource: &found.resource,
            signed_by,
            key,
            wishes,
            context: RequestContext { deadline: began + live.deadline, client: Some(client) },
            accounts: &live.accounts,
            installs: &live.installs,
            fetch_log: &live.fetch_log,
            client,
        };
        let mut hiding = None;
        let mut response = match question.ask(&mut story).await {
            Ok(answered) => {
                hiding = answered.hiding;
                answered.response
            }
            Err(refusal) => {
                if refusal.status == StatusCode::BAD_GATEWAY {
                    // The whole time was spent waiting for the upstream, without an answer.
                    story.upstream = Some(began.elapsed());
                }
                let mut response = respond::refusal(wishes, &refusal);
                if refusal.withheld {
                    self.add_message(&mut response, wishes, &refusal.text);
                }
                response
            }
        };
        let of_repository = !matches!(found.resource, Resource::Installs(_));
        story.resource = Some(found.resource);
        if let Some(CacheStatus::Stale(reason)) = story.cache
            && of_repository
        {
            self.add_stale_message(&mut response, wishes, client, repository.key(), reason);
        }
        // An answer contains at most one message.
        if let Some(hiding) = hiding
            && !response.headers().contains_key(HEX_MESSAGE)
        {
            self.add_hidden_message(&mut response, wishes, client, repository.key(), &hiding);
        }
        Answer { response, summary: story, client }
    }

    fn add_hidden_message(
        &self,
        response: &mut Response<ResponseBody>,
        wishes: ResponsePreferences<'_>,
        client: IpAddr,
        repository: &RepoName,
        hiding: &HiddenNotice,
    ) {
        let actor = hiding.caller.principal().and_then(|principal| principal.by().actor);
        let who = (client, actor, repository.clone(), hiding.package.clone());
        if self.told_of_hidden.is_due(who, self.live.load().clock.now())
            && let Some(text) = hiding.answer.notice(&hiding.package)
        {
            self.add_message(response, wishes, &text);
        }
    }

    /// Adds a message that mix prints, if the client can read it.
    fn add_message(&self, response: &mut Response<ResponseBody>, wishes: ResponsePreferences<'_>, text: &str) {
        let agent = wishes.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if hex_message::understood_by(agent)
            && let Some(value) = hex_message::value(&format!("hexkeep: {text}"))
        {
            response.headers_mut().insert(HEX_MESSAGE, value);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    fn add_stale_message(
        &self,
        response: &mut Response<ResponseBody>,
        wishes: ResponsePreferences<'_>,
        client: IpAddr,
        repository: &RepoName,
        reason: StaleReason,
    ) {
        // A refresh in the background is normal and needs no message.
        if reason == StaleReason::Revalidating {
            return;
        }
        let agent = wishes.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if hex_message::understood_by(agent)
            && self.told.is_due((client, repository.clone()), self.live.load().clock.now())
        {
            let text = match reason {
                StaleReason::Skipped => {
                    format!("a member of {repository} is unavailable and was left out: packages may be missing")
                }
                _ => format!(
                    "{repository} is served from the cache, because its upstream is unavailable ({})",
                    reason.word()
                ),
            };
            self.add_message(response, wishes, &text);
        }
    }
}

/// A tarball that is uploaded to a repository's folder is published through the API, which answers in the API's format.
fn deployment(repository: Repository, name: Option<&ArtifactName>, asked: &str) -> ApiRoute<Repository> {
    let path = match name {
        Some(name) => format!("/tarballs/{}/{}", name.package, name.version).replace('+', "%2B"),
        None => "/tarballs".to_owned(),
    };
    let files = asked.rsplit_once("/tarballs").map_or("", |(files, _)| files).trim_end_matches('/').to_owned();
    let api = format!("{files}/api");
    ApiRoute { base: repository.clone(), repository: Some(repository), named: true, path, api, files: Some(files) }
}

/// The base URL of an API request: the host of a repository, or the usual address of the server.
fn base<B>(live: &LiveState, request: &Request<B>, api: String, files: Option<String>) -> BaseUrl {
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(http::uri::Authority::as_str).or_else(header);
    let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    let by_host = authority
        .filter(is_plain)
        .and_then(|authority| Some((authority, live.catalog.by_host(&host_name(authority))?)));
    let (server, root) = match by_host {
        Some((authority, root)) => {
            let scheme = live.public_url.split_once("://").map_or("http", |(scheme, _)| scheme);
            (format!("{scheme}://{authority}").into(), root)
        }
        None => (Arc::clone(&live.public_url), live.catalog.default_repository()),
    };
    BaseUrl { server, files, api, root: root.clone() }
}
