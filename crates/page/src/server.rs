//! The HTTP server: connections, their bounds, and what goes to the assets or becomes a session.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State, WebSocketUpgrade, ws::WebSocket},
    http::{Response, StatusCode, header},
    middleware::{self, Next},
    response::IntoResponse as _,
    routing::{any, get},
};
use mass_rpc::serve_router;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

use crate::{
    assets::{self, plain},
    backend::Sources,
    guard, session,
    token::Token,
    watch::Watch,
};

/// Connections at one time at the most.
const CONNECTIONS_MAX: usize = 128;
/// WebSockets at one time at the most.
const SESSIONS_MAX: usize = 32;
/// Bytes of a message from the page at the most: room for a PSBT.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The system refuses the address.
    #[error("the page cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the page's token: {0}")]
    Random(String),
}

/// A page that is served, until this is dropped.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    token: zeroize::Zeroizing<String>,
    tasks: [JoinHandle<()>; 2],
}

impl Page {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser. The token is in the fragment, which a browser sends to nobody.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/#token={}", self.address, *self.token)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) sources: Arc<Sources>,
    pub(crate) token: Token,
    /// Where the server listens.
    pub(crate) local: SocketAddr,
    pub(crate) watch: Watch,
    sessions: Arc<Semaphore>,
}

/// Serves the page at `addr`, where port 0 lets the system choose.
///
/// # Errors
/// [`PageError`].
pub async fn serve(addr: SocketAddr, sources: Sources) -> Result<Page, PageError> {
    let refused = |error| PageError::Listen(addr, error);
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let (sources, token) = (Arc::new(sources), Token::new()?);
    let text = zeroize::Zeroizing::new(token.text().to_owned());
    let (watch, watching) = Watch::new(Arc::clone(&sources));
    let sessions = Arc::new(Semaphore::new(SESSIONS_MAX));
    let shared = Arc::new(Shared { sources, token, local: address, watch, sessions });
    let tasks = [
        tokio::spawn(serve_router(listener, router(shared), CONNECTIONS_MAX, "browser")),
        tokio::spawn(watching),
    ];
    Ok(Page { address, token: text, tasks })
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws", get(open))
        .fallback(any(asset))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guarded))
        .with_state(shared)
}

async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let mut answer = match guard::check(request.method(), request.headers(), shared.local) {
        Ok(()) => next.run(request).await,
        Err((status, reason)) => plain(status, reason),
    };
    guard::seal(&mut answer);
    answer
}

async fn asset(request: Request) -> Response<Body> {
    assets::answer(request.uri().path(), request.headers().get(header::IF_NONE_MATCH))
}

async fn open(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response<Body> {
    let Ok(place) = Arc::clone(&shared.sessions).try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
    };
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    let session = async move |socket: WebSocket| {
        session::run(socket, shared).await;
        drop(place);
    };
    upgrade.on_upgrade(session).into_response()
}
