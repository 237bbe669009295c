//! The plots of a group that wait to be merged, each in a file of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mass_primitives::PlotIndex;
use mass_proof_of_space::{GroupIdentity, PlotSize};

use crate::{
    build::{BuildOptions, Progress, build},
    create::{stem, try_out},
    directory::{PARTS_SUFFIX, sync_dir},
    error::PlotError,
    format::Kind,
    gate::Gate,
    plot::{Plot, params_of},
    solve::SolveOptions,
    space,
    write::PlotWriter,
};

/// Where the plots of a group are staged.
pub(super) struct Staging {
    parent: PathBuf,
    dir: PathBuf,
    size: PlotSize,
    plots: u16,
}

impl Staging {
    pub fn new(parent: &Path, identity: &GroupIdentity, plots: u16) -> Self {
        let dir = parent.join(format!("{}{PARTS_SUFFIX}", stem(identity)));
        Self { parent: parent.to_owned(), dir, size: identity.size, plots }
    }

    pub const fn plots(&self) -> u16 {
        self.plots
    }

    fn path(&self, index: PlotIndex) -> PathBuf {
        self.dir.join(format!("{:03}.part", index.get()))
    }

    fn unfinished(&self, index: PlotIndex) -> PathBuf {
        self.dir.join(format!("{:03}.part.tmp", index.get()))
    }

    fn indices(&self) -> impl Iterator<Item = PlotIndex> + use<> {
        (0..self.plots).map(PlotIndex::new)
    }

    /// The files of all plots, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.indices().map(|index| self.path(index)).collect()
    }

    /// The plots that are not staged.
    pub fn missing(&self) -> impl Iterator<Item = PlotIndex> {
        self.indices().filter(|index| !self.path(*index).exists())
    }

    pub fn staged_count(&self) -> u16 {
        self.plots - self.missing().count() as u16
    }

    /// Bytes of disk that the plots that are missing have not taken yet.
    pub fn bytes_missing(&self) -> u64 {
        let each = space::space_needed(self.size);
        let taken = |index| fs::metadata(self.unfinished(index)).map_or(0, |file| 512 * file.blocks());
        self.missing().map(|index| each.saturating_sub(taken(index))).sum()
    }

    /// Takes the space of all plots that are missing, if there are so many bytes besides.
    pub fn reserve(&self, besides: u64) -> Result<(), PlotError> {
        match fs::create_dir(&self.dir) {
            Ok(()) => sync_dir(&self.parent)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(PlotError::io(&self.dir)(error)),
        }
        let each = space::space_needed(self.size);
        space::check(&self.parent, self.bytes_missing() + besides)?;
        let outcome = self.missing().try_for_each(|index| {
            let path = self.unfinished(index);
            space::reserve(&open(&path)?, &path, 0, each)
        });
        if outcome.is_err() {
            self.give_up_reserve();
        }
        outcome
    }

    /// Gives back the space that was taken and is not used.
    pub fn give_up_reserve(&self) {
        for index in self.indices() {
            // There are those that are complete, too.
            let _ = fs::remove_file(self.unfinished(index));
        }
    }

    /// Makes a plot, checks it, makes it durable and stages it.
    pub fn make(
        &self,
        index: PlotIndex,
        identity: &GroupIdentity,
        options: &BuildOptions,
        gate: &Gate,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), PlotError> {
        let (path, unfinished) = (self.path(index), self.unfinished(index));
        let file = open(&unfinished)?;
        let mut writer = PlotWriter::new(&file, &unfinished, identity, Kind::Staged(index), gate);
        let params = params_of(identity, index);
        build(&params, options, &progress, gate, &mut |fragments| writer.push(fragments))?;
        writer.finish()?;
        space::settle(&file, &unfinished)?;
        let plot = Plot::open_staged(&unfinished)?;
        plot.check_all(gate.meter())?;
        try_out(&plot, identity, &SolveOptions { threads: Some(options.threads), gate: Some(gate) })?;
        fs::rename(&unfinished, &path).map_err(PlotError::io(&path))?;
        sync_dir(&self.dir)
    }

    /// Removes everything.
    pub fn remove(&self) -> Result<(), PlotError> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(PlotError::io(&self.dir)(error)),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path) -> Result<File, PlotError> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(PlotError::io(path))
}
