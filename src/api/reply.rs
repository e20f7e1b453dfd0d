//! What a handler answers, before it is written in the client's format.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

use super::error::ApiError;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: StatusCode,
    /// The body; `None`: no body at all.
    pub(super) value: Option<Value>,
    /// Where what was made can be found.
    pub(super) location: Option<String>,
    /// Whether it would be the same for everybody.
    pub(super) is_public: bool,
    /// Whether nobody may keep it: it holds a secret.
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

    /// The same for everybody where `is_public`.
    #[must_use]
    pub(super) fn public(self, is_public: bool) -> Self {
        Self { is_public, ..self }
    }

    /// Not to be kept by anybody.
    #[must_use]
    pub(super) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

/// What a handler came to. Travels as an extension to where it is written: only there the client's format is known.
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
