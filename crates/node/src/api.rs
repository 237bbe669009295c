//! The node's answers to RPC: each is a query that the loop runs between two events.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bitcoin::{OutPoint, Txid, consensus::encode::serialize_hex, hashes::Hash as _};
use mass_consensus::{
    header::{HEADER_BYTES, Header, SealClaim},
    ledger::ApplyError,
    tree::Node as TreeNode,
};
use mass_ledger_utxo::{
    LedgerError, Supply as LedgerSupply, address, body::Body, read_coin, reward::read_pending,
};
use mass_network::Command;
use mass_primitives::{BlockId, Decode, Encode, FarmerPublicKey, Height, SealSignature, VrfProof};
use mass_rpc::{
    Ban, ErrorObjectOwned, LastSeal, MassServer, Pending, RpcResult, Status, Supply, Work, async_trait,
    errors,
    metrics::{Page, Render},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    chain::Chain,
    error::ChainError,
    node::{Moment, Node},
    run::{Query, Running, ask},
};

/// How often is looked for news by who waits for it: a small part of the shortest slot.
const NEWS: Duration = Duration::from_millis(50);

/// How long news is waited for, so that who asks knows that the node is there.
const NEWS_MAX: Duration = Duration::from_secs(5);

/// The RPC of one node.
pub struct Api {
    queries: mpsc::Sender<Query>,
}

impl Api {
    /// RPC that asks through `queries`.
    pub const fn new(queries: mpsc::Sender<Query>) -> Self {
        Self { queries }
    }

    async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Node) -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        let query = |running: &mut Running| query(&mut running.node);
        ask(&self.queries, query).await.unwrap_or_else(|| Err(errors::misc("the node is stopping")))
    }
}

fn fault(error: impl Into<ChainError>) -> ErrorObjectOwned {
    let error = error.into();
    match &error {
        ChainError::Decode(_) | ChainError::Transaction(_) => errors::decode(error.to_string()),
        ChainError::Address(_) => errors::invalid_parameter(error.to_string()),
        ChainError::Pool(_) | ChainError::Ledger(_) | ChainError::Block(_) | ChainError::Refused(_) => {
            errors::rejected(error.to_string())
        }
        ChainError::Unprepared(_) => errors::not_found(error.to_string()),
        _ => errors::misc(error.to_string()),
    }
}

fn apply_fault(error: ApplyError<LedgerError>) -> ErrorObjectOwned {
    fault(crate::chain::from_apply(error))
}

fn unhex(text: &str) -> RpcResult<Vec<u8>> {
    hex::decode(text).map_err(|_| errors::decode("not a hexadecimal text"))
}

fn tree_node<'a>(chain: &'a Chain, id: &BlockId) -> RpcResult<&'a TreeNode> {
    chain.engine().tree().get(id).ok_or_else(|| errors::not_found(format!("block {id} is not known")))
}

/// The header's 80 bytes and the ledger's body.
fn stored(chain: &Chain, id: &BlockId) -> RpcResult<(Vec<u8>, Vec<u8>)> {
    let missing = || errors::not_found(format!("block {id} is not stored"));
    let header = chain.store().header(id).map_err(fault)?.ok_or_else(missing)?;
    let body = chain.body(id).map_err(fault)?.ok_or_else(missing)?;
    Ok((header.bytes.get(..HEADER_BYTES).ok_or_else(missing)?.to_vec(), body))
}

fn header_json(chain: &Chain, id: &BlockId) -> RpcResult<Value> {
    let node = tree_node(chain, id)?;
    let tip = tree_node(chain, chain.engine().tip())?;
    let (bytes, _) = stored(chain, id)?;
    let header = Header::from_bytes(&bytes).map_err(fault)?;
    let active = chain.store().active_id(node.height).map_err(fault)? == Some(*id);
    let confirmations =
        if active { i64::from(tip.height.get()) - i64::from(node.height.get()) + 1 } else { -1 };
    Ok(json!({
        "hash": id, "confirmations": confirmations, "height": node.height, "version": header.version,
        "merkleroot": header.root, "time": header.time, "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits), "difficulty": node.difficulty.get().to_string(),
        "slot": node.slot, "farmer": node.farmer, "chainweight": node.weight.get().to_string(),
        "previousblockhash": (node.height > Height::ZERO).then_some(header.parent),
    }))
}

fn block_json(chain: &Chain, id: &BlockId) -> RpcResult<Value> {
    let mut value = header_json(chain, id)?;
    let (_, body) = stored(chain, id)?;
    let body =
        Body::decode(&body, chain.params().weight_max).map_err(|error| fault(ChainError::Ledger(error)))?;
    let coinbase = body.coinbase().compute_txid();
    let txids: Vec<String> = std::iter::once(coinbase)
        .chain(body.payments().iter().map(|tx| tx.compute_txid()))
        .map(|id| id.to_string())
        .collect();
    value["nTx"] = json!(txids.len());
    value["tx"] = json!(txids);
    Ok(value)
}

fn last_seal(node: &Node, farmer: &FarmerPublicKey) -> Option<LastSeal> {
    let sealed = node.chain().engine().last_seal(farmer)?;
    let claim = &sealed.seal.claim;
    Some(LastSeal { slot: claim.slot, height: claim.height, id: sealed.id() })
}

fn work(node: &Node, farmer: Option<&FarmerPublicKey>) -> RpcResult<Work> {
    let chain = node.chain();
    let now = chain.spec().slot_at(Moment::now().unix).unwrap_or_default();
    let expected = chain.expectation(now).map_err(fault)?;
    Ok(Work {
        chain: *chain.spec().id(),
        tip: *chain.engine().tip(),
        height: expected.height,
        after: expected.after,
        seed: expected.seed,
        difficulty: expected.difficulty.get().to_string(),
        now,
        sealed: farmer.and_then(|farmer| last_seal(node, farmer)),
    })
}

/// Mean netspace in bytes by the tip's difficulty, `D / interval_slots` (LOT-3).
fn netspace(chain: &Chain) -> RpcResult<u128> {
    let difficulty = tree_node(chain, chain.engine().tip())?.difficulty;
    Ok(difficulty.get() / u128::from(chain.spec().rules().interval_slots))
}

fn status(node: &Node) -> RpcResult<Status> {
    let chain = node.chain();
    let tip = *chain.engine().tip();
    Ok(Status {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        name: chain.spec().rules().name.clone(),
        chain: *chain.spec().id(),
        height: tree_node(chain, &tip)?.height,
        tip,
        peers: node.peers().len() as u32,
        reorgs: chain.engine().reorgs(),
        mempool: chain.pool().len() as u64,
        netspace_bytes: netspace(chain)?.to_string(),
        synced: chain.engine().tree().better_than(&tip).next().is_none(),
        listen: node.listen().iter().map(ToString::to_string).collect(),
        banned: bans(chain).len() as u64,
    })
}

/// The metrics of a node. Their names are stable.
pub fn metrics(queries: mpsc::Sender<Query>) -> Render {
    Arc::new(move || {
        let queries = queries.clone();
        Box::pin(async move {
            let mut page = Page::default();
            if let Some(Ok(status)) = ask(&queries, |running| status(&running.node)).await {
                fill(&mut page, &status);
            }
            page
        })
    })
}

fn fill(page: &mut Page, status: &Status) {
    let labels = [("chain", status.name.as_str())];
    let netspace = status.netspace_bytes.parse().unwrap_or(0.0);
    let gauges = [
        ("mass_node_height", "Height of the tip", f64::from(status.height.get())),
        ("mass_node_peers", "Connected peers", f64::from(status.peers)),
        (
            "mass_node_synced",
            "Whether the node has caught up with its peers",
            f64::from(u8::from(status.synced)),
        ),
        ("mass_node_mempool_transactions", "Transactions that wait for a block", status.mempool as f64),
        ("mass_node_banned_keys", "Farmer keys that are banned", status.banned as f64),
        ("mass_node_netspace_bytes", "Estimate of the space that farms the chain", netspace),
    ];
    gauges.into_iter().for_each(|(name, help, value)| page.gauge(name, help, &labels, value));
    if let Some(version) = &status.version {
        let labels = [("chain", status.name.as_str()), ("version", version.as_str())];
        page.gauge("mass_node_build", "Always 1; the label says which version runs", &labels, 1.0);
    }
    page.counter("mass_node_reorgs", "Reorganisations since the start", &labels, status.reorgs);
}

fn bans(chain: &Chain) -> Vec<Ban> {
    let engine = chain.engine();
    let banned = engine.banned().filter_map(|farmer| {
        let block = engine.ban(farmer, engine.tip())?;
        Some(Ban { farmer: *farmer, height: engine.tree().get(&block)?.height })
    });
    banned.collect()
}

fn supply(chain: &Chain) -> RpcResult<Supply> {
    let state = chain.store().snapshot().map_err(fault)?;
    let ledger = LedgerSupply::read(&state).map_err(apply_fault)?;
    let mut pending = mass_primitives::Amount::ZERO;
    for reward in pending_heights(chain, &state)? {
        pending = pending.checked_add(reward.1.amount).ok_or_else(|| errors::misc("amounts overflow"))?;
    }
    Ok(Supply { issued: ledger.issued, burned: ledger.burned, genesis: ledger.genesis, pending })
}

/// Rewards not yet paid, by the height that earned them.
fn pending_heights(
    chain: &Chain,
    state: &mass_storage::Snapshot,
) -> RpcResult<Vec<(Height, mass_ledger_utxo::PendingReward)>> {
    let tip = tree_node(chain, chain.engine().tip())?.height.get();
    let mut found = Vec::new();
    for height in tip.saturating_sub(chain.params().reward_delay)..=tip {
        let height = Height::new(height);
        let reward = read_pending(state, height).map_err(apply_fault)?;
        found.extend(reward.map(|reward| (height, reward)));
    }
    Ok(found)
}

#[async_trait]
impl MassServer for Api {
    async fn work(&self, farmer: Option<FarmerPublicKey>, known: Option<Work>) -> RpcResult<Work> {
        let begun = Instant::now();
        loop {
            let work = self.ask(move |node| work(node, farmer.as_ref())).await?;
            if known.as_ref() != Some(&work) || begun.elapsed() > NEWS_MAX {
                return Ok(work);
            }
            tokio::time::sleep(NEWS).await;
        }
    }

    async fn prepare_block(&self, claim: String, payout: String) -> RpcResult<String> {
        let claim = SealClaim::from_bytes(&unhex(&claim)?).map_err(fault)?;
        let header = self.ask(move |node| node.chain_mut().prepare(claim, &payout).map_err(fault)).await?;
        Ok(hex::encode(header.to_bytes()))
    }

    async fn submit_seal(
        &self,
        header: String,
        vrf_proof: VrfProof,
        signature: SealSignature,
    ) -> RpcResult<BlockId> {
        let header = Header::from_bytes(&unhex(&header)?).map_err(fault)?;
        let id = header.id();
        let submit = move |node: &mut Node| {
            node.submit(&id, vrf_proof, signature, Moment::now()).map_err(fault)?;
            Ok(id)
        };
        self.ask(submit).await
    }

    async fn status(&self) -> RpcResult<Status> {
        self.ask(|node| status(node)).await
    }

    async fn supply(&self) -> RpcResult<Supply> {
        self.ask(|node| supply(node.chain())).await
    }

    async fn bans(&self) -> RpcResult<Vec<Ban>> {
        self.ask(|node| Ok(bans(node.chain()))).await
    }

    async fn last_seal(&self, farmer: FarmerPublicKey) -> RpcResult<Option<LastSeal>> {
        self.ask(move |node| Ok(last_seal(node, &farmer))).await
    }

    async fn pending(&self, farmer: FarmerPublicKey) -> RpcResult<Vec<Pending>> {
        let query = move |node: &mut Node| {
            let chain = node.chain();
            let state = chain.store().snapshot().map_err(fault)?;
            let rewards =
                pending_heights(chain, &state)?.into_iter().filter(|(_, reward)| reward.farmer == farmer);
            let prefix = &chain.params().address_prefix;
            rewards
                .map(|(height, reward)| {
                    let address = address::encode(prefix, &reward.payout_script).map_err(fault)?;
                    Ok(Pending { height, amount: reward.amount, address })
                })
                .collect()
        };
        self.ask(query).await
    }

    async fn get_block_count(&self) -> RpcResult<Height> {
        self.ask(|node| Ok(tree_node(node.chain(), node.chain().engine().tip())?.height)).await
    }

    async fn get_best_block_hash(&self) -> RpcResult<BlockId> {
        self.ask(|node| Ok(*node.chain().engine().tip())).await
    }

    async fn get_block_hash(&self, height: Height) -> RpcResult<BlockId> {
        let query = move |node: &mut Node| {
            let id = node.chain().store().active_id(height).map_err(fault)?;
            id.ok_or_else(|| errors::invalid_parameter("Block height out of range"))
        };
        self.ask(query).await
    }

    async fn get_block(&self, hash: BlockId, verbosity: Option<u8>) -> RpcResult<Value> {
        let query = move |node: &mut Node| match verbosity.unwrap_or(1) {
            0 => {
                stored(node.chain(), &hash).map(|(header, body)| hex::encode([header, body].concat()).into())
            }
            1 => block_json(node.chain(), &hash),
            _ => Err(errors::invalid_parameter("verbosity is 0 or 1")),
        };
        self.ask(query).await
    }

    async fn get_block_header(&self, hash: BlockId, verbose: Option<bool>) -> RpcResult<Value> {
        let query = move |node: &mut Node| {
            if verbose.unwrap_or(true) {
                header_json(node.chain(), &hash)
            } else {
                stored(node.chain(), &hash).map(|(header, _)| hex::encode(header).into())
            }
        };
        self.ask(query).await
    }

    async fn get_blockchain_info(&self) -> RpcResult<Value> {
        let query = |node: &mut Node| {
            let (status, work) = (status(node)?, work(node, None)?);
            Ok(json!({
                "chain": status.name, "blocks": status.height, "bestblockhash": status.tip,
                "difficulty": work.difficulty, "netspace": status.netspace_bytes,
                "initialblockdownload": !status.synced, "chainid": status.chain, "pruned": false,
            }))
        };
        self.ask(query).await
    }

    async fn send_raw_transaction(&self, hex: String) -> RpcResult<String> {
        let bytes = unhex(&hex)?;
        let query = move |node: &mut Node| {
            let txid = node.pay(bytes, Moment::now()).map_err(fault)?;
            Ok(txid.to_string())
        };
        self.ask(query).await
    }

    async fn get_raw_mempool(&self) -> RpcResult<Vec<String>> {
        let text = |id| Txid::from_byte_array(id).to_string();
        self.ask(move |node| Ok(node.chain().pool().ids().map(text).collect())).await
    }

    async fn get_raw_transaction(&self, txid: String, verbosity: Option<u8>) -> RpcResult<String> {
        if verbosity.unwrap_or(0) != 0 {
            return Err(errors::invalid_parameter("verbosity is 0"));
        }
        let txid: Txid = txid.parse().map_err(|_| errors::invalid_parameter("not a transaction id"))?;
        let query = move |node: &mut Node| {
            let entry = node.chain().pool().get(&txid.to_byte_array());
            entry.map(|entry| hex::encode(&entry.bytes)).ok_or_else(|| {
                errors::not_found("No such mempool transaction: those in blocks are not indexed")
            })
        };
        self.ask(query).await
    }

    async fn get_tx_out(&self, txid: String, n: u32) -> RpcResult<Value> {
        let txid: Txid = txid.parse().map_err(|_| errors::invalid_parameter("not a transaction id"))?;
        let query = move |node: &mut Node| {
            let chain = node.chain();
            let state = chain.store().snapshot().map_err(fault)?;
            let coin = read_coin(&state, &OutPoint { txid, vout: n }).map_err(apply_fault)?;
            let Some(coin) = coin else { return Ok(Value::Null) };
            let tip = tree_node(chain, chain.engine().tip())?;
            Ok(json!({
                "bestblock": chain.engine().tip(), "confirmations": tip.height.get() - coin.height.get() + 1,
                "value_maxwell": coin.amount, "coinbase": coin.coinbase,
                "scriptPubKey": { "hex": serialize_hex(&coin.script),
                    "address": address::encode(&chain.params().address_prefix, &coin.script).ok() },
            }))
        };
        self.ask(query).await
    }

    async fn get_connection_count(&self) -> RpcResult<u32> {
        self.ask(|node| Ok(node.peers().len() as u32)).await
    }

    async fn get_peer_info(&self) -> RpcResult<Value> {
        self.ask(|node| Ok(node.peers().map(|peer| json!({ "id": peer.to_string() })).collect())).await
    }

    async fn add_node(&self, address: String, command: String) -> RpcResult<()> {
        let parsed = address.parse().map_err(|_| errors::invalid_parameter("not a multiaddress"))?;
        let query = move |node: &mut Node| match command.as_str() {
            "add" | "onetry" => {
                node.send(Command::Dial(parsed));
                Ok(())
            }
            _ => Err(errors::invalid_parameter("command is add or onetry")),
        };
        self.ask(query).await
    }

    async fn set_network_active(&self, state: bool) -> RpcResult<bool> {
        let query = move |node: &mut Node| {
            node.send(Command::SetActive(state));
            Ok(state)
        };
        self.ask(query).await
    }

    async fn stop(&self) -> RpcResult<String> {
        let stop = |running: &mut Running| running.stopping = true;
        let _ = ask(&self.queries, stop).await;
        Ok("the node is stopping".to_owned())
    }
}
