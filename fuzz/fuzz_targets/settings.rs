//! Files of settings and chain specs: refused or read, never a crash; a spec that is read has one identity.
#![no_main]

use clap::{Args as _, Command};
use libfuzzer_sys::fuzz_target;
use mass_consensus::spec::ChainSpec;
use mass_node::{program::NodeArgs, settings};

fn set(text: &str) {
    let command = NodeArgs::augment_args(Command::new("node"));
    let Ok(file) = settings::parse(text, &command) else { return };
    let given = command.clone().get_matches_from(["node"]);
    let more = settings::missing(&command, &given, &file, "FUZZ_", |_| None).expect("the file is checked");
    let line = [std::ffi::OsString::from("node")].into_iter().chain(more);
    drop(command.try_get_matches_from(line));
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if which % 2 == 0 {
        return set(text);
    }
    let Ok(spec) = ChainSpec::from_json(text) else { return };
    let again = serde_json::to_string(spec.file()).expect("a spec can be written");
    let again = ChainSpec::from_json(&again).expect("what was written can be read");
    assert_eq!(again.id(), spec.id());
});
