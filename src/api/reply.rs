//! The answer of a handler, before it is encoded in the client's format.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

use super::error::ApiError;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The body; `None` means no body.
    pub(super) value: Option<Value>,
    /// The URL of the created resource.
    pub(super) location: Option<String>,
    /// Whether the answer is the same for every caller.
    pub(super) is_public: bool,
    /// Whether the answer contains a secret and must not be cached.
    pub(super) is_secret: bool,
}

impl Reply {
    /// 200 with a body.
    pub(super) fn ok(value: Value) -> Self {
        Self { status: StatusCode::OK, value: Some(value), location: None, is_public: false, is_secret: false }
    }

    /// 201 with a body.
    pub(super) fn created(value: Value, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(value) }
    }

    /// 204.
    pub(super) fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, value: None, ..Self::ok(Value::Null) }
    }

    /// Marks the answer as the same for every caller, if `is_public`.
    #[must_use]
    pub(super) fn public(self, is_public: bool) -> Self {
        Self { is_public, ..self }
    }

    /// Marks the answer as secret: no cache may store it.
    #[must_use]
    pub(super) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

/// The outcome of a handler. It travels in the response's extensions to the code that knows the client's format.
#[derive(Clone, Debug)]
pub(super) struct HandlerOutcome(pub(super) Arc<Result<Reply, ApiError>>);

fn carry(outcome: Result<Reply, ApiError>) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(HandlerOutcome(Arc::new(outcome)));
    response
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        carry(Ok(self))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        carry(Err(self))
    }
}
