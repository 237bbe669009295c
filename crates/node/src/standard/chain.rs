//! Blocks, headers and the state of the chain.

use bitcoin::{CompactTarget, Target, consensus::deserialize};
use mass_consensus::header::HEADER_BYTES;
use mass_primitives::{BlockId, Height, Slot};
use mass_rpc::{
    ErrorObjectOwned, RpcResult, errors,
    params::{Args, Kind, Param},
};
use serde_json::{Map, Value, json};

use crate::{
    api::{fault, is_synced, netspace, newest_checkpoint, tree_node},
    chain::Chain,
    error::ChainError,
    history::Progress,
    ledger::NodeLedger,
    methods::Method,
    node::{Moment, Node},
    prune::Pruning,
};

const NONE: &[Param] = &[];
const HEIGHT: &[Param] = &[Param::new("height", Kind::Number)];
const BLOCK: &[Param] = &[Param::new("blockhash", Kind::Hash), Param::optional("verbosity", Kind::Verbosity)];
const HEADER: &[Param] = &[Param::new("blockhash", Kind::Hash), Param::optional("verbose", Kind::Bool)];
const TRANSACTION: &[Param] =
    &[Param::new("txid", Kind::Text), Param::optional("verbosity", Kind::Verbosity)];
const INDEX: &[Param] = &[Param::optional("index_name", Kind::Text)];

pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Blockchain", name);
    vec![
        Method::new(name("getblockcount"), NONE, "Height of the tip.", |node, _| {
            Ok(json!(tip_height(node.chain())?))
        }),
        Method::new(name("getbestblockhash"), NONE, "Id of the tip.", |node, _| {
            Ok(json!(node.chain().engine().tip()))
        }),
        Method::new(name("getblockhash"), HEIGHT, "Id of the block at a height of the best chain.", hash_at),
        Method::new(
            name("getblock"),
            BLOCK,
            "A block: with verbosity 0 its bytes in hex, with 1 an object (the default), with 2 also all that is in its \
             transactions, with 3 also the outputs that they spend.",
            block,
        ),
        Method::new(
            name("getblockheader"),
            HEADER,
            "A header: its 80 bytes in hex if verbose is false, else an object (the default).",
            header,
        ),
        Method::new(name("getblockchaininfo"), NONE, "The state of the chain.", chain_info),
        Method::new(
            name("getdifficulty"),
            NONE,
            "Difficulty of the tip, in the chain's own unit: bytes of space times slots.",
            |node, _| {
                Ok(json!(tree_node(node.chain(), node.chain().engine().tip())?.difficulty.get() as f64))
            },
        ),
        Method::new(
            name("getchaintips"),
            NONE,
            "The ends of all known branches. A branch that is not the active one is never executed, so the best that is \
             said of it is valid-headers.",
            tips,
        ),
        Method::new(
            ("Mass", "mass_netspace"),
            NONE,
            "Estimate of the space that farms the chain, in bytes, by the difficulty of the tip; a text in decimal.",
            |node, _| Ok(json!(netspace(node.chain())?.to_string())),
        ),
        Method::new(name("getindexinfo"), INDEX, "How far the node's indexes have come.", index_info),
        Method::new(
            ("Mining", "getmininginfo"),
            NONE,
            "What is known of the making of blocks. networkhashps is the space that farms the chain in bytes, as \
             netspace is.",
            mining_info,
        ),
        Method::new(
            ("Rawtransactions", "getrawtransaction"),
            TRANSACTION,
            "The bytes in hex of a transaction that waits for a block; verbosity is 0.",
            pooled,
        ),
    ]
}

fn tip_height<L: NodeLedger>(chain: &Chain<L>) -> RpcResult<Height> {
    Ok(tree_node(chain, chain.engine().tip())?.height)
}

/// A block id in the parameters, which is of a known header.
pub(crate) fn block_id<L: NodeLedger>(chain: &Chain<L>, args: &Args, position: usize) -> RpcResult<BlockId> {
    let id: BlockId = args.hash(position)?;
    let known = chain.engine().tree().get(&id).is_some();
    known.then_some(id).ok_or_else(|| errors::not_found("Block not found"))
}

fn hash_at<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let out_of_range = || errors::invalid_parameter("Block height out of range");
    let height = args.number(0).and_then(|height| u32::try_from(height).ok()).ok_or_else(out_of_range)?;
    let id = node.chain().store().active_id(Height::new(height)).map_err(fault)?;
    Ok(json!(id.ok_or_else(out_of_range)?))
}

/// The header's 80 bytes and the ledger's body.
pub(crate) fn stored<L: NodeLedger>(chain: &Chain<L>, id: &BlockId) -> RpcResult<(Vec<u8>, Vec<u8>)> {
    let header = header_bytes(chain, id)?;
    let body = chain.body(id).map_err(fault)?;
    match body {
        Some(body) => Ok((header, body)),
        None => Err(not_stored(chain, tree_node(chain, id)?.height)),
    }
}

/// What is said of the body of a block that is not here.
pub(crate) fn not_stored<L: NodeLedger>(chain: &Chain<L>, height: Height) -> ErrorObjectOwned {
    match chain.store().pruned_below() {
        Err(error) => fault(error),
        Ok(below) if below.is_some_and(|below| height < below) => {
            errors::misc("Block not available (pruned data)")
        }
        Ok(_) => errors::misc("Block not available (not fully downloaded)"),
    }
}

fn header_bytes<L: NodeLedger>(chain: &Chain<L>, id: &BlockId) -> RpcResult<Vec<u8>> {
    let header = chain.store().header(id).map_err(fault)?;
    let bytes = header.as_ref().and_then(|header| header.bytes.get(..HEADER_BYTES));
    bytes.map(<[u8]>::to_vec).ok_or_else(|| errors::not_found("Block not found"))
}

/// How many blocks of the active chain are on a block, with itself; -1 if it is on another branch.
pub(crate) fn confirmations<L: NodeLedger>(chain: &Chain<L>, id: &BlockId, height: Height) -> RpcResult<i64> {
    let is_active = chain.store().active_id(height).map_err(fault)? == Some(*id);
    let tip = tip_height(chain)?;
    Ok(if is_active { i64::from(tip.get()) - i64::from(height.get()) + 1 } else { -1 })
}

fn target(bits: u32) -> String {
    format!("{:064x}", Target::from_compact(CompactTarget::from_consensus(bits)))
}

/// All that is said of a header.
pub(crate) fn header_fields<L: NodeLedger>(chain: &Chain<L>, id: &BlockId) -> RpcResult<Map<String, Value>> {
    let node = tree_node(chain, id)?;
    let bytes = header_bytes(chain, id)?;
    let header: bitcoin::block::Header =
        deserialize(&bytes).map_err(|_| errors::misc("the stored header is damaged"))?;
    let confirmations = confirmations(chain, id, node.height)?;
    let next = node.height.next().filter(|_| confirmations > 1);
    let next = next.map(|next| chain.store().active_id(next)).transpose().map_err(fault)?.flatten();
    let count = match chain.body(id).map_err(fault)? {
        Some(body) => chain.ledger().transactions(&body).map_err(ledger_fault)?.len(),
        None => 0,
    };
    let fields = json!({
        "hash": id,
        "confirmations": confirmations,
        "height": node.height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root,
        "time": header.time,
        "mediantime": chain.engine().tree().median_time_past(id).unwrap_or(header.time),
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "target": target(header.bits.to_consensus()),
        "difficulty": node.difficulty.get() as f64,
        "chainwork": format!("{:064x}", node.weight.get()),
        "nTx": count,
        "slot": node.slot,
        "farmer": node.farmer,
        "difficultyexact": node.difficulty.get().to_string(),
        "chainweight": node.weight.get().to_string(),
    });
    let Value::Object(mut fields) = fields else { return Ok(Map::new()) };
    if node.height > Height::ZERO {
        fields.insert("previousblockhash".to_owned(), json!(node.parent));
    }
    fields.extend(next.map(|next| ("nextblockhash".to_owned(), json!(next))));
    Ok(fields)
}

pub(crate) fn ledger_fault(error: impl std::error::Error + Send + Sync + 'static) -> ErrorObjectOwned {
    fault(ChainError::Ledger(Box::new(error)))
}

fn header<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let id = block_id(node.chain(), args, 0)?;
    if args.is(1, true) {
        return header_fields(node.chain(), &id).map(Value::Object);
    }
    Ok(json!(hex::encode(header_bytes(node.chain(), &id)?)))
}

fn block<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let id = block_id(chain, args, 0)?;
    let (header, body) = stored(chain, &id)?;
    let verbosity = args.number(1).unwrap_or(1);
    if verbosity <= 0 {
        return Ok(json!(hex::encode([header, body].concat())));
    }
    let mut fields = header_fields(chain, &id)?;
    fields.extend(L::describe_body(chain, &id, &body, verbosity)?);
    Ok(fields.into())
}

/// How Bitcoin Core's tools call the network: by one of the names that they know.
fn network_name<L: NodeLedger>(chain: &Chain<L>) -> &'static str {
    match chain.spec().rules().name.as_str() {
        "massnet" => "main",
        "testnet" => "test",
        _ => "regtest",
    }
}

fn chain_info<L: NodeLedger>(node: &mut Node<L>, _: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let (tree, tip) = (chain.engine().tree(), *chain.engine().tip());
    let at_tip = header_fields(chain, &tip)?;
    let (height, best) = (tip_height(chain)?, tree_node(chain, tree.best())?.height);
    let progress = f64::from(height.get() + 1) / f64::from(best.max(height).get() + 1);
    let tip_field = |name: &str| at_tip.get(name).cloned().unwrap_or_default();
    let mut fields = json!({
        "chain": network_name(chain),
        "blocks": height,
        "headers": best.max(height),
        "bestblockhash": tip,
        "bits": tip_field("bits"),
        "target": tip_field("target"),
        "difficulty": tip_field("difficulty"),
        "time": tip_field("time"),
        "mediantime": tip_field("mediantime"),
        "verificationprogress": progress,
        "initialblockdownload": !is_synced(chain),
        "chainwork": tip_field("chainwork"),
        "size_on_disk": node.disk_bytes(),
        "pruned": node.pruning().is_some(),
        "warnings": [],
        "checkpoint": newest_checkpoint(chain),
        "snapshot": node.history_progress().map(|Progress { base, validated }| {
            json!({ "height": base, "validated": validated })
        }),
        "statehash": chain.store().snapshot().and_then(|state| state.state_hash()).map_err(fault)?,
        "name": chain.spec().rules().name,
        "chainid": chain.spec().id(),
        "netspace": netspace(chain)? as f64,
    });
    if let (Some(Pruning { target_bytes, .. }), Some(fields)) = (node.pruning(), fields.as_object_mut()) {
        let from = chain.store().undo_from().map_err(fault)?;
        fields.insert("pruneheight".to_owned(), json!(from));
        fields.insert("automatic_pruning".to_owned(), json!(target_bytes.is_some()));
        fields.extend(target_bytes.map(|bytes| ("prune_target_size".to_owned(), json!(bytes))));
    }
    Ok(fields)
}

fn mining_info<L: NodeLedger>(node: &mut Node<L>, _: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let at_tip = header_fields(chain, chain.engine().tip())?;
    let tip_field = |name: &str| at_tip.get(name).cloned().unwrap_or_default();
    let slot = chain.spec().slot_at(Moment::now().unix).unwrap_or(Slot::ZERO);
    let next = chain.expectation(slot).map_err(fault)?;
    let bits = mass_consensus::difficulty::compact_target(next.difficulty);
    let space = netspace(chain)? as f64;
    Ok(json!({
        "blocks": tip_height(chain)?,
        "bits": tip_field("bits"),
        "difficulty": tip_field("difficulty"),
        "target": tip_field("target"),
        "networkhashps": space,
        "pooledtx": chain.pool().len(),
        "blockmintxfee": 0.0,
        "chain": network_name(chain),
        "next": {
            "height": next.height,
            "bits": format!("{bits:08x}"),
            "difficulty": next.difficulty.get() as f64,
            "target": target(bits),
        },
        "warnings": [],
        "netspace": space,
    }))
}

fn tips<L: NodeLedger>(node: &mut Node<L>, _: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let (tree, tip) = (chain.engine().tree(), *chain.engine().tip());
    let all = tree.with_descendants(tree.genesis());
    let mut tips = Vec::new();
    for id in all.into_iter().filter(|id| *id == tip || tree.children(id).is_empty()) {
        let height = tree_node(chain, &id)?.height;
        let branch = tree.path(&tip, &id).map_or(0, |(_, enter)| enter.len());
        let status = if id == tip {
            "active"
        } else if tree.is_condemned(&id) {
            "invalid"
        } else if chain.store().body(&id).map_err(fault)?.is_some() {
            "valid-headers"
        } else {
            "headers-only"
        };
        tips.push((height, json!({ "height": height, "hash": id, "branchlen": branch, "status": status })));
    }
    tips.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
    Ok(tips.into_iter().map(|(_, tip)| tip).collect())
}

fn index_info<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let tip = tip_height(chain)?;
    let wanted = args.optional_text(0);
    let states = chain.store().indexes().map_err(fault)?.into_iter();
    let described = states.filter_map(|state| {
        let info = L::INDEXES.iter().find(|info| info.kind.name == state.name)?;
        wanted.is_none_or(|wanted| wanted == info.standard_name).then(|| {
            let best = state.next.get().saturating_sub(1);
            let fields = json!({ "synced": state.next > tip, "best_block_height": best });
            (info.standard_name.to_owned(), fields)
        })
    });
    Ok(Value::Object(described.collect()))
}

fn pooled<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    if args.number(1).unwrap_or(0) != 0 {
        return Err(errors::invalid_parameter("verbosity is 0"));
    }
    let id = L::read_id(args.text(0)).ok_or_else(|| errors::invalid_parameter("not a transaction id"))?;
    let entry = node.chain().pool().get(&id);
    let entry = entry
        .ok_or_else(|| errors::not_found("No such mempool transaction: those in blocks are not indexed"))?;
    Ok(json!(hex::encode(&entry.bytes)))
}
