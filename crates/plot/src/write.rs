//! Writing a plot file, block after block.
//!
//! The header is written last, so that a file that is not finished is none. Not here: names, locks and the
//! durability of the finished file.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use mass_primitives::GroupId;
use mass_proof_of_space::GroupIdentity;

use crate::{
    error::PlotError,
    format::{HEADER_LEN, Header, Kind, Layout, block, index::Lengths},
    gate::Gate,
};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes after which a writer that is limited makes them durable, or the system would write all of them at once.
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;

/// What is in a file already.
#[derive(Clone)]
pub(crate) struct Written {
    /// Where the next block goes.
    pub offset: u64,
    /// The lengths of the blocks.
    pub lengths: Lengths,
    /// Their fragments.
    pub fragments: u64,
}

impl Default for Written {
    fn default() -> Self {
        Self { offset: HEADER_LEN as u64, lengths: Lengths::default(), fragments: 0 }
    }
}

/// A plot file in the making, of any number of plots.
pub(crate) struct BlockWriter<'a> {
    file: &'a File,
    path: &'a Path,
    kind: Kind,
    identity: GroupIdentity,
    group_id: GroupId,
    layout: Layout,
    /// What is in the file, and in the buffer.
    written: Written,
    buffer: Vec<u8>,
    /// Bytes that the system may hold back.
    unsynced: u64,
    gate: &'a Gate,
}

impl<'a> BlockWriter<'a> {
    /// Goes on with `file`, which has the name `path` and holds some blocks or none.
    pub fn new(
        file: &'a File,
        path: &'a Path,
        identity: &GroupIdentity,
        kind: Kind,
        layout: Layout,
        written: Written,
        gate: &'a Gate,
    ) -> Self {
        Self {
            file,
            path,
            kind,
            identity: *identity,
            group_id: identity.group_id(),
            layout,
            written,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            unsynced: 0,
            gate,
        }
    }

    /// Number of the next block.
    pub fn number(&self) -> u64 {
        self.written.lengths.count()
    }

    /// Where the next block goes.
    pub const fn offset(&self) -> u64 {
        self.written.offset
    }

    /// Writes the next block: its ascending fragments of each plot.
    pub fn append(&mut self, plots: &[&[u64]]) -> Result<(), PlotError> {
        let before = self.buffer.len();
        block::encode(&self.layout, self.group_id.as_bytes(), self.number(), plots, &mut self.buffer)
            .map_err(|_| PlotError::Table("a block has too many fragments"))?;
        let length = self.buffer.len() - before;
        self.written.lengths.push(length)?;
        self.written.offset += length as u64;
        self.written.fragments += plots.iter().map(|fragments| fragments.len() as u64).sum::<u64>();
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands all blocks to the system.
    pub fn flush(&mut self) -> Result<(), PlotError> {
        let bytes = self.buffer.len() as u64;
        self.gate.pass_bytes(bytes)?;
        let start = self.written.offset - bytes;
        self.file.write_all_at(&self.buffer, start).map_err(PlotError::io(self.path))?;
        self.buffer.clear();
        self.unsynced += bytes;
        if self.gate.is_limited() && self.unsynced >= UNSYNCED_BYTES_MAX {
            self.unsynced = 0;
            self.file.sync_data().map_err(PlotError::io(self.path))?;
        }
        Ok(())
    }

    /// Writes what is left, the index and both headers.
    pub fn finish(mut self) -> Result<(), PlotError> {
        self.flush()?;
        let (block_bytes_min, mut end) = self.written.lengths.finish()?;
        let header = Header {
            kind: self.kind,
            identity: self.identity,
            layout: self.layout,
            fragments: self.written.fragments,
            index_offset: self.written.offset,
            block_bytes_min,
            index_checksum: crc32c::crc32c(&end),
        };
        end.extend_from_slice(&header.to_bytes());
        self.file.write_all_at(&end, header.index_offset).map_err(PlotError::io(self.path))?;
        // Space was taken for more, and a file left by a killed maker may be longer.
        self.file.set_len(header.file_bytes()).map_err(PlotError::io(self.path))?;
        self.file.write_all_at(&header.to_bytes(), 0).map_err(PlotError::io(self.path))
    }
}

/// A file of one plot in the making, from its fragments in ascending order as they come.
pub(crate) struct PlotWriter<'a> {
    blocks: BlockWriter<'a>,
    /// Those of the next block.
    fragments: Vec<u64>,
}

impl<'a> PlotWriter<'a> {
    /// Starts to write a plot of a group into `file`, which has the name `path`.
    pub fn new(file: &'a File, path: &'a Path, identity: &GroupIdentity, kind: Kind, gate: &'a Gate) -> Self {
        let layout = Layout::new(identity.size, 1);
        let blocks = BlockWriter::new(file, path, identity, kind, layout, Written::default(), gate);
        Self { blocks, fragments: Vec::new() }
    }

    /// Takes the next fragments, ascending. One that is there twice is kept once.
    pub fn push(&mut self, fragments: &[u64]) -> Result<(), PlotError> {
        let layout = self.blocks.layout;
        for &fragment in fragments {
            let number = layout.block_of(fragment);
            if number >= layout.blocks() {
                return Err(PlotError::Table("a fragment has too many bits"));
            }
            while self.blocks.number() < number {
                self.end_block()?;
            }
            match self.fragments.last() {
                Some(last) if *last == fragment => continue,
                Some(last) if *last > fragment => {
                    return Err(PlotError::Table("the fragments do not ascend"));
                }
                _ if self.blocks.number() > number => {
                    return Err(PlotError::Table("the fragments do not ascend"));
                }
                _ => self.fragments.push(fragment),
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), PlotError> {
        self.blocks.append(&[&self.fragments])?;
        self.fragments.clear();
        Ok(())
    }

    /// Writes what is left, the index and both headers.
    pub fn finish(mut self) -> Result<(), PlotError> {
        while self.blocks.number() < self.blocks.layout.blocks() {
            self.end_block()?;
        }
        self.blocks.finish()
    }
}
