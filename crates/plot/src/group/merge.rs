//! Merging staged plots into the file of their group: block after block, in little memory.
//!
//! Whenever what is merged amounts to a plot it is made durable, and then the same part of all staged plots is given
//! back to the disk. So a group takes the space of its plots and of one more; and a merge that was killed goes
//! on after the last block that is sound, for which the staged plots have what is needed.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use mass_primitives::{GroupId, PlotIndex};
use mass_proof_of_space::{GroupIdentity, PlotSize};

use crate::{
    build::Progress,
    error::PlotError,
    format::{Header, Kind, Layout, block::Block, index::Index},
    gate::Gate,
    plot::read_outline,
    space,
    write::{BlockWriter, Written},
};

/// Bytes read ahead of all staged plots together, and of one of them at the most: what a disk reads in about the
/// time that it takes to go from one to the next.
const READ_AHEAD_BYTES: usize = 256 << 20;
const READ_AHEAD_PER_PLOT_BYTES: usize = 4 << 20;
/// What file systems give back is a number of these.
const PAGE_BYTES: u64 = 4096;
/// For the index, what was written ahead, and the blocks that 128 staged plots keep because they are in use.
const MARGIN_BYTES: u64 = 8 << 20;

/// Why plots could not be merged.
pub(super) enum MergeError {
    /// These staged plots are damaged.
    Staged(Vec<PathBuf>),
    /// Anything else.
    Plot(PlotError),
}

impl From<PlotError> for MergeError {
    fn from(error: PlotError) -> Self {
        Self::Plot(error)
    }
}

/// Merges the plots `staged`, in the order of their indices, into `file`, which has `written` already. `tell` is
/// told of every block.
pub(super) fn merge(
    file: &File,
    path: &Path,
    identity: &GroupIdentity,
    staged: &[PathBuf],
    written: Written,
    gate: &Gate,
    mut tell: impl FnMut(Progress),
) -> Result<(), MergeError> {
    let layout = Layout::new(identity.size, staged.len() as u16);
    let total = layout.blocks();
    let mut writer = BlockWriter::new(file, path, identity, Kind::Plots, layout, written, gate);
    if writer.number() == total {
        return Ok(writer.finish()?);
    }
    let mut sources = open_all(staged, identity)?;
    let mut durable = writer.offset();
    space::reserve(file, path, durable, space_needed(identity.size))?;
    while writer.number() < total {
        let number = writer.number();
        load_all(&mut sources, &layout, number, gate)?;
        let plots: Vec<&[u64]> = sources.iter().map(|source| source.fragments(&layout, number)).collect();
        writer.append(&plots)?;
        tell(Progress { done: number + 1, total });
        if !gate.pass() {
            return Err(PlotError::Cancelled.into());
        }
        if writer.offset() - durable >= identity.size.nominal_bytes() {
            writer.flush()?;
            file.sync_data().map_err(PlotError::io(path))?;
            sources.iter().try_for_each(Source::release)?;
            durable = writer.offset();
            space::reserve(file, path, durable, space_needed(identity.size))?;
        }
    }
    Ok(writer.finish()?)
}

/// Bytes that a merge takes besides those of the staged plots.
pub(super) const fn space_needed(size: PlotSize) -> u64 {
    size.nominal_bytes() + MARGIN_BYTES
}

fn open_all(staged: &[PathBuf], identity: &GroupIdentity) -> Result<Vec<Source>, MergeError> {
    let read_ahead = (READ_AHEAD_BYTES / staged.len()).min(READ_AHEAD_PER_PLOT_BYTES);
    let (mut sources, mut damaged) = (Vec::new(), Vec::new());
    for (index, path) in (0..).map(PlotIndex::new).zip(staged) {
        match Source::open(path, identity.group_id(), read_ahead) {
            Ok(source) if source.is_of(identity, index) => sources.push(source),
            Ok(_) => damaged.push(path.clone()),
            Err(error @ PlotError::Io { .. }) => return Err(error.into()),
            Err(_) => damaged.push(path.clone()),
        }
    }
    if damaged.is_empty() { Ok(sources) } else { Err(MergeError::Staged(damaged)) }
}

fn load_all(sources: &mut [Source], layout: &Layout, number: u64, gate: &Gate) -> Result<(), MergeError> {
    let mut damaged = Vec::new();
    for source in sources {
        match source.load(layout, number, gate) {
            Ok(()) => {}
            Err(error @ (PlotError::Io { .. } | PlotError::Cancelled)) => return Err(error.into()),
            Err(_) => damaged.push(source.path.clone()),
        }
    }
    if damaged.is_empty() { Ok(()) } else { Err(MergeError::Staged(damaged)) }
}

/// A staged plot that is read from front to back.
pub(crate) struct Source {
    pub path: PathBuf,
    file: File,
    group_id: GroupId,
    header: Header,
    index: Index,
    /// The block that is decoded, and its fragments.
    number: Option<u64>,
    fragments: Vec<u64>,
    buffer: Vec<u8>,
    buffer_start: u64,
    read_ahead: usize,
}

impl Source {
    pub(crate) fn open(path: &Path, group_id: GroupId, read_ahead: usize) -> Result<Self, PlotError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(PlotError::io(path))?;
        let (header, index) = read_outline(&file, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            group_id,
            header,
            index,
            number: None,
            fragments: Vec::new(),
            buffer: Vec::new(),
            buffer_start: 0,
            read_ahead,
        })
    }

    pub(crate) fn is_of(&self, identity: &GroupIdentity, index: PlotIndex) -> bool {
        self.header.identity == *identity && self.header.kind == Kind::Staged(index)
    }

    /// Decodes the block that has the fragments of block `number` of the group, unless it was the last one decoded.
    pub(crate) fn load(&mut self, layout: &Layout, number: u64, gate: &Gate) -> Result<(), PlotError> {
        // A block of a single plot has as many sets as one of a group, or more.
        let wanted = self.header.layout.block_of(layout.block_start(number));
        if self.number == Some(wanted) {
            return Ok(());
        }
        let (offset, length) = self.index.place(wanted);
        let in_buffer = (self.buffer_start + self.buffer.len() as u64).saturating_sub(offset);
        if in_buffer < length {
            let left = self.header.index_offset - offset;
            self.buffer.resize(left.min((self.read_ahead as u64).max(length)) as usize, 0);
            gate.pass_bytes(self.buffer.len() as u64)?;
            self.file.read_exact_at(&mut self.buffer, offset).map_err(PlotError::io(&self.path))?;
            self.buffer_start = offset;
        }
        let bytes = &self.buffer[(offset - self.buffer_start) as usize..][..length as usize];
        let damaged = |_| PlotError::Block { number: wanted, offset, bytes: length };
        self.number = None;
        self.fragments.clear();
        Block::new(self.header.layout, self.group_id.as_bytes(), wanted, bytes)
            .and_then(|block| block.fragments(0, u64::MAX, |_, fragment| self.fragments.push(fragment)))
            .map_err(damaged)?;
        self.number = Some(wanted);
        Ok(())
    }

    /// Those of block `number` of the group, which is loaded.
    pub(crate) fn fragments(&self, layout: &Layout, number: u64) -> &[u64] {
        let (from, to) = (layout.block_start(number), layout.block_start(number + 1));
        let before = |end: u64| self.fragments.partition_point(|fragment| *fragment < end);
        &self.fragments[before(from)..before(to)]
    }

    /// Gives back what lies before the block that is decoded, but for the header.
    fn release(&self) -> Result<(), PlotError> {
        let end = self.number.map_or(0, |number| self.index.place(number).0);
        space::release(&self.file, &self.path, PAGE_BYTES, end / PAGE_BYTES * PAGE_BYTES)
    }
}
