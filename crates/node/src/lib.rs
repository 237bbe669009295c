//! A full node. So far the part that needs no network: [`Chain`], which owns engine, ledger, storage and
//! mempool and performs the engine's effects on them.

mod chain;
mod error;

pub use chain::{Chain, Notice};
pub use error::ChainError;
