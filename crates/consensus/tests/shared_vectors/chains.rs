//! Chains from real plots: the numbers along a branch over the end of a period (SEED-1, DIF-1), the choice between
//! branches (FRK-1), and a chain with the seeds of another (SEED-2).

use mass_consensus::{
    beacon::Beacon,
    header::SealedHeader,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{HeaderTree, LinkError},
};
use mass_primitives::{BlockId, BodyRoot, Decode, Encode, Height, Seed, Slot, Ticket};
use serde::{Deserialize, Serialize};

use crate::{farm::Farm, vectors};

const GENESIS: BlockId = BlockId::new([1; 32]);
const CHILD_GENESIS: BlockId = BlockId::new([2; 32]);

/// Headers in the order in which they are linked, with what each must come to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    chain: String,
    genesis: BlockId,
    headers: Vec<Linked>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Linked {
    header: String,
    id: BlockId,
    height: Height,
    slot: String,
    seed: Seed,
    difficulty: String,
    weight: String,
    ticket: Ticket,
    /// The last block of the best chain once this header is linked.
    best: BlockId,
}

fn link(tree: &mut HeaderTree, header: &str) -> Result<Linked, LinkError> {
    let sealed = SealedHeader::from_bytes(&hex::decode(header).unwrap()).unwrap();
    let proven = ProvenHeader::prove(tree.spec(), sealed).unwrap();
    tree.link(&proven)?;
    let node = tree.get(proven.id()).unwrap();
    Ok(Linked {
        header: header.to_owned(),
        id: *proven.id(),
        height: node.height,
        slot: node.slot.to_string(),
        seed: node.seed,
        difficulty: node.difficulty.to_string(),
        weight: node.weight.get().to_string(),
        ticket: node.ticket,
        best: *tree.best(),
    })
}

fn tree_of(chain: &Chain) -> HeaderTree {
    HeaderTree::new(ChainSpec::built_in(&chain.chain).unwrap(), chain.genesis)
}

/// Links all headers of a file and compares.
fn check(tree: &mut HeaderTree, chain: &Chain) {
    for expected in &chain.headers {
        let got = link(tree, &expected.header).unwrap();
        assert_eq!(serde_json::to_value(&got).unwrap(), serde_json::to_value(expected).unwrap());
    }
}

/// Grows a chain by honest blocks with a body, from some block on.
fn grow(farm: &Farm, tree: &mut HeaderTree, from: BlockId, blocks: usize, body: u8) -> Vec<Linked> {
    let mut tip = from;
    let mut next = || {
        let expected = tree.expectation(&tip, Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let sealed = farm.seal(tip, BodyRoot::new([body; 32]), claim);
        tip = sealed.id();
        link(tree, &hex::encode(sealed.to_bytes())).unwrap()
    };
    (0..blocks).map(|_| next()).collect()
}

fn dev_chain(headers: Vec<Linked>) -> Chain {
    Chain { chain: "dev".into(), genesis: GENESIS, headers }
}

#[test]
fn seed_1() {
    let make = || {
        let farm = Farm::new(8);
        let mut tree = HeaderTree::new(farm.spec.clone(), GENESIS);
        dev_chain(grow(&farm, &mut tree, GENESIS, 18, 9))
    };
    let chain: Chain = vectors("chain/SEED-1.json", make);
    check(&mut tree_of(&chain), &chain);
    let [before, after] = [15, 16].map(|height: usize| chain.headers[height - 1].seed);
    assert_ne!(before, after, "a period ends before height 16");
}

/// A block, a twin of it with another body, one in a later slot, and a branch on the worse twin.
fn forks() -> Chain {
    let farm = Farm::new(8);
    let mut tree = HeaderTree::new(farm.spec.clone(), GENESIS);
    let mut headers = grow(&farm, &mut tree, GENESIS, 1, 9);
    let expected = tree.expectation(&GENESIS, Slot::ZERO).unwrap();
    let mut claims = Vec::new();
    let mut after = expected.after;
    while claims.len() < 3 {
        let claim = farm.win(expected.height, after, expected.seed, expected.difficulty);
        after = claim.slot;
        claims.push(claim);
    }
    for claim in claims {
        for body in [5, 6] {
            let sealed = farm.seal(GENESIS, BodyRoot::new([body; 32]), claim);
            headers.push(link(&mut tree, &hex::encode(sealed.to_bytes())).unwrap());
        }
    }
    let best = *tree.best();
    let worse = headers.iter().map(|linked| linked.id).find(|id| *id != best).unwrap();
    headers.extend(grow(&farm, &mut tree, worse, 1, 9));
    headers.extend(grow(&farm, &mut tree, best, 2, 9));
    dev_chain(headers)
}

#[test]
fn frk_1() {
    let chain: Chain = vectors("chain/FRK-1.json", forks);
    check(&mut tree_of(&chain), &chain);
    let first = &chain.headers[..7];
    assert!(first.iter().all(|linked| linked.weight == first[0].weight));
    assert!(first.windows(2).any(|pair| pair[0].ticket == pair[1].ticket), "the ids decide between twins");
    assert!(first.iter().any(|linked| linked.ticket != first[0].ticket), "the tickets decide between slots");
    let lasts: std::collections::BTreeSet<_> = chain.headers.iter().map(|linked| linked.best).collect();
    assert!(lasts.len() >= 3, "the best chain changes");
}

/// A parent, and a child with its seeds: headers that link, and one in place of the last with a seed of before.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inherited {
    parent: Chain,
    child: Chain,
    fail: String,
}

fn beacon_of(parent: &HeaderTree) -> Beacon {
    let mut beacon = Beacon::new(parent);
    beacon.follow(parent, parent.best());
    beacon
}

/// A farm on `dev2` that wins in round 0.
fn early_farm() -> Farm {
    let spec = ChainSpec::built_in("dev2").unwrap();
    let wins_early = |farm: &Farm| {
        let seed = spec.rules().seed_initial;
        let claim = farm.win(Height::new(1), Slot::ZERO, seed, spec.difficulty_initial());
        spec.round(claim.slot).get() == 0
    };
    let dev2 = |key| {
        let mut farm = Farm::with_key(8, [key; 32]);
        farm.spec = spec.clone();
        farm
    };
    (9..).map(dev2).find(wins_early).unwrap()
}

/// The child's blocks: one in round 0, one while the old seed holds, one with the new seed. Slots of the two chains
/// differ in length, rounds do not.
fn inherited() -> Inherited {
    let dev = Farm::new(8);
    let mut parent = HeaderTree::new(dev.spec.clone(), GENESIS);
    let parent_headers = grow(&dev, &mut parent, GENESIS, 17, 9);
    let farm = early_farm();
    let mut tree = HeaderTree::new(farm.spec.clone(), CHILD_GENESIS);
    tree.set_beacon(beacon_of(&parent));
    // The parent's first block of the new period is in the last round with the old seed.
    let begins = Slot::new(parent_headers[15].slot.parse().unwrap());
    let last = farm.spec.round_start(dev.spec.round(begins)).get();
    let (mut tip, mut headers, mut fail) = (CHILD_GENESIS, Vec::new(), String::new());
    let round = farm.spec.rules().round_slots;
    for from in [1, last - 8 * round, last + round] {
        let expected = tree.expectation(&tip, Slot::new(from)).unwrap();
        let after = expected.after.max(Slot::new(from - 1));
        let seal = |seed| {
            let claim = farm.win(expected.height, after, seed, expected.difficulty);
            farm.seal(tip, BodyRoot::new([9; 32]), claim)
        };
        fail = hex::encode(seal(farm.spec.rules().seed_initial).to_bytes());
        let sealed = seal(expected.seed);
        tip = sealed.id();
        headers.push(link(&mut tree, &hex::encode(sealed.to_bytes())).unwrap());
    }
    let child = Chain { chain: "dev2".into(), genesis: CHILD_GENESIS, headers };
    Inherited { parent: dev_chain(parent_headers), child, fail }
}

#[test]
fn seed_2() {
    let mut file: Inherited = vectors("chain/SEED-2.json", inherited);
    let mut parent = tree_of(&file.parent);
    check(&mut parent, &file.parent);
    let mut child = tree_of(&file.child);
    child.set_beacon(beacon_of(&parent));
    let last = file.child.headers.pop().unwrap();
    check(&mut child, &file.child);
    assert_eq!(link(&mut child, &file.fail).map(|linked| linked.id), Err(LinkError::Beacon));
    file.child.headers = vec![last];
    check(&mut child, &file.child);
}
