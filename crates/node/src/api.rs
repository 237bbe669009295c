//! The node's answers to RPC: each is a query that the loop runs between two events.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use mass_consensus::{
    header::{Header, SealClaim},
    spec::Checkpoint,
    tree::Node as TreeNode,
};
use mass_primitives::{BlockId, Decode, Encode, FarmerPublicKey, Height, SealSignature, VrfProof};
use mass_rpc::{
    Ban, CheckpointStatus, ErrorObjectOwned, LastSeal, MassServer, RpcResult, Status, Work, async_trait,
    errors,
    metrics::{Page, Render},
};

use crate::{
    chain::Chain,
    compact::CompactTally,
    error::ChainError,
    health,
    ledger::NodeLedger,
    node::{Moment, Node},
    queries::Queries,
    standard::not_stored,
};

/// How often is looked for news by who waits for it: a small part of the shortest slot.
const NEWS: Duration = Duration::from_millis(50);

/// How long news is waited for, so that who asks knows that the node is there.
const NEWS_MAX: Duration = Duration::from_secs(5);

/// The RPC of one node.
pub struct Api<L: NodeLedger>(pub Queries<L>);

pub(crate) fn fault(error: impl Into<ChainError>) -> ErrorObjectOwned {
    let error = error.into();
    match &error {
        ChainError::Decode(_) | ChainError::Transaction(_) => errors::decode(error.to_string()),
        ChainError::Address(_) => errors::invalid_parameter(error.to_string()),
        ChainError::Pool(_) | ChainError::Ledger(_) | ChainError::Block(_) | ChainError::Refused(_) => {
            errors::rejected(error.to_string())
        }
        ChainError::MissingCoin { .. } => errors::verify(error.to_string()),
        ChainError::Unprepared(_) => errors::not_found(error.to_string()),
        _ => errors::misc(error.to_string()),
    }
}

pub(crate) fn unhex(text: &str) -> RpcResult<Vec<u8>> {
    hex::decode(text).map_err(|_| errors::decode("not a hexadecimal text"))
}

pub(crate) fn tree_node<L: NodeLedger>(chain: &Chain<L>, id: &BlockId) -> RpcResult<TreeNode> {
    chain.engine().tree().get(id).ok_or_else(|| errors::not_found(format!("block {id} is not known")))
}

/// Blocks of one answer together have so many bytes, and one more block.
const BLOCKS_BYTES: usize = 1 << 20;

fn some_blocks<L: NodeLedger>(chain: &Chain<L>, from: Height, max: u32) -> RpcResult<Vec<String>> {
    if from == Height::ZERO {
        return Err(errors::invalid_parameter("the genesis block has no seal: blocks begin at height 1"));
    }
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for height in (from.get()..).take(max as usize).map(Height::new) {
        let Some(id) = chain.store().active_id(height).map_err(fault)? else { break };
        let missing = || not_stored(chain, height);
        let block = chain.block_bytes(&id).map_err(fault)?.ok_or_else(missing)?;
        bytes += block.len();
        blocks.push(hex::encode(block));
        if bytes >= BLOCKS_BYTES {
            break;
        }
    }
    Ok(blocks)
}

fn last_seal<L: NodeLedger>(node: &Node<L>, farmer: &FarmerPublicKey) -> Option<LastSeal> {
    let last = node.chain().engine().last_seal(farmer)?;
    Some(LastSeal { slot: last.slot, height: last.height, id: last.id })
}

fn work<L: NodeLedger>(node: &Node<L>, farmer: Option<&FarmerPublicKey>) -> RpcResult<Work> {
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
pub(crate) fn netspace<L: NodeLedger>(chain: &Chain<L>) -> RpcResult<u128> {
    let difficulty = tree_node(chain, chain.engine().tip())?.difficulty;
    Ok(difficulty.get() / u128::from(chain.spec().rules().interval_slots))
}

fn status<L: NodeLedger>(node: &Node<L>) -> RpcResult<Status> {
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
        synced: is_synced(chain),
        listen: node.listen().iter().map(ToString::to_string).collect(),
        banned: bans(chain).len() as u64,
        checkpoint: newest_checkpoint(chain),
    })
}

/// Whether no better header is known, nor a checkpoint that is still to come.
pub(crate) fn is_synced<L: NodeLedger>(chain: &Chain<L>) -> bool {
    chain.is_current() && newest_checkpoint(chain).is_none_or(|checkpoint| checkpoint.reached)
}

pub(crate) fn newest_checkpoint<L: NodeLedger>(chain: &Chain<L>) -> Option<CheckpointStatus> {
    let Checkpoint { height, id } = *chain.spec().newest_checkpoint()?;
    Some(CheckpointStatus { height, id, reached: chain.engine().tree().get(&id).is_some() })
}

/// The metrics of a node. Their names are stable.
pub fn metrics<L: NodeLedger>(queries: Queries<L>, dir: PathBuf) -> Render {
    Arc::new(move || {
        let (queries, dir) = (queries.clone(), dir.clone());
        Box::pin(async move {
            let mut page = Page::default();
            match queries.ask(|node| status(node).map(|status| (status, node.compact_tally()))).await {
                Some(Ok((status, tally))) => {
                    fill(&mut page, &status, tally);
                    health::measure(&mut page, queries, dir, &status.name).await;
                }
                _ => page.is_down("the node is stopping"),
            }
            page
        })
    })
}

fn fill(page: &mut Page, status: &Status, tally: CompactTally) {
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
    for (how, count) in [("pool", tally.pool), ("pieces", tally.pieces), ("whole", tally.whole)] {
        let labels = [("chain", status.name.as_str()), ("how", how)];
        let help = "Blocks that peers told by what this node lacks, by how it came to have them";
        page.counter("mass_node_compact_blocks", help, &labels, count);
    }
}

fn bans<L: NodeLedger>(chain: &Chain<L>) -> Vec<Ban> {
    let engine = chain.engine();
    let banned = engine.banned().filter_map(|farmer| {
        let block = engine.ban(farmer, engine.tip())?;
        Some(Ban { farmer: *farmer, height: engine.tree().get(&block)?.height })
    });
    banned.collect()
}

#[async_trait]
impl<L: NodeLedger> MassServer for Api<L> {
    async fn work(&self, farmer: Option<FarmerPublicKey>, known: Option<Work>) -> RpcResult<Work> {
        let begun = Instant::now();
        loop {
            let work = self.0.answer(move |node| work(node, farmer.as_ref())).await?;
            if known.as_ref() != Some(&work) || begun.elapsed() > NEWS_MAX {
                return Ok(work);
            }
            tokio::time::sleep(NEWS).await;
        }
    }

    async fn prepare_block(&self, claim: String, payout: String) -> RpcResult<String> {
        let claim = SealClaim::from_bytes(&unhex(&claim)?).map_err(fault)?;
        let header =
            self.0.answer(move |node| node.chain_mut().prepare(claim, &payout).map_err(fault)).await?;
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
        let submit = move |node: &mut Node<L>| {
            node.submit(&id, vrf_proof, signature, Moment::now()).map_err(fault)?;
            Ok(id)
        };
        self.0.answer(submit).await
    }

    async fn status(&self) -> RpcResult<Status> {
        self.0.answer(|node| status(node)).await
    }

    async fn bans(&self) -> RpcResult<Vec<Ban>> {
        self.0.answer(|node| Ok(bans(node.chain()))).await
    }

    async fn last_seal(&self, farmer: FarmerPublicKey) -> RpcResult<Option<LastSeal>> {
        self.0.answer(move |node| Ok(last_seal(node, &farmer))).await
    }

    async fn blocks(&self, from: Height, max: u32) -> RpcResult<Vec<String>> {
        self.0.answer(move |node: &mut Node<L>| some_blocks(node.chain(), from, max)).await
    }
}
