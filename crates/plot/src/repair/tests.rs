//! Files of the least size: damaged in many ways, mended to the byte.

use std::{
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use tempfile::TempDir;

use super::*;
use crate::{GroupOptions, clean_orphans, create_group, directory::claim};

const PLOTS: u16 = 3;

fn whole(plots: u16) -> &'static [u8] {
    static ONE: OnceLock<Vec<u8>> = OnceLock::new();
    static GROUP: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let identity = GroupIdentity {
            size: PlotSize::MIN,
            strength: Strength::MIN,
            farmer: FarmerPublicKey::new([7; 32]),
            nonce: GroupNonce::new([9; 32]),
        };
        let path = match plots {
            1 => crate::create(dir.path(), &identity),
            _ => create_group(dir.path(), &identity, plots, &GroupOptions::default()),
        };
        std::fs::read(path.unwrap()).unwrap()
    };
    if plots == 1 { ONE.get_or_init(make) } else { GROUP.get_or_init(make) }
}

/// A file with this damage, alone in its directory.
fn damaged(plots: u16, damage: impl FnOnce(&mut Vec<u8>)) -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plot-k18-0.plot");
    let mut bytes = whole(plots).to_vec();
    damage(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn count(dir: &TempDir) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Mends a file; what was damaged.
fn mended(plots: u16, damage: impl FnOnce(&mut Vec<u8>)) -> (bool, u64) {
    let (dir, path) = damaged(plots, damage);
    let repaired = repair(&path, &RepairOptions::default()).unwrap();
    assert!(std::fs::read(&path).unwrap() == whole(plots));
    assert_eq!(count(&dir), 1);
    (repaired.ends, repaired.blocks)
}

fn places(plots: u16) -> Vec<Range<usize>> {
    let (_dir, path) = damaged(plots, |_| ());
    let (header, index) = read_outline(&File::open(&path).unwrap(), &path).unwrap();
    let blocks = 0..header.layout.blocks();
    blocks.map(|number| index.place(number)).map(|(at, len)| at as usize..(at + len) as usize).collect()
}

#[test]
fn a_sound_file_is_only_read() {
    for plots in [1, PLOTS] {
        let (_dir, path) = damaged(plots, |_| ());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        assert!(repair(&path, &RepairOptions::default()).unwrap().was_sound());
    }
}

#[test]
fn either_end_can_be_lost() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [Damage; 6] = [
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
    for (case, damage) in cases.into_iter().enumerate() {
        assert_eq!(mended(1, damage), (true, 0), "{case}");
    }
}

/// Of one plot and of several: single bytes, whole blocks, the last, both sides of an edge.
#[test]
fn damaged_blocks_are_made_again() {
    for plots in [1, PLOTS] {
        let (places, at) = (places(plots), |place: &Range<usize>| (place.start + place.end) / 2);
        let last = places.len() - 1;
        let flip = |bytes: &mut Vec<u8>, numbers: &[usize]| {
            numbers.iter().for_each(|number| bytes[at(&places[*number])] ^= 4);
        };
        assert_eq!(mended(plots, |bytes| flip(bytes, &[5])), (false, 1));
        assert_eq!(mended(plots, |bytes| flip(bytes, &[0, 1, 77, last])), (false, 4));
        assert_eq!(mended(plots, |bytes| bytes[places[9].clone()].fill(0)), (false, 1));
        let edge = places[9].end;
        assert_eq!(mended(plots, |bytes| bytes[edge - 3..edge + 3].fill(0x55)), (false, 2));
        // With a header, or what is known of where blocks are.
        let ends = |bytes: &mut Vec<u8>| bytes[20] ^= 1;
        let block_and_front = mended(plots, |bytes| {
            ends(bytes);
            flip(bytes, &[3]);
        });
        assert_eq!(block_and_front, (true, 1));
        let index = whole(plots).len() - HEADER_LEN - 50;
        let block_and_index = mended(plots, |bytes| {
            bytes[index] ^= 1;
            flip(bytes, &[last - 10]);
        });
        assert_eq!(block_and_index, (true, 11));
    }
}

#[test]
fn a_file_cut_short_is_whole_again() {
    for (plots, keep) in [(1, 2), (PLOTS, 2), (1, 1000), (PLOTS, 1000)] {
        let (ends, blocks) = mended(plots, |bytes| bytes.truncate(bytes.len() / keep));
        assert!(ends && blocks >= places(plots).len() as u64 / 2 - 10, "{blocks}");
    }
}

#[test]
fn a_file_that_says_no_more_whose_it_is_stays_as_it_is() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [Damage; 4] = [
        |bytes| {
            let end = bytes.len() - HEADER_LEN;
            bytes[..100].fill(0);
            bytes[end..].fill(0);
        },
        |bytes| {
            bytes[3] ^= 1;
            bytes.truncate(bytes.len() / 2);
        },
        |bytes| bytes.truncate(50),
        Vec::clear,
    ];
    for (case, damage) in cases.into_iter().enumerate() {
        let (dir, path) = damaged(1, damage);
        let before = std::fs::read(&path).unwrap();
        assert!(repair(&path, &RepairOptions::default()).is_err(), "{case}");
        assert!(std::fs::read(&path).unwrap() == before && count(&dir) == 1, "{case}");
    }
}

/// Cancelled in the second plot, and found with less damage and then with more.
#[test]
fn a_repair_that_is_stopped_goes_on() {
    let places = places(PLOTS);
    let (dir, path) = damaged(PLOTS, |bytes| bytes[places[4].start..places[60].end].fill(0));
    let stop = |at: u16| {
        let (gate, first) = (Gate::default(), AtomicU64::new(u64::MAX));
        let watch = |progress: RepairProgress| {
            if let RepairStep::Plot(done, PLOTS) = progress.step {
                first.fetch_min(done.into(), Ordering::Relaxed);
                if done == at {
                    gate.cancel();
                }
            }
        };
        let options = RepairOptions { progress: Some(&watch), gate: Some(&gate), ..RepairOptions::default() };
        let outcome = repair(&path, &options);
        assert!(matches!(outcome, Err(PlotError::Cancelled)), "{outcome:?}");
        first.into_inner()
    };
    assert_eq!(stop(1), 0);
    assert_eq!((stop(2), count(&dir)), (1, 2));
    assert_eq!(clean_orphans(dir.path()).unwrap(), Vec::<std::path::PathBuf>::new());
    // A block less is mended by what was made for all.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[places[4].clone()].copy_from_slice(&whole(PLOTS)[places[4].clone()]);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(stop(2), 2);
    // A block more is not.
    bytes[places[70].start] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(stop(1), 0);
    assert_eq!(repair(&path, &RepairOptions::default()).unwrap().blocks, 57);
    assert!(std::fs::read(&path).unwrap() == whole(PLOTS) && count(&dir) == 1);
}

#[test]
fn a_part_that_was_damaged_is_made_again_and_an_orphan_goes() {
    let places = places(1);
    let (dir, path) = damaged(1, |bytes| bytes[places[30].clone()].fill(1));
    let gate = Gate::default();
    let watch = |progress: RepairProgress| {
        if progress.step == RepairStep::Check {
            gate.cancel();
        }
    };
    let options = RepairOptions { progress: Some(&watch), gate: Some(&gate), ..RepairOptions::default() };
    assert!(matches!(repair(&path, &options), Err(PlotError::Cancelled)));
    let part = dir.path().join("plot-k18-0.plot.repair/000.part");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.windows(200).position(|run| run[..100].iter().all(|byte| *byte != 0)).unwrap();
    bytes[middle + 50] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let mut spoiled = whole(1).to_vec();
    spoiled[places[30].clone()].fill(1);
    std::fs::write(&path, spoiled).unwrap();
    let _ = repair(&path, &RepairOptions::default());
    repair(&path, &RepairOptions::default()).unwrap();
    assert!(std::fs::read(&path).unwrap() == whole(1) && count(&dir) == 1);

    std::fs::create_dir(dir.path().join("plot-k18-1.plot.repair")).unwrap();
    assert_eq!(clean_orphans(dir.path()).unwrap().len(), 1);
    assert_eq!(count(&dir), 1);
}

/// Two do not repair one file at a time.
#[test]
fn a_file_in_work_is_left_alone() {
    let (_dir, path) = damaged(1, |bytes| bytes[20] ^= 1);
    let file = File::open(&path).unwrap();
    assert!(claim(&file, &path).unwrap());
    assert!(matches!(repair(&path, &RepairOptions::default()), Err(PlotError::Busy(_))));
}
