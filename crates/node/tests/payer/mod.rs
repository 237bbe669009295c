//! A chain without sockets for tests, real blocks on it, and somebody with coins of the genesis block.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, WPubkeyHash, Witness,
    absolute::LockTime,
    hashes::Hash,
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::SighashCache,
    transaction::Version,
};
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::{UtxoLedger, address, body::Body};
use mass_node::Notice;
use mass_primitives::{BlockId, Slot};

use crate::farm::Farm;

pub type Chain = mass_node::Chain<UtxoLedger>;

pub const NOW: u64 = 2_000_000_000;

pub fn open(farm: &Farm, path: &Path) -> Chain {
    let mut chain = Chain::open(path, farm.spec.clone(), None).unwrap();
    chain.tick(Slot::new(1 << 30), NOW).unwrap();
    chain
}

pub fn payout(byte: u8) -> String {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]));
    address::encode("dms", &script).unwrap()
}

/// Farms one block as the farmer does: claim, header from the node, signature.
pub fn mine(farm: &Farm, chain: &mut Chain, payee: u8) -> Vec<u8> {
    let expected = chain.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let header = chain.prepare(claim, &payout(payee)).unwrap();
    let seal = farm.sign(header, claim).seal;
    let (bytes, notices) = chain.submit(&header.id(), seal.vrf_proof, seal.signature, NOW).unwrap();
    assert_eq!(notices, vec![Notice::NewTip(header.id())]);
    bytes
}

pub fn tip(chain: &Chain) -> BlockId {
    *chain.engine().tip()
}

/// Somebody with coins of the genesis block.
pub struct Payer {
    pub key: SecretKey,
    pub spec: ChainSpec,
}

impl Payer {
    pub fn new(spec: &ChainSpec) -> Self {
        let key = SecretKey::from_slice(&[3; 32]).unwrap();
        let mut file = spec.file().clone();
        let address = address::encode("dms", &Self::script(&key)).unwrap();
        file.rules.ledger.params["genesis_outputs"] =
            serde_json::json!([{ "address": address, "amount": 1_000_000 }]);
        Self { key, spec: ChainSpec::new(file).unwrap() }
    }

    pub fn script(key: &SecretKey) -> ScriptBuf {
        let key = bitcoin::PublicKey::new(key.public_key(&Secp256k1::new()));
        ScriptBuf::new_p2wpkh(&key.wpubkey_hash().unwrap())
    }

    pub fn farm(&self, key: u8) -> Farm {
        let mut farm = Farm::easy(8, [key; 32]);
        farm.spec = self.spec.clone();
        farm
    }

    /// The coin of the genesis block.
    pub fn coin(chain: &Chain) -> OutPoint {
        let body = chain.body(chain.engine().tree().genesis()).unwrap().unwrap();
        let body = Body::decode(&body, 4_000_000).unwrap();
        OutPoint { txid: body.payments()[0].compute_txid(), vout: 0 }
    }

    /// Pays a coin of `amount` to the same person, less a fee.
    pub fn pay(&self, coin: OutPoint, amount: u64, fee: u64) -> Transaction {
        let script = Self::script(&self.key);
        let (sequence, script_sig, witness) = (Sequence::MAX, ScriptBuf::new(), Witness::new());
        let value = bitcoin::Amount::from_sat(amount - fee);
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: coin, script_sig, sequence, witness }],
            output: vec![TxOut { value, script_pubkey: script.clone() }],
        };
        let amount = bitcoin::Amount::from_sat(amount);
        let hash = SighashCache::new(&tx).p2wpkh_signature_hash(0, &script, amount, EcdsaSighashType::All);
        let message = Message::from_digest(hash.unwrap().to_byte_array());
        let secp = Secp256k1::new();
        let signature = bitcoin::ecdsa::Signature::sighash_all(secp.sign_ecdsa(&message, &self.key));
        tx.input[0].witness = Witness::p2wpkh(&signature, &self.key.public_key(&secp));
        tx
    }
}

pub fn coin_of(tx: &Transaction) -> OutPoint {
    OutPoint { txid: tx.compute_txid(), vout: 0 }
}

pub fn send(chain: &mut Chain, tx: &Transaction) {
    chain.take_transaction(&bitcoin::consensus::serialize(tx), NOW).unwrap();
}
