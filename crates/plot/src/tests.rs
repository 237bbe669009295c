//! Real plots of the least size: made, opened, asked, solved, damaged.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use mass_primitives::{Challenge, Encode, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, QualityChain, Strength, verify};
use tempfile::TempDir;

use crate::{Plot, PlotError, clean_orphans, create, create::space_needed, file_name, list};

fn identity(nonce: u8) -> GroupIdentity {
    GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([nonce; 32]),
    }
}

fn made(nonce: u8) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = create(dir.path(), &identity(nonce)).unwrap();
    (dir, path)
}

fn challenges(count: u8) -> impl Iterator<Item = Challenge> {
    (0..count).map(|i| Challenge::new([i; 32]))
}

/// Opens what `damage` makes of the bytes of a plot, and asks it if it opens.
fn open_damaged(path: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> Result<(), PlotError> {
    let mut bytes = fs::read(path).unwrap();
    damage(&mut bytes);
    let damaged = path.with_extension("damaged");
    fs::write(&damaged, bytes).unwrap();
    let plot = Plot::open(&damaged)?;
    challenges(16).try_for_each(|challenge| plot.qualities(&challenge).map(|_| ()))
}

#[test]
fn a_plot_answers_and_its_proofs_verify() {
    let (dir, path) = made(1);
    assert_eq!(path, dir.path().join(file_name(&identity(1))));
    let plot = Plot::open(&path).unwrap();
    assert_eq!(plot.identity(), &identity(1));
    assert_eq!(plot.file_bytes(), fs::metadata(&path).unwrap().len());
    assert!(plot.file_bytes() < space_needed(PlotSize::MIN), "{} bytes", plot.file_bytes());

    let mut solved = 0;
    for challenge in challenges(128) {
        for chain in plot.qualities(&challenge).unwrap().iter().take(4 - solved.min(4)) {
            let proof = plot.solve(chain).unwrap();
            assert_eq!(verify(plot.params(), &challenge, &proof), Ok(*chain));
            assert!(verify(plot.params(), &Challenge::new([0xee; 32]), &proof).is_err());
            solved += 1;
        }
    }
    assert!(solved >= 1);
}

#[test]
fn a_chain_of_no_plot_has_no_proof() {
    let (_dir, path) = made(2);
    let plot = Plot::open(&path).unwrap();
    let links = std::array::from_fn(|i| i as u64 + 1);
    assert!(matches!(plot.solve(&QualityChain::new(links)), Err(PlotError::Unsolvable)));
}

#[test]
fn a_plot_is_never_overwritten() {
    let (dir, path) = made(3);
    let before = fs::read(&path).unwrap();
    assert!(matches!(create(dir.path(), &identity(3)), Err(PlotError::Exists(at)) if at == path));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn files_cut_short_are_refused() {
    let (_dir, path) = made(4);
    let len = fs::metadata(&path).unwrap().len() as usize;
    for kept in [0, 3, 4, 50, 51, 117, 118, len / 2, len - 4096, len - 9, len - 8] {
        let outcome = open_damaged(&path, |bytes| bytes.truncate(kept));
        assert!(matches!(outcome, Err(PlotError::Short { .. } | PlotError::Index(_))), "{kept}: {outcome:?}");
    }
    let outcome = open_damaged(&path, |bytes| bytes.extend([0; 4096]));
    assert!(matches!(outcome, Err(PlotError::Index(_))), "{outcome:?}");
}

#[test]
fn garbage_is_refused() {
    let (_dir, path) = made(5);
    let outcome = open_damaged(&path, |bytes| bytes.fill(0xa5));
    assert!(matches!(outcome, Err(PlotError::Magic { got: [0xa5, ..] })), "{outcome:?}");
    // A good head and index over chunks of garbage: opens, and fails when asked without crashing.
    let index = |bytes: &[u8]| u64::from_le_bytes(bytes[42..50].try_into().unwrap()) as usize;
    for fill in [0x00, 0x7f, 0xa5, 0xff] {
        let outcome = open_damaged(&path, |bytes| {
            let end = index(bytes);
            bytes[118..end].fill(fill);
        });
        assert!(matches!(outcome, Err(PlotError::Lookup(_))), "{fill:02x}: {outcome:?}");
    }
}

#[test]
fn damage_anywhere_never_crashes() {
    let (_dir, path) = made(10);
    let len = fs::metadata(&path).unwrap().len();
    let mut state = 1u64;
    for _ in 0..200 {
        // A multiplicative generator is random enough to spread the damage.
        let _ = open_damaged(&path, |bytes| {
            for _ in 0..2000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = 118 + (state >> 33) % (len - 118 - 8192);
                bytes[at as usize] = (state >> 24) as u8;
            }
        });
    }
}

#[test]
fn every_field_of_the_head_is_checked() {
    type Expected = fn(&PlotError) -> bool;
    let cases: [(usize, Expected); 12] = [
        (0, |e| matches!(e, PlotError::Magic { .. })),
        (4, |e| matches!(e, PlotError::FormatVersion { .. })),
        (5, |e| matches!(e, PlotError::Identity { .. })),
        (37, |e| matches!(e, PlotError::Params(_))),
        (38, |e| matches!(e, PlotError::Identity { .. })),
        (39, |e| matches!(e, PlotError::GroupSize { .. })),
        (41, |e| matches!(e, PlotError::MetaGroup { .. })),
        (42, |e| matches!(e, PlotError::Index(_))),
        (49, |e| matches!(e, PlotError::Short { .. })),
        (50, |e| matches!(e, PlotError::Memo(_))),
        (51, |e| matches!(e, PlotError::Memo(_))),
        (60, |e| matches!(e, PlotError::Identity { .. })),
    ];
    let (_dir, path) = made(6);
    for (position, expected) in cases {
        let error = open_damaged(&path, |bytes| bytes[position] ^= 1).unwrap_err();
        assert!(expected(&error), "{position}: {error:?}");
    }
}

#[test]
fn a_plot_cannot_be_claimed_by_another_farmer() {
    let (_dir, path) = made(7);
    let thief = GroupIdentity { farmer: FarmerPublicKey::new([8; 32]), ..identity(7) };
    let outcome = open_damaged(&path, |bytes| bytes[51..118].copy_from_slice(&thief.to_bytes()));
    assert!(matches!(outcome, Err(PlotError::Identity { header, memo })
        if header == identity(7).group_id() && memo == thief.group_id()));

    // With the group id changed to match, the file opens, but then its plot is another, which it does not hold.
    let damaged = path.with_extension("stolen");
    let mut bytes = fs::read(&path).unwrap();
    bytes[51..118].copy_from_slice(&thief.to_bytes());
    bytes[5..37].copy_from_slice(thief.group_id().as_bytes());
    fs::write(&damaged, bytes).unwrap();
    let stolen = Plot::open(&damaged).unwrap();
    for challenge in challenges(32) {
        for chain in stolen.qualities(&challenge).unwrap().iter().take(1) {
            assert!(stolen.solve(chain).is_err());
        }
    }
}

#[test]
fn a_directory_is_listed_with_its_faults() {
    let (dir, path) = made(8);
    let bad = dir.path().join("bad.plot");
    fs::write(&bad, b"nothing of the kind").unwrap();
    fs::write(dir.path().join("notes.txt"), b"not looked at").unwrap();
    let listing = list(dir.path()).unwrap();
    assert_eq!(listing.plots.iter().map(Plot::path).collect::<Vec<_>>(), [path.as_path()]);
    assert_eq!(listing.faults.iter().map(|(at, _)| at).collect::<Vec<_>>(), [&bad]);
    assert!(matches!(list(&dir.path().join("none")), Err(PlotError::Io { .. })));
}

#[test]
fn orphans_go_and_plots_in_the_making_stay() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = dir.path().join("plot-k18-00.plot.tmp");
    let foreign = dir.path().join("other.tmp");
    fs::write(&orphan, b"half a plot").unwrap();
    fs::write(&foreign, b"not ours").unwrap();
    let busy = dir.path().join(format!("{}.tmp", file_name(&identity(9))));
    let maker = OpenOptions::new().write(true).create_new(true).open(&busy).unwrap();
    maker.lock().unwrap();

    assert_eq!(clean_orphans(dir.path()).unwrap(), [orphan]);
    assert!(foreign.exists() && busy.exists());
    assert!(matches!(create(dir.path(), &identity(9)), Err(PlotError::Busy(at)) if at == busy));
    drop(maker);
    assert!(create(dir.path(), &identity(9)).is_ok());
    assert!(!busy.exists());
}
