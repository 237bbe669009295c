//! Damage of every part of a database is found, named, and mended by what the check says: an index is dropped and built
//! again, seals are listed again, and for all else the chain is put together anew from what is sound, beside the damaged
//! file.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod payer;

use std::{fs, path::Path};

use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    check::{Checked, check_file},
    rebuild::{mend, rebuild},
    storage::{
        Store, StoreError,
        check::{Mend, Part},
    },
};
use mass_primitives::Height;
use payer::{Chain, NOW, Payer, coin_of, mine, open, send, tip};
use redb::{Database, ReadableTable as _, TableDefinition};

type Id = &'static [u8; 32];
const BODIES: TableDefinition<'_, Id, &[u8]> = TableDefinition::new("bodies");
const HEADERS: TableDefinition<'_, Id, (u32, &[u8])> = TableDefinition::new("headers");
const ACTIVE: TableDefinition<'_, u32, Id> = TableDefinition::new("active");
const UNDO: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("undo");
const SEALS: TableDefinition<'_, (Id, u64, Id), ()> = TableDefinition::new("seals");
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
const INDEX: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index/tx");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const BLOCKS: u32 = 9;

fn check(farm: &Farm, path: &Path) -> Checked {
    check_file::<UtxoLedger>(path, &farm.spec, &mut |_, _, _| {}).unwrap()
}

/// A chain with payments and a branch that lost.
fn made(farm: &Farm, payer: &Payer, path: &Path) {
    let mut chain = open(farm, path);
    chain.keep_indexes(None).unwrap();
    while chain.build_indexes().unwrap().is_some() {}
    let mut coin = (Payer::coin(&chain), 1_000_000);
    for _ in 0..BLOCKS {
        let payment = payer.pay(coin.0, coin.1, 1_000);
        send(&mut chain, &payment);
        coin = (coin_of(&payment), coin.1 - 1_000);
        mine(farm, &mut chain, 1);
    }
}

/// Changes something in a file behind the store's back.
fn damage(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = Database::open(path).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

fn active(txn: &redb::WriteTransaction, height: u32) -> [u8; 32] {
    *txn.open_table(ACTIVE).unwrap().get(height).unwrap().unwrap().value()
}

/// A byte of the last value of a table with keys of bytes.
fn flip_last(txn: &redb::WriteTransaction, table: TableDefinition<'_, &'static [u8], &'static [u8]>) {
    let mut table = txn.open_table(table).unwrap();
    let (key, mut value) = {
        let (key, value) = table.last().unwrap().unwrap();
        (key.value().to_vec(), value.value().to_vec())
    };
    match value.last_mut() {
        Some(last) => *last ^= 1,
        None => value.push(1),
    }
    table.insert(key.as_slice(), value.as_slice()).unwrap();
}

type Damage = (&'static str, Part, fn(&redb::WriteTransaction));

const DAMAGES: &[Damage] = &[
    ("a body that is gone", Part::Bodies, |txn| {
        let id = active(txn, 5);
        txn.open_table(BODIES).unwrap().remove(&id).unwrap();
    }),
    ("a body of another block", Part::Bodies, |txn| {
        let (one, other) = (active(txn, 5), active(txn, 6));
        let mut bodies = txn.open_table(BODIES).unwrap();
        let body = bodies.get(&other).unwrap().unwrap().value().to_vec();
        bodies.insert(&one, body.as_slice()).unwrap();
    }),
    ("a header that is gone", Part::Headers, |txn| {
        let id = active(txn, 4);
        txn.open_table(HEADERS).unwrap().remove(&id).unwrap();
    }),
    ("a header that rotted", Part::Headers, |txn| {
        let id = active(txn, 4);
        let mut headers = txn.open_table(HEADERS).unwrap();
        let mut bytes = headers.get(&id).unwrap().unwrap().value().1.to_vec();
        bytes[50] ^= 1;
        headers.insert(&id, (4, bytes.as_slice())).unwrap();
    }),
    ("a seal that is not listed", Part::Seals, |txn| {
        txn.open_table(SEALS).unwrap().pop_first().unwrap();
    }),
    ("a seal that nobody made", Part::Seals, |txn| {
        txn.open_table(SEALS).unwrap().insert((&[1; 32], 1, &[2; 32]), ()).unwrap();
    }),
    ("a block missing in the active chain", Part::Active, |txn| {
        txn.open_table(ACTIVE).unwrap().remove(3).unwrap();
    }),
    ("a tip that is none", Part::Active, |txn| {
        txn.open_table(ACTIVE).unwrap().pop_last().unwrap();
    }),
    ("an undo that is gone", Part::Undo, |txn| {
        txn.open_table(UNDO).unwrap().remove(BLOCKS - 1).unwrap();
    }),
    ("an undo of another block", Part::Undo, |txn| {
        let mut undo = txn.open_table(UNDO).unwrap();
        let bytes = undo.get(2).unwrap().unwrap().value().to_vec();
        undo.insert(3, bytes.as_slice()).unwrap();
    }),
    ("a coin that changed", Part::State, |txn| flip_last(txn, STATE)),
    ("a coin that is gone", Part::State, |txn| drop(txn.open_table(STATE).unwrap().pop_first().unwrap())),
    ("an entry of an index that changed", Part::Index(String::new()), |txn| flip_last(txn, INDEX)),
    ("an index without its entries", Part::Index(String::new()), |txn| {
        txn.delete_table(INDEX).unwrap();
    }),
];

/// The same part; of indexes, whichever.
fn is_of(found: &Part, expected: &Part) -> bool {
    found == expected || matches!((found, expected), (Part::Index(_), Part::Index(_)))
}

#[test]
fn damage_of_every_part_is_found_named_and_mended() {
    let payer = Payer::new(&Farm::easy(1, [7; 32]).spec);
    let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
    let good = dir.path().join("good.redb");
    made(&farm, &payer, &good);
    let sound = check(&farm, &good);
    assert!(sound.is_good(), "{:#?}", sound.report.faults);
    assert!(sound.audit.as_ref().is_some_and(|audit| audit.contains("issued")), "{:?}", sound.audit);

    for (number, (name, part, change)) in DAMAGES.iter().enumerate() {
        let path = dir.path().join(format!("{number}.redb"));
        fs::copy(&good, &path).unwrap();
        damage(&path, change);
        let found = check(&farm, &path);
        let named = found.report.faults.iter().any(|fault| is_of(&fault.part, part));
        assert!(named, "{name}: {:#?}", found.report.faults);
        let store = Store::open(&path, farm.spec.id()).unwrap();
        let in_place = mend(&store, &found.report).unwrap();
        drop(store);
        assert_eq!(in_place, part.mend() != Mend::Rebuild, "{name}");
        if !in_place {
            let rebuilt = rebuild::<UtxoLedger>(&path, &farm.spec, NOW, &mut |_, _, _| {}).unwrap();
            assert!(rebuilt.kept.exists(), "{name}");
            let kept = rebuilt.kept.to_str().unwrap();
            assert!(kept.ends_with(".redb.damaged-1"), "{kept}");
            // As high as what is sound goes.
            let expected = match name {
                _ if name.contains("a body") => 4,
                _ if name.contains("a header") => 3,
                _ => BLOCKS,
            };
            assert_eq!(rebuilt.tip.unwrap().height, Height::new(expected), "{name}");
        }
        let after = check(&farm, &path);
        assert!(after.is_good(), "{name}: {:#?}", after.report.faults);
        // The node builds indexes again, and hears of the rest from its peers.
        let mut chain = open(&farm, &path);
        chain.keep_indexes(None).unwrap();
        while chain.build_indexes().unwrap().is_some() {}
        let other = open(&farm, &dir.path().join("good.redb"));
        tell_all(&other, &mut chain);
        assert_eq!(tip(&chain), tip(&other), "{name}");
        drop((chain, other));
        let last = check(&farm, &path);
        assert!(last.is_good(), "{name}: {:#?}", last.report.faults);
        assert_eq!(last.report.state_hash, sound.report.state_hash, "{name}");
        fs::remove_file(&path).unwrap();
    }
}

fn tell_all(from: &Chain, to: &mut Chain) {
    for height in 1..=BLOCKS {
        let id = from.store().active_id(Height::new(height)).unwrap().unwrap();
        to.take_block(&from.block_bytes(&id).unwrap().unwrap(), NOW).unwrap();
    }
}

/// A page that rotted is found by its checksum; whatever it was, the chain is put together from the rest.
#[test]
fn a_rotten_page_is_found_and_the_rest_is_saved() {
    let payer = Payer::new(&Farm::easy(1, [7; 32]).spec);
    let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
    let good = dir.path().join("good.redb");
    made(&farm, &payer, &good);
    let bytes = fs::read(&good).unwrap();
    let (mut found, mut heights) = (0, Vec::new());
    for page in (0..bytes.len() / 4_096).step_by(5) {
        let path = dir.path().join(format!("page-{page}.redb"));
        let mut rotten = bytes.clone();
        rotten[page * 4_096 + 100..page * 4_096 + 120].fill(0xa5);
        fs::write(&path, rotten).unwrap();
        let checked = check(&farm, &path);
        if checked.is_good() {
            // The page was free.
            continue;
        }
        found += 1;
        let rebuilt = rebuild::<UtxoLedger>(&path, &farm.spec, NOW, &mut |_, _, _| {}).unwrap();
        assert!(check(&farm, &path).is_good(), "page {page}");
        heights.push(rebuilt.tip.unwrap().height.get());
        let mut chain = open(&farm, &path);
        tell_all(&open(&farm, &good), &mut chain);
        assert_eq!(chain.height(), Height::new(BLOCKS), "page {page}");
    }
    assert!(found > 2, "{found}");
    assert!(heights.iter().any(|height| *height > 0), "{heights:?}");
}

#[test]
fn who_is_not_damaged_is_left_alone() {
    let (farm, dir) = (Farm::easy(8, [7; 32]), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain.redb");
    let chain = open(&farm, &path);
    let locked = rebuild::<UtxoLedger>(&path, &farm.spec, NOW, &mut |_, _, _| {}).unwrap_err();
    assert!(locked.to_string().contains("in use by another process"), "{locked}");
    drop(chain);
    damage(&path, |txn| {
        txn.open_table(META).unwrap().insert("schema", 99u32.to_le_bytes().as_slice()).unwrap();
    });
    let newer = check_file::<UtxoLedger>(&path, &farm.spec, &mut |_, _, _| {}).unwrap_err();
    assert!(newer.to_string().contains("written by a newer version"), "{newer}");
    assert!(rebuild::<UtxoLedger>(&path, &farm.spec, NOW, &mut |_, _, _| {}).is_err());
    let opened = Store::open(&path, farm.spec.id());
    assert!(matches!(opened, Err(StoreError::NewerSchema { got: 99, .. })));
}
