//! The way ahead: which chains have all their contents here, and which contents to ask for.
//!
//! What is known is kept from step to step: a header or a block that comes costs a look-up or two, however
//! many thousand blocks the node is behind.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use mass_primitives::BlockId;

use crate::tree::{HeaderTree, Rank};

/// Contents that are asked for at one time at the most.
const FETCH_MAX: usize = 512;

/// How many of the best headers, and how long branches, are looked at beside the best one.
const LOOK_MAX: usize = 256;

/// Contents on their way to the heaviest chain.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Blocks whose contents and those of all blocks below are here, by rank.
    ready: BTreeSet<Rank>,
    /// The header to which the way leads, and whose contents are missing on it, lowest first. Some may have come.
    goal: BlockId,
    missing: VecDeque<BlockId>,
}

impl Route {
    /// All that is here is the genesis block.
    pub fn new(tree: &HeaderTree) -> Self {
        let goal = *tree.genesis();
        Self { ready: tree.rank(&goal).into_iter().collect(), goal, missing: VecDeque::new() }
    }

    /// The way in a tree that has lost headers.
    pub fn anew(tree: &HeaderTree, has_content: impl Fn(&BlockId) -> bool) -> Self {
        let mut route = Self::new(tree);
        for first in tree.children(tree.genesis()) {
            route.content_came(tree, *first, &has_content);
        }
        route
    }

    /// Whether all contents up to a block are here.
    pub fn is_ready(&self, tree: &HeaderTree, id: &BlockId) -> bool {
        tree.rank(id).is_some_and(|rank| self.ready.contains(&rank))
    }

    /// The best block that can be entered.
    pub fn best_ready(&self) -> Option<BlockId> {
        self.ready.last().map(|(.., id)| id.0)
    }

    /// The content of a block came: it and what stands on it may be ready now.
    pub fn content_came(&mut self, tree: &HeaderTree, id: BlockId, has_content: impl Fn(&BlockId) -> bool) {
        let mut next = Vec::from([id]);
        while let Some(id) = next.pop() {
            let (Some(rank), Some(node)) = (tree.rank(&id), tree.get(&id)) else { continue };
            if has_content(&id) && !tree.is_condemned(&id) && self.is_ready(tree, &node.parent) {
                self.ready.insert(rank);
                next.extend(tree.children(&id));
            }
        }
    }

    /// These can no longer be entered.
    pub fn forget(&mut self, tree: &HeaderTree, ids: &[BlockId]) {
        for rank in ids.iter().filter_map(|id| tree.rank(id)) {
            self.ready.remove(&rank);
        }
        self.missing.clear();
        self.goal = *tree.genesis();
    }

    /// The contents to ask for on the way to the best header, lowest first.
    pub fn missing(&mut self, tree: &HeaderTree, has_content: impl Fn(&BlockId) -> bool) -> Vec<BlockId> {
        let best = *tree.best();
        if best != self.goal {
            let is_next = tree.get(&best).is_some_and(|node| node.parent == self.goal);
            if is_next && !self.missing.is_empty() {
                self.missing.push_back(best);
            } else {
                self.missing = self.way(tree, &best, usize::MAX).into();
            }
            self.goal = best;
        }
        while self.missing.front().is_some_and(&has_content) {
            self.missing.pop_front();
        }
        self.missing.iter().filter(|id| !has_content(id)).take(FETCH_MAX).copied().collect()
    }

    /// Contents missing on branches beside the best one that beat `tip` as well: whoever shows headers and
    /// withholds their contents does not keep a node from the next best chain.
    pub fn missing_beside(
        &self,
        tree: &HeaderTree,
        tip: &BlockId,
        has_content: impl Fn(&BlockId) -> bool,
    ) -> Vec<BlockId> {
        if self.missing.len() > LOOK_MAX {
            return Vec::new();
        }
        let mut covered: BTreeSet<BlockId> = self.missing.iter().copied().collect();
        let mut found = Vec::new();
        for id in tree.better_than(tip).take(LOOK_MAX) {
            let way = self.way(tree, &id, LOOK_MAX);
            found.extend(way.iter().filter(|id| covered.insert(**id) && !has_content(id)));
        }
        found.truncate(FETCH_MAX);
        found
    }

    /// From the first block above what is ready up to `id`, if that is not too far.
    fn way(&self, tree: &HeaderTree, id: &BlockId, max: usize) -> Vec<BlockId> {
        let above = tree.ancestry(id).map(|(id, _)| id).take_while(|id| !self.is_ready(tree, id));
        let mut way: Vec<BlockId> = above.take(max).collect();
        way.reverse();
        let low = way.first().and_then(|id| tree.get(id));
        if low.is_some_and(|node| !self.is_ready(tree, &node.parent)) { Vec::new() } else { way }
    }
}
