//! Making a plot file whole again that has lost one of its ends: a header, or the index.
//!
//! Each header stands in for the other, and blocks say by themselves how long they are, so that the index can be made
//! again as long as the blocks are there. Damaged blocks are not mended here: what was in them takes plotting.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    error::{FileEnd, PlotError},
    format::{HEADER_LEN, Header, block, index::Lengths},
    plot::Plot,
};

/// Bytes that are read ahead of a block whose length is not known: more than a block of one plot has.
const WINDOW_BYTES: usize = 1 << 16;

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
    let mut window = vec![0; WINDOW_BYTES];
    let mut lengths = Lengths::default();
    let mut offset = HEADER_LEN as u64;
    for number in 0..header.layout.blocks() {
        let left = header.index_offset.saturating_sub(offset);
        let bytes = &mut window[..left.min(WINDOW_BYTES as u64) as usize];
        file.read_exact_at(bytes, offset).map_err(PlotError::io(path))?;
        let length = block::length(&header.layout, group_id.as_bytes(), number, bytes)
            .map_err(|_| PlotError::Block { number, offset, bytes: header.block_bytes_min.into() })?;
        lengths.push(length)?;
        offset += length as u64;
    }
    let (_, index) = lengths.finish()?;
    if offset != header.index_offset || crc32c::crc32c(&index) != header.index_checksum {
        return Err(PlotError::Index("the blocks are not those that it was made for"));
    }
    Ok(index)
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
