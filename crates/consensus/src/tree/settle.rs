//! What leaves the tree, and what becomes small in it.
//!
//! Blocks deep in the best chain are settled into the trunk, which keeps all that is ever asked of them. A branch that
//! leaves the best chain below its top takes as many of them out again as it needs (`unsettle`), so that no choice
//! depends on what is settled. Headers beside a checkpoint leave for good; of too many headers beside the best
//! chain the weakest branches leave until they come again.

use alloc::{collections::BTreeSet, vec::Vec};

use mass_primitives::{BlockId, ChainWeight, Height};

use super::{Entry, HeaderTree, Node, Removed, newest_of, rank};
use crate::{beacon::Beacon, spec::Checkpoint};

impl HeaderTree {
    /// Sets the seeds of a chain that inherits them, and takes out the headers that they do not fit, with all
    /// that stand on these. A header that is taken out may come back when the parent's chain is another.
    pub fn set_beacon(&mut self, beacon: Beacon) -> Removed {
        let fits = |node: &Node| {
            node.height == Height::ZERO || beacon.seed(self.spec.round(node.slot)) == Some(&node.seed)
        };
        let misfit = self.trunk.nodes(&self.spec).find(|node| !fits(node)).map(|node| node.height);
        let misfits: Vec<BlockId> =
            self.nodes.iter().filter(|(_, entry)| !fits(&entry.node)).map(|(id, _)| *id).collect();
        let settled = misfit.and_then(|height| self.trunk.id_at(height));
        self.beacon = Some(beacon);
        settled.iter().for_each(|id| self.unsettle_below(id));
        let out = self.remove(misfits.into_iter().chain(settled).collect());
        self.reached = newest_of(&self.spec, |id| self.contains(id));
        out
    }

    /// Takes out headers that are not settled, and all that stand on them.
    fn remove(&mut self, mut open: Vec<BlockId>) -> Removed {
        let mut out = Removed::new();
        while let Some(id) = open.pop() {
            let Some(Entry { node, .. }) = self.nodes.remove(&id) else { continue };
            open.extend(self.children.remove(&id).unwrap_or_default());
            self.ranking.remove(&rank(id, &node));
            self.ready.remove(&rank(id, &node));
            self.outputs.remove(&id);
            out.insert(id, node);
        }
        for (id, node) in &out {
            self.disown_child(&node.parent, id);
        }
        self.unsettle();
        out
    }

    fn disown_child(&mut self, parent: &BlockId, id: &BlockId) {
        if let Some(children) = self.children.get_mut(parent) {
            children.retain(|child| child != id);
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
    }

    /// FRK-2: the header at a checkpoint was linked; whatever stands beside it leaves the tree.
    pub(super) fn reach(&mut self, checkpoint: Checkpoint) -> Removed {
        if self.reached.is_some_and(|reached| reached.height >= checkpoint.height) {
            return Removed::new();
        }
        self.reached = Some(checkpoint);
        self.unsettle_for(&checkpoint.id);
        let line = self.lines([&checkpoint.id]);
        let below =
            |id: &BlockId| *id != checkpoint.id && (line.contains(id) || self.trunk.height(id).is_some());
        let parents = self.children.iter().filter(|(parent, _)| below(parent));
        let beside = parents.flat_map(|(_, children)| children).filter(|id| !line.contains(*id));
        let beside = beside.copied().collect();
        self.remove(beside)
    }

    /// The unsettled parts of the chains that end with these.
    fn lines<'a>(&self, ends: impl IntoIterator<Item = &'a BlockId>) -> BTreeSet<BlockId> {
        let mut line = BTreeSet::new();
        for end in ends {
            let mut at = *end;
            while let Some(entry) = self.nodes.get(&at).filter(|_| !line.contains(&at)) {
                line.insert(at);
                at = entry.node.parent;
            }
        }
        line
    }

    /// Settles the best chain up to `depth` blocks below its end, if that are at least `batch`.
    pub fn settle(&mut self, depth: u32, batch: u32) {
        let best = *self.best();
        let height = self.nodes.get(&best).map_or(0, |entry| entry.node.height.get());
        let end = height.saturating_sub(depth);
        if end < self.trunk.len().saturating_add(batch.max(1)) {
            return;
        }
        let (mut line, mut at) = (Vec::new(), best);
        while let Some(Entry { node, .. }) = self.nodes.get(&at) {
            if node.height.get() < end {
                line.push(at);
            }
            if at == self.genesis {
                break;
            }
            at = node.parent;
        }
        for id in line.into_iter().rev() {
            let Some(Entry { node, executed }) = self.nodes.remove(&id) else { return };
            self.disown_child(&node.parent, &id);
            self.ranking.remove(&rank(id, &node));
            self.path.remove(&node.height);
            if executed && node.height.get() == self.executed {
                self.executed = self.executed.saturating_add(1);
                self.ready.remove(&rank(id, &node));
            }
            self.trunk.push(id, &node);
        }
    }

    /// The best chain may be another than it was: takes blocks out of the trunk that are not of it, and finds the path to
    /// the best header, from where it leaves the one before.
    pub(super) fn unsettle(&mut self) {
        while self.trunk.top().is_some_and(|top| self.rank(&top).as_ref() > self.ranking.last()) && self.pop()
        {
        }
        let best = *self.best();
        let top = self.nodes.get(&best).map_or(Height::ZERO, |entry| entry.node.height);
        while self.path.last_key_value().is_some_and(|(height, _)| *height > top) {
            self.path.pop_last();
        }
        let mut at = best;
        while let Some(Entry { node, .. }) = self.nodes.get(&at) {
            if self.path.insert(node.height, at) == Some(at) || at == self.genesis {
                return;
            }
            at = node.parent;
        }
        self.cut_trunk(&at);
    }

    /// Takes blocks out until the trunk is a part of the chain that ends with `id`.
    fn unsettle_for(&mut self, id: &BlockId) {
        let mut at = *id;
        while let Some(Entry { node, .. }) = self.nodes.get(&at).filter(|_| at != self.genesis) {
            at = node.parent;
        }
        self.cut_trunk(&at);
    }

    /// Takes all above a settled block out.
    fn cut_trunk(&mut self, top: &BlockId) {
        let Some(height) = self.trunk.height(top) else { return };
        while self.trunk.len() > height.get().saturating_add(1) && self.pop() {}
    }

    /// Takes a block out, with all above it.
    pub(super) fn unsettle_below(&mut self, id: &BlockId) {
        let Some(height) = self.trunk.height(id) else { return };
        while self.trunk.len() > height.get() && self.pop() {}
    }

    /// Takes the highest block out of the trunk; the genesis block stays.
    fn pop(&mut self) -> bool {
        if self.trunk.len() <= 1 {
            return false;
        }
        let Some((id, node)) = self.trunk.pop(&self.spec) else { return false };
        let executed = node.height.get() < self.executed;
        if executed {
            self.executed = node.height.get();
            self.ready.insert(rank(id, &node));
        }
        self.ranking.insert(rank(id, &node));
        self.nodes.insert(id, Entry { node, executed });
        // A path that is there already is that of a better chain.
        self.path.entry(node.height).or_insert(id);
        self.adopt_child(node.parent, id);
        true
    }

    /// How many headers stand beside the best chain, at the most.
    #[must_use]
    pub fn beside(&self) -> usize {
        self.nodes.len().saturating_sub(self.path.len())
    }

    /// Takes out the weakest branches until at most `max` headers stand beside three chains that always stay: the best
    /// one, that of `tip`, and the strongest beside them. A branch is as strong as the weight that it adds to where
    /// it leaves these.
    pub fn prune(&mut self, tip: &BlockId, max: usize) -> Removed {
        let mut kept = self.lines([self.best(), tip]);
        if self.nodes.len().saturating_sub(kept.len()) <= max {
            return Removed::new();
        }
        if let Some((_, _, leaf)) = self.branches(&kept).last() {
            kept.extend(self.lines([leaf]));
        }
        let mut out = Vec::new();
        // A quarter more, so that this is not done again soon.
        let room = max.saturating_sub(max >> 2);
        let mut excess = self.nodes.len().saturating_sub(kept.len()).saturating_sub(room);
        for (_, root, _) in self.branches(&kept) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(self.with_descendants(&root).len());
            out.push(root);
        }
        self.remove(out)
    }

    /// The branches that leave some chains, the weakest first: their strength, first block and heaviest one.
    fn branches(&self, kept: &BTreeSet<BlockId>) -> Vec<(ChainWeight, BlockId, BlockId)> {
        let is_kept = |id: &BlockId| kept.contains(id) || !self.nodes.contains_key(id);
        let from = self.children.iter().filter(|(parent, _)| is_kept(parent));
        let roots = from.flat_map(|(parent, children)| children.iter().map(move |root| (parent, root)));
        let mut found: Vec<_> = roots
            .filter(|(_, root)| !kept.contains(*root))
            .filter_map(|(parent, root)| {
                let base = self.get(parent)?.weight.get();
                let all = self.with_descendants(root).into_iter();
                let (weight, heaviest) = all.filter_map(|id| Some((self.get(&id)?.weight, id))).max()?;
                Some((ChainWeight::new(weight.get().saturating_sub(base)), *root, heaviest))
            })
            .collect();
        found.sort_unstable();
        found
    }
}
