//! The plots of a farmer by disk: which there are, whose turn it is, and what a look-up finds.
//!
//! A disk is a directory. No threads here, and no clock: [`scan`] and [`look_up`] read disks for whoever calls
//! them, and [`Farm`] only keeps the books.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use mass_consensus::{lottery::is_asked, spec::ChainSpec};
use mass_plot::{Plot, PlotError, READS_PER_CHALLENGE, UnfinishedGroup};
use mass_primitives::{Challenge, FarmerPublicKey, GroupId, Round, Seed};
use mass_rpc::farm::{DiskFault, FaultKind, Unfinished};

use crate::schedule::Found;

/// What is wrong with a disk or a plot. The rest of the farm works on.
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

/// Files by their number in the farm, which none gets twice. A file has one plot, or several of a group.
pub type Numbered = Vec<(usize, Arc<Plot>)>;

/// What was found, and what that cost.
#[derive(Debug, Default)]
pub struct Answer {
    /// The qualities.
    pub found: Vec<Found>,
    /// Groups that were asked.
    pub asked: u64,
    /// Short reads.
    pub reads: u64,
    /// Plots that failed.
    pub faults: Vec<Fault>,
    /// Numbers of the files that did not.
    pub sound: Vec<usize>,
}

/// What a directory holds.
#[derive(Debug)]
pub struct Scan {
    /// All files that are named like plots.
    files: Result<BTreeSet<PathBuf>, PlotError>,
    /// Those of them that were not open already.
    opened: Vec<Plot>,
    /// Those that are no plots.
    faults: Vec<(PathBuf, PlotError)>,
    /// Free bytes of the file system, if it tells.
    free_bytes: Option<u64>,
    unfinished: Vec<Unfinished>,
}

/// Looks into a directory, and opens the plots that are not open already.
#[must_use]
pub fn scan(dir: &Path, open: &BTreeSet<PathBuf>) -> Scan {
    let files = mass_plot::plot_files(dir).map(BTreeSet::from_iter);
    let (mut opened, mut faults) = (Vec::new(), Vec::new());
    for path in files.iter().flatten().filter(|path| !open.contains(*path)) {
        match Plot::open(path) {
            Ok(plot) => opened.push(plot),
            Err(error) => faults.push((path.clone(), error)),
        }
    }
    Scan { files, opened, faults, free_bytes: mass_plot::free_bytes(dir).ok(), unfinished: unfinished(dir) }
}

/// The groups of a directory that nobody is making. One that cannot be read has a fault already.
fn unfinished(dir: &Path) -> Vec<Unfinished> {
    let groups = mass_plot::unfinished_groups(dir).unwrap_or_default().into_iter();
    let group = |group: UnfinishedGroup| Unfinished {
        plots: group.plots,
        staged: group.staged,
        bytes_missing: group.bytes_missing,
    };
    groups.map(group).collect()
}

/// Asks plots a challenge.
#[must_use]
pub fn look_up(plots: &[(usize, Arc<Plot>)], challenge: &Challenge) -> Answer {
    let mut answer = Answer::default();
    for (number, plot) in plots {
        answer.asked += 1;
        answer.reads += READS_PER_CHALLENGE;
        let strength = plot.params().strength;
        match plot.group_qualities(challenge) {
            Ok(chains) => {
                answer.sound.push(*number);
                answer.found.extend(chains.into_iter().filter_map(|(index, chain)| {
                    let quality = chain.quality(plot.plot_id_of(index)?, strength);
                    Some(Found { plot: *number, index, quality, chain, strength })
                }));
            }
            Err(error) => answer.faults.push(Fault::Plot { path: plot.path().to_owned(), error }),
        }
    }
    answer
}

/// A directory and what is in it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    plots: BTreeMap<PathBuf, usize>,
    /// What is wrong, so that a fault is news only once.
    faults: BTreeSet<DiskFault>,
    /// Files that failed when they were asked last.
    failing: BTreeMap<usize, DiskFault>,
    free_bytes: Option<u64>,
    unfinished: Vec<Unfinished>,
}

impl Disk {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many files it has that the farm uses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plots.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plots.is_empty()
    }

    /// Free bytes of the file system at the last scan, if it told.
    #[must_use]
    pub const fn free_bytes(&self) -> Option<u64> {
        self.free_bytes
    }

    /// What was wrong at the last scan, and with files when they were asked last.
    pub fn faults(&self) -> impl Iterator<Item = &DiskFault> {
        self.faults.iter().chain(self.failing.values())
    }

    /// The groups that were begun and in nobody's hands at the last scan.
    #[must_use]
    pub fn unfinished(&self) -> &[Unfinished] {
        &self.unfinished
    }

    /// The files that are open.
    #[must_use]
    pub fn open_files(&self) -> BTreeSet<PathBuf> {
        self.plots.keys().cloned().collect()
    }
}

/// The plots of one farmer.
#[derive(Debug)]
pub struct Farm {
    farmer: FarmerPublicKey,
    disks: Vec<Disk>,
    plots: BTreeMap<usize, Arc<Plot>>,
    groups: BTreeMap<GroupId, usize>,
    next: usize,
}

impl Farm {
    /// A farm whose disks were not looked into yet.
    #[must_use]
    pub fn new(directories: &[PathBuf], farmer: FarmerPublicKey) -> Self {
        let disk = |path: &PathBuf| Disk {
            path: path.clone(),
            plots: BTreeMap::new(),
            faults: BTreeSet::new(),
            failing: BTreeMap::new(),
            free_bytes: None,
            unfinished: Vec::new(),
        };
        let (plots, groups) = (BTreeMap::new(), BTreeMap::new());
        Self { farmer, disks: directories.iter().map(disk).collect(), plots, groups, next: 0 }
    }

    /// The disks.
    #[must_use]
    pub fn disks(&self) -> &[Disk] {
        &self.disks
    }

    /// All plots with their numbers.
    pub fn plots(&self) -> impl Iterator<Item = (usize, &Arc<Plot>)> {
        self.plots.iter().map(|(number, plot)| (*number, plot))
    }

    /// The plots of a disk.
    pub fn plots_of(&self, disk: usize) -> impl Iterator<Item = &Arc<Plot>> {
        let numbers = self.disks.get(disk).into_iter().flat_map(|disk| disk.plots.values());
        numbers.filter_map(|number| self.plots.get(number))
    }

    /// A plot by its number, unless it is gone.
    #[must_use]
    pub fn plot(&self, number: usize) -> Option<&Arc<Plot>> {
        self.plots.get(&number)
    }

    /// Whether a chain takes plots like those of this file.
    #[must_use]
    pub fn counts(plot: &Plot, spec: &ChainSpec) -> bool {
        plot.params().size == spec.plot_size()
            && spec.allows_strength(plot.params().strength)
            && plot.count() <= spec.rules().group_plots_max
    }

    /// Takes note of what a disk holds: plots that came and went. Returns the faults that are new.
    pub fn scanned(&mut self, disk: usize, scan: Scan) -> Vec<Fault> {
        let Some(path) = self.disks.get(disk).map(|disk| disk.path.clone()) else { return Vec::new() };
        let mut faults: Vec<Fault> =
            scan.faults.into_iter().map(|(path, error)| Fault::Plot { path, error }).collect();
        let files = scan.files.unwrap_or_else(|error| {
            faults.push(Fault::Directory { path, error });
            BTreeSet::new()
        });
        self.drop_gone(disk, &files);
        faults.extend(scan.opened.into_iter().filter_map(|plot| self.add(disk, plot)));
        let Some(disk) = self.disks.get_mut(disk) else { return faults };
        (disk.free_bytes, disk.unfinished) = (scan.free_bytes, scan.unfinished);
        let known = std::mem::replace(&mut disk.faults, faults.iter().map(Fault::told).collect());
        faults.retain(|fault| !known.contains(&fault.told()));
        faults
    }

    /// Takes note of which files of a disk failed when they were asked.
    pub fn asked(&mut self, disk: usize, answer: &Answer) {
        let Some(disk) = self.disks.get_mut(disk) else { return };
        disk.failing.retain(|number, _| !answer.sound.contains(number));
        for fault in &answer.faults {
            if let Some(number) = disk.plots.get(fault.path()) {
                disk.failing.insert(*number, fault.told());
            }
        }
    }

    fn drop_gone(&mut self, disk: usize, files: &BTreeSet<PathBuf>) {
        let Some(disk) = self.disks.get_mut(disk) else { return };
        let gone: Vec<usize> =
            disk.plots.extract_if(.., |path, _| !files.contains(path)).map(|(_, n)| n).collect();
        disk.failing.retain(|number, _| !gone.contains(number));
        for number in gone {
            if let Some(plot) = self.plots.remove(&number) {
                self.groups.remove(&plot.params().group_id);
            }
        }
    }

    /// Adds a plot, or says why not.
    fn add(&mut self, disk: usize, plot: Plot) -> Option<Fault> {
        let (path, owner) = (plot.path().to_owned(), plot.identity().farmer);
        if owner != self.farmer {
            return Some(Fault::OtherFarmer { path, farmer: owner });
        }
        let first = self.groups.get(&plot.params().group_id).and_then(|number| self.plots.get(number));
        if let Some(first) = first {
            return Some(Fault::Duplicate { path, first: first.path().to_owned() });
        }
        let number = self.next;
        self.next += 1;
        self.groups.insert(plot.params().group_id, number);
        self.plots.insert(number, Arc::new(plot));
        self.disks.get_mut(disk)?.plots.insert(path, number);
        None
    }

    /// The plots of a disk that a round asks.
    #[must_use]
    pub fn turn(&self, disk: usize, spec: &ChainSpec, seed: &Seed, round: Round) -> Numbered {
        let numbers = self.disks.get(disk).into_iter().flat_map(|disk| disk.plots.values());
        let plots = numbers.filter_map(|number| Some((*number, self.plots.get(number)?)));
        plots
            .filter(|(_, plot)| {
                let params = plot.params();
                Self::counts(plot, spec)
                    && is_asked(spec.beacon_id(), seed, &params.group_id, spec.filter(params.strength), round)
            })
            .map(|(number, plot)| (number, Arc::clone(plot)))
            .collect()
    }
}

impl Fault {
    /// What kind of fault it is.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Directory { .. } => FaultKind::Directory,
            Self::Plot { .. } => FaultKind::Plot,
            Self::OtherFarmer { .. } => FaultKind::OtherFarmer,
            Self::Duplicate { .. } => FaultKind::Duplicate,
        }
    }

    /// The fault as it is told of.
    #[must_use]
    pub fn told(&self) -> DiskFault {
        DiskFault { kind: self.kind(), path: self.path().display().to_string(), reason: self.to_string() }
    }

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
