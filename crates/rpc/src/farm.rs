//! What a farm answers: how each of its parts fares, and what to do about it.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use mass_primitives::{Amount, ChainId, FarmerPublicKey, GroupId, Height, Round, Seed};
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

    /// When the disks will be read, as far as that is known.
    #[method(name = "mass_farmReads")]
    async fn farm_reads(&self) -> RpcResult<FarmReads>;
}

/// The reads to come. Times are unix seconds by the clock of the farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmReads {
    /// When this was said.
    pub time: u64,
    /// Beacon by beacon: chains that share one share its reads.
    pub beacons: Vec<BeaconReads>,
    /// All beacons together, disk by disk.
    pub disks: Vec<DiskRest>,
}

/// The reads for one beacon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeaconReads {
    /// The chain whose seeds are used.
    pub beacon: ChainId,
    /// Names of the chains that use them.
    pub chains: Vec<String>,
    /// The seed of which all this follows.
    pub seed: Seed,
    /// The present round. It and the next are read already.
    pub round: Round,
    /// How long a round is.
    pub round_seconds: u64,
    /// Where knowledge ends; nothing if the chain that makes the seeds is not farmed, for then nobody here knows.
    pub known: Option<KnownUntil>,
    /// Its reads, disk by disk.
    pub disks: Vec<DiskReads>,
}

/// Where the period of a seed ends. Another seed gives each group another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownUntil {
    /// Blocks of the period that are still to come.
    pub blocks: u32,
    /// When the last of them is expected.
    pub expected: u64,
    /// When it can come at the earliest.
    pub earliest: u64,
}

/// The reads of a disk for one beacon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskReads {
    /// The directory.
    pub disk: String,
    /// Groups that the chains take.
    pub groups: u64,
    /// Short reads in an hour on average, whatever the seed.
    pub reads_per_hour: f64,
    /// When each group is asked next, the first first, if the seed lasts. Bounded: see `left_off`.
    pub turns: Vec<GroupTurn>,
    /// Later turns that are left off here.
    pub left_off: u64,
}

/// When a group is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTurn {
    /// The group.
    pub group: GroupId,
    /// Its plots.
    pub plots: u16,
    /// The round that asks it.
    pub round: Round,
    /// When it is read: a round earlier.
    pub time: u64,
    /// Whether that is before the period is expected to end.
    pub is_expected: bool,
}

/// When a disk may rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskRest {
    /// The directory.
    pub disk: String,
    /// Short reads in an hour on average, of all beacons.
    pub reads_per_hour: f64,
    /// Until when nothing is read there: the first turn, or the end of the first period, when all turns change. Nothing if
    /// that is not known.
    pub sleeps_until: Option<u64>,
    /// Whether that is the end of a period, which is an expectation, and not a turn.
    pub is_period_end: bool,
}

/// A farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmStatus {
    /// The key that the plots are bound to.
    pub farmer: FarmerPublicKey,
    /// Version of the program.
    pub version: String,
    /// Free bytes of the file system where the record of signed slots is, if it tells.
    pub record_free_bytes: Option<u64>,
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
    /// Groups that somebody began to make and nobody is making.
    pub unfinished: Vec<Unfinished>,
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
    pub faults: Vec<DiskFault>,
}

/// A group that is begun and in nobody's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Plots that it is to have.
    pub plots: u16,
    /// Plots of it that are there.
    pub staged: u16,
    /// Bytes of disk that going on with it takes.
    pub bytes_missing: u64,
}

/// What kind of fault a directory or a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The directory cannot be read.
    Directory,
    /// The file is no plot, or is damaged.
    Plot,
    /// The plot is bound to another key.
    OtherFarmer,
    /// The plot is in the farm already.
    Duplicate,
}

/// What is wrong with a directory or with a file in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DiskFault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// The directory or the file.
    pub path: String,
    /// What is wrong, in words.
    pub reason: String,
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
    /// Version of the node's program, if it tells.
    pub node_version: Option<String>,
    /// Rewards that the farmer has earned and that are not paid yet, if the node tells.
    pub pending: Option<PendingRewards>,
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

/// Rewards on their way to a farmer, whenever they were earned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRewards {
    /// How many.
    pub rewards: u64,
    /// Their sum, in maxwell.
    pub amount: Amount,
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

/// What a finding is about. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A disk does not answer.
    DiskHangs,
    /// A disk did not answer for a while.
    DiskHung,
    /// A disk answers late.
    DiskSlow,
    /// A directory cannot be read.
    Directory,
    /// A file is no plot, or is damaged.
    Plot,
    /// A plot is bound to another key.
    OtherFarmer,
    /// A plot is there twice.
    Duplicate,
    /// A group on the disk is begun and not finished.
    UnfinishedGroup,
    /// There is hardly space for the record of signed slots.
    RecordSpace,
    /// The key is banned.
    Banned,
    /// The node gives no work.
    NoWork,
    /// The node is behind its peers.
    NodeBehind,
    /// The node has no peers.
    NodeAlone,
    /// Node and farm are of different versions.
    Version,
    /// The clocks of node and farm differ.
    Clock,
    /// Slots were won and not sealed.
    Lost,
    /// There are fewer wins than luck explains.
    FewWins,
    /// A made-up winning challenge was lost.
    Trial,
    /// A harvester is not connected.
    HarvesterAway,
    /// Harvester and farmer are of different versions.
    HarvesterVersion,
    /// Others with the key are looked for.
    Watching,
    /// Another farmer seals with the key.
    SealedElsewhere,
    /// There is nothing to farm with.
    NoPlots,
    /// There is nothing to farm.
    NoChains,
}

impl From<FaultKind> for FindingKind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Directory => Self::Directory,
            FaultKind::Plot => Self::Plot,
            FaultKind::OtherFarmer => Self::OtherFarmer,
            FaultKind::Duplicate => Self::Duplicate,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// The disk, chain or farm.
    pub subject: String,
    /// The file, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
