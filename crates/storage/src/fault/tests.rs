//! The failing disk itself.

use super::*;

/// A small stream of numbers.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    }
}

fn filled(disk: &FakeDisk, offset: u64, byte: u8, len: usize) {
    disk.write(offset, &vec![byte; len]).unwrap();
}

fn byte(disk: &FakeDisk, offset: u64) -> u8 {
    let mut out = [0];
    disk.read(offset, &mut out).unwrap();
    out[0]
}

#[test]
fn what_is_synced_survives_and_what_is_not_may_be_lost() {
    let mut dice = dice(1);
    let mut ends = [0; 2];
    for _ in 0..50 {
        let disk = FakeDisk::new(Arc::default());
        disk.set_len(20_000).unwrap();
        filled(&disk, 100, 7, 9_000);
        disk.sync_data().unwrap();
        filled(&disk, 0, 9, 4_096);
        let left = disk.after_crash(&mut dice);
        assert_eq!((byte(&left, 5_000), byte(&left, 9_099), byte(&left, 9_100)), (7, 7, 0));
        let kept = byte(&left, 4_095);
        assert!([7, 9].contains(&kept));
        ends[usize::from(kept == 9)] += 1;
        assert!(disk.write(0, &[1]).is_err(), "the power has failed");
    }
    assert!(ends.iter().all(|count| *count > 5), "{ends:?}");
}

#[test]
fn pages_of_equal_content_are_held_once() {
    let pool: Arc<Pages> = Arc::default();
    let disks: Vec<FakeDisk> = (0..10).map(|_| FakeDisk::new(Arc::clone(&pool))).collect();
    for disk in &disks {
        disk.set_len(8_192).unwrap();
        filled(disk, 0, 5, 8_192);
        disk.sync_data().unwrap();
    }
    let first = Arc::clone(&disks[0].platter().pages[0]);
    assert!(disks.iter().all(|disk| disk.platter().pages.iter().all(|page| Arc::ptr_eq(page, &first))));
}

#[test]
fn the_power_fails_after_the_given_operations() {
    let disk = FakeDisk::new(Arc::default());
    disk.set_len(4_096).unwrap();
    disk.fail_after(1);
    filled(&disk, 0, 1, 10);
    assert!(disk.sync_data().is_err());
}

#[test]
fn writes_come_in_any_order_and_a_new_length_may_be_lost() {
    let mut dice = dice(2);
    let (mut later_alone, mut short) = (0, 0);
    for _ in 0..50 {
        let disk = FakeDisk::new(Arc::default());
        disk.set_len(8_192).unwrap();
        disk.sync_data().unwrap();
        filled(&disk, 0, 1, 4_096);
        filled(&disk, 4_096, 2, 4_096);
        disk.set_len(12_288).unwrap();
        let left = disk.after_crash(&mut dice);
        later_alone += usize::from(byte(&left, 0) == 0 && byte(&left, 4_096) == 2);
        short += usize::from(left.len().unwrap() == 8_192);
    }
    assert!(later_alone > 3 && short > 3, "{later_alone} {short}");
}

#[test]
fn a_full_disk_takes_what_has_a_place_and_nothing_new() {
    let disk = FakeDisk::new(Arc::default());
    disk.set_len(40_960).unwrap();
    filled(&disk, 0, 1, 4_096);
    disk.set_room(Some(1));
    filled(&disk, 0, 2, 4_096);
    filled(&disk, 8_192, 2, 4_096);
    let full = disk.write(12_288, &[1]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    disk.set_room(None);
    filled(&disk, 12_288, 1, 10);
}

#[test]
fn what_cannot_be_read_is_an_error_and_the_rest_is_not() {
    let disk = FakeDisk::new(Arc::default());
    disk.set_len(8_192).unwrap();
    disk.set_unreadable(100..101);
    assert!(disk.read(0, &mut [0; 101]).is_err());
    disk.read(0, &mut [0; 100]).unwrap();
    disk.read(101, &mut [0; 100]).unwrap();
    disk.rot(200);
    assert_eq!(byte(&disk, 200), 0x40);
}
