//! Every rule of blocks has a file under `vectors/block/`: a block that passes, and one that breaks the rule.
//! `MASS_BLESS=1` writes the files anew.

mod farm;

use std::{collections::BTreeSet, fs, path::PathBuf};

use farm::Farm;
use mass_consensus::{
    block::{Block, Decoded},
    evidence::{Evidence, evidence_commitment},
    header::SealedHeader,
    ledger::{BodyCommitment, Carried},
    spec::ChainSpec,
};
use mass_primitives::{BlockId, BodyRoot, Decode, Encode, FarmerPublicKey, Height, Slot, StateHash};
use serde::{Deserialize, Serialize};

const RULES: [&str; 7] = ["BLK-1", "BLK-2", "BLK-3", "BLK-4", "BLK-5", "BLK-6", "BLK-7"];

const ROOT: BodyRoot = BodyRoot::new([9; 32]);

/// The file of one rule; the chain is the built-in `dev`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    rule: String,
    pass: Candidate,
    fail: Candidate,
}

/// A block, and what is known of it: the ledger's word on its body, who is banned on its parent's chain, and the hash of
/// the state after its parent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    block: String,
    root: String,
    evidence: Option<String>,
    banned: Vec<FarmerPublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<StateHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_before: Option<StateHash>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/block")
}

fn bytes(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// The verdict on a block in its place: nothing, or the error's text, which starts with the rule.
fn judge(candidate: &Candidate) -> Result<(), String> {
    let spec = ChainSpec::built_in("dev").unwrap();
    let block = Block::<Decoded>::from_bytes(&hex::decode(&candidate.block).unwrap()).unwrap();
    let evidence = candidate.evidence.as_deref().map(bytes);
    let carried = Carried { evidence, state: candidate.state };
    let commitment = BodyCommitment { root: BodyRoot::new(bytes(&candidate.root)), carried };
    let block = block.prove(&spec, &commitment).map_err(|error| error.to_string())?;
    let linked = block.link(&spec, |farmer| candidate.banned.contains(farmer), 0);
    let linked = linked.map_err(|error| error.to_string())?;
    let before = candidate.state_before.unwrap_or(StateHash::ZERO);
    linked.check_state(&spec, &before).map_err(|error| error.to_string())
}

#[test]
fn every_rule_of_blocks_has_a_vector_that_passes_and_one_that_fails() {
    if std::env::var_os("MASS_BLESS").is_some() {
        bless();
    }
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(vector.rule.as_str()));
        assert_eq!(judge(&vector.pass), Ok(()), "{}", vector.rule);
        let verdict = judge(&vector.fail).unwrap_err();
        assert!(verdict.starts_with(&format!("{}:", vector.rule)), "{}: {verdict}", vector.rule);
        seen.insert(vector.rule);
    }
    assert_eq!(seen, RULES.map(String::from).into());
}

#[test]
fn the_first_block_of_a_period_alone_commits_to_the_state() {
    let text = fs::read_to_string(folder().join("BLK-7.json")).unwrap();
    let first = serde_json::from_str::<Vector>(&text).unwrap().pass;
    let text = fs::read_to_string(folder().join("BLK-1.json")).unwrap();
    let other = serde_json::from_str::<Vector>(&text).unwrap().pass;
    for broken in [Candidate { state: None, ..first.clone() }, Candidate { state: first.state, ..other }] {
        let verdict = judge(&broken).unwrap_err();
        assert!(verdict.starts_with("BLK-7:"), "{verdict}");
    }
}

fn bless() {
    fs::create_dir_all(folder()).unwrap();
    let cheats: Vec<Evidence> = (20..25).map(|key| double_seal(&Farm::with_key(8, [key; 32]))).collect();
    let honest = Farm::with_key(8, [8; 32]);
    for rule in RULES {
        let (pass, fail) = make(&honest, &cheats, rule);
        let text =
            serde_json::to_string_pretty(&Vector { rule: rule.to_owned(), pass, fail }).unwrap() + "\n";
        fs::write(folder().join(format!("{rule}.json")), text).unwrap();
    }
}

/// A header at this height, good by itself.
fn header(farm: &Farm, height: Height, parent: u8) -> SealedHeader {
    let (seed, difficulty) = (farm.spec.rules().seed_initial, farm.spec.difficulty_initial());
    farm.seal(BlockId::new([parent; 32]), ROOT, farm.win(height, Slot::ZERO, seed, difficulty))
}

/// One slot, sealed on two parents, at height 1.
fn double_seal(farm: &Farm) -> Evidence {
    Evidence::new(header(farm, Height::new(1), 1), header(farm, Height::new(1), 2))
}

fn candidate(sealed: SealedHeader, evidence: &[Evidence]) -> Candidate {
    Candidate {
        block: hex::encode(Block::new(sealed, evidence.to_vec(), b"body".to_vec()).to_bytes()),
        root: hex::encode(ROOT.as_bytes()),
        evidence: evidence_commitment(evidence).map(hex::encode),
        banned: Vec::new(),
        state: None,
        state_before: None,
    }
}

/// A block that passes, and one in which the rule alone is broken.
fn make(farm: &Farm, cheats: &[Evidence], rule: &str) -> (Candidate, Candidate) {
    let mut pieces = cheats.to_vec();
    pieces.sort_by_key(|piece| *piece.farmer());
    let max = farm.spec.rules().evidence_per_block_max as usize;
    let second = header(farm, Height::new(2), 1);
    let pass = candidate(second, &pieces[..1]);
    let window = farm.spec.rules().evidence_window_blocks;
    let at_age = |age: u32| candidate(header(farm, Height::new(1 + age), 1), &pieces[..1]);
    match rule {
        "BLK-1" => (pass.clone(), Candidate { root: hex::encode([8; 32]), ..pass }),
        "BLK-2" => (pass.clone(), Candidate { evidence: None, ..pass }),
        "BLK-3" => (candidate(second, &pieces[..max]), candidate(second, &pieces[..max + 1])),
        "BLK-4" => (at_age(window), at_age(window + 1)),
        "BLK-5" => (candidate(second, &pieces[..2]), candidate(second, &[pieces[1], pieces[0]])),
        "BLK-6" => {
            let banned = |farmer: &FarmerPublicKey| Candidate { banned: vec![*farmer], ..pass.clone() };
            (banned(pieces[1].farmer()), banned(&farm.secret.public()))
        }
        "BLK-7" => {
            let first = Height::new(farm.spec.rules().period_blocks);
            let before = Some(StateHash::new([7; 32]));
            let pass =
                Candidate { state: before, state_before: before, ..candidate(header(farm, first, 1), &[]) };
            (pass.clone(), Candidate { state: Some(StateHash::new([8; 32])), ..pass })
        }
        _ => unreachable!("no fault for {rule}"),
    }
}
