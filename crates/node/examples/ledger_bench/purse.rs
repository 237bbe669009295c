//! Keys, coins and signed payments.

use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Witness,
    absolute::LockTime,
    ecdsa,
    hashes::Hash as _,
    key::{Keypair, TapTweak as _},
    secp256k1::{All, Message, Secp256k1},
    sighash::{Prevouts, SighashCache, TapSighashType},
    taproot,
    transaction::Version,
};
use mass_consensus::ledger::BlockContext;
use mass_ledger_utxo::{GenesisOutput, LedgerParams, UtxoLedger, address};
use mass_primitives::{ChainId, FarmerPublicKey, Height, Slot};

pub const CHAIN: ChainId = ChainId::new([3; 32]);

/// Keys that are used in turns.
const KEYS: usize = 64;

/// The two usual kinds of coin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    KeyHash,
    Taproot,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyHash => "P2WPKH",
            Self::Taproot => "P2TR by key",
        }
    }
}

pub struct Purse {
    pub secp: Secp256k1<All>,
    pairs: Vec<Keypair>,
}

impl Purse {
    pub fn new() -> Self {
        let secp = Secp256k1::new();
        let pair = |number: usize| {
            let mut secret = [7; 32];
            secret[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
            Keypair::from_seckey_slice(&secp, &secret).expect("a good secret")
        };
        let pairs = (0..KEYS).map(pair).collect();
        Self { secp, pairs }
    }

    fn pair(&self, number: usize) -> &Keypair {
        &self.pairs[number % KEYS]
    }

    pub fn script(&self, kind: Kind, number: usize) -> ScriptBuf {
        let pair = self.pair(number);
        match kind {
            Kind::KeyHash => ScriptBuf::new_p2wpkh(&CompressedPublicKey(pair.public_key()).wpubkey_hash()),
            Kind::Taproot => ScriptBuf::new_p2tr(&self.secp, pair.x_only_public_key().0, None),
        }
    }

    /// Signs all inputs. Beside each output that is spent the number of its key.
    pub fn sign(&self, mut tx: Transaction, spent: &[(TxOut, usize)]) -> Transaction {
        let outputs: Vec<_> = spent.iter().map(|(output, _)| output.clone()).collect();
        let mut cache = SighashCache::new(&tx);
        let witness = |(input, (output, number)): (usize, &(TxOut, usize))| {
            let pair = self.pair(*number);
            if output.script_pubkey.is_p2wpkh() {
                let kind = EcdsaSighashType::All;
                let digest = cache.p2wpkh_signature_hash(input, &output.script_pubkey, output.value, kind);
                let message = Message::from_digest(digest.expect("an input of it").to_byte_array());
                let signature = self.secp.sign_ecdsa(&message, &pair.secret_key());
                Witness::p2wpkh(&ecdsa::Signature { signature, sighash_type: kind }, &pair.public_key())
            } else {
                let kind = TapSighashType::Default;
                let digest = cache.taproot_key_spend_signature_hash(input, &Prevouts::All(&outputs), kind);
                let message = Message::from_digest(digest.expect("an input of it").to_byte_array());
                let pair = pair.tap_tweak(&self.secp, None).to_keypair();
                let signature = self.secp.sign_schnorr_no_aux_rand(&message, &pair);
                Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type: kind })
            }
        };
        let witnesses: Vec<_> = spent.iter().enumerate().map(witness).collect();
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        tx
    }
}

pub fn unsigned(inputs: &[OutPoint], outputs: Vec<TxOut>) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.iter().map(input).collect(),
        output: outputs,
    }
}

pub fn output(amount: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(amount), script_pubkey }
}

/// Mass Net's ledger, with coins in the genesis block.
pub fn ledger(genesis: &[TxOut]) -> UtxoLedger {
    let genesis_output = |output: &TxOut| GenesisOutput {
        address: address::encode("ms", &output.script_pubkey).expect("a coin's script"),
        amount: mass_primitives::Amount::new(output.value.to_sat()),
    };
    let params = LedgerParams {
        subsidy_initial: mass_primitives::Amount::new(10_240_000_000),
        era_blocks: 13_440,
        reward_delay: 1_820,
        maturity: 100,
        weight_max: 4_000_000,
        address_prefix: "ms".into(),
        genesis_outputs: genesis.iter().map(genesis_output).collect(),
    };
    UtxoLedger::new(params, &CHAIN).expect("good parameters")
}

pub fn context(height: u32) -> BlockContext {
    BlockContext {
        height: Height::new(height),
        slot: Slot::new(u64::from(height)),
        time: 1_800_000_000 + 45 * height,
        median_time_past: 1_800_000_000 + 45 * height - 270,
        farmer: FarmerPublicKey::new([9; 32]),
        banned: Vec::new(),
    }
}
