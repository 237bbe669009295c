//! What a pool of 50,000 real payments costs: `cargo xtask bench pool`. Prints Markdown; fails if a promise is broken.
//!
//! Payments come in through the node's own door, one at a time, with signatures checked and the database asked for
//! their coins. Half of them spend what the other half has just made.
#![allow(clippy::print_stdout, reason = "its result is the table")]

use std::{fs, hint::black_box, path::PathBuf, time::Instant};

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    consensus::encode::serialize,
    hashes::Hash as _,
    secp256k1::{All, Message, Secp256k1, SecretKey},
    sighash::SighashCache,
    transaction::Version,
};
use mass_consensus::{
    ledger::{BlockContext, Carried},
    spec::ChainSpec,
};
use mass_ledger_utxo::{UtxoLedger, address, body::Body};
use mass_mempool::{PoolRecord, Saved};
use mass_node::{Chain, NodeLedger as _};
use mass_primitives::{FarmerPublicKey, Height, Slot};

/// Payments that wait.
const PAYMENTS: usize = 50_000;

/// What a coin of the genesis block carries, and what each payment gives away beside its fee.
const COIN: u64 = 1_000_000;
const PAID: u64 = 400_000;

const NOW: u64 = 2_000_000_000;

/// Room in a block.
const BLOCK_WEIGHT: u64 = 4_000_000;

struct Payer {
    secp: Secp256k1<All>,
    key: SecretKey,
    script: ScriptBuf,
}

impl Payer {
    fn new() -> Self {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&[3; 32]).expect("a key");
        let public = bitcoin::PublicKey::new(key.public_key(&secp));
        let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash().expect("it is compressed"));
        Self { secp, key, script }
    }

    /// Pays to somebody, with change.
    fn pay(&self, coin: OutPoint, amount: u64, fee: u64) -> Transaction {
        let (script_sig, sequence, witness) = (ScriptBuf::new(), Sequence::MAX, Witness::new());
        let output =
            |value| TxOut { value: bitcoin::Amount::from_sat(value), script_pubkey: self.script.clone() };
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: coin, script_sig, sequence, witness }],
            output: vec![output(PAID), output(amount - PAID - fee)],
        };
        let amount = bitcoin::Amount::from_sat(amount);
        let mut cache = SighashCache::new(&tx);
        let hash =
            cache.p2wpkh_signature_hash(0, &self.script, amount, EcdsaSighashType::All).expect("one input");
        let message = Message::from_digest(hash.to_byte_array());
        let signature = bitcoin::ecdsa::Signature::sighash_all(self.secp.sign_ecdsa(&message, &self.key));
        tx.input[0].witness = Witness::p2wpkh(&signature, &self.key.public_key(&self.secp));
        tx
    }

    fn spec(&self) -> ChainSpec {
        let mut file = ChainSpec::built_in("dev").expect("it is built in").file().clone();
        let address = address::encode("dms", &self.script).expect("an address");
        let coin = serde_json::json!({ "address": address, "amount": COIN });
        file.rules.ledger.params["genesis_outputs"] = vec![coin; PAYMENTS / 2].into();
        ChainSpec::new(file).expect("a good spec")
    }
}

/// A number that looks random, by its position.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

fn payments(payer: &Payer, chain: &Chain<UtxoLedger>) -> Vec<Vec<u8>> {
    let body = chain.body(chain.engine().tree().genesis()).expect("the disk").expect("it is stored");
    let body = Body::decode(&body, BLOCK_WEIGHT).expect("a body");
    let txid = body.payments()[0].compute_txid();
    // Fees over two orders of magnitude, most of them low.
    let fee = |number: u64| 150 + scattered(number) % 100 * (scattered(number * 7 + 1) % 100);
    let pairs = (0..PAYMENTS as u32 / 2).map(|vout| {
        let parent = payer.pay(OutPoint { txid, vout }, COIN, fee(vout.into()));
        let change = OutPoint { txid: parent.compute_txid(), vout: 1 };
        let child = payer.pay(change, parent.output[1].value.to_sat(), fee(u64::from(vout) + 99_991));
        (serialize(&parent), serialize(&child))
    });
    let (mut all, children): (Vec<_>, Vec<_>) = pairs.unzip();
    all.extend(children);
    all
}

/// Resident bytes of this process.
fn resident() -> u64 {
    mass_rpc::memory_bytes().unwrap_or(0)
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// Milliseconds of processor time of one of twenty runs, so that other work on the machine counts for little.
fn each(mut work: impl FnMut()) -> f64 {
    const RUNS: u32 = 20;
    let before = processor();
    (0..RUNS).for_each(|_| work());
    (processor() - before) * 1e3 / f64::from(RUNS)
}

fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    let payer = Payer::new();
    let spec = payer.spec();
    let mut chain = Chain::<UtxoLedger>::open(&dir.join("chain.redb"), spec, None).expect("a chain");
    chain.tick(Slot::new(1 << 30), NOW).expect("the disk");
    let all = payments(&payer, &chain);
    let bytes: usize = all.iter().map(Vec::len).sum();

    let (before, start, spent) = (resident(), Instant::now(), processor());
    for tx in &all {
        chain.take_transaction(tx, NOW).expect("a good payment");
    }
    let (wall, used) = (start.elapsed().as_secs_f64(), processor() - spent);
    let grown = resident().saturating_sub(before);
    let pool = chain.pool();
    assert_eq!(pool.len(), PAYMENTS);

    let template = each(|| drop(black_box(pool.template(BLOCK_WEIGHT))));
    let weight: u64 = pool.template(BLOCK_WEIGHT).iter().map(|entry| entry.weight).sum();
    let context = BlockContext {
        height: Height::new(1),
        slot: Slot::new(1),
        time: NOW as u32,
        median_time_past: 0,
        farmer: FarmerPublicKey::ZERO,
        banned: vec![],
    };
    let payee = address::encode("dms", &payer.script).expect("an address");
    let body = || {
        let state = chain.store().snapshot().expect("the disk");
        let made = chain.ledger().build(&state, pool, &context, &payee, Carried::default()).expect("a body");
        assert!(made.refused.is_empty());
        black_box(made);
    };
    let body = each(body);
    let record = || {
        let saved = pool.in_order().into_iter().map(|resident| Saved {
            bytes: resident.entry().bytes.clone(),
            seconds: resident.arrival().seconds,
        });
        PoolRecord { transactions: saved.collect(), ..PoolRecord::default() }.write(chain.spec().id())
    };
    let file = record().len();
    let written = each(|| drop(black_box(record())));

    let count = PAYMENTS as f64;
    println!("| pool of {PAYMENTS} payments of {} bytes | measured | promised |", bytes / PAYMENTS);
    println!("|---|--:|--:|");
    println!(
        "| admission, signatures and all, one thread | {:.0} /s of processor time, {:.0} /s by the clock | 3,000 /s |",
        count / used,
        count / wall
    );
    println!("| memory of the process for it | {:.1} MB | 300 MB |", grown as f64 / 1e6);
    println!("| the same as the pool counts it | {:.1} MB | |", pool.memory_bytes() as f64 / 1e6);
    println!("| template of weight {weight} | {template:.1} ms | 50 ms |");
    println!("| body of it, each payment checked again in its place | {body:.1} ms | |");
    println!("| record for the disk, {:.1} MB | {written:.1} ms | |", file as f64 / 1e6);
    assert!(count / used > 3000.0, "admission");
    assert!(grown < 300_000_000 && grown < pool.memory_bytes() as u64, "memory");
    assert!(template < 50.0, "template");
    let _ = fs::remove_dir_all(&dir);
}
