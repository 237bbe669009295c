//! Our plots against those of the reference implementation, crate `chia-pos2`: same qualities, same proofs, same
//! verdicts on them and on spoilt ones.
//!
//! `cargo test` runs k = 18; `cargo xtask slow pos` runs all.

#[path = "../../proof-of-space/tests/dice/mod.rs"]
mod dice;

use std::{
    ffi::{CStr, CString, c_char},
    path::Path,
};

use dice::Dice;
use mass_plot::{GroupOptions, Plot, SolveOptions};
use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce, PlotId, PlotIndex};
use mass_proof_of_space::{
    GroupIdentity, META_GROUP, PlotParams, PlotSize, Proof, QUALITY_LINKS, QualityChain, Strength, verify,
};

/// The same plot, made by both: the last of a group, ours in the file of the group.
struct Pair {
    ours: Plot,
    reference: CString,
    params: PlotParams,
    plot_id: PlotId,
}

impl Pair {
    fn new(dir: &Path, k: u8, strength: u8, dice: &mut Dice) -> Self {
        let identity = GroupIdentity {
            size: PlotSize::new(k).unwrap(),
            strength: Strength::new(strength).unwrap(),
            farmer: FarmerPublicKey::new(dice.bytes()),
            nonce: GroupNonce::new(dice.bytes()),
        };
        let index = dice.below(4) as u16;
        let path = mass_plot::create_group(dir, &identity, index + 1, &GroupOptions::default()).unwrap();
        let ours = Plot::open(&path).unwrap();
        let index = PlotIndex::new(index);
        let (params, plot_id) = (*ours.params_of(index).unwrap(), *ours.plot_id_of(index).unwrap());
        Self { ours, reference: reference_plot(&dir.join("reference.bin"), &params), params, plot_id }
    }

    /// Asks both; returns the chains, which are the same.
    fn qualities(&self, challenge: &Challenge) -> Vec<QualityChain> {
        let index = self.params.index;
        let ours = self.ours.group_qualities(challenge).unwrap().into_iter();
        let ours: Vec<_> = ours.filter(|(of, _)| *of == index).map(|(_, chain)| chain).collect();
        let links = reference_answers(&self.reference, index, challenge);
        assert_eq!(ours.iter().map(|chain| *chain.links()).collect::<Vec<_>>(), links, "{:?}", self.params);
        ours
    }

    /// Solves with both; returns the proof, which is the same and which both accept.
    fn solve(&self, challenge: &Challenge, chain: &QualityChain) -> Vec<u8> {
        let proof = self.ours.solve_of(self.params.index, chain, &SolveOptions::default()).unwrap();
        let links = chia_pos2::QualityChain { chain_links: *chain.links() };
        let (k, strength) = (self.params.size.get(), self.params.strength.get());
        let reference = chia_pos2::solve_proof(&links, self.plot_id.as_bytes(), k, strength);
        let mut ours = Vec::new();
        proof.write(&mut ours);
        assert_eq!(self.verdict(challenge, &ours), Some(*chain));
        assert_eq!(self.verdict(challenge, &reference), Some(*chain));
        assert_eq!(ours, reference, "{:?}", self.params);
        ours
    }

    /// What both verifiers say, which is the same.
    fn verdict(&self, challenge: &Challenge, bytes: &[u8]) -> Option<QualityChain> {
        let proof = Proof::read(self.params.size, bytes).expect("any bits are x-values");
        let ours = verify(&self.params, challenge, &proof).ok();
        let PlotParams { group_id, index, size, strength } = self.params;
        let (id, index, k, strength) = (group_id.as_bytes(), index.get(), size.get(), strength.get());
        let reference =
            chia_pos2::validate_proof_v2(id, index, k, strength, META_GROUP, challenge.as_bytes(), bytes);
        assert_eq!(ours, reference.map(|chain| QualityChain::new(chain.chain_links)));
        ours
    }

    /// Spoils a proof in many ways; both refuse each. Returns how many.
    fn spoil(&self, challenge: &Challenge, proof: &[u8], ways: usize, dice: &mut Dice) -> usize {
        for way in 0..ways {
            let mut bytes = proof.to_vec();
            if way % 4 == 3 {
                // Subtrees of one, two, four or eight x-values change places with their neighbours.
                let mut x_values = *Proof::read(self.params.size, proof).unwrap().x_values();
                let width = 1 << dice.below(4);
                let at = 2 * width * dice.below(64 / width);
                let (left, right) = x_values[at..at + 2 * width].split_at_mut(width);
                left.swap_with_slice(right);
                bytes.clear();
                Proof::new(self.params.size, x_values).unwrap().write(&mut bytes);
            } else {
                let bit = dice.below(8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(self.verdict(challenge, &bytes), None);
        }
        ways
    }
}

/// The reference's plot file.
fn reference_plot(path: &Path, params: &PlotParams) -> CString {
    let PlotParams { group_id, index, size, strength } = params;
    let (id, k, strength) = (group_id.as_bytes(), size.get(), strength.get());
    let index = PlotIndex::get(*index);
    chia_pos2::create_v2_single_plot_group(path, k, strength, id, index, META_GROUP, &[7; 112]).unwrap();
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

/// What the reference's plot at `index` of its group answers. Its public interface takes every file for the first
/// plot of a group, so this goes to the function below, as the reference's own tests do.
#[allow(unsafe_code)]
fn reference_answers(path: &CStr, index: PlotIndex, challenge: &Challenge) -> Vec<[u64; QUALITY_LINKS]> {
    unsafe extern "C" {
        fn qualities_for_challenge(
            path: *const c_char,
            challenge: *const u8,
            output: *mut chia_pos2::PlotQualityChain,
            count: *mut u32,
            index: u16,
        ) -> bool;
    }
    let mut output = vec![chia_pos2::PlotQualityChain::default(); 256];
    let mut count = output.len() as u32;
    // SAFETY: the path ends in zero, the challenge has 32 bytes, and the output as many places as `count` says.
    let is_read = unsafe {
        qualities_for_challenge(
            path.as_ptr(),
            challenge.as_bytes().as_ptr(),
            output.as_mut_ptr(),
            &raw mut count,
            index.get(),
        )
    };
    assert!(is_read && (count as usize) < output.len());
    let mut links: Vec<_> =
        output.iter().take(count as usize).map(|answer| answer.chain.chain_links).collect();
    links.sort_unstable();
    links.dedup();
    links
}

/// What one run has compared.
#[derive(Debug, Default)]
struct Tally {
    challenges: usize,
    chains: usize,
    proofs: usize,
    spoilt: usize,
}

/// How much of everything to compare.
struct Amount {
    plots: usize,
    challenges: usize,
    proofs: usize,
    spoilt: usize,
}

fn compare(k: u8, strengths: &[u8], amount: &Amount, seed: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    for _ in 0..amount.plots {
        for &strength in strengths {
            let dir = tempfile::tempdir().unwrap();
            let pair = Pair::new(dir.path(), k, strength, &mut dice);
            let mut proofs = 0;
            for _ in 0..amount.challenges {
                let challenge = Challenge::new(dice.bytes());
                for chain in pair.qualities(&challenge) {
                    tally.chains += 1;
                    if proofs < amount.proofs {
                        proofs += 1;
                        let proof = pair.solve(&challenge, &chain);
                        tally.spoilt += pair.spoil(&challenge, &proof, amount.spoilt, &mut dice);
                    }
                }
                tally.challenges += 1;
            }
            tally.proofs += proofs;
        }
    }
    eprintln!("k = {k}: {tally:?}");
    tally
}

/// Twenty plots of one strength; three tests, so that they run side by side.
fn compare_least_size(strength: u8) {
    let amount = Amount { plots: 20, challenges: 200, proofs: 3, spoilt: 60 };
    let tally = compare(18, &[strength], &amount, strength.into());
    assert!(tally.proofs >= 57 && tally.spoilt >= 3_400, "{tally:?}");
}

#[test]
fn plots_of_the_least_size_are_those_of_the_reference() {
    compare_least_size(2);
}

#[test]
fn stronger_plots_are_those_of_the_reference() {
    compare_least_size(3);
}

#[test]
fn much_stronger_plots_are_those_of_the_reference() {
    compare_least_size(5);
}

/// Each plot of a group is the plot of that index of the reference.
#[test]
fn the_plots_of_a_group_are_those_of_the_reference() {
    let (dir, mut dice) = (tempfile::tempdir().unwrap(), Dice(128));
    let identity = GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new(dice.bytes()),
        nonce: GroupNonce::new(dice.bytes()),
    };
    let path = mass_plot::create_group(dir.path(), &identity, 5, &GroupOptions::default()).unwrap();
    let group = Plot::open(&path).unwrap();
    let indices: Vec<PlotIndex> = (0..5).map(PlotIndex::new).collect();
    let reference = indices.iter().map(|index| {
        let file = dir.path().join(format!("reference-{index}.bin"));
        reference_plot(&file, group.params_of(*index).unwrap())
    });
    let reference: Vec<CString> = reference.collect();
    let (mut chains, mut proofs) = ([0; 5], [0; 5]);
    for _ in 0..200 {
        let challenge = Challenge::new(dice.bytes());
        let ours = group.group_qualities(&challenge).unwrap();
        for ((index, path), at) in indices.iter().zip(&reference).zip(0..) {
            let ours: Vec<_> =
                ours.iter().filter(|(of, _)| of == index).map(|(_, chain)| *chain.links()).collect();
            assert_eq!(ours, reference_answers(path, *index, &challenge), "plot {index}");
            chains[at] += ours.len();
            let Some(links) = ours.first().filter(|_| proofs[at] < 2) else { continue };
            proofs[at] += 1;
            let chain = QualityChain::new(*links);
            let (mut bytes, id) = (Vec::new(), group.plot_id_of(*index).unwrap().as_bytes());
            group.solve_of(*index, &chain, &SolveOptions::default()).unwrap().write(&mut bytes);
            let links = chia_pos2::QualityChain { chain_links: *links };
            assert_eq!(bytes, chia_pos2::solve_proof(&links, id, 18, 2), "plot {index}");
        }
    }
    assert!(chains.iter().all(|count| *count > 50) && proofs == [2; 5], "{chains:?} {proofs:?}");
}

#[test]
#[ignore = "slow: cargo xtask slow pos"]
fn larger_plots_are_those_of_the_reference() {
    for k in [20, 22] {
        let amount = Amount { plots: 20, challenges: 200, proofs: 3, spoilt: 60 };
        let tally = compare(k, &[2, 3, 5], &amount, k.into());
        assert!(tally.proofs >= 175 && tally.spoilt >= 10_000, "{tally:?}");
    }
}
