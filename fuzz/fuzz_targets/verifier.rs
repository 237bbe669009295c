//! The verifier refuses whatever is not the proof, and never panics: arbitrary proofs, and a good one with changes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mass_plot::Plot;
use mass_primitives::{Challenge, FarmerPublicKey, GroupId, GroupNonce, PlotIndex};
use mass_proof_of_space::{GroupIdentity, PlotParams, PlotSize, Proof, QualityChain, Strength, verify};

/// A plot's parameters, a challenge, the chain and the bytes of its proof.
static GOOD: LazyLock<(PlotParams, Challenge, QualityChain, Vec<u8>)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for a plot");
    let identity = GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([8; 32]),
    };
    let plot = Plot::open(&mass_plot::create(dir.path(), &identity).expect("a plot")).expect("it opens");
    let mut challenges = (0..=255).map(|i| Challenge::new([i; 32]));
    let (challenge, chain) = challenges
        .find_map(|challenge| Some((challenge, *plot.qualities(&challenge).expect("it answers").first()?)))
        .expect("an answer");
    let mut bytes = Vec::new();
    plot.solve(&chain).expect("a proof").write(&mut bytes);
    (*plot.params(), challenge, chain, bytes)
});

fuzz_target!(|data: &[u8]| {
    let (params, challenge, chain, good) = &*GOOD;
    let Some((&[mode, k, strength], rest)) = data.split_first_chunk() else { return };
    if mode & 1 == 0 {
        let (Ok(size), Ok(strength)) = (PlotSize::new(18 + k % 11), Strength::new(2 + strength % 16)) else {
            return;
        };
        let group_id = GroupId::new([k; 32]);
        let params = PlotParams { group_id, index: PlotIndex::new(mode.into()), size, strength };
        if let Ok(proof) = Proof::read(size, rest) {
            assert!(verify(&params, challenge, &proof).is_err());
        }
        return;
    }
    let mut bytes = good.clone();
    bytes.iter_mut().zip(rest).for_each(|(byte, change)| *byte ^= change);
    let proof = Proof::read(params.size, &bytes).expect("any bits are x-values");
    match verify(params, challenge, &proof) {
        Ok(found) => assert!(bytes == *good && found == *chain),
        Err(_) => assert!(bytes != *good),
    }
});
