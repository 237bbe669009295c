//! Pruning a store of blocks of known sizes; random orders and crashes are in `crates/storage/src/tests/model.rs` and `crash.rs`.

use mass_consensus::ledger::StateDelta;
use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot, Ticket};

use crate::{
    ConnectBlock, NewHeader, PruneStep, Store, StoreError,
    tests::{ALL, CHAIN},
};

const BODY_BYTES: usize = 10_000;

fn id(height: u32, branch: u8) -> BlockId {
    let mut id = [branch; BlockId::LEN];
    id[..4].copy_from_slice(&height.to_le_bytes());
    BlockId::new(id)
}

fn connect(store: &Store, height: u32, branch: u8, parent: Option<BlockId>) {
    let block = ConnectBlock {
        id: id(height, branch),
        height: Height::new(height),
        parent,
        seal: None,
        ticket: Ticket::ZERO,
        banned: &[],
        header_bytes: &[branch],
        body: &vec![branch; BODY_BYTES],
        delta: &StateDelta::new(),
        indexes: &[],
    };
    store.connect(&block).unwrap();
}

/// Blocks 0 to `tip`, and at height 3 one of a branch that was left, beside a header whose body never came.
fn grown(tip: u32) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    for height in 0..=tip {
        let parent = height.checked_sub(1).map(|below| id(below, 0));
        if height == 3 {
            connect(&store, 3, 1, parent);
            store.disconnect_tip(&[]).unwrap();
        }
        connect(&store, height, 0, parent);
    }
    let (farmer, slot, ticket) = (FarmerPublicKey::ZERO, Slot::ZERO, Ticket::ZERO);
    let (id, height) = (id(3, 2), Height::new(3));
    store.put_headers(&[NewHeader { id, height, farmer, slot, ticket, bytes: &[2] }]).unwrap();
    (dir, store)
}

/// The heights of the active blocks that have a body.
fn bodies(store: &Store, tip: u32) -> Vec<u32> {
    (0..=tip).filter(|height| store.body(&id(*height, 0)).unwrap().is_some()).collect()
}

#[test]
fn bodies_and_undo_below_a_height_go_and_nothing_else() {
    let (_dir, store) = grown(9);
    assert_eq!(store.pruned_below().unwrap(), None);
    assert!(store.body(&id(3, 1)).unwrap().is_some());
    let one = PruneStep { blocks: 2, bytes: u64::MAX };
    assert_eq!(store.prune(Height::new(5), None, one).unwrap(), Height::new(2));
    assert_eq!(store.prune(Height::new(5), None, one).unwrap(), Height::new(4));
    assert_eq!(store.prune(Height::new(5), None, one).unwrap(), Height::new(5));
    assert_eq!(store.prune(Height::new(5), None, one).unwrap(), Height::new(5));
    assert_eq!(bodies(&store, 9), [0, 5, 6, 7, 8, 9]);
    assert_eq!(store.body(&id(3, 1)).unwrap(), None, "of other branches too");
    assert!(store.header(&id(3, 1)).unwrap().is_some() && store.active_id(Height::new(3)).unwrap().is_some());
    assert_eq!((store.pruned_below().unwrap(), store.undo_from().unwrap().get()), (Some(Height::new(5)), 5));
    (5..=9).for_each(|_| assert!(store.disconnect_tip(&[]).is_ok()));
    assert!(matches!(store.disconnect_tip(&[]), Err(StoreError::UndoPruned(height)) if height.get() == 4));
}

#[test]
fn the_tip_stays_and_a_step_has_its_bounds() {
    let (_dir, store) = grown(9);
    let large = PruneStep { blocks: u32::MAX, bytes: 2 * BODY_BYTES as u64 };
    assert_eq!(
        store.prune(Height::new(99), None, large).unwrap(),
        Height::new(3),
        "undo of 0, and two blocks"
    );
    assert_eq!(store.prune(Height::new(99), None, ALL).unwrap(), Height::new(9));
    assert_eq!(bodies(&store, 9), [0, 9]);
    assert_eq!(store.prune(Height::new(2), None, ALL).unwrap(), Height::new(9), "what is gone is gone");
}

#[test]
fn as_much_is_kept_as_is_wanted_and_what_is_kept_is_counted() {
    let (_dir, store) = grown(9);
    let undo = store.snapshot().unwrap().undo(Height::new(9)).unwrap().unwrap();
    let each = BODY_BYTES as u64 + mass_primitives::Encode::to_bytes(&undo).len() as u64;
    let few = PruneStep { blocks: 2, bytes: u64::MAX };
    // Four blocks and a half: it takes the fifth to know that it is too much.
    let keep = each * 9 / 2;
    let counted = || store.count_kept(keep, few).map(|kept| (kept.from.get(), kept.bytes / each)).unwrap();
    assert_eq!([counted(), counted(), counted(), counted()], [(8, 2), (6, 4), (5, 5), (5, 5)]);
    assert_eq!(store.prune(Height::new(9), Some(keep), ALL).unwrap(), Height::new(6));
    assert_eq!(counted(), (6, 4));
    assert_eq!(bodies(&store, 9), [0, 6, 7, 8, 9]);
    // Two blocks more, and one less.
    connect(&store, 10, 0, Some(id(9, 0)));
    connect(&store, 11, 0, Some(id(10, 0)));
    assert_eq!(counted(), (6, 6));
    store.disconnect_tip(&[]).unwrap();
    assert_eq!(counted(), (6, 5));
    assert_eq!(store.prune(Height::new(9), Some(keep), ALL).unwrap(), Height::new(7));
    assert_eq!(
        store.prune(Height::new(9), Some(0), ALL).unwrap(),
        Height::new(9),
        "the height bounds it too"
    );
    assert_eq!(counted(), (9, 2));
}
