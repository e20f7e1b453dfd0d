//! Serves the HTML pages. Their headers forbid caching, framing and scripts.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;

use super::body::ResponseBody;
use super::dispatch::{Answer, LiveState};
use super::error::Refusal;
use super::observe::RequestSummary;
use super::respond::{self, ResponsePreferences};
use crate::api;
use crate::auth::Caller;
use crate::web::{PageAddress, Visit};

/// Answers a request for a page or a submitted form.
pub(super) async fn answer<B>(live: &LiveState, address: PageAddress, request: Request<B>, client: IpAddr) -> Answer
where
    B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let wishes = ResponsePreferences::of_head(&parts);
    let refused = |refusal: &Refusal| Answer {
        response: respond::refusal(wishes, refusal),
        summary: RequestSummary::page(),
        client,
    };
    let query = parts.uri.query().unwrap_or_default();
    let mut fields = api::parameters(query);
    let is_sent = parts.method == Method::POST;
    if is_sent {
        match api::form(axum::body::Body::new(body), &parts.headers).await {
            // The fields of the URL are ignored: the user did not enter them.
            Ok(form) => fields = form,
            Err((status, why)) => return refused(&Refusal::form(status, why)),
        }
    } else if !wishes.is_read() {
        return refused(&Refusal::method());
    }
    let visit = Visit {
        address,
        caller: Caller::Anonymous,
        client,
        fields,
        is_sent,
        accounts: Arc::clone(&live.accounts),
        catalog: Arc::clone(&live.catalog),
        public_url: Arc::clone(&live.public_url),
    };
    let page = visit.page().await;
    let length = page.html.len();
    let is_head = parts.method == Method::HEAD;
    let body = if is_head { ResponseBody::empty() } else { ResponseBody::whole(page.html.into()) };
    let mut response = Response::new(body);
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        // With `no-referrer`, browsers would not send the origin of a form, so it could not be checked.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_LENGTH, length.into());
    Answer { response, summary: RequestSummary::page(), client }
}
