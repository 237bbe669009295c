//! Indexes of real chains: kept block by block, built later, or taken through a reorg, they hold the same.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod payer;

use bitcoin::OutPoint;
use farm::Farm;
use mass_ledger_utxo::body::Body;
use mass_node::{
    ChainError,
    utxo::index::{self, Place, Role, Spend},
};
use mass_primitives::{Amount, Height};
use mass_storage::{KeyValue, Snapshot};
use payer::{Chain, NOW, Payer, coin_of, mine, open, send, tip};

const ALL: [&str; 3] = [index::ADDRESS, index::SPEND, index::TX];

fn keep(chain: &mut Chain, names: &[&str]) {
    let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
    chain.keep_indexes(Some(&names)).unwrap();
    while chain.build_indexes().unwrap().is_some() {}
}

/// All that an index holds.
fn content(chain: &Chain, name: &str) -> Vec<KeyValue> {
    let index = chain.store().snapshot().unwrap().index(name).unwrap().unwrap();
    let tip = chain.store().tip().unwrap().unwrap();
    assert_eq!(Some(index.next()), tip.height.next());
    index.scan(b"").unwrap().map(Result::unwrap).collect()
}

/// The coins of the payer by the index: what was funded and not spent.
fn unspent(snapshot: &Snapshot) -> Vec<(OutPoint, Amount)> {
    let script = Payer::script(&bitcoin::secp256k1::SecretKey::from_slice(&[3; 32]).unwrap());
    let mut coins = Vec::new();
    for event in index::script_events(snapshot, &index::script_hash(&script)).unwrap() {
        let event = event.unwrap();
        match event.role {
            Role::Funds(vout) => coins.push((OutPoint { txid: event.txid, vout }, event.amount)),
            Role::Spends(_, outpoint) => coins.retain(|(coin, _)| *coin != outpoint),
        }
    }
    coins
}

/// Whether a later build gives what was kept from the start.
fn check_against_a_late_build(chain: &mut Chain) {
    let kept = ALL.map(|name| content(chain, name));
    assert!(kept.iter().all(|entries| !entries.is_empty()));
    keep(chain, &[]);
    keep(chain, &ALL);
    assert_eq!(ALL.map(|name| content(chain, name)), kept);
}

#[test]
fn payments_are_found_through_blocks_reorgs_and_restarts() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, other) = (payer.farm(7), payer.farm(8));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.redb");
    let mut one = open(&farm, &path);
    let mut two = open(&farm, &dir.path().join("two.redb"));
    keep(&mut one, &ALL);
    let genesis = Payer::coin(&one);
    let first = payer.pay(genesis, 1_000_000, 1_000);
    let second = payer.pay(coin_of(&first), 999_000, 1_000);
    let third = payer.pay(coin_of(&second), 998_000, 1_000);
    // Two in one block, of which one spends what the other makes, and one in the next.
    send(&mut one, &first);
    send(&mut one, &second);
    mine(&farm, &mut one, 1);
    send(&mut one, &third);
    mine(&farm, &mut one, 1);

    let snapshot = one.store().snapshot().unwrap();
    let place = |height, position| Place { height: Height::new(height), position };
    for (tx, expected) in [(&first, place(1, 1)), (&second, place(1, 2)), (&third, place(2, 1))] {
        assert_eq!(index::find_transaction(&snapshot, &tx.compute_txid()).unwrap(), Some(expected));
    }
    assert_eq!(index::find_transaction(&snapshot, &genesis.txid).unwrap(), Some(place(0, 1)));
    let spend = Spend { txid: second.compute_txid(), input: 0, place: place(1, 2) };
    assert_eq!(index::find_spend(&snapshot, &coin_of(&first)).unwrap(), Some(spend));
    assert_eq!(index::find_spend(&snapshot, &coin_of(&third)).unwrap(), None);
    assert_eq!(unspent(&snapshot), [(coin_of(&third), Amount::new(997_000))]);
    drop(snapshot);
    check_against_a_late_build(&mut one);

    // The other branch has another payment of the same coin.
    let rival = payer.pay(genesis, 1_000_000, 2_000);
    send(&mut two, &rival);
    for _ in 0..3 {
        one.take_block(&mine(&other, &mut two, 2), NOW).unwrap();
    }
    assert_eq!((tip(&one), one.engine().reorgs()), (tip(&two), 1));
    let snapshot = one.store().snapshot().unwrap();
    assert_eq!(index::find_transaction(&snapshot, &first.compute_txid()).unwrap(), None);
    assert_eq!(unspent(&snapshot), [(coin_of(&rival), Amount::new(998_000))]);
    drop(snapshot);
    check_against_a_late_build(&mut one);

    let before = ALL.map(|name| content(&one, name));
    drop(one);
    let mut one = open(&farm, &path);
    assert_eq!(ALL.map(|name| content(&one, name)), before);
    mine(&farm, &mut one, 1);
    keep(&mut two, &ALL);
    two.take_block(&one.block_bytes(&tip(&one)).unwrap().unwrap(), NOW).unwrap();
    assert_eq!(ALL.map(|name| content(&two, name)), ALL.map(|name| content(&one, name)));
    // Each entry of a transaction leads to it.
    let body = two.body(&two.store().active_id(Height::new(1)).unwrap().unwrap()).unwrap().unwrap();
    assert_eq!(Body::decode(&body, 4_000_000).unwrap().payments(), [rival]);
}

#[test]
fn an_index_that_is_not_kept_or_not_known_is_named() {
    let (farm, dir) = (Farm::easy(8, [7; 32]), tempfile::tempdir().unwrap());
    let mut chain = open(&farm, &dir.path().join("chain.redb"));
    let error = chain.keep_indexes(Some(&["txs".to_owned()])).unwrap_err();
    assert!(matches!(&error, ChainError::UnknownIndex { got, .. } if got == "txs"), "{error}");
    assert!(error.to_string().contains("\"tx\""), "{error}");
    chain.keep_indexes(None).unwrap();
    let snapshot = chain.store().snapshot().unwrap();
    let txid = Payer::new(&farm.spec).pay(OutPoint::null(), 2, 1).compute_txid();
    assert_eq!(index::find_transaction(&snapshot, &txid).unwrap(), None);
    let error = index::find_spend(&snapshot, &OutPoint { txid, vout: 0 }).unwrap_err();
    assert!(error.to_string().contains("--index spend"), "{error}");
}
