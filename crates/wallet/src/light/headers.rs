//! The headers of a light wallet: taken from nodes, proven, linked, and the heaviest chain of them.

use std::{collections::BTreeMap, num::NonZero, thread};

use bitcoin::{FilterHeader, hashes::Hash as _};
use mass_consensus::{
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
    tree::{HeaderTree, LinkError, TrailHeader},
};
use mass_primitives::{BlockId, Height, Slot, SlotDelta};

use super::{Lie, Source};

/// Headers that are asked for at one time. Those of the largest plots take some 2 MB so.
const BATCH: u32 = 1_000;
/// Slots that a clock may be behind.
const TOLERANCE: u64 = 1;
/// Headers that are kept. A reorganisation below them makes the wallet begin anew.
const TRAIL: usize = 4_096;
/// Slots without a block, in average intervals, after which the newest blocks seem to be withheld: by chance that
/// happens once in 10^13.
const SILENT_INTERVALS: u64 = 30;

/// Headers that were checked, and the filter headers of the best chain as far as they are known.
pub(super) struct Headers {
    pub(super) tree: HeaderTree,
    /// The best chain, by height.
    active: BTreeMap<Height, BlockId>,
    /// Filter headers of blocks of the best chain.
    pub(super) filter_headers: BTreeMap<Height, (BlockId, FilterHeader)>,
    pub(super) proven: u32,
}

/// How it went with the headers of a node.
pub(super) enum Taken {
    /// They were taken.
    Well,
    /// They fork off below all that is kept.
    TooDeep,
}

impl Headers {
    pub(super) fn new(spec: &ChainSpec, genesis: BlockId) -> Self {
        Self::with(HeaderTree::new(spec.clone(), genesis), BTreeMap::new())
    }

    /// Goes on from what was kept; `None` if that is no chain.
    pub(super) fn resume(
        spec: &ChainSpec,
        trail: &[TrailHeader],
        filter_headers: BTreeMap<Height, (BlockId, FilterHeader)>,
    ) -> Option<Self> {
        HeaderTree::resumed(spec.clone(), trail).map(|tree| Self::with(tree, filter_headers))
    }

    fn with(tree: HeaderTree, filter_headers: BTreeMap<Height, (BlockId, FilterHeader)>) -> Self {
        let mut headers = Self { tree, active: BTreeMap::new(), filter_headers, proven: 0 };
        headers.choose();
        headers
    }

    /// Takes what a node has above what is known. What holds stays, even if the node lies after it.
    pub(super) async fn take(&mut self, source: &mut Source, now: Slot) -> Result<Taken, Lie> {
        let mut from = self.height().get().saturating_add(1);
        let mut step = 1;
        loop {
            let (tip, list) = source.headers(Height::new(from), BATCH).await?;
            let lowest = self.lowest().get().saturating_add(1);
            let connects = match list.first() {
                // The node ends below: the chain that it has forks off, or is the beginning of ours.
                None if tip.get() < from && from > lowest => false,
                None if tip.get() < from => return Ok(Taken::Well),
                None => return Err(Lie::WithheldHeader { tip, missing: Height::new(from) }),
                Some(first) => self.is_known(&first.header.parent),
            };
            if !connects {
                if from <= lowest {
                    let Some(first) = list.first() else { return Ok(Taken::Well) };
                    if lowest == 1 {
                        let error = LinkError::Parent(first.header.parent);
                        return Err(Lie::HeaderMisplaced(Height::new(from), error));
                    }
                    return Ok(Taken::TooDeep);
                }
                from = from.saturating_sub(step).max(lowest);
                step = step.saturating_mul(2);
                continue;
            }
            let count = list.len() as u32;
            self.link(source, &list, (from, now))?;
            from = from.saturating_add(count);
            if from > tip.get() {
                return Ok(Taken::Well);
            }
        }
    }

    /// Whether a header can be judged on this one.
    fn is_known(&self, parent: &BlockId) -> bool {
        self.tree.get(parent).is_some_and(|node| node.height >= self.tree.judges_from())
    }

    fn link(
        &mut self,
        source: &mut Source,
        list: &[SealedHeader],
        (from, now): (u32, Slot),
    ) -> Result<(), Lie> {
        // What is no chain is not proven: only what stands before the break.
        let (sound, broken) = sound_part(list, from, now);
        let list = list.get(..sound).unwrap_or_default();
        let new: Vec<SealedHeader> =
            list.iter().filter(|header| self.tree.get(&header.id()).is_none()).copied().collect();
        let proofs = prove(self.tree.spec(), &new);
        let result = new.iter().zip(proofs).try_for_each(|(header, proof)| {
            let height = header.seal.claim.height;
            let proven = proof.map_err(|error| Lie::HeaderForged(height, error))?;
            self.tree.link(&proven).map_err(|error| Lie::HeaderMisplaced(height, error))?;
            self.proven = self.proven.saturating_add(1);
            Ok(())
        });
        let linked = list.iter().map(SealedHeader::id).rfind(|id| self.tree.get(id).is_some());
        source.tip = linked.unwrap_or(source.tip);
        self.choose();
        result.and(broken.map_or(Ok(()), Err))
    }

    /// Lists the best chain anew, down to where it is listed already.
    fn choose(&mut self) {
        let best = *self.tree.best();
        let mut changes = Vec::new();
        for (id, node) in self.tree.ancestry(&best) {
            if self.active.get(&node.height) == Some(&id) {
                break;
            }
            changes.push((node.height, id));
        }
        self.active.extend(changes);
        let tip = self.tree.get(&best).map_or(Height::ZERO, |node| node.height);
        self.active.retain(|height, _| *height <= tip);
        let active = &self.active;
        self.filter_headers.retain(|height, (id, _)| active.get(height) == Some(id));
    }

    /// Height of the best chain.
    pub(super) fn height(&self) -> Height {
        self.active.last_key_value().map_or(Height::ZERO, |(height, _)| *height)
    }

    /// The lowest height on which headers are judged.
    fn lowest(&self) -> Height {
        self.tree.judges_from()
    }

    /// The block of the best chain at a height.
    pub(super) fn at(&self, height: Height) -> Option<BlockId> {
        self.active.get(&height).copied()
    }

    /// The filter header of a block of the best chain; of the block before the first one all zeros.
    pub(super) fn filter_header_before(&self, height: Height) -> Option<FilterHeader> {
        match height.get().checked_sub(1) {
            None => Some(FilterHeader::all_zeros()),
            Some(below) => self.filter_headers.get(&Height::new(below)).map(|(_, header)| *header),
        }
    }

    /// What the newest block says of who shows it, by the clock.
    pub(super) fn staleness(&self, now: Slot) -> Option<Lie> {
        let slot = self.tree.get(self.tree.best())?.slot;
        let interval = self.tree.spec().rules().interval_slots;
        let silent = now.since(slot)?.get();
        (silent > interval.saturating_mul(SILENT_INTERVALS)).then_some(Lie::Stale { slot, silent, interval })
    }

    /// The newest headers of the best chain, lowest first: what is to be kept.
    pub(super) fn trail(&self) -> Vec<TrailHeader> {
        let newest = self.active.values().rev().take(TRAIL);
        let mut trail: Vec<_> = newest.filter_map(|id| self.tree.trail_header(id)).collect();
        trail.reverse();
        trail
    }
}

/// How many headers are a chain as far as that shows without proofs, and what is wrong with the next one.
fn sound_part(list: &[SealedHeader], from: u32, now: Slot) -> (usize, Option<Lie>) {
    let horizon = now.checked_add(SlotDelta::new(TOLERANCE)).unwrap_or(now);
    let mut parent = None;
    for (sound, (expected, header)) in (from..).map(Height::new).zip(list).enumerate() {
        let claim = &header.seal.claim;
        let error = if claim.height != expected {
            Some(LinkError::Height { expected, got: claim.height })
        } else {
            let stands = parent.is_none_or(|parent| header.header.parent == parent);
            (!stands).then_some(LinkError::Parent(header.header.parent))
        };
        if let Some(error) = error {
            return (sound, Some(Lie::HeaderMisplaced(expected, error)));
        }
        if claim.slot > horizon {
            return (sound, Some(Lie::Future { got: claim.slot, now }));
        }
        parent = Some(header.id());
    }
    (list.len(), None)
}

/// Proves headers on all processors.
fn prove(spec: &ChainSpec, list: &[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = list.len().div_ceil(threads).max(32);
    thread::scope(|scope| {
        let parts: Vec<_> =
            list.chunks(share).map(|part| scope.spawn(move || ProvenHeader::prove_all(spec, part))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("proving does not panic")).collect()
    })
}
