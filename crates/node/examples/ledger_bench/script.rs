//! What the interpreter costs for an input, by the size of the transaction around it; and transactions of full
//! weight that are made to be slow, through the ledger and by the interpreter alone.

use bitcoin::{
    OutPoint, ScriptBuf, Transaction, Txid, Witness, XOnlyPublicKey,
    consensus::encode::serialize,
    hashes::Hash as _,
    taproot::{LeafVersion, TaprootBuilder},
};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use mass_consensus::ledger::{StateRead, StateReadError};
use mass_ledger_utxo::{Coin, SpendContext, coin_key, sigops};
use mass_primitives::{Amount, Encode as _, Height};

use crate::{
    purse::{Kind, Purse, ledger, output, unsigned},
    race,
};

const ROUNDS: u32 = 5;

pub fn run() {
    by_size();
    made_to_be_slow();
}

fn by_size() {
    println!(
        "\nAn input with a script that does nothing, on one thread, in a transaction of so many such inputs:\n"
    );
    println!("| inputs | bytes | us an input | us a counted operation |\n|---:|---:|---:|---:|");
    let script = ScriptBuf::from_bytes(vec![0x51]);
    for inputs in [1u32, 100, 1_000, 10_000, 20_000] {
        let outpoints: Vec<_> = (0..inputs).map(|vout| OutPoint { vout, ..OutPoint::null() }).collect();
        let mut tx = unsigned(&outpoints, vec![output(1, script.to_p2wsh())]);
        for input in &mut tx.input {
            input.witness = Witness::from_slice(&[script.to_bytes()]);
        }
        let spent = vec![output(2, script.to_p2wsh()); inputs as usize];
        let utxo = |output: &bitcoin::TxOut| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: output.script_pubkey.len() as u32,
            value: 2,
        };
        let utxos: Vec<_> = spent.iter().map(utxo).collect();
        let bytes = serialize(&tx);
        let some = (inputs as usize).min(20);
        let mut verify = || {
            for input in 0..some {
                let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
                verify_with_flags(script.to_p2wsh().as_bytes(), 2, &bytes, Some(&utxos), input, flags)
                    .expect("true is true");
            }
        };
        let [taken] = race(ROUNDS, [&mut verify]);
        let each = taken.wall * 1e6 / some as f64;
        let counted = sigops::cost(&tx, &spent) as f64 / f64::from(inputs);
        println!("| {inputs} | {} | {each:.1} | {:.1} |", bytes.len(), each / counted);
    }
}

/// A state of one coin.
struct OneCoin(Coin);

impl StateRead for OneCoin {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        Ok((key == coin_key(&outpoint())).then(|| self.0.to_bytes()))
    }
}

fn outpoint() -> OutPoint {
    OutPoint { txid: Txid::all_zeros(), vout: 7 }
}

const SCRIPT_BYTES: usize = 3_990_000;

fn made_to_be_slow() {
    let around = |head: &[u8], step: &[u8], tail: &[u8]| {
        [head, &step.repeat(SCRIPT_BYTES / step.len()), tail].concat()
    };
    let scripts = [
        ("SHA-256 of 520 bytes", around(&[], &[0x76, 0xa8, 0x75], &[0x75, 0x51]), vec![vec![7; 520]]),
        ("RIPEMD-160 of 520 bytes", around(&[], &[0x76, 0xa6, 0x75], &[0x75, 0x51]), vec![vec![7; 520]]),
        (
            "the deepest of 999 elements rolled up",
            around(&[], &[0x02, 0xe6, 0x03, 0x7a], &[]),
            vec![vec![1]; 999],
        ),
        ("conditions in conditions", around(&[0x00], &[0x63], &[]), vec![]),
        ("nothing", around(&[], &[0x61], &[0x51]), vec![]),
    ];
    println!("\nOne input with a taproot script of 4 MB, on one thread:\n");
    println!(
        "| which does over and over | seconds of processor through the ledger | of the interpreter alone |\n|---|---:|---:|"
    );
    for (what, script, stack) in scripts {
        let (tx, coin) = leaf(script, stack);
        let utxo = Utxo {
            script_pubkey: coin.script.as_bytes().as_ptr(),
            script_pubkey_len: coin.script.len() as u32,
            value: 2,
        };
        let bytes = serialize(&tx);
        let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
        let utxos = [utxo];
        let mut alone = || {
            let _ = verify_with_flags(coin.script.as_bytes(), 2, &bytes, Some(&utxos), 0, flags);
        };
        let state = OneCoin(coin.clone());
        let next = SpendContext { height: Height::new(9), median_time_past: 9 };
        // A ledger that does not know the transaction each time.
        let mut through = || drop(ledger(&[]).check_transaction(&state, &tx, next));
        let [through, alone] = race(2, [&mut through, &mut alone]);
        println!(
            "| {what} | {:.2} | {:.0} % |",
            through.processor,
            100.0 * through.processor / alone.processor
        );
    }
}

/// A spend of a taproot leaf with this script and stack.
fn leaf(script: Vec<u8>, stack: Vec<Vec<u8>>) -> (Transaction, Coin) {
    let purse = Purse::new();
    let script = ScriptBuf::from_bytes(script);
    let key = purse.script(Kind::Taproot, 0);
    let key = XOnlyPublicKey::from_slice(&key.as_bytes()[2..]).expect("an output key is one");
    let tree = TaprootBuilder::new().add_leaf(0, script.clone()).expect("one leaf");
    let tree = tree.finalize(&purse.secp, key).expect("one leaf");
    let control =
        tree.control_block(&(script.clone(), LeafVersion::TapScript)).expect("it is there").serialize();
    let mut tx = unsigned(&[outpoint()], vec![output(1, purse.script(Kind::Taproot, 1))]);
    tx.input[0].witness = stack.into_iter().chain([script.to_bytes(), control]).collect::<Vec<_>>().into();
    let coin = Coin {
        amount: Amount::new(2),
        script: ScriptBuf::new_p2tr_tweaked(tree.output_key()),
        height: Height::ZERO,
        median_time: 0,
        coinbase: false,
    };
    (tx, coin)
}
