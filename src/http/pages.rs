//! Pages for people, as requests and responses. Nobody may keep, frame or script them.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;

use super::body::ResponseBody;
use super::dispatch::{Answer, Live};
use super::error::Refusal;
use super::observe::Story;
use super::respond::{self, Wishes};
use super::route::Page;
use crate::hex::limits;
use crate::web;

/// Bytes of a form.
const FORM: usize = 16 * 1024;

/// A page, asked for or sent back filled in.
pub(super) async fn answer<B>(live: &Live, page: Page, request: Request<B>, client: IpAddr) -> Answer
where
    B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let wishes = Wishes { method: &parts.method, headers: &parts.headers };
    let refused =
        |refusal: &Refusal| Answer { response: respond::refusal(wishes, refusal), story: Story::page(), client };
    let query = parts.uri.query().unwrap_or_default();
    let mut fields: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let sent = parts.method == Method::POST;
    if sent {
        let form = timeout(limits::API_BODY_TIME, Limited::new(body, FORM).collect()).await;
        let Ok(Ok(form)) = form else { return refused(&Refusal::path()) };
        // Not with those of the address, which is not what the user has filled in.
        fields = form_urlencoded::parse(&form.to_bytes()).into_owned().collect();
    } else if !wishes.is_read() {
        return refused(&Refusal::method());
    }
    let page = match page {
        Page::Device => web::device(&live.accounts, &fields, sent, client).await,
        Page::SecondFactor => {
            let host = live.public_url.split_once("://").map_or(&*live.public_url, |(_, host)| host);
            web::second_factor(&live.accounts, &fields, sent, (client, host)).await
        }
    };
    let length = page.html.len();
    let is_head = parts.method == Method::HEAD;
    let body = if is_head { ResponseBody::empty() } else { ResponseBody::whole(page.html.into()) };
    let mut response = Response::new(body);
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_LENGTH, length.into());
    Answer { response, story: Story::page(), client }
}
