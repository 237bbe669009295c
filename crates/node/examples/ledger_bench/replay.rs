//! A chain of 100,000 payments, replayed from its bodies through ledger and store: speed, memory, bytes.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufReader, BufWriter, Write as _},
    path::Path,
    time::Instant,
};

use bitcoin::{OutPoint, TxOut};
use mass_consensus::ledger::{Carried, Ledger as _, StateDelta};
use mass_ledger_utxo::{UtxoLedger, body::Body};
use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot, Ticket};
use mass_storage::{ConnectBlock, Store};

use crate::{
    peak_memory,
    purse::{CHAIN, Kind, Purse, context, ledger, output, unsigned},
};

const BLOCKS: u32 = 100;
const PAYMENTS: usize = 1_000;
/// Coins of the genesis block.
const COINS: usize = 1_500;
const AMOUNT: u64 = 1_000_000_000;
const FEE: u64 = 300;

fn genesis_outputs(purse: &Purse) -> Vec<TxOut> {
    (0..COINS).map(|number| output(AMOUNT, purse.script(kind(number), number))).collect()
}

/// Half of the coins are of either kind.
const fn kind(number: usize) -> Kind {
    if number.is_multiple_of(2) { Kind::KeyHash } else { Kind::Taproot }
}

fn id(height: u32) -> BlockId {
    let mut id = [5; 32];
    id[..4].copy_from_slice(&height.to_be_bytes());
    BlockId::new(id)
}

fn connect(store: &Store, height: u32, body: &[u8], delta: &StateDelta) {
    let parent = height.checked_sub(1).map(id);
    let seal = parent.map(|_| (FarmerPublicKey::new([9; 32]), Slot::new(u64::from(height))));
    let header_bytes = [0; 700];
    let block = ConnectBlock {
        id: id(height),
        height: Height::new(height),
        parent,
        seal,
        header_bytes: &header_bytes,
        body,
        delta,
        ticket: Ticket::ZERO,
        banned: &[],
        indexes: &[],
    };
    store.connect(&block).expect("it can be written");
}

/// Makes the chain: two coins in three payments, one in the others, two new ones each.
pub fn make(folder: &Path) {
    let purse = Purse::new();
    let ledger = ledger(&genesis_outputs(&purse));
    let store = Store::open(folder.join("make"), &CHAIN).expect("a new store");
    let (body, delta) = ledger.genesis();
    connect(&store, 0, &body, &delta);
    let faucet = Body::decode(&body, 4_000_000).expect("a good body").payments()[0].compute_txid();
    let mut coins: VecDeque<_> = genesis_outputs(&purse)
        .into_iter()
        .enumerate()
        .map(|(number, output)| (OutPoint { txid: faucet, vout: number as u32 }, output, number))
        .collect();
    let mut file = BufWriter::new(File::create(folder.join("bodies")).expect("a new file"));
    let mut number = COINS;
    for height in 1..=BLOCKS {
        let mut txs = Vec::new();
        for payment in 0..PAYMENTS {
            let inputs = 1 + usize::from(payment % 3 == 0);
            let spent: Vec<_> = (0..inputs).map(|_| coins.pop_front().expect("enough coins")).collect();
            let total: u64 = spent.iter().map(|(_, output, _)| output.value.to_sat()).sum();
            let outputs: Vec<_> = (0..2)
                .map(|step| output((total - FEE) / 2, purse.script(kind(number + step), number + step)))
                .collect();
            let outpoints: Vec<_> = spent.iter().map(|(outpoint, ..)| *outpoint).collect();
            let spent: Vec<_> = spent.into_iter().map(|(_, output, number)| (output, number)).collect();
            let tx = purse.sign(unsigned(&outpoints, outputs.clone()), &spent);
            let txid = tx.compute_txid();
            for (vout, output) in (0u32..).zip(outputs) {
                coins.push_back((OutPoint { txid, vout }, output, number));
                number += 1;
            }
            txs.push(tx);
        }
        let state = store.snapshot().expect("it can be read");
        let payout = purse.script(Kind::Taproot, 0);
        let body = ledger
            .build_body(&state, &context(height), &payout, Carried::default(), &txs)
            .expect("a good body");
        let delta = ledger.apply(&state, &context(height), &body).expect("a good block");
        connect(&store, height, &body, &delta);
        file.write_all(&(body.len() as u64).to_le_bytes()).expect("it can be written");
        file.write_all(&body).expect("it can be written");
    }
    file.flush().expect("it can be written");
}

fn read_body(file: &mut impl std::io::Read) -> Vec<u8> {
    let mut length = [0; 8];
    file.read_exact(&mut length).expect("a length");
    let mut body = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut body).expect("a body");
    body
}

/// Replays the chain that [`make`] left behind.
pub fn run(folder: &Path) {
    let purse = Purse::new();
    let ledger: UtxoLedger = ledger(&genesis_outputs(&purse));
    let path = folder.join("replay");
    let store = Store::open(&path, &CHAIN).expect("a new store");
    let (body, delta) = ledger.genesis();
    connect(&store, 0, &body, &delta);
    let mut file = BufReader::new(File::open(folder.join("bodies")).expect("the chain was made"));
    let start = Instant::now();
    for height in 1..=BLOCKS {
        let body = read_body(&mut file);
        let delta = {
            let state = store.snapshot().expect("it can be read");
            ledger.apply(&state, &context(height), &body).expect("a good block")
        };
        connect(&store, height, &body, &delta);
    }
    let seconds = start.elapsed().as_secs_f64();
    let memory = peak_memory();
    let state = store.snapshot().expect("it can be read");
    let entry = |entry: Result<(Vec<u8>, Vec<u8>), _>| entry.expect("it can be read");
    let coins: Vec<_> = state.scan(b"c").expect("it can be read").map(entry).collect();
    let coin_bytes: usize = coins.iter().map(|(key, value)| key.len() + value.len()).sum();
    let alone = state_alone(folder, &coins);
    drop((state, store));
    let bodies = bytes_of(&folder.join("bodies"));
    let payments = BLOCKS as usize * PAYMENTS;
    let each = |bytes: f64| bytes / coins.len() as f64;
    println!(
        "\nA chain of {payments} payments in {BLOCKS} blocks, replayed; one synced commit to a block:\n"
    );
    println!("| | |\n|---|---:|");
    println!("| payments a second | {:.0} |", payments as f64 / seconds);
    println!("| peak memory | {:.0} MB |", memory as f64 / 1e6);
    println!("| coins at the end | {} |", coins.len());
    println!("| bytes of a coin, key and value | {:.0} |", each(coin_bytes as f64));
    println!("| bytes of database for each coin, of these coins alone | {:.0} |", each(alone));
    println!(
        "| whole database: state, undo, headers, bodies of {:.0} MB | {:.0} MB |",
        bodies / 1e6,
        bytes_of(&path) / 1e6
    );
}

fn bytes_of(path: &Path) -> f64 {
    fs::metadata(path).map_or(0.0, |file| file.len() as f64)
}

/// Size of a database of nothing but these coins, brought in 20 commits.
fn state_alone(folder: &Path, coins: &[(Vec<u8>, Vec<u8>)]) -> f64 {
    let path = folder.join("alone");
    let store = Store::open(&path, &CHAIN).expect("a new store");
    for (height, coins) in (0u32..).zip(coins.chunks(coins.len().div_ceil(20))) {
        let mut delta = StateDelta::new();
        coins.iter().for_each(|(key, value)| delta.put(key.clone(), value.clone()));
        connect(&store, height, &[], &delta);
    }
    drop(store);
    bytes_of(&path)
}
