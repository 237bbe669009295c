//! What a wallet reads of others: PSBTs, seed files, descriptors, labels, amounts. Refused or read, never a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_wallet::{
    combine, finalize, is_descriptor, is_seed_file, parse_coin, parse_fee_rate, parse_labels, parse_psbt, view,
};

fn psbt(bytes: &[u8]) {
    let Ok(psbt) = parse_psbt(bytes) else { return };
    assert_eq!(parse_psbt(&psbt.serialize()).unwrap(), psbt);
    let _ = view(&psbt, "ms", |_| false);
    let _ = finalize(&mut psbt.clone());
    let _ = combine(vec![psbt.clone(), psbt]);
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match which % 6 {
        0 => psbt(bytes),
        1 => {
            let _ = is_seed_file(bytes);
        }
        2 => {
            let _ = is_descriptor(&text);
        }
        3 => drop(parse_labels(&text)),
        4 => drop(parse_coin(&text)),
        _ => drop(parse_fee_rate(&text)),
    }
});
