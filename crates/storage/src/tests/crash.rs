//! Crashes: a disk that stops at a random operation and keeps a random part of what was not yet synced.
//! Whatever is left must open, at the tip before or after the step that was under way; with slack, at a tip since the
//! last commit that was on disk.

use std::sync::Arc;

use proptest::prelude::*;

use super::{CHAIN, model};
use crate::{Slack, Store, StoreError, fault::FakeDisk};

/// So little that the database writes between commits.
const CACHE_BYTES: usize = 64 << 10;

fn open(disk: &FakeDisk) -> Store {
    Store::open_on(disk.clone(), CACHE_BYTES, &CHAIN).unwrap()
}

/// Numbers from a seed.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    }
}

fn crash_at(steps: &[model::Step], left: u32, seed: u64, slack: Option<Slack>) -> Result<(), TestCaseError> {
    let disk = FakeDisk::new(Arc::default());
    let store = open(&disk);
    store.set_slack(slack).unwrap();
    disk.fail_after(left);
    let mut model = model::Model::default();
    // All that may be found: what was on disk, and what came after it.
    let mut possible = vec![model.clone()];
    for step in steps {
        let failed = model.step(&store, step).err();
        if failed.is_none() && store.unsynced_commits() == 0 {
            possible.clear();
        }
        possible.push(model.clone());
        if let Some(error) = failed {
            prop_assert!(error.is_fatal());
            let refuses = |error: Option<StoreError>| matches!(error, Some(StoreError::Failed { .. }));
            prop_assert!(refuses(store.disconnect_tip(&[]).err()) && refuses(store.tip().err()));
            break;
        }
    }
    // The image is taken before the handle closes, as a crash would.
    let left = disk.after_crash(dice(seed));
    drop(store);
    let store = open(&left);
    let found = possible.into_iter().find(|model| model.is(&store));
    prop_assert!(found.is_some(), "it is none of what it was");
    let mut model = found.unwrap_or_default();
    // And the chain goes on from there, down to nothing.
    while model.goes_back() {
        model.step(&store, &model::Step::Disconnect).unwrap();
        prop_assert!(model.is(&store));
    }
    if store.tip().unwrap().is_none() {
        prop_assert_eq!(store.snapshot().unwrap().scan(b"").unwrap().count(), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_leaves_the_block_before_or_after(steps in model::steps(12), left in 0u32..160, seed: u64) {
        crash_at(&steps, left, seed, None)?;
    }

    #[test]
    fn with_slack_a_crash_leaves_some_block_since_the_last_on_disk(
        steps in model::steps(24),
        left in 0u32..100,
        seed: u64,
        commits in 1u32..8,
    ) {
        crash_at(&steps, left, seed, Some(Slack { commits, bytes: 4_000 }))?;
    }
}

#[test]
fn slack_is_bounded_and_ends_on_disk() {
    let disk = FakeDisk::new(Arc::default());
    let store = open(&disk);
    let connect = |number: u8| {
        let parent = number.checked_sub(1);
        super::connect(
            &store,
            number,
            number.into(),
            parent,
            &crate::tests::delta(&[(&[number], Some(b"x"))]),
        )
    };
    store.set_slack(Some(Slack { commits: 3, bytes: 1 << 20 })).unwrap();
    let waiting = |number| {
        connect(number).unwrap();
        store.unsynced_commits()
    };
    assert_eq!([0, 1, 2, 3].map(waiting), [1, 2, 0, 1], "the third goes to disk with the first two");
    let found = |disk: &FakeDisk| {
        let height = open(&disk.after_crash(|_| 0)).tip().unwrap().map(|tip| tip.height.get());
        disk.fail_after(u32::MAX);
        height
    };
    assert_eq!(found(&disk), Some(2), "and the fourth is lost");
    assert_eq!(store.tip().unwrap().unwrap().height.get(), 3, "who reads sees it");
    store.set_slack(None).unwrap();
    assert_eq!((store.unsynced_commits(), found(&disk)), (0, Some(3)));
    assert_eq!([4, 5].map(waiting), [0, 0]);
    store.set_slack(Some(Slack { commits: 99, bytes: 1 << 20 })).unwrap();
    assert_eq!(waiting(6), 1);
    drop(store);
    assert_eq!(open(&disk).tip().unwrap().unwrap().height.get(), 6, "a store that is closed has all");
}
