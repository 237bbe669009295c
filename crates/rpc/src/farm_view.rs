//! What a farm tells who looks at it: its last rounds, its luck, and the making of plots, which can be begun and held here.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use mass_primitives::{ChainId, Height, Round};
use serde::{Deserialize, Serialize};

/// The methods.
#[rpc(server, client)]
pub trait FarmView {
    /// The last rounds, the newest last, `count` at the most.
    #[method(name = "mass_farmRounds")]
    async fn farm_rounds(&self, count: Option<u32>) -> RpcResult<FarmRounds>;

    /// For each chain, what this much space is to expect, and what it has won since the start.
    #[method(name = "mass_farmLuck")]
    async fn farm_luck(&self) -> RpcResult<FarmLuck>;

    /// Where plots are made and held, directory by directory of this machine.
    #[method(name = "mass_farmPlotting")]
    async fn farm_plotting(&self) -> RpcResult<Vec<PlottingStatus>>;

    /// Begins to make plots for this farm's key in one of its directories.
    #[method(name = "mass_farmPlot")]
    async fn farm_plot(&self, order: PlotOrder) -> RpcResult<()>;

    /// Holds whoever makes plots in a directory, this farm or another program; whether nobody held them before.
    #[method(name = "mass_farmPlotPause")]
    async fn farm_plot_pause(&self, disk: String) -> RpcResult<bool>;

    /// Lets them go on; whether they were held.
    #[method(name = "mass_farmPlotResume")]
    async fn farm_plot_resume(&self, disk: String) -> RpcResult<bool>;

    /// Ends what `mass_farmPlot` has begun; a group that is half made is gone on with by the next order. Whether there
    /// was something to end.
    #[method(name = "mass_farmPlotStop")]
    async fn farm_plot_stop(&self, disk: String) -> RpcResult<bool>;
}

/// The last rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmRounds {
    /// The newest last.
    pub rounds: Vec<RoundReport>,
}

/// How a round went. Plots are asked one round ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// The chain whose seed poses the challenge.
    pub beacon: ChainId,
    /// Names of the chains that use it.
    pub chains: Vec<String>,
    /// The round.
    pub round: Round,
    /// When the disks were asked, in unix seconds.
    pub time: u64,
    /// Plots that have answered.
    pub asked: u64,
    /// Short reads.
    pub reads: u64,
    /// Qualities found.
    pub qualities: u64,
    /// Milliseconds until the last disk had answered; nothing while one has not.
    pub milliseconds: Option<u64>,
    /// Whether its time is over.
    pub is_over: bool,
    /// Disks whose turn it was and that could not be asked, or did not answer in time.
    pub missed: Vec<String>,
}

/// The luck of a farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmLuck {
    /// Seconds since the farm has started.
    pub seconds: u64,
    /// Chain by chain.
    pub chains: Vec<ChainLuck>,
}

/// What a farm is to expect of a chain, and what it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainLuck {
    /// The chain's name.
    pub name: String,
    /// Bytes of the plots that it takes, as its lottery weighs them.
    pub plot_bytes: u64,
    /// Estimate of the space that farms the chain, in bytes, in decimal; nothing until the node has answered.
    pub netspace_bytes: Option<String>,
    /// Our part of it.
    pub share: Option<f64>,
    /// Seconds between two wins on average; nothing without plots.
    pub seconds_per_win: Option<f64>,
    /// Blocks that the node took since the start.
    pub wins: u64,
    /// Blocks that so much space wins on average in that time.
    pub expected_wins: f64,
    /// 19 of 20 honest farms of this size have so many wins at the least.
    pub wins_low: u64,
    /// And so many at the most.
    pub wins_high: u64,
    /// Probability that an honest farm has so few wins or fewer: Poisson.
    pub p_value: f64,
    /// The last wins, the newest last, 100 at the most.
    pub won: Vec<Win>,
}

/// A block of ours that the node took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Win {
    /// Its height.
    pub height: Height,
    /// When, in unix seconds.
    pub time: u64,
}

/// Plots to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlotOrder {
    /// A directory of the farm.
    pub disk: String,
    /// How many, 100,000 at the most. Groups that are begun are gone on with first, and count.
    pub plots: u32,
    /// Plots that share a file, up to what the chain takes.
    #[serde(default = "alone")]
    pub group: u16,
}

const fn alone() -> u16 {
    1
}

/// The making of plots in a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlottingStatus {
    /// The directory.
    pub disk: String,
    /// Whether somebody makes plots there, held or not; nothing if the disk does not tell.
    pub in_work: Option<bool>,
    /// Whether whoever does is held.
    pub paused: bool,
    /// What `mass_farmPlot` has begun there last.
    pub job: Option<PlottingJob>,
}

/// Plots in the making.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlottingJob {
    /// How many are to be made.
    pub plots: u32,
    /// How many are there.
    pub made: u32,
    /// Hundredths of the work that are done.
    pub percent: f64,
    /// Bytes of plots made in a second, without rests.
    pub bytes_per_second: u64,
    /// What is left takes about so long, without rests; nothing until that is known.
    pub seconds_left: Option<u64>,
    /// Whether it has ended, well or not.
    pub is_over: bool,
    /// Why it has ended early.
    pub failure: Option<String>,
}
