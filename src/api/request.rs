//! What a handler knows of its request.

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

/// What a client calls itself.
pub(super) fn agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT)?.to_str().ok()
}

/// Whether the API of a repository tells of its packages under its own address.
fn tells(repository: &Repository) -> bool {
    repository.identity().direct || matches!(repository, Repository::Local(_))
}

/// The configuration that a request is answered by: a reload may put another one in its place while its body comes.
pub trait CurrentConfiguration: Send + Sync + std::fmt::Debug {
    /// The repositories and the accounts of now.
    fn configuration(&self) -> (Arc<Catalog>, Arc<Accounts>);
}

/// Where a request was sent, and what answers it.
#[derive(Clone, Debug)]
pub struct ApiContext {
    /// All repositories.
    pub catalog: Arc<Catalog>,
    /// All accounts.
    pub accounts: Arc<Accounts>,
    /// The repository that the address is about; `None`: it names one that is not configured.
    pub repository: Option<Repository>,
    /// Whether the address names it.
    pub named: bool,
    /// The base that was asked, for the addresses in the answer.
    pub base: BaseUrl,
    /// How many requests are answered.
    pub limiter: Arc<RateLimiter>,
    /// What administrators order; gone when the daemon is.
    pub operations: Weak<dyn Operations>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who sends.
    pub client: IpAddr,
    /// Whether that is the machine that this runs on, which has no rate limit.
    pub is_this_machine: bool,
    /// The configuration as it is by then.
    pub present: Arc<dyn CurrentConfiguration>,
    /// Scheme and authority under which clients reach us, without a slash at the end.
    pub public_url: Arc<str>,
    /// How long an answer may take.
    pub deadline: Duration,
    /// How long an upload may take.
    pub upload_time: Duration,
    /// Where changes run to their end, whoever waits for them.
    pub tasks: Tasks,
}

/// The parameters of a query by their names; none where there are too many of them. NUL, which no text that is kept has, is
/// U+FFFD there, as bytes are that are not UTF-8.
pub fn parameters(query: &str) -> HashMap<String, String> {
    let query = if has_too_many_parameters(query) { "" } else { query };
    let text =
        |text: Cow<'_, str>| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.into_owned() };
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
}

/// Whether a query has more parameters than anybody sends.
pub(super) fn has_too_many_parameters(query: &str) -> bool {
    query.bytes().filter(|byte| *byte == b'&').count() >= limits::QUERY_PARAMETERS
}

/// A request whose credential has been looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ApiRequest {
    pub(super) call: ApiContext,
    pub(super) caller: Caller,
    pub(super) headers: Arc<HeaderMap>,
    pub(super) query: Arc<HashMap<String, String>>,
    body: Arc<Mutex<Option<Body>>>,
}

impl ApiRequest {
    pub(super) fn new(call: ApiContext, caller: Caller, parts: &Parts, body: Body) -> Self {
        Self {
            call,
            caller,
            headers: Arc::new(parts.headers.clone()),
            query: Arc::new(parameters(parts.uri.query().unwrap_or_default())),
            body: Arc::new(Mutex::new(Some(body))),
        }
    }

    /// Who asks, where somebody does.
    pub(super) fn principal(&self) -> Result<&Arc<Principal>, ApiError> {
        self.caller.principal().ok_or(ApiError::Denied(Denied::NeedsCredential))
    }

    /// The repository that the address names, and the right to know of it.
    pub(super) fn addressed(&self) -> Result<(&Repository, ReadGrant), ApiError> {
        let repository = self.call.repository.as_ref().ok_or(ApiError::NotFound)?;
        let grant = repository.access().read_api(&self.caller)?;
        Ok((repository, grant))
    }

    /// The repository whose packages are asked about, and the right to read them by the API.
    ///
    /// What is read through virtual repositories alone is not told of here either: here nothing would hold back what
    /// those hold. A local one is, since its people publish here; what is held of it is left out below.
    pub(super) fn readable(&self) -> Result<(&Repository, ReadGrant), ApiError> {
        let (repository, grant) = self.addressed()?;
        if !tells(repository) {
            return Err(ApiError::NotFound);
        }
        Ok((repository, grant))
    }

    /// What an answer is read from.
    pub(super) fn reading(&self) -> Reading<'_> {
        let context = RequestContext { deadline: Instant::now() + self.call.deadline, client: Some(self.call.client) };
        Reading { catalog: &self.call.catalog, context }
    }

    /// Why something is not shown. Who has said nothing of themselves may say it, where it is somebody's whom not everybody
    /// may read.
    pub(super) fn not_shown(&self, error: RepoError) -> ApiError {
        match (error, &self.caller) {
            (RepoError::Withheld, Caller::Anonymous) => Denied::NeedsCredential.into(),
            (error, _) => error.into(),
        }
    }

    /// The local repository that is to be changed: of a virtual one the member that it deploys to. Anonymous callers
    /// learn nothing, not even whether it exists.
    pub(super) fn writable(&self) -> Result<&Arc<LocalRepository>, ApiError> {
        self.principal()?;
        let (repository, _) = self.addressed()?;
        match repository {
            Repository::Local(local) => Ok(local),
            Repository::Virtual(composed) => {
                composed.deploy_to().ok_or_else(|| self.takes_none("unites others and has no `deploy_to`"))
            }
            Repository::Remote(_) => Err(self.takes_none("mirrors another one")),
        }
    }

    /// Why nothing can be published to the repository, and to which ones of those that the caller may read it can.
    fn takes_none(&self, why: &str) -> ApiError {
        let readable = self.call.catalog.readable(&self.caller);
        let locals = readable.filter_map(|(repository, _)| repository.as_local().map(|local| local.key().to_string()));
        let mut locals: Vec<String> = locals.collect();
        locals.sort_unstable();
        let instead = match locals.as_slice() {
            [] => "use the API of a local repository".to_owned(),
            [only] => format!("publish to {only}, with mix: mix hex.publish --organization {only}"),
            several => {
                format!("publish to one of {}, with mix: mix hex.publish --organization NAME", several.join(", "))
            }
        };
        ApiError::Forbidden(format!("this repository {why}, so nothing can be published to it: {instead}").into())
    }

    /// The virtual repository through which something is published.
    pub(super) fn view(&self) -> Option<&RepoName> {
        match self.call.repository.as_ref()? {
            Repository::Virtual(composed) => Some(composed.key()),
            Repository::Local(_) | Repository::Remote(_) => None,
        }
    }

    /// All that the caller may read, of every repository.
    pub(super) fn everything_readable(&self) -> Readable {
        let grants = self.call.catalog.readable(&self.caller).map(|(_, grant)| grant);
        Readable::of(&grants.collect::<Vec<_>>())
    }

    /// A parameter of the query.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The page that is asked for, counted from 1.
    pub(super) fn page(&self) -> usize {
        self.param("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1)
    }

    /// The fields of the body, as the route declares them.
    pub(super) async fn fields<T: Fields>(&self) -> Result<T, ApiError> {
        self.read(&T::LIMIT, PhantomData).await
    }

    /// What `seed` makes of the body, which has at most this.
    pub(super) async fn read<S, T>(&self, limit: &BodyLimit, seed: S) -> Result<T, ApiError>
    where
        S: for<'de> DeserializeSeed<'de, Value = T>,
    {
        let mut body = self.body.lock().take().unwrap_or_default();
        let bytes = body::collect(&mut body, &self.headers, limit).await?;
        body::decode(&self.headers, &bytes, limit, seed)
    }

    /// The body as it comes, whatever its headers say. Where the client waits for `100 Continue`, the first poll sends
    /// it: so this is called when it is known that the body is wanted.
    pub(super) fn upload(&self) -> impl futures_util::Stream<Item = Result<Bytes, BodyLoss>> + Unpin + use<> {
        BodyRate { whole: self.call.upload_time, ..BodyRate::SMALL }
            .hold(self.body.lock().take().unwrap_or_default().into_data_stream())
    }

    /// The length that the client has announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

impl From<BodyLoss> for ApiError {
    fn from(lost: BodyLoss) -> Self {
        Self::bad_request(match lost {
            BodyLoss::BrokenOff => "the body of the request broke off: send it again",
            BodyLoss::Slow => "the body of the request came too slowly, or not at all: send it again",
            BodyLoss::TooLong => {
                "the body of the request took too long as a whole: send it again by a faster connection"
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
