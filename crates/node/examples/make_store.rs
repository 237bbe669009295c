//! Makes a small database as this version writes it, for `crates/node/tests/released.rs` to open for ever after:
//! `make_store DIRECTORY`. A released schema has its file made once, by the version that wrote it.
//!
//! On the chain are payments, a reorganisation, a double seal with its ban, all indexes, and a header whose body never
//! came. Beside the database are written the chain spec, and the best chain with three more blocks.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../tests/payer/mod.rs"]
mod payer;

use std::{env, fs, fs::File, path::Path};

use anyhow::{Context as _, ensure};
use farm::Farm;
use mass_consensus::header::SealedHeader;
use mass_node::{
    export::{Archive, BlockWriter, Preamble, database},
    storage::SCHEMA,
};
use mass_primitives::{Decode as _, Encode as _, Height, Reader, Slot};
use payer::{Chain, NOW, Payer, coin_of, mine, open, send, tip};

/// Blocks of the best chain in the database, and in the file beside it.
const STORED: u32 = 14;
const WHOLE: u32 = 17;

fn main() -> anyhow::Result<()> {
    let place = env::args().nth(1).context("usage: make_store DIRECTORY")?;
    let (place, dir) = (Path::new(&place), tempfile::tempdir()?);
    let payer = Payer::new(&Farm::easy(1, [7; 32]).spec);
    let farms = [7, 8, 9].map(|key| payer.farm(key));
    let [here, there] = ["here", "there"].map(|name| dir.path().join(name));
    [&here, &there].into_iter().try_for_each(fs::create_dir)?;
    let (mut one, mut two) = (open(&farms[0], &database(&here)), open(&farms[0], &database(&there)));
    one.keep_indexes(Some(&["tx", "address", "spend"].map(str::to_owned)))?;
    while one.build_indexes()?.is_some() {}

    // Two seals of one slot, and the ban.
    let first = mine(&farms[0], &mut one, 1);
    mine(&farms[0], &mut two, 2);
    two.take_block(&first, NOW)?;
    if tip(&one) != tip(&two) {
        one.take_block(&two.block_bytes(&tip(&two))?.context("a block")?, NOW)?;
    }
    two.take_block(&mine(&farms[1], &mut one, 3), NOW)?;
    // One block of the one branch, two of the other.
    mine(&farms[1], &mut one, 4);
    (0..2).try_for_each(|_| one.take_block(&mine(&farms[2], &mut two, 5), NOW).map(drop))?;
    ensure!(one.engine().reorgs() > 0 && tip(&one) == tip(&two), "there was no reorganisation");
    let mut coin = (Payer::coin(&one), 1_000_000);
    // It comes when better blocks are there, so that nobody asks for its body.
    let sealed = loose_header(&farms[2], &one);
    while one.height() < Height::new(STORED) {
        pay_and_mine(&payer, &farms[1], &mut one, &mut coin)?;
    }
    one.take_headers(&[sealed.to_bytes()], NOW)?;
    drop(one);
    fs::create_dir_all(place)?;
    fs::copy(database(&here), place.join(format!("schema-{SCHEMA}.redb")))?;
    fs::write(place.join("spec.json"), serde_json::to_string_pretty(farms[0].spec.file())?)?;

    let mut one = open(&farms[0], &database(&here));
    while one.height() < Height::new(WHOLE) {
        pay_and_mine(&payer, &farms[1], &mut one, &mut coin)?;
    }
    drop(one);
    let archive = Archive::open(&here, &farms[0].spec)?;
    let preamble = Preamble { chain: *farms[0].spec.id(), first: Height::new(1), count: WHOLE };
    let mut writer = BlockWriter::new(File::create(place.join("chain.blocks"))?, &preamble)?;
    for height in 1..=WHOLE {
        let block = archive.block(Height::new(height))?.context("a block of the chain")?;
        SealedHeader::decode(&mut Reader::new(&block))?;
        writer.put(&block)?;
    }
    writer.finish()?;
    Ok(())
}

/// A payment of the whole coin to its owner, and the block that has it.
fn pay_and_mine(
    payer: &Payer,
    farm: &Farm,
    chain: &mut Chain,
    coin: &mut (bitcoin::OutPoint, u64),
) -> anyhow::Result<()> {
    let payment = payer.pay(coin.0, coin.1, 1_000);
    send(chain, &payment);
    *coin = (coin_of(&payment), coin.1 - 1_000);
    mine(farm, chain, 6);
    Ok(())
}

/// The header of a block that nobody has made.
fn loose_header(farm: &Farm, chain: &Chain) -> SealedHeader {
    let expected = chain.expectation(Slot::ZERO).expect("the chain goes on");
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    farm.seal(tip(chain), mass_primitives::BodyRoot::new([9; 32]), claim)
}
