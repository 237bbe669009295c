//! Our table 3 against the obvious plot.

use std::sync::atomic::AtomicBool;

use mass_primitives::{GroupId, PlotIndex};
use mass_proof_of_space::{PlotParams, PlotSize, Strength, oracle};

use super::{BuildOptions, build};

fn params(seed: u8, k: u8, strength: u8) -> PlotParams {
    PlotParams {
        group_id: GroupId::new([seed; 32]),
        index: PlotIndex::new(0),
        size: PlotSize::new(k).unwrap(),
        strength: Strength::new(strength).unwrap(),
    }
}

fn fragments(params: &PlotParams, options: &BuildOptions) -> Vec<u64> {
    let mut all = Vec::new();
    build::<()>(params, options, &|_| (), &AtomicBool::new(false), &mut |batch| {
        all.extend_from_slice(batch);
        Ok(())
    })
    .unwrap();
    all
}

#[test]
fn fragments_are_those_of_the_obvious_plot() {
    for strength in [2, 3, 5] {
        let params = params(strength, 18, strength);
        let expected: Vec<u64> = oracle::Plot::new(params).fragments().collect();
        let found = fragments(&params, &BuildOptions::default());
        assert!(found == expected, "{} fragments, expected {}", found.len(), expected.len());
    }
}
