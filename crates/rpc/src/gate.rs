//! The gate before the RPC: who asks for a name of this machine, comes from no page of elsewhere, and says who it is, or asks
//! for what anybody may have, gets in. All else is answered before anything of it is read.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, StatusCode, header};
use jsonrpsee::{
    core::{
        BoxError,
        http_helpers::{HttpError, read_body},
    },
    server::{HttpBody, HttpRequest, HttpResponse},
};
use tower::{Layer, Service};

use crate::{
    BODY_BYTES_MAX,
    access::{self, Access},
    metrics,
};

/// How long a wrong password waits for its answer, so that none is guessed.
const WRONG_PASSWORD: Duration = Duration::from_millis(250);
/// How long the body of anybody's request may take.
const BODY_MAX: Duration = Duration::from_secs(10);

/// [`Gate`] around the RPC.
#[derive(Clone)]
pub(crate) struct GateLayer(pub Arc<Access>);

/// Lets in who may call.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    access: Arc<Access>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, access: Arc::clone(&self.0) }
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    In,
    /// In, if anybody may call what it calls.
    Anybody,
    Refused(StatusCode, &'static str),
    WrongPassword,
}

fn judge(request: &HttpRequest, access: &Access) -> Verdict {
    let headers = request.headers();
    // HTTP/2 has the name in the URL, HTTP/1 in a header; what has both must be good in both.
    let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut hosts = hosts.chain(request.uri().authority().map(|authority| authority.as_str())).peekable();
    if hosts.peek().is_none() || !hosts.all(|host| access.is_host(host)) {
        return Verdict::Refused(StatusCode::FORBIDDEN, "this machine has another name");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if !origins.all(|origin| origin.to_str().is_ok_and(access::is_own_origin)) {
        return Verdict::Refused(StatusCode::FORBIDDEN, "a page from elsewhere");
    }
    if metrics::is_page(request) {
        return Verdict::In;
    }
    match headers.get(header::AUTHORIZATION) {
        Some(header) if access.admits(header.as_bytes()) => Verdict::In,
        Some(_) => Verdict::WrongPassword,
        None if access.public.is_empty() || request.method() != "POST" => {
            Verdict::Refused(StatusCode::UNAUTHORIZED, "a name and a password are needed")
        }
        None => Verdict::Anybody,
    }
}

fn refusal(status: StatusCode, reason: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(reason));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Who is not let in keeps no connection either.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"jsonrpc\""));
    }
    response
}

/// The request, if anybody may call what it calls.
async fn public_request(request: HttpRequest, access: &Access) -> Result<HttpRequest, HttpResponse> {
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type is to be application/json",
        ));
    }
    let (mut head, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_MAX, read_body(&head.headers, body, BODY_BYTES_MAX)).await;
    let bytes = match read {
        Ok(Ok((bytes, _))) => bytes,
        Ok(Err(HttpError::TooLarge)) => {
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long"));
        }
        Ok(Err(_)) => return Err(refusal(StatusCode::BAD_REQUEST, "the request is no JSON")),
        Err(_) => return Err(refusal(StatusCode::REQUEST_TIMEOUT, "the request takes too long")),
    };
    let Some(bytes) = access.public_request(&bytes) else {
        return Err(refusal(StatusCode::UNAUTHORIZED, "a method that asks for a name and a password"));
    };
    head.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    head.headers.remove(header::TRANSFER_ENCODING);
    Ok(HttpRequest::from_parts(head, HttpBody::from(bytes)))
}

impl<S> Service<HttpRequest> for Gate<S>
where
    S: Service<HttpRequest, Response = HttpResponse> + Clone + Send + 'static,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let verdict = judge(&request, &self.access);
        // The clone waits for its own turn; the one that is ready now takes the request.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let access = Arc::clone(&self.access);
        Box::pin(async move {
            let request = match verdict {
                Verdict::In => request,
                Verdict::Anybody => match public_request(request, &access).await {
                    Ok(request) => request,
                    Err(refused) => return Ok(refused),
                },
                Verdict::Refused(status, reason) => return Ok(refusal(status, reason)),
                Verdict::WrongPassword => {
                    tokio::time::sleep(WRONG_PASSWORD).await;
                    return Ok(refusal(StatusCode::UNAUTHORIZED, "name or password are wrong"));
                }
            };
            inner.call(request).await.map_err(Into::into)
        })
    }
}
