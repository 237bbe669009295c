//! Plain HTTP of a router: for servers beside the RPC that speak another protocol, as pages and Esplora do. Connections are
//! bounded in number, and in the time that the head of a request may take. Not here: what is answered, and for how long.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// How long a client may take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// Serves a router to so many connections at one time, for as long as this is polled; they end with it. `client` names
/// in the log who connects.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    client: &'static str,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    connection(stream, router, client).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Most often too many open files: some client may close one.
                tracing::warn!(%error, client, "a client cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, client: &'static str) {
    let _ = stream.set_nodelay(true);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let service = TowerToHyperService::new(router);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, client, "a client is dropped");
    }
}
