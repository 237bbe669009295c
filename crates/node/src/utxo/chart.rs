//! What an explorer asks beside Bitcoin Core's methods: charts, fee bands, a block with all that checks it, and branches that
//! lost. All of it is bounded, and what is long is asked of the node piece by piece.

use std::collections::BTreeMap;

use mass_ledger_utxo::UtxoLedger;
use mass_primitives::{BlockId, Height};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param},
};
use serde_json::{Value, json};

use super::stats;
use crate::{
    api::{fault, tree_node},
    chain::Chain,
    methods::Method,
    node::Node,
    queries::Queries,
    standard::block_id,
};

const NONE: &[Param] = &[];
const CHART: &[Param] = &[Param::optional("blocks", Kind::Number), Param::optional("points", Kind::Number)];
const BLOCK: &[Param] = &[Param::new("blockhash", Kind::Hash)];

/// Blocks that a chart goes back at the most, and points that it has.
const CHART_BLOCKS_MAX: u32 = 1_000_000;
const POINTS_MAX: u32 = 500;
/// Points that the node is asked for between two other events.
const POINTS_AT_ONCE: usize = 8;
/// Branches, and blocks of one, that are told of at the most.
const FORKS_MAX: usize = 50;
const FORK_BLOCKS_MAX: usize = 100;
/// Lower ends of the fee bands, in maxwell per vbyte.
const BANDS: [u64; 16] = [0, 1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 80, 100, 200, 500, 1_000];

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let name = |name| ("Mass", name);
    vec![
        Method::aside(
            name("mass_chart"),
            CHART,
            "How the last blocks went, 1,000 without a number, in points, 100 without and 500 at the most: difficulty, space, \
             seconds between blocks, stale blocks, fees and supply.",
            |queries, args| Box::pin(chart(queries, args)),
        ),
        Method::new(
            name("mass_feeBands"),
            NONE,
            "The pool by what is paid, in maxwell per virtual byte: bands with their transactions, virtual bytes and fees.",
            fee_bands,
        ),
        Method::new(
            name("mass_sealed"),
            BLOCK,
            "A block's sealed header in hex, with what checks it beside the chain's spec: the parent's sealed header, and the \
             block that the seed comes from.",
            sealed,
        ),
        Method::new(
            name("mass_forks"),
            NONE,
            "Branches that are not the best chain, the newest first, with the block that they share with it and their own.",
            forks,
        ),
    ]
}

fn count(args: &Args, position: usize, usual: u32, max: u32) -> RpcResult<u32> {
    let Some(number) = args.number(position) else { return Ok(usual) };
    let number = u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| errors::invalid_parameter(format!("the number is to be from 1 to {max}")))
}

fn tip_height(chain: &Chain<UtxoLedger>) -> RpcResult<u32> {
    Ok(tree_node(chain, chain.engine().tip())?.height.get())
}

/// The block at a height of the best chain. In a reorganisation there may be none any more.
fn active(chain: &Chain<UtxoLedger>, height: u32) -> RpcResult<BlockId> {
    let id = chain.store().active_id(Height::new(height)).map_err(fault)?;
    id.ok_or_else(|| errors::misc("the best chain has changed meanwhile: ask again"))
}

async fn chart(queries: Queries<UtxoLedger>, args: Args) -> RpcResult<Value> {
    let blocks = count(&args, 0, 1_000, CHART_BLOCKS_MAX)?;
    let points = count(&args, 1, 100, POINTS_MAX)?;
    let (tip, stale) = queries.answer(|node| Ok((tip_height(node.chain())?, stale(node.chain())))).await?;
    let first = tip.saturating_sub(blocks);
    let heights = heights(first, tip, points);
    let mut values: Vec<Value> = Vec::new();
    for some in heights.chunks(POINTS_AT_ONCE) {
        let (some, stale) = (some.to_vec(), stale.clone());
        let more = queries.answer(move |node| {
            some.iter()
                .map(|(below, height)| point(node, *below, *height, &stale))
                .collect::<RpcResult<Vec<_>>>()
        });
        values.extend(more.await?);
    }
    Ok(json!({ "tip": tip, "points": values }))
}

/// Heights of the points, each with that of the point before, evenly from `first` to `tip`.
fn heights(first: u32, tip: u32, points: u32) -> Vec<(u32, u32)> {
    let (blocks, points) = (u64::from(tip - first), u64::from(points.min(tip - first)));
    let at = |point: u64| first + u32::try_from(blocks * point / points.max(1)).unwrap_or(0);
    (1..=points).map(|point| (at(point - 1), at(point))).collect()
}

/// Blocks off the best chain, by height.
fn stale(chain: &Chain<UtxoLedger>) -> BTreeMap<u32, u32> {
    let mut by_height = BTreeMap::new();
    for branch in branches(chain) {
        for id in branch.blocks {
            if let Some(node) = chain.engine().tree().get(&id) {
                *by_height.entry(node.height.get()).or_insert(0) += 1;
            }
        }
    }
    by_height
}

/// What is said of the blocks above `below` up to `height`.
fn point(node: &Node<UtxoLedger>, below: u32, height: u32, stale: &BTreeMap<u32, u32>) -> RpcResult<Value> {
    let chain = node.chain();
    let id = active(chain, height)?;
    let (before, placed) = (tree_node(chain, &active(chain, below)?)?, tree_node(chain, &id)?);
    let blocks = f64::from((height - below).max(1));
    let lost: u32 = stale.range(below + 1..=height).map(|(_, count)| count).sum();
    let params = chain.ledger().params();
    // Of a block whose body was pruned nothing but its header is known.
    let stats = stats::all_stats(node, &id).unwrap_or_default();
    Ok(json!({
        "height": height,
        "time": placed.time,
        "difficulty": placed.difficulty.get() as f64,
        "netspace_bytes": (placed.difficulty.get() / u128::from(chain.spec().rules().interval_slots)) as f64,
        "interval_seconds": (f64::from(placed.time) - f64::from(before.time)) / blocks,
        "stale": lost,
        "stale_rate": f64::from(lost) / (f64::from(lost) + blocks),
        "fees": stats.get("totalfee").cloned().unwrap_or_default(),
        "txs": stats.get("txs").cloned().unwrap_or_default(),
        "weight": stats.get("total_weight").cloned().unwrap_or_default(),
        "supply": params.issued_by(Height::new(height)),
    }))
}

fn fee_bands(node: &mut Node<UtxoLedger>, _: &Args) -> RpcResult<Value> {
    let mut bands = BANDS.map(|from| (from, 0u64, 0u64, 0u64));
    for resident in node.chain().pool().residents() {
        let (fee, size) = (resident.entry().fee.get(), resident.entry().weight.div_ceil(4).max(1));
        let band = BANDS.partition_point(|from| *from <= fee / size).saturating_sub(1);
        let (_, count, bytes, fees) = &mut bands[band];
        (*count, *bytes, *fees) = (*count + 1, *bytes + size, *fees + fee);
    }
    let tops = BANDS.iter().skip(1).map(|from| json!(from)).chain([Value::Null]);
    let described = bands.iter().zip(tops).map(|((from, count, bytes, fees), to)| {
        json!({ "from": from, "to": to, "count": count, "vbytes": bytes, "fees": fees })
    });
    Ok(described.collect())
}

fn sealed_hex(chain: &Chain<UtxoLedger>, id: &BlockId) -> RpcResult<Value> {
    let node = tree_node(chain, id)?;
    if node.height == Height::ZERO {
        return Ok(Value::Null);
    }
    let header = chain.store().header(id).map_err(fault)?;
    let header = header.ok_or_else(|| errors::not_found("Block not found"))?;
    Ok(json!(hex::encode(header.bytes)))
}

fn sealed(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let (id, tree, spec) = (block_id(chain, args, 0)?, chain.engine().tree(), chain.spec());
    let placed = tree_node(chain, &id)?;
    let period = spec.period(placed.height);
    // A chain that inherits its beacon has its seeds from elsewhere.
    let source = spec.seed_height(period).filter(|_| !spec.inherits_beacon());
    let source = source.and_then(|height| tree.ancestor_at(&id, height));
    let before = source.and_then(|source| {
        let source = tree.get(&source)?;
        // The seed of the period before the one that the source makes.
        let last_of = |node: &mass_consensus::tree::Node| spec.period(node.height).get() + 1 == period.get();
        last_of(&source).then_some(source.seed)
    });
    let seed_source = source.map(|source| {
        Ok::<_, mass_rpc::ErrorObjectOwned>(json!({ "hash": source, "sealed": sealed_hex(chain, &source)?,
            "height": tree_node(chain, &source)?.height, "seed_before": before }))
    });
    Ok(json!({
        "hash": id,
        "height": placed.height,
        "slot": placed.slot,
        "seed": placed.seed,
        "ticket": placed.ticket,
        "farmer": placed.farmer,
        "difficulty": placed.difficulty.get().to_string(),
        "chainweight": placed.weight.get().to_string(),
        "sealed": sealed_hex(chain, &id)?,
        "parent": { "hash": placed.parent, "sealed": sealed_hex(chain, &placed.parent)?,
            "slot": tree_node(chain, &placed.parent)?.slot },
        "seed_source": seed_source.transpose()?,
    }))
}

/// A branch that is not the best chain.
struct Branch {
    tip: BlockId,
    fork: BlockId,
    /// Its own blocks, the lowest first.
    blocks: Vec<BlockId>,
}

/// The branches, the highest first.
fn branches(chain: &Chain<UtxoLedger>) -> Vec<Branch> {
    let (tree, tip) = (chain.engine().tree(), *chain.engine().tip());
    let all = tree.with_descendants(tree.genesis()).into_iter();
    let tips = all.filter(|id| *id != tip && tree.children(id).is_empty());
    let mut branches: Vec<(u32, Branch)> = tips
        .filter_map(|end| {
            let (_, blocks) = tree.path(&tip, &end)?;
            // A block above our tip that is not executed yet is no fork.
            let fork = tree.get(blocks.first()?)?.parent;
            (fork != tip).then_some(())?;
            Some((tree.get(&end)?.height.get(), Branch { tip: end, fork, blocks }))
        })
        .collect();
    branches.sort_by_key(|(height, branch)| (std::cmp::Reverse(*height), branch.tip));
    branches.into_iter().map(|(_, branch)| branch).collect()
}

fn forks(node: &mut Node<UtxoLedger>, _: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let tree = chain.engine().tree();
    let all = branches(chain);
    let described = all.iter().take(FORKS_MAX).map(|branch| {
        let place = |id: &BlockId| {
            let node = tree.get(id);
            json!({ "hash": id, "height": node.map(|node| node.height), "time": node.map(|node| node.time),
                "slot": node.map(|node| node.slot), "farmer": node.and_then(|node| node.farmer) })
        };
        let blocks: Value = branch.blocks.iter().rev().take(FORK_BLOCKS_MAX).map(place).collect();
        json!({ "tip": branch.tip, "invalid": tree.is_condemned(&branch.tip), "fork": place(&branch.fork),
            "length": branch.blocks.len(), "blocks": blocks })
    });
    Ok(json!({ "count": all.len(), "forks": described.collect::<Value>() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_evenly_and_touch() {
        assert_eq!(heights(0, 10, 5), [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]);
        assert_eq!(heights(7, 10, 500), [(7, 8), (8, 9), (9, 10)]);
        assert_eq!(heights(3, 3, 5), []);
        let many = heights(0, u32::MAX, POINTS_MAX);
        assert_eq!((many.len(), many.last().unwrap().1), (500, u32::MAX));
        assert!(many.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }
}
