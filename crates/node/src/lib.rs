//! A full node: [`Chain`] owns engine, ledger, storage and mempool and performs the engine's effects;
//! [`start`] runs one in a loop between its peers, its clock and its RPC.

mod api;
mod chain;
mod error;
mod follower;
mod run;
mod sync;

pub use chain::{Chain, Notice};
pub use error::{ChainError, NodeError};
pub use follower::BeaconConfig;
pub use run::{NodeConfig, NodeHandle, start};
