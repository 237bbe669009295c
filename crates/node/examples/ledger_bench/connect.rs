//! A full block of usual spends, connected over the real store; against the bare verifier and bare signatures.

use std::{hint::black_box, path::Path};

use bitcoin::{
    OutPoint, Transaction, TxOut, Txid,
    consensus::encode::serialize,
    hashes::Hash as _,
    secp256k1::{Message, PublicKey, XOnlyPublicKey, ecdsa, schnorr},
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use mass_consensus::ledger::{Carried, Ledger as _, StateDelta};
use mass_ledger_utxo::{Coin, SpendContext, UtxoLedger, coin_key};
use mass_primitives::{BlockId, Encode as _, Height, Ticket};
use mass_storage::{ConnectBlock, Store};
use rayon::prelude::*;

use crate::{
    Taken,
    purse::{CHAIN, Kind, Purse, context, ledger, output, unsigned},
    race,
};

/// Payments of two inputs and two outputs that fill a block.
const PAYMENTS: usize = 4_700;
const INPUTS: usize = 2 * PAYMENTS;
const AMOUNT: u64 = 100_000;
const ROUNDS: u32 = 5;

/// A coin in the state, as its outpoint and output.
fn coin(purse: &Purse, kind: Kind, number: usize) -> (OutPoint, TxOut) {
    let mut id = [kind as u8; 32];
    id[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let outpoint = OutPoint { txid: Txid::hash(&id), vout: 0 };
    (outpoint, output(AMOUNT, purse.script(kind, number)))
}

/// A store with the coins that the blocks of both kinds spend.
fn store(folder: &Path, purse: &Purse) -> Store {
    let store = Store::open(folder.join("connect"), &CHAIN).expect("a new store");
    let mut delta = StateDelta::new();
    for kind in [Kind::KeyHash, Kind::Taproot] {
        for number in 0..INPUTS {
            let (outpoint, output) = coin(purse, kind, number);
            let coin = Coin {
                amount: mass_primitives::Amount::new(AMOUNT),
                script: output.script_pubkey,
                height: Height::ZERO,
                median_time: 0,
                coinbase: false,
            };
            delta.put(coin_key(&outpoint), coin.to_bytes());
        }
    }
    let id = BlockId::new([1; 32]);
    let block = ConnectBlock {
        id,
        height: Height::ZERO,
        parent: None,
        seal: None,
        header_bytes: &[],
        body: &[],
        delta: &delta,
        ticket: Ticket::ZERO,
        banned: &[],
        indexes: &[],
    };
    store.connect(&block).expect("it can be written");
    store
}

/// The payments of a block, each with the outputs that it spends.
fn payments(purse: &Purse, kind: Kind) -> Vec<(Transaction, Vec<TxOut>)> {
    let payment = |number: usize| {
        let coins = [2 * number, 2 * number + 1].map(|number| (coin(purse, kind, number), number));
        let outputs = [1, 2].map(|step| output(AMOUNT - 100, purse.script(kind, number + step))).to_vec();
        let tx = unsigned(&coins.each_ref().map(|((outpoint, _), _)| *outpoint), outputs);
        let spent = coins.map(|((_, output), number)| (output, number));
        (purse.sign(tx, &spent), spent.map(|(output, _)| output).to_vec())
    };
    (0..PAYMENTS).map(payment).collect()
}

/// The verifier alone: every input of every payment, on all processors.
fn verifier(payments: &[(Transaction, Vec<TxOut>, Vec<u8>)]) {
    payments.par_iter().for_each(|(_, spent, bytes)| {
        let utxo = |output: &TxOut| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: output.script_pubkey.len() as u32,
            value: output.value.to_sat() as i64,
        };
        let utxos: Vec<_> = spent.iter().map(utxo).collect();
        for (input, output) in spent.iter().enumerate() {
            let (script, amount) = (output.script_pubkey.as_bytes(), output.value.to_sat());
            let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
            verify_with_flags(script, amount, bytes, Some(&utxos), input, flags).expect("a good payment");
        }
    });
}

/// A signature with what it signs, ready to be verified.
enum Signed {
    Ecdsa(Message, ecdsa::Signature, PublicKey),
    Schnorr(Message, schnorr::Signature, XOnlyPublicKey),
}

fn signatures(tx: &Transaction, spent: &[TxOut]) -> Vec<Signed> {
    let mut cache = SighashCache::new(tx);
    let signed = |(input, output): (usize, &TxOut)| {
        let witness = &tx.input[input].witness;
        if output.script_pubkey.is_p2wpkh() {
            let kind = EcdsaSighashType::All;
            let digest =
                cache.p2wpkh_signature_hash(input, &output.script_pubkey, output.value, kind).unwrap();
            let signature = bitcoin::ecdsa::Signature::from_slice(&witness[0]).unwrap().signature;
            let key = PublicKey::from_slice(&witness[1]).unwrap();
            Signed::Ecdsa(Message::from_digest(digest.to_byte_array()), signature, key)
        } else {
            let kind = TapSighashType::Default;
            let digest = cache.taproot_key_spend_signature_hash(input, &Prevouts::All(spent), kind).unwrap();
            let signature = schnorr::Signature::from_slice(&witness[0]).unwrap();
            let key = XOnlyPublicKey::from_slice(&output.script_pubkey.as_bytes()[2..]).unwrap();
            Signed::Schnorr(Message::from_digest(digest.to_byte_array()), signature, key)
        }
    };
    spent.iter().enumerate().map(signed).collect()
}

fn verify_signatures(purse: &Purse, signed: &[Signed]) {
    signed.par_iter().for_each(|signed| match signed {
        Signed::Ecdsa(message, signature, key) => {
            purse.secp.verify_ecdsa(message, signature, key).expect("a good signature");
        }
        Signed::Schnorr(message, signature, key) => {
            purse.secp.verify_schnorr(signature, message, key).expect("a good signature");
        }
    });
}

pub fn run(folder: &Path) {
    let purse = Purse::new();
    let store = store(folder, &purse);
    let snapshot = store.snapshot().expect("it can be read");
    println!(
        "A block of {PAYMENTS} payments of two inputs and two outputs, over the store, {} threads:\n",
        rayon::current_num_threads()
    );
    println!(
        "| | us of processor an input | inputs a second, both processors ours | of the bare verifier | \
         of bare signatures | inputs a second by the clock |\n|---|---:|---:|---:|---:|---:|"
    );
    let threads = rayon::current_num_threads() as f64;
    for kind in [Kind::KeyHash, Kind::Taproot] {
        let made = payments(&purse, kind);
        let txs: Vec<Transaction> = made.iter().map(|(tx, _)| tx.clone()).collect();
        let builder = ledger(&[]);
        let body =
            builder.build_body(&snapshot, &context(1), &purse.script(kind, 0), Carried::default(), &txs);
        let body = body.expect("a good body");
        let bare: Vec<_> =
            made.iter().map(|(tx, spent)| (tx.clone(), spent.clone(), serialize(tx))).collect();
        let signed: Vec<_> = made.iter().flat_map(|(tx, spent)| signatures(tx, spent)).collect();
        let (fresh, warm) = (ledger(&[]), warmed(&snapshot, &txs));
        let apply = |ledger: &UtxoLedger| {
            black_box(ledger.apply(&snapshot, &context(1), &body).expect("a good block"));
        };
        let [connect, again, verifier, signatures] = race(
            ROUNDS,
            [&mut || apply(&fresh), &mut || apply(&warm), &mut || verifier(&bare), &mut || {
                verify_signatures(&purse, &signed);
            }],
        );
        let row = |what: &str, taken: Taken, serial: f64| {
            let rate = INPUTS as f64 / taken.wall;
            // What the clock would say if both processors were ours: what one thread does, and half of the rest.
            let quiet = |taken: Taken, serial: f64| serial + (taken.processor - serial) / threads;
            let alone = quiet(taken, serial);
            let of = |other: Taken| format!("{:.0} %", 100.0 * quiet(other, 0.0) / alone);
            println!(
                "| {}, {what} | {:.1} | {:.0} | {} | {} | {rate:.0} |",
                kind.name(),
                taken.processor * 1e6 / INPUTS as f64,
                INPUTS as f64 / alone,
                of(verifier),
                of(signatures)
            );
        };
        row("**block connected**", connect, again.processor);
        row("block connected, known from the pool", again, again.processor);
        row("verifier alone (`bitcoinconsensus`)", verifier, 0.0);
        row("signatures alone (libsecp256k1)", signatures, 0.0);
    }
}

/// A ledger whose pool has seen the payments.
fn warmed(state: &mass_storage::Snapshot, txs: &[Transaction]) -> UtxoLedger {
    let ledger = ledger(&[]);
    let next = SpendContext { height: Height::new(1), median_time_past: context(1).median_time_past };
    for tx in txs {
        ledger.check_transaction(state, tx, next).expect("a good payment");
    }
    ledger
}
