//! Methods of any chain, named and shaped as in Bitcoin Core 31.
//!
//! What has no counterpart has a value that says so: there are no service bits, and `networkhashps` is bytes of space.
//! Fields that Bitcoin Core does not have are added at the end and never change the meaning of others.

mod bans;
mod chain;
mod control;
mod network;
mod packages;
pub(crate) mod pool;
mod prune;

pub(crate) use chain::{block_id, confirmations, not_stored, stored};

use crate::{ledger::NodeLedger, methods::Method};

/// The methods of any chain.
pub(crate) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    let tables =
        [chain::table(), network::table(), bans::table(), pool::table(), control::table(), prune::table()];
    tables.into_iter().flatten().collect()
}
