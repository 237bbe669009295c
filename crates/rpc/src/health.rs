//! Whether all is well with a node, and what to do where it is not.

use jsonrpsee::proc_macros::rpc;
use mass_primitives::Height;
use serde::{Deserialize, Serialize};

/// How well a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// Whether it follows its chain and can go on doing so: nothing is found that is worse than a hint.
    pub ready: bool,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// Seconds since the slot of its tip.
    pub tip_age_seconds: u64,
    /// Height of the best header that it knows.
    pub headers: Height,
    /// The stages of its sync that are on their way; none once it has what its peers have.
    #[serde(default)]
    pub sync: Vec<SyncStage>,
    /// Peers that it connected to.
    pub peers_outbound: u32,
    /// Peers that connected to it.
    pub peers_inbound: u32,
    /// Bytes of memory that it takes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Bytes of its database.
    pub database_bytes: u64,
    /// Bytes that are free where the database is, where the system tells.
    pub free_bytes: Option<u64>,
    /// Height below which blocks were pruned, if some were.
    #[serde(default)]
    pub pruned_below: Option<Height>,
    /// What is wrong, the worst first.
    pub findings: Vec<NodeFinding>,
}

/// A stage of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStage {
    /// Which.
    pub stage: SyncStageKind,
    /// Parts of a snapshot that are here, or the height that is reached.
    pub done: u64,
    /// All parts, or the height to be reached as far as it is known.
    pub of: Option<u64>,
    /// Parts or blocks in a minute, by the last half minute.
    pub per_minute: u64,
    /// Seconds to the end at this speed; none while nothing moves.
    pub eta_seconds: Option<u64>,
}

/// Which stage of a sync it is. A name stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncStageKind {
    /// Headers are fetched and proven.
    Headers,
    /// The parts of a snapshot are fetched.
    Snapshot,
    /// Blocks are fetched and executed.
    Blocks,
    /// The blocks before a snapshot are validated in the background.
    History,
}

impl SyncStageKind {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Snapshot => "snapshot",
            Self::Blocks => "blocks",
            Self::History => "history",
        }
    }
}

/// One thing that is wrong with a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFinding {
    /// What it is about. A name stays what it is.
    pub kind: NodeFindingKind,
    /// What is wrong.
    pub problem: String,
    /// The one thing to do.
    pub action: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeFindingKind {
    /// The disk is nearly full.
    DiskFull,
    /// The network is switched off.
    NetworkOff,
    /// No peers are connected.
    NoPeers,
    /// No connected peer has a block that is wanted: all have pruned it.
    NoBlocks,
    /// The same for a block before the snapshot that the node began with: it does its work on that snapshot meanwhile.
    NoHistory,
    /// A checkpoint is still to come.
    Checkpoint,
    /// Better headers are known than blocks are executed.
    Behind,
    /// No block came for long.
    TipOld,
}

impl NodeFindingKind {
    /// Whether a node does its work all the same.
    #[must_use]
    pub const fn is_harmless(self) -> bool {
        matches!(self, Self::NoHistory)
    }
}

/// The method.
#[rpc(client)]
pub trait Health {
    /// Whether all is well with the node.
    #[method(name = "mass_health")]
    async fn health(&self) -> RpcResult<NodeHealth>;
}
