//! Real plots of the least size: made, opened, asked, solved, damaged.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use mass_primitives::{Challenge, Encode, FarmerPublicKey, GroupId, GroupNonce, PlotIndex};
use mass_proof_of_space::{
    GroupIdentity, PlotParams, PlotSize, Proof, ProofError, QualityChain, Strength, verify,
};
use tempfile::TempDir;

use crate::{
    CreateOptions, FileEnd, Gate, Plot, PlotError, Progress, READS_PER_CHALLENGE, ReadCount, SolveOptions,
    clean_orphans, create, create_with, file_name,
    format::{
        HEADER_LEN, Header, Kind, Layout,
        index::{Index, Runs, memory_bytes},
    },
    list,
    space::space_needed,
};

pub(crate) fn identity(nonce: u8) -> GroupIdentity {
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

/// Whatever one does to a file, it is refused when it is opened or when it is read.
fn assert_refused(path: &Path, what: &str, damage: impl FnOnce(&mut Vec<u8>)) -> PlotError {
    let mut bytes = fs::read(path).unwrap();
    damage(&mut bytes);
    let damaged = path.with_extension("damaged");
    fs::write(&damaged, bytes).unwrap();
    match Plot::open(&damaged).and_then(|plot| plot.check_all(|_| true)) {
        Ok(()) => panic!("{what} is not found"),
        Err(PlotError::Io { source, .. }) => panic!("{what} is found by the system only: {source}"),
        Err(error) => error,
    }
}

#[test]
fn files_cut_short_are_refused() {
    let (_dir, path) = made(4);
    let len = fs::metadata(&path).unwrap().len() as usize;
    let cuts = (0..=len - 1).step_by(9973).chain((0..300).map(|at| len - 1 - at)).chain(0..300);
    for kept in cuts {
        let error = assert_refused(&path, &format!("{kept} bytes"), |bytes| bytes.truncate(kept));
        assert!(matches!(error, PlotError::Length { .. }), "{kept}: {error:?}");
    }
    let error = assert_refused(&path, "an excess", |bytes| bytes.extend([0; 4096]));
    assert!(matches!(error, PlotError::Length { .. }), "{error:?}");
    // Bytes cut out of the middle, with the length made good at the end or not.
    for at in [0, 50, 108, 4711, len / 2, len - 120, len - 1] {
        assert_refused(&path, "a byte cut out", |bytes| _ = bytes.remove(at));
        assert_refused(&path, "a byte moved", |bytes| {
            let byte = bytes.remove(at);
            bytes.push(!byte);
        });
    }
}

#[test]
fn every_byte_that_changes_is_found() {
    let (_dir, path) = made(6);
    let bytes = fs::read(&path).unwrap();
    let damaged = path.with_extension("damaged");
    let outline = bytes.len() - 2 * 128 - HEADER_LEN;
    let in_outline = (0..HEADER_LEN).chain(outline..bytes.len());
    let in_blocks = (HEADER_LEN..outline).step_by(977);
    fs::write(&damaged, &bytes).unwrap();
    let file = OpenOptions::new().write(true).open(&damaged).unwrap();
    for at in in_outline.chain(in_blocks) {
        for flipped in [1, 0x80, 0xff] {
            file.write_all_at(&[bytes[at] ^ flipped], at as u64).unwrap();
            let found = Plot::open(&damaged).and_then(|plot| plot.check_all(|_| true));
            match found.expect_err("a changed byte") {
                PlotError::Block { offset, bytes, .. } => {
                    assert!((offset..offset + bytes).contains(&(at as u64)), "{at} named as {offset}");
                }
                error => assert!(at < HEADER_LEN || at >= outline, "{at}: {error:?}"),
            }
        }
        file.write_all_at(&bytes[at..=at], at as u64).unwrap();
    }
    assert!(Plot::open(&damaged).unwrap().check_all(|_| true).is_ok());
}

#[test]
fn garbage_is_refused() {
    let (_dir, path) = made(5);
    let error = assert_refused(&path, "garbage", |bytes| bytes.fill(0xa5));
    assert!(matches!(error, PlotError::Magic { end: FileEnd::Front, got: [0xa5, ..] }), "{error:?}");
    let error =
        assert_refused(&path, "another format", |bytes| bytes[..8].copy_from_slice(b"PoS2\x02\0\0\0"));
    assert!(matches!(error, PlotError::Magic { .. }), "{error:?}");
    // Blocks of garbage behind good headers: opens, and fails when asked without crashing.
    for fill in [0x00, 0x7f, 0xa5, 0xff] {
        let outcome = open_damaged(&path, |bytes| {
            let end = bytes.len() - 2 * 128 - HEADER_LEN;
            bytes[HEADER_LEN..end].fill(fill);
        });
        assert!(matches!(outcome, Err(PlotError::Block { .. })), "{fill:02x}: {outcome:?}");
    }
}

/// A header with this change made to it, and a checksum that is right, at both ends.
fn with_header(path: &Path, change: impl Fn(&mut [u8])) -> PlotError {
    assert_refused(path, "a changed header", |bytes| {
        change(&mut bytes[..HEADER_LEN]);
        let (body, sum) = bytes[..HEADER_LEN].split_at_mut(HEADER_LEN - 4);
        sum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let header = bytes[..HEADER_LEN].to_vec();
        let end = bytes.len() - HEADER_LEN;
        bytes[end..].copy_from_slice(&header);
    })
}

#[test]
fn every_field_of_the_header_is_checked() {
    type Expected = fn(&PlotError) -> bool;
    let cases: [(usize, u8, Expected); 12] = [
        (0, 1, |e| matches!(e, PlotError::Magic { .. })),
        (8, 3, |e| matches!(e, PlotError::FormatVersion { expected: 1, got: 2 })),
        (10, 1, |e| matches!(e, PlotError::Identity(_))),
        (11, 1, |e| matches!(e, PlotError::Identity(_))),
        (12, 0x80, |e| matches!(e, PlotError::Identity(_))),
        (20, 1, |e| matches!(e, PlotError::Block { number: 0, .. })),
        (77, 0x80, |e| matches!(e, PlotError::GroupSize { got: 129 })),
        (79, 3, |e| matches!(e, PlotError::Layout { sets_per_block_log2: 6 })),
        (80, 1, |e| matches!(e, PlotError::Fragments { .. })),
        (88, 1, |e| matches!(e, PlotError::Length { .. })),
        (96, 1, |e| matches!(e, PlotError::Index(_))),
        (100, 1, |e| matches!(e, PlotError::Index(_))),
    ];
    let (_dir, path) = made(10);
    for (position, flipped, expected) in cases {
        let error = with_header(&path, |header| header[position] ^= flipped);
        assert!(expected(&error), "{position}: {error:?}");
        // Without a checksum that is right it is damage at one end, and at the other.
        let error = assert_refused(&path, "a changed header", |bytes| bytes[position] ^= flipped);
        assert!(position < 10 || matches!(error, PlotError::Header(FileEnd::Front)), "{position}: {error:?}");
        let error = assert_refused(&path, "a changed header", |bytes| {
            let at = bytes.len() - HEADER_LEN + position;
            bytes[at] ^= flipped;
        });
        assert!(position < 10 || matches!(error, PlotError::Header(FileEnd::Back)), "{position}: {error:?}");
    }
    // Nobody gets memory for what a header only claims.
    let error = with_header(&path, |header| header[99] = 0x7f);
    assert!(matches!(error, PlotError::Index("its blocks are too long")), "{error:?}");
    let error = with_header(&path, |header| header[88..96].fill(0xff));
    assert!(matches!(error, PlotError::Length { expected: u64::MAX, .. }), "{error:?}");
}

#[test]
fn a_plot_cannot_be_claimed_by_another_farmer() {
    let (_dir, path) = made(7);
    let thief = GroupIdentity { farmer: FarmerPublicKey::new([8; 32]), ..identity(7) };
    // The blocks are bound to the group.
    let error = with_header(&path, |header| header[10..77].copy_from_slice(&thief.to_bytes()));
    assert!(matches!(error, PlotError::Block { number: 0, .. }), "{error:?}");
}

#[test]
fn blocks_that_change_places_are_found() {
    let (_dir, path) = made(11);
    let plot = Plot::open(&path).unwrap();
    let ((first, len), (second, _)) = (plot.block_place(3), plot.block_place(4));
    let error = assert_refused(&path, "swapped blocks", |bytes| {
        let (a, b) = bytes.split_at_mut(second as usize);
        a[first as usize..][..len as usize - 64].swap_with_slice(&mut b[..len as usize - 64]);
    });
    assert!(matches!(error, PlotError::Block { number: 3, .. }), "{error:?}");
}

/// Promise 5: four reads for a challenge, and the file is not changed.
#[test]
fn a_challenge_costs_four_reads() {
    let (_dir, path) = made(12);
    let before = fs::read(&path).unwrap();
    let plot = Plot::open(&path).unwrap();
    let reads = || {
        let counters = fs::read_to_string("/proc/thread-self/io").unwrap();
        let count = counters.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
        count.parse::<u64>().unwrap()
    };
    // What looking costs itself.
    let start = reads();
    let looking = reads() - start;
    let start = reads();
    challenges(100).for_each(|challenge| drop(plot.qualities(&challenge).unwrap()));
    assert_eq!(reads() - start - looking, 100 * READS_PER_CHALLENGE);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Deleting a plot gives the space back, also while somebody farms it.
#[test]
fn a_deleted_plot_is_let_go() {
    let (dir, path) = made(14);
    let plot = Plot::open(&path).unwrap();
    let is_open = || {
        let files =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        files.into_iter().any(|file| file.starts_with(dir.path()))
    };
    assert!(is_open());
    fs::remove_file(&path).unwrap();
    let outcome = plot.qualities(&Challenge::new([1; 32]));
    assert!(matches!(outcome, Err(PlotError::Deleted(at)) if at == path));
    assert!(!is_open());
}

/// 10,000 plots, one to a file or in groups of 128, are to take less than 200 MB.
#[test]
fn what_is_kept_of_an_index_is_small() {
    for plots in [1, 2, 16, 100, 128] {
        let layout = Layout::new(PlotSize::MAX, plots);
        let entries: Vec<u8> =
            (0..layout.blocks()).flat_map(|block| (block as u16 % 100).to_le_bytes()).collect();
        let excess: u64 = (0..layout.blocks()).map(|block| block % 65_536 % 100).sum();
        let header = Header {
            kind: Kind::Plots,
            identity: GroupIdentity { size: PlotSize::MAX, ..identity(0) },
            layout,
            fragments: 0,
            index_offset: HEADER_LEN as u64 + 7_000 * layout.blocks() + excess,
            block_bytes_min: 7_000,
            index_checksum: crc32c::crc32c(&entries),
        };
        let index = Index::read(&header, &entries).unwrap();
        let runs = Runs::new(&layout, &index).unwrap();
        let bytes = memory_bytes(&layout);
        assert!(10_000u64.div_ceil(plots.into()) * bytes < 120_000_000, "{plots} plots: {bytes}");
        for block in [0, 1, 63, 12_345, layout.blocks() - 1] {
            let ((offset, length), (from, read, skipped)) = (index.place(block), runs.place(block));
            assert!(from <= offset && offset + length <= from + read, "block {block} of {plots} plots");
            assert_eq!(index.place(block - skipped).0, from);
            assert!(read <= 32 * (7_000 + 99));
        }
    }
}

/// A block is found by walking over its neighbours. Damage there costs one look into the index, and no answer.
#[test]
fn damage_beside_a_block_costs_no_answer() {
    let (_dir, path) = made(14);
    let plot = Plot::open(&path).unwrap();
    let place = |block| plot.block_place(block).0 + 4;
    let challenges: Vec<Challenge> = (0..60).map(|number| Challenge::new([number; 32])).collect();
    let before: Vec<_> = challenges.iter().map(|challenge| plot.qualities(challenge).unwrap()).collect();
    // The count of fragments of the first block, over which every other one of its run is found.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0, 0], place(0)).unwrap();
    let (mut same, mut faults) = (0, 0);
    for (challenge, before) in challenges.iter().zip(before) {
        match plot.qualities(challenge) {
            Ok(chains) => same += u32::from(chains == before),
            Err(PlotError::Block { number: 0, .. }) => faults += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(same + faults, 60);
    assert!(same > 50, "a challenge asks 4 of 128 blocks");
}

/// The system counts what we count: four reads for a challenge, and no byte more than we say.
#[cfg(target_os = "linux")]
#[test]
fn the_system_counts_as_many_reads() {
    let counted = || {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        let number = |name: &str| -> u64 {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        ReadCount { reads: number("syscr:"), bytes: number("rchar:") }
    };
    let (_dir, path) = made(15);
    let plot = Plot::open(&path).unwrap();
    let (ours_before, first) = (plot.read_count(), counted());
    let second = counted();
    for number in 0..10 {
        plot.group_qualities(&Challenge::new([number; 32])).unwrap();
    }
    let (third, ours) = (counted(), plot.read_count());
    // To look at the counters is counted too.
    let (looking_reads, looking_bytes) = (second.reads - first.reads, second.bytes - first.bytes);
    assert_eq!(ours.reads - ours_before.reads, 10 * READS_PER_CHALLENGE);
    assert_eq!(third.reads - second.reads - looking_reads, ours.reads - ours_before.reads);
    let bytes = third.bytes - second.bytes - looking_bytes;
    // The text of the counters may have grown by a digit or two.
    assert!(bytes.abs_diff(ours.bytes - ours_before.bytes) < 16, "{bytes} {ours:?}");
}

#[test]
fn files_and_links_to_files_are_plots_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("b.plot"), b"").unwrap();
    fs::write(at("b.plot.tmp"), b"").unwrap();
    fs::create_dir(at("c.plot")).unwrap();
    std::os::unix::fs::symlink(at("b.plot"), at("a.plot")).unwrap();
    std::os::unix::fs::symlink(at("c.plot"), at("d.plot")).unwrap();
    std::os::unix::fs::symlink(at("none"), at("e.plot")).unwrap();
    assert_eq!(crate::plot_files(dir.path()).unwrap(), [at("a.plot"), at("b.plot")]);
}

#[test]
fn cancelled_work_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let watch = |progress: Progress| {
        if 3 * progress.done > progress.total {
            gate.cancel();
        }
    };
    let options = CreateOptions { progress: Some(&watch), gate: Some(&gate), ..CreateOptions::default() };
    assert!(matches!(create_with(dir.path(), &identity(13), &options), Err(PlotError::Cancelled)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let (_dir, path) = made(13);
    let options = SolveOptions { gate: Some(&gate), ..SolveOptions::default() };
    let outcome = Plot::open(&path).unwrap().solve_with(&QualityChain::new([1; 16]), &options);
    assert!(matches!(outcome, Err(PlotError::Cancelled)), "{outcome:?}");
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

/// Each way in which a proof can be wrong has its error.
#[test]
fn refusals_say_why() {
    let (_dir, path) = made(15);
    let plot = Plot::open(&path).unwrap();
    let params = *plot.params();
    let (challenge, chain) = (0..=255)
        .map(|i| Challenge::new([i; 32]))
        .find_map(|challenge| Some((challenge, *plot.qualities(&challenge).unwrap().first()?)))
        .unwrap();
    let proof = plot.solve(&chain).unwrap();
    assert_eq!(verify(&params, &challenge, &proof), Ok(chain));
    let refused = |params: &PlotParams, proof: &Proof| verify(params, &challenge, proof).unwrap_err();
    let with = |change: &dyn Fn(&mut [u32; 128])| {
        let mut x_values = *proof.x_values();
        change(&mut x_values);
        Proof::new(params.size, x_values).unwrap()
    };

    // Of another order: links, pairs of pairs, x-values.
    assert_eq!(refused(&params, &with(&|xs| xs.rotate_left(8))), ProofError::Chain { link: 0 });
    let swapped = with(&|xs| {
        let (left, right) = xs[40..48].split_at_mut(4);
        left.swap_with_slice(right);
    });
    assert!(matches!(refused(&params, &swapped), ProofError::Sets | ProofError::Chain { .. }));
    // A changed bit in what the links show, and in what only the tables show.
    let error = refused(&params, &with(&|xs| xs[64] ^= 1 << 17));
    assert!(matches!(error, ProofError::Sets | ProofError::Chain { link: 8 }), "{error:?}");
    assert_eq!(refused(&params, &with(&|xs| xs[64] ^= 1)), ProofError::Table { table: 1 });
    assert_eq!(refused(&params, &with(&|xs| xs[65] ^= 1 << 17)), ProofError::Table { table: 1 });
    // Of another plot, challenge, strength, k.
    let other = PlotParams { group_id: GroupId::new([1; 32]), ..params };
    assert_eq!(refused(&other, &proof), ProofError::Sets);
    assert!(matches!(verify(&params, &Challenge::new([0xee; 32]), &proof), Err(ProofError::Sets)));
    let stronger = PlotParams { strength: Strength::new(3).unwrap(), ..params };
    assert!(matches!(refused(&stronger, &proof), ProofError::Table { table: 1 | 2 }));
    let hopeless = PlotParams { strength: Strength::MAX, ..params };
    assert_eq!(refused(&hopeless, &proof), ProofError::Strength { k: 18, strength: 17 });
    let larger = PlotParams { size: PlotSize::MAX, ..params };
    assert_eq!(refused(&larger, &proof), ProofError::Size { expected: 28, got: 18 });
    let index = PlotParams { index: PlotIndex::new(1), ..params };
    assert!(matches!(refused(&index, &proof), ProofError::Sets | ProofError::Chain { .. }));
}
