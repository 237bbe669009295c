//! The search for the chains that answer a challenge (rules POS-13 to POS-15).
//!
//! Breadth first: all partial chains of one length are made longer together, each by all fragments of the
//! set whose turn it is, and these hashes are independent of each other, as wide hashing wants them. About 64 partial
//! chains are alive at each length, so a search is some 70,000 hashes and a few kilobytes.

use std::ops::Range;

use mass_primitives::{Challenge, PlotId};
use mass_proof_of_space::{
    QUALITY_LINKS, QualityChain, ROUND_PAIRS,
    chain::{SETS, passes_filter, round_keys, zero_bits},
};

use crate::{
    aes::PlotHasher,
    error::PlotError,
    sieve::{flip, for_each_zero},
};

/// Fragments that a set has at the most. It has 64 on average, and more than this only in a made-up file.
const SET_FRAGMENTS_MAX: usize = 512;
/// Partial chains from one start at the most, for the same reason.
const PARTIAL_CHAINS_MAX: usize = 1 << 18;
/// Hashes made at once.
const BATCH: usize = 1024;

/// A partial chain: its last link and the one that it makes longer.
#[derive(Clone, Copy)]
struct Node {
    running: u64,
    link: u64,
    parent: u32,
}

/// The chains through these sets, in ascending order.
pub(crate) fn find_chains(
    hasher: &PlotHasher,
    plot_id: &PlotId,
    challenge: &Challenge,
    sets: &[&[u64]; SETS],
) -> Result<Vec<QualityChain>, PlotError> {
    if sets.iter().any(|set| set.len() > SET_FRAGMENTS_MAX) {
        return Err(PlotError::TooManyChains);
    }
    let keys = round_keys(plot_id, challenge);
    let mut search = Search::new(hasher);
    let mut found = Vec::new();
    for start in 0..SETS {
        search.nodes.clear();
        // The root, which is no link, makes the first links possible.
        search.nodes.push(Node { running: 0, link: 0, parent: 0 });
        let mut last = 0..1;
        for (position, key) in keys.iter().enumerate() {
            let next = search.nodes.len();
            search.lengthen(position, *key, last, sets[(start + position) % SETS])?;
            last = next..search.nodes.len();
        }
        found.extend(last.map(|node| search.chain(node)));
    }
    found.sort_unstable_by_key(|chain| *chain.links());
    found.dedup();
    Ok(found)
}

/// Buffers of a search.
struct Search<'a> {
    hasher: &'a PlotHasher,
    nodes: Vec<Node>,
    inputs: Vec<u64>,
    hashes: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(hasher: &'a PlotHasher) -> Self {
        let nodes = Vec::with_capacity(QUALITY_LINKS * 128);
        Self { hasher, nodes, inputs: vec![0; BATCH], hashes: vec![0; BATCH] }
    }

    /// Makes partial chains longer by each fragment of `set`, and keeps what passes the filter.
    fn lengthen(
        &mut self,
        position: usize,
        key: u64,
        parents: Range<usize>,
        set: &[u64],
    ) -> Result<(), PlotError> {
        if set.is_empty() {
            return Ok(());
        }
        let at_once = BATCH / set.len();
        let mut next = parents.start;
        while next < parents.end {
            let some = next..parents.end.min(next + at_once);
            next = some.end;
            let count = some.len() * set.len();
            let (inputs, hashes) = (&mut self.inputs[..count], &mut self.hashes[..count]);
            for (parent, inputs) in self.nodes[some.clone()].iter().zip(inputs.chunks_exact_mut(set.len())) {
                flip(set, key ^ parent.running, inputs);
            }
            self.hasher.hash_low64(inputs, hashes, ROUND_PAIRS);
            let (hashes, nodes) = (&*hashes, &mut self.nodes);
            for_each_zero(hashes, zero_bits(position), |at| {
                let (parent, running) = (some.start + at / set.len(), hashes[at]);
                if passes_filter(position, running) {
                    nodes.push(Node { running, link: set[at % set.len()], parent: parent as u32 });
                }
            });
            if self.nodes.len() > PARTIAL_CHAINS_MAX {
                return Err(PlotError::TooManyChains);
            }
        }
        Ok(())
    }

    fn chain(&self, last: usize) -> QualityChain {
        let mut links = [0; QUALITY_LINKS];
        let mut at = last;
        for link in links.iter_mut().rev() {
            let node = self.nodes[at];
            *link = node.link;
            at = node.parent as usize;
        }
        QualityChain::new(links)
    }
}
