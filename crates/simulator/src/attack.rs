//! The experiments, by name.
//!
//! Each is a function of a [`Trial`], that is, of a seed and a number of runs, and says for every figure where the one
//! beside it comes from. An experiment whose figure cannot be reproduced says so and stays out of band.

mod bit_dropping;
mod chosen_ids;
mod clocks;
mod delay;
mod difficulty;
mod double_seal;
mod double_spend;
mod fairness;
mod long_range;
mod massnet_v1;
mod ours;
mod plot_on_demand;
mod private_tree;
mod qualities;
mod selfish;
mod shared_space;

#[cfg(test)]
mod tests;

use mass_consensus::spec::ChainSpec;
use mass_plot::PlotError;
use rand_chacha::ChaCha8Rng;

use crate::{
    random::Streams,
    report::{Chart, Measurement, Page, Report},
};

/// Fewest runs from which a standard error can be told.
pub const RUNS_MIN: u32 = 2;

/// One experiment.
#[derive(Clone, Copy)]
pub struct Experiment {
    /// How it is called.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Runs of each case, if nothing else is wished.
    pub runs: u32,
    /// Which figures it holds its own against.
    pub set: Set,
    perform: fn(&Trial) -> Result<Findings, AttackError>,
}

/// What an experiment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// It reproduces figures that others published.
    Published,
    /// It measures our rules, and others' beside them.
    Ours,
}

/// Why an experiment came to no result.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// Too few runs.
    #[error("{0} runs are too few: a standard error takes {RUNS_MIN}")]
    Runs(u32),
    /// A chain spec that is built in is missing.
    #[error("there is no built-in chain {0}")]
    Spec(&'static str),
    /// No directory for plots.
    #[error("no temporary directory for plots: {0}")]
    Directory(#[from] std::io::Error),
    /// A plot failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A plot size that does not exist.
    #[error(transparent)]
    Params(#[from] mass_proof_of_space::ParamsError),
    /// A plot could not be built in memory.
    #[error("a plot cannot be built: {0}")]
    Build(String),
    /// The engine refused what it should take.
    #[error("the engine refused a block or a spec: {0}")]
    Engine(String),
}

/// All experiments.
pub const EXPERIMENTS: [Experiment; 24] = [
    Experiment {
        name: "private-tree",
        about: "how much faster a private tree grows than a chain, by closed form and by a simulated tree",
        runs: 8,
        set: Set::Published,
        perform: private_tree::growth,
    },
    Experiment {
        name: "crossover",
        about: "the share from which a private tree outgrows the honest chain",
        runs: 8,
        set: Set::Published,
        perform: private_tree::crossover,
    },
    Experiment {
        name: "extend-best-three",
        about: "the same if honest farmers extend the best three blocks of each height and each block is a challenge",
        runs: 8,
        set: Set::Published,
        perform: private_tree::extend_best_three,
    },
    Experiment {
        name: "delay",
        about: "the share from which a private chain outgrows an honest one whose blocks travel slowly",
        runs: 16,
        set: Set::Published,
        perform: delay::delay,
    },
    Experiment {
        name: "double-spend",
        about: "the odds of reversing a payment after z blocks, by Nakamoto and by Rosenfeld",
        runs: 20,
        set: Set::Published,
        perform: double_spend::double_spend,
    },
    Experiment {
        name: "strict-lead-race",
        about: "the odds of replacing a block of k confirmations by a longer chain",
        runs: 20,
        set: Set::Published,
        perform: double_spend::strict_lead,
    },
    Experiment {
        name: "selfish-mining",
        about: "what withholding blocks earns, and from which share it pays",
        runs: 16,
        set: Set::Published,
        perform: selfish::selfish,
    },
    Experiment {
        name: "plot-on-demand",
        about: "how many plots a device can pretend to have by making them when they are asked",
        runs: 8,
        set: Set::Published,
        perform: plot_on_demand::plot_on_demand,
    },
    Experiment {
        name: "chosen-ids",
        about: "what choosing group ids buys once the seed is known, by the real filter",
        runs: 12,
        set: Set::Published,
        perform: chosen_ids::chosen_ids,
    },
    Experiment {
        name: "bit-dropping",
        about: "what it costs to farm plots whose fragments lack bits, on real plots",
        runs: 6,
        set: Set::Published,
        perform: bit_dropping::bit_dropping,
    },
    Experiment {
        name: "qualities",
        about: "how many answers real plots have to a challenge",
        runs: 24,
        set: Set::Published,
        perform: qualities::qualities,
    },
    Experiment {
        name: "massnet-v1-table",
        about: "how full the table of Mass Net's first proof is, and how little of it an attacker needs",
        runs: 4,
        set: Set::Published,
        perform: massnet_v1::table,
    },
    Experiment {
        name: "massnet-v1-retarget",
        about: "the interval that Mass Net's first difficulty rule keeps",
        runs: 16,
        set: Set::Published,
        perform: massnet_v1::retarget,
    },
    Experiment {
        name: "fairness",
        about: "wins against capacity, and one farm split over 1, 10 and 100 keys, by the real lottery",
        runs: 20,
        set: Set::Published,
        perform: fairness::fairness,
    },
    Experiment {
        name: "double-seal",
        about: "who is caught sealing twice, by the real engine on a network that parts and meets",
        runs: 6,
        set: Set::Published,
        perform: double_seal::double_seal,
    },
    Experiment {
        name: "shared-space",
        about: "the share of a common space that overturns a chain farmed by another share of it",
        runs: 8,
        set: Set::Published,
        perform: shared_space::shared_space,
    },
    Experiment {
        name: "long-range",
        about: "the share of today's space that rewrites history from its first block",
        runs: 8,
        set: Set::Published,
        perform: long_range::long_range,
    },
    Experiment {
        name: "difficulty",
        about: "capacity that steps by ten, and farmers that choose when to farm, against the real difficulty rule",
        runs: 16,
        set: Set::Published,
        perform: difficulty::difficulty,
    },
    Experiment {
        name: "tolerance",
        about: "the share of the space from which a private tree overtakes recent blocks, by our rules and others'",
        runs: 12,
        set: Set::Ours,
        perform: ours::tolerance::tolerance,
    },
    Experiment {
        name: "confirmations",
        about: "the blocks after which a payment is reversed with odds of one in a thousand",
        runs: 12,
        set: Set::Ours,
        perform: ours::confirmations::confirmations,
    },
    Experiment {
        name: "stale",
        about: "the part of blocks that do not last, by the delay of the network",
        runs: 12,
        set: Set::Ours,
        perform: ours::stale::stale,
    },
    Experiment {
        name: "cost",
        about: "disk reads and energy of a block",
        runs: 8,
        set: Set::Ours,
        perform: ours::cost::cost,
    },
    Experiment {
        name: "trade-off-period",
        about: "what a longer or shorter period buys and costs",
        runs: 2,
        set: Set::Ours,
        perform: ours::trade_offs::period,
    },
    Experiment {
        name: "trade-off-interval",
        about: "what a longer or shorter interval between blocks buys and costs",
        runs: 2,
        set: Set::Ours,
        perform: ours::trade_offs::interval,
    },
];

/// The experiment of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Experiment> {
    EXPERIMENTS.iter().find(|experiment| experiment.name == name)
}

impl Experiment {
    /// Performs it.
    ///
    /// # Errors
    /// [`AttackError`].
    pub fn run(&self, seed: u64, runs: u32) -> Result<Report, AttackError> {
        if runs < RUNS_MIN {
            return Err(AttackError::Runs(runs));
        }
        let found = (self.perform)(&Trial { streams: Streams::new(seed, self.name), runs })?;
        let Findings { measurements, page, notes, chart } = found;
        Ok(Report { experiment: self.name, seed, runs, measurements, page, notes, chart })
    }
}

/// What an experiment starts from.
struct Trial {
    streams: Streams,
    runs: u32,
}

impl Trial {
    /// A stream for each run of a case.
    fn streams(&self, case: u32) -> impl Iterator<Item = ChaCha8Rng> + '_ {
        (0..self.runs).map(move |run| self.streams.stream(case, run))
    }
}

/// What an experiment found.
struct Findings {
    measurements: Vec<Measurement>,
    page: Option<Page>,
    notes: Vec<String>,
    chart: Chart,
}

fn massnet() -> Result<ChainSpec, AttackError> {
    ChainSpec::built_in("massnet").ok_or(AttackError::Spec("massnet"))
}
