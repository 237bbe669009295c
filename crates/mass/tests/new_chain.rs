//! `mass chain new`, and the guide `docs/new-chain.md`, word for word.

mod processes;

use std::fs;

use mass_consensus::spec::ChainSpec;
use processes::Home;

#[test]
fn a_new_chain_is_written_once_and_is_sound() {
    let home = Home::new();
    let dir = home.path("notes");
    let args = ["chain", "new", "pets", "--beacon", "dev", "--dir", dir.to_str().unwrap()];
    let made = home.json(&args);
    let text = fs::read_to_string(dir.join("chain.json")).unwrap();
    let spec = ChainSpec::from_json(&text).unwrap();
    let dev = ChainSpec::built_in("dev").unwrap();
    spec.check_beacon(&dev).unwrap();
    assert_eq!(made["id"], spec.id().to_string());
    assert_eq!((spec.beacon_id(), spec.rules().name.as_str()), (dev.id(), "pets"));
    let checked = home.json(&["chain", "check", dir.join("chain.json").to_str().unwrap()]);
    assert_eq!(checked["id"], made["id"]);
    // The same kind in the spec and in the ledger.
    let ledger = fs::read_to_string(dir.join("src/ledger.rs")).unwrap();
    assert!(ledger.contains(&format!("KIND: &'static str = \"{}\"", spec.rules().ledger.kind)));

    let again = home.command(&args).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a new directory is needed"), "{again:?}");
    assert_eq!(fs::read_to_string(dir.join("chain.json")).unwrap(), text, "nothing was overwritten");
    // A node of Mass Net's ledger says whose chain it is.
    let spec = dir.join("chain.json");
    let node = ["node", "run", "--chain", spec.to_str().unwrap(), "--rpc", "127.0.0.1:0"];
    let wrong = processes::output(&mut home.command(&node));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a program of its own"), "{wrong:?}");
}
