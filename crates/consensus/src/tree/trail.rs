//! A tree that goes on from the newest headers that were linked before: what a light client keeps, so that it proves
//! each header once and holds a bounded number of them.

use alloc::{collections::BTreeSet, vec::Vec};

use mass_primitives::{BlockId, Decode, DecodeError, Encode, Height, HeightDelta, Reader, VrfOutput};

use super::{Entry, HeaderTree, Node, newest_of, rank};
use crate::spec::ChainSpec;

/// A linked header as it is kept. The VRF output counts where the seed of a period follows from it, and is zero elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailHeader {
    id: BlockId,
    node: Node,
    vrf_output: VrfOutput,
}

impl TrailHeader {
    /// Id of the block.
    #[must_use]
    pub const fn id(&self) -> &BlockId {
        &self.id
    }

    /// Its height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.node.height
    }
}

impl HeaderTree {
    /// A linked header, to be kept.
    #[must_use]
    pub fn trail_header(&self, id: &BlockId) -> Option<TrailHeader> {
        let vrf_output = self.outputs.get(id).copied().unwrap_or(VrfOutput::ZERO);
        Some(TrailHeader { id: *id, node: self.get(id)?, vrf_output })
    }

    /// A tree of headers that were linked in a tree of the same chain before, lowest first, each the parent of the
    /// next; the first takes the place of the genesis block. `None` if they are no such chain.
    ///
    /// What stands on a header below [`HeaderTree::judges_from`] must not be linked in it: the headers from which its
    /// seed and difficulty follow may be missing.
    #[must_use]
    pub fn resumed(spec: ChainSpec, trail: &[TrailHeader]) -> Option<Self> {
        let first = trail.first()?;
        let stands = |low: &TrailHeader, high: &TrailHeader| {
            high.node.parent == low.id && low.node.height.next() == Some(high.node.height)
        };
        if !trail.windows(2).all(|pair| matches!(pair, [low, high] if stands(low, high))) {
            return None;
        }
        let mut tree = Self::new(spec, first.id);
        tree.ranking = trail.iter().map(|header| rank(header.id, &header.node)).collect();
        tree.ready = BTreeSet::from([rank(first.id, &first.node)]);
        let entry = |header: &TrailHeader| Entry { node: header.node, executed: header.id == first.id };
        tree.nodes = trail.iter().map(|header| (header.id, entry(header))).collect();
        let gives_seed = |header: &&TrailHeader| {
            let (height, spec) = (header.node.height, &tree.spec);
            spec.seed_height(spec.period(height)) == Some(height)
        };
        tree.outputs = trail.iter().filter(gives_seed).map(|header| (header.id, header.vrf_output)).collect();
        tree.reached = newest_of(&tree.spec, |id| tree.nodes.contains_key(id));
        let above = trail.iter().skip(1);
        tree.children = above.map(|header| (header.node.parent, Vec::from([header.id]))).collect();
        Some(tree)
    }

    /// The lowest height of a parent on which a header can be judged in this tree.
    #[must_use]
    pub fn judges_from(&self) -> Height {
        let first = self.get(&self.genesis).map_or(Height::ZERO, |node| node.height);
        if first == Height::ZERO {
            return first;
        }
        // The seed of a period is fixed by a block `lag` below its end, the difficulty by two blocks.
        let lag = self.spec.rules().seed_lag_blocks.saturating_add(1);
        first.checked_add(HeightDelta::new(lag)).unwrap_or(Height::new(u32::MAX))
    }
}

impl Encode for TrailHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        let node = &self.node;
        self.id.encode(out);
        node.parent.encode(out);
        node.height.encode(out);
        node.slot.encode(out);
        node.time.encode(out);
        node.seed.encode(out);
        node.difficulty.encode(out);
        node.ticket.encode(out);
        self.vrf_output.encode(out);
        u8::from(node.farmer.is_some()).encode(out);
        if let Some(farmer) = &node.farmer {
            farmer.encode(out);
        }
        node.weight.encode(out);
    }
}

impl Decode for TrailHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = BlockId::decode(reader)?;
        let (parent, height, slot) =
            (Decode::decode(reader)?, Decode::decode(reader)?, Decode::decode(reader)?);
        let (time, seed, difficulty) =
            (Decode::decode(reader)?, Decode::decode(reader)?, Decode::decode(reader)?);
        let (ticket, vrf_output) = (Decode::decode(reader)?, VrfOutput::decode(reader)?);
        let farmer = match u8::decode(reader)? {
            0 => None,
            1 => Some(Decode::decode(reader)?),
            _ => return Err(DecodeError::Invalid("a flag that is neither 0 nor 1")),
        };
        let weight = Decode::decode(reader)?;
        let node = Node { parent, height, slot, time, seed, difficulty, ticket, farmer, weight };
        Ok(Self { id, node, vrf_output })
    }
}
