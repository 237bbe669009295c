//! Pruning by hand.

use mass_primitives::Height;
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param},
};
use serde_json::{Value, json};

use crate::{
    api::fault,
    ledger::NodeLedger,
    methods::{Answering, Method},
    node::Node,
    prune::Pruning,
    queries::Queries,
};

const HEIGHT: &[Param] = &[Param::new("height", Kind::Number)];
/// From here on a number is a time, as in Bitcoin Core.
const TIMES_FROM: i64 = 1_000_000_000;
/// How much older than a time a block must be: its farmer's clock may be off.
const TIME_TOLERANCE_SECONDS: i64 = 7_200;

pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    vec![Method::aside(
        ("Blockchain", "pruneblockchain"),
        HEIGHT,
        "Removes the blocks up to a height, or those older than a unix time, as far as they may go; the node must run with --prune. \
         Answers when it is done: the height of the last block that is gone.",
        |queries, args| -> Answering { Box::pin(prune(queries, args)) },
    )]
}

async fn prune<L: NodeLedger>(queries: Queries<L>, args: Args) -> RpcResult<Value> {
    let given = args.number(0).ok_or_else(|| errors::invalid_parameter("height is a number"))?;
    let (pruning, below) = queries.answer(move |node| goal(node, given)).await?;
    // One step at a time, between the node's other work.
    while queries.answer(move |node| node.chain().prune_to(&pruning, below).map_err(fault)).await? {}
    let line = queries.answer(|node| node.chain().store().undo_from().map_err(fault)).await?;
    Ok(json!(line.get().saturating_sub(1)))
}

/// How the node prunes, and the first height that is to stay.
fn goal<L: NodeLedger>(node: &Node<L>, given: i64) -> RpcResult<(Pruning, Height)> {
    let pruning = node.pruning().ok_or_else(|| {
        errors::misc("Cannot prune blocks because node is not in prune mode: start it with --prune")
    })?;
    if given < 0 {
        return Err(errors::invalid_parameter("Negative block height."));
    }
    let tip = node.chain().height();
    let height = match u32::try_from(given) {
        Ok(height) if given < TIMES_FROM => height,
        _ => last_before(node, given.saturating_sub(TIME_TOLERANCE_SECONDS), tip)?,
    };
    if height > tip.get() {
        return Err(errors::invalid_parameter("Blockchain is shorter than the attempted prune height."));
    }
    Ok((pruning, Height::new(height.saturating_add(1))))
}

/// The height of the last block that is older than a time. Times grow with heights, for slots do.
fn last_before<L: NodeLedger>(node: &Node<L>, time: i64, tip: Height) -> RpcResult<u32> {
    let tree = node.chain().engine().tree();
    let is_old = |height: u32| {
        let id = tree.ancestor_at(node.chain().engine().tip(), Height::new(height));
        id.and_then(|id| tree.get(&id)).is_some_and(|block| i64::from(block.time) < time)
    };
    let (mut from, mut to) = (0, tip.get().saturating_add(1));
    if is_old(tip.get()) {
        return Err(errors::invalid_parameter("Could not find block with at least the specified timestamp."));
    }
    while from < to {
        let middle = from.midpoint(to);
        (from, to) = if is_old(middle) { (middle.saturating_add(1), to) } else { (from, middle) };
    }
    Ok(from.saturating_sub(1))
}
