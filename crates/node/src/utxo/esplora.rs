//! The REST interface of Esplora, for wallets and Lightning nodes: blocks, transactions, histories and coins by script,
//! the pool and fee estimates.
//!
//! Answers have the shapes, statuses and words of Blockstream's electrs; block ids, headers and addresses are the chain's
//! own. Clients that have another network's addresses ask by script hash. What is asked for is read beside the node's
//! loop, and bounded: connections, the bytes of a request, the time that it may take, the entries of an answer. Pages in
//! browsers are not let in unless an origin is named. Not here: search by prefix of an address, and assets.

mod answers;
mod blocks;
mod reply;
mod scripts;
mod submit;
mod transactions;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderValue, Response, StatusCode, header},
    middleware::{self, Next},
    routing::{get, post},
};
use mass_primitives::BlockId;
use mass_rpc::serve_router;
use tokio::{net::TcpListener, task::JoinHandle};

use self::{
    reply::{Refusal, Reply, respond},
    scripts::Name,
};
use super::view::{View, Watcher};

/// Transactions of a block or of a history in one answer.
const TXS_PER_PAGE: usize = 25;
/// Connections at one time at the most.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's body at the most.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a request may take altogether.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// How the server answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// The id that is given for the block of height 0, instead of the chain's own: for clients with another network's
    /// genesis block built in.
    pub(super) genesis: Option<BlockId>,
    /// The origin whose pages may read answers.
    pub(super) origin: Option<HeaderValue>,
}

/// What all requests share.
struct Server {
    view: View,
    watcher: Arc<Watcher>,
    options: Options,
}

type Shared = State<Arc<Server>>;
type Answer = Response<Body>;

/// Serves clients at `addr`, where port 0 lets the system choose, for as long as the task is not aborted; the address
/// that it got.
///
/// # Errors
/// The system refuses the address.
pub(super) async fn serve(
    addr: SocketAddr,
    view: View,
    watcher: Arc<Watcher>,
    options: Options,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(addr).await?;
    let local = listener.local_addr()?;
    let router = router(Server { view, watcher, options });
    Ok((local, tokio::spawn(serve_router(listener, router, CONNECTIONS_MAX, "Esplora"))))
}

fn router(server: Server) -> Router {
    let server = Arc::new(server);
    Router::new()
        .route("/blocks/tip/height", get(async |state: Shared| read(state, blocks::tip_height).await))
        .route("/blocks/tip/hash", get(async |state: Shared| read(state, blocks::tip_id).await))
        .merge(blocks_router())
        .merge(transactions_router())
        .merge(scripts_router("/address/{name}", Name::Address))
        .merge(scripts_router("/scripthash/{name}", Name::Hash))
        .route("/tx", post(submit::one))
        .route("/txs/package", post(submit::package))
        .fallback(async |request: Request| {
            respond(Err(Refusal::missing(format!("endpoint does not exist {:?}", request.uri().path()))))
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&server), bounded))
        .with_state(server)
}

/// Bounds the time that a request takes, refuses a body that says that it is too long before any of it comes, and lets
/// pages of the named origin read the answer.
async fn bounded(State(server): Shared, request: Request, next: Next) -> Answer {
    let mut answer = if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
        respond(Err(Refusal::body(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large".to_owned())))
    } else {
        let late = |_| respond(Err(Refusal::late()));
        tokio::time::timeout(REQUEST_MAX, next.run(request)).await.unwrap_or_else(late)
    };
    if let Some(origin) = &server.options.origin {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    answer
}

/// The answer of something that reads the view.
async fn read(
    State(server): Shared,
    read: impl FnOnce(&View) -> Result<Reply, Refusal> + Send + 'static,
) -> Answer {
    let reply = server.view.read(read).await;
    respond(reply.unwrap_or_else(|| Err(Refusal::node("Internal server error"))))
}

fn blocks_router() -> Router<Arc<Server>> {
    type One = Path<String>;
    type Two = Path<(String, String)>;
    Router::new()
        .route("/blocks", get(async |state: Shared| read(state, |view| blocks::page(view, None)).await))
        .route(
            "/blocks/{start}",
            get(async |state: Shared, Path(start): One| {
                read(state, move |view| blocks::page(view, Some(&start))).await
            }),
        )
        .route(
            "/block-height/{height}",
            get(async |state: Shared, Path(height): One| {
                let genesis = state.options.genesis;
                read(state, move |view| blocks::id_at(view, genesis, &height)).await
            }),
        )
        .route("/block/{id}", by_id(blocks::block))
        .route("/block/{id}/header", by_id(blocks::header))
        .route("/block/{id}/raw", by_id(blocks::raw))
        .route("/block/{id}/status", by_id(blocks::status))
        .route("/block/{id}/txids", by_id(blocks::txids))
        .route("/block/{id}/txs", by_id(|view, id| blocks::txs(view, id, None)))
        .route(
            "/block/{id}/txs/{start}",
            get(async |state: Shared, Path((id, start)): Two| {
                read(state, move |view| blocks::txs(view, &id, Some(&start))).await
            }),
        )
        .route(
            "/block/{id}/txid/{index}",
            get(async |state: Shared, Path((id, index)): Two| {
                read(state, move |view| blocks::txid(view, &id, &index)).await
            }),
        )
}

/// A route whose path names one thing.
fn by_id(answer: fn(&View, &str) -> Result<Reply, Refusal>) -> axum::routing::MethodRouter<Arc<Server>> {
    get(async move |state: Shared, Path(id): Path<String>| read(state, move |view| answer(view, &id)).await)
}

fn transactions_router() -> Router<Arc<Server>> {
    Router::new()
        .route("/tx/{txid}", by_id(transactions::transaction))
        .route("/tx/{txid}/hex", by_id(transactions::hex))
        .route("/tx/{txid}/raw", by_id(transactions::raw))
        .route("/tx/{txid}/status", by_id(transactions::status))
        .route("/tx/{txid}/merkle-proof", by_id(transactions::merkle_proof))
        .route("/tx/{txid}/merkleblock-proof", by_id(transactions::merkleblock_proof))
        .route("/tx/{txid}/outspends", by_id(transactions::outspends))
        .route(
            "/tx/{txid}/outspend/{vout}",
            get(async |state: Shared, Path((txid, vout)): Path<(String, String)>| {
                read(state, move |view| transactions::outspend(view, &txid, &vout)).await
            }),
        )
        .route("/mempool", get(async |state: Shared| read(state, transactions::pool).await))
        .route("/mempool/txids", get(async |state: Shared| read(state, transactions::pool_txids).await))
        .route("/mempool/recent", get(async |state: Shared| read(state, transactions::pool_recent).await))
        .route("/fee-estimates", get(async |state: Shared| read(state, transactions::fee_estimates).await))
}

fn scripts_router(path: &str, name: fn(String) -> Name) -> Router<Arc<Server>> {
    let of = |answer: fn(&View, &Name) -> Result<Reply, Refusal>| {
        get(async move |state: Shared, Path(text): Path<String>| {
            read(state, move |view| answer(view, &name(text))).await
        })
    };
    Router::new()
        .route(path, of(scripts::stats))
        .route(&format!("{path}/txs"), of(scripts::txs))
        .route(&format!("{path}/txs/chain"), of(|view, name| scripts::chain_txs(view, name, None)))
        .route(&format!("{path}/txs/mempool"), of(scripts::pool_txs))
        .route(&format!("{path}/utxo"), of(scripts::unspent))
        .route(
            &format!("{path}/txs/chain/{{last}}"),
            get(async move |state: Shared, Path((text, last)): Path<(String, String)>| {
                read(state, move |view| scripts::chain_txs(view, &name(text), Some(&last))).await
            }),
        )
}
