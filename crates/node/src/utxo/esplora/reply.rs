//! What a request is answered with: text, JSON or bytes, or a refusal with the status and the words that Esplora has.

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use serde_json::Value;

use crate::error::ChainError;

/// Seconds for which what may change is kept by a cache.
const BRIEF: u32 = 10;

/// A good answer.
#[derive(Debug)]
pub(super) enum Reply {
    Text(String),
    Json(Value),
    Bytes(Vec<u8>),
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    /// The request is wrong.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// There is no such thing.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }

    /// The answer would be longer than is told.
    pub(super) fn too_long() -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, text: "Too many history entries".to_owned() }
    }

    /// The request takes too long.
    pub(super) fn late() -> Self {
        Self { status: StatusCode::REQUEST_TIMEOUT, text: "Request timeout".to_owned() }
    }

    /// The request's body cannot be taken.
    pub(super) fn body(status: StatusCode, text: String) -> Self {
        Self { status, text }
    }

    /// The node fails.
    pub(super) fn node(text: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text: text.into() }
    }
}

impl From<ChainError> for Refusal {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::NoIndex(_) | ChainError::IndexBehind { .. } => {
                Self { status: StatusCode::SERVICE_UNAVAILABLE, text: error.to_string() }
            }
            error => Self::node(error.to_string()),
        }
    }
}

/// An answer as HTTP.
pub(super) fn respond(reply: Result<Reply, Refusal>) -> Response<Body> {
    let (status, kind, body) = match reply {
        Ok(Reply::Text(text)) => (StatusCode::OK, "text/plain", Body::from(text)),
        Ok(Reply::Json(value)) => (StatusCode::OK, "application/json", Body::from(value.to_string())),
        Ok(Reply::Bytes(bytes)) => (StatusCode::OK, "application/octet-stream", Body::from(bytes)),
        Err(refusal) => (refusal.status, "text/plain", Body::from(refusal.text)),
    };
    let cache =
        if status == StatusCode::OK { format!("public, max-age={BRIEF}") } else { "no-store".to_owned() };
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, cache)
        .body(body);
    response.expect("the parts are good")
}
