//! The Electrum protocol, versions 1.4 to 1.4.2: JSON-RPC in lines over TCP, for wallets that hold keys and look
//! histories up by script hash.
//!
//! What it says is what the node has checked; block ids, headers and addresses are the chain's own. All that clients can
//! make the server hold is bounded: their number, the length of a line, of a history and of an answer, what they watch.
//! Not here: TLS, which a proxy in front adds, and other servers as peers.

mod methods;
mod request;
mod session;
mod status;
mod wire;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use self::session::{Server, Session};
use super::view::{View, Watcher};

/// Clients at one time at the most.
const CLIENTS_MAX: usize = 256;

/// Serves clients at `addr`, where port 0 lets the system choose, for as long as the task is not aborted; the address
/// that it got.
///
/// # Errors
/// The system refuses the address.
pub(super) async fn serve(
    addr: SocketAddr,
    view: View,
    watcher: Arc<Watcher>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(addr).await?;
    let local = listener.local_addr()?;
    let server = Server { view, watcher };
    Ok((local, tokio::spawn(accept(listener, server))))
}

async fn accept(listener: TcpListener, server: Server) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    // They end with this task.
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most often too many open files: some client may close one.
                tracing::warn!(%error, "an Electrum client cannot be taken");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let session = Session::new(server.clone());
        clients.spawn(async move {
            if let Err(reason) = session.run(stream).await {
                tracing::debug!(%peer, %reason, "an Electrum client is dropped");
            }
            drop(place);
        });
    }
}
