//! Disks that are full and disks that cannot read: the error says so, nothing that was stored is lost, and with room, or
//! with a disk that reads again, the chain goes on.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod payer;
mod story;

use std::{fs, sync::Arc};

use mass_node::{ChainError, program};
use mass_storage::{Store, fault::FakeDisk};
use payer::NOW;
use story::{Story, weight};

/// Feeds blocks until the disk says no; the weight that the chain had reached, and the error.
fn feed(story: &Story, disk: &FakeDisk) -> (u128, Option<ChainError>) {
    let mut chain = match story.open(disk) {
        Ok(chain) => chain,
        Err(error) => return (0, Some(error)),
    };
    for block in &story.blocks {
        let before = weight(&chain);
        if let Err(error) = chain.take_block(block, NOW) {
            // Once it has failed, it says so whoever asks.
            assert!(chain.store().check_alive().is_err());
            return (before, Some(error));
        }
    }
    (weight(&chain), None)
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_and_with_room_the_chain_goes_on() {
    let (story, mut told) = (Story::new(), 0);
    for room in [0, 3, 12, 20, 28, 36, 44, 52] {
        let disk = FakeDisk::new(Arc::default());
        disk.set_room(Some(room));
        let (before, error) = feed(&story, &disk);
        let Some(error) = error else { continue };
        told += 1;
        assert!(error.is_fatal() && error.to_string().contains("the disk is full"), "room {room}: {error}");
        assert_eq!(program::exit_code(&error.into()), program::EXIT_FULL);
        // As long as it is full, nothing changes; who tries again is told again.
        if let (_, Some(again)) = feed(&story, &disk) {
            assert!(again.to_string().contains("the disk is full"), "room {room}: {again}");
        }
        disk.set_room(None);
        let mut chain = story.open(&disk).unwrap();
        assert!(weight(&chain) >= before, "room {room}");
        story.sound(&chain);
        story.catches_up(&mut chain);
    }
    assert!(told >= 5, "{told}");
}

#[test]
fn what_cannot_be_read_is_told_and_once_it_can_the_chain_goes_on() {
    let (story, disk) = (Story::new(), FakeDisk::new(Arc::default()));
    let (before, error) = feed(&story, &disk);
    assert!(error.is_none());
    let (mut told, len) = (0, length(&disk));
    for start in (0..len).step_by(4_096 * 7) {
        disk.set_unreadable(start..start + 4_096);
        let opened = story.open(&disk);
        let checked = opened.as_ref().map(|chain| {
            mass_node::check::check(chain.store(), &story.spec, chain.ledger(), &mut |_, _, _| {})
        });
        let error = match checked {
            Err(error) => Some(error.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(_)) => None,
        };
        if let Some(error) = error {
            told += 1;
            assert!(error.contains("input/output error"), "{error}");
        }
        drop(opened);
        disk.set_unreadable(0..0);
        let chain = story.open(&disk).unwrap();
        assert_eq!(weight(&chain), before);
        story.sound(&chain);
    }
    assert!(told > 3, "{told}");
}

/// The power failed, or the room ended, while the file was made: it has no signature, and never held anything. A large one
/// without is damage.
#[test]
fn a_file_that_was_never_finished_is_begun_anew_and_a_damaged_one_is_not() {
    let (story, dir) = (Story::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain.redb");
    for (len, is_begun) in [(5, true), (73_728, true), (1 << 20, false)] {
        fs::write(&path, vec![0; len]).unwrap();
        let opened = Store::open(&path, story.spec.id());
        assert_eq!(opened.is_ok(), is_begun, "{len}: {opened:?}");
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20, "it is left as it was");
    for operations in 0..30 {
        let disk = FakeDisk::new(Arc::default());
        disk.fail_after(operations);
        let _ = Store::open_on(disk.clone(), 64 << 10, story.spec.id());
        let mut seed = operations as usize;
        let left = disk.after_crash(|below| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below.max(1)
        });
        let mut chain = story.open(&left).unwrap_or_else(|error| panic!("{operations}: {error}"));
        story.catches_up(&mut chain);
    }
}

fn length(disk: &FakeDisk) -> u64 {
    mass_storage::Disk::len(disk).unwrap()
}
