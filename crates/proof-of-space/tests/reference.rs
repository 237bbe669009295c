//! The verifier against the reference implementation, crate `chia-pos2`: same identities, same chains, same
//! refusals.

mod dice;

use std::path::Path;

use chia_pos2::Prover;
use dice::Dice;
use mass_primitives::{Challenge, GroupId, PlotIndex};
use mass_proof_of_space::{
    META_GROUP, PlotParams, PlotSize, Proof, QualityChain, Strength, oracle, plot_id, verify,
};

fn params(group_id: [u8; 32], k: u8, strength: u8) -> PlotParams {
    PlotParams {
        group_id: GroupId::new(group_id),
        index: PlotIndex::new(0),
        size: PlotSize::new(k).unwrap(),
        strength: Strength::new(strength).unwrap(),
    }
}

/// What both verifiers say, which must be the same.
fn verdict(params: &PlotParams, challenge: &Challenge, bytes: &[u8]) -> Option<QualityChain> {
    let proof = Proof::read(params.size, bytes).expect("any bits are x-values");
    let ours = verify(params, challenge, &proof).ok();
    let reference = chia_pos2::validate_proof_v2(
        params.group_id.as_bytes(),
        params.index.get(),
        params.size.get(),
        params.strength.get(),
        META_GROUP,
        challenge.as_bytes(),
        bytes,
    )
    .map(|chain| QualityChain::new(chain.chain_links));
    assert_eq!(ours, reference, "{params:?} {challenge:?} {bytes:?}");
    ours
}

/// Makes the plot with the reference.
fn plot(path: &Path, params: &PlotParams) -> Prover {
    chia_pos2::create_v2_single_plot_group(
        path,
        params.size.get(),
        params.strength.get(),
        params.group_id.as_bytes(),
        params.index.get(),
        META_GROUP,
        &[7; 112],
    )
    .unwrap();
    Prover::new(path).unwrap()
}

/// Up to `wanted` challenges and the proofs that answer them.
fn proofs(prover: &Prover, params: &PlotParams, dice: &mut Dice, wanted: usize) -> Vec<(Challenge, Vec<u8>)> {
    let id = plot_id(&params.group_id, params.index);
    let mut found = Vec::new();
    for _ in 0..400 {
        let challenge = Challenge::new(dice.bytes());
        for answer in prover.get_qualities_for_challenge(challenge.as_bytes()).unwrap() {
            let proof = chia_pos2::solve_proof(
                &answer.chain,
                id.as_bytes(),
                params.size.get(),
                params.strength.get(),
            );
            assert!(!proof.is_empty());
            assert_eq!(
                verdict(params, &challenge, &proof),
                Some(QualityChain::new(answer.chain.chain_links))
            );
            found.push((challenge, proof));
            if found.len() == wanted {
                return found;
            }
        }
    }
    found
}

/// Spoils one proof in many ways; returns how many.
fn spoil(params: &PlotParams, challenge: &Challenge, proof: &[u8], dice: &mut Dice) -> usize {
    let refused = |params: &PlotParams, challenge: &Challenge, bytes: &[u8]| {
        assert_eq!(verdict(params, challenge, bytes), None);
    };
    for _ in 0..150 {
        let mut bytes = proof.to_vec();
        let bit = dice.below(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused(params, challenge, &bytes);
    }
    let x_values = *Proof::read(params.size, proof).unwrap().x_values();
    for _ in 0..40 {
        // Subtrees of one, two, four or eight x-values change places with their neighbours.
        let mut swapped = x_values;
        let width = 1 << dice.below(4);
        let at = 2 * width * dice.below(64 / width);
        let (left, right) = swapped[at..at + 2 * width].split_at_mut(width);
        left.swap_with_slice(right);
        let mut bytes = Vec::new();
        Proof::new(params.size, swapped).unwrap().write(&mut bytes);
        refused(params, challenge, &bytes);
    }
    refused(params, &Challenge::new(dice.bytes()), proof);
    refused(&PlotParams { group_id: GroupId::new(dice.bytes()), ..*params }, challenge, proof);
    refused(&PlotParams { index: PlotIndex::new(1), ..*params }, challenge, proof);
    let others = [2, 3, 4, 5, 6, 9].into_iter().filter(|strength| *strength != params.strength.get());
    let strengths = others.map(|strength| Strength::new(strength).unwrap());
    let spoilt =
        strengths.inspect(|&strength| refused(&PlotParams { strength, ..*params }, challenge, proof));
    193 + spoilt.count()
}

#[test]
fn identities_are_those_of_the_reference() {
    let mut dice = Dice(1);
    for _ in 0..10_000 {
        let group_id = dice.bytes();
        let index = dice.next() as u16;
        let reference = chia_pos2::plot_id_for_index(&group_id, index, META_GROUP).unwrap();
        assert_eq!(plot_id(&GroupId::new(group_id), PlotIndex::new(index)).get(), reference);
    }
}

#[test]
fn verdicts_are_those_of_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(2);
    let (mut accepted, mut spoilt) = (0, 0);
    for _ in 0..20 {
        let group_id = dice.bytes();
        for strength in [2, 3, 5] {
            let params = params(group_id, 18, strength);
            let prover = plot(&dir.path().join("plot.bin"), &params);
            for (challenge, proof) in proofs(&prover, &params, &mut dice, 1) {
                accepted += 1;
                spoilt += spoil(&params, &challenge, &proof, &mut dice);
            }
        }
    }
    eprintln!("{accepted} proofs accepted, {spoilt} spoilt ones refused");
    assert!(accepted >= 60 && spoilt >= 10_000, "{accepted} accepted, {spoilt} spoilt");
}

#[test]
fn larger_plots_verify() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(3);
    for (k, strength) in [(20, 2), (20, 4), (22, 2)] {
        let params = params(dice.bytes(), k, strength);
        let prover = plot(&dir.path().join("plot.bin"), &params);
        for (challenge, proof) in proofs(&prover, &params, &mut dice, 2) {
            spoil(&params, &challenge, &proof, &mut dice);
        }
    }
}

/// The obvious plot finds the chains that the reference finds, no more and no fewer.
#[test]
fn the_obvious_plot_has_the_same_chains() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(5);
    for strength in [2, 3, 5] {
        let params = params(dice.bytes(), 18, strength);
        let prover = plot(&dir.path().join("plot.bin"), &params);
        let obvious = oracle::Plot::new(params);
        let mut found = 0;
        for _ in 0..60 {
            let challenge = Challenge::new(dice.bytes());
            let answers = prover.get_qualities_for_challenge(challenge.as_bytes()).unwrap();
            let mut reference: Vec<_> = answers.iter().map(|answer| answer.chain.chain_links).collect();
            reference.sort();
            let ours = obvious.answers(&challenge);
            assert_eq!(ours.iter().map(|(chain, _)| *chain.links()).collect::<Vec<_>>(), reference);
            for (chain, proof) in ours {
                assert_eq!(verify(&params, &challenge, &proof), Ok(chain));
                found += 1;
            }
        }
        assert!(found > 5, "{found}");
    }
}

/// Strengths that leave no match target have no plots: refused, not computed with.
#[test]
fn hopeless_strengths_are_refused() {
    for strength in [15, 16, 17] {
        assert_eq!(verdict(&params([7; 32], 18, strength), &Challenge::new([1; 32]), &[0; 288]), None);
    }
}

/// The cost of one verification; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(4);
    let params = params(dice.bytes(), 18, 2);
    let prover = plot(&dir.path().join("plot.bin"), &params);
    let (challenge, bytes) = proofs(&prover, &params, &mut dice, 1).pop().unwrap();
    let proof = Proof::read(params.size, &bytes).unwrap();
    let rounds = 20_000;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        assert!(verify(&params, &challenge, std::hint::black_box(&proof)).is_ok());
    }
    eprintln!("ours {:?}", start.elapsed() / rounds);
    let (group_id, challenge) = (params.group_id.get(), challenge.get());
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        let bytes = std::hint::black_box(&bytes);
        assert!(chia_pos2::validate_proof_v2(&group_id, 0, 18, 2, META_GROUP, &challenge, bytes).is_some());
    }
    eprintln!("reference {:?}", start.elapsed() / rounds);
}
