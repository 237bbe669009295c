//! The filters of a light wallet: which of those that nodes give is the block's, and which blocks match.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Block, FilterHeader, Script, Transaction, bip158::BlockFilter};
use mass_ledger_utxo::filter::basic_filter;
use mass_primitives::{BlockId, Height};

use super::{Lie, headers::Headers, source::FilterBatch, sync::Nodes};
use crate::{error::WalletError, ledger_chain::block_hash, vault};

/// Filters that are asked for at one time.
const BATCH: u32 = 500;
/// Blocks of a batch whose filters are made anew if there is one node alone.
const AUDITS: usize = 2;

/// How it went with some filters.
pub(super) enum Outcome {
    /// They are checked.
    Checked(Vec<(Height, BlockId, BlockFilter)>),
    /// What was taken for the filters below is not what nodes say.
    Restart,
    /// The chain of the nodes has changed.
    Moved,
}

/// What nodes gave, or why there is nothing to go on with.
enum Gathered {
    Batches(BTreeMap<usize, FilterBatch>),
    Instead(Outcome),
}

/// Gets the next filters and settles on which the nodes differ.
pub(super) async fn next(
    nodes: &mut Nodes,
    headers: &mut Headers,
    (from, from_start): (Height, bool),
) -> Result<Outcome, WalletError> {
    let Some(mut header) = headers.filter_header_before(from) else { return Ok(Outcome::Restart) };
    let batches = match gather(nodes, headers, (from, from_start), header).await? {
        Gathered::Batches(batches) => batches,
        Gathered::Instead(outcome) => return Ok(outcome),
    };
    let count = batches.values().map(|batch| batch.filters.len()).min().unwrap_or(0);
    let audits = if batches.len() == 1 { some_of(count)? } else { BTreeSet::new() };
    let mut filters = Vec::new();
    for position in 0..count {
        let height = Height::new(from.get().saturating_add(position as u32));
        let Some(id) = headers.at(height) else { return Ok(Outcome::Moved) };
        let known = headers.filter_headers.get(&height).map(|(_, header)| *header);
        let is_audited = known.is_none() && audits.contains(&position);
        let filter = agreed(nodes, &batches, (position, height, id), is_audited).await?;
        header = filter.filter_header(&header);
        if known.is_some_and(|known| known != header) {
            return Ok(Outcome::Restart);
        }
        headers.filter_headers.insert(height, (id, header));
        filters.push((height, id, filter));
    }
    Ok(Outcome::Checked(filters))
}

/// Filters from each node on the best chain that stand on the filter header `previous`.
async fn gather(
    nodes: &mut Nodes,
    headers: &Headers,
    (from, from_start): (Height, bool),
    previous: FilterHeader,
) -> Result<Gathered, WalletError> {
    let left = headers.height().get().saturating_sub(from.get()).saturating_add(1);
    let (mut batches, mut has_moved) = (BTreeMap::new(), false);
    for at in nodes.on_best(headers) {
        let batch = match nodes.all[at].filters(from, BATCH.min(left)).await {
            Ok(batch) => batch,
            Err(lie) => {
                nodes.out(at, lie);
                continue;
            }
        };
        if let Some((height, id)) = strays(&batch, headers, from) {
            if nodes.all[at].has_moved(height, id).await {
                has_moved = true;
            } else {
                nodes.out(at, Lie::FilterForm(height, "it is of another block"));
            }
        } else if batch.previous == previous {
            batches.insert(at, batch);
        } else if from_start {
            let reason = "the header before it does not follow from the filters below";
            nodes.out(at, Lie::FilterForm(from, reason));
        } else {
            // Either it lies now, or one lied before: from the beginning both are found out.
            return Ok(Gathered::Instead(Outcome::Restart));
        }
    }
    match (batches.is_empty(), has_moved) {
        (false, _) => Ok(Gathered::Batches(batches)),
        (true, true) => Ok(Gathered::Instead(Outcome::Moved)),
        (true, false) => Err(nodes.none_left()),
    }
}

/// The filter of a block: that of all nodes, or where they differ, and where it is audited, the one made of the block.
async fn agreed(
    nodes: &mut Nodes,
    batches: &BTreeMap<usize, FilterBatch>,
    (position, height, id): (usize, Height, BlockId),
    is_audited: bool,
) -> Result<BlockFilter, WalletError> {
    let mut given: Vec<(usize, &BlockFilter)> = Vec::new();
    for (at, batch) in batches.iter().filter(|(at, _)| !nodes.all[**at].is_out) {
        given.extend(batch.filters.get(position).map(|(_, filter)| (*at, filter)));
    }
    let Some((_, first)) = given.first() else { return Err(nodes.none_left()) };
    let differ = given.iter().any(|(_, filter)| filter.content != first.content);
    let told = BlockFilter { content: first.content.clone() };
    if !differ && !is_audited {
        return Ok(told);
    }
    let filter = match settle(nodes, height, id).await {
        Some(made) => {
            let wrong = given.iter().filter(|(_, filter)| filter.content != made.content);
            wrong.for_each(|(at, _)| nodes.out(*at, Lie::FilterForged(height)));
            made
        }
        None if differ => return Err(nodes.unsettled(height)),
        None => told,
    };
    if nodes.honest().is_empty() { Err(nodes.none_left()) } else { Ok(filter) }
}

/// The first filter of a batch that is not of the block at its place.
fn strays(batch: &FilterBatch, headers: &Headers, from: Height) -> Option<(Height, BlockId)> {
    (from.get()..).zip(&batch.filters).find_map(|(height, (hash, _))| {
        let height = Height::new(height);
        let expected = headers.at(height);
        (expected != Some(*hash)).then(|| (height, expected.unwrap_or(BlockId::ZERO)))
    })
}

/// Some positions that nobody can foresee.
fn some_of(count: usize) -> Result<BTreeSet<usize>, WalletError> {
    let mut random = [0; 8 * AUDITS];
    vault::fill(&mut random)?;
    let (numbers, _) = random.as_chunks::<8>();
    let most = count.max(1) as u64;
    Ok(numbers.iter().map(|bytes| (u64::from_le_bytes(*bytes) % most) as usize).collect())
}

/// The filter of a block, made from the block and what it spends; `None` if no node gives them.
async fn settle(nodes: &mut Nodes, height: Height, id: BlockId) -> Option<BlockFilter> {
    let block = nodes.block(height, id).await?;
    if height == Height::ZERO {
        return Some(basic_filter(&block_hash(&id), &block.txdata, []));
    }
    for at in nodes.honest() {
        match nodes.all[at].spent(height, id).await {
            Ok(mut spent) => {
                spent.extend(block.txdata.iter().map(|tx| (tx.compute_txid(), tx.clone())));
                match scripts(&block, &spent) {
                    Some(scripts) => return Some(basic_filter(&block_hash(&id), &block.txdata, scripts)),
                    None => nodes.out(at, Lie::SpentForged(height, id)),
                }
            }
            // Not every node has the index for it.
            Err(Lie::WithheldBlock(..)) => {}
            Err(lie) => nodes.out(at, lie),
        }
    }
    None
}

/// The scripts of the coins that a block spends. An id commits to the outputs of its transaction, so whoever gives
/// the transactions cannot lie.
fn scripts<'a>(block: &Block, spent: &'a BTreeMap<bitcoin::Txid, Transaction>) -> Option<Vec<&'a Script>> {
    let inputs = block.txdata.iter().skip(1).flat_map(|tx| &tx.input);
    let scripts = inputs.map(|input| {
        let coin = input.previous_output;
        let output = spent.get(&coin.txid)?.output.get(coin.vout as usize)?;
        Some(output.script_pubkey.as_script())
    });
    scripts.collect()
}
