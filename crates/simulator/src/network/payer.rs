//! Somebody who pays himself again and again: coins of the genesis block, each handed on in a chain of payments, through
//! whatever node he happens to be connected to. What a node does not know of, he tells it again, as a wallet does.

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    hashes::Hash as _,
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::SighashCache,
    transaction::Version,
};
use mass_ledger_utxo::{address, body::Body, read_coin};
use mass_node::{ChainError, Moment};
use serde_json::{Value, json};

use super::machine::Machine;

/// Coins of the genesis block, and what each is worth.
const COINS: usize = 10;
const COIN: u64 = 1_000_000_000;
/// What each payment costs.
const FEE: u64 = 1_000;
/// Payments in a row that no block has yet, at the most.
const WAITING_MAX: usize = 10;

fn key() -> SecretKey {
    SecretKey::from_slice(&[3; 32]).expect("32 bytes below the group's order")
}

fn script() -> ScriptBuf {
    let key = bitcoin::PublicKey::new(key().public_key(&Secp256k1::new()));
    ScriptBuf::new_p2wpkh(&key.wpubkey_hash().expect("the key is compressed"))
}

/// The coins of the payer, as the chain spec lists them.
pub fn genesis_outputs(prefix: &Value) -> Value {
    outputs(prefix, COINS, COIN)
}

/// So many coins of the payer, each of this amount.
pub(super) fn outputs(prefix: &Value, coins: usize, amount: u64) -> Value {
    let address = address::encode(prefix.as_str().unwrap_or_default(), &script()).unwrap_or_default();
    vec![json!({ "address": address, "amount": amount }); coins].into()
}

/// The payer.
pub struct Payer {
    /// For each coin the payments that handed it on and are not known to be buried.
    rows: Vec<Vec<Transaction>>,
    first: Vec<(OutPoint, u64)>,
    turn: usize,
}

impl Payer {
    /// The payer of a chain, whose genesis body this is.
    pub fn new(genesis: &[u8]) -> Option<Self> {
        let body = Body::decode(genesis, u64::MAX).ok()?;
        let txid = body.payments().first()?.compute_txid();
        let first = (0..COINS as u32).map(|vout| (OutPoint { txid, vout }, COIN)).collect();
        Some(Self { rows: vec![Vec::new(); COINS], first, turn: 0 })
    }

    /// Pays once through a node; whether it took the payment.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn pay(&mut self, machine: &mut dyn Machine, now: Moment) -> Result<bool, ChainError> {
        self.turn = (self.turn + 1) % COINS;
        let turn = self.turn;
        let spendable = self.spendable(turn, machine)?;
        for tx in &self.rows[turn][spendable..] {
            take(machine, tx, now)?;
        }
        if self.rows[turn].len() - spendable >= WAITING_MAX {
            return Ok(false);
        }
        let (coin, amount) = match self.rows[turn].last() {
            Some(tx) => (OutPoint { txid: tx.compute_txid(), vout: 0 }, tx.output[0].value.to_sat()),
            None => self.first[turn],
        };
        let tx = payment(coin, amount);
        let is_taken = take(machine, &tx, now)?;
        if is_taken {
            self.rows[turn].push(tx);
        }
        Ok(is_taken)
    }

    /// The first payment of a row that a block of this node's chain could hold next.
    fn spendable(&self, turn: usize, machine: &dyn Machine) -> Result<usize, ChainError> {
        let state = machine.chain().store().snapshot()?;
        let row = &self.rows[turn];
        for position in (0..row.len()).rev() {
            let coin = OutPoint { txid: row[position].compute_txid(), vout: 0 };
            if read_coin(&state, &coin).is_ok_and(|coin| coin.is_some()) {
                return Ok(position + 1);
            }
        }
        Ok(0)
    }
}

/// Gives a payment to a node; whether it took it.
fn take(machine: &mut dyn Machine, tx: &Transaction, now: Moment) -> Result<bool, ChainError> {
    match machine.pay(bitcoin::consensus::serialize(tx), now) {
        Ok(()) => Ok(true),
        Err(error) if error.is_fatal() => Err(error),
        Err(_) => Ok(false),
    }
}

pub(super) fn payment(coin: OutPoint, amount: u64) -> Transaction {
    let (script, key, secp) = (script(), key(), Secp256k1::new());
    let (sequence, script_sig, witness) = (Sequence::MAX, ScriptBuf::new(), Witness::new());
    let value = bitcoin::Amount::from_sat(amount.saturating_sub(FEE));
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output: coin, script_sig, sequence, witness }],
        output: vec![TxOut { value, script_pubkey: script.clone() }],
    };
    let amount = bitcoin::Amount::from_sat(amount);
    let hash = SighashCache::new(&tx)
        .p2wpkh_signature_hash(0, &script, amount, EcdsaSighashType::All)
        .expect("input 0 is there and the script is a P2WPKH");
    // The same nonce each time: a payment is a function of its coin.
    let signature = secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &key);
    let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
    tx.input[0].witness = Witness::p2wpkh(&signature, &key.public_key(&secp));
    tx
}
