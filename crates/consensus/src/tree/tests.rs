//! Random trees: one that settles and one that does not answer alike, and a flood pushes nothing out that counts.
//!
//! The tree believes that its headers were proven, so these here need no proofs.

use alloc::vec;

use mass_primitives::{BodyRoot, ChainId, GroupNonce, PlotIndex, SealSignature, VrfProof};
use mass_proof_of_space::{GroupIdentity, PlotSize, Proof, Strength};
use proptest::{collection::vec as list, prelude::*};

use super::*;
use crate::header::{Header, Seal, SealClaim};

const GENESIS: BlockId = BlockId::new([1; 32]);

/// A chain of short periods. A small tau lets difficulties differ much.
fn tree(tau: u64) -> HeaderTree {
    let mut file = ChainSpec::built_in("dev").unwrap().file().clone();
    (file.rules.period_blocks, file.rules.seed_lag_blocks, file.rules.difficulty_tau_slots) = (4, 2, tau);
    HeaderTree::new(ChainSpec::new(file).unwrap(), GENESIS)
}

/// A header on `parent`, `gap` slots later, different for each `salt`.
fn header(tree: &HeaderTree, parent: BlockId, gap: u64, salt: u16) -> Restored {
    let expected = tree.expectation(&parent, Slot::ZERO).unwrap();
    let slot = Slot::new(expected.after.get() + gap);
    let [low, high] = salt.to_le_bytes();
    let farmer = FarmerPublicKey::new([low % 5; 32]);
    let group = GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer,
        nonce: GroupNonce::new([high; 32]),
    };
    let claim = SealClaim {
        chain: ChainId::new([0; 32]),
        height: expected.height,
        slot,
        difficulty: expected.difficulty,
        seed: expected.seed,
        group,
        index: PlotIndex::new(salt),
        proof: Proof::new(PlotSize::MIN, [0; 128]).unwrap(),
        vrf_output: VrfOutput::new([low; 32]),
    };
    let time = tree.spec().slot_time(slot).unwrap();
    let header = Header { version: 0, parent, root: BodyRoot::ZERO, time, bits: 0, nonce: salt.into() };
    let seal = Seal { claim, vrf_proof: VrfProof::new([0; 96]), signature: SealSignature::new([0; 64]) };
    // Few tickets, so that they tie.
    Restored { id: header.id(), ticket: Ticket::new([low % 3; 32]), sealed: SealedHeader { header, seal } }
}

/// A header of key number `key`, of no place in particular.
pub(crate) fn synthetic(spec: &ChainSpec, key: u16) -> SealedHeader {
    let tree = HeaderTree::new(spec.clone(), GENESIS);
    let mut sealed = header(&tree, GENESIS, 5, 0).sealed;
    let [low, high] = key.to_le_bytes();
    let mut farmer = [0; 32];
    (farmer[0], farmer[1]) = (high, low);
    sealed.seal.claim.group.farmer = FarmerPublicKey::new(farmer);
    sealed.header.nonce = key.into();
    sealed
}

#[derive(Clone, Debug)]
enum Step {
    /// A header on one of the newest, or on any, after a gap.
    Link {
        back: usize,
        gap: u64,
    },
    /// The next on the best one.
    Grow {
        gap: u64,
    },
    Condemn {
        back: usize,
    },
    Execute,
    Settle {
        depth: u32,
    },
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..60, 1u64..12).prop_map(|(back, gap)| Step::Link { back, gap }),
        8 => (1u64..9).prop_map(|gap| Step::Grow { gap }),
        1 => (0usize..25).prop_map(|back| Step::Condemn { back }),
        3 => Just(Step::Execute),
        3 => (0u32..6).prop_map(|depth| Step::Settle { depth }),
        1 => Just(Step::Prune),
    ]
}

/// Executes the lowest block above what is executed on the way to the best one.
fn execute(tree: &mut HeaderTree) -> Option<BlockId> {
    let best = *tree.best();
    let mut line: Vec<BlockId> =
        tree.ancestry(&best).map(|(id, _)| id).take_while(|id| !tree.is_executed(id)).collect();
    let next = line.pop()?;
    tree.mark_executed(&next);
    Some(next)
}

fn same(settled: &HeaderTree, whole: &HeaderTree, ids: &[BlockId]) {
    for id in ids {
        assert_eq!(settled.get(id), whole.get(id));
        assert_eq!(settled.is_condemned(id), whole.is_condemned(id));
        assert_eq!(settled.is_executed(id), whole.is_executed(id));
        assert_eq!(settled.is_ready(id), whole.is_ready(id));
        assert_eq!(settled.expectation(id, Slot::ZERO), whole.expectation(id, Slot::ZERO));
        let sorted = |mut children: Vec<BlockId>| {
            children.sort_unstable();
            children
        };
        assert_eq!(sorted(settled.children(id)), sorted(whole.children(id)));
        let height = whole.get(id).map_or(0, |node| node.height.get());
        let middle = Height::new(height / 2);
        assert_eq!(settled.ancestor_at(id, middle), whole.ancestor_at(id, middle));
        let slow = whole.ancestry(id).find(|(_, node)| node.height == middle).map(|(id, _)| id);
        assert_eq!(whole.ancestor_at(id, middle), slow);
    }
    let last = ids.last().unwrap();
    assert!(settled.ancestry(last).eq(whole.ancestry(last)));
    assert_eq!(settled.path(settled.best(), last), whole.path(whole.best(), last));
    if settled.best_ready().is_some() && settled.trunk.len() == 0 {
        assert_eq!(settled.best_ready(), whole.best_ready());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What is settled changes no answer, and so neither the tip nor what links.
    #[test]
    fn a_tree_that_settles_answers_as_one_that_does_not(steps in list(step(), 1..120)) {
        let (mut settled, mut whole, mut ids) = (tree(20), tree(20), vec![GENESIS]);
        for (salt, step) in (1u16..).zip(steps) {
            match step {
                Step::Link { .. } | Step::Grow { .. } => {
                    let (parent, gap) = match step {
                        Step::Link { back, gap } => (ids[ids.len() - 1 - back % ids.len()], gap),
                        Step::Grow { gap } => (*whole.best(), gap),
                        _ => unreachable!("it is one of the two"),
                    };
                    let new = header(&whole, parent, gap, salt);
                    prop_assert_eq!(settled.restore(&new), whole.restore(&new));
                    ids.push(new.id);
                }
                Step::Condemn { back } => {
                    let id = ids[ids.len() - 1 - back % ids.len()];
                    if id != GENESIS && !whole.is_executed(&id) {
                        let mut gone = [settled.condemn(&id), whole.condemn(&id)];
                        gone.iter_mut().for_each(|gone| gone.sort_unstable());
                        prop_assert_eq!(&gone[0], &gone[1]);
                    }
                }
                Step::Execute => prop_assert_eq!(execute(&mut settled), execute(&mut whole)),
                Step::Settle { depth } => settled.settle(depth, 1),
                Step::Prune => prop_assert!(settled.prune(&GENESIS, 1_000).is_empty(), "there is room"),
            }
            prop_assert_eq!(settled.best(), whole.best());
            prop_assert_eq!(settled.len(), whole.len());
            for tree in [&settled, &whole] {
                let open = tree.ancestry(tree.best()).filter(|(id, _)| tree.nodes.contains_key(id));
                prop_assert_eq!(tree.beside(), tree.nodes.len() - open.count());
            }
        }
        same(&settled, &whole, &ids);
    }

    /// Short branches without end push out neither the best chain nor its rival, whichever wins then.
    #[test]
    fn a_flood_changes_no_choice(stubs in list((0usize..40, 1u64..9), 1..200), rival in 3usize..12, at in 0usize..25) {
        let max = 16;
        let (mut tree, mut whole, mut line, mut salt) = (tree(100_000), tree(100_000), vec![GENESIS], 0u16);
        let mut grow = |trees: [&mut HeaderTree; 2], parent: BlockId, gap: u64| {
            salt += 1;
            let new = header(trees[1], parent, gap, salt);
            trees.map(|tree| tree.restore(&new).map(drop)).into_iter().all(|linked| linked.is_ok()).then_some(new.id)
        };
        for _ in 0..40 {
            line.push(grow([&mut tree, &mut whole], line[line.len() - 1], 2).unwrap());
            tree.settle(10, 5);
        }
        let mut branch = vec![line[40 - at.min(30)]];
        for _ in 0..rival {
            branch.push(grow([&mut tree, &mut whole], branch[branch.len() - 1], 2).unwrap());
        }
        for (from, gap) in stubs {
            grow([&mut tree, &mut whole], line[from], gap);
            let best = *tree.best();
            tree.prune(&best, max);
            prop_assert!(tree.beside() <= max + rival, "{} beside", tree.beside());
        }
        prop_assert_eq!(tree.best(), whole.best());
        prop_assert!(branch.iter().all(|id| tree.contains(id)), "the rival is there");
        for _ in 0..60 {
            branch.push(grow([&mut tree, &mut whole], branch[branch.len() - 1], 1).unwrap());
            let best = *tree.best();
            tree.prune(&best, max);
            prop_assert_eq!(tree.best(), whole.best());
        }
        prop_assert_eq!(tree.best(), branch.last().unwrap());
    }
}

/// Ids whose first bytes are the same are told apart.
#[test]
fn ids_that_begin_alike_are_told_apart() {
    let mut trunk = Trunk::default();
    let first = tree(100_000).get(&GENESIS).unwrap();
    let twins = [0u8, 1, 2].map(|last| {
        let mut id = [7; 32];
        id[31] = last;
        BlockId::new(id)
    });
    for id in &twins[..2] {
        trunk.push(*id, &first);
    }
    let heights = twins.map(|id| trunk.height(&id).map(Height::get));
    assert_eq!(heights, [Some(0), Some(1), None]);
}
