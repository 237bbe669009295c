//! The search for the chains that answer a challenge (rules POS-13 to POS-15).
//!
//! Breadth first: all partial chains of one length are made longer together, each by all fragments of the
//! set whose turn it is, and these hashes are independent of each other, as wide hashing wants them. About 64 partial
//! chains are alive at each length, so a search is some 70,000 hashes and a few kilobytes.

use mass_primitives::{Challenge, PlotId};
use mass_proof_of_space::{
    QUALITY_LINKS, QualityChain, ROUND_PAIRS,
    chain::{SETS, passes_filter, round_keys},
};

use crate::{aes::PlotHasher, error::PlotError};

/// Fragments that a set has at the most. It has 64 on average, and more than this only in a made-up file.
const SET_FRAGMENTS_MAX: usize = 512;
/// Partial chains of one length at the most, for the same reason.
const PARTIAL_CHAINS_MAX: usize = 1 << 18;

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
        let mut last = 0..0;
        for (position, key) in keys.iter().enumerate() {
            let set = sets[(start + position) % SETS];
            let next = search.nodes.len();
            if position == 0 {
                search.lengthen(position, *key, 0, set)?;
            }
            for parent in last {
                search.lengthen(position, key ^ search.nodes[parent].running, parent, set)?;
            }
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
    inputs: [u64; SET_FRAGMENTS_MAX],
    hashes: [u64; SET_FRAGMENTS_MAX],
}

impl<'a> Search<'a> {
    fn new(hasher: &'a PlotHasher) -> Self {
        let nodes = Vec::with_capacity(QUALITY_LINKS * 128);
        Self { hasher, nodes, inputs: [0; SET_FRAGMENTS_MAX], hashes: [0; SET_FRAGMENTS_MAX] }
    }

    /// Makes one partial chain longer by each fragment of `set`, and keeps what passes the filter.
    fn lengthen(&mut self, position: usize, mask: u64, parent: usize, set: &[u64]) -> Result<(), PlotError> {
        let inputs = &mut self.inputs[..set.len()];
        inputs.iter_mut().zip(set).for_each(|(input, link)| *input = link ^ mask);
        let hashes = &mut self.hashes[..set.len()];
        self.hasher.hash_low64(inputs, hashes, ROUND_PAIRS);
        for (&running, &link) in hashes.iter().zip(set) {
            if passes_filter(position, running) {
                self.nodes.push(Node { running, link, parent: parent as u32 });
            }
        }
        if self.nodes.len() > PARTIAL_CHAINS_MAX { Err(PlotError::TooManyChains) } else { Ok(()) }
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
