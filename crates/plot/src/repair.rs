//! Making a damaged plot file whole again, in place and with the same bytes.
//!
//! - Each header stands in for the other, and blocks say by themselves how long they are, so that the index can be made
//!   again as long as the blocks are there.
//! - What was in a damaged block takes plotting: each plot of the file is made once more, and of it only the fragments of
//!   damaged blocks are kept ([`remake`]). A plot follows from its group and index, so that the bytes are those that were.
//!
//! Only what is damaged is written, so that a farmer who has the file open goes on with the rest of it. Killed at any
//! time it goes on with the plot that was in work.
//!
//! A file whose two headers are lost is beyond repair: nothing says any more whose it was.

mod remake;

#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::Path,
};

use mass_primitives::GroupId;

use self::remake::Remake;
pub(crate) use self::remake::repair_dir;
use crate::{
    build::{BuildOptions, Progress},
    create::try_out,
    directory::claim_for_work,
    error::{FileEnd, PlotError},
    format::{HEADER_LEN, Header, INDEX_ENTRY_LEN, Layout, block, block::Block, index::Index},
    gate::Gate,
    plot::{Plot, read_outline},
    solve::SolveOptions,
    space,
    write::Written,
};

/// Bytes that are read at once besides the longest block.
const WINDOW_BYTES: u64 = 1 << 20;

/// The means to repair a file with.
#[derive(Clone, Copy, Default)]
pub struct RepairOptions<'a> {
    /// Threads, memory and instructions.
    pub build: BuildOptions,
    /// Told of the work done, often and by any thread.
    pub progress: Option<&'a (dyn Fn(RepairProgress) + Sync)>,
    /// What pauses, cancels and limits the work, at once; what is made is kept for the next time.
    pub gate: Option<&'a Gate>,
}

/// How far a repair is.
#[derive(Clone, Copy, Debug)]
pub struct RepairProgress {
    /// What is being done.
    pub step: RepairStep,
    /// How much of it.
    pub work: Progress,
}

/// What is done for a file, in this order; if it is sound, only the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairStep {
    /// It is read.
    Read,
    /// One of its plots is made again, after so many others of so many.
    Plot(u16, u16),
    /// It is read back.
    Check,
}

/// What was damaged in a file, and is no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// A header, the index, or the length.
    pub ends: bool,
    /// Blocks.
    pub blocks: u64,
    /// Blocks of the file.
    pub blocks_total: u64,
}

impl Repaired {
    /// Whether nothing was damaged.
    #[must_use]
    pub const fn was_sound(&self) -> bool {
        !self.ends && self.blocks == 0
    }
}

/// Reads all of a plot file, and makes again what is damaged of it.
///
/// # Errors
/// [`PlotError`]: of the header if both are lost; [`PlotError::Busy`], [`PlotError::NoSpace`], [`PlotError::Memory`],
/// [`PlotError::Cancelled`], [`PlotError::Io`].
pub fn repair(path: &Path, options: &RepairOptions<'_>) -> Result<Repaired, PlotError> {
    let open = Gate::default();
    let gate = options.gate.unwrap_or(&open);
    let tell = |step, work| options.progress.iter().for_each(|watch| watch(RepairProgress { step, work }));
    let file = File::open(path).map_err(PlotError::io(path))?;
    if !claim_for_work(&file, path)? {
        return Err(PlotError::Busy(path.to_owned()));
    }
    let damage = Damage::find(&file, path, gate, |work| tell(RepairStep::Read, work))?;
    let repaired = damage.describe();
    if !repaired.was_sound() {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(PlotError::io(path))?;
        damage.mend(&file, path, &options.build, gate, &tell)?;
        check(&file, path, &damage.header, options, gate, &tell)?;
    }
    Remake::clean(path)?;
    Ok(repaired)
}

/// What is damaged.
struct Damage {
    header: Header,
    /// A header, the index or the length of the file.
    ends: bool,
    blocks: Blocks,
}

enum Blocks {
    /// The index is there, and these are damaged.
    Some(Index, Vec<u64>),
    /// The index is lost, and so is where any block is after these.
    After(Written),
}

impl Damage {
    fn find(file: &File, path: &Path, gate: &Gate, tell: impl Fn(Progress)) -> Result<Self, PlotError> {
        let outline = read_outline(file, path);
        let ends = outline.is_err();
        let len = file.metadata().map_err(PlotError::io(path))?.len();
        let Some(header) = read_either_header(file, path)? else {
            return Err(outline.err().unwrap_or(PlotError::Header(FileEnd::Front)));
        };
        let blocks = match read_index(file, &header) {
            Some(index) => {
                let damaged = find_damaged(file, path, &header, &index, gate, tell)?;
                Blocks::Some(index, damaged)
            }
            None => {
                let end = header.index_offset.min(len);
                let group_id = header.identity.group_id();
                Blocks::After(scan(file, path, &group_id, &header.layout, end, gate)?)
            }
        };
        Ok(Self { header, ends, blocks })
    }

    fn numbers(&self) -> Vec<u64> {
        match &self.blocks {
            Blocks::Some(_, numbers) => numbers.clone(),
            Blocks::After(written) => (written.lengths.count()..self.header.layout.blocks()).collect(),
        }
    }

    fn describe(&self) -> Repaired {
        let blocks = self.numbers().len() as u64;
        Repaired { ends: self.ends, blocks, blocks_total: self.header.layout.blocks() }
    }

    fn mend(
        &self,
        file: &File,
        path: &Path,
        build: &BuildOptions,
        gate: &Gate,
        tell: &(dyn Fn(RepairStep, Progress) + Sync),
    ) -> Result<(), PlotError> {
        let (header, numbers) = (&self.header, self.numbers());
        let remake = Remake { path, header, build, gate };
        let mut written = match &self.blocks {
            Blocks::Some(..) => Written::default(),
            Blocks::After(written) => written.clone(),
        };
        if !numbers.is_empty() {
            let tell_plot = |done, work| tell(RepairStep::Plot(done, header.layout.plots), work);
            let mut parts = remake.make(&numbers, &tell_plot)?;
            space::reserve(file, path, 0, header.file_bytes())?;
            for number in numbers {
                let bytes = parts.block(number)?;
                let offset = match &self.blocks {
                    Blocks::Some(index, _) if index.place(number).1 == bytes.len() as u64 => {
                        index.place(number).0
                    }
                    Blocks::Some(..) => return Err(REMADE_OTHERWISE),
                    Blocks::After(_) => written.offset,
                };
                if offset + bytes.len() as u64 > header.index_offset {
                    return Err(REMADE_OTHERWISE);
                }
                written.lengths.push(bytes.len())?;
                written.offset += bytes.len() as u64;
                gate.pass_bytes(bytes.len() as u64)?;
                file.write_all_at(&bytes, offset).map_err(PlotError::io(path))?;
            }
        }
        if self.ends {
            let index = match &self.blocks {
                Blocks::Some(index, _) => index.to_bytes(),
                Blocks::After(_) => written.lengths.finish()?.1,
            };
            write_ends(file, path, header, index)?;
        }
        space::settle(file, path)
    }
}

const REMADE_OTHERWISE: PlotError = PlotError::Table("made again it is another than the header says");

/// Writes headers and index, and cuts off what is behind them.
fn write_ends(file: &File, path: &Path, header: &Header, index: Vec<u8>) -> Result<(), PlotError> {
    if crc32c::crc32c(&index) != header.index_checksum {
        return Err(PlotError::Index("the blocks are not those that it was made for"));
    }
    let mut end = index;
    end.extend_from_slice(&header.to_bytes());
    file.write_all_at(&end, header.index_offset).map_err(PlotError::io(path))?;
    file.set_len(header.file_bytes()).map_err(PlotError::io(path))?;
    file.write_all_at(&header.to_bytes(), 0).map_err(PlotError::io(path))
}

/// Reads the mended file back, and lets it prove something.
fn check(
    file: &File,
    path: &Path,
    header: &Header,
    options: &RepairOptions<'_>,
    gate: &Gate,
    tell: &(dyn Fn(RepairStep, Progress) + Sync),
) -> Result<(), PlotError> {
    let plot = Plot::open(path)?;
    let (total, mut goes_on) = (plot.file_bytes(), gate.meter());
    plot.check_all(|done| {
        tell(RepairStep::Check, Progress { done, total });
        goes_on(done)
    })?;
    let threads = Some(options.build.threads);
    try_out(&plot, &header.identity, &SolveOptions { threads, gate: Some(gate) })?;
    file.sync_all().map_err(PlotError::io(path))
}

/// The header of a plot file as either of its ends has it.
pub(crate) fn read_either_header(file: &File, path: &Path) -> Result<Option<Header>, PlotError> {
    let len = file.metadata().map_err(PlotError::io(path))?.len();
    let back = len.saturating_sub(HEADER_LEN as u64);
    let front = read_header(file, FileEnd::Front, 0);
    Ok(front.or_else(|| read_header(file, FileEnd::Back, back)))
}

fn read_header(file: &File, end: FileEnd, offset: u64) -> Option<Header> {
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Header::read(&bytes, end).ok()
}

fn read_index(file: &File, header: &Header) -> Option<Index> {
    // At most 2^22 blocks.
    let mut bytes = vec![0; (header.layout.blocks() * INDEX_ENTRY_LEN) as usize];
    file.read_exact_at(&mut bytes, header.index_offset).ok()?;
    Index::read(header, &bytes).ok()
}

/// The blocks that are not what they should be, or beyond the end of the file.
fn find_damaged(
    file: &File,
    path: &Path,
    header: &Header,
    index: &Index,
    gate: &Gate,
    tell: impl Fn(Progress),
) -> Result<Vec<u64>, PlotError> {
    let (group_id, mut bytes, mut damaged) = (header.identity.group_id(), Vec::new(), Vec::new());
    for number in 0..header.layout.blocks() {
        let (offset, length) = index.place(number);
        gate.pass_bytes(length)?;
        bytes.resize(length as usize, 0);
        match file.read_exact_at(&mut bytes, offset) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => damaged.push(number),
            Err(error) => return Err(PlotError::io(path)(error)),
            Ok(()) => {
                let block = Block::new(header.layout, group_id.as_bytes(), number, &bytes);
                if block.and_then(|block| block.fragments(0, u64::MAX, |_, _| ())).is_err() {
                    damaged.push(number);
                }
            }
        }
        tell(Progress { done: offset + length, total: header.index_offset });
    }
    Ok(damaged)
}

/// Finds the blocks of a file, from the first to the last before one that is damaged or goes beyond `end`.
pub(crate) fn scan(
    file: &File,
    path: &Path,
    group_id: &GroupId,
    layout: &Layout,
    end: u64,
    gate: &Gate,
) -> Result<Written, PlotError> {
    let mut written = Written::default();
    // A block, whose length is not known, is in the first so many bytes for certain; the read takes more of them.
    let block_bytes_max = layout.block_bytes_max();
    let (mut window, mut window_start) = (Vec::new(), written.offset);
    while written.lengths.count() < layout.blocks() {
        let (number, left) = (written.lengths.count(), end.saturating_sub(written.offset));
        let in_window = window_start + window.len() as u64 - written.offset;
        if in_window < block_bytes_max.min(left) {
            window.resize(left.min(block_bytes_max + WINDOW_BYTES) as usize, 0);
            window_start = written.offset;
            gate.pass_bytes(window.len() as u64)?;
            file.read_exact_at(&mut window, window_start).map_err(PlotError::io(path))?;
        }
        let bytes = &window[(written.offset - window_start) as usize..];
        let Ok((length, fragments)) = block::measure(layout, group_id.as_bytes(), number, bytes) else {
            break;
        };
        written.lengths.push(length)?;
        written.offset += length as u64;
        written.fragments += fragments;
    }
    Ok(written)
}
