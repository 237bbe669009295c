//! Groups of the least size: made, stopped at every step, damaged, asked.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce, PlotIndex};
use mass_proof_of_space::{Strength, verify};
use tempfile::TempDir;

use super::*;
use crate::{READS_PER_CHALLENGE, RepairOptions, clean_orphans, create, list, repair};

const PLOTS: u16 = 5;

fn identity() -> GroupIdentity {
    GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([21; 32]),
    }
}

/// The file of the group, made without a stop.
fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::read(create_group(dir.path(), &identity(), PLOTS, &GroupOptions::default()).unwrap()).unwrap()
    })
}

fn opened() -> (TempDir, Plot) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("group.plot");
    fs::write(&path, whole()).unwrap();
    let plot = Plot::open(&path).unwrap();
    (dir, plot)
}

fn challenges(count: u8) -> impl Iterator<Item = Challenge> {
    (0..count).map(|i| Challenge::new([i; 32]))
}

/// Begins or goes on, and gives up where `stop` says so.
fn stopped(dir: &Path, stop: impl Fn(GroupProgress) -> bool + Sync) {
    let gate = Gate::default();
    let watch = |progress: GroupProgress| {
        if stop(progress) {
            gate.cancel();
        }
    };
    let options = GroupOptions { progress: Some(&watch), gate: Some(&gate), ..GroupOptions::default() };
    let outcome = create_group(dir, &identity(), PLOTS, &options);
    assert!(matches!(outcome, Err(PlotError::Cancelled)), "{outcome:?}");
}

/// Goes on to the end; the file is what it would have been without a stop, and nothing else is left.
fn goes_on(dir: &Path) {
    let path = create_group(dir, &identity(), PLOTS, &GroupOptions::default()).unwrap();
    assert!(fs::read(&path).unwrap() == whole());
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    let outcome = create_group(dir, &identity(), PLOTS, &GroupOptions::default());
    assert!(matches!(outcome, Err(PlotError::Exists(at)) if at == path));
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
}

fn part(dir: &Path, index: u16) -> PathBuf {
    Staging::new(dir, &identity(), PLOTS).paths().swap_remove(index.into())
}

/// All plots of a group answer for four reads.
#[test]
fn a_group_answers_for_all_its_plots() {
    let (_dir, group) = opened();
    assert_eq!((group.count(), group.file_bytes()), (PLOTS, whole().len() as u64));
    let counters = || fs::read_to_string("/proc/thread-self/io").unwrap();
    let reads = || {
        let line = counters().lines().find_map(|line| line.strip_prefix("syscr: ")?.parse::<u64>().ok());
        line.unwrap()
    };
    let start = reads();
    let looking = reads() - start;
    let start = reads();
    let found: Vec<_> = challenges(100).map(|challenge| group.group_qualities(&challenge).unwrap()).collect();
    assert_eq!(reads() - start - looking, 100 * READS_PER_CHALLENGE);

    let mut answered = [0; PLOTS as usize];
    for (challenge, found) in challenges(100).zip(&found) {
        assert!(found.is_sorted_by_key(|(index, chain)| (*index, *chain.links())));
        found.iter().for_each(|(index, _)| answered[usize::from(index.get())] += 1);
        if let Some((index, chain)) = found.last().filter(|_| answered.iter().sum::<u32>() < 40) {
            let proof = group.solve_of(*index, chain, &SolveOptions::default()).unwrap();
            assert_eq!(verify(group.params_of(*index).unwrap(), &challenge, &proof), Ok(*chain));
            assert_eq!(verify(group.params(), &challenge, &proof) == Ok(*chain), *index == PlotIndex::ZERO);
        }
    }
    assert!(answered.iter().all(|count| *count > 20), "{answered:?}");
    let index = PlotIndex::new(PLOTS);
    assert_eq!((group.params_of(index), group.plot_id_of(index)), (None, None));
    let outcome = group.solve_of(index, &found.concat()[0].1, &SolveOptions::default());
    assert!(matches!(outcome, Err(PlotError::NoPlot { count: PLOTS, .. })));
}

/// The first plot of a group is the plot that the group would have alone.
#[test]
fn the_first_plot_of_a_group_is_that_of_a_file_of_one() {
    let (dir, group) = opened();
    let alone = Plot::open(&create(dir.path(), &identity()).unwrap()).unwrap();
    assert_eq!((alone.params(), alone.plot_id()), (group.params(), group.plot_id()));
    for challenge in challenges(64) {
        let expected = alone.qualities(&challenge).unwrap();
        assert_eq!(group.qualities(&challenge).unwrap(), expected);
        let tagged: Vec<_> = expected.into_iter().map(|chain| (PlotIndex::ZERO, chain)).collect();
        assert_eq!(alone.group_qualities(&challenge).unwrap(), tagged);
    }
}

#[test]
fn a_group_that_is_stopped_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // In the third plot; in the merge before and after staged plots were given back; in the check.
    let half = |work: Progress| 2 * work.done > work.total;
    stopped(dir.path(), |progress| progress.step == GroupStep::Plot(2) && half(progress.work));
    let found = unfinished_groups(dir.path()).unwrap();
    let bytes_missing = found.first().map_or(0, |group| group.bytes_missing);
    let group =
        UnfinishedGroup { identity: identity(), plots: PLOTS, staged: 2, bytes_missing, in_work: false };
    assert_eq!(found, [group]);
    // The plots that are missing, and no more than what the whole group takes.
    let each = space::space_needed(identity().size);
    let least = u64::from(PLOTS - 2) * each;
    assert!((least..space_peak(identity().size, PLOTS)).contains(&bytes_missing), "{bytes_missing}");
    assert_eq!(clean_orphans(dir.path()).unwrap(), Vec::<PathBuf>::new());
    for limit in [1, 9, 10, 20, 50, 51, 90, 127] {
        stopped(dir.path(), |progress| progress.step == GroupStep::Merge && progress.work.done >= limit);
    }
    stopped(dir.path(), |progress| progress.step == GroupStep::Check && half(progress.work));
    goes_on(dir.path());
    assert_eq!(unfinished_groups(dir.path()).unwrap(), []);
    let dir = dir.path();
    let outcome = list(dir).unwrap();
    assert_eq!(outcome.plots.iter().map(Plot::count).collect::<Vec<_>>(), [PLOTS]);
}

#[test]
fn another_number_of_plots_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), |_| true);
    let make = |plots| create_group(dir.path(), &identity(), plots, &GroupOptions::default());
    assert!(matches!(make(6), Err(PlotError::OtherGroupSize { begun: PLOTS, got: 6 })));
    assert!(matches!(make(0), Err(PlotError::GroupSize { got: 0 })));
    assert!(matches!(make(129), Err(PlotError::GroupSize { got: 129 })));
    goes_on(dir.path());
}

/// What is lost of the staged plots is made again: before the merge, and after a part of it.
#[test]
fn damaged_parts_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let spoil = |index: u16, at: usize| {
        let path = part(dir.path(), index);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() * at / 10;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    stopped(dir.path(), |progress| progress.step == GroupStep::Plot(4));
    spoil(1, 9);
    spoil(2, 5);
    fs::copy(part(dir.path(), 3), part(dir.path(), 0)).unwrap();
    stopped(dir.path(), |progress| progress.step == GroupStep::Merge && progress.work.done > 60);
    fs::remove_file(part(dir.path(), 0)).unwrap();
    fs::write(part(dir.path(), 4), b"nothing of the kind").unwrap();
    spoil(3, 8);
    goes_on(dir.path());
}

/// A merged block that the disk lost after the staged plots were given back takes plotting, and no more.
#[test]
fn a_damaged_merge_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), |progress| progress.step == GroupStep::Check);
    let path = dir.path().join(format!("{}{GROUP_SUFFIX}", stem(&identity())));
    let mut bytes = fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(path, bytes).unwrap();
    goes_on(dir.path());
}

/// A group takes the space of its plots and of one more, and all of it from the start.
#[test]
fn the_space_of_a_group_is_bounded_and_taken_first() {
    let dir = tempfile::tempdir().unwrap();
    let used = || {
        let files = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|file| file.unwrap().path());
        let parts = dir.path().join(format!("{}.group.parts", stem(&identity())));
        let all = files(dir.path()).chain(files(&parts));
        all.map(|path| fs::metadata(path).map_or(0, |file| 512 * file.blocks())).sum::<u64>()
    };
    let peak = AtomicU64::new(0);
    let (plots, size) = (u64::from(PLOTS), identity().size);
    let watch = |progress: GroupProgress| {
        if progress.step == GroupStep::Plot(0) {
            assert!(used() >= (plots + 1) * size.nominal_bytes(), "{}", used());
        }
        peak.fetch_max(used(), Ordering::Relaxed);
    };
    let options = GroupOptions { progress: Some(&watch), ..GroupOptions::default() };
    create_group(dir.path(), &identity(), PLOTS, &options).unwrap();
    let foreseen = space_peak(size, PLOTS);
    // Headers, and pages that are begun.
    assert!(peak.load(Ordering::Relaxed) <= foreseen + (1 << 17), "{peak:?} {foreseen}");
    let outcome = space::check(dir.path(), u64::MAX);
    assert!(matches!(outcome, Err(PlotError::NoSpace { needed: u64::MAX, .. })), "{outcome:?}");
}

#[test]
fn either_end_of_a_group_can_be_lost() {
    let (_dir, group) = opened();
    let (path, len) = (group.path(), whole().len());
    for damage in [0..64, len - 64..len, len - HEADER_LEN - 100..len - HEADER_LEN - 60] {
        let mut bytes = whole().to_vec();
        bytes[damage].fill(0x5a);
        fs::write(path, bytes).unwrap();
        assert!(Plot::open(path).is_err());
        let mended = repair(path, &RepairOptions::default()).unwrap();
        assert!(mended.ends && mended.blocks == 0);
        assert!(fs::read(path).unwrap() == whole());
    }
    let mut bytes = whole().to_vec();
    bytes[2_000_000] ^= 1;
    fs::write(path, bytes).unwrap();
    let outcome = Plot::open(path).unwrap().check_all(|_| true);
    assert!(matches!(outcome, Err(PlotError::Block { .. })), "{outcome:?}");
}
