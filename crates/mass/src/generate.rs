//! `generatetoaddress` of a node of the chain `dev`: real blocks on demand, for who tests a wallet or a service against it.
//!
//! A farmer of the node's own, with its key, its plots and its signing record in the node's directory, farms until the
//! blocks are there. It is the production farmer, and time is the chain's: a block comes when a slot is won, some
//! seconds after the one before.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use mass_consensus::spec::ChainSpec;
use mass_farmer::{ChainConfig, FarmEvent, Totals};
use mass_ledger_utxo::{LedgerParams, address};
use mass_node::{Generate, Generator};
use mass_primitives::BlockId;
use mass_rpc::{BitcoinClient, HttpClient, RpcResult, errors};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::spawn_blocking,
};

use crate::dev::Place;

/// Plots of the farmer: so many that a slot is won every few seconds, and made in a few seconds.
const PLOTS: u32 = 32;

/// What farms for a node of this chain in this directory, if the chain is `dev`.
pub fn generator(spec: &ChainSpec, data_dir: &Path) -> Option<Generator> {
    let dev = ChainSpec::built_in("dev")?;
    if spec.id() != dev.id() {
        return None;
    }
    let (spec, dir, turn) = (spec.clone(), data_dir.join("generate"), Arc::new(Mutex::new(())));
    Some(Generator::new(move |wanted| {
        let (spec, dir, turn) = (spec.clone(), dir.clone(), Arc::clone(&turn));
        Box::pin(async move {
            check_address(&spec, &wanted.address)?;
            let _turn = turn.try_lock().map_err(|_| errors::misc("blocks are being generated already"))?;
            let made = farm(spec, dir, wanted).await;
            made.map_err(|error| errors::misc(format!("{error:#}")))
        })
    }))
}

fn check_address(spec: &ChainSpec, text: &str) -> RpcResult<()> {
    let params = LedgerParams::from_json(spec.rules().ledger.params.clone());
    let params = params.map_err(|error| errors::misc(error.to_string()))?;
    let decoded = address::decode(&params.address_prefix, text);
    decoded.map(drop).map_err(|error| errors::not_found(format!("Error: Invalid address: {error}")))
}

async fn farm(spec: ChainSpec, dir: PathBuf, wanted: Generate) -> anyhow::Result<Vec<BlockId>> {
    let for_plots = spec.clone();
    let plotting = spawn_blocking(move || {
        let place = Place::open(Some(&dir))?;
        place.plots(&for_plots, PLOTS)?;
        anyhow::Ok(place)
    });
    let place = plotting.await.context("the plotter failed")??;
    let url = format!("http://{}", wanted.node);
    let node = mass_rpc::client(&url)?;
    let chain = ChainConfig { spec, node: url, payout: wanted.address, priority: 0, enabled: true };
    let config = place.farmer(vec![chain])?;
    let (tell, mut sealed) = mpsc::unbounded_channel();
    let watch = move |event: &FarmEvent, _: &Totals| {
        if let FarmEvent::Sealed { id, .. } = event {
            let _ = tell.send(*id);
        }
    };
    let ((_, changes), (stop, stopped)) = (mpsc::channel(1), oneshot::channel::<()>());
    let farmer = mass_farmer::run(config, watch, changes, async move { drop(stopped.await) });
    let mut farmer = std::pin::pin!(farmer);
    let mut blocks = Vec::new();
    while blocks.len() < wanted.blocks as usize {
        tokio::select! {
            ended = &mut farmer => {
                ended?;
                anyhow::bail!("the farmer ended before all blocks were there");
            }
            id = sealed.recv() => blocks.extend(id),
        }
        if blocks.len() >= wanted.blocks as usize {
            blocks = active(&node, blocks).await?;
        }
    }
    drop(stop);
    farmer.await?;
    Ok(blocks)
}

/// Those of the blocks that are in the best chain: a farmer elsewhere may have taken the place of one.
async fn active(node: &HttpClient, blocks: Vec<BlockId>) -> anyhow::Result<Vec<BlockId>> {
    let mut active = Vec::new();
    for id in blocks {
        let header = node.get_block_header(id, None).await?;
        if header["confirmations"].as_i64().is_some_and(|count| count > 0) {
            active.push(id);
        }
    }
    Ok(active)
}
