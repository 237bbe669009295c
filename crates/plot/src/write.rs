//! Writing a plot file from the fragments of its plot, in ascending order, as they come.
//!
//! The header is written last, so that a file that is not finished is none. Not here: names, locks and the
//! durability of the finished file.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use mass_primitives::GroupId;
use mass_proof_of_space::GroupIdentity;

use crate::{
    error::PlotError,
    format::{HEADER_LEN, Header, Layout, block, index::Lengths},
};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// A plot file in the making.
pub(crate) struct PlotWriter<'a> {
    file: &'a File,
    path: &'a Path,
    identity: GroupIdentity,
    group_id: GroupId,
    layout: Layout,
    /// Number of the block that `fragments` is for.
    number: u64,
    fragments: Vec<u64>,
    buffer: Vec<u8>,
    /// Where `buffer` goes.
    offset: u64,
    lengths: Lengths,
    total: u64,
}

impl<'a> PlotWriter<'a> {
    /// Starts to write the one plot of a group into `file`, which has the name `path`.
    pub fn new(file: &'a File, path: &'a Path, identity: &GroupIdentity) -> Self {
        Self {
            file,
            path,
            identity: *identity,
            group_id: identity.group_id(),
            layout: Layout::new(identity.size, 1),
            number: 0,
            fragments: Vec::new(),
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            offset: HEADER_LEN as u64,
            lengths: Lengths::default(),
            total: 0,
        }
    }

    /// Takes the next fragments, ascending. One that is there twice is kept once.
    pub fn push(&mut self, fragments: &[u64]) -> Result<(), PlotError> {
        for &fragment in fragments {
            let number = self.layout.block_of(fragment);
            if number >= self.layout.blocks() {
                return Err(PlotError::Table("a fragment has too many bits"));
            }
            while self.number < number {
                self.end_block()?;
            }
            match self.fragments.last() {
                Some(last) if *last == fragment => continue,
                Some(last) if *last > fragment => {
                    return Err(PlotError::Table("the fragments do not ascend"));
                }
                _ if self.number > number => return Err(PlotError::Table("the fragments do not ascend")),
                _ => self.fragments.push(fragment),
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), PlotError> {
        let before = self.buffer.len();
        let plots = [self.fragments.as_slice()];
        block::encode(&self.layout, self.group_id.as_bytes(), self.number, &plots, &mut self.buffer)
            .map_err(|_| PlotError::Table("a block has too many fragments"))?;
        self.lengths.push(self.buffer.len() - before)?;
        self.total += self.fragments.len() as u64;
        self.fragments.clear();
        self.number += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlotError> {
        self.file.write_all_at(&self.buffer, self.offset).map_err(PlotError::io(self.path))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, the index and both headers; returns how many fragments there are.
    pub fn finish(mut self) -> Result<u64, PlotError> {
        while self.number < self.layout.blocks() {
            self.end_block()?;
        }
        let (block_bytes_min, index) = self.lengths.finish()?;
        let header = Header {
            identity: self.identity,
            layout: self.layout,
            fragments: self.total,
            index_offset: self.offset + self.buffer.len() as u64,
            block_bytes_min,
            index_checksum: crc32c::crc32c(&index),
        };
        self.buffer.extend_from_slice(&index);
        self.buffer.extend_from_slice(&header.to_bytes());
        self.flush()?;
        // A file left by a killed maker may be longer.
        self.file.set_len(self.offset).map_err(PlotError::io(self.path))?;
        self.file.write_all_at(&header.to_bytes(), 0).map_err(PlotError::io(self.path))?;
        Ok(self.total)
    }
}
