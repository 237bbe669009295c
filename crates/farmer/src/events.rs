//! What a farmer tells those who watch it: what happened, and what it has done so far.

use mass_primitives::{BlockId, ChainId, Height, Round, Slot};
use mass_rpc::farm::Finding;
use serde::Serialize;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum FarmEvent {
    /// The plots are open.
    Opened {
        /// How many there are.
        plots: u64,
        /// Bytes of their files.
        bytes: u64,
        /// Where the farm answers RPC, if it does.
        rpc: Option<String>,
        /// Where it listens for harvesters, if it does.
        harvesters: Option<String>,
    },
    /// Plots came or went.
    Plots {
        /// The directory.
        disk: String,
        /// How many it has now.
        plots: u64,
    },
    /// A disk owes answers for too long and is left alone until it gives them.
    DiskHangs {
        /// The directory.
        disk: String,
    },
    /// A disk answers again.
    DiskBack {
        /// The directory.
        disk: String,
    },
    /// A harvester is there.
    HarvesterJoined {
        /// Its name.
        harvester: String,
        /// How many disks it has.
        disks: usize,
    },
    /// A harvester is gone; its disks are asked again when it is back.
    HarvesterLost {
        /// Its name.
        harvester: String,
        /// Why.
        reason: String,
    },
    /// A directory or plot fails; the rest goes on.
    Fault {
        /// What is wrong.
        reason: String,
    },
    /// All plots whose turn it was have answered. Chains that share the beacon share the answer.
    Round {
        /// The chain whose seeds pose the challenge.
        beacon: ChainId,
        /// The round.
        round: Round,
        /// Groups asked.
        asked: u64,
        /// Short reads made.
        reads: u64,
        /// Qualities found.
        qualities: u64,
    },
    /// A block of ours was taken by the node.
    Sealed {
        /// Name of the chain.
        chain: String,
        /// Its height.
        height: Height,
        /// Its slot.
        slot: Slot,
        /// Its id.
        id: BlockId,
    },
    /// A slot was won and not sealed.
    Lost {
        /// Name of the chain.
        chain: String,
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// A node does not answer, or has no work.
    NodeLost {
        /// Name of the chain.
        chain: String,
        /// What the attempt said.
        reason: String,
    },
    /// A node answers again.
    NodeBack {
        /// Name of the chain.
        chain: String,
    },
    /// The key sealed twice in one slot of a chain, and all know: it farms there no more.
    Banned {
        /// Name of the chain.
        chain: String,
        /// Height of the block with the evidence.
        height: Height,
    },
    /// Nothing is sealed on the chain for so many slots, while others with the key are looked for.
    Watching {
        /// Name of the chain.
        chain: String,
        /// The slots, by the node's clock.
        slots: u64,
    },
    /// No other farmer with the key was seen; slots are sealed from now on.
    Watched {
        /// Name of the chain.
        chain: String,
    },
    /// A block is sealed with the key that is not in the signing record: nothing more is sealed on the chain.
    OtherFarmer {
        /// Name of the chain.
        chain: String,
        /// Slot of the block.
        slot: Slot,
        /// Height of the block.
        height: Height,
    },
    /// The doctor has found what keeps a part from earning, and it has stood for a while.
    Trouble(Finding),
    /// What the doctor had found is over.
    Over(Finding),
    /// The chains that are farmed are others now, or their settings are.
    Changed {
        /// Names of the chains that are farmed.
        chains: Vec<String>,
    },
}

/// What a farmer did since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Challenges that all plots have answered.
    pub rounds: u64,
    /// Short reads made.
    pub reads: u64,
    /// Qualities found.
    pub qualities: u64,
    /// Proofs solved.
    pub proofs: u64,
    /// Blocks of ours that a node took.
    pub wins: u64,
    /// Slots won and not sealed.
    pub lost: u64,
    /// Chain by chain.
    pub chains: Vec<ChainTotals>,
}

/// What a farmer did on one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainTotals {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub chain: ChainId,
    /// The chain whose seeds it uses.
    pub beacon: ChainId,
    /// Short reads made for that beacon; all chains that share it share them.
    pub reads: u64,
    /// Blocks of ours that the node took.
    pub wins: u64,
    /// Slots won and not sealed.
    pub lost: u64,
}
