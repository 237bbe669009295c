//! Server over HTTP and WebSocket, client over HTTP.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use hyper::body::Incoming;
use jsonrpsee::{
    Methods,
    core::{ClientError, JsonRawValue, client::ClientT as _, params::ArrayParams, traits::ToRpcParams},
    server::{
        AlreadyStoppedError, BatchRequestConfig, HttpBody, HttpRequest, Server, ServerConfig, stop_channel,
    },
};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::{
    access::Access,
    cookie::Cookie,
    gate::GateLayer,
    login::{HttpClient, Login},
    metrics::{MetricsLayer, Render},
    router::{Bounds, serve_http},
    version_one::VersionOneLayer,
};

/// Bytes of a request or response at the most.
pub const BODY_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Requests in work, and connections over WebSocket, at one time at the most.
pub const CONNECTIONS_MAX: u32 = 64;
/// Connections at one time at the most, also those that are kept for a request to come.
const SOCKETS_MAX: usize = 256;

/// Connections to the pages alone at one time at the most.
const PAGE_CONNECTIONS_MAX: u32 = 16;
/// Bytes of a request for a page at the most.
const PAGE_REQUEST_BYTES_MAX: u32 = 1024;

/// Requests of a batch at the most.
pub const BATCH_MAX: u32 = 1000;
/// Subscriptions of one connection at the most.
pub const SUBSCRIPTIONS_MAX: u32 = 16;
/// Answers and news that wait for a slow connection at the most.
const MESSAGES_MAX: u32 = 256;

/// How long a connection may take to send the head of its next request. Longer than the 90 seconds for which clients of
/// hyper, ours among them, keep one that rests: it is for them to end it, or a request would meet a closed door.
const HEAD_MAX: Duration = Duration::from_secs(120);

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The path of a request's URL, for methods that go by it as Bitcoin Core's wallet calls do.
#[derive(Clone, Debug)]
pub struct UriPath(pub String);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is open to other machines, and none of them could call.
    #[error(
        "{0} is for other machines, and the cookie is for this one: name users with --rpc-auth or let anybody read with --rpc-public, or listen on 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The cookie cannot be written.
    #[error("{0}")]
    Cookie(PathBuf, #[source] io::Error),
    /// Somebody else listens there.
    #[error("{0} is in use: another node, or another program, listens there")]
    InUse(SocketAddr),
    /// The system refuses.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// A server that runs until it is told to stop, or this is dropped. The cookie goes with it.
#[derive(Debug)]
pub struct ServerHandle {
    handle: jsonrpsee::server::ServerHandle,
    _cookie: Cookie,
}

impl ServerHandle {
    /// Tells the server to stop.
    ///
    /// # Errors
    /// It has stopped before.
    pub fn stop(&self) -> Result<(), AlreadyStoppedError> {
        self.handle.stop()
    }

    /// Ready when it has stopped.
    pub async fn stopped(self) {
        self.handle.stopped().await;
    }
}

/// Serves methods, as the `into_rpc` of a node or a farm makes them, to those who may call, and metrics at `/metrics`, at `addr`, where port 0 lets the system choose; returns the address that it got.
///
/// The server runs until the handle is told to stop, or is dropped.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    addr: SocketAddr,
    node: impl Into<Methods>,
    metrics: Render,
    mut access: Access,
) -> Result<(SocketAddr, ServerHandle), ServeError> {
    if !addr.ip().is_loopback() && !access.is_for_others() {
        return Err(ServeError::NotLoopback(addr));
    }
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse(addr),
        _ => ServeError::Listen(addr, error),
    };
    // First of all, for a port that is taken is another server's, and so is the cookie there.
    let listener = std::net::TcpListener::bind(addr).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    let baked = Cookie::bake(access.cookie.as_ref(), local.port());
    let (cookie, user) = baked.map_err(|error| {
        ServeError::Cookie(access.cookie.take().map(|place| place.file).unwrap_or_default(), error)
    })?;
    access.users.push(user);
    let config = ServerConfig::builder()
        .max_request_body_size(BODY_BYTES_MAX)
        .max_response_body_size(BODY_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .set_message_buffer_capacity(MESSAGES_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .build();
    let builder = Server::builder().set_config(config).set_http_middleware(
        ServiceBuilder::new()
            .map_request(note_path)
            .layer(GateLayer(Arc::new(access)))
            .layer(MetricsLayer(metrics))
            .layer(VersionOneLayer),
    );
    let listener = TcpListener::from_std(listener).map_err(refused)?;
    let bounds = Bounds { connections_max: SOCKETS_MAX, head_max: HEAD_MAX, client: "RPC" };
    let ((stop, handle), builder, methods) = (stop_channel(), builder.to_service_builder(), node.into());
    let for_connection = stop.clone();
    let service = move || builder.clone().build(methods.clone(), for_connection.clone());
    tokio::spawn(serve_http(listener, service, bounds, stop));
    Ok((local, ServerHandle { handle, _cookie: cookie }))
}

/// A server of pages alone, which runs until this is dropped.
pub type PagesHandle = jsonrpsee::server::ServerHandle;

/// Serves the pages of [`metrics`](crate::metrics) alone, to whoever asks, at an address that other machines may reach.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_metrics(
    addr: SocketAddr,
    metrics: Render,
) -> Result<(SocketAddr, PagesHandle), ServeError> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse(addr),
        _ => ServeError::Listen(addr, error),
    };
    let config = ServerConfig::builder()
        .max_request_body_size(PAGE_REQUEST_BYTES_MAX)
        .max_connections(PAGE_CONNECTIONS_MAX)
        .http_only()
        .build();
    let layers = ServiceBuilder::new().map_request(own_body).layer(MetricsLayer(metrics));
    let builder = Server::builder().set_config(config).set_http_middleware(layers).to_service_builder();
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    let connections_max = PAGE_CONNECTIONS_MAX as usize;
    let bounds = Bounds { connections_max, head_max: HEAD_MAX, client: "pages" };
    let (stop, handle) = stop_channel();
    let for_connection = stop.clone();
    let service = move || builder.clone().build(Methods::new(), for_connection.clone());
    tokio::spawn(serve_http(listener, service, bounds, stop));
    Ok((local, handle))
}

fn note_path(mut request: HttpRequest<Incoming>) -> HttpRequest {
    let path = UriPath(request.uri().path().to_owned());
    request.extensions_mut().insert(path);
    own_body(request)
}

/// The body as the layers know it.
fn own_body(request: HttpRequest<Incoming>) -> HttpRequest {
    request.map(HttpBody::new)
}

/// A client of the node at `url`, such as `http://127.0.0.1:8332`. It connects at the first call. Name and password are
/// those of the URL, or else of the node's cookie, as it is found.
///
/// # Errors
/// The text is no URL.
pub fn client(url: &str) -> Result<HttpClient, ClientError> {
    client_that_waits(url, TIMEOUT)
}

/// [`client`] with another bound on the time that an answer may take.
///
/// # Errors
/// The text is no URL.
pub fn client_that_waits(url: &str, patience: Duration) -> Result<HttpClient, ClientError> {
    client_as(url, Login::found(url), patience)
}

/// [`client_that_waits`] with name and password from elsewhere.
///
/// # Errors
/// The text is no URL.
pub fn client_as(url: &str, login: Login, patience: Duration) -> Result<HttpClient, ClientError> {
    jsonrpsee::http_client::HttpClientBuilder::new()
        .max_request_size(BODY_BYTES_MAX)
        .max_response_size(BODY_BYTES_MAX)
        .request_timeout(patience)
        .set_http_middleware(ServiceBuilder::new().layer(login))
        .build(url)
}

/// Calls any method by its name, with parameters in their order.
///
/// # Errors
/// The node does not answer, or refuses.
pub async fn call(client: &HttpClient, method: &str, params: Vec<Value>) -> Result<Value, ClientError> {
    let mut array = ArrayParams::new();
    for param in params {
        array.insert(param).map_err(ClientError::ParseError)?;
    }
    client.request(method, array).await
}

/// Parameters as they came from somebody else.
struct Given(Option<Box<JsonRawValue>>);

impl ToRpcParams for Given {
    fn to_rpc_params(self) -> Result<Option<Box<JsonRawValue>>, serde_json::Error> {
        Ok(self.0)
    }
}

/// Passes a call on with its parameters as they stand, the text of an array or object; the answer as it stands.
///
/// # Errors
/// As [`call`].
pub async fn pass_on(
    client: &HttpClient,
    method: &str,
    params: Option<&str>,
) -> Result<Box<JsonRawValue>, ClientError> {
    let params = params.map(|text| JsonRawValue::from_string(text.to_owned())).transpose();
    client.request(method, Given(params.map_err(ClientError::ParseError)?)).await
}
