//! The Hex HTTP API: packages, releases, owners, accounts and OAuth, and the administration API below `/admin`.
//!
//! ```text
//! answer: format → credential → rate limit → route → handler → Reply | ApiError → encoded in the client's format
//! ```
//!
//! Handlers return values. One place encodes them as JSON or Erlang terms and answers conditional reads. The
//! specification is the API of hex.pm as its clients use it.

mod accounts;
mod admin;
mod body;
mod body_rate;
mod error;
mod explain;
mod fields;
mod format;
mod keys;
mod oauth;
mod packages;
mod policies;
mod reauthorize;
mod releases;
mod reply;
mod request;
mod server_info;
mod urls;
mod views;

pub use body::form;
pub use request::{ApiContext, CurrentConfiguration, parameters};
pub use urls::BaseUrl;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, USER_AGENT, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower::ServiceExt as _;

use self::body::NUL;
use self::error::ApiError;
use self::format::Format;
use self::reply::{HandlerOutcome, Reply};
use self::request::{ApiRequest, has_too_many_parameters};
use crate::auth::{Caller, CredentialUse, RateLimitStatus};
use crate::hex::checksum::Sha256;
use crate::hex::if_none_match;

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const OTP: &str = "x-hex-otp";

/// The router of the API.
#[derive(Clone, Debug)]
pub struct Api {
    router: Router,
}

/// NUL in the path of a request. Each segment of the path is percent-encoded once.
const ESCAPED_NUL: &str = "%00";

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}

impl Api {
    /// A router with all routes.
    pub fn new() -> Self {
        let router = Router::new()
            .merge(server_info::routes())
            .merge(packages::routes())
            .merge(releases::routes())
            .merge(explain::routes())
            .merge(policies::routes())
            .merge(accounts::routes())
            .merge(keys::routes())
            .merge(oauth::routes())
            .merge(admin::routes())
            .fallback(async || ApiError::NotFound)
            .method_not_allowed_fallback(async || ApiError::Method);
        Self { router }
    }

    /// Answers one request. Its path is relative to `/api`. The body of the answer is complete, so its length is known.
    pub async fn answer(&self, request: Request<Body>, call: ApiContext) -> Response<Bytes> {
        let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
        // rebar3 prints its message for a status only on writes; OAuth has its own statuses (interface §3).
        let as_writer = is_write && !request.uri().path().starts_with("/oauth/");
        let query = request.uri().query().unwrap_or_default();
        let format = if has_too_many_parameters(query) {
            Err(ApiError::bad_request("the URL has too many query parameters"))
        } else if request.uri().path().contains(ESCAPED_NUL) {
            Err(ApiError::BadRequest(format!("the URL contains {NUL}")))
        } else {
            Format::wanted(request.headers(), query)
        };
        // Requests from the local machine have no rate limit.
        let limiter = (!call.is_this_machine).then(|| Arc::clone(&call.limiter));
        let (client, now) = (call.client, call.clock.now());
        let headers = request.headers().clone();
        let mut limited = None;
        let outcome = match &format {
            Err(error) => Err(error.clone()),
            Ok(_) => match self.identify(&headers, &call, is_write).await {
                Err(error) => Err(error),
                Ok(caller) => {
                    let limit = limiter.as_ref().and_then(|limiter| limiter.check(&caller, client, now));
                    limited = limit.map(|limit| (caller.clone(), limit));
                    match limit.and_then(|limit| rate_limit_error(&caller, client, limit, as_writer, now.as_secs())) {
                        Some(error) => Err(error),
                        None if is_write => self.run_to_the_end(request, call, caller).await,
                        None => Self::route(self.router.clone(), request, call, caller).await,
                    }
                }
            },
        };
        let format = format.unwrap_or(Format::Json);
        let mut response = match outcome {
            Ok(reply) => write(&reply, format, &headers, is_write),
            Err(error) if as_writer => error_response(&error.for_writer(), format),
            Err(error) => error_response(&error, format),
        };
        if let Some((caller, limit)) = limited {
            let mut remaining = u64::from(limit.remaining);
            if response.status() == StatusCode::NOT_MODIFIED {
                limiter.iter().for_each(|limiter| limiter.forgive(&caller, client, now));
                remaining += 1;
            }
            let numbers =
                [(RATE_LIMIT, u64::from(limit.limit)), (RATE_REMAINING, remaining), (RATE_RESET, limit.reset_unix)];
            for (name, number) in numbers {
                response.headers_mut().insert(name, HeaderValue::from(number));
            }
        }
        response
    }

    /// Authenticates the caller.
    async fn identify(&self, headers: &HeaderMap, call: &ApiContext, is_write: bool) -> Result<Caller, ApiError> {
        if !headers.contains_key(USER_AGENT) {
            return Err(ApiError::bad_request("User-Agent header is required"));
        }
        // A wrong code counts as an attempt, so it is only checked for requests that need one.
        let otp = headers.get(OTP).filter(|_| is_write).and_then(|otp| otp.to_str().ok());
        let presented = reauthorize::presented_credential(headers, call.client, otp);
        Ok(call.accounts.authenticate(presented, CredentialUse::Api).await?)
    }

    /// Runs a write to its end, even if the client disconnects: a write must not be half done.
    async fn run_to_the_end(
        &self,
        request: Request<Body>,
        call: ApiContext,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let tasks = call.tasks.clone();
        let outcome = tasks.spawn(Self::route(self.router.clone(), request, call, caller)).await;
        outcome.unwrap_or_else(|error| Err(ApiError::internal(&error)))
    }

    async fn route(
        router: Router,
        request: Request<Body>,
        call: ApiContext,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (mut parts, body) = request.into_parts();
        let ask = ApiRequest::new(call, caller, &parts, body);
        parts.extensions.insert(ask);
        // An axum router never fails.
        let Ok(response) = router.oneshot(Request::from_parts(parts, Body::empty())).await;
        match response.extensions().get::<HandlerOutcome>() {
            Some(HandlerOutcome(outcome)) => (**outcome).clone(),
            // A path that axum cannot parse.
            None => Err(ApiError::NotFound),
        }
    }
}

fn rate_limit_error(
    caller: &Caller,
    client: std::net::IpAddr,
    limit: RateLimitStatus,
    write: bool,
    now: u64,
) -> Option<ApiError> {
    let who = match caller.principal() {
        None => format!("IP {client}"),
        Some(principal) => principal.by().actor.unwrap_or_default().replace(':', " "),
    };
    let retry_after = limit.reset_unix.saturating_sub(now).max(1);
    limit.refused.then(|| ApiError::RateLimited {
        message: format!("API rate limit exceeded for {who}"),
        write,
        retry_after,
    })
}

/// Encodes an answer. A read that the client already has gets 304.
fn write(reply: &Reply, format: Format, headers: &HeaderMap, is_write: bool) -> Response<Bytes> {
    let body = reply.value.as_ref().map(|value| format.encode(value)).unwrap_or_default();
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let fields = response.headers_mut();
    fields.insert(VARY, HeaderValue::from_static("accept"));
    let cache_control = match (is_write || reply.is_secret, reply.is_public) {
        (true, _) => "no-store",
        (false, true) => "public, max-age=60",
        (false, false) => "private, max-age=60",
    };
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Some(location) = reply.location.as_deref().and_then(|location| HeaderValue::from_str(location).ok()) {
        fields.insert(LOCATION, location);
    }
    if reply.value.is_some() {
        fields.insert(CONTENT_TYPE, format.content_type());
    }
    if !is_write && reply.status == StatusCode::OK && !reply.is_secret {
        let etag = format!("\"{}\"", Sha256::of(response.body()));
        let has = if_none_match::names(headers, &etag);
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        if has {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Bytes::new();
            response.headers_mut().remove(CONTENT_TYPE);
        }
    }
    response
}

fn error_response(error: &ApiError, format: Format) -> Response<Bytes> {
    let mut response = Response::new(format.encode(&error.body()));
    *response.status_mut() = error.status();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, format.content_type());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = error.challenge() {
        fields.insert(WWW_AUTHENTICATE, challenge);
    }
    if let ApiError::RateLimited { write: false, retry_after, .. } = error {
        fields.insert(RETRY_AFTER, HeaderValue::from(*retry_after));
    }
    response
}
