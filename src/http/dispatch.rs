//! Route, authorise, ask, answer.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use ipnet::IpNet;
use tokio::time::Instant;

use super::body::ResponseBody;
use super::error::Refusal;
use super::hex_message::{self, Told};
use super::installs;
use super::observe::{Story, client_address};
use super::pages;
use super::respond::{self, Facts, HEX_MESSAGE, Wishes};
use super::route::{ApiRoute, Bases, Found, NoRoute, Route, host_name, route};
use crate::admin::Operations;
use crate::api::{Api, Call};
use crate::auth::{Accounts, AuthError, Caller, Denied, Presented, RateLimiter, ReadGrant, Side};
use crate::clock::Clock;
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::hex::resource::{ArtifactName, Resource};
use crate::repository::{
    CacheStatus, Catalog, Context, Installs, Keep, RepoError, Repository, Served, SignedBy, StaleReason,
};
use crate::shutdown::Tasks;
use crate::telemetry::logging::Logging;
use crate::telemetry::metrics::Metrics;

/// What requests are answered by; a reload puts a new one in its place.
#[derive(Debug)]
pub struct Live {
    /// The repositories.
    pub catalog: Arc<Catalog>,
    /// Installers, which are the same below every base.
    pub installs: Arc<Installs>,
    /// Who may do what.
    pub accounts: Arc<Accounts>,
    /// How many requests to the API are answered.
    pub limiter: Arc<RateLimiter>,
    /// What administrators order; gone when the daemon is.
    pub operations: Weak<dyn Operations>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Scheme and authority under which clients reach us, without a slash at the end.
    pub public_url: Arc<str>,
    /// Whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// From request to first byte.
    pub deadline: Duration,
    /// Where changes run to their end, whoever waits for them.
    pub tasks: Tasks,
}

/// What all connections share.
#[derive(Debug)]
pub struct Site {
    /// The present repositories.
    pub live: ArcSwap<Live>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the line of each request goes.
    pub logging: Option<Logging>,
    told: Told,
    api: Api,
}

/// A response, and what the log wants to know of it.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response<ResponseBody>,
    /// For the log.
    pub story: Story,
    /// Who asked.
    pub client: IpAddr,
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
    /// A site that answers by `live`.
    pub fn new(live: Live, metrics: Arc<Metrics>, logging: Option<Logging>) -> Self {
        Self { live: ArcSwap::from_pointee(live), metrics, logging, told: Told::new(), api: Api::new() }
    }

    /// Answers one request from `peer`.
    pub(super) async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let live = self.live.load_full();
        let client = client_address(peer, request.headers(), &live.trusted_proxies);
        let host = request.uri().host();
        let host = host.or_else(|| request.headers().get(HOST).and_then(|host| host.to_str().ok()));
        match route(&*live.catalog, host, request.uri().path()) {
            Ok(Found::Api(found)) => self.ask_api(&live, found, request, client).await,
            Ok(Found::Page(page)) => pages::answer(&live, page, request, client).await,
            Ok(Found::Tarballs(repository)) if request.method() == Method::PUT && repository.is_direct() => {
                self.ask_api(&live, deployment(repository, None), request, client).await
            }
            Ok(Found::Resource(Route { repository, resource: Resource::Tarball(name), .. }))
                if request.method() == Method::PUT && repository.is_direct() =>
            {
                self.ask_api(&live, deployment(repository, Some(&name)), request, client).await
            }
            Ok(Found::Tarballs(_)) => {
                let wishes = Wishes { method: request.method(), headers: request.headers() };
                Answer { response: respond::refusal(wishes, &Refusal::path()), story: Story::default(), client }
            }
            Ok(Found::Resource(found)) if !found.repository.is_direct() => {
                let wishes = Wishes { method: request.method(), headers: request.headers() };
                let refusal = Refusal::from(&NoRoute::UnknownRepository);
                Answer { response: respond::refusal(wishes, &refusal), story: Story::default(), client }
            }
            Ok(Found::Resource(found)) => {
                let (parts, _) = request.into_parts();
                let wishes = Wishes { method: &parts.method, headers: &parts.headers };
                self.ask_repository(&live, found, wishes, client).await
            }
            Err(error) => {
                let wishes = Wishes { method: request.method(), headers: request.headers() };
                // A tarball may be put, though not under this name.
                let is_known = wishes.is_read() || request.method() == Method::PUT;
                let refusal = if is_known { Refusal::from(&error) } else { Refusal::method() };
                Answer { response: respond::refusal(wishes, &refusal), story: Story::default(), client }
            }
        }
    }

    async fn ask_api<B>(&self, live: &Live, found: ApiRoute<Repository>, request: Request<B>, client: IpAddr) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let story =
            Story { repository: found.repository.as_ref().map(|repository| repository.key().clone()), ..Story::api() };
        let call = Call {
            deadline: live.deadline,
            catalog: Arc::clone(&live.catalog),
            accounts: Arc::clone(&live.accounts),
            repository: found.repository,
            named: found.named,
            limiter: Arc::clone(&live.limiter),
            operations: Weak::clone(&live.operations),
            clock: Arc::clone(&live.clock),
            client,
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
                let wishes = Wishes { method: &parts.method, headers: &parts.headers };
                return Answer { response: respond::refusal(wishes, &Refusal::path()), story, client };
            }
        };
        Answer { response: respond::complete(response, is_head), story, client }
    }

    async fn ask_repository(
        &self,
        live: &Live,
        found: Route<Repository>,
        wishes: Wishes<'_>,
        client: IpAddr,
    ) -> Answer {
        let mut story = Story::default();
        if !wishes.is_read() {
            return Answer { response: respond::refusal(wishes, &Refusal::method()), story, client };
        }
        let repository = found.repository;
        // Clients verify an organization with the key of its base: one that we sign makes us sign its organizations.
        let signed_by = match found.base.signature() {
            SignedBy::Own => SignedBy::Own,
            SignedBy::Upstream => repository.signature(),
        };
        story.repository = Some(repository.key().clone());
        let began = Instant::now();
        let question = Question {
            repository: &repository,
            resource: &found.resource,
            signed_by,
            wishes,
            context: Context { deadline: began + live.deadline, client: Some(client) },
            accounts: &live.accounts,
            installs: &live.installs,
            client,
        };
        let mut response = match question.ask(&mut story).await {
            Ok(response) => response,
            Err(refusal) => {
                if refusal.status == StatusCode::BAD_GATEWAY {
                    // All of that time the upstream was waited for, in vain.
                    story.upstream = Some(began.elapsed());
                }
                let mut response = respond::refusal(wishes, &refusal);
                if refusal.withheld {
                    self.tell(&mut response, wishes, &refusal.text);
                }
                response
            }
        };
        let of_repository = !matches!(found.resource, Resource::Installs(_));
        story.resource = Some(found.resource);
        if let Some(CacheStatus::Stale(reason)) = story.cache
            && of_repository
        {
            self.tell_stale(&mut response, wishes, client, repository.key(), reason);
        }
        Answer { response, story, client }
    }

    /// Says something that mix prints, to those that can read it.
    fn tell(&self, response: &mut Response<ResponseBody>, wishes: Wishes<'_>, text: &str) {
        let agent = wishes.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if hex_message::understood_by(agent)
            && let Some(value) = hex_message::value(&format!("hexkeep: {text}"))
        {
            response.headers_mut().insert(HEX_MESSAGE, value);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    fn tell_stale(
        &self,
        response: &mut Response<ResponseBody>,
        wishes: Wishes<'_>,
        client: IpAddr,
        repository: &RepoName,
        reason: StaleReason,
    ) {
        // A refresh in the background is everyday business and nothing to be told.
        if reason == StaleReason::Revalidating {
            return;
        }
        let agent = wishes.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if hex_message::understood_by(agent) && self.told.first(client, repository, self.live.load().clock.now()) {
            let text = match reason {
                StaleReason::Skipped => {
                    format!(
                        "a repository behind {repository} cannot be asked and was left out: packages may be missing"
                    )
                }
                _ => format!("{repository} is served from the cache, its upstream cannot be asked ({})", reason.word()),
            };
            self.tell(response, wishes, &text);
        }
    }
}

/// A tarball that is put into a repository's folder is published by the API, which answers as it does to publishers.
fn deployment(repository: Repository, name: Option<&ArtifactName>) -> ApiRoute<Repository> {
    let path = match name {
        Some(name) => format!("/tarballs/{}/{}", name.package, name.version).replace('+', "%2B"),
        None => "/tarballs".to_owned(),
    };
    ApiRoute { base: repository.clone(), repository: Some(repository), named: true, path }
}

/// What is asked of a repository, by whom and how.
struct Question<'a> {
    repository: &'a Repository,
    resource: &'a Resource,
    signed_by: SignedBy,
    wishes: Wishes<'a>,
    context: Context,
    accounts: &'a Accounts,
    installs: &'a Installs,
    client: IpAddr,
}

impl Question<'_> {
    /// Authorises and asks the repository.
    async fn ask(&self, story: &mut Story) -> Result<Response<ResponseBody>, Refusal> {
        let (repository, wishes) = (self.repository, self.wishes);
        if let Resource::PublicKey = self.resource {
            // Without a credential, whoever asks: clients fetch the key before they have anything else.
            let pem = Bytes::copy_from_slice(repository.public_key(self.signed_by).to_spki_pem().as_bytes());
            return Ok(fixed(wishes, pem));
        }
        if let Resource::Installs(path) = self.resource {
            // Mix sends no credential either.
            return installs::answer(self.installs, path, self.wishes, self.client, self.context, story).await;
        }
        let caller = self.caller().await?;
        let grant = match self.resource {
            Resource::Docs(_) => repository.access().read_docs(&caller),
            _ => repository.access().read(&caller),
        };
        let grant = grant.map_err(|denied| Refusal::from(&denied))?;
        let refuse = |error| match (error, &caller) {
            (RepoError::Withheld, Caller::Anonymous) => Refusal::from(&Denied::NeedsCredential),
            (error, _) => refuse(error),
        };
        let response = match self.resource {
            Resource::PublicKey | Resource::Installs(_) => return Err(Refusal::internal()),
            Resource::Registry(resource) => {
                let served = repository.registry(&grant, resource, self.signed_by, self.context).await;
                let served = served.map_err(refuse)?;
                story_of(story, &served);
                let (resource, keep) = served.value;
                let facts = Facts { etag: Some(resource.etag().to_owned()), keep, status: served.status };
                respond::whole(wishes, &facts, resource.body().clone())
            }
            Resource::Tarball(name) => self.tarball(&grant, name, story).await.map_err(refuse)?,
            Resource::Docs(name) => {
                let served = repository.docs(&grant, name, self.context).await.map_err(refuse)?;
                story_of(story, &served);
                let (docs, keep) = served.value;
                let facts = Facts { etag: Some(quoted(&docs.digest)), keep, status: served.status };
                if facts.not_modified(wishes) {
                    respond::unchanged(&facts)
                } else {
                    respond::artifact(wishes, &facts, docs.artifact)
                }
            }
        };
        Ok(if grant.is_public() { response } else { respond::private(response) })
    }

    /// Who asks. Most requests carry nothing and cost nothing.
    async fn caller(&self) -> Result<Caller, Refusal> {
        let headers = self.wishes.headers;
        let Some(authorization) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let presented =
            Presented { authorization: Some(authorization.as_bytes()), otp: None, address: self.client, agent };
        let side = Side::Repository { open: self.repository.access().is_open() };
        self.accounts.authenticate(presented, side).await.map_err(|error: AuthError| Refusal::from(&error))
    }

    /// The ETag is known from the index: a client that has the file, or asks for its headers, starts no fill.
    async fn tarball(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        story: &mut Story,
    ) -> Result<Response<ResponseBody>, RepoError> {
        let (repository, wishes, context) = (self.repository, self.wishes, self.context);
        let conditional = wishes.headers.contains_key(http::header::IF_NONE_MATCH);
        if conditional || wishes.method == Method::HEAD {
            let served = repository.tarball_head(grant, name, context).await?;
            story_of(story, &served);
            let head = served.value;
            let facts = Facts { etag: head.digest.as_ref().map(quoted), keep: head.keep, status: served.status };
            if facts.not_modified(wishes) {
                return Ok(respond::unchanged(&facts));
            }
            if wishes.method == Method::HEAD {
                let length = repository.tarball_length(&head).await?;
                return Ok(respond::head(&facts, length));
            }
        }
        let served = repository.tarball(grant, name, context).await?;
        story_of(story, &served);
        let (proven, keep) = served.value;
        let facts = Facts { etag: Some(quoted(&proven.digest)), keep, status: served.status };
        Ok(respond::artifact(wishes, &facts, proven.artifact))
    }
}

/// A body that this program makes itself.
fn fixed(wishes: Wishes<'_>, bytes: Bytes) -> Response<ResponseBody> {
    let facts = Facts {
        etag: Some(quoted(&Sha256::of(&bytes))),
        keep: Keep::For(Duration::from_secs(300)),
        status: CacheStatus::Hit,
    };
    respond::text(wishes, &facts, bytes)
}

pub(super) fn quoted(digest: &Sha256) -> String {
    format!("\"{digest}\"")
}

pub(super) fn story_of<T>(story: &mut Story, served: &Served<T>) {
    story.cache = Some(served.status);
    story.upstream = served.upstream;
}

pub(super) fn refuse(error: RepoError) -> Refusal {
    let chain = &error as &dyn std::error::Error;
    match &error {
        RepoError::Internal(_) | RepoError::Local(_) => {
            tracing::error!(error = chain, "a request could not be answered")
        }
        // The fetch that failed has said so, once for all who waited for it.
        _ => tracing::debug!(error = chain, "a request is refused"),
    }
    Refusal::from(&error)
}
