//! A full node: [`Chain`] owns engine, ledger, storage and mempool and performs the engine's effects;
//! [`Node`] speaks with peers, without sockets and clock; [`start`] runs one in a loop between its peers, its clock and
//! its RPC.

mod api;
mod chain;
mod error;
mod follower;
mod node;
mod prover;
mod run;
mod sync;

pub use chain::{Chain, Notice, Parts};
pub use error::{ChainError, NodeError};
pub use follower::BeaconConfig;
pub use node::{Moment, Node};
pub use prover::{Afresh, Prover};
pub use run::{NodeConfig, NodeHandle, start};
