//! JSON-RPC 1.0 and 1.1, which Bitcoin Core's clients speak: a request that does not say `"jsonrpc": "2.0"` is read as
//! one that does, and answered in the old way, with `result`, `error` and `id` always there and an HTTP status for errors.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use jsonrpsee::{
    core::{
        BoxError,
        http_helpers::{HttpError, read_body},
    },
    server::{HttpBody, HttpRequest, HttpResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tower::{Layer, Service};

use crate::{BODY_BYTES_MAX, errors};

/// Reads requests of version 1 for the RPC.
#[derive(Clone)]
pub(crate) struct VersionOneLayer;

/// [`VersionOneLayer`] around the RPC.
#[derive(Clone)]
pub(crate) struct VersionOne<S>(S);

impl<S> Layer<S> for VersionOneLayer {
    type Service = VersionOne<S>;

    fn layer(&self, inner: S) -> Self::Service {
        VersionOne(inner)
    }
}

impl<S> Service<HttpRequest> for VersionOne<S>
where
    S: Service<HttpRequest, Response = HttpResponse> + Clone + Send + 'static,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        // What says that it is no JSON is refused before anything of it is read.
        if request.method() != "POST" || !is_json(request.headers().get("content-type")) {
            let answer = self.0.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        }
        // The clone waits for its own turn; the one that is ready now takes the request.
        let fresh = self.0.clone();
        let mut inner = std::mem::replace(&mut self.0, fresh);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let bytes = match read_body(&head.headers, body, BODY_BYTES_MAX).await {
                Ok((bytes, _)) => bytes,
                Err(HttpError::TooLarge) => return Ok(refusal(413, "the request is too long")),
                Err(HttpError::Malformed) => return Ok(no_json()),
                Err(HttpError::Stream(error)) => return Err(error),
            };
            let Some(modern) = modernise(&bytes) else {
                let request = HttpRequest::from_parts(head, HttpBody::from(bytes));
                return inner.call(request).await.map_err(Into::into);
            };
            head.headers.remove("content-length");
            let request = HttpRequest::from_parts(head, HttpBody::from(modern));
            age(inner.call(request).await.map_err(Into::into)?).await
        })
    }
}

fn is_json<V: AsRef<[u8]>>(kind: Option<V>) -> bool {
    kind.is_some_and(|kind| kind.as_ref().starts_with(b"application/json"))
}

fn refusal(status: u16, reason: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(reason));
    *response.status_mut() = status.try_into().unwrap_or_default();
    response
}

/// The answer to a body that does not even begin as JSON.
fn no_json() -> HttpResponse {
    let answer =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": errors::PARSE, "message": "Parse error" } });
    let mut response = HttpResponse::new(HttpBody::from(answer.to_string()));
    response
        .headers_mut()
        .insert("content-type", "application/json".try_into().expect("it is a header's value"));
    response
}

/// The request or batch in version 2, if it is in version 1.
fn modernise(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_old = |request: &Value| {
        request.get("method").is_some() && request.get("jsonrpc").is_none_or(|version| version != "2.0")
    };
    let value = match serde_json::from_slice(bytes).ok()? {
        Value::Array(requests) if requests.iter().any(is_old) => {
            Value::Array(requests.into_iter().map(modern_request).collect())
        }
        request if is_old(&request) => modern_request(request),
        _ => return None,
    };
    serde_json::to_vec(&value).ok()
}

fn modern_request(request: Value) -> Value {
    let Value::Object(mut old) = request else { return request };
    let mut modern = Map::new();
    modern.insert("jsonrpc".to_owned(), json!("2.0"));
    // A request without an id would get no answer.
    modern.insert("id".to_owned(), old.remove("id").unwrap_or_default());
    for name in ["method", "params"] {
        modern.extend(old.remove(name).map(|value| (name.to_owned(), value)));
    }
    modern.into()
}

/// The answer in version 1.
async fn age(response: HttpResponse) -> Result<HttpResponse, BoxError> {
    if !is_json(response.headers().get("content-type")) {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let (bytes, _) = read_body(&head.headers, body, u32::MAX).await?;
    let is_batch = bytes.starts_with(b"[");
    let answers = if is_batch {
        serde_json::from_slice(&bytes)
    } else {
        serde_json::from_slice(&bytes).map(|answer| vec![answer])
    };
    let Ok(answers) = answers else { return Ok(HttpResponse::from_parts(head, HttpBody::from(bytes))) };
    let old: Vec<Answer> = answers.into_iter().map(old_answer).collect();
    let bytes = match old.as_slice() {
        [one] if !is_batch => {
            if let Some(code) = one.error.get("code").and_then(Value::as_i64) {
                head.status = status(code).try_into()?;
            }
            serde_json::to_vec(one)?
        }
        several => serde_json::to_vec(several)?,
    };
    head.headers.insert("content-length", bytes.len().into());
    Ok(HttpResponse::from_parts(head, HttpBody::from(bytes)))
}

/// The HTTP status that Bitcoin Core gives an error.
fn status(code: i64) -> u16 {
    match i32::try_from(code) {
        Ok(errors::INVALID_REQUEST) => 400,
        Ok(errors::NO_METHOD) => 404,
        _ => 500,
    }
}

/// An answer, in either version.
#[derive(Deserialize, Serialize)]
struct Answer {
    /// The text itself: it stays as it was written, to the last decimal.
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    id: Value,
}

fn old_answer(mut answer: Answer) -> Answer {
    if let Some(error) = answer.error.as_object_mut() {
        error.remove("data");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modernised(request: &Value) -> Option<Value> {
        modernise(request.to_string().as_bytes()).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn old_requests_become_new_ones_and_new_ones_stay() {
        let new = json!({ "jsonrpc": "2.0", "id": 1, "method": "a", "params": [0.1] });
        assert_eq!(modernised(&new), None);
        for version in [json!({ "version": "1.1" }), json!({ "jsonrpc": "1.0" }), json!({})] {
            let mut old = json!({ "id": 1, "method": "a", "params": [0.1] });
            old.as_object_mut().unwrap().extend(version.as_object().unwrap().clone());
            assert_eq!(modernised(&old), Some(new.clone()));
            assert_eq!(modernised(&json!([old, new])), Some(json!([new, new])));
        }
        let bare = modernised(&json!({ "method": "a" })).unwrap();
        assert_eq!(bare, json!({ "jsonrpc": "2.0", "id": null, "method": "a" }));
        for other in [json!(5), json!([]), json!({}), json!("method")] {
            assert_eq!(modernised(&other), None, "{other}");
        }
        assert_eq!(modernise(b"garbage"), None);
    }

    #[test]
    fn old_answers_have_all_three_fields_and_results_as_they_were_written() {
        let old =
            |text: &str| serde_json::to_string(&old_answer(serde_json::from_str(text).unwrap())).unwrap();
        assert_eq!(
            old(r#"{"jsonrpc":"2.0","id":1,"result":{"fee":0.00000010}}"#),
            r#"{"result":{"fee":0.00000010},"error":null,"id":1}"#
        );
        assert_eq!(
            old(r#"{"jsonrpc":"2.0","id":"a","error":{"code":-8,"message":"b","data":5}}"#),
            r#"{"result":null,"error":{"code":-8,"message":"b"},"id":"a"}"#
        );
        assert_eq!([status(-8), status(-32601), status(-32600)], [500, 404, 400]);
    }
}
