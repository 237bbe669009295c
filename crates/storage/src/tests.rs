//! Tests of the store: refusals one by one here, random chains in `model`, crashes in `crash`.

use std::fs;

use mass_consensus::ledger::{StateDelta, StateRead as _};
use mass_primitives::{BlockId, ChainId, Encode as _, FarmerPublicKey, Height, Slot, Ticket};
use redb::Database;

use crate::{
    ConnectBlock, IndexEntries, IndexKind, IndexedBlock, NewHeader, PruneStep, Store, StoreError, Tip,
    tables::{META, META_SCHEMA},
};

mod crash;
mod model;
mod part;
mod schema;

pub(crate) const CHAIN: ChainId = ChainId::new([7; 32]);
/// A step of any size.
pub(crate) const ALL: PruneStep = PruneStep { blocks: u32::MAX, bytes: u64::MAX };

fn id(number: u8) -> BlockId {
    BlockId::new([number; 32])
}

fn delta(changes: &[(&[u8], Option<&[u8]>)]) -> StateDelta {
    let mut delta = StateDelta::new();
    for (key, value) in changes {
        match value {
            Some(value) => delta.put(key.to_vec(), value.to_vec()),
            None => delta.delete(key.to_vec()),
        }
    }
    delta
}

fn connect(
    store: &Store,
    number: u8,
    height: u32,
    parent: Option<u8>,
    delta: &StateDelta,
) -> Result<(), StoreError> {
    store.connect(&ConnectBlock {
        id: id(number),
        height: Height::new(height),
        parent: parent.map(id),
        seal: parent.map(|_| (FarmerPublicKey::new([number; 32]), Slot::new(7))),
        ticket: Ticket::ZERO,
        banned: &[],
        header_bytes: &[number],
        body: &[number, number],
        delta,
        indexes: &[],
    })
}

fn put_header(
    store: &Store,
    number: u8,
    height: u32,
    farmer: FarmerPublicKey,
    slot: u64,
) -> Result<(), StoreError> {
    let (height, slot, ticket) = (Height::new(height), Slot::new(slot), Ticket::new([number; 32]));
    store.put_headers(&[NewHeader { id: id(number), height, farmer, slot, ticket, bytes: &[number] }])
}

#[test]
fn a_block_is_read_back_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    assert_eq!(store.tip().unwrap(), None);
    connect(&store, 1, 0, None, &delta(&[(b"a1", Some(b"x")), (b"b", Some(b""))])).unwrap();
    let before = store.snapshot().unwrap();
    connect(&store, 2, 1, Some(1), &delta(&[(b"a1", None), (b"a2", Some(b"y")), (b"c", None)])).unwrap();

    let sealed = store.headers_by_seal(&FarmerPublicKey::new([2; 32]), Slot::new(7)).unwrap();
    assert_eq!(sealed, [id(2)], "the seal is indexed in the same commit");
    assert_eq!(before.get(b"a1").unwrap(), Some(b"x".to_vec()));
    assert_eq!(before.tip().unwrap().id, id(1));
    let scanned: Vec<_> = store.snapshot().unwrap().scan(b"a").unwrap().map(Result::unwrap).collect();
    assert_eq!(scanned, [(b"a2".to_vec(), b"y".to_vec())]);
    assert_eq!(store.active_id(Height::new(1)).unwrap(), Some(id(2)));

    assert_eq!(store.disconnect_tip(&[]).unwrap(), id(2));
    assert_eq!(store.tip().unwrap(), Some(Tip { height: Height::ZERO, id: id(1) }));
    assert_eq!(store.active_id(Height::new(1)).unwrap(), None);
    assert_eq!(store.body(&id(2)).unwrap(), Some(vec![2, 2]));
    assert_eq!(store.header(&id(2)).unwrap().unwrap().bytes, [2]);
    assert_eq!(store.snapshot().unwrap().get(b"a1").unwrap(), Some(b"x".to_vec()));
    assert_eq!(store.snapshot().unwrap().get(b"b").unwrap(), Some(Vec::new()));
}

#[test]
fn a_block_that_does_not_follow_is_refused_and_the_handle_lives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    let none = StateDelta::new();
    assert!(matches!(store.disconnect_tip(&[]), Err(StoreError::NoTip)));
    assert!(matches!(connect(&store, 2, 1, Some(1), &none), Err(StoreError::NotOnTip { .. })));
    assert!(matches!(connect(&store, 1, 1, None, &none), Err(StoreError::WrongHeight { .. })));
    connect(&store, 1, 0, None, &none).unwrap();
    assert!(matches!(connect(&store, 2, 1, None, &none), Err(StoreError::NotOnTip { .. })));
    assert!(matches!(connect(&store, 2, 2, Some(1), &none), Err(StoreError::WrongHeight { .. })));
    let long = delta(&[(&[0; crate::KEY_BYTES_MAX + 1], None)]);
    assert!(matches!(connect(&store, 2, 1, Some(1), &long), Err(StoreError::TooLarge { .. })));
    assert_eq!(store.header(&id(2)).unwrap(), None);
    connect(&store, 2, 1, Some(1), &none).unwrap();
}

#[test]
fn a_pruned_undo_cannot_be_disconnected() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    connect(&store, 1, 0, None, &StateDelta::new()).unwrap();
    connect(&store, 2, 1, Some(1), &StateDelta::new()).unwrap();
    store.prune(Height::new(1), None, ALL).unwrap();
    store.disconnect_tip(&[]).unwrap();
    assert!(matches!(store.disconnect_tip(&[]), Err(StoreError::UndoPruned(Height::ZERO))));
    assert_eq!(store.tip().unwrap().unwrap().id, id(1));
}

#[test]
fn double_seals_are_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (FarmerPublicKey::new([1; 32]), FarmerPublicKey::new([2; 32]));
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    connect(&store, 1, 0, None, &StateDelta::new()).unwrap();
    for (number, height, farmer, slot) in [(9, 2, one, 5), (1, 0, one, 5), (3, 1, one, 6), (4, 1, two, 5)] {
        put_header(&store, number, height, farmer, slot).unwrap();
    }
    drop(store);
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    assert_eq!(store.headers_by_seal(&one, Slot::new(5)).unwrap(), [id(1), id(9)]);
    assert_eq!(store.headers_by_seal(&two, Slot::new(6)).unwrap(), []);
    let order: Vec<_> = store.headers(Height::new(1)).unwrap().map(|header| header.unwrap().id).collect();
    assert_eq!(order, [id(3), id(4), id(9)]);
    let elsewhere = put_header(&store, 9, 3, one, 5);
    assert!(matches!(elsewhere, Err(StoreError::HeaderHeight { .. })));
}

/// What is read at a start: the ticket of each header, whether it was connected, bans and evidence.
#[test]
fn headers_are_read_with_what_was_found_out_and_forgotten_unless_they_are_active() {
    let dir = tempfile::tempdir().unwrap();
    let one = FarmerPublicKey::new([1; 32]);
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    connect(&store, 1, 0, None, &StateDelta::new()).unwrap();
    for (number, height) in [(2, 1), (3, 1), (4, 2)] {
        put_header(&store, number, height, FarmerPublicKey::new([number; 32]), 7).unwrap();
    }
    connect(&store, 2, 1, Some(1), &StateDelta::new()).unwrap();
    let read = |store: &Store| -> Vec<(BlockId, bool)> {
        let headers = store.headers(Height::new(1)).unwrap().map(Result::unwrap);
        headers.map(|header| (header.id, header.is_connected)).collect()
    };
    assert_eq!(read(&store), [(id(2), true), (id(3), false), (id(4), false)]);
    put_header(&store, 2, 1, FarmerPublicKey::new([2; 32]), 7).unwrap();
    assert_eq!(read(&store)[0], (id(2), true), "what comes again changes nothing");
    let tickets = store.headers(Height::new(2)).unwrap().map(|header| header.unwrap().ticket);
    assert_eq!(tickets.collect::<Vec<_>>(), [Ticket::new([4; 32])]);

    let gone = [(2, 1), (3, 1), (4, 2)].map(|(number, height)| {
        (id(number), Height::new(height), FarmerPublicKey::new([number; 32]), Slot::new(7))
    });
    store.forget_headers(&gone).unwrap();
    assert_eq!(read(&store), [(id(2), true)], "the active chain stays");
    assert_eq!(store.header(&id(3)).unwrap(), None);
    assert_eq!(store.headers_by_seal(&FarmerPublicKey::new([4; 32]), Slot::new(7)).unwrap(), []);

    store.put_evidence(&one, Some(b"old")).unwrap();
    store.put_evidence(&one, Some(b"new")).unwrap();
    assert_eq!(store.evidence().unwrap(), [b"new".to_vec()]);
    store.put_evidence(&one, None).unwrap();
    assert!(store.evidence().unwrap().is_empty());
}

/// A ban is of a block: a reorg leaves it in place, and it goes with the header.
#[test]
fn bans_are_kept_by_the_block_that_brings_them() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (FarmerPublicKey::new([1; 32]), FarmerPublicKey::new([0xff; 32]));
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    connect(&store, 1, 0, None, &StateDelta::new()).unwrap();
    let seal = (FarmerPublicKey::new([2; 32]), Slot::new(7));
    let block = ConnectBlock {
        id: id(2),
        height: Height::new(1),
        parent: Some(id(1)),
        seal: Some(seal),
        ticket: Ticket::ZERO,
        banned: &[one, two],
        header_bytes: &[2],
        body: &[2],
        delta: &StateDelta::new(),
        indexes: &[],
    };
    store.connect(&block).unwrap();
    store.disconnect_tip(&[]).unwrap();
    assert_eq!(store.bans().unwrap(), [(id(2), one), (id(2), two)]);
    store.forget_headers(&[(id(2), Height::new(1), seal.0, seal.1)]).unwrap();
    assert_eq!((store.bans().unwrap(), store.body(&id(2)).unwrap()), (vec![], None));
}

#[test]
fn another_chain_schema_or_handle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path, &CHAIN).unwrap();
    assert!(matches!(Store::open(&path, &CHAIN), Err(StoreError::Locked)));
    drop(store);
    assert!(matches!(Store::open(&path, &ChainId::ZERO), Err(StoreError::OtherChain { .. })));

    let db = Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(META).unwrap().insert(META_SCHEMA, 99u32.to_bytes().as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    assert!(matches!(Store::open(&path, &CHAIN), Err(StoreError::NewerSchema { got: 99, .. })));
}

#[test]
fn a_truncated_or_foreign_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path, &CHAIN).unwrap();
    connect(&store, 1, 0, None, &delta(&[(b"a", Some(&[5; 100_000]))])).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for part in [1, 100, 511, 4095, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..part]).unwrap();
        assert!(Store::open(&path, &CHAIN).is_err(), "{part} of {} bytes", whole.len());
    }
    fs::write(&path, b"no store at all".repeat(1000)).unwrap();
    assert!(Store::open(&path, &CHAIN).is_err());
}

#[test]
fn entries_of_the_wrong_index_or_block_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    let none = StateDelta::new();
    connect(&store, 1, 0, None, &none).unwrap();
    store.set_indexes(&[IndexKind { name: "a", version: 1 }]).unwrap();
    let entry = |key: &[u8]| vec![(key.to_vec(), b"value".to_vec())];
    let block = |number, height, key: &[u8]| IndexedBlock {
        height: Height::new(height),
        id: id(number),
        entries: entry(key),
    };
    assert!(matches!(store.extend_index("b", &[]), Err(StoreError::NoIndex(_))));
    assert!(matches!(store.extend_index("a", &[block(1, 1, b"x")]), Err(StoreError::WrongHeight { .. })));
    assert!(matches!(store.extend_index("a", &[block(2, 0, b"x")]), Err(StoreError::NotActive { .. })));
    // Behind, the index takes nothing from a new block.
    connect(&store, 2, 1, Some(1), &none).unwrap();
    let twice = [block(1, 0, b"x"), block(2, 1, b"x")];
    assert!(matches!(store.extend_index("a", &twice), Err(StoreError::IndexKeyTaken(_))));
    store.extend_index("a", &[block(1, 0, b"x"), block(2, 1, b"y")]).unwrap();
    assert!(matches!(store.extend_index("a", &[block(3, 2, b"z")]), Err(StoreError::NotActive { .. })));

    assert!(matches!(connect(&store, 3, 2, Some(2), &none), Err(StoreError::OtherIndexes { .. })));
    assert!(matches!(store.disconnect_tip(&[]), Err(StoreError::OtherIndexes { .. })));
    let index = store.snapshot().unwrap().index("a").unwrap().unwrap();
    store.disconnect_tip(&[IndexEntries { name: "a", entries: entry(b"y") }]).unwrap();
    let keys =
        |index: &crate::IndexView| index.scan(b"").unwrap().map(|entry| entry.unwrap().0).collect::<Vec<_>>();
    assert_eq!(keys(&index), [b"x", b"y"], "a snapshot stays");
    let index = store.snapshot().unwrap().index("a").unwrap().unwrap();
    assert_eq!((keys(&index), index.next()), (vec![b"x".to_vec()], Height::new(1)));
}

#[test]
fn what_a_block_replaced_is_read_until_it_is_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    connect(&store, 1, 0, None, &delta(&[(b"a", Some(b"x")), (b"b", Some(b"y"))])).unwrap();
    connect(&store, 2, 1, Some(1), &delta(&[(b"a", None), (b"c", Some(b"z"))])).unwrap();
    let before = store.snapshot().unwrap().before(Height::new(1)).unwrap().unwrap();
    let read = |key: &[u8]| before.get(key).unwrap();
    assert_eq!([read(b"a"), read(b"b"), read(b"c")], [Some(b"x".to_vec()), None, None]);
    connect(&store, 3, 2, Some(2), &StateDelta::new()).unwrap();
    store.prune(Height::new(2), None, ALL).unwrap();
    assert!(store.snapshot().unwrap().before(Height::new(1)).unwrap().is_none());
}

#[test]
fn a_scan_ends_with_its_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
    let keys: [&[u8]; 6] = [&[1], &[1, 0xff], &[1, 0xff, 0xff], &[2], &[0xff], &[0xff, 0xff, 1]];
    connect(&store, 1, 0, None, &delta(&keys.map(|key| (key, Some(key))))).unwrap();
    let count = |prefix: &[u8]| store.snapshot().unwrap().scan(prefix).unwrap().count();
    let prefixes: [&[u8]; 6] = [&[], &[1], &[1, 0xff], &[0xff], &[0xff, 0xff], &[3]];
    assert_eq!(prefixes.map(count), [6, 3, 2, 2, 1, 0]);
}
