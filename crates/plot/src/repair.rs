//! Making a plot file whole again that has lost one of its ends: a header, or the index.
//!
//! Each header stands in for the other, and blocks say by themselves how long they are, so that the index can be made
//! again as long as the blocks are there. Damaged blocks are not mended here: what was in them takes plotting.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use mass_primitives::GroupId;

use crate::{
    error::{FileEnd, PlotError},
    format::{HEADER_LEN, Header, Layout, block},
    plot::Plot,
    write::Written,
};

/// Bytes that are read at once besides the longest block.
const WINDOW_BYTES: u64 = 1 << 20;

/// Repairs the headers and the index of the file, if it needs that; says whether it did. The file is written only
/// where it is damaged, and only if what comes of it is a plot.
///
/// # Errors
/// [`PlotError`] if the file cannot be repaired: that of the first block that is damaged, or of the header.
pub fn repair(path: &Path) -> Result<bool, PlotError> {
    let fault = match Plot::open(path) {
        Ok(_) => return Ok(false),
        Err(fault @ PlotError::Io { .. }) => return Err(fault),
        Err(fault) => fault,
    };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(PlotError::io(path))?;
    let len = file.metadata().map_err(PlotError::io(path))?.len();
    let header = read_header(&file, path, FileEnd::Front, 0)
        .or_else(|_| read_header(&file, path, FileEnd::Back, len.saturating_sub(HEADER_LEN as u64)))
        .map_err(|_| fault)?;
    let index = rebuild_index(&file, path, &header)?;
    let mut end = index;
    end.extend_from_slice(&header.to_bytes());
    file.write_all_at(&end, header.index_offset).map_err(PlotError::io(path))?;
    file.set_len(header.file_bytes()).map_err(PlotError::io(path))?;
    file.write_all_at(&header.to_bytes(), 0).map_err(PlotError::io(path))?;
    file.sync_all().map_err(PlotError::io(path))?;
    Plot::open(path).map(|_| true)
}

fn read_header(file: &File, path: &Path, end: FileEnd, offset: u64) -> Result<Header, PlotError> {
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, offset).map_err(PlotError::io(path))?;
    Header::read(&bytes, end)
}

/// The index as the blocks have it, which is the one that the header has the checksum of.
fn rebuild_index(file: &File, path: &Path, header: &Header) -> Result<Vec<u8>, PlotError> {
    let group_id = header.identity.group_id();
    let written = scan(file, path, &group_id, &header.layout, header.index_offset)?;
    let (number, offset) = (written.lengths.count(), written.offset);
    if number < header.layout.blocks() {
        return Err(PlotError::Block { number, offset, bytes: header.block_bytes_min.into() });
    }
    let (_, index) = written.lengths.finish()?;
    if offset != header.index_offset || crc32c::crc32c(&index) != header.index_checksum {
        return Err(PlotError::Index("the blocks are not those that it was made for"));
    }
    Ok(index)
}

/// Finds the blocks of a file, from the first to the last before one that is damaged or goes beyond `end`.
pub(crate) fn scan(
    file: &File,
    path: &Path,
    group_id: &GroupId,
    layout: &Layout,
    end: u64,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use mass_primitives::{FarmerPublicKey, GroupNonce};
    use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};

    use super::*;

    #[test]
    fn either_end_can_be_lost() {
        let dir = tempfile::tempdir().unwrap();
        let identity = GroupIdentity {
            size: PlotSize::MIN,
            strength: Strength::MIN,
            farmer: FarmerPublicKey::new([7; 32]),
            nonce: GroupNonce::new([9; 32]),
        };
        let path = crate::create(dir.path(), &identity).unwrap();
        let whole = fs::read(&path).unwrap();
        assert!(!repair(&path).unwrap());
        type Damage = fn(&mut Vec<u8>);
        let mended: [Damage; 6] = [
            |bytes| bytes[..100].fill(0),
            |bytes| bytes[20] ^= 1,
            |bytes| bytes.truncate(bytes.len() - 50),
            |bytes| bytes.truncate(bytes.len() - HEADER_LEN - 256),
            |bytes| bytes.extend([0; 512]),
            |bytes| {
                let index = bytes.len() - HEADER_LEN - 100;
                bytes[index..].fill(0xee);
            },
        ];
        for (case, damage) in mended.into_iter().enumerate() {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(&path, &bytes).unwrap();
            assert!(repair(&path).unwrap(), "{case}");
            assert!(fs::read(&path).unwrap() == whole, "{case}");
        }
        let lost: [Damage; 4] = [
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| {
                let end = bytes.len() - HEADER_LEN;
                bytes[..100].fill(0);
                bytes[end..].fill(0);
            },
            |bytes| {
                bytes[20] ^= 1;
                bytes[70_000] ^= 1;
            },
            |bytes| bytes.clear(),
        ];
        for (case, damage) in lost.into_iter().enumerate() {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(&path, &bytes).unwrap();
            assert!(repair(&path).is_err(), "{case}");
            assert!(fs::read(&path).unwrap() == bytes, "{case}");
        }
    }
}
