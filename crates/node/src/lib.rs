//! A full node of any ledger: [`Chain`] owns engine, ledger, storage and mempool and performs the engine's effects;
//! [`Node`] speaks with peers, without sockets and clock; [`start`] runs one in a loop between its peers, its clock and
//! its RPC.
//!
//! A new chain is a ledger with [`NodeLedger`], a chain spec, and a program whose `main` is [`program::main`]: see
//! `docs/new-chain.md`. Mass Net's ledger is one of them.

mod access;
mod api;
mod chain;
pub mod check;
mod clock;
mod compact;
mod error;
pub mod export;
mod follower;
mod generate;
mod health;
mod history;
mod index;
mod ledger;
mod lock;
mod methods;
mod news;
mod node;
mod pool;
mod pool_files;
pub mod program;
mod progress;
mod prove;
mod prover;
mod prune;
mod queries;
pub mod rebuild;
mod relay;
mod run;
mod scan;
pub mod settings;
mod snapshot;
mod space;
mod standard;
mod sync;
mod turns;
pub mod utxo;

pub use {
    mass_consensus as consensus, mass_mempool as mempool, mass_primitives as primitives, mass_rpc as rpc,
    mass_storage as storage,
};

pub use mass_network::DiscoveryConfig;

pub use access::AccessArgs;
pub use chain::{Chain, Notice, Parts};
pub use compact::{CompactTally, gossiped_header};
pub use error::{ChainError, NodeError};
pub use follower::BeaconConfig;
pub use generate::{Generate, Generating, Generator};
pub use index::{BlockToIndex, IndexInfo, IndexReader, sorted};
pub use ledger::{Candidate, Included, LedgerFault, NextBlock, NodeLedger};
pub use methods::{Answer, Answering, Method};
pub use node::{Moment, Node};
pub use pool::{Admitted, PackageVerdict, PackageVerdicts};
pub use prove::prove_headers;
pub use prover::{Afresh, Prover};
pub use prune::{PRUNE_KEEP_BLOCKS, PruneSetting, Pruning};
pub use queries::{LedgerRpc, Queries, text_param};
pub use run::{NodeConfig, NodeHandle, start, start_asked};
pub use snapshot::SNAPSHOT_DEPTH_BLOCKS;
pub use utxo::faces::{FaceArgs, FaceError, Faces};
