//! The loop under every server of HTTP: of the RPC, and of routers for servers beside it that speak another protocol, as pages
//! and Esplora do. Connections are bounded in number, and in the time that the head of any request may take, the first as
//! those after it. Not here: what is answered, and for how long.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jsonrpsee::{
    core::BoxError,
    server::{StopHandle, stop_channel},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tower::Service;

/// How long a client of a router may take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// Bounds on the clients of a server, and what the log calls them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub connections_max: usize,
    /// From the connection, or the answer before, to the end of the head of a request.
    pub head_max: Duration,
    pub client: &'static str,
}

/// Serves a router to so many connections at one time, for as long as this is polled; they end with it. `client` names
/// in the log who connects.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    client: &'static str,
) {
    // Nobody tells it to stop.
    let (stop, _never) = stop_channel();
    let bounds = Bounds { connections_max, head_max: HEAD_MAX, client };
    serve_http(listener, move || router.clone(), bounds, stop).await;
}

/// Serves HTTP/1.1, a service to each connection, until it is told to stop; requests in work are then still answered.
pub(crate) async fn serve_http<S, B>(
    listener: TcpListener,
    service: impl Fn() -> S,
    bounds: Bounds,
    stop: StopHandle,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stop.clone().shutdown());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (service, stopped) = (service(), stop.clone().shutdown());
                connections.spawn(async move {
                    connection(stream, service, bounds, stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Most often too many open files: some client may close one.
                tracing::warn!(%error, client = bounds.client, "a client cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

async fn connection<S, B>(stream: TcpStream, service: S, bounds: Bounds, stopped: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let _ = stream.set_nodelay(true);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head_max);
    let service = TowerToHyperService::new(service);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stopped => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, client = bounds.client, "a client is dropped");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const BOUNDS: Bounds =
        Bounds { connections_max: 4, head_max: Duration::from_millis(400), client: "test" };
    const PATIENCE: Duration = Duration::from_secs(20);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// One answer, to its last byte.
    async fn answered(stream: &mut TcpStream) {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"served") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
    }

    /// Sends a head one byte at a time until it is cut off; it would never end. How long that took.
    async fn trickles(mut stream: TcpStream) -> Duration {
        let begun = Instant::now();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nx: ").await;
        let mut byte = [0; 1];
        while let Err(_waits) = tokio::time::timeout(BOUNDS.head_max / 8, stream.read(&mut byte)).await {
            let _ = stream.write_all(b"y").await;
        }
        begun.elapsed()
    }

    /// Says nothing until it is cut off.
    async fn waits(mut stream: TcpStream) -> Duration {
        let begun = Instant::now();
        let _ = stream.read(&mut [0; 1]).await;
        begun.elapsed()
    }

    /// Whoever says nothing, or begins a head and does not end it, is cut off, on the first request and on one after it; who
    /// waits for a place has one then.
    #[tokio::test]
    async fn heads_that_trickle_are_cut_off_on_any_request_and_keep_nobody_out_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, handle) = stop_channel();
        let router = Router::new().route("/", get(async || "served"));
        let server = tokio::spawn(serve_http(listener, move || router.clone(), BOUNDS, stop));
        let connect = async || TcpStream::connect(address).await.unwrap();
        let (mut later_trickles, mut later_waits) = (connect().await, connect().await);
        answered(&mut later_trickles).await;
        answered(&mut later_waits).await;
        let slow = [
            tokio::spawn(trickles(later_trickles)),
            tokio::spawn(waits(later_waits)),
            tokio::spawn(trickles(connect().await)),
            tokio::spawn(waits(connect().await)),
        ];
        // All places are taken.
        let mut honest = connect().await;
        tokio::time::timeout(PATIENCE, answered(&mut honest)).await.expect("there is a place again");
        for slow in slow {
            let held = tokio::time::timeout(PATIENCE, slow).await.expect("it is cut off").unwrap();
            assert!(held >= BOUNDS.head_max / 2, "{held:?}");
        }
        handle.stop().unwrap();
        tokio::time::timeout(PATIENCE, server).await.expect("the server ends").unwrap();
    }
}
