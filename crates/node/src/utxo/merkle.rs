//! Branches of the tree over transaction ids, and over block ids for checkpoints.
//!
//! A node is SHA256d of its two children; an odd one is paired with itself. The branch of a leaf lists what it and its
//! ancestors are paired with, deepest first.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256d};

/// What proves that a leaf stands under a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    /// The hash at each level that the leaf's ancestor is paired with.
    pub(super) siblings: Vec<[u8; 32]>,
    /// The root.
    pub(super) root: [u8; 32],
}

/// The branch of the leaf at `position`; `None` if there is no such leaf.
pub(super) fn branch(mut level: Vec<[u8; 32]>, mut position: usize) -> Option<Branch> {
    level.get(position)?;
    let mut siblings = Vec::new();
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.extend(level.last().copied());
        }
        siblings.push(*level.get(position ^ 1)?);
        level = level.chunks_exact(2).map(|pair| parent(&pair[0], &pair[1])).collect();
        position /= 2;
    }
    Some(Branch { siblings, root: *level.first()? })
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(left);
    engine.input(right);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Climbs from a leaf as a client does.
    fn climb(leaf: [u8; 32], position: usize, siblings: &[[u8; 32]]) -> [u8; 32] {
        siblings.iter().enumerate().fold(leaf, |hash, (level, sibling)| {
            if position >> level & 1 == 0 { parent(&hash, sibling) } else { parent(sibling, &hash) }
        })
    }

    #[test]
    fn every_branch_leads_to_the_root_that_the_library_computes() {
        for count in 1..20u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|number| [number; 32]).collect();
            let hashes = leaves.iter().map(|leaf| sha256d::Hash::from_byte_array(*leaf));
            let root = bitcoin::merkle_tree::calculate_root(hashes).unwrap().to_byte_array();
            for (position, leaf) in leaves.iter().enumerate() {
                let branch = branch(leaves.clone(), position).unwrap();
                assert_eq!(branch.root, root);
                assert_eq!(climb(*leaf, position, &branch.siblings), root);
            }
            assert_eq!(branch(leaves, count.into()), None);
        }
    }
}
