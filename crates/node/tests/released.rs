//! A database of every schema that was released is opened, brought up to date, found sound, and goes on. The files were made
//! by the version that wrote the schema (`crates/node/examples/make_store.rs`) and are never made again.

use std::{fs, path::PathBuf};

use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    Chain,
    check::check,
    export::{BlockReader, import},
    storage::{SCHEMA, SCHEMA_OLDEST},
};
use mass_primitives::Height;

/// A time after all blocks.
const NOW: u64 = 2_000_000_000;
/// Blocks of the best chain in each file, and in the file of blocks beside them.
const STORED: u32 = 14;
const WHOLE: u32 = 17;

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stores").join(name)
}

/// Opens a copy of a file, and takes it through the rest of the chain; the sums of its state at both ends.
fn opened(schema: u32) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain.redb");
    fs::copy(place(&format!("schema-{schema}.redb")), &path).unwrap();
    let spec = ChainSpec::from_json(&fs::read_to_string(place("spec.json")).unwrap()).unwrap();
    let mut chain = Chain::<UtxoLedger>::open(&path, spec.clone(), None).unwrap();
    let sound = |chain: &Chain<UtxoLedger>| {
        let found = check(chain.store(), &spec, chain.ledger(), &mut |_, _, _| {}).unwrap();
        assert!(found.is_good(), "schema {schema}: {:#?}", found.report.faults);
        assert_eq!(found.report.undo_from, Height::ZERO);
        found.report.state_hash.unwrap().to_string()
    };
    assert_eq!(chain.height(), Height::new(STORED), "schema {schema}");
    assert_eq!((chain.store().indexes().unwrap().len(), chain.store().bans().unwrap().len()), (3, 1));
    let before = sound(&chain);
    let mut blocks = BlockReader::new(fs::File::open(place("chain.blocks")).unwrap()).unwrap();
    let done = import(&mut chain, &mut blocks, NOW, |_| {}).unwrap();
    assert_eq!((done.known, done.taken), (STORED, WHOLE - STORED), "schema {schema}");
    let after = sound(&chain);
    // And back, block by block, to the genesis block and beyond.
    let count = chain.store().headers(Height::ZERO).unwrap().count();
    assert!(count > WHOLE as usize + 1, "there are branches: {count}");
    drop(chain);
    let chain = Chain::<UtxoLedger>::open(&path, spec.clone(), None).unwrap();
    assert_eq!(chain.height(), Height::new(WHOLE), "schema {schema}");
    [before, after]
}

#[test]
fn a_database_of_every_released_schema_is_opened_and_goes_on() {
    let sums: Vec<_> = (SCHEMA_OLDEST..=SCHEMA).map(opened).collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "one chain has one state: {sums:?}");
    let files = fs::read_dir(place("")).unwrap().count();
    assert_eq!(files, 2 + (SCHEMA_OLDEST..=SCHEMA).count(), "each file is used");
}
