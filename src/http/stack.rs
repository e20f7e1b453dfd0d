//! The tower stack of the public listener, from the outside in:
//!
//! 1. [`Observe`] — gives the request an id, and writes one log line and updates the metrics when its body has ended.
//!    Outermost, so that every answer is logged.
//! 2. [`CatchPanic`] — turns a panic in one request into a 500, without an effect on other requests.
//! 3. [`Dispatch`] — route, access check, repository.
//!
//! The listener limits connections and the time for a request's head. The time limit to the first byte is set per
//! request.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::{Method, Request, Response, Version};
use tower::{Layer, Service, ServiceBuilder};

use super::dispatch::{Answer, Site};
use super::error::Refusal;
use super::observe::{ObservedBody, Record, RequestSummary};
use super::respond::{self, REQUEST_ID, ResponsePreferences};
use super::unread_body;

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>;

/// The service of one connection.
pub type Stack = Observe<CatchPanic<Dispatch>>;

/// The stack for a connection from `peer`.
pub fn stack(site: &Arc<Site>, peer: IpAddr) -> Stack {
    ServiceBuilder::new()
        .layer(ObserveLayer { site: Arc::clone(site), peer })
        .layer(CatchPanicLayer { peer })
        .service(Dispatch { site: Arc::clone(site), peer })
}

#[derive(Clone, Debug)]
struct ObserveLayer {
    site: Arc<Site>,
    peer: IpAddr,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { site: Arc::clone(&self.site), peer: self.peer, inner }
    }
}

/// Assigns request ids, writes log lines, counts requests.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    site: Arc<Site>,
    peer: IpAddr,
    inner: S,
}

impl<S, B> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Answer, Error = Infallible>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<ObservedBody>;
    type Error = Infallible;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let site = Arc::clone(&self.site);
        let mut record = Record::new(request.method().clone(), request.uri().path(), self.peer, site);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Answer { mut response, summary: story, client } = answer.await?;
            if let Some(id) = record.id.header() {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            record.answered(response.status().as_u16(), story, client);
            Ok(response.map(|body| ObservedBody::new(body, record)))
        })
    }
}

#[derive(Clone, Debug)]
struct CatchPanicLayer {
    peer: IpAddr,
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner, peer: self.peer }
    }
}

/// Turns a panic into a 500.
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
    peer: IpAddr,
}

impl<S, B> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Answer, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Boxed<Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let client = self.peer;
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer,
                Err(_) => {
                    tracing::error!("a request failed because of a bug; see the panic message above");
                    let headers = http::HeaderMap::new();
                    let wishes =
                        ResponsePreferences { method: &Method::GET, headers: &headers, version: Version::HTTP_11 };
                    let response = respond::refusal(wishes, &Refusal::internal());
                    Ok(Answer { response, summary: RequestSummary::default(), client })
                }
            }
        })
    }
}

/// The innermost service.
#[derive(Clone, Debug)]
pub struct Dispatch {
    site: Arc<Site>,
    peer: IpAddr,
}

impl<B> Service<Request<B>> for Dispatch
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Unpin + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Boxed<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (site, peer) = (Arc::clone(&self.site), self.peer);
        let (request, unread) = unread_body::lend(request);
        // Boxed: otherwise the request would be copied each time that a part of the future is moved.
        let request = Box::new(request);
        Box::pin(async move { Ok(site.answer(request, unread, peer).await) })
    }
}
