//! Every header rule has a file under `vectors/header/`: headers that link before, one that passes, one that
//! fails by that rule. `MASS_BLESS=1` writes the files anew.

mod farm;

use std::{collections::BTreeSet, fs, path::PathBuf};

use farm::Farm;
use mass_consensus::{
    header::SealedHeader,
    proven::ProvenHeader,
    spec::{ChainSpec, Checkpoint},
    tree::HeaderTree,
};
use mass_primitives::{BlockId, BodyRoot, Decode, Difficulty, Encode, Height, PlotIndex, Seed, Slot};
use mass_proof_of_space::{PlotSize, Proof};
use serde::{Deserialize, Serialize};

const RULES: [&str; 19] = [
    "PRV-1", "PRV-2", "PRV-3", "PRV-4", "PRV-5", "PRV-6", "PRV-7", "PRV-8", "PRV-9", "PRV-10", "PRV-11",
    "PRV-12", "LNK-1", "LNK-2", "LNK-3", "LNK-4", "LNK-5", "LNK-6", "LNK-7",
];

const GENESIS: BlockId = BlockId::new([1; 32]);

/// The file of one rule. Headers are hex of their canonical encoding; the chain is the built-in `dev`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    rule: String,
    genesis: BlockId,
    checkpoints: Vec<Checkpoint>,
    before: Vec<String>,
    pass: String,
    fail: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/header")
}

/// The verdict on a header after others: nothing, or the error's text, which starts with the rule.
fn judge(vector: &Vector, candidate: &str) -> Result<(), String> {
    let mut file = ChainSpec::built_in("dev").unwrap().file().clone();
    file.hints.checkpoints.clone_from(&vector.checkpoints);
    let spec = ChainSpec::new(file).unwrap();
    let mut tree = HeaderTree::new(spec.clone(), vector.genesis);
    let decode = |text: &str| SealedHeader::from_bytes(&hex::decode(text).unwrap()).unwrap();
    for text in &vector.before {
        tree.link(&ProvenHeader::prove(&spec, decode(text)).unwrap()).unwrap();
    }
    let proven = ProvenHeader::prove(&spec, decode(candidate)).map_err(|error| error.to_string())?;
    tree.link(&proven).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_rule_has_a_vector_that_passes_and_one_that_fails() {
    if std::env::var_os("MASS_BLESS").is_some() {
        bless();
    }
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(vector.rule.as_str()));
        assert_eq!(judge(&vector, &vector.pass), Ok(()), "{}", vector.rule);
        let verdict = judge(&vector, &vector.fail).unwrap_err();
        assert!(verdict.starts_with(&format!("{}:", vector.rule)), "{}: {verdict}", vector.rule);
        seen.insert(vector.rule);
    }
    assert_eq!(seen, RULES.map(String::from).into());
}

fn bless() {
    let farm = Farm::new(8);
    fs::create_dir_all(folder()).unwrap();
    for rule in RULES {
        let vector = make(&farm, rule);
        let text = serde_json::to_string_pretty(&vector).unwrap() + "\n";
        fs::write(folder().join(format!("{rule}.json")), text).unwrap();
    }
}

fn text(sealed: &SealedHeader) -> String {
    hex::encode(sealed.to_bytes())
}

fn make(farm: &Farm, rule: &str) -> Vector {
    let tree = HeaderTree::new(farm.spec.clone(), GENESIS);
    let first = farm.next(GENESIS, tree.expectation(&GENESIS, Slot::ZERO).unwrap());
    let (before, pass, fail) = if rule.starts_with("PRV") {
        (vec![], first, unproven(farm, first, rule))
    } else {
        unlinked(farm, first, rule)
    };
    let checkpoints = match rule {
        "LNK-6" => vec![Checkpoint { height: Height::new(1), id: first.id() }],
        "LNK-7" => vec![Checkpoint { height: Height::new(2), id: before[1].id() }],
        _ => vec![],
    };
    Vector {
        rule: rule.into(),
        genesis: GENESIS,
        checkpoints,
        before: before.iter().map(text).collect(),
        pass: text(&pass),
        fail: text(&fail),
    }
}

/// `good` with the one fault of a rule, committed and signed anew where the rule allows.
fn unproven(farm: &Farm, good: SealedHeader, rule: &str) -> SealedHeader {
    let (mut bad, mut claim) = (good, good.seal.claim);
    let reseal = |claim| farm.seal(good.header.parent, good.header.root, claim);
    match rule {
        "PRV-1" => claim.chain = *ChainSpec::built_in("testnet").unwrap().id(),
        "PRV-2" => {
            claim.group.size = PlotSize::new(20).unwrap();
            claim.proof = Proof::new(claim.group.size, *claim.proof.x_values()).unwrap();
        }
        "PRV-3" => claim.index = PlotIndex::new(farm.spec.rules().group_plots_max),
        "PRV-7" => claim.difficulty = Difficulty::new(farm.spec.difficulty_min().get() - 1),
        "PRV-8" => claim.slot = Slot::new(claim.slot.get() + farm.spec.rules().round_slots),
        "PRV-10" => {
            let mut x_values = *claim.proof.x_values();
            x_values[127] ^= 1;
            claim.proof = Proof::new(claim.proof.size(), x_values).unwrap();
        }
        "PRV-11" => claim.slot = losing_slot(farm, &good),
        _ => {}
    }
    if claim != good.seal.claim {
        return reseal(claim);
    }
    match rule {
        "PRV-4" => bad.header.nonce ^= 1,
        "PRV-5" => bad.header.time += 1,
        "PRV-6" => bad.header.bits -= 1,
        "PRV-9" => {
            let other = farm.seal(
                good.header.parent,
                good.header.root,
                farm.win(claim.height, Slot::new(claim.slot.get() + 64), claim.seed, claim.difficulty),
            );
            bad.seal.vrf_proof = other.seal.vrf_proof;
            return bad;
        }
        "PRV-12" => {
            bad.header.root = BodyRoot::new([3; 32]);
            return bad;
        }
        _ => unreachable!("no fault for {rule}"),
    }
    farm.sign(bad.header, bad.seal.claim)
}

fn losing_slot(farm: &Farm, good: &SealedHeader) -> Slot {
    let start = farm.spec.round_start(farm.spec.round(good.seal.claim.slot)).get();
    (start..start + farm.spec.rules().round_slots)
        .map(Slot::new)
        .find(|slot| {
            let claim = mass_consensus::header::SealClaim { slot: *slot, ..good.seal.claim };
            let sealed = farm.seal(good.header.parent, good.header.root, claim);
            ProvenHeader::prove(&farm.spec, sealed)
                .is_err_and(|error| error.to_string().starts_with("PRV-11"))
        })
        .expect("a quality of low weight loses some slot of its round")
}

/// Headers before, one that links, one that breaks the rule alone.
fn unlinked(farm: &Farm, first: SealedHeader, rule: &str) -> (Vec<SealedHeader>, SealedHeader, SealedHeader) {
    let mut tree = HeaderTree::new(farm.spec.clone(), GENESIS);
    let other_root = BodyRoot::new([5; 32]);
    let claim = first.seal.claim;
    if rule == "LNK-6" {
        return (vec![], first, farm.seal(GENESIS, other_root, claim));
    }
    if rule == "LNK-1" {
        return (vec![], first, farm.seal(BlockId::new([2; 32]), other_root, claim));
    }
    tree.link(&ProvenHeader::prove(&farm.spec, first).unwrap()).unwrap();
    let expected = tree.expectation(&first.id(), Slot::ZERO).unwrap();
    let second = farm.next(first.id(), expected);
    if rule == "LNK-7" {
        tree.link(&ProvenHeader::prove(&farm.spec, second).unwrap()).unwrap();
        let third = farm.next(second.id(), tree.expectation(&second.id(), Slot::ZERO).unwrap());
        return (vec![first, second], third, farm.seal(GENESIS, other_root, claim));
    }
    let mut bad = second.seal.claim;
    match rule {
        "LNK-2" => bad.height = Height::new(3),
        "LNK-3" => bad = mass_consensus::header::SealClaim { height: expected.height, ..claim },
        "LNK-4" => bad = farm.win(expected.height, expected.after, Seed::new([4; 32]), expected.difficulty),
        "LNK-5" => {
            let difficulty = Difficulty::new(expected.difficulty.get() - 1);
            bad = farm.win(expected.height, expected.after, expected.seed, difficulty);
        }
        _ => unreachable!("no fault for {rule}"),
    }
    (vec![first], second, farm.seal(first.id(), other_root, bad))
}
