//! Mass Net's transactions against coins of every kind: a check never panics, what it accepts makes a valid
//! block that keeps the books, and what is accepted without the interpreter, the interpreter accepts.
#![no_main]

use std::sync::LazyLock;

use bitcoin::{
    OutPoint, ScriptBuf, Transaction,
    consensus::encode::{deserialize, serialize},
    hashes::Hash as _,
};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use libfuzzer_sys::fuzz_target;
use mass_consensus::ledger::{BlockContext, Ledger as _, StateRead, StateReadError};
use mass_ledger_utxo::{Coin, LedgerParams, SpendContext, TxSummary, UtxoLedger, audit::keeps_balance};
use mass_primitives::{Amount, ChainId, Encode as _, FarmerPublicKey, Height, Slot};

const HEIGHT: Height = Height::new(500);
const TIME: u32 = 1_800_000_000;

static LEDGER: LazyLock<UtxoLedger> = LazyLock::new(|| {
    let params = LedgerParams {
        subsidy_initial: Amount::new(10_240_000_000),
        era_blocks: 13_440,
        reward_delay: 1_820,
        maturity: 100,
        weight_max: 4_000_000,
        address_prefix: "ms".into(),
        genesis_outputs: Vec::new(),
    };
    UtxoLedger::new(params, &ChainId::new([1; 32])).expect("good parameters")
});

/// Every coin exists. Its id says of which kind it is, how old, and how much.
struct Coins;

impl StateRead for Coins {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        let [b'c', id @ ..] = key else { return Ok(None) };
        let script = match id[0] % 6 {
            0 => ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::hash(&id[1..2])),
            1 => ScriptBuf::from_bytes(vec![0x51]).to_p2wsh(),
            2 => ScriptBuf::from_bytes(vec![0xac]).to_p2wsh(),
            3 => ScriptBuf::from_bytes([&[0x51, 0x20], &id[..32]].concat()),
            4 => ScriptBuf::from_bytes(vec![0x51, 2, 0x4e, 0x73]),
            _ => return Ok(None),
        };
        let coin = Coin {
            amount: Amount::new(1 << (id[2] % 48)),
            script,
            height: Height::new(u32::from(id[3]) * 2),
            median_time: TIME - u32::from(id[4]) * 1_000,
            coinbase: id[5].is_multiple_of(4),
        };
        Ok(Some(coin.to_bytes()))
    }
}

fn context() -> BlockContext {
    BlockContext {
        height: HEIGHT,
        slot: Slot::new(7),
        time: TIME,
        median_time_past: TIME,
        farmer: FarmerPublicKey::new([9; 32]),
        banned: Vec::new(),
    }
}

fn interpreted(tx: &Transaction, summary: &TxSummary) {
    let outputs: Vec<_> = summary.spends.iter().map(|(_, coin)| coin.to_output()).collect();
    let utxo = |output: &bitcoin::TxOut| Utxo {
        script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
        script_pubkey_len: u32::try_from(output.script_pubkey.len()).expect("a short script"),
        value: i64::try_from(output.value.to_sat()).expect("an amount"),
    };
    let (utxos, bytes): (Vec<_>, _) = (outputs.iter().map(utxo).collect(), serialize(tx));
    for (input, output) in outputs.iter().enumerate() {
        let (script, amount) = (output.script_pubkey.as_bytes(), output.value.to_sat());
        let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
        verify_with_flags(script, amount, &bytes, Some(&utxos), input, flags)
            .expect("Bitcoin accepts it too");
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(tx) = deserialize::<Transaction>(data) else { return };
    let spend = SpendContext { height: HEIGHT, median_time_past: TIME };
    match LEDGER.check_transaction(&Coins, &tx, spend) {
        Err(error) => drop(error.to_string()),
        Ok(summary) => {
            assert!(!tx.input.iter().any(|input| input.previous_output == OutPoint::null()));
            interpreted(&tx, &summary);
            let payout = ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::hash(b"x"));
            let body = LEDGER.build_body(&Coins, &context(), &payout, None, &[tx]).expect("room for it");
            let delta = LEDGER.apply(&Coins, &context(), &body).expect("a good block");
            assert!(keeps_balance(&Coins, &delta));
        }
    }
});
