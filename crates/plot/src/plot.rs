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
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
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
    format::{
        HEADER_LEN, Header, INDEX_ENTRY_LEN, Kind,
        block::{self, Block, Damaged},
        index::{Index, Runs},
    },
    solve::{SolveOptions, solve},
};

/// Short reads of a file that a challenge costs, one for each set that it picks, however many plots there are.
pub const READS_PER_CHALLENGE: u64 = SETS as u64;

/// What was read of a file since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCount {
    /// Reads.
    pub reads: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A plot file that has been opened and checked: one plot, or several of a group.
pub struct Plot {
    path: PathBuf,
    /// None once the file has been deleted.
    file: RwLock<Option<File>>,
    header: Header,
    /// None of a staged plot, which is not farmed: its index is read each time.
    runs: Option<Runs>,
    /// At least one.
    members: Box<[Member]>,
    reads: AtomicU64,
    read_bytes: AtomicU64,
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
            Kind::Plots => Self::new(path, file, header, &index),
            kind => Err(PlotError::Magic { end: FileEnd::Front, got: kind.magic() }),
        }
    }

    /// Opens a plot that is staged for its group.
    pub(crate) fn open_staged(path: &Path) -> Result<Self, PlotError> {
        let file = File::open(path).map_err(PlotError::io(path))?;
        let (header, index) = read_outline(&file, path)?;
        Self::new(path, file, header, &index)
    }

    fn new(path: &Path, file: File, header: Header, index: &Index) -> Result<Self, PlotError> {
        let indices = match header.kind {
            Kind::Staged(index) => index.get()..=index.get(),
            Kind::Plots | Kind::Begun => 0..=header.layout.plots - 1,
        };
        let members = indices.map(|index| Member::new(&header.identity, PlotIndex::new(index))).collect();
        // What is made for a repair has blocks of few fragments and empty ones, of which no runs can be made.
        let runs = match header.kind {
            Kind::Staged(_) => None,
            Kind::Plots | Kind::Begun => Some(Runs::new(&header.layout, index)?),
        };
        let (path, file) = (path.to_owned(), RwLock::new(Some(file)));
        Ok(Self {
            path,
            file,
            header,
            runs,
            members,
            reads: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
        })
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

    /// What was read of the file since it was opened.
    #[must_use]
    pub fn read_count(&self) -> ReadCount {
        let [reads, bytes] = [&self.reads, &self.read_bytes].map(|count| count.load(Ordering::Relaxed));
        ReadCount { reads, bytes }
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
        let mut bytes = Vec::new();
        let mut sets: Vec<[Vec<u64>; SETS]> = vec![Default::default(); members.len()];
        for (turn, set) in challenge_sets(self.params(), challenge).into_iter().enumerate() {
            self.read_set(set, turn, &mut sets, &mut bytes)?;
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
        let (mut bytes, index) = (Vec::new(), self.read_index()?);
        let (mut fragments, mut read) = (0, 0);
        for number in 0..self.header.layout.blocks() {
            let place = index.place(number);
            self.read(&mut bytes, place)?;
            self.block(number, &bytes)
                .and_then(|block| block.fragments(0, u64::MAX, |_, _| fragments += 1))
                .map_err(|_| damaged(number, place))?;
            read += place.1;
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

    /// Reads the bytes at an offset, so many.
    fn read(&self, bytes: &mut Vec<u8>, (offset, length): (u64, u64)) -> Result<(), PlotError> {
        bytes.resize(length as usize, 0);
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let file = file.as_ref().ok_or_else(|| PlotError::Deleted(self.path.clone()))?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(length, Ordering::Relaxed);
        file.read_exact_at(bytes, offset).map_err(PlotError::io(&self.path))
    }

    fn block<'a>(&self, number: u64, bytes: &'a [u8]) -> Result<Block<'a>, Damaged> {
        Block::new(self.header.layout, self.params().group_id.as_bytes(), number, bytes)
    }

    /// Puts the fragments of a set into place `turn` of each plot, for one read. Only if the file is damaged, the index
    /// is read too: the damage may be in a block before the one that is wanted.
    fn read_set(
        &self,
        set: u64,
        turn: usize,
        sets: &mut [[Vec<u64>; SETS]],
        bytes: &mut Vec<u8>,
    ) -> Result<(), PlotError> {
        let layout = self.header.layout;
        let (number, from, to) = (layout.block_of_set(set), layout.set_start(set), layout.set_start(set + 1));
        let mut decode = |block: Result<Block<'_>, Damaged>| {
            sets.iter_mut().for_each(|sets| sets[turn].clear());
            block?.fragments(from, to, |plot, fragment| {
                if let Some(sets) = sets.get_mut(plot) {
                    sets[turn].push(fragment);
                }
            })
        };
        if let Some(runs) = &self.runs {
            let (offset, length, skipped) = runs.place(number);
            self.read(bytes, (offset, length))?;
            if decode(self.block_in_run(number, skipped, bytes)).is_ok() {
                return Ok(());
            }
        }
        let place = self.read_index()?.place(number);
        self.read(bytes, place)?;
        decode(self.block(number, bytes)).map_err(|_| damaged(number, place))
    }

    /// The block that comes after so many others in the bytes of a run.
    fn block_in_run<'a>(&self, number: u64, skipped: u64, run: &'a [u8]) -> Result<Block<'a>, Damaged> {
        let length = |rest: &[u8]| block::length(&self.header.layout, rest).map(|(length, _)| length);
        let mut rest = run;
        for _ in 0..skipped {
            rest = rest.get(length(rest)?..).ok_or(Damaged)?;
        }
        self.block(number, rest.get(..length(rest)?).ok_or(Damaged)?)
    }

    /// The index, which is not kept.
    fn read_index(&self) -> Result<Index, PlotError> {
        let mut bytes = Vec::new();
        self.read(&mut bytes, (self.header.index_offset, self.header.layout.blocks() * INDEX_ENTRY_LEN))?;
        Index::read(&self.header, &bytes)
    }

    /// Offset and length of a block.
    #[cfg(test)]
    pub(crate) fn block_place(&self, number: u64) -> (u64, u64) {
        self.read_index().unwrap().place(number)
    }
}

fn damaged(number: u64, (offset, bytes): (u64, u64)) -> PlotError {
    PlotError::Block { number, offset, bytes }
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
