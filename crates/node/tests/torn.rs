//! A node on a disk that loses power at a random operation, and keeps of what was not synced some writes, some parts of
//! writes, in any order. Whatever is left opens, is consistent to the last byte, has lost nothing that was on disk, and
//! goes on with the rest of the chain. Real blocks with payments, indexes and reorganisations go through the production
//! chain and store.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod payer;
mod story;

use std::sync::Arc;

use mass_node::Pruning;
use mass_storage::fault::FakeDisk;
use payer::NOW;
use rand_core::{RngCore as _, SeedableRng as _};
use story::{Story, weight};

/// As little as the story's reorganisations allow.
const PRUNING: Pruning = Pruning { target_bytes: Some(1), keep_blocks: 5 };

/// Numbers from a seed.
struct Dice(rand_chacha::ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(rand_chacha::ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() >> 16).unwrap() % bound.max(1)
    }
}

/// What came of one life.
#[derive(Default)]
struct Life {
    /// Weight of the best chain that is known to be on disk.
    sure: u128,
    crashed: bool,
}

/// Feeds blocks to a chain on a disk that will fail. `bulk` is whether commits may wait, as in a first synchronisation.
fn live(story: &Story, disk: &FakeDisk, bulk: bool, dice: &mut Dice) -> Life {
    let mut life = Life::default();
    let Ok(mut chain) = story.open(disk) else { return Life { crashed: true, ..life } };
    life.sure = weight(&chain);
    let prunes = dice.below(2) == 1;
    let mut run = || -> Result<(), mass_node::ChainError> {
        chain.set_bulk(bulk)?;
        for block in &story.blocks {
            chain.take_block(block, NOW)?;
            while prunes && chain.prune(&PRUNING)? {}
            if dice.below(8) == 0 {
                chain.store().sync()?;
            }
            if chain.store().unsynced_commits() == 0 {
                life.sure = weight(&chain);
            }
        }
        Ok(())
    };
    let error = run().err();
    assert!(error.iter().all(mass_node::ChainError::is_fatal), "{error:?}");
    life.crashed = error.is_some();
    // The power is off before the database could close itself.
    disk.fail_after(0);
    life
}

/// How many operations a life takes.
fn operations(story: &Story, bulk: bool) -> usize {
    let disk = FakeDisk::new(Arc::default());
    disk.fail_after(u32::MAX);
    let mut chain = story.open(&disk).unwrap();
    chain.set_bulk(bulk).unwrap();
    story.blocks.iter().for_each(|block| drop(chain.take_block(block, NOW).unwrap()));
    chain.set_bulk(false).unwrap();
    (u32::MAX - disk.operations_left().unwrap()) as usize
}

/// Crashes a node again and again; how many crashes there were.
fn torn(story: &Story, seeds: std::ops::Range<u64>) -> usize {
    let lengths = [false, true].map(|bulk| operations(story, bulk));
    let (mut crashes, mut lost) = (0, 0);
    for seed in seeds {
        let (mut dice, mut disk, mut sure) = (Dice::new(seed), FakeDisk::new(Arc::default()), 0);
        // Up to three lives in a row, so that what a crash left goes through the next one.
        for _ in 0..=dice.below(3) {
            let bulk = dice.below(2) == 1;
            disk.fail_after(u32::try_from(dice.below(lengths[usize::from(bulk)])).unwrap());
            let life = live(story, &disk, bulk, &mut dice);
            crashes += usize::from(life.crashed);
            sure = life.sure.max(sure);
            disk = disk.after_crash(|below| dice.below(below));
        }
        let mut chain = story.open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let found = weight(&chain);
        assert!(found >= sure, "seed {seed}: weight {found} of {sure} that was on disk");
        story.sound(&chain);
        story.catches_up(&mut chain);
        lost += usize::from(found == 0);
        let closed = chain.store().check_alive();
        assert!(closed.is_ok(), "seed {seed}");
    }
    eprintln!("{crashes} crashes; {lost} before the first block was on disk");
    crashes
}

#[test]
fn what_a_torn_disk_left_is_sound_and_goes_on() {
    assert!(torn(&Story::new(), 0..20) > 10);
}

/// `cargo xtask slow torn`.
#[test]
#[ignore = "cargo xtask slow torn: some minutes"]
fn a_thousand_torn_disks() {
    assert!(torn(&Story::new(), 0..1_000) > 500);
}
