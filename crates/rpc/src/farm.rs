//! What a farm answers: how each of its parts fares, and what to do about it.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use mass_primitives::{ChainId, FarmerPublicKey, Height, Round};
use serde::{Deserialize, Serialize};

use crate::answers::LastSeal;

/// The methods of a farm.
#[rpc(server, client)]
pub trait Farm {
    /// How all parts fare.
    #[method(name = "mass_farmStatus")]
    async fn farm_status(&self) -> RpcResult<FarmStatus>;

    /// Tries every part out, and says what is wrong and what to do. Takes as long as a proof takes.
    #[method(name = "mass_farmDoctor")]
    async fn farm_doctor(&self) -> RpcResult<Diagnosis>;

    /// Gives out a code by which one harvester can be paired; the code before it is void.
    #[method(name = "mass_farmPair")]
    async fn farm_pair(&self) -> RpcResult<PairingCode>;

    /// Takes a harvester out of the farm, by its name.
    #[method(name = "mass_farmUnpair")]
    async fn farm_unpair(&self, name: String) -> RpcResult<()>;
}

/// A farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmStatus {
    /// The key that the plots are bound to.
    pub farmer: FarmerPublicKey,
    /// Its disks, those of harvesters among them.
    pub disks: Vec<DiskStatus>,
    /// The harvesters that are paired with it.
    pub harvesters: Vec<HarvesterStatus>,
    /// The chains that it farms.
    pub chains: Vec<ChainStatus>,
    /// Challenges that all plots whose turn it was have answered.
    pub rounds: u64,
    /// Short reads made.
    pub reads: u64,
    /// Qualities found.
    pub qualities: u64,
    /// Proofs solved.
    pub proofs: u64,
}

/// A directory of plots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// The directory; of a harvester, with its name before it.
    pub path: String,
    /// The harvester that reads it, unless that is the farmer.
    pub harvester: Option<String>,
    /// Plots that are farmed.
    pub plots: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Free bytes of the file system, if it tells.
    pub free_bytes: Option<u64>,
    /// The last round that it has answered.
    pub answered: Option<Round>,
    /// Challenges that it could not be asked because it hung or was away.
    pub missed: u64,
    /// Whether its harvester is not connected.
    pub away: bool,
    /// Whether it has owed an answer for too long.
    pub hangs: bool,
    /// Milliseconds within which half of the last look-ups were answered.
    pub p50_milliseconds: Option<f64>,
    /// Milliseconds within which 99 of 100 were.
    pub p99_milliseconds: Option<f64>,
    /// What is wrong with the directory and with files in it.
    pub faults: Vec<String>,
}

/// A machine that reads plots for the farm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvesterStatus {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub connected: bool,
    /// Why it is not, if it was since the farm has started.
    pub reason: Option<String>,
    /// Its software, as it said last.
    pub software: Option<String>,
    /// Version of the protocol that is spoken with it.
    pub protocol: Option<u16>,
    /// How many disks it has.
    pub disks: u64,
}

/// A way to pair one harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingCode {
    /// The code.
    pub code: String,
    /// Where the farm listens.
    pub address: String,
    /// How long the code is good.
    pub seconds: u64,
}

/// A chain that is farmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainStatus {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub chain: ChainId,
    /// The chain whose seeds it uses.
    pub beacon: ChainId,
    /// URL of the node.
    pub node: String,
    /// Whether the node answers with work.
    pub connected: bool,
    /// What it said instead.
    pub reason: Option<String>,
    /// Height of the node's tip.
    pub height: Option<Height>,
    /// Peers of the node.
    pub peers: Option<u32>,
    /// Whether the node has caught up with its peers.
    pub synced: Option<bool>,
    /// The node's clock less ours, in slots.
    pub clock_skew_slots: i64,
    /// Height of the block that banned the key.
    pub banned: Option<Height>,
    /// Slots for which the start-up watch still lasts: nothing is sealed before it is over.
    pub watch_slots: u64,
    /// A seal of the key that is not in the signing record: nothing is sealed beside another farmer.
    pub other_farmer: Option<LastSeal>,
    /// Short reads made for the beacon.
    pub reads: u64,
    /// Blocks that the node took.
    pub wins: u64,
    /// Slots won and not sealed.
    pub lost: u64,
    /// Blocks that this much space wins on average in the time that the node gave work.
    pub expected_wins: f64,
    /// Probability that an honest farm has so few wins or fewer: Poisson.
    pub p_value: f64,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Whether the farm earns: nothing was found that keeps it from that.
    pub earns: bool,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What was tried out from a challenge to a signature, and how that went.
    pub trials: Vec<Trial>,
    /// The state that this is about.
    pub status: FarmStatus,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is earned with this part.
    Error,
    /// Less is earned than could be, or soon will be.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The disk, file, chain or node.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// The one thing to do.
    pub action: String,
}

/// A made-up winning challenge, driven through a disk, the solver, the key and the verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The disk.
    pub disk: String,
    /// Where it failed; nothing if it did not.
    pub failure: Option<String>,
    /// Milliseconds from the challenge to the verified seal.
    pub milliseconds: u64,
}
