//! What the interpreter costs for an input, by the size of the transaction around it.

use bitcoin::{OutPoint, ScriptBuf, Witness, consensus::encode::serialize};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use mass_ledger_utxo::sigops;

use crate::{
    purse::{output, unsigned},
    race,
};

const ROUNDS: usize = 5;

pub fn run() {
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
        let [seconds] = race(ROUNDS, [&mut verify]);
        let each = seconds * 1e6 / some as f64;
        let counted = sigops::cost(&tx, &spent) as f64 / f64::from(inputs);
        println!("| {inputs} | {} | {each:.1} | {:.1} |", bytes.len(), each / counted);
    }
}
