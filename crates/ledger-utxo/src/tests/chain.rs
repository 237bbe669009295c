//! A chain in memory that audits the books at each block and can undo its newest one.

use std::collections::BTreeMap;

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    ecdsa,
    hashes::Hash,
    key::{Keypair, TapTweak},
    secp256k1::{All, Message, Secp256k1},
    sighash::{Prevouts, SighashCache},
    taproot,
    transaction::Version,
};
use mass_consensus::ledger::{
    ApplyError, BlockContext, Carried, Ledger, StateDelta, StateRead, StateReadError,
};
use mass_primitives::{Amount, ChainId, FarmerPublicKey, Height, Slot};

use crate::{
    Coin, GenesisOutput, LedgerError, LedgerParams, SpendContext, Supply, UtxoLedger, address,
    audit::{Audit, audit},
};

pub const DELAY: u32 = 4;
pub const MATURITY: u32 = 3;
pub const FAUCET_AMOUNT: u64 = 1_000_000;
pub const START: u32 = 1_800_000_000;

#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct State(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl StateRead for State {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        Ok(self.0.get(key).cloned())
    }
}

impl State {
    /// Writes a delta and returns the one that undoes it.
    pub fn write(&mut self, delta: &StateDelta) -> StateDelta {
        let mut undo = StateDelta::new();
        for (key, value) in delta.iter() {
            let old = match value {
                Some(value) => self.0.insert(key.to_vec(), value.to_vec()),
                None => self.0.remove(key),
            };
            match old {
                Some(old) => undo.put(key.to_vec(), old),
                None => undo.delete(key.to_vec()),
            }
        }
        undo
    }

    pub fn audit(&self) -> Audit {
        audit(self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))).unwrap()
    }
}

/// Someone with a key.
pub struct Person {
    secp: Secp256k1<All>,
    pair: Keypair,
}

impl Person {
    pub fn new(number: u8) -> Self {
        let secp = Secp256k1::new();
        let pair = Keypair::from_seckey_slice(&secp, &[number; 32]).unwrap();
        Self { secp, pair }
    }

    pub fn p2wpkh(&self) -> ScriptBuf {
        let key = bitcoin::CompressedPublicKey(self.pair.public_key());
        ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
    }

    pub fn p2tr(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(&self.secp, self.pair.x_only_public_key().0, None)
    }

    pub fn sign_as(
        &self,
        tx: &mut Transaction,
        input: usize,
        spent: &[TxOut],
        ecdsa_type: EcdsaSighashType,
        tap_type: TapSighashType,
    ) {
        let output = &spent[input];
        let mut cache = SighashCache::new(&*tx);
        let witness = if output.script_pubkey.is_p2wpkh() {
            let digest =
                cache.p2wpkh_signature_hash(input, &output.script_pubkey, output.value, ecdsa_type).unwrap();
            let message = Message::from_digest(digest.to_byte_array());
            let signature = self.secp.sign_ecdsa(&message, &self.pair.secret_key());
            Witness::p2wpkh(
                &ecdsa::Signature { signature, sighash_type: ecdsa_type },
                &self.pair.public_key(),
            )
        } else {
            let digest =
                cache.taproot_key_spend_signature_hash(input, &Prevouts::All(spent), tap_type).unwrap();
            let message = Message::from_digest(digest.to_byte_array());
            let pair = self.pair.tap_tweak(&self.secp, None).to_keypair();
            let signature = self.secp.sign_schnorr_no_aux_rand(&message, &pair);
            Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type: tap_type })
        };
        tx.input[input].witness = witness;
    }

    /// Signs all inputs.
    pub fn sign(&self, mut tx: Transaction, coins: &[Coin]) -> Transaction {
        let spent: Vec<_> = coins.iter().map(Coin::to_output).collect();
        for input in 0..tx.input.len() {
            self.sign_as(&mut tx, input, &spent, EcdsaSighashType::All, TapSighashType::Default);
        }
        tx
    }
}

/// An unsigned transaction.
pub fn unsigned(inputs: &[OutPoint], outputs: &[(u64, ScriptBuf)]) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = |(value, script): &(u64, ScriptBuf)| TxOut {
        value: bitcoin::Amount::from_sat(*value),
        script_pubkey: script.clone(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.iter().map(input).collect(),
        output: outputs.iter().map(output).collect(),
    }
}

pub fn farmer(number: u8) -> FarmerPublicKey {
    FarmerPublicKey::new([number; 32])
}

/// Two coins of the faucet: P2WPKH and P2TR of person 1.
pub struct Chain {
    pub ledger: UtxoLedger,
    pub state: State,
    pub height: u32,
    pub undo: Vec<(State, StateDelta)>,
}

impl Chain {
    pub fn new() -> Self {
        let person = Person::new(1);
        let output = |script: ScriptBuf| GenesisOutput {
            address: address::encode("dms", &script).unwrap(),
            amount: Amount::new(FAUCET_AMOUNT),
        };
        let params = LedgerParams {
            subsidy_initial: Amount::new(10_240_000_003),
            era_blocks: 7,
            reward_delay: DELAY,
            maturity: MATURITY,
            weight_max: 40_000,
            address_prefix: "dms".into(),
            genesis_outputs: vec![output(person.p2wpkh()), output(person.p2tr())],
        };
        let ledger = UtxoLedger::new(params, &ChainId::new([1; 32])).unwrap();
        let (body, delta) = ledger.genesis();
        ledger.commitment(&body).unwrap();
        let mut state = State::default();
        state.write(&delta);
        assert!(state.audit().balances());
        Self { ledger, state, height: 0, undo: Vec::new() }
    }

    /// The faucet's coins.
    pub fn faucet(&self) -> Vec<(OutPoint, Coin)> {
        let (body, _) = self.ledger.genesis();
        let body = crate::body::Body::decode(&body, 40_000).unwrap();
        let context = SpendContext { height: Height::ZERO, median_time_past: 0 };
        let faucet = &body.payments()[0];
        crate::transaction::created_coins(faucet, faucet.compute_txid(), context, false)
    }

    pub fn context(&self, by: u8, banned: &[u8]) -> BlockContext {
        let height = self.height + 1;
        BlockContext {
            height: Height::new(height),
            slot: Slot::new(u64::from(height)),
            time: START + 100 * height,
            median_time_past: START + 100 * (height - 1),
            farmer: farmer(by),
            banned: banned.iter().map(|number| farmer(*number)).collect(),
        }
    }

    pub fn spend_context(&self) -> SpendContext {
        let context = self.context(1, &[]);
        SpendContext { height: context.height, median_time_past: context.median_time_past }
    }

    pub fn check(&self, tx: &Transaction) -> Result<crate::TxSummary, LedgerError> {
        self.ledger.check_transaction(&self.state, tx, self.spend_context()).map_err(invalid)
    }

    /// A body that pays farmer `by` at P2WPKH of the person of the same number.
    pub fn body(&self, by: u8, banned: &[u8], txs: &[Transaction]) -> Result<Vec<u8>, LedgerError> {
        let context = self.context(by, banned);
        let script = Person::new(by).p2wpkh();
        self.ledger.build_body(&self.state, &context, &script, Carried::default(), txs).map_err(invalid)
    }

    pub fn apply(&mut self, by: u8, banned: &[u8], body: &[u8]) -> Result<(), LedgerError> {
        let delta = self.ledger.apply(&self.state, &self.context(by, banned), body).map_err(invalid)?;
        let before = self.state.clone();
        let undo = self.state.write(&delta);
        self.undo.push((before, undo));
        self.height += 1;
        let audit = self.state.audit();
        assert!(audit.balances(), "{audit:?} at height {}", self.height);
        Ok(())
    }

    pub fn block(&mut self, by: u8, banned: &[u8], txs: &[Transaction]) -> Result<(), LedgerError> {
        let body = self.body(by, banned, txs)?;
        self.apply(by, banned, &body)
    }

    /// Takes the newest block back and checks that nothing of it stays.
    pub fn pop(&mut self) {
        let (before, undo) = self.undo.pop().unwrap();
        self.state.write(&undo);
        self.height -= 1;
        assert_eq!(self.state, before);
    }

    pub fn supply(&self) -> Supply {
        Supply::read(&self.state).unwrap()
    }
}

pub fn invalid(error: ApplyError<LedgerError>) -> LedgerError {
    match error {
        ApplyError::Invalid(error) => error,
        ApplyError::State(error) => panic!("{error}"),
    }
}

#[test]
fn genesis_is_the_same_each_time() {
    assert_eq!(Chain::new().ledger.genesis(), Chain::new().ledger.genesis());
    assert_eq!(Chain::new().faucet().len(), 2);
}

#[test]
fn equal_ledgers_on_two_chains_share_no_transaction() {
    let one = Chain::new().ledger;
    let two = UtxoLedger::new(one.params().clone(), &ChainId::new([2; 32])).unwrap();
    let ids = |ledger: &UtxoLedger| {
        let body = crate::body::Body::decode(&ledger.genesis().0, 40_000).unwrap();
        [body.coinbase(), &body.payments()[0]].map(Transaction::compute_txid)
    };
    let (one, two) = (ids(&one), ids(&two));
    assert!(one.iter().all(|id| !two.contains(id)));
}
