//! A state in parts: what is cut from one store begins another, and what is not the state does not.

use mass_primitives::{Decode as _, StateHash};

use super::*;
use crate::{PartEntry, StatePart};

/// A store of three blocks, of which the last changed what was before, and the headers of two in another.
fn stores(dir: &std::path::Path) -> (Store, Store) {
    let whole = Store::open(dir.join("whole"), &CHAIN).unwrap();
    let empty = Store::open(dir.join("empty"), &CHAIN).unwrap();
    let genesis = delta(&[(b"a", Some(b"0"))]);
    let big = vec![7; crate::part::PART_BYTES];
    for store in [&whole, &empty] {
        connect(store, 1, 0, None, &genesis).unwrap();
    }
    connect(&whole, 2, 1, Some(1), &delta(&[(b"b", Some(b"1")), (b"c", Some(&big)), (b"d", Some(b""))]))
        .unwrap();
    connect(
        &whole,
        3,
        2,
        Some(2),
        &delta(&[(b"a", None), (b"b", Some(b"2")), (b"bb", Some(b"2")), (b"d", None)]),
    )
    .unwrap();
    put_header(&empty, 2, 1, FarmerPublicKey::new([2; 32]), 7).unwrap();
    (whole, empty)
}

fn parts(store: &Store, height: u32) -> Vec<StatePart> {
    let mut parts = Vec::new();
    let take = |part| {
        parts.push(part);
        Ok::<_, StoreError>(())
    };
    store.snapshot().unwrap().parts_at(Height::new(height), take).unwrap();
    parts
}

/// The hash of the state after a block, as the store has it when that is the tip.
fn hash(store: &Store) -> StateHash {
    store.snapshot().unwrap().state_hash().unwrap()
}

#[test]
fn a_store_begins_with_the_parts_of_a_state_below_the_tip_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, empty) = stores(dir.path());
    let cut = parts(&whole, 1);
    assert_eq!(cut.len(), 2, "the large entry fills a part");
    assert!(cut.iter().all(|part| StatePart::from_bytes(&part.to_bytes()).as_ref() == Ok(part)));
    whole.disconnect_tip(&[]).unwrap();
    assert_eq!(parts(&whole, 1), cut, "as if the block above had never been");

    let other = empty.install(&[id(2)], &StateHash::new([1; 32]), cut.iter().cloned().map(Ok));
    assert!(matches!(other, Err(StoreError::OtherState { got, .. }) if got == hash(&whole)));
    assert_eq!(
        (empty.tip().unwrap().unwrap().id, empty.base().unwrap()),
        (id(1), None),
        "nothing was written"
    );
    empty.install(&[id(2)], &hash(&whole), cut.iter().cloned().map(Ok)).unwrap();
    let base = Tip { height: Height::new(1), id: id(2) };
    assert_eq!((empty.tip().unwrap(), empty.base().unwrap()), (Some(base), Some(base)));
    assert_eq!((hash(&empty), parts(&empty, 1)), (hash(&whole), cut.clone()));
    assert_eq!(
        (empty.undo_from().unwrap(), empty.active_id(Height::new(1)).unwrap()),
        (Height::new(2), Some(id(2)))
    );
    let again = empty.install(&[id(2)], &hash(&whole), cut.into_iter().map(Ok));
    assert!(matches!(again, Err(StoreError::NotEmpty(_))));

    let next = delta(&[(b"a", Some(b"3"))]);
    for store in [&whole, &empty] {
        connect(store, 4, 2, Some(2), &next).unwrap();
    }
    assert_eq!(hash(&empty), hash(&whole));
    empty.disconnect_tip(&[]).unwrap();
    assert!(matches!(empty.disconnect_tip(&[]), Err(StoreError::UndoPruned(_))), "there is no way back");
}

#[test]
fn entries_out_of_order_are_no_part() {
    let entry = |key: &[u8]| PartEntry::Ledger(key.to_vec(), b"value".to_vec());
    let encode = |entries: &[PartEntry]| {
        let mut bytes = Vec::new();
        mass_primitives::encoding::encode_list(entries, &mut bytes);
        bytes
    };
    let ban = PartEntry::Ban(FarmerPublicKey::new([0; 32]), id(0));
    assert!(StatePart::from_bytes(&encode(&[entry(b"a"), entry(b"b"), ban.clone()])).is_ok());
    for wrong in [[entry(b"b"), entry(b"a")], [entry(b"a"), entry(b"a")], [ban, entry(b"a")]] {
        assert!(StatePart::from_bytes(&encode(&wrong)).is_err(), "{wrong:?}");
    }
}
