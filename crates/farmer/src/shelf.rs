//! The plot files of a directory, as the thread that alone reads there keeps them: open, and asked by group.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use mass_plot::{Plot, PlotError, UnfinishedGroup};
use mass_primitives::{Challenge, GroupId, PlotIndex};
use mass_proof_of_space::{GroupIdentity, QualityChain};
use mass_rpc::farm::Unfinished;
use rand_core::{OsRng, RngCore};

use crate::schedule::Found;

/// A good plot answers none of so many challenges with odds of about `2^-64`.
const CHALLENGES_MAX: u32 = 64;

/// What is known of a plot file without reading it again: the plots of one group, or one plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFile {
    /// The file; of another machine, with the name of the harvester before it.
    pub path: PathBuf,
    /// Whose plots they are, and of what size and strength.
    pub identity: GroupIdentity,
    /// The id of the group, which follows from the identity.
    pub group: GroupId,
    /// Plots in it, from 1 to 128.
    pub plots: u16,
    /// Length of the file.
    pub bytes: u64,
}

/// What a directory holds.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Its plot files by path, or why it cannot be read.
    pub files: Result<Vec<Arc<GroupFile>>, String>,
    /// Files that are named like plots and are none, and why.
    pub faults: Vec<(PathBuf, String)>,
    /// Free bytes of the file system, if it tells.
    pub free_bytes: Option<u64>,
    /// The groups that nobody is making.
    pub unfinished: Vec<Unfinished>,
}

/// What was found, and what that cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The qualities.
    pub found: Vec<Found>,
    /// Groups that were asked.
    pub asked: u64,
    /// Short reads, four for each group; others for one that is damaged.
    pub reads: u64,
    /// Files that failed, and why.
    pub faults: Vec<(PathBuf, String)>,
}

/// A challenge that a plot answers, made up to try the plot out, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Whose plot it is.
    pub identity: GroupIdentity,
    /// Which plot of the group.
    pub index: PlotIndex,
    /// The challenge.
    pub challenge: Challenge,
    /// The answer.
    pub chain: QualityChain,
}

/// A directory and its open plots.
pub struct Shelf {
    dir: PathBuf,
    open: BTreeMap<PathBuf, (Arc<GroupFile>, Plot)>,
    /// The first file of each group.
    groups: BTreeMap<GroupId, PathBuf>,
}

impl Shelf {
    /// A directory that was not looked into yet.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir, open: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks into the directory: opens plots that came, and closes those that went.
    pub fn scan(&mut self) -> Scan {
        let mut faults = Vec::new();
        let paths = match mass_plot::plot_files(&self.dir) {
            Ok(paths) => paths,
            Err(error) => {
                (self.open, self.groups) = (BTreeMap::new(), BTreeMap::new());
                let unfinished = Vec::new();
                return Scan { files: Err(error.to_string()), faults, free_bytes: None, unfinished };
            }
        };
        let mut before = std::mem::take(&mut self.open);
        for path in paths {
            let known = before.remove(&path);
            match known.map_or_else(|| open(&path), Ok) {
                Ok(file) => drop(self.open.insert(path, file)),
                Err(error) => faults.push((path, error.to_string())),
            }
        }
        let groups = self.open.iter().rev().map(|(path, (file, _))| (file.group, path.clone()));
        self.groups = groups.collect();
        let files = Ok(self.open.values().map(|(file, _)| Arc::clone(file)).collect());
        let free_bytes = mass_plot::free_bytes(&self.dir).ok();
        Scan { files, faults, free_bytes, unfinished: unfinished(&self.dir) }
    }

    /// Asks groups a challenge. One that is not here any more is passed over.
    #[must_use]
    pub fn look_up(&self, challenge: &Challenge, groups: &[GroupId]) -> Answer {
        let mut answer = Answer::default();
        for (file, plot) in groups.iter().filter_map(|group| self.open.get(self.groups.get(group)?)) {
            answer.asked += 1;
            let before = plot.read_count().reads;
            let chains = plot.group_qualities(challenge);
            answer.reads += plot.read_count().reads - before;
            match chains {
                Ok(chains) => answer
                    .found
                    .extend(chains.into_iter().map(|(index, chain)| Found::new(file.identity, index, chain))),
                Err(error) => answer.faults.push((file.path.clone(), error.to_string())),
            }
        }
        answer
    }

    /// Finds a challenge that the first plot of the directory answers.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn sample(&self) -> Result<Sample, String> {
        let (file, plot) = self.open.values().next().ok_or("there is no plot")?;
        let at = |error: &str| format!("look-up in {}: {error}", file.path.display());
        for _ in 0..CHALLENGES_MAX {
            let mut challenge = [0; 32];
            OsRng.fill_bytes(&mut challenge);
            let challenge = Challenge::new(challenge);
            let chains = plot.group_qualities(&challenge).map_err(|error| at(&error.to_string()))?;
            if let Some((index, chain)) = chains.into_iter().next() {
                return Ok(Sample { identity: file.identity, index, challenge, chain });
            }
        }
        Err(at(&format!("no answer to {CHALLENGES_MAX} challenges")))
    }
}

/// The groups of a directory that nobody is making. One that cannot be read has a fault already.
fn unfinished(dir: &Path) -> Vec<Unfinished> {
    let groups = mass_plot::unfinished_groups(dir).unwrap_or_default().into_iter();
    let group = |group: UnfinishedGroup| Unfinished {
        plots: group.plots,
        staged: group.staged,
        bytes_missing: group.bytes_missing,
    };
    groups.filter(|group| !group.in_work).map(group).collect()
}

fn open(path: &Path) -> Result<(Arc<GroupFile>, Plot), PlotError> {
    let plot = Plot::open(path)?;
    let file = GroupFile {
        path: path.to_owned(),
        identity: *plot.identity(),
        group: plot.params().group_id,
        plots: plot.count(),
        bytes: plot.file_bytes(),
    };
    Ok((Arc::new(file), plot))
}
