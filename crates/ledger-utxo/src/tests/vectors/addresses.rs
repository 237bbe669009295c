//! `key_io_valid.json` and `key_io_invalid.json`: addresses and keys. Addresses are read with Bitcoin's
//! prefixes, which are parameters here, and then written and read again with ours.

use bitcoin::ScriptBuf;
use serde_json::Value;

use super::{NO_COIN, Outcome, Report, hex, read};
use crate::{
    address::{decode, encode},
    script::is_spendable,
};

const OURS: [&str; 3] = ["ms", "tms", "dms"];

pub fn run_valid() -> Report {
    let mut report = Report::default();
    for case in read("key_io_valid.json") {
        report.add(case[0].as_str().unwrap().to_owned(), valid(&case));
    }
    report
}

fn valid(case: &Value) -> Outcome {
    let address = case[0].as_str().unwrap();
    if case[2]["isPrivkey"] == true {
        return Outcome::Skipped("legacy: a private key in base58");
    }
    let script = ScriptBuf::from_bytes(hex(&case[1]));
    if !script.is_witness_program() {
        return Outcome::Skipped("legacy: an address in base58");
    }
    let prefix = match case[2]["chain"].as_str().unwrap() {
        "main" => "bc",
        "regtest" => "bcrt",
        _ => "tb",
    };
    let read = decode(prefix, address);
    if !is_spendable(&script) {
        return match read {
            Err(_) => Outcome::Skipped(NO_COIN),
            Ok(script) => Outcome::Differs(format!("read as {script}")),
        };
    }
    let again = OURS.map(|ours| decode(ours, &encode(ours, &script).unwrap()));
    let foreign = OURS.map(|ours| decode(ours, address));
    let agrees = read.as_ref() == Ok(&script)
        && again.iter().all(|again| again.as_ref() == Ok(&script))
        && foreign.iter().all(Result::is_err)
        && encode(prefix, &script).unwrap() == address.to_lowercase();
    if agrees { Outcome::Agrees } else { Outcome::Differs(format!("{read:?}")) }
}

pub fn run_invalid() -> Report {
    let mut report = Report::default();
    for case in read("key_io_invalid.json") {
        let address = case[0].as_str().unwrap();
        let read =
            OURS.into_iter().chain(["bc", "tb", "bcrt"]).find_map(|prefix| decode(prefix, address).ok());
        let outcome = match read {
            None => Outcome::Agrees,
            Some(script) => Outcome::Differs(format!("read as {script}")),
        };
        report.add(format!("{address:?}"), outcome);
    }
    report
}
