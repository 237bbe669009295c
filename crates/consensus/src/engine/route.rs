//! The way ahead: which chains have all their contents here, and which contents to ask for.
//!
//! What is known is kept from step to step: a header or a block that comes costs a look-up or two, however
//! many thousand blocks the node is behind.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use mass_primitives::BlockId;

use crate::tree::HeaderTree;

/// Contents that are asked for at one time at the most.
const FETCH_MAX: usize = 512;

/// How many of the best headers, and how long branches, are looked at beside the best one.
const LOOK_MAX: usize = 256;

/// Contents on their way to the heaviest chain. Which blocks can be entered is noted in the tree.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The header to which the way leads, and whose contents are missing on it, lowest first. Some may have come.
    goal: BlockId,
    missing: VecDeque<BlockId>,
}

impl Route {
    /// Nowhere to go from the genesis block.
    pub fn new(tree: &HeaderTree) -> Self {
        Self { goal: *tree.genesis(), missing: VecDeque::new() }
    }

    /// The tree has lost headers or contents: the way is to be looked for again.
    pub fn reset(&mut self, tree: &HeaderTree) {
        *self = Self::new(tree);
    }

    /// The contents to ask for on the way to the best header, lowest first.
    pub fn missing(&mut self, tree: &HeaderTree, has_content: impl Fn(&BlockId) -> bool) -> Vec<BlockId> {
        let best = *tree.best();
        if best != self.goal {
            let is_next = tree.get(&best).is_some_and(|node| node.parent == self.goal);
            if is_next && !self.missing.is_empty() {
                self.missing.push_back(best);
            } else {
                self.missing = way(tree, &best, usize::MAX).into();
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
            let way = way(tree, &id, LOOK_MAX);
            found.extend(way.iter().filter(|id| covered.insert(**id) && !has_content(id)));
        }
        found.truncate(FETCH_MAX);
        found
    }
}

/// The content of a block came: it and what stands on it may be ready now.
pub(super) fn content_came(tree: &mut HeaderTree, id: BlockId, has_content: impl Fn(&BlockId) -> bool) {
    let mut next = Vec::from([id]);
    while let Some(id) = next.pop() {
        let Some(node) = tree.get(&id) else { continue };
        let has_content = has_content(&id) || tree.is_executed(&id);
        if has_content && !tree.is_condemned(&id) && tree.is_ready(&node.parent) {
            tree.mark_ready(&id);
            next.extend(tree.children(&id));
        }
    }
}

/// From the first block above what is ready up to `id`, if that is not too far.
fn way(tree: &HeaderTree, id: &BlockId, max: usize) -> Vec<BlockId> {
    let above = tree.ancestry(id).map(|(id, _)| id).take_while(|id| !tree.is_ready(id));
    let mut way: Vec<BlockId> = above.take(max).collect();
    way.reverse();
    let low = way.first().and_then(|id| tree.get(id));
    if low.is_some_and(|node| !tree.is_ready(&node.parent)) { Vec::new() } else { way }
}
