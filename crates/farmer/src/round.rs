//! What a farmer knows of one round: its draws, the proofs solved so far, and what to do next. Pure.

use std::collections::BTreeMap;

use mass_consensus::spec::ChainSpec;
use mass_primitives::{Difficulty, GroupId, PlotIndex, Round, Seed, Slot, VrfOutput, VrfProof};
use mass_proof_of_space::{Proof, QUALITY_LINKS};

use crate::schedule::{Draw, Found, likely, merge, schedule, winner};

/// The difficulty may fall to this part within a round, and its proofs are there all the same.
const DIFFICULTY_MARGIN: u32 = 2;

/// Names a proof: the group, the plot in it, and the links of the quality chain.
pub type ProofKey = (GroupId, PlotIndex, [u64; QUALITY_LINKS]);

/// The name of the proof behind a draw.
#[must_use]
pub const fn proof_key(draw: &Draw) -> ProofKey {
    (draw.group, draw.index, *draw.chain.links())
}

/// A round in work.
#[derive(Debug)]
pub struct RoundWork {
    /// The round.
    pub round: Round,
    /// The seed of its challenge.
    pub seed: Seed,
    /// The farmer's VRF output for it.
    pub output: VrfOutput,
    /// The proof of the output.
    pub vrf_proof: VrfProof,
    draws: Vec<Draw>,
    /// `None` for what has no proof: a damaged plot.
    proofs: BTreeMap<ProofKey, Option<Proof>>,
}

impl RoundWork {
    /// A round of which nothing was found yet.
    #[must_use]
    pub fn new(round: Round, seed: Seed, output: VrfOutput, vrf_proof: VrfProof) -> Self {
        let (draws, proofs) = (Vec::new(), BTreeMap::new());
        Self { round, seed, output, vrf_proof, draws, proofs }
    }

    /// A directory has answered.
    pub fn add(&mut self, spec: &ChainSpec, found: &[Found]) {
        let draws = schedule(spec, &self.output, &self.seed, self.round, found);
        self.draws = merge(std::mem::take(&mut self.draws), draws);
    }

    /// A proof was solved, or is not to be had.
    pub fn solved(&mut self, key: ProofKey, proof: Option<Proof>) {
        self.proofs.insert(key, proof);
    }

    /// The proof to solve next, for a slot after `after`.
    #[must_use]
    pub fn unsolved(&self, after: Slot, difficulty: Difficulty) -> Option<&Draw> {
        let wanted = likely(&self.draws, difficulty, DIFFICULTY_MARGIN).into_iter();
        wanted.filter(|draw| draw.slot > after).find(|draw| !self.proofs.contains_key(&proof_key(draw)))
    }

    /// The first slot after `after` and up to `now` that is won and whose proof is there.
    #[must_use]
    pub fn due(&self, after: Slot, now: Slot, difficulty: Difficulty) -> Option<(&Draw, &Proof)> {
        let mut slots: Vec<Slot> = self.draws.iter().map(|draw| draw.slot).collect();
        slots.dedup();
        slots.into_iter().filter(|slot| *slot > after && *slot <= now).find_map(|slot| {
            let draw = winner(&self.draws, slot, difficulty)?;
            let proof = self.proofs.get(&proof_key(draw))?.as_ref()?;
            Some((draw, proof))
        })
    }
}

#[cfg(test)]
mod tests {
    use mass_primitives::{FarmerPublicKey, GroupNonce};
    use mass_proof_of_space::{GroupIdentity, PROOF_X_VALUES, PlotSize, QualityChain, Strength};

    use super::*;

    fn proof() -> Proof {
        Proof::new(PlotSize::MIN, [1; PROOF_X_VALUES]).unwrap()
    }

    #[test]
    fn a_slot_is_due_when_it_has_come_and_its_proof_is_there() {
        let spec = ChainSpec::built_in("dev").unwrap();
        let (round, easy) = (Round::new(9), Difficulty::new(1));
        let mut work = RoundWork::new(round, Seed::ZERO, VrfOutput::ZERO, VrfProof::ZERO);
        let chain = QualityChain::new([5; QUALITY_LINKS]);
        let (farmer, nonce) = (FarmerPublicKey::ZERO, GroupNonce::ZERO);
        let identity = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
        work.add(&spec, &[Found::new(identity, PlotIndex::new(5), chain)]);
        let first = spec.round_start(round);
        let (before, second) = (Slot::new(first.get() - 1), Slot::new(first.get() + 1));

        assert_eq!(work.due(before, second, easy), None, "no proof yet");
        let wanted = work.unsolved(before, easy).unwrap();
        assert_eq!((wanted.slot, wanted.identity, wanted.index), (first, identity, PlotIndex::new(5)));
        let key = proof_key(wanted);
        work.solved(key, Some(proof()));
        assert!(work.unsolved(before, easy).is_none());
        assert_eq!(work.due(before, before, easy), None, "the slot is still to come");
        assert_eq!(work.due(before, second, easy).unwrap().0.slot, first);
        assert_eq!(work.due(first, second, easy).unwrap().0.slot, second);
        assert_eq!(work.due(before, second, Difficulty::new(u128::MAX)), None, "nothing is won");
        work.solved(key, None);
        assert_eq!(work.due(before, second, easy), None, "a plot without the proof");
    }
}
