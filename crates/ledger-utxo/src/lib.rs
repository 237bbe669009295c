//! Mass Net's ledger: Bitcoin-format transactions over pure key-value state.
//!
//! A body is a compact-size count and as many Bitcoin-encoded transactions, the coinbase first. Coins
//! are witness programs alone. A block's reward is written down when the block comes and paid by the
//! coinbase of a much later block, so that a farmer who cheats can still lose it. Nothing here reads a
//! clock, a disk or a random number. Scripts are checked in parallel and remembered, neither of which
//! changes a verdict.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

pub mod address;
pub mod audit;
pub mod body;
pub mod coin;
pub mod coinbase;
pub mod denomination;
pub mod error;
pub mod fault;
pub mod filter;
mod interpreter;
pub mod ledger;
pub mod params;
pub mod policy;
mod reject;
pub mod reward;
pub mod script;
mod signature;
pub mod sigops;
pub mod transaction;
mod verified;
mod witness;

#[cfg(test)]
mod tests;

pub use address::AddressError;
pub use coin::{Coin, coin_key, read_coin};
pub use coinbase::COINBASE_WEIGHT_MAX;
pub use denomination::{DenominationError, MAXWELL_PER_MASS, format_mass, parse_mass};
pub use error::{LedgerError, ParamsError, Sum};
pub use fault::ScriptFault;
pub use ledger::UtxoLedger;
pub use params::{GenesisOutput, LedgerParams, MONEY_MAX};
pub use policy::PolicyError;
pub use reward::{PendingReward, Supply};
pub use transaction::{SpendContext, TxSummary};
