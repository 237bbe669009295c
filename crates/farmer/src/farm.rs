//! The books of a farm: which groups are on which disk, and whose turn it is. Pure.
//!
//! A disk is a directory of this machine or of a harvester. What is in it is told by those who read there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use mass_consensus::{lottery::is_asked, spec::ChainSpec};
use mass_primitives::{FarmerPublicKey, GroupId};
use mass_proof_of_space::{PlotSize, Strength};
use mass_rpc::farm::{DiskFault, FaultKind, Unfinished};

use crate::{
    disk::Turn,
    shelf::{GroupFile, Scan},
};

/// What is wrong with a disk or a plot. The rest of the farm works on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The directory cannot be read.
    #[error("directory {}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The file is no plot, or fails when it is asked.
    #[error("{}: {error}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
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

/// What a chain looks at to take plots or not: size, strength, and plots of the group.
type Kind = (PlotSize, Strength, u16);

const fn kind(file: &GroupFile) -> Kind {
    (file.identity.size, file.identity.strength, file.plots)
}

/// Whether a chain takes such plots.
fn takes(spec: &ChainSpec, (size, strength, plots): Kind) -> bool {
    size == spec.plot_size() && spec.allows_strength(strength) && plots <= spec.rules().group_plots_max
}

/// A directory and what is in it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    groups: BTreeMap<GroupId, Arc<GroupFile>>,
    /// Plots by what decides whether a chain takes them, since that is asked at every word of a node.
    census: BTreeMap<Kind, u64>,
    /// What is wrong, so that a fault is news only once.
    faults: BTreeSet<DiskFault>,
    /// Files that failed when they were asked last.
    failing: BTreeMap<GroupId, DiskFault>,
    free_bytes: Option<u64>,
    unfinished: Vec<Unfinished>,
}

impl Disk {
    /// The directory; of another machine, with the name of the harvester before it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The groups that the farm uses.
    pub fn groups(&self) -> impl Iterator<Item = &GroupFile> {
        self.groups.values().map(Arc::as_ref)
    }

    /// Plots that the farm uses.
    #[must_use]
    pub fn plots(&self) -> u64 {
        self.census.values().sum()
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
}

/// The plots of one farmer.
#[derive(Debug)]
pub struct Farm {
    farmer: FarmerPublicKey,
    disks: BTreeMap<usize, Disk>,
    groups: BTreeMap<GroupId, Arc<GroupFile>>,
}

impl Farm {
    /// A farm without disks.
    #[must_use]
    pub const fn new(farmer: FarmerPublicKey) -> Self {
        Self { farmer, disks: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// Adds a disk that was not looked into yet, by a number of its own.
    pub fn add_disk(&mut self, number: usize, path: PathBuf) {
        let (groups, census) = (BTreeMap::new(), BTreeMap::new());
        let (faults, failing, unfinished) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        self.disks
            .insert(number, Disk { path, groups, census, faults, failing, free_bytes: None, unfinished });
    }

    /// Takes a disk out of the farm.
    pub fn remove_disk(&mut self, number: usize) {
        let disk = self.disks.remove(&number);
        disk.iter().flat_map(|disk| disk.groups.keys()).for_each(|group| {
            self.groups.remove(group);
        });
    }

    /// The disks by number.
    pub fn disks(&self) -> impl Iterator<Item = (usize, &Disk)> {
        self.disks.iter().map(|(number, disk)| (*number, disk))
    }

    /// A disk by its number.
    #[must_use]
    pub fn disk(&self, number: usize) -> Option<&Disk> {
        self.disks.get(&number)
    }

    /// All groups that are used.
    pub fn groups(&self) -> impl Iterator<Item = &GroupFile> {
        self.groups.values().map(Arc::as_ref)
    }

    /// Whether a chain takes plots like those of this file.
    #[must_use]
    pub fn counts(file: &GroupFile, spec: &ChainSpec) -> bool {
        takes(spec, kind(file))
    }

    /// Plots that a chain takes.
    #[must_use]
    pub fn plots(&self, spec: &ChainSpec) -> u64 {
        let kinds = self.disks.values().flat_map(|disk| &disk.census);
        kinds.filter(|(kind, _)| takes(spec, **kind)).map(|(_, plots)| plots).sum()
    }

    /// Takes note of what a disk holds: plots that came and went. Returns the faults that are new.
    pub fn scanned(&mut self, number: usize, scan: Scan) -> Vec<Fault> {
        let Some(disk) = self.disks.get_mut(&number) else { return Vec::new() };
        let mut faults: Vec<Fault> =
            scan.faults.into_iter().map(|(path, error)| Fault::Plot { path, error }).collect();
        for group in disk.groups.keys() {
            self.groups.remove(group);
        }
        disk.groups.clear();
        disk.census.clear();
        match scan.files {
            Err(error) => faults.push(Fault::Directory { path: disk.path.clone(), error }),
            Ok(files) => {
                for file in files {
                    if let Some(fault) = refusal(&file, &self.farmer, &self.groups) {
                        faults.push(fault);
                        continue;
                    }
                    *disk.census.entry(kind(&file)).or_default() += u64::from(file.plots);
                    self.groups.insert(file.group, Arc::clone(&file));
                    disk.groups.insert(file.group, file);
                }
            }
        }
        disk.failing.retain(|group, _| disk.groups.contains_key(group));
        (disk.free_bytes, disk.unfinished) = (scan.free_bytes, scan.unfinished);
        let known = std::mem::replace(&mut disk.faults, faults.iter().map(Fault::told).collect());
        faults.retain(|fault| !known.contains(&fault.told()));
        faults
    }

    /// Takes note of which of the groups that a disk was asked have failed. Returns the faults.
    pub fn asked(&mut self, disk: usize, groups: &[GroupId], failed: Vec<(PathBuf, String)>) -> Vec<Fault> {
        let faults: Vec<Fault> =
            failed.into_iter().map(|(path, error)| Fault::Plot { path, error }).collect();
        let Some(disk) = self.disks.get_mut(&disk) else { return faults };
        for group in groups {
            let Some(file) = disk.groups.get(group) else { continue };
            match faults.iter().find(|fault| fault.path() == file.path) {
                Some(fault) => drop(disk.failing.insert(*group, fault.told())),
                None => drop(disk.failing.remove(group)),
            }
        }
        faults
    }

    /// The groups of a disk that are asked.
    #[must_use]
    pub fn turn(&self, disk: usize, spec: &ChainSpec, turn: &Turn) -> Vec<GroupId> {
        let is_asked = |file: &&GroupFile| {
            let filter = spec.filter(file.identity.strength);
            Self::counts(file, spec) && is_asked(&turn.beacon, &turn.seed, &file.group, filter, turn.round)
        };
        let files = self.disks.get(&disk).into_iter().flat_map(Disk::groups);
        files.filter(is_asked).map(|file| file.group).collect()
    }
}

/// Why a file is left out.
fn refusal(
    file: &GroupFile,
    farmer: &FarmerPublicKey,
    groups: &BTreeMap<GroupId, Arc<GroupFile>>,
) -> Option<Fault> {
    let (path, owner) = (file.path.clone(), file.identity.farmer);
    if owner != *farmer {
        return Some(Fault::OtherFarmer { path, farmer: owner });
    }
    let first = groups.get(&file.group)?;
    Some(Fault::Duplicate { path, first: first.path.clone() })
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
