//! Chains without a clock, and what it costs to verify them and nothing else.

use std::{fs, path::Path, time::Instant};

use bitcoin::{OutPoint, Transaction, TxOut, consensus::encode::serialize};
use mass_consensus::{header::SealedHeader, spec::ChainSpec};
use mass_ledger_utxo::{UtxoLedger, address};
use mass_node::{Chain, export::database, prove_headers};
use mass_primitives::Slot;

use crate::{
    farm::Farm,
    processor_seconds,
    purse::{Kind, Purse, output, unsigned},
};

/// What each coin is worth at first, and what a payment gives away.
const COIN: u64 = 1_000_000_000;
const FEE: u64 = 200;
/// Headers that are proven together, as a node has them from a peer.
const BATCH: usize = 500;

/// What verification alone takes.
pub struct Bare {
    pub wall: f64,
    pub processor: f64,
}

/// The chain of a bench with so many coins in the genesis block.
fn spec(purse: &Purse, coins: u32) -> ChainSpec {
    let mut file = Farm::easy(1, [7; 32]).spec.file().clone();
    let coin = |number| {
        let script = purse.script(Kind::KeyHash, number as usize);
        serde_json::json!({ "address": address::encode("dms", &script).expect("an address"), "amount": COIN })
    };
    file.rules.ledger.params["genesis_outputs"] = (0..coins.max(1)).map(coin).collect::<Vec<_>>().into();
    ChainSpec::new(file).expect("a good spec")
}

/// Makes a chain in `dir`, beside it its spec, and verifies what is in it.
pub fn chain(dir: &Path, blocks: u32, payments: u32) -> Bare {
    fs::create_dir_all(dir).expect("the folder can be made");
    let purse = Purse::new();
    let spec = spec(&purse, payments);
    fs::write(dir.join("spec.json"), serde_json::to_string(spec.file()).expect("it can be written"))
        .expect("the spec is written");
    let mut farm = Farm::easy(8, [7; 32]);
    farm.spec = spec.clone();
    let mut chain = Chain::<UtxoLedger>::open(&database(dir), spec.clone(), None).expect("a chain");
    let mut coins = genesis_coins(&chain, &purse, payments);
    let payout = address::encode("dms", &purse.script(Kind::KeyHash, 0)).expect("an address");
    let (mut headers, mut bare) = (Vec::new(), Bare { wall: 0.0, processor: 0.0 });
    for height in 1..=blocks {
        let expected = chain.expectation(Slot::ZERO).expect("an expectation");
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let unix = u64::from(spec.slot_time(claim.slot).expect("the slot has a time"));
        chain.tick(claim.slot, unix).expect("the time is told");
        let spent = pay(&mut chain, &purse, &mut coins, unix);
        let header = chain.prepare(claim, &payout).expect("a header");
        let sealed = farm.sign(header, claim);
        let (proof, signature) = (sealed.seal.vrf_proof, sealed.seal.signature);
        chain.submit(&header.id(), proof, signature, unix).expect("a good block");
        headers.push(sealed);
        let (begun, processor) = (Instant::now(), processor_seconds());
        verify(&spent);
        if headers.len() == BATCH || height == blocks {
            prove(&spec, &headers);
            headers.clear();
        }
        bare.wall += begun.elapsed().as_secs_f64();
        bare.processor += processor_seconds() - processor;
        if height % 1_000 == 0 {
            eprintln!("{height} of {blocks} blocks are made");
        }
    }
    bare
}

/// The coins that are paid on and on: where each is, what it is worth, and whose it is.
type Coins = Vec<(OutPoint, u64, usize)>;

fn genesis_coins(chain: &Chain<UtxoLedger>, purse: &Purse, count: u32) -> Coins {
    let genesis = *chain.engine().tip();
    let body = chain.body(&genesis).expect("it is stored").expect("the genesis block has a body");
    let body = mass_ledger_utxo::body::Body::decode(&body, 4_000_000).expect("a body");
    let mut coins = Coins::new();
    for tx in std::iter::once(body.coinbase()).chain(body.payments()) {
        let txid = tx.compute_txid();
        for (vout, made) in tx.output.iter().enumerate().filter(|(_, made)| made.value.to_sat() == COIN) {
            let number = coins.len();
            assert_eq!(made.script_pubkey, purse.script(Kind::KeyHash, number));
            coins.push((OutPoint { txid, vout: vout as u32 }, COIN, number));
        }
    }
    coins.truncate(count as usize);
    coins
}

/// Pays each coin once through the pool; the payments with what they spend.
fn pay(
    chain: &mut Chain<UtxoLedger>,
    purse: &Purse,
    coins: &mut Coins,
    unix: u64,
) -> Vec<(Transaction, TxOut)> {
    let payments = coins.iter_mut().map(|(at, worth, number)| {
        let spent = output(*worth, purse.script(Kind::KeyHash, *number));
        let tx = unsigned(&[*at], vec![output(*worth - FEE, purse.script(Kind::KeyHash, *number))]);
        let tx = purse.sign(tx, &[(spent.clone(), *number)]);
        (*at, *worth) = (OutPoint { txid: tx.compute_txid(), vout: 0 }, *worth - FEE);
        chain.take_transaction(&serialize(&tx), unix).expect("the pool takes it");
        (tx, spent)
    });
    payments.collect()
}

/// The scripts of payments, by the verifier that the ledger has.
fn verify(payments: &[(Transaction, TxOut)]) {
    for (tx, spent) in payments {
        let (script, worth) = (spent.script_pubkey.as_bytes(), spent.value.to_sat());
        bitcoinconsensus::verify(script, worth, &serialize(tx), None, 0).expect("a good payment");
    }
}

fn prove(spec: &ChainSpec, headers: &[SealedHeader]) {
    assert!(prove_headers(spec, headers).iter().all(Result::is_ok), "a header is refused");
}
