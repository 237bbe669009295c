//! Whole networks in one process from one seed: production nodes with their engine, ledger, pool, storage and rules of
//! talking to peers, under a virtual clock. Links lose messages, are slow and are cut; disks fail in the middle of a
//! commit, and a node comes back with what its disk had; some farmers cheat. Checks look on, and what they find comes
//! with the seed that shows it again.
//!
//! Real: all that a node does, every key, seal and proof of space (k = 18), databases down to the disk's operations. A
//! block is proven once for all nodes. Simulated: the clock, TCP and libp2p's gossip, the disk. Deliberately not here:
//! peers that send malformed bytes, which the fuzzers send, and RPC.

mod agreement;
mod cheats;
mod checks;
mod farming;
mod farms;
mod machine;
mod payer;
mod propagation;
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
    world::{Log, World},
};
pub use self::{
    farms::{Farmer, Farms, FarmsError},
    machine::{Builder, Machine, production},
    propagation::{Propagated, Propagation, Reach},
};

/// A network to simulate. The same values give the same run, event by event.
#[derive(Clone, Debug, PartialEq)]
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
    /// Farmers who seal each win a dozen times.
    pub flooders: usize,
    /// Farmers who seal bodies that break a rule, or send others than they sealed.
    pub forgers: usize,
    /// Farmers who tell true and forged evidence without end.
    pub spammers: usize,
    /// Farmers who leave the network for minutes and come back with a branch of their own.
    pub loners: usize,
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
        // In a small network most of the space must stay honest: one of these a seed.
        let one_of = |kind: u64| usize::from(nodes >= 100 || (nodes >= 16 && seed % 4 == kind));
        Self {
            seed,
            nodes,
            minutes,
            farmers: (nodes / 2 + 2).min(nodes).min(FARMERS_MAX),
            double_sealers: 1,
            withholders: usize::from(nodes >= 8),
            mutes: usize::from(nodes >= 12),
            flooders: one_of(0),
            forgers: one_of(1),
            spammers: one_of(2),
            loners: one_of(3),
            partitions: hours.min(12),
            crashes: (hours * nodes).div_ceil(8).min(500),
            payments: hours * 30,
            loss: 0.02,
            depth: 30,
        }
    }

    const fn cheats(&self) -> usize {
        let first = self.double_sealers + self.withholders + self.mutes;
        first + self.flooders + self.forgers + self.spammers + self.loners
    }

    /// The command that runs this very network.
    #[must_use]
    pub fn command(&self) -> String {
        let hours = self.minutes as f64 / 60.0;
        let Self { seed, nodes, farmers, double_sealers, withholders, mutes, partitions, .. } = self;
        let Self { flooders, forgers, spammers, loners, crashes, payments, loss, depth, .. } = self;
        format!(
            "mass sim network --seed {seed} --nodes {nodes} --hours {hours} --farmers {farmers} \
             --double-sealers {double_sealers} --withholders {withholders} --mutes {mutes} \
             --flooders {flooders} --forgers {forgers} --spammers {spammers} --loners {loners} \
             --partitions {partitions} --crashes {crashes} --payments {payments} --loss {loss} --depth {depth}"
        )
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
        progress: &mut (dyn FnMut(Progress) + Send),
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
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Summary, NetworkError> {
        if farms.farmers().len() < self.farmers {
            return Err(NetworkError::Farms { got: farms.farmers().len(), expected: self.farmers });
        }
        if self.cheats() >= self.farmers || self.farmers > self.nodes {
            return Err(NetworkError::Dishonest);
        }
        let world = World::new(self, farms, builder)?;
        // The loop is one of the pool's threads: handing half of a window to another one wakes nobody who is awake.
        rayon::scope(|_| world.run(progress))
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
    /// Events so far.
    pub events: u64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "seed {seed}, event {event}, {milliseconds} ms: \"{rule}\" does not hold at node {node:?}: {detail}\n\
     again: {replay}"
)]
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
    /// A digest of all events up to this one.
    pub digest: String,
    /// The command that shows it again, in a network of production nodes.
    pub replay: String,
}

/// Why a run has no summary.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A check found something.
    #[error(transparent)]
    Violation(Box<Violation>),
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
    /// Milliseconds from block to block.
    pub interval: u64,
    /// Reorganisations, of all nodes.
    pub reorgs: u64,
    /// Blocks that the deepest one of an honest node undid.
    pub deepest_reorg: usize,
    /// Blocks that each of two honest nodes had, at some moment, above the last block that both had, at the most.
    pub deepest_disagreement: usize,
    /// The confirmation depth: deeper disagreement is a violation.
    pub depth: usize,
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
    /// Bytes that a node sent on average, without those of the transport.
    pub bytes_per_node: u64,
    /// Events.
    pub events: u64,
    /// A digest of all moves of all tips.
    pub digest: String,
    /// A digest of all events: two runs that have the same are the same.
    pub log: String,
}

impl Summary {
    fn new(
        network: &Network,
        scenario: &Scenario,
        stations: &[Station],
        end: &End,
        (log, payments): (&Log, u64),
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
            interval: end.seconds * SECOND / u64::from(end.height.get()).max(1),
            reorgs: sum(|station| station.counts.reorgs),
            deepest_reorg: stations.iter().map(|station| station.counts.deepest).max().unwrap_or(0),
            deepest_disagreement: end.disagreement,
            depth: network.depth,
            double_sealers: network.double_sealers + network.flooders,
            banned: end.banned,
            payments,
            payments_confirmed: end.payments,
            crashes: sum(|station| station.counts.crashes),
            catch_up_max: end.catch_up,
            partitions: scenario.cuts.len(),
            messages: sum(|station| station.counts.sent),
            lost: sum(|station| station.counts.lost),
            bytes_per_node: sum(|station| station.counts.bytes) / network.nodes as u64,
            events: log.events,
            digest: format!("{:016x}", end.digest),
            log: log.digest(),
        }
    }

    /// Part of the linked blocks that are not of the chain.
    #[must_use]
    pub fn stale_rate(&self) -> f64 {
        self.stale as f64 / (self.stale as f64 + f64::from(self.height.get())).max(1.0)
    }
}
