//! A tree that goes on from the newest headers that were linked before: what a light client keeps, so that it proves
//! each header once and holds a bounded number of them.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use mass_primitives::{BlockId, Decode, DecodeError, Encode, Height, HeightDelta, Reader};

use super::{HeaderTree, Node, rank};
use crate::spec::ChainSpec;

impl HeaderTree {
    /// A tree of headers that were linked in a tree of the same chain before, lowest first, each the parent of the
    /// next; the first takes the place of the genesis block. `None` if they are no such chain.
    ///
    /// What stands on a header below [`HeaderTree::judges_from`] must not be linked in it: the headers from which its
    /// seed and difficulty follow may be missing.
    #[must_use]
    pub fn resumed(spec: ChainSpec, trail: &[(BlockId, Node)]) -> Option<Self> {
        let (first, _) = trail.first()?;
        let is_chain = trail.windows(2).all(|pair| match pair {
            [(below, low), (_, high)] => high.parent == *below && low.height.next() == Some(high.height),
            _ => false,
        });
        if !is_chain {
            return None;
        }
        let mut tree = Self::new(spec, *first);
        tree.nodes = trail.iter().copied().collect();
        tree.ranking = trail.iter().map(|(id, node)| rank(*id, node)).collect::<BTreeSet<_>>();
        tree.children = trail
            .iter()
            .skip(1)
            .map(|(id, node)| (node.parent, Vec::from([*id])))
            .collect::<BTreeMap<_, _>>();
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

impl Encode for Node {
    fn encode(&self, out: &mut Vec<u8>) {
        self.parent.encode(out);
        self.height.encode(out);
        self.slot.encode(out);
        self.time.encode(out);
        self.seed.encode(out);
        self.difficulty.encode(out);
        self.ticket.encode(out);
        self.vrf_output.encode(out);
        u8::from(self.farmer.is_some()).encode(out);
        if let Some(farmer) = &self.farmer {
            farmer.encode(out);
        }
        self.weight.encode(out);
    }
}

impl Decode for Node {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            parent: Decode::decode(reader)?,
            height: Decode::decode(reader)?,
            slot: Decode::decode(reader)?,
            time: Decode::decode(reader)?,
            seed: Decode::decode(reader)?,
            difficulty: Decode::decode(reader)?,
            ticket: Decode::decode(reader)?,
            vrf_output: Decode::decode(reader)?,
            farmer: match u8::decode(reader)? {
                0 => None,
                1 => Some(Decode::decode(reader)?),
                _ => return Err(DecodeError::Invalid("a flag that is neither 0 nor 1")),
            },
            weight: Decode::decode(reader)?,
        })
    }
}
