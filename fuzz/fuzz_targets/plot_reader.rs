//! A plot file with changes is refused or read, and never crashes the reader. Where the input asks for it, checksums
//! are made good after the change, so that what lies behind them is reached.
#![no_main]

use std::{fs::File, os::unix::fs::FileExt, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use mass_plot::Plot;
use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use tempfile::TempDir;

const HEADER_LEN: usize = 108;
/// Blocks of a plot of the least size.
const BLOCKS: usize = 128;
/// Blocks that are changed and read.
const BLOCKS_READ: usize = 4;
/// No change lies between these and the index.
const FRONT_BYTES: usize = 1 << 16;

struct Victim {
    dir: TempDir,
    bytes: Vec<u8>,
    file: File,
    group_id: [u8; 32],
}

static VICTIM: LazyLock<Victim> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for a plot");
    let identity = GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([8; 32]),
    };
    let path = mass_plot::create(dir.path(), &identity).expect("a plot");
    let bytes = std::fs::read(&path).expect("it can be read");
    let path = dir.path().join("victim");
    std::fs::write(&path, &bytes).expect("it can be copied");
    let file = File::options().write(true).open(&path).expect("it can be opened");
    Victim { dir, bytes, file, group_id: identity.group_id().get() }
});

/// Where the blocks start, and where the last ends.
fn block_starts(bytes: &[u8]) -> Vec<usize> {
    let index = &bytes[bytes.len() - HEADER_LEN - 2 * BLOCKS..];
    let least = u32::from_le_bytes(bytes[96..100].try_into().expect("four bytes")) as usize;
    let mut starts = vec![HEADER_LEN];
    for entry in index.as_chunks::<2>().0.iter().take(BLOCKS) {
        starts.push(starts[starts.len() - 1] + least + usize::from(u16::from_le_bytes(*entry)));
    }
    starts
}

/// Changes `bytes` at each place that the input names, from `place` on.
fn patch(bytes: &mut [u8], patches: &[u8]) {
    for [high, low, change] in patches.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
        bytes[at] ^= change;
    }
}

fuzz_target!(|data: &[u8]| {
    let victim = &*VICTIM;
    let Some((&[mode, which], patches)) = data.split_first_chunk() else { return };
    let mut bytes = victim.bytes.clone();
    let starts = block_starts(&bytes);
    let end = starts[BLOCKS];
    match mode % 4 {
        // A header, with a good checksum if the mode says so, at both ends.
        0 => {
            patch(&mut bytes[..HEADER_LEN], patches);
            if mode & 4 == 0 {
                let sum = crc32c::crc32c(&bytes[..HEADER_LEN - 4]).to_le_bytes();
                bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&sum);
            }
            let header = bytes[..HEADER_LEN].to_vec();
            let back = bytes.len() - HEADER_LEN;
            bytes[back..].copy_from_slice(&header);
        }
        // The index, with a good checksum.
        1 => {
            patch(&mut bytes[end..end + 2 * BLOCKS], patches);
            let sum = crc32c::crc32c(&bytes[end..end + 2 * BLOCKS]).to_le_bytes();
            bytes[100..104].copy_from_slice(&sum);
            let sum = crc32c::crc32c(&bytes[..HEADER_LEN - 4]).to_le_bytes();
            bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&sum);
            let header = bytes[..HEADER_LEN].to_vec();
            let back = bytes.len() - HEADER_LEN;
            bytes[back..].copy_from_slice(&header);
        }
        // A block, with a good checksum.
        2 => {
            let number = usize::from(which) % BLOCKS_READ;
            let block = &mut bytes[starts[number]..starts[number + 1]];
            patch(&mut block[4..], patches);
            let seed =
                crc32c::crc32c_append(crc32c::crc32c(&victim.group_id), &(number as u64).to_le_bytes());
            let sum = crc32c::crc32c_append(seed, &block[4..]).to_le_bytes();
            block[..4].copy_from_slice(&sum);
        }
        // Anything anywhere, cut short.
        _ => {
            patch(&mut bytes, patches);
            let cut = usize::from(which) << (mode >> 2 & 15);
            bytes.truncate(bytes.len().saturating_sub(cut));
        }
    }
    // Only what may have changed is written, and afterwards put back.
    let back = end.min(bytes.len());
    let write = |bytes: &[u8], back: usize| {
        victim.file.set_len(bytes.len() as u64).expect("it can be cut");
        let front = FRONT_BYTES.min(bytes.len());
        victim.file.write_all_at(&bytes[..front], 0).expect("it can be written");
        victim.file.write_all_at(&bytes[back..], back as u64).expect("it can be written");
    };
    write(&bytes, back);
    if let Ok(plot) = Plot::open(&victim.dir.path().join("victim")) {
        let read = starts[BLOCKS_READ] as u64;
        let _ = plot.check_all(|bytes| bytes < read);
        let _ = plot.qualities(&Challenge::new([which; 32]));
    }
    if bytes.len() < victim.bytes.len() {
        victim.file.write_all_at(&victim.bytes, 0).expect("it can be written");
    } else {
        write(&victim.bytes, end);
    }
});
