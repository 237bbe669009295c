//! The plots that are measured: real ones of small k, and sparse files of k = 28 that have everything but their blocks.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use mass_consensus::keys::FarmerSecret;
use mass_plot::{GroupOptions, create_group, file_name};
use mass_primitives::{Encode, GroupNonce};
use mass_proof_of_space::{GroupIdentity, META_GROUP, PlotSize, Strength};

/// Bytes of a header, `docs/plot-format.md`.
const HEADER_BYTES: u64 = 108;

/// The key that all plots are bound to.
pub fn secret() -> FarmerSecret {
    FarmerSecret::from_seed(&[7; 32])
}

pub fn identity(k: u8, number: u32) -> GroupIdentity {
    let mut nonce = [3; 32];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    GroupIdentity {
        size: PlotSize::new(k).expect("k is right"),
        strength: Strength::MIN,
        farmer: secret().public(),
        nonce: GroupNonce::new(nonce),
    }
}

/// The file of a real group, made if it is not there.
pub fn group(dir: &Path, k: u8, number: u32, plots: u16) -> PathBuf {
    let dir = dir.join(format!("k{k}-{plots}"));
    fs::create_dir_all(&dir).expect("the directory can be made");
    let path = dir.join(file_name(&identity(k, number)));
    if !path.exists() {
        eprintln!("making {plots} plots of k = {k}");
        create_group(&dir, &identity(k, number), plots, &GroupOptions::default())
            .expect("the group can be made");
    }
    path
}

/// The rival's file of the first plot of that group.
pub fn rival_plot(dir: &Path, k: u8) -> PathBuf {
    let path = dir.join(format!("rival-k{k}.bin"));
    if !path.exists() {
        let (identity, memo) = (identity(k, 0), [7; 112]);
        let (group, strength) = (identity.group_id(), identity.strength.get());
        chia_pos2::create_v2_single_plot_group(&path, k, strength, group.as_bytes(), 0, META_GROUP, &memo)
            .expect("the plot can be made");
    }
    path
}

/// A directory of sparse files of k = 28 with so many plots each: true headers, a true index, a hole for the blocks.
pub fn sparse(dir: &Path, files: u32, plots: u16) -> PathBuf {
    let dir = dir.join(format!("sparse-{files}-{plots}"));
    if fs::read_dir(&dir).is_ok_and(|entries| entries.count() == files as usize) {
        // What is measured is opening, not the disk of this machine: the indices are in the system's cache.
        mass_plot::list(&dir).expect("it can be read");
        return dir;
    }
    fs::create_dir_all(&dir).expect("the directory can be made");
    // As `Layout::new` in `crates/plot/src/format.rs` has it.
    let sets_log2 = (512 / plots).clamp(4, 32).ilog2();
    let blocks = 1u64 << (28 - 6 - sets_log2);
    let block_bytes = (u64::from(plots) * ((64 * 295) << sets_log2) / 80 + 4) as u32;
    let index: Vec<u8> = (0..blocks).flat_map(|block| (block as u16 % 1021).to_le_bytes()).collect();
    let excess: u64 = (0..blocks).map(|block| block % 65_536 % 1021).sum();
    let index_offset = HEADER_BYTES + blocks * u64::from(block_bytes) + excess;
    for number in 0..files {
        let mut header = b"MASSPLOT".to_vec();
        1u16.encode(&mut header);
        identity(28, number).encode(&mut header);
        plots.encode(&mut header);
        (sets_log2 as u8).encode(&mut header);
        (u64::from(plots) << 28).encode(&mut header);
        index_offset.encode(&mut header);
        block_bytes.encode(&mut header);
        crc32c::crc32c(&index).encode(&mut header);
        crc32c::crc32c(&header).encode(&mut header);
        let file = File::create(dir.join(file_name(&identity(28, number)))).expect("a file can be made");
        file.write_all_at(&header, 0).expect("it can be written");
        file.write_all_at(&index, index_offset).expect("it can be written");
        file.write_all_at(&header, index_offset + 2 * blocks).expect("it can be written");
    }
    dir
}
