//! Whole networks in one process from one seed: production nodes with their engine, ledger, pool, storage and rules of
//! talking to peers, under a virtual clock. Links lose messages, are slow and are cut; disks fail in the middle of a
//! commit, and a node comes back with what its disk had; some farmers cheat. Checks look on, and what they find comes
//! with the seed that shows it again.
//!
//! Real: all that a node does, every key, seal and proof of space (k = 18), databases down to the disk's operations. A
//! block is proven once for all nodes. Simulated: the clock, TCP and libp2p's gossip, the disk. Deliberately not here:
//! peers that send malformed bytes, which the fuzzers send, and RPC.

mod checks;
mod disk;
mod farming;
mod farms;
mod machine;
mod payer;
mod prover;
mod scenario;
mod station;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Arc;

use mass_consensus::spec::SpecError;
use mass_node::ChainError;
use mass_primitives::{BlockId, Height};
use serde::Serialize;

use self::{
    checks::End,
    scenario::{SECOND, Scenario},
    station::Station,
    world::World,
};
pub use self::{
    farms::{Farmer, Farms, FarmsError},
    machine::{Builder, Machine, production},
};

/// A network to simulate. The same values give the same run, event by event.
#[derive(Clone, Debug)]
pub struct Network {
    /// The seed of all randomness.
    pub seed: u64,
    /// Number of nodes; the first of them have farmers.
    pub nodes: usize,
    /// For how long blocks are made, in minutes of virtual time. After that the network has ten to settle.
    pub minutes: u64,
    /// Nodes with a farmer.
    pub farmers: usize,
    /// Farmers who seal twice.
    pub double_sealers: usize,
    /// Farmers who keep their blocks back.
    pub withholders: usize,
    /// Farmers who show headers and no contents.
    pub mutes: usize,
    /// Partitions, one after the other.
    pub partitions: usize,
    /// Crashes.
    pub crashes: usize,
    /// Payments.
    pub payments: usize,
    /// Part of the messages that is lost.
    pub loss: f64,
    /// The confirmation depth: blocks so deep below an honest node's tip are never disputed.
    pub depth: usize,
}

/// Farmers of a network for which nobody asked for another number.
const FARMERS_MAX: usize = 24;

impl Network {
    /// Nodes at the least.
    pub const NODES_MIN: usize = 4;

    /// A network with a bit of everything.
    #[must_use]
    pub fn new(seed: u64, nodes: usize, minutes: u64) -> Self {
        let (hours, nodes) = (minutes.div_ceil(60) as usize, nodes.max(Self::NODES_MIN));
        Self {
            seed,
            nodes,
            minutes,
            farmers: (nodes / 2 + 2).min(nodes).min(FARMERS_MAX),
            double_sealers: 1,
            withholders: usize::from(nodes >= 8),
            mutes: usize::from(nodes >= 12),
            partitions: hours.min(12),
            crashes: (hours * nodes).div_ceil(8).min(500),
            payments: hours * 30,
            loss: 0.02,
            depth: 30,
        }
    }

    const fn milliseconds(&self) -> u64 {
        self.minutes * 60 * SECOND
    }

    /// Runs the network on farms that have at least [`Self::farmers`].
    ///
    /// # Errors
    /// [`NetworkError::Violation`] with what a check found, or why there is no network.
    pub fn run(
        &self,
        farms: &Arc<Farms>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Summary, NetworkError> {
        self.run_with(farms, production(), progress)
    }

    /// [`Self::run`] with other machines than production nodes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(
        &self,
        farms: &Arc<Farms>,
        builder: Builder,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Summary, NetworkError> {
        if farms.farmers().len() < self.farmers {
            return Err(NetworkError::Farms { got: farms.farmers().len(), expected: self.farmers });
        }
        if self.double_sealers + self.withholders + self.mutes >= self.farmers || self.farmers > self.nodes {
            return Err(NetworkError::Dishonest);
        }
        World::new(self, farms, builder)?.run(progress)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Virtual time so far.
    pub milliseconds: u64,
    /// Virtual time in all.
    pub of: u64,
    /// Height of the chain.
    pub height: Height,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("seed {seed}, event {event}, {milliseconds} ms: \"{rule}\" does not hold at node {node:?}: {detail}")]
pub struct Violation {
    /// The seed that shows it again.
    pub seed: u64,
    /// Number of the event after which it was seen.
    pub event: u64,
    /// Virtual time.
    pub milliseconds: u64,
    /// The node at which it was seen.
    pub node: Option<usize>,
    /// What must hold.
    pub rule: &'static str,
    /// What is the case.
    pub detail: String,
}

/// Why a run has no summary.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A check found something.
    #[error(transparent)]
    Violation(Violation),
    /// The chain cannot be made.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The ledger cannot be made.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The genesis block has no coins for the payer.
    #[error("the genesis block has no coins")]
    Genesis,
    /// Too few farmers.
    #[error("{expected} farmers are needed, there are {got}")]
    Farms {
        /// Farmers that there are.
        got: usize,
        /// Farmers that are needed.
        expected: usize,
    },
    /// Nobody is honest, or there are too many farmers.
    #[error("at least one farmer must be honest, and each needs a node of its own")]
    Dishonest,
}

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Nodes with a farmer.
    pub farmers: usize,
    /// Minutes of virtual time in which blocks were made.
    pub minutes: u64,
    /// The tip on which all honest nodes agree.
    pub tip: BlockId,
    /// Its height.
    pub height: Height,
    /// Blocks sealed, double seals counted once.
    pub sealed: u64,
    /// Headers that are known and not of the chain.
    pub stale: usize,
    /// Reorganisations, of all nodes.
    pub reorgs: u64,
    /// Blocks that the deepest one undid.
    pub deepest_reorg: usize,
    /// Farmers who seal twice.
    pub double_sealers: usize,
    /// Those of them that are banned.
    pub banned: usize,
    /// Payments offered.
    pub payments: u64,
    /// Payments in the chain.
    pub payments_confirmed: u64,
    /// Crashes.
    pub crashes: u64,
    /// The longest time that a node took to catch up after one, in milliseconds.
    pub catch_up_max: u64,
    /// Partitions.
    pub partitions: usize,
    /// Messages sent.
    pub messages: u64,
    /// Messages lost.
    pub lost: u64,
    /// Events.
    pub events: u64,
    /// A digest of all moves of all tips: two runs that have the same are the same.
    pub digest: String,
}

impl Summary {
    fn new(
        network: &Network,
        scenario: &Scenario,
        stations: &[Station],
        end: &End,
        (events, payments): (u64, u64),
    ) -> Self {
        let sum = |count: fn(&Station) -> u64| stations.iter().map(count).sum();
        Self {
            seed: network.seed,
            nodes: network.nodes,
            farmers: network.farmers,
            minutes: network.minutes,
            tip: end.tip,
            height: end.height,
            sealed: sum(|station| station.counts.sealed),
            stale: end.stale,
            reorgs: sum(|station| station.counts.reorgs),
            deepest_reorg: stations.iter().map(|station| station.counts.deepest).max().unwrap_or(0),
            double_sealers: network.double_sealers,
            banned: end.banned,
            payments,
            payments_confirmed: end.payments,
            crashes: sum(|station| station.counts.crashes),
            catch_up_max: end.catch_up,
            partitions: scenario.cuts.len(),
            messages: sum(|station| station.counts.sent),
            lost: sum(|station| station.counts.lost),
            events,
            digest: format!("{:016x}", end.digest),
        }
    }
}
