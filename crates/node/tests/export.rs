//! A chain as a file: what one node writes another takes, whole, in parts and again, and a fault of a file costs
//! nothing that was good before it.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::path::Path;

use farm::Farm;
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::export::{
    Archive, BlockReader, BlockWriter, ExportError, FileError, Imported, Preamble, import,
};
use mass_primitives::{BlockId, Height, Slot};

type Chain = mass_node::Chain<UtxoLedger>;

/// Long after the blocks that are made here.
const NOW: u64 = 2_000_000_000;
const PAYOUT: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";

fn open(spec: &ChainSpec, dir: &Path) -> Chain {
    let mut chain = Chain::open(&mass_node::export::database(dir), spec.clone(), None).unwrap();
    chain.tick(Slot::new(1 << 30), NOW).unwrap();
    chain
}

/// A data directory with a chain of real blocks.
fn farmed(blocks: u32) -> (tempfile::TempDir, ChainSpec, BlockId) {
    let (farm, dir) = (Farm::new(8), tempfile::tempdir().unwrap());
    let mut chain = open(&farm.spec, dir.path());
    for _ in 0..blocks {
        let expected = chain.expectation(Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let header = chain.prepare(claim, PAYOUT).unwrap();
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, NOW).unwrap();
    }
    let tip = *chain.engine().tip();
    (dir, farm.spec.clone(), tip)
}

fn export(dir: &Path, spec: &ChainSpec, first: u32, last: u32) -> Vec<u8> {
    let archive = Archive::open(dir, spec).unwrap();
    let preamble = Preamble { chain: *spec.id(), first: Height::new(first), count: last + 1 - first };
    let mut writer = BlockWriter::new(Vec::new(), &preamble).unwrap();
    for height in first..=last {
        writer.put(&archive.block(Height::new(height)).unwrap().unwrap()).unwrap();
    }
    writer.finish().unwrap()
}

fn take(chain: &mut Chain, file: &[u8]) -> Result<Imported, ExportError> {
    import(chain, &mut BlockReader::new(file)?, NOW, |_| ())
}

/// Where the blocks of a file begin.
fn starts(file: &[u8]) -> Vec<usize> {
    let (mut starts, mut at) = (Vec::new(), mass_storage::block_file::PREAMBLE_BYTES);
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        starts.push(at + 4);
        at += 4 + length as usize;
    }
    starts
}

#[test]
fn a_chain_goes_through_a_file_and_faults_cost_nothing() {
    let (from, spec, tip) = farmed(8);
    assert_eq!(Archive::open(from.path(), &spec).unwrap().height().unwrap(), Height::new(8));
    let whole = export(from.path(), &spec, 1, 8);

    // In two parts, the later one not before the earlier, and each again.
    let (first, second) = (export(from.path(), &spec, 1, 5), export(from.path(), &spec, 6, 8));
    let into = tempfile::tempdir().unwrap();
    let mut chain = open(&spec, into.path());
    assert!(matches!(take(&mut chain, &second), Err(ExportError::Parent { height: 6 })));
    assert_eq!(take(&mut chain, &first).unwrap(), Imported { taken: 5, known: 0 });
    assert_eq!(take(&mut chain, &second).unwrap(), Imported { taken: 3, known: 0 });
    assert_eq!(*chain.engine().tip(), tip);
    assert_eq!(take(&mut chain, &whole).unwrap(), Imported { taken: 0, known: 8 });
    drop(chain);
    assert_eq!(export(into.path(), &spec, 1, 8), whole, "what comes out is what went in");

    // A fault in the sixth block: five are kept, and the good file goes on from there.
    let into = tempfile::tempdir().unwrap();
    let mut chain = open(&spec, into.path());
    let (starts, height) =
        (starts(&whole), |chain: &Chain| chain.engine().tree().get(chain.engine().tip()).unwrap().height);
    let block = starts[5]..starts[6] - 4;
    for at in [0, 40, 100, 300, 700, block.len() - 1] {
        let mut bad = whole.clone();
        bad[block.start + at] ^= 1;
        let error = take(&mut chain, &bad).unwrap_err();
        assert!(
            error.to_string().starts_with("block 6 ") || error.to_string().contains("of block 6 "),
            "{error}"
        );
        assert_eq!(height(&chain), Height::new(5), "byte {at}");
    }
    assert!(matches!(
        take(&mut chain, &whole[..whole.len() - 1]),
        Err(ExportError::File(FileError::Truncated { height: 8, .. }))
    ));
    assert_eq!(take(&mut chain, &whole).unwrap(), Imported { taken: 1, known: 7 });
    assert_eq!(*chain.engine().tip(), tip);
}

#[test]
fn a_file_of_another_chain_and_one_from_the_future_are_refused() {
    let (from, spec, _) = farmed(1);
    let whole = export(from.path(), &spec, 1, 1);
    let into = tempfile::tempdir().unwrap();
    let mut chain = Chain::open(&mass_node::export::database(into.path()), spec.clone(), None).unwrap();
    let at_genesis = u64::from(spec.rules().genesis_time);
    let early = import(&mut chain, &mut BlockReader::new(&whole[..]).unwrap(), at_genesis, |_| ());
    assert!(matches!(early, Err(ExportError::Early { height: 1, .. })), "{early:?}");
    let mut foreign = whole.clone();
    foreign[12] ^= 1;
    assert!(matches!(take(&mut chain, &foreign), Err(ExportError::Chain { .. })));
    assert_eq!(take(&mut chain, &whole).unwrap().taken, 1, "in its time it is good");
    assert!(Archive::open(&into.path().join("none"), &spec).is_err());
}
