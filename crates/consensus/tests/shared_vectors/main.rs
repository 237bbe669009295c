//! The vectors that the second verifier reads too, but for those of `vectors/header`: what is in them is in
//! `vectors/README.md`. Those of `vectors/block` have a test of their own, too. `MASS_BLESS=1` writes the files anew.

#[path = "../farm/mod.rs"]
mod farm;

mod chains;
mod encoding;
mod evidence;
mod keys;
mod numbers;
mod proofs;

use std::{fs, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

/// Every file that a test here reads.
const FILES: [&str; 19] = [
    "chain/FRK-1.json",
    "chain/SEED-1.json",
    "chain/SEED-2.json",
    "encoding/SEAL-1.json",
    "evidence/EVD-1.json",
    "evidence/EVD-2.json",
    "evidence/EVD-3.json",
    "evidence/EVD-4.json",
    "keys/SIG-1.json",
    "keys/VRF-1.json",
    "numbers/CHL-1.json",
    "numbers/DIF-1.json",
    "numbers/FLT-1.json",
    "numbers/HDR-6.json",
    "numbers/LOT-2.json",
    "numbers/LOT-3.json",
    "numbers/SEED-1.json",
    "numbers/chain-id.json",
    "proof/POS-5.json",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

/// What a file holds, written anew by `make` if that was asked for.
fn vectors<T: Serialize + DeserializeOwned>(file: &str, make: impl FnOnce() -> T) -> T {
    assert!(FILES.contains(&file), "{file} is missing in the list");
    let path = folder().join(file);
    if std::env::var_os("MASS_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&make()).unwrap() + "\n").unwrap();
    }
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

#[test]
fn every_file_is_read() {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !["block", "header"].contains(&name.as_str()) && entry.file_type().unwrap().is_dir() {
            let files = fs::read_dir(entry.path()).unwrap();
            found.extend(files.map(|file| format!("{name}/{}", file.unwrap().file_name().to_str().unwrap())));
        }
    }
    found.sort();
    // While files are written anew, other tests have not written theirs yet.
    assert!(std::env::var_os("MASS_BLESS").is_some() || found == FILES, "{found:?}");
}
