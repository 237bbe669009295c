//! Makes a file of real blocks for other verifiers, `make_blocks FILE BLOCKS`: of the built-in chain `dev`, with real plots,
//! proofs and seals, taken in by a production node's chain and written by its export.
//!
//! Slots are waited for by nobody: the chain is told what time it is. A thousand blocks that `mass dev` makes in more than
//! an hour take a minute.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::{env, fs::File, io::BufWriter};

use anyhow::{Context as _, ensure};
use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    Chain,
    export::{Archive, BlockWriter, Preamble, database},
};
use mass_primitives::{Height, Slot};

/// Where rewards go: the faucet of `dev`.
const PAYOUT: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let (file, blocks) = (arguments.next(), arguments.next());
    let (file, blocks) = file.zip(blocks).context("usage: make_blocks FILE BLOCKS")?;
    let blocks: u32 = blocks.parse().context("BLOCKS is a number")?;
    let farms = [[7; 32], [8; 32], [9; 32]].map(|key| Farm::with_key(8, key));
    let (dir, spec) = (tempfile::tempdir()?, &farms[0].spec);
    let mut chain = Chain::<UtxoLedger>::open(&database(dir.path()), spec.clone(), None)?;
    for _ in 0..blocks {
        let expected = chain.expectation(Slot::ZERO)?;
        // Who wins first seals; the others hear of it.
        let wins = farms.iter().map(|farm| {
            (farm, farm.win(expected.height, expected.after, expected.seed, expected.difficulty))
        });
        let (farm, claim) = wins.min_by_key(|(_, claim)| claim.slot).context("there are farmers")?;
        let unix = spec.slot_time(claim.slot).context("the slot has a time")?.into();
        chain.tick(claim.slot, unix)?;
        let header = chain.prepare(claim, PAYOUT)?;
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, unix)?;
    }
    drop(chain);
    let archive = Archive::open(dir.path(), spec)?;
    ensure!(archive.height()? == Height::new(blocks), "blocks are missing");
    let preamble = Preamble { chain: *spec.id(), first: Height::new(1), count: blocks };
    let mut writer = BlockWriter::new(BufWriter::new(File::create(&file).context(file)?), &preamble)?;
    for height in 1..=blocks {
        writer.put(&archive.block(Height::new(height))?.context("a block of the chain")?)?;
    }
    writer.finish()?;
    Ok(())
}
