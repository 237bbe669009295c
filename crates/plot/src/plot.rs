//! An open plot file: which challenges its plots answer.
//!
//! Nothing but the headers and the index is read when it is opened; a challenge costs
//! [`READS_PER_CHALLENGE`] reads for all plots together, whose checksums are checked. The file is opened read-only and never mapped, so
//! that a disk that fails gives an error and not a signal.

use std::{
    fmt,
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use mass_primitives::{Challenge, PlotId, PlotIndex};
use mass_proof_of_space::{
    GroupIdentity, PlotParams, Proof, QualityChain,
    chain::{SETS, challenge_sets},
    plot_id,
};

use crate::{
    aes::PlotHasher,
    chains::find_chains,
    error::{FileEnd, PlotError},
    format::{HEADER_LEN, Header, INDEX_ENTRY_LEN, Kind, block::Block, index::Index},
    solve::{SolveOptions, solve},
};

/// Short reads of a file that a challenge costs, one for each set that it picks, however many plots there are.
pub const READS_PER_CHALLENGE: u64 = SETS as u64;

/// A plot file that has been opened and checked: one plot, or several of a group.
pub struct Plot {
    path: PathBuf,
    /// None once the file has been deleted.
    file: RwLock<Option<File>>,
    header: Header,
    index: Index,
    /// At least one.
    members: Box<[Member]>,
}

/// One of the plots of a file.
struct Member {
    params: PlotParams,
    plot_id: PlotId,
    hasher: PlotHasher,
}

impl Member {
    fn new(identity: &GroupIdentity, index: PlotIndex) -> Self {
        let params = params_of(identity, index);
        let plot_id = plot_id(&params.group_id, index);
        let hasher = PlotHasher::new(&plot_id);
        Self { params, plot_id, hasher }
    }
}

/// Everything that determines the content of the plot of a group at `index`.
pub(crate) fn params_of(identity: &GroupIdentity, index: PlotIndex) -> PlotParams {
    let GroupIdentity { size, strength, .. } = *identity;
    PlotParams { group_id: identity.group_id(), index, size, strength }
}

impl Plot {
    /// Opens a plot file, reading its headers and its index, but no block.
    ///
    /// # Errors
    /// [`PlotError`] that says in what way the file is damaged or no plot.
    pub fn open(path: &Path) -> Result<Self, PlotError> {
        let file = File::open(path).map_err(PlotError::io(path))?;
        let (header, index) = read_outline(&file, path)?;
        match header.kind {
            Kind::Plots => Ok(Self::new(path, file, header, index)),
            kind => Err(PlotError::Magic { end: FileEnd::Front, got: kind.magic() }),
        }
    }

    /// Opens a plot that is staged for its group.
    pub(crate) fn open_staged(path: &Path) -> Result<Self, PlotError> {
        let file = File::open(path).map_err(PlotError::io(path))?;
        let (header, index) = read_outline(&file, path)?;
        Ok(Self::new(path, file, header, index))
    }

    fn new(path: &Path, file: File, header: Header, index: Index) -> Self {
        let indices = match header.kind {
            Kind::Staged(index) => index.get()..=index.get(),
            Kind::Plots | Kind::Begun => 0..=header.layout.plots - 1,
        };
        let members = indices.map(|index| Member::new(&header.identity, PlotIndex::new(index))).collect();
        Self { path: path.to_owned(), file: RwLock::new(Some(file)), header, index, members }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose plots they are, and of what size and strength.
    #[must_use]
    pub const fn identity(&self) -> &GroupIdentity {
        &self.header.identity
    }

    /// Plots in the file, from 1 to 128.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.header.layout.plots
    }

    /// Everything that determines the content of the plot, or of the first if there are several.
    #[must_use]
    pub fn params(&self) -> &PlotParams {
        &self.members[0].params
    }

    /// Everything that determines the content of the plot at `index` of the group.
    #[must_use]
    pub fn params_of(&self, index: PlotIndex) -> Option<&PlotParams> {
        self.member(index).ok().map(|member| &member.params)
    }

    /// The identity of the plot itself, or of the first if there are several.
    #[must_use]
    pub fn plot_id(&self) -> &PlotId {
        &self.members[0].plot_id
    }

    /// The identity of the plot at `index` of the group.
    #[must_use]
    pub fn plot_id_of(&self, index: PlotIndex) -> Option<&PlotId> {
        self.member(index).ok().map(|member| &member.plot_id)
    }

    fn member(&self, index: PlotIndex) -> Result<&Member, PlotError> {
        let found = self.members.iter().find(|member| member.params.index == index);
        found.ok_or(PlotError::NoPlot { index, count: self.count() })
    }

    /// Length of the file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.header.file_bytes()
    }

    /// How many fragments the plots have, from which their answers come: about `2^k` each.
    #[must_use]
    pub const fn fragments(&self) -> u64 {
        self.header.fragments
    }

    /// What the plot answers to a challenge, for a file of one plot; of several, the first answers alone: see
    /// [`group_qualities`](Self::group_qualities).
    ///
    /// # Errors
    /// As [`group_qualities`](Self::group_qualities).
    pub fn qualities(&self, challenge: &Challenge) -> Result<Vec<QualityChain>, PlotError> {
        self.ask(challenge, &self.members[..1])
            .map(|found| found.into_iter().map(|(_, chain)| chain).collect())
    }

    /// What all plots of the file answer to a challenge: none, one or several chains of each, by index and then in
    /// ascending order, for [`READS_PER_CHALLENGE`] reads in all.
    ///
    /// # Errors
    /// [`PlotError::Io`] if the file cannot be read, [`PlotError::Deleted`], [`PlotError::Block`] if it is damaged.
    pub fn group_qualities(
        &self,
        challenge: &Challenge,
    ) -> Result<Vec<(PlotIndex, QualityChain)>, PlotError> {
        self.ask(challenge, &self.members)
    }

    /// The answers of some members, which are the first ones.
    fn ask(
        &self,
        challenge: &Challenge,
        members: &[Member],
    ) -> Result<Vec<(PlotIndex, QualityChain)>, PlotError> {
        self.let_go_if_deleted();
        let (layout, mut bytes) = (self.header.layout, Vec::new());
        let mut sets: Vec<[Vec<u64>; SETS]> = vec![Default::default(); members.len()];
        for (turn, number) in challenge_sets(self.params(), challenge).into_iter().enumerate() {
            let block = self.read_block(layout.block_of_set(number), &mut bytes)?;
            let (from, to) = (layout.set_start(number), layout.set_start(number + 1));
            let keep = |plot: usize, fragment| {
                if let Some(sets) = sets.get_mut(plot) {
                    sets[turn].push(fragment);
                }
            };
            block.fragments(from, to, keep).map_err(|_| self.damaged(layout.block_of_set(number)))?;
        }
        let mut found = Vec::new();
        for (member, sets) in members.iter().zip(&sets) {
            let sets = sets.each_ref().map(Vec::as_slice);
            let chains = find_chains(&member.hasher, &member.plot_id, challenge, &sets)?;
            found.extend(chains.into_iter().map(|chain| (member.params.index, chain)));
        }
        Ok(found)
    }

    /// Finds the proof behind a quality chain of the plot, or of the first if there are several: seconds of work on
    /// all cores.
    ///
    /// # Errors
    /// [`PlotError::Unsolvable`] if there is none.
    pub fn solve(&self, chain: &QualityChain) -> Result<Proof, PlotError> {
        self.solve_with(chain, &SolveOptions::default())
    }

    /// As [`solve`](Self::solve), with chosen means. The file is not read.
    ///
    /// # Errors
    /// [`PlotError::Unsolvable`] if there is none, [`PlotError::Cancelled`].
    pub fn solve_with(&self, chain: &QualityChain, options: &SolveOptions<'_>) -> Result<Proof, PlotError> {
        solve(self.params(), chain, options)
    }

    /// Finds the proof behind a quality chain of the plot at `index` of the group. The file is not read.
    ///
    /// # Errors
    /// [`PlotError::NoPlot`], [`PlotError::Unsolvable`] if there is none, [`PlotError::Cancelled`].
    pub fn solve_of(
        &self,
        index: PlotIndex,
        chain: &QualityChain,
        options: &SolveOptions<'_>,
    ) -> Result<Proof, PlotError> {
        solve(&self.member(index)?.params, chain, options)
    }

    /// Reads the whole file and checks all of it; the error names the first damage. `goes_on` is asked after every
    /// block, with the bytes read so far.
    ///
    /// # Errors
    /// [`PlotError`], or [`PlotError::Cancelled`] if `goes_on` says no.
    pub fn check_all(&self, mut goes_on: impl FnMut(u64) -> bool) -> Result<(), PlotError> {
        let mut bytes = Vec::new();
        let (mut fragments, mut read) = (0, 0);
        for number in 0..self.header.layout.blocks() {
            let block = self.read_block(number, &mut bytes)?;
            block.fragments(0, u64::MAX, |_, _| fragments += 1).map_err(|_| self.damaged(number))?;
            read += bytes.len() as u64;
            if !goes_on(read) {
                return Err(PlotError::Cancelled);
            }
        }
        let expected = self.header.fragments;
        if fragments == expected { Ok(()) } else { Err(PlotError::Fragments { expected, got: fragments }) }
    }

    /// Closes the file if it has no name any more: whoever deleted it wants the space back.
    fn let_go_if_deleted(&self) {
        let is_deleted = |file: &File| file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        if self.file.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_deleted) {
            *self.file.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn read_block<'a>(&self, number: u64, bytes: &'a mut Vec<u8>) -> Result<Block<'a>, PlotError> {
        let (offset, length) = self.index.place(number);
        bytes.resize(length as usize, 0);
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let file = file.as_ref().ok_or_else(|| PlotError::Deleted(self.path.clone()))?;
        file.read_exact_at(bytes, offset).map_err(PlotError::io(&self.path))?;
        Block::new(self.header.layout, self.params().group_id.as_bytes(), number, bytes)
            .map_err(|_| self.damaged(number))
    }

    /// Offset and length of a block.
    #[cfg(test)]
    pub(crate) fn block_place(&self, number: u64) -> (u64, u64) {
        self.index.place(number)
    }

    fn damaged(&self, number: u64) -> PlotError {
        let (offset, bytes) = self.index.place(number);
        PlotError::Block { number, offset, bytes }
    }
}

impl fmt::Debug for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plot")
            .field("path", &self.path)
            .field("params", self.params())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Headers and index, which agree with each other and with the length of the file.
pub(crate) fn read_outline(file: &File, path: &Path) -> Result<(Header, Index), PlotError> {
    let got = file.metadata().map_err(PlotError::io(path))?.len();
    let least = 2 * HEADER_LEN as u64;
    let mut front = [0; HEADER_LEN];
    if got < least {
        return Err(PlotError::Length { expected: least, got });
    }
    file.read_exact_at(&mut front, 0).map_err(PlotError::io(path))?;
    let header = Header::read_any(&front, FileEnd::Front)?;
    if header.file_bytes() != got {
        return Err(PlotError::Length { expected: header.file_bytes(), got });
    }
    let mut back = [0; HEADER_LEN];
    file.read_exact_at(&mut back, got - HEADER_LEN as u64).map_err(PlotError::io(path))?;
    if Header::read_any(&back, FileEnd::Back)? != header {
        return Err(PlotError::HeadersDiffer);
    }
    // At most 2^22 blocks, and as many bytes are in the file.
    let mut bytes = vec![0; (header.layout.blocks() * INDEX_ENTRY_LEN) as usize];
    file.read_exact_at(&mut bytes, header.index_offset).map_err(PlotError::io(path))?;
    let index = Index::read(&header, &bytes)?;
    Ok((header, index))
}
