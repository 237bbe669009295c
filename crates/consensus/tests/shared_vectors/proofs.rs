//! Proofs of space, POS-1 to POS-15: proofs from plots of several sizes, strengths and indices with their
//! qualities, and proofs that break one rule.

use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce, PlotIndex, Quality};
use mass_proof_of_space::{
    GroupIdentity, PlotParams, PlotSize, Proof, ProofError, QualityChain, Strength, oracle::Plot, plot_id,
    verify,
};
use serde::{Deserialize, Serialize};

use crate::vectors;

/// A proof, and either the quality of its chain or the rule that it breaks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    k: u8,
    strength: u8,
    farmer: FarmerPublicKey,
    nonce: GroupNonce,
    index: u16,
    challenge: Challenge,
    proof: String,
    quality: Option<Quality>,
    breaks: Option<String>,
}

fn params(case: &Case) -> PlotParams {
    let (size, strength) = (PlotSize::new(case.k).unwrap(), Strength::new(case.strength).unwrap());
    let group = GroupIdentity { size, strength, farmer: case.farmer, nonce: case.nonce };
    PlotParams { group_id: group.group_id(), index: PlotIndex::new(case.index), size, strength }
}

/// The rule behind a refusal. What breaks POS-6 to POS-8 makes no entry of table 3, which is POS-9.
fn rule(error: &ProofError) -> &'static str {
    match error {
        ProofError::Strength { .. } | ProofError::Size { .. } => "POS-1",
        ProofError::Length { .. } | ProofError::XValue { .. } => "POS-3",
        ProofError::Sets => "POS-13",
        ProofError::Chain { .. } => "POS-15",
        ProofError::Table { .. } => "POS-9",
    }
}

fn judge(case: &Case) -> Result<Quality, &'static str> {
    let params = params(case);
    let proof = Proof::read(params.size, &hex::decode(&case.proof).unwrap()).map_err(|error| rule(&error))?;
    let chain: QualityChain = verify(&params, &case.challenge, &proof).map_err(|error| rule(&error))?;
    Ok(chain.quality(&plot_id(&params.group_id, params.index), params.strength))
}

/// Two proofs of a plot, with the challenges that they answer.
fn honest(k: u8, strength: u8, index: u16) -> Vec<Case> {
    let blank = Case {
        k,
        strength,
        farmer: FarmerPublicKey::new([5; 32]),
        nonce: GroupNonce::new([strength; 32]),
        index,
        challenge: Challenge::ZERO,
        proof: String::new(),
        quality: None,
        breaks: None,
    };
    let plot = Plot::new(params(&blank));
    let answered = (0u8..).map(|number| Challenge::new([number; 32])).filter_map(|challenge| {
        let proof = plot.answers(&challenge).first()?.1;
        Some(with(&Case { challenge, ..blank.clone() }, &proof))
    });
    answered.take(2).collect()
}

/// The case with another proof, judged anew.
fn with(case: &Case, proof: &Proof) -> Case {
    let mut bytes = Vec::new();
    proof.write(&mut bytes);
    judged(Case { proof: hex::encode(bytes), ..case.clone() })
}

fn judged(mut case: Case) -> Case {
    let verdict = judge(&case);
    (case.quality, case.breaks) = (verdict.ok(), verdict.err().map(str::to_owned));
    case
}

fn x_values(case: &Case) -> [u32; 128] {
    *Proof::read(PlotSize::new(case.k).unwrap(), &hex::decode(&case.proof).unwrap()).unwrap().x_values()
}

/// The faults that one proof can have.
fn faults(good: &Case) -> Vec<Case> {
    let changed = |change: fn(&mut [u32; 128])| {
        let mut xs = x_values(good);
        change(&mut xs);
        with(good, &Proof::new(PlotSize::new(good.k).unwrap(), xs).unwrap())
    };
    let other = |challenge| judged(Case { challenge, ..good.clone() });
    vec![
        changed(|xs| xs[126] ^= 1 << 17),
        changed(|xs| xs[..16].rotate_left(8)),
        // Links 0 and 4 are of the same set.
        changed(|xs| (0..8).for_each(|i| xs.swap(i, 32 + i))),
        // The lower half of an x-value, and all of every second one, is in no link.
        changed(|xs| xs[0] ^= 1),
        changed(|xs| xs[127] ^= 1 << 17),
        changed(|xs| xs.swap(0, 1)),
        other(Challenge::new([0xee; 32])),
        judged(Case { index: good.index ^ 1, ..good.clone() }),
        judged(Case { proof: good.proof[2..].to_owned(), ..good.clone() }),
        judged(Case { proof: format!("{}00", good.proof), ..good.clone() }),
        judged(Case { strength: 16, ..good.clone() }),
    ]
}

fn make() -> Vec<Case> {
    let mut cases = honest(18, 2, 0);
    cases.extend(faults(&cases[0]));
    cases.extend([(18, 3, 258), (18, 5, 1), (20, 2, 7)].into_iter().flat_map(|(k, s, i)| honest(k, s, i)));
    cases
}

#[test]
fn pos_5() {
    let cases: Vec<Case> = vectors("proof/POS-5.json", make);
    for (number, case) in cases.iter().enumerate() {
        let verdict = judge(case);
        assert_eq!(verdict.ok(), case.quality, "case {number}");
        assert_eq!(verdict.err(), case.breaks.as_deref(), "case {number}");
    }
    for rule in ["POS-1", "POS-3", "POS-9", "POS-13", "POS-15"] {
        assert!(cases.iter().any(|case| case.breaks.as_deref() == Some(rule)), "{rule}");
    }
    assert_eq!(cases.iter().filter(|case| case.quality.is_some()).count(), 8);
}
