//! The request as handlers see it, and its context: configuration, caller, limits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use parking_lot::Mutex;
use serde::de::DeserializeSeed;
use tokio::time::Instant;

use super::body::{self, Fields};
use super::body_rate::{BodyLoss, BodyRate};
use super::error::ApiError;
use super::urls::BaseUrl;
use crate::auth::{Accounts, Caller, Denied, Principal, RateLimiter, ReadGrant, Readable};
use crate::clock::Clock;
use crate::hex::limits::{self, BodyLimit};
use crate::hex::name::RepoName;
use crate::operations::Operations;
use crate::repository::local::LocalRepository;
use crate::repository::{Catalog, Reading, RepoError, Repository, RequestContext};
use crate::shutdown::Tasks;

/// The `User-Agent` of the client.
pub(super) fn agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT)?.to_str().ok()
}

/// Whether the API of a repository shows its packages at its own path.
fn shows_packages(repository: &Repository) -> bool {
    repository.identity().direct || matches!(repository, Repository::Local(_))
}

/// The current configuration. A reload may replace it while the body of a request is received.
pub trait CurrentConfiguration: Send + Sync + std::fmt::Debug {
    /// The current repositories and accounts.
    fn configuration(&self) -> (Arc<Catalog>, Arc<Accounts>);
}

/// The context of an API request: where it was sent, and the services that answer it.
#[derive(Clone, Debug)]
pub struct ApiContext {
    /// All repositories.
    pub catalog: Arc<Catalog>,
    /// All accounts.
    pub accounts: Arc<Accounts>,
    /// The repository of the request; `None` if the path contains one that is not configured.
    pub repository: Option<Repository>,
    /// Whether the path contains the repository.
    pub named: bool,
    /// The base URL of the request, for links in the answer.
    pub base: BaseUrl,
    /// The rate limiter.
    pub limiter: Arc<RateLimiter>,
    /// The service that runs administrative commands; gone when the daemon stops.
    pub operations: Weak<dyn Operations>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The IP address of the client.
    pub client: IpAddr,
    /// Whether the client is the local machine, which has no rate limit.
    pub is_this_machine: bool,
    /// Returns the current configuration, which may be newer than the one of the request.
    pub current: Arc<dyn CurrentConfiguration>,
    /// Scheme and authority of this server as clients use them, without a trailing slash.
    pub public_url: Arc<str>,
    /// The time limit of an answer.
    pub deadline: Duration,
    /// The time limit of an upload.
    pub upload_time: Duration,
    /// Runs writes to their end, even if the client disconnects.
    pub tasks: Tasks,
}

/// The query parameters by name; empty if there are too many. NUL, which cannot be stored, and invalid UTF-8 are
/// replaced with U+FFFD.
pub fn parameters(query: &str) -> HashMap<String, String> {
    let query = if has_too_many_parameters(query) { "" } else { query };
    let text =
        |text: Cow<'_, str>| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.into_owned() };
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
}

/// Whether a query has more parameters than any client sends.
pub(super) fn has_too_many_parameters(query: &str) -> bool {
    query.bytes().filter(|byte| *byte == b'&').count() >= limits::QUERY_PARAMETERS
}

/// An authenticated request. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ApiRequest {
    pub(super) context: ApiContext,
    pub(super) caller: Caller,
    pub(super) headers: Arc<HeaderMap>,
    pub(super) query: Arc<HashMap<String, String>>,
    body: Arc<Mutex<Option<Body>>>,
}

impl ApiRequest {
    pub(super) fn new(call: ApiContext, caller: Caller, parts: &Parts, body: Body) -> Self {
        Self {
            context: call,
            caller,
            headers: Arc::new(parts.headers.clone()),
            query: Arc::new(parameters(parts.uri.query().unwrap_or_default())),
            body: Arc::new(Mutex::new(Some(body))),
        }
    }

    /// The authenticated caller; an error for anonymous requests.
    pub(super) fn principal(&self) -> Result<&Arc<Principal>, ApiError> {
        self.caller.principal().ok_or(ApiError::Denied(Denied::NeedsCredential))
    }

    /// The repository in the path, if the caller may know about it.
    pub(super) fn addressed(&self) -> Result<(&Repository, ReadGrant), ApiError> {
        let repository = self.context.repository.as_ref().ok_or(ApiError::NotFound)?;
        let grant = repository.access().read_api(&self.caller)?;
        Ok((repository, grant))
    }

    /// The repository whose packages are requested, and the caller's read access through the API.
    ///
    /// A repository without a path of its own (`direct: false`) is hidden here, because the policy of the virtual
    /// repository above it would not apply. Local repositories are an exception, since their members publish here;
    /// packages that are held by policy are left out later.
    pub(super) fn readable(&self) -> Result<(&Repository, ReadGrant), ApiError> {
        let (repository, grant) = self.addressed()?;
        if !shows_packages(repository) {
            return Err(ApiError::NotFound);
        }
        Ok((repository, grant))
    }

    /// The catalog and the time limit for reading.
    pub(super) fn reading(&self) -> Reading<'_> {
        let context =
            RequestContext { deadline: Instant::now() + self.context.deadline, client: Some(self.context.client) };
        Reading { catalog: &self.context.catalog, context }
    }

    /// The error for a resource that is not shown. An anonymous caller is asked for a credential if the resource
    /// belongs to a private repository.
    pub(super) fn not_shown(&self, error: RepoError) -> ApiError {
        match (error, &self.caller) {
            (RepoError::Withheld, Caller::Anonymous) => Denied::NeedsCredential.into(),
            (error, _) => error.into(),
        }
    }

    /// The local repository of a write; for a virtual repository, its `deploy_to` member. Anonymous callers cannot find
    /// out whether the repository exists.
    pub(super) fn writable(&self) -> Result<&Arc<LocalRepository>, ApiError> {
        self.principal()?;
        let (repository, _) = self.addressed()?;
        match repository {
            Repository::Local(local) => Ok(local),
            Repository::Virtual(composed) => {
                composed.deploy_to().ok_or_else(|| self.cannot_publish("is virtual and has no `deploy_to`"))
            }
            Repository::Remote(_) => Err(self.cannot_publish("mirrors an upstream")),
        }
    }

    /// The error for a repository that cannot be published to. It lists the local repositories that the caller may
    /// read.
    fn cannot_publish(&self, why: &str) -> ApiError {
        let readable = self.context.catalog.readable(&self.caller);
        let locals = readable.filter_map(|(repository, _)| repository.as_local().map(|local| local.key().to_string()));
        let mut locals: Vec<String> = locals.collect();
        locals.sort_unstable();
        let instead = match locals.as_slice() {
            [] => "use the API of a local repository".to_owned(),
            [only] => format!("publish to {only} with: mix hex.publish --organization {only}"),
            several => {
                format!("publish to one of {} with: mix hex.publish --organization NAME", several.join(", "))
            }
        };
        ApiError::Forbidden(format!("this repository {why}, so you cannot publish to it: {instead}").into())
    }

    /// The virtual repository through which a release is published.
    pub(super) fn virtual_repository(&self) -> Option<&RepoName> {
        match self.context.repository.as_ref()? {
            Repository::Virtual(composed) => Some(composed.key()),
            Repository::Local(_) | Repository::Remote(_) => None,
        }
    }

    /// Everything that the caller may read, in all repositories.
    pub(super) fn everything_readable(&self) -> Readable {
        let grants = self.context.catalog.readable(&self.caller).map(|(_, grant)| grant);
        Readable::of(&grants.collect::<Vec<_>>())
    }

    /// A query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The requested page, counted from 1.
    pub(super) fn page(&self) -> usize {
        self.param("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1)
    }

    /// Reads the body as the fields of the route.
    pub(super) async fn fields<T: Fields>(&self) -> Result<T, ApiError> {
        self.read(&T::LIMIT, PhantomData).await
    }

    /// Reads the body with `seed`, up to `limit`.
    pub(super) async fn read<S, T>(&self, limit: &BodyLimit, seed: S) -> Result<T, ApiError>
    where
        S: for<'de> DeserializeSeed<'de, Value = T>,
    {
        let mut body = self.body.lock().take().unwrap_or_default();
        let bytes = body::collect(&mut body, &self.headers, limit).await?;
        body::decode(&self.headers, &bytes, limit, seed)
    }

    /// The body of an upload as a stream. The first poll sends `100 Continue` to a client that waits for it, so this is
    /// called only after the permission check.
    pub(super) fn upload(&self) -> impl futures_util::Stream<Item = Result<Bytes, BodyLoss>> + Unpin + use<> {
        BodyRate { whole: self.context.upload_time, ..BodyRate::SMALL }
            .hold(self.body.lock().take().unwrap_or_default().into_data_stream())
    }

    /// The announced length of the body.
    pub(super) fn announced(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

impl From<BodyLoss> for ApiError {
    fn from(lost: BodyLoss) -> Self {
        Self::bad_request(match lost {
            BodyLoss::BrokenOff => "the request body is incomplete: send the request again",
            BodyLoss::Slow => "the request body arrived too slowly or not at all: send the request again",
            BodyLoss::TooLong => {
                "the request body took too long in total: send the request again over a faster connection"
            }
        })
    }
}

impl<S: Sync> FromRequestParts<S> for ApiRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Internal)
    }
}
