//! The page: one web page that shows the farm, the chains and the wallets of this process or of the nodes it names.
//!
//! An HTTP server gives out the built page, which is embedded, and answers JSON-RPC over a WebSocket at `/ws`. A call
//! names whom it goes to, a node, the farm or a chain's wallets, and passes on only methods of a list
//! (`crates/page/src/allow.rs`): those that change something, and all of a wallet, want a token that is new at each start
//! and listen on this machine alone. News is told to who subscribes (`crates/page/src/watch.rs`). The contract with the
//! page is `docs/page-api.md`, the reasons `docs/decisions/0024-the-page.md`.
//!
//! Deliberately not here: any data of its own. All that the page shows is an answer of a node's, farmer's or wallet's RPC.

mod allow;
mod assets;
mod backend;
mod guard;
mod server;
mod session;
mod token;
mod watch;

pub use backend::{Backend, ChainSource, Sources};
pub use server::{Page, PageError, serve};
