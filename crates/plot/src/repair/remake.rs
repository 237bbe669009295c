//! What damaged blocks held, by making the plots of the file again.
//!
//! Beside `<file>` there is meanwhile the directory `<file>.repair`:
//!
//! - `blocks`: the numbers of the blocks that are made again, 8 bytes each, and their CRC-32C;
//! - `<index>.part` for each plot that is made: a staged plot as a group has it (`group`), with no fragments but those of
//!   these blocks; `<index>.part.tmp` before.
//!
//! Whoever finds that directory goes on with it, if the blocks that are damaged now are among those.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use mass_primitives::PlotIndex;

use crate::{
    build::{BuildOptions, Progress, build},
    directory::{REPAIR_SUFFIX, sync_dir},
    error::PlotError,
    format::{Header, Kind, Layout, block},
    gate::Gate,
    group::merge::Source,
    plot::{Plot, params_of},
    space,
    write::PlotWriter,
};

/// Bytes read ahead of a plot that was made again.
const READ_AHEAD_BYTES: usize = 256 << 10;
/// Bytes that a part has for a block without fragments: its own and those in the index.
const EMPTY_BLOCK_BYTES: u64 = 8;
/// Ends a number of damaged blocks.
const CHECKSUM_LEN: usize = 4;

/// A file whose plots are made again.
pub(super) struct Remake<'a> {
    pub path: &'a Path,
    pub header: &'a Header,
    pub build: &'a BuildOptions,
    pub gate: &'a Gate,
}

impl<'a> Remake<'a> {
    /// Removes what is left of a repair of the file.
    pub fn clean(path: &Path) -> Result<(), PlotError> {
        let dir = repair_dir(path);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(PlotError::io(&dir)(error)),
            _ => Ok(()),
        }
    }

    /// Makes the plots again, as far as they are in these blocks; `tell` hears of each, and of how many before it.
    pub fn make(
        &self,
        blocks: &[u64],
        tell: &(dyn Fn(u16, Progress) + Sync),
    ) -> Result<Parts<'a>, PlotError> {
        let dir = repair_dir(self.path);
        let blocks = self.begin(&dir, blocks)?;
        let mut wanted = vec![false; self.header.layout.blocks() as usize];
        for number in &blocks {
            wanted[*number as usize] = true;
        }
        let mut sources = Vec::new();
        for number in 0..self.header.layout.plots {
            let (index, path) = (PlotIndex::new(number), dir.join(format!("{number:03}.part")));
            let source = match self.open(&path, index) {
                Some(source) => source,
                None => {
                    self.make_part(&path, index, &wanted, &|work| tell(number, work))?;
                    self.open(&path, index).ok_or_else(|| PlotError::Staged(path.clone()))?
                }
            };
            sources.push(source);
        }
        Ok(Parts { header: self.header, gate: self.gate, sources })
    }

    /// Finds out what is there already, or begins; the blocks to make.
    fn begin(&self, dir: &Path, damaged: &[u64]) -> Result<Vec<u64>, PlotError> {
        let journal = dir.join("blocks");
        if let Some(begun) = read_journal(&journal, self.header.layout.blocks())
            && damaged.iter().all(|number| begun.binary_search(number).is_ok())
        {
            return Ok(begun);
        }
        Self::clean(self.path)?;
        self.check_space(damaged.len() as u64)?;
        fs::create_dir(dir).map_err(PlotError::io(dir))?;
        let mut bytes: Vec<u8> = damaged.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        fs::write(&journal, bytes).map_err(PlotError::io(&journal))?;
        File::open(&journal).and_then(|file| file.sync_all()).map_err(PlotError::io(&journal))?;
        sync_dir(dir)?;
        Ok(damaged.to_vec())
    }

    /// Refuses if parts, and what the file has lost, do not fit.
    fn check_space(&self, damaged: u64) -> Result<(), PlotError> {
        let Layout { plots, .. } = self.header.layout;
        let each = self.header.layout.shortest_block_bytes_max();
        let empty = u64::from(plots) * EMPTY_BLOCK_BYTES * Layout::new(self.header.identity.size, 1).blocks();
        let len = fs::metadata(self.path).map_err(PlotError::io(self.path))?.len();
        let lost = self.header.file_bytes().saturating_sub(len);
        // A damaged block is twice its size at the most, and so are all of a file together.
        space::check(&parent(self.path), (damaged * each).saturating_add(empty + lost))
    }

    fn open(&self, path: &Path, index: PlotIndex) -> Option<Source> {
        let source = Source::open(path, self.header.identity.group_id(), READ_AHEAD_BYTES).ok()?;
        // What is in it was checked when it got its name; a change since then shows when it is read.
        source.is_of(&self.header.identity, index).then_some(source)
    }

    fn make_part(
        &self,
        path: &Path,
        index: PlotIndex,
        wanted: &[bool],
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), PlotError> {
        let (unfinished, identity, layout) =
            (path.with_extension("part.tmp"), &self.header.identity, self.header.layout);
        let file = File::create(&unfinished).map_err(PlotError::io(&unfinished))?;
        let mut writer = PlotWriter::new(&file, &unfinished, identity, Kind::Staged(index), self.gate);
        let (params, mut kept) = (params_of(identity, index), Vec::new());
        build(&params, self.build, &tell, self.gate, &mut |fragments| {
            kept.clear();
            let is_wanted = |fragment: &u64| wanted.get(layout.block_of(*fragment) as usize) == Some(&true);
            kept.extend(fragments.iter().copied().filter(is_wanted));
            writer.push(&kept)
        })?;
        writer.finish()?;
        space::settle(&file, &unfinished)?;
        Plot::open_staged(&unfinished)?.check_all(self.gate.meter())?;
        fs::rename(&unfinished, path).map_err(PlotError::io(path))?;
        sync_dir(&parent(path))
    }
}

/// The plots that were made again.
pub(super) struct Parts<'a> {
    header: &'a Header,
    gate: &'a Gate,
    sources: Vec<Source>,
}

impl Parts<'_> {
    /// The bytes of a block.
    pub fn block(&mut self, number: u64) -> Result<Vec<u8>, PlotError> {
        let (layout, group_id) = (&self.header.layout, self.header.identity.group_id());
        for source in &mut self.sources {
            source.load(layout, number, self.gate).map_err(|error| match error {
                PlotError::Io { .. } | PlotError::Cancelled => error,
                _ => {
                    // It is made anew the next time.
                    let _ = fs::remove_file(&source.path);
                    PlotError::Staged(source.path.clone())
                }
            })?;
        }
        let plots: Vec<&[u64]> = self.sources.iter().map(|source| source.fragments(layout, number)).collect();
        let mut bytes = Vec::new();
        block::encode(layout, group_id.as_bytes(), number, &plots, &mut bytes)
            .map_err(|_| PlotError::Table("a block has too many fragments"))?;
        Ok(bytes)
    }
}

/// The directory where the plots of a file are made again.
pub(crate) fn repair_dir(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(REPAIR_SUFFIX);
    name.into()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

/// The blocks that a repair was begun with, ascending.
fn read_journal(path: &Path, blocks: u64) -> Option<Vec<u64>> {
    let len = fs::metadata(path).ok()?.len();
    if len > 8 * blocks + CHECKSUM_LEN as u64 {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (numbers, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
    let (numbers, rest) = numbers.as_chunks::<8>();
    let sound = rest.is_empty() && crc32c::crc32c(numbers.as_flattened()).to_le_bytes() == *checksum;
    let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
    let ascending = numbers.is_sorted() && numbers.last().is_none_or(|last| *last < blocks);
    (sound && ascending).then_some(numbers)
}
