//! A light sync from the first question to the last block.

use bdk_wallet::{
    Update,
    chain::{BlockId as CheckpointId, CheckPoint},
};
use bitcoin::{Block, bip158::BlockFilter};
use mass_consensus::spec::ChainSpec;
use mass_primitives::{BlockId, Height, Slot};

use super::{
    Finding, Lie, LightError, LightSynced, Source, file,
    filters::{self, Outcome},
    headers::{Headers, Taken},
};
use crate::{
    error::WalletError,
    ledger_chain::{block_hash, block_id},
    sync::{DENSE_BLOCKS, Progress, unix_now},
    wallet::Wallet,
};

/// Times that the chain may change while it is read.
const ATTEMPTS: u32 = 8;

/// The nodes of a sync, and what was found of them.
pub(super) struct Nodes {
    pub(super) all: Vec<Source>,
    findings: Vec<Finding>,
    weight_max: u64,
    blocks: u32,
}

impl Nodes {
    /// A node is not asked any more.
    pub(super) fn out(&mut self, at: usize, what: Lie) {
        self.all[at].is_out = true;
        self.note(at, what);
    }

    fn note(&mut self, at: usize, what: Lie) {
        let finding = Finding { node: self.all[at].name.clone(), what };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Those of which nothing bad was found.
    pub(super) fn honest(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|at| !self.all[*at].is_out).collect()
    }

    /// Those of them that are on the best chain and have all of it.
    pub(super) fn on_best(&self, headers: &Headers) -> Vec<usize> {
        let best = headers.at(headers.height());
        self.honest().into_iter().filter(|at| Some(self.all[*at].tip) == best).collect()
    }

    pub(super) fn none_left(&mut self) -> WalletError {
        Box::new(LightError::NoHonestNode(std::mem::take(&mut self.findings))).into()
    }

    pub(super) fn unsettled(&mut self, height: Height) -> WalletError {
        let findings = std::mem::take(&mut self.findings);
        Box::new(LightError::Unsettled { height, findings }).into()
    }

    /// A block of the best chain, from the first node that gives it.
    pub(super) async fn block(&mut self, height: Height, id: BlockId) -> Option<Block> {
        for at in self.honest() {
            match self.all[at].block(height, id, self.weight_max).await {
                Ok(block) => {
                    self.blocks = self.blocks.saturating_add(1);
                    return Some(block);
                }
                // A node on another branch need not have it.
                Err(Lie::WithheldBlock(..)) if self.all[at].has_moved(height, id).await => {}
                Err(lie) => self.out(at, lie),
            }
        }
        None
    }
}

/// How following the filters ended.
enum Followed {
    Done(u32),
    Again,
    Restart,
}

impl Wallet {
    /// Learns what happened on the chain, believing no node: see [`light`](crate::light). Payments that no block
    /// holds are asked of one node that did not lie.
    ///
    /// # Errors
    /// [`WalletError::Light`] if no honest node is left, or what cannot be written.
    pub async fn sync_light(
        &mut self,
        spec: &ChainSpec,
        sources: Vec<Source>,
        mut progress: impl FnMut(Progress),
    ) -> Result<LightSynced, WalletError> {
        if spec.inherits_beacon() {
            return Err(Box::new(LightError::InheritedBeacon).into());
        }
        let genesis = block_id(self.chain.genesis.block_hash());
        let mut nodes =
            Nodes { all: sources, findings: Vec::new(), weight_max: self.chain.weight_max, blocks: 0 };
        self.greet(&mut nodes, genesis).await;
        let mut headers = file::read(&self.dir, spec).unwrap_or_else(|| Headers::new(spec, genesis));
        let mut filters = 0u32;
        for _attempt in 0..ATTEMPTS {
            if nodes.honest().is_empty() {
                return Err(nodes.none_left());
            }
            if !take_headers(&mut nodes, &mut headers, self.now()).await {
                headers = Headers::new(spec, genesis);
                continue;
            }
            match self.follow(&mut nodes, &mut headers, &mut progress).await? {
                Followed::Done(count) => {
                    filters = filters.saturating_add(count);
                    file::write(&self.dir, spec, &headers)?;
                    return self.end(nodes, &headers, filters).await;
                }
                Followed::Again => {}
                // What was believed of filters may be a lie: all of it is looked at again.
                Followed::Restart => {
                    headers = Headers::new(spec, genesis);
                    self.forget()?;
                }
            }
        }
        Err(Box::new(LightError::Unsteady).into())
    }

    /// The slot by this machine's clock.
    fn now(&self) -> Slot {
        self.chain.spec.slot_at(unix_now()).unwrap_or_default()
    }

    /// Leaves out who is not there or is of another chain.
    async fn greet(&self, nodes: &mut Nodes, genesis: BlockId) {
        for at in 0..nodes.all.len() {
            nodes.all[at].tip = genesis;
            match self.check_node(&nodes.all[at].client).await {
                Ok(()) => {}
                Err(error @ (WalletError::NodeChain { .. } | WalletError::NodeGenesis { .. })) => {
                    nodes.out(at, Lie::OtherChain(error.to_string()));
                }
                Err(error) => nodes.out(at, Lie::Silent(error.to_string())),
            }
        }
    }

    /// Looks the wallet's scripts up in the filters above what it knows.
    async fn follow(
        &mut self,
        nodes: &mut Nodes,
        headers: &mut Headers,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Followed, WalletError> {
        let Some(mut connected) = self.fork_of(headers) else { return Ok(Followed::Restart) };
        let (matched, target) = (Height::new(connected.height), headers.height());
        // Filter headers follow from each other, from the first one or from one that is known.
        let known = headers.filter_headers.range(..=matched).next_back();
        // The last one is asked for again, if there is no newer one: other nodes may say otherwise.
        let mut next = known.map_or(0, |(height, _)| (height.get() + 1).min(target.get()));
        let from_start = next == 0;
        if from_start && headers.at(Height::ZERO).is_none() {
            return Ok(Followed::Restart);
        }
        let (mut count, weighed) = (0, target.get().saturating_sub(DENSE_BLOCKS));
        let above = connected.height + 1;
        if let Some(id) = headers.at(Height::new(above)) {
            // This one first: it takes the place of the old branch.
            self.know(&mut connected, &[(above, id)])?;
        }
        while next <= target.get() {
            let checked = match filters::next(nodes, headers, (Height::new(next), from_start)).await? {
                Outcome::Checked(checked) => checked,
                Outcome::Restart => return Ok(Followed::Restart),
                Outcome::Moved => return Ok(Followed::Again),
            };
            let mut points = Vec::new();
            for (height, id, filter) in checked {
                next = height.get() + 1;
                if height > matched {
                    count += 1;
                    if self.matches(&id, &filter) {
                        let block = nodes.block(height, id).await.ok_or_else(|| nodes.none_left())?;
                        self.know(&mut connected, &points)?;
                        points.clear();
                        let applied = self.bdk.apply_block_connected_to(&block, height.get(), connected);
                        applied.map_err(|error| WalletError::Payment(error.to_string()))?;
                        connected = CheckpointId { height: height.get(), hash: block_hash(&id) };
                    } else if height.get() > weighed {
                        points.push((height.get(), id));
                    }
                }
                progress(Progress { height, target });
            }
            if let Some(id) = headers.at(Height::new(next - 1)).filter(|_| next > matched.get() + 1) {
                points.retain(|(height, _)| *height != next - 1);
                points.push((next - 1, id));
            }
            self.know(&mut connected, &points)?;
            self.persist()?;
        }
        Ok(Followed::Done(count))
    }

    /// The newest block that the wallet knows and that is on the best chain; `None` if all that it knows lies below
    /// the headers that are kept, or there are gaps above it.
    fn fork_of(&self, headers: &Headers) -> Option<CheckpointId> {
        let mut above = None;
        for point in self.bdk.checkpoints().map(|point| point.block_id()) {
            if headers.at(Height::new(point.height)) == Some(block_id(point.hash)) {
                let has_gap = above.is_some_and(|above| above != point.height + 1);
                return (!has_gap || point.height >= headers.height().get()).then_some(point);
            }
            above = Some(point.height);
        }
        None
    }

    /// Has BDK know blocks of the best chain above `connected`, in the order of their heights.
    fn know(&mut self, connected: &mut CheckpointId, points: &[(u32, BlockId)]) -> Result<(), WalletError> {
        let points = points.iter().filter(|(height, _)| *height > connected.height);
        let points: Vec<CheckpointId> =
            points.map(|(height, id)| CheckpointId { height: *height, hash: block_hash(id) }).collect();
        let Some(last) = points.last().copied() else { return Ok(()) };
        let chain = CheckPoint::from_block_ids(std::iter::once(*connected).chain(points)).ok();
        let update = Update { chain, ..Update::default() };
        self.bdk.apply_update(update).map_err(|error| WalletError::Payment(error.to_string()))?;
        *connected = last;
        Ok(())
    }

    fn matches(&self, id: &BlockId, filter: &BlockFilter) -> bool {
        let scripts = self.bdk.spk_index().inner().all_spks();
        let scripts = scripts.values().map(|script| script.as_bytes());
        // One that does not decode is taken for a match: then the block is read.
        filter.match_any(&block_hash(id), scripts).unwrap_or(true)
    }

    async fn end(
        &mut self,
        mut nodes: Nodes,
        headers: &Headers,
        filters: u32,
    ) -> Result<LightSynced, WalletError> {
        let best = headers.height();
        let on_best = nodes.on_best(headers);
        for at in nodes.honest().into_iter().filter(|at| !on_best.contains(at)) {
            let height = headers.tree.get(&nodes.all[at].tip).map_or(Height::ZERO, |node| node.height);
            let missing = best.get().saturating_sub(height.get());
            nodes.note(at, Lie::Behind { height, missing });
        }
        let stale = headers.staleness(self.now());
        for at in on_best.iter().filter(|_| stale.is_some()) {
            nodes.note(*at, stale.clone().expect("looked at above"));
        }
        let Some(node) = on_best.first().map(|at| nodes.all[*at].client.clone()) else {
            return Err(nodes.none_left());
        };
        self.sync_pool(&node).await?;
        self.persist()?;
        let tip = self.bdk.latest_checkpoint();
        Ok(LightSynced {
            height: Height::new(tip.height()),
            tip: block_id(tip.hash()),
            headers: headers.proven,
            filters,
            blocks: nodes.blocks,
            lies: nodes.findings,
            node,
        })
    }
}

/// Takes the headers of all nodes; false if one forks off below all that is kept.
async fn take_headers(nodes: &mut Nodes, headers: &mut Headers, now: Slot) -> bool {
    for at in nodes.honest() {
        match headers.take(&mut nodes.all[at], now).await {
            Ok(Taken::Well) => {}
            Ok(Taken::TooDeep) => return false,
            Err(lie) => nodes.out(at, lie),
        }
    }
    true
}
