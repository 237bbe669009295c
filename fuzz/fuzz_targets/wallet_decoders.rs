//! What a wallet reads of others: PSBTs, seed files, descriptors, labels, addresses, amounts. Refused or read, never a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_ledger_utxo::{address, format_mass, parse_mass};
use mass_wallet::{
    combine, finalize, is_descriptor, is_seed_file, parse_coin, parse_fee_rate, parse_labels, parse_psbt,
    view,
};

fn psbt(bytes: &[u8]) {
    let Ok(psbt) = parse_psbt(bytes) else { return };
    assert_eq!(parse_psbt(&psbt.serialize()).unwrap(), psbt);
    let _ = view(&psbt, "ms", |_| false);
    let _ = finalize(&mut psbt.clone());
    let _ = combine(vec![psbt.clone(), psbt]);
}

/// What is read is written as it was, but for zeros at the ends and the case of letters.
fn address_and_amount(text: &str) {
    if let Ok(script) = address::decode("ms", text) {
        assert_eq!(address::encode("ms", &script).unwrap(), text.to_lowercase());
    }
    if let Ok(amount) = parse_mass(text) {
        assert_eq!(parse_mass(&format_mass(amount)), Ok(amount));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match which % 7 {
        0 => psbt(bytes),
        1 => {
            let _ = is_seed_file(bytes);
        }
        2 => {
            let _ = is_descriptor(&text);
        }
        3 => drop(parse_labels(&text)),
        4 => drop(parse_coin(&text)),
        5 => address_and_amount(&text),
        _ => drop(parse_fee_rate(&text)),
    }
});
