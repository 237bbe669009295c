//! Proofs that transactions are in a block: the header and the branches of the merkle tree, as `merkleblock` has them.

use std::collections::BTreeSet;

use bitcoin::{
    MerkleBlock, OutPoint, Txid,
    block::Header,
    consensus::encode::{deserialize, serialize_hex},
};
use mass_ledger_utxo::{UtxoLedger, coin_key};
use mass_primitives::BlockId;
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param, check_hash},
};
use serde_json::{Value, json};

use super::{index, transactions};
use crate::{
    api::{fault, tree_node},
    chain::Chain,
    methods::Method,
    node::Node,
    standard::{confirmations, stored},
};

const MAKE: &[Param] = &[Param::new("txids", Kind::Array), Param::optional("blockhash", Kind::Hash)];
const CHECK: &[Param] = &[Param::new("proof", Kind::Text)];
/// Outputs of a transaction that are looked at for one that is unspent.
const OUTPUTS_MAX: u32 = 100;

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let name = |name| ("Blockchain", name);
    vec![
        Method::new(
            name("gettxoutproof"),
            MAKE,
            "A proof in hex that transactions are in a block. Without blockhash the block is found by an unspent output \
             of one of them, or by the index tx.",
            make,
        ),
        Method::new(
            name("verifytxoutproof"),
            CHECK,
            "The transactions that a proof commits to, if its block is in the best chain; none if the proof is wrong.",
            check,
        ),
    ]
}

fn make(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let mut wanted = BTreeSet::new();
    for txid in args.value(0).as_array().into_iter().flatten() {
        let text = txid.as_str().ok_or_else(|| errors::type_mismatch("a transaction id is a string"))?;
        check_hash("txid", text)?;
        let txid: Txid = text.parse().map_err(|_| errors::invalid_parameter("not a transaction id"))?;
        if !wanted.insert(txid) {
            let why = format!("Invalid parameter, duplicated txid: {text}");
            return Err(errors::invalid_parameter(why));
        }
    }
    if wanted.is_empty() {
        return Err(errors::invalid_parameter("Parameter 'txids' cannot be empty"));
    }
    let block = match args.optional_text(1) {
        Some(_) => crate::standard::block_id(chain, args, 1)?,
        None => find_block(chain, &wanted)?,
    };
    let (header, body) = stored(chain, &block)?;
    let body = transactions::read_body(chain, &body)?;
    let txids: Vec<Txid> = transactions::transactions(&body).into_iter().map(|(txid, _)| txid).collect();
    if txids.iter().filter(|txid| wanted.contains(*txid)).count() != wanted.len() {
        return Err(errors::not_found("Not all transactions found in specified or retrieved block"));
    }
    let header: Header = deserialize(&header).map_err(|_| errors::misc("the stored header is damaged"))?;
    let proof = MerkleBlock::from_header_txids_with_predicate(&header, &txids, |txid| wanted.contains(txid));
    Ok(json!(serialize_hex(&proof)))
}

/// The block of one of these transactions.
fn find_block(chain: &Chain<UtxoLedger>, txids: &BTreeSet<Txid>) -> RpcResult<BlockId> {
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let mut height = None;
    for txid in txids {
        for vout in 0..OUTPUTS_MAX {
            let key = coin_key(&OutPoint { txid: *txid, vout });
            let coin = mass_consensus::ledger::StateRead::get(&snapshot, &key).map_err(fault)?;
            if coin.is_some() {
                let coin = transactions::coin(chain, &snapshot, &OutPoint { txid: *txid, vout })?;
                height = coin.map(|coin| coin.height);
                break;
            }
        }
        if height.is_none() && snapshot.index(index::TX).map_err(fault)?.is_some() {
            height = index::find_transaction(&snapshot, txid).map_err(fault)?.map(|place| place.height);
        }
        if height.is_some() {
            break;
        }
    }
    let id = height.map(|height| snapshot.active_id(height)).transpose().map_err(fault)?.flatten();
    id.ok_or_else(|| errors::not_found("Transaction not yet in block"))
}

fn check(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let bytes = hex::decode(args.text(0));
    let bytes = bytes.map_err(|_| errors::invalid_parameter("proof must be hexadecimal string"))?;
    let proof: MerkleBlock = deserialize(&bytes).map_err(|error| errors::misc(error.to_string()))?;
    let (mut matches, mut positions) = (Vec::new(), Vec::new());
    if proof.extract_matches(&mut matches, &mut positions).is_err() {
        return Ok(json!([]));
    }
    let chain = node.chain();
    let missing = || errors::not_found("Block not found in chain");
    let id: BlockId = proof.header.block_hash().to_string().parse().map_err(|_| missing())?;
    let height = tree_node(chain, &id).map_err(|_| missing())?.height;
    if confirmations(chain, &id, height)? < 1 {
        return Err(missing());
    }
    // A proof for another number of transactions could take an inner node for one.
    let body = transactions::read_body(chain, &stored(chain, &id)?.1)?;
    let count = 1 + body.payments().len();
    let fits = usize::try_from(proof.txn.num_transactions()) == Ok(count);
    Ok(if fits { json!(matches) } else { json!([]) })
}
