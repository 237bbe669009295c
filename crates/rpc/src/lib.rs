//! JSON-RPC of a node: one trait, from which both the server and the typed client are made.
//!
//! [`MassServer`] is what any chain has; [`CoinsServer`] comes with a ledger of coins, and other ledgers bring their
//! own. Methods that begin with `mass_` serve our own programs; the others are named and behave as in
//! Bitcoin Core, so that its tools find what they expect: the node answers these from a table, of which [`params`] is a
//! part, because Bitcoin Core's way with parameters is not the one of a typed trait (decision 0015). The server asks for a
//! name and a password ([`Access`], decision 0023); programs of the same user find them in a file.
//!
//! Deliberately not here: any rule of consensus, any state. Whoever implements the traits answers.

mod access;
mod answers;
mod api;
mod bans;
mod cookie;
pub mod decimals;
pub mod errors;
pub mod farm;
pub mod farm_view;
mod gate;
mod health;
mod light;
mod login;
pub mod metrics;
pub mod params;
mod pool;
mod process;
mod router;
mod transport;
mod version_one;

pub use access::{Access, User, UserError};
pub use answers::{Ban, CheckpointStatus, LastSeal, Pending, Status, Supply, Work};
pub use api::{BitcoinClient, CoinsClient, CoinsServer, MassClient, MassServer};
pub use bans::{Banned, BansClient};
pub use cookie::{CookiePlace, FILE as COOKIE_FILE, user_dir};
pub use health::{HealthClient, NodeFinding, NodeFindingKind, NodeHealth, SyncStage, SyncStageKind};
pub use jsonrpsee::core::JsonRawValue;
pub use jsonrpsee::core::RegisterMethodError;
pub use jsonrpsee::core::{ClientError, RpcResult, async_trait};
pub use jsonrpsee::types::ErrorObjectOwned;
pub use jsonrpsee::{
    Methods, PendingSubscriptionSink, RpcModule,
    core::{SubscriptionResult, server::SubscriptionMessage},
};
pub use light::{FILTERS_MAX, Filter, Filters, HEADERS_MAX, Headers, LightClient, LightServer};
pub use login::{HttpClient, Login, shown, use_cookie};
pub use pool::PoolClient;
pub use process::memory_bytes;
pub use router::serve_router;
pub use transport::{
    BATCH_MAX, BODY_BYTES_MAX, CONNECTIONS_MAX, PagesHandle, ServeError, ServerHandle, UriPath, call, client,
    client_as, client_that_waits, pass_on, serve, serve_metrics,
};
pub use version_one::modernise;
