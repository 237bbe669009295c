//! The plots of a farmer, in any number of directories.
//!
//! Each directory is read by a thread of its own, and its answer is handed on when it is there, so that a
//! disk that sleeps delays itself alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use mass_consensus::{
    lottery::{challenge, is_asked},
    spec::ChainSpec,
};
use mass_plot::{Plot, PlotError};
use mass_primitives::{FarmerPublicKey, GroupId, Round, Seed};
use mass_proof_of_space::{Proof, QualityChain};

use crate::schedule::Found;

/// Short reads that a group costs when it is asked.
const READS_PER_GROUP: u64 = 4;

/// What is wrong with a directory or a plot. The rest of the farm works on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The directory cannot be read.
    #[error("directory {}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: PlotError,
    },
    /// The file is no plot, or fails when it is asked.
    #[error("{}: {error}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why.
        error: PlotError,
    },
    /// The plot is somebody else's.
    #[error("{} belongs to farmer {farmer}", path.display())]
    OtherFarmer {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        farmer: FarmerPublicKey,
    },
    /// The same group is in the farm already.
    #[error("{} is the same plot as {}", path.display(), first.display())]
    Duplicate {
        /// The file that is left out.
        path: PathBuf,
        /// The file that is used.
        first: PathBuf,
    },
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// The farm has no plot of that number.
    #[error("the farm has no plot {0}")]
    NoPlot(usize),
    /// The plot does not yield the proof.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// What was found, and what that cost.
#[derive(Debug, Default)]
pub struct Answer {
    /// The qualities.
    pub found: Vec<Found>,
    /// Groups that passed the filter and were asked.
    pub asked: u64,
    /// Short reads: four per group asked.
    pub reads: u64,
    /// Plots that failed.
    pub faults: Vec<Fault>,
}

/// The plots of one farmer.
#[derive(Debug)]
pub struct Farm {
    plots: Vec<Plot>,
    /// Positions in `plots`, by directory.
    directories: Vec<Vec<usize>>,
}

impl Farm {
    /// Opens the plots of `farmer` in these directories, each group once.
    #[must_use]
    pub fn open(directories: &[PathBuf], farmer: &FarmerPublicKey) -> (Self, Vec<Fault>) {
        let listings: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                directories.iter().map(|path| (path, scope.spawn(|| mass_plot::list(path)))).collect();
            threads.into_iter().map(|(path, thread)| (path, join(thread))).collect()
        });
        let mut farm = Self { plots: Vec::new(), directories: Vec::new() };
        let (mut faults, mut first) = (Vec::new(), BTreeMap::new());
        for (path, listing) in listings {
            let listing = match listing {
                Ok(listing) => listing,
                Err(error) => {
                    faults.push(Fault::Directory { path: path.clone(), error });
                    continue;
                }
            };
            faults.extend(listing.faults.into_iter().map(|(path, error)| Fault::Plot { path, error }));
            farm.add(listing.plots, farmer, &mut first, &mut faults);
        }
        (farm, faults)
    }

    fn add(
        &mut self,
        plots: Vec<Plot>,
        farmer: &FarmerPublicKey,
        first: &mut BTreeMap<GroupId, PathBuf>,
        faults: &mut Vec<Fault>,
    ) {
        let mut positions = Vec::new();
        for plot in plots {
            let (path, owner) = (plot.path().to_owned(), plot.identity().farmer);
            if owner != *farmer {
                faults.push(Fault::OtherFarmer { path, farmer: owner });
            } else if let Some(first) = first.get(&plot.params().group_id) {
                faults.push(Fault::Duplicate { path, first: first.clone() });
            } else {
                first.insert(plot.params().group_id, path);
                positions.push(self.plots.len());
                self.plots.push(plot);
            }
        }
        self.directories.push(positions);
    }

    /// The plots; their positions are those in [`Found`] and in draws.
    #[must_use]
    pub fn plots(&self) -> &[Plot] {
        &self.plots
    }

    /// Whether a chain takes plots like this one.
    #[must_use]
    pub fn counts(plot: &Plot, spec: &ChainSpec) -> bool {
        plot.params().size == spec.plot_size() && spec.allows_strength(plot.params().strength)
    }

    /// Asks the groups whose turn it is, and waits for all directories.
    #[must_use]
    pub fn look_up(&self, spec: &ChainSpec, seed: &Seed, round: Round) -> Answer {
        let mut whole = Answer::default();
        self.look_up_each(spec, seed, round, |part| {
            whole.found.extend(part.found);
            whole.faults.extend(part.faults);
            whole.asked += part.asked;
            whole.reads += part.reads;
        });
        whole.found.sort_by_key(|found| (found.plot, *found.chain.links()));
        whole
    }

    /// Asks the groups whose turn it is, and hands on the answer of each directory as soon as it is there.
    /// Directories with no such group are not touched.
    pub fn look_up_each(&self, spec: &ChainSpec, seed: &Seed, round: Round, mut hand_on: impl FnMut(Answer)) {
        let (sender, answers) = mpsc::channel();
        thread::scope(|scope| {
            for positions in &self.directories {
                let turn: Vec<usize> =
                    positions.iter().copied().filter(|plot| self.is_turn(*plot, spec, seed, round)).collect();
                if turn.is_empty() {
                    continue;
                }
                let sender = sender.clone();
                // Nobody is left to hear of an answer only if the caller panics.
                scope.spawn(move || sender.send(self.ask(&turn, spec, seed, round)).ok());
            }
            drop(sender);
            answers.iter().for_each(&mut hand_on);
        });
    }

    fn is_turn(&self, plot: usize, spec: &ChainSpec, seed: &Seed, round: Round) -> bool {
        self.plots.get(plot).filter(|plot| Self::counts(plot, spec)).map(Plot::params).is_some_and(|params| {
            is_asked(spec.beacon_id(), seed, &params.group_id, spec.filter(params.strength), round)
        })
    }

    fn ask(&self, turn: &[usize], spec: &ChainSpec, seed: &Seed, round: Round) -> Answer {
        let question = challenge(spec.beacon_id(), seed, round);
        let mut answer = Answer::default();
        for &position in turn {
            let Some(plot) = self.plots.get(position) else { continue };
            answer.asked += 1;
            answer.reads += READS_PER_GROUP;
            let strength = plot.params().strength;
            match plot.qualities(&question) {
                Ok(chains) => answer.found.extend(chains.into_iter().map(|chain| Found {
                    plot: position,
                    quality: chain.quality(plot.plot_id(), strength),
                    chain,
                    strength,
                })),
                Err(error) => answer.faults.push(Fault::Plot { path: plot.path().to_owned(), error }),
            }
        }
        answer
    }

    /// Finds the proof behind a quality: seconds of work on all cores.
    ///
    /// # Errors
    /// [`FarmError`].
    pub fn solve(&self, plot: usize, chain: &QualityChain) -> Result<Proof, FarmError> {
        Ok(self.plots.get(plot).ok_or(FarmError::NoPlot(plot))?.solve(chain)?)
    }
}

impl Fault {
    /// The directory or file that is at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory { path, .. }
            | Self::Plot { path, .. }
            | Self::OtherFarmer { path, .. }
            | Self::Duplicate { path, .. } => path,
        }
    }
}

/// The result of a thread; a panic in it goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
