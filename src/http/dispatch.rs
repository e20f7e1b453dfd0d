//! Route, authorise, ask, answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use ipnet::IpNet;
use tokio::time::Instant;

use super::body::ResponseBody;
use super::error::Refusal;
use super::hex_message::{self, Told};
use super::observe::{Story, client_address};
use super::respond::{self, Facts, HEX_MESSAGE, Wishes};
use super::route::{Bases, NoRoute, host_name, route};
use crate::auth::{Caller, ReadGrant};
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::hex::resource::{ArtifactName, Resource};
use crate::repository::{
    CacheStatus, Catalog, Context, Keep, RemoteRepository, RepoError, Served, SignedBy, StaleReason,
};
use crate::telemetry::logging::Logging;
use crate::telemetry::metrics::Metrics;

/// What requests are answered by; a reload puts a new one in its place.
#[derive(Debug)]
pub struct Live {
    /// The repositories.
    pub catalog: Catalog,
    /// Whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// From request to first byte.
    pub deadline: Duration,
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
    type Repository = Arc<RemoteRepository>;

    fn by_host(&self, host: &str) -> Option<Self::Repository> {
        Self::by_host(self, &host_name(host)).map(Arc::clone)
    }

    fn default_base(&self) -> Self::Repository {
        Arc::clone(self.default_repository())
    }

    fn by_key(&self, key: &str) -> Option<Self::Repository> {
        self.get(key).map(Arc::clone)
    }
}

impl Site {
    /// A site that answers by `live`.
    pub fn new(live: Live, metrics: Arc<Metrics>, logging: Option<Logging>) -> Self {
        Self { live: ArcSwap::from_pointee(live), metrics, logging, told: Told::new() }
    }

    /// Answers one request from `peer`. The request's body is not looked at.
    pub(super) async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Answer {
        let live = self.live.load_full();
        let (parts, _) = request.into_parts();
        let wishes = Wishes { method: &parts.method, headers: &parts.headers };
        let client = client_address(peer, &parts.headers, &live.trusted_proxies);
        let mut story = Story::default();
        let host = parts.uri.host().or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let found = match route(&live.catalog, host, parts.uri.path()) {
            Ok(found) if reads => found,
            // A publisher hears that there is no API: rebar3 takes a status that it does not know for success.
            Err(error) if reads || error == NoRoute::Api => {
                let response = respond::refusal(wishes, &Refusal::from(&error));
                return Answer { response, story, client };
            }
            Ok(_) | Err(_) => {
                return Answer { response: respond::refusal(wishes, &Refusal::method()), story, client };
            }
        };
        let repository = found.repository;
        // Clients verify an organization with the key of its base: one that we sign makes us sign its organizations.
        let signed_by = match found.base.signature() {
            SignedBy::Own => SignedBy::Own,
            SignedBy::Upstream => repository.signature(),
        };
        story.repository = Some(repository.key().clone());
        let began = Instant::now();
        let context = Context { deadline: began + live.deadline };
        let mut response = match ask(&repository, &found.resource, signed_by, wishes, context, &mut story).await {
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
        story.resource = Some(found.resource);
        if let Some(CacheStatus::Stale(reason)) = story.cache {
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
        if hex_message::understood_by(agent) && self.told.first(client, repository) {
            let text =
                format!("{repository} is served from the cache, its upstream cannot be asked ({})", reason.word());
            self.tell(response, wishes, &text);
        }
    }
}

/// Authorises and asks the repository.
async fn ask(
    repository: &Arc<RemoteRepository>,
    resource: &Resource,
    signed_by: SignedBy,
    wishes: Wishes<'_>,
    context: Context,
    story: &mut Story,
) -> Result<Response<ResponseBody>, Refusal> {
    if let Resource::PublicKey = resource {
        // Without a credential, whoever asks: clients fetch the key before they have anything else.
        let pem = Bytes::copy_from_slice(repository.public_key(signed_by).to_spki_pem().as_bytes());
        return Ok(fixed(wishes, pem));
    }
    let grant = repository.access().read(&Caller::Anonymous).map_err(|denied| Refusal::from(&denied))?;
    match resource {
        Resource::PublicKey => Err(Refusal::internal()),
        // Hex asks once a day for a newer version of itself; an empty list says that there is none.
        Resource::HexInstalls => Ok(fixed(wishes, Bytes::new())),
        Resource::Registry(resource) => {
            let served = repository.registry(&grant, resource, signed_by, context).await.map_err(refuse)?;
            story_of(story, &served);
            let (resource, keep) = served.value;
            let facts = Facts { etag: Some(resource.etag().to_owned()), keep, status: served.status };
            Ok(respond::whole(wishes, &facts, resource.body().clone()))
        }
        Resource::Tarball(name) => tarball(repository, &grant, name, wishes, context, story).await,
        Resource::Docs(name) => {
            let served = repository.docs(&grant, name, context).await.map_err(refuse)?;
            story_of(story, &served);
            let (docs, keep) = served.value;
            let facts = Facts { etag: Some(quoted(&docs.digest)), keep, status: served.status };
            if facts.not_modified(wishes) {
                return Ok(respond::unchanged(&facts));
            }
            Ok(respond::artifact(wishes, &facts, docs.artifact))
        }
    }
}

/// The ETag is known from the index: a client that has the file, or asks for its headers, starts no fill.
async fn tarball(
    repository: &Arc<RemoteRepository>,
    grant: &ReadGrant,
    name: &ArtifactName,
    wishes: Wishes<'_>,
    context: Context,
    story: &mut Story,
) -> Result<Response<ResponseBody>, Refusal> {
    let conditional = wishes.headers.contains_key(http::header::IF_NONE_MATCH);
    if conditional || wishes.method == Method::HEAD {
        let served = repository.tarball_head(grant, name, context).await.map_err(refuse)?;
        story_of(story, &served);
        let head = served.value;
        let facts = Facts { etag: head.digest.as_ref().map(quoted), keep: head.keep, status: served.status };
        if facts.not_modified(wishes) {
            return Ok(respond::unchanged(&facts));
        }
        if wishes.method == Method::HEAD {
            let length = repository.tarball_length(&head).await.map_err(refuse)?;
            return Ok(respond::head(&facts, length));
        }
    }
    let served = repository.tarball(grant, name, context).await.map_err(refuse)?;
    story_of(story, &served);
    let (proven, keep) = served.value;
    let facts = Facts { etag: Some(quoted(&proven.digest)), keep, status: served.status };
    Ok(respond::artifact(wishes, &facts, proven.artifact))
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

fn quoted(digest: &Sha256) -> String {
    format!("\"{digest}\"")
}

fn story_of<T>(story: &mut Story, served: &Served<T>) {
    story.cache = Some(served.status);
    story.upstream = served.upstream;
}

fn refuse(error: RepoError) -> Refusal {
    let chain = &error as &dyn std::error::Error;
    match &error {
        RepoError::Internal(_) => tracing::error!(error = chain, "a request could not be answered"),
        // The fetch that failed has said so, once for all who waited for it.
        _ => tracing::debug!(error = chain, "a request is refused"),
    }
    Refusal::from(&error)
}
