//! From schema to schema: by hand back to the one before, and on again, with the power failing at each operation.

use std::sync::Arc;

use mass_primitives::{Encode as _, Height};

use super::{ALL, CHAIN, connect, delta};
use crate::{
    SCHEMA, SCHEMA_OLDEST, Store, StoreError,
    fault::FakeDisk,
    schema,
    tables::{META, META_SCHEMA, META_STATE_SUM},
};

fn open(disk: &FakeDisk) -> Result<Store, StoreError> {
    Store::open_on(disk.clone(), 64 << 10, &CHAIN)
}

/// A store as schema 2 had it, and an undo that was pruned.
fn made() -> FakeDisk {
    let disk = FakeDisk::new(Arc::default());
    let store = open(&disk).unwrap();
    connect(&store, 1, 0, None, &delta(&[(b"a", Some(b"x")), (b"b", Some(b"y"))])).unwrap();
    connect(&store, 2, 1, Some(1), &delta(&[(b"a", None), (b"c", Some(b"z"))])).unwrap();
    connect(&store, 3, 2, Some(2), &delta(&[(b"b", Some(b"w"))])).unwrap();
    store.prune(Height::new(1), None, ALL).unwrap();
    store
        .write(|txn| {
            let mut meta = txn.open_table(META)?;
            meta.remove(META_STATE_SUM)?;
            meta.insert(META_SCHEMA, 2u32.to_bytes().as_slice())?;
            Ok(())
        })
        .unwrap();
    disk
}

fn is_sound(store: &Store) -> bool {
    // The headers of these tests are none; only what the step made is looked at.
    let found = store.check(&mut |_| Ok(()), &mut |_, _, _| {}).unwrap();
    let parts = [crate::check::Part::State, crate::check::Part::Undo];
    found.state_entries == 2
        && found.undo_from == Height::new(1)
        && !found.faults.iter().any(|fault| parts.contains(&fault.part))
}

#[test]
fn a_store_of_schema_2_is_brought_up_to_date() {
    let store = open(&made()).unwrap();
    assert_eq!(schema::read(&store).unwrap(), SCHEMA);
    assert!(is_sound(&store));
    store.disconnect_tip(&[]).unwrap();
    assert!(store.check(&mut |_| Ok(()), &mut |_, _, _| {}).is_ok());
    assert_eq!(store.undo_from().unwrap(), Height::new(1));
}

#[test]
fn a_step_that_a_crash_cut_short_is_taken_again() {
    let (mut cut, mut seed) = (0, 1usize);
    for operations in 0..40 {
        let disk = made();
        disk.fail_after(operations);
        cut += usize::from(open(&disk).is_err());
        let mut dice = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below.max(1)
        };
        let store = open(&disk.after_crash(&mut dice)).unwrap();
        assert_eq!(schema::read(&store).unwrap(), SCHEMA);
        assert!(is_sound(&store), "{operations}");
    }
    assert!(cut > 5, "{cut}");
}

#[test]
fn a_schema_without_a_way_is_refused_and_left_alone() {
    for (got, told) in [(SCHEMA + 1, "written by a newer version"), (SCHEMA_OLDEST - 1, "oldest")] {
        let disk = made();
        let store = open(&disk).unwrap();
        store
            .write(|txn| {
                txn.open_table(META)?.insert(META_SCHEMA, got.to_bytes().as_slice())?;
                Ok(())
            })
            .unwrap();
        drop(store);
        for _ in 0..2 {
            let error = open(&disk).unwrap_err();
            assert!(!error.is_fatal() && error.to_string().contains(told), "{error}");
        }
    }
}
