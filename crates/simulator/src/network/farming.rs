//! The farmer at a station: real plots asked round by round, and real seals. How one cheats is in the file beside.

use mass_consensus::header::{Header, SealClaim};
use mass_farmer::RoundWork;
use mass_node::ChainError;
use mass_primitives::{BlockId, Slot, VrfProof};

use super::{
    cheats::Deceit,
    scenario::{Conduct, payout},
    station::{Station, Surroundings},
};

/// Rounds that a farmer remembers.
const ROUNDS: usize = 4;

/// A farmer.
pub struct Farming {
    /// Its number among the farms.
    pub farmer: usize,
    pub conduct: Conduct,
    /// What it has in mind, if it cheats.
    pub deceit: Deceit,
    /// The last slot that it signed. It is on disk before there is a signature, so a crash does not take it.
    pub(super) signed: Slot,
    rounds: Vec<RoundWork>,
    /// The blocks that it sealed.
    pub(super) own: Vec<BlockId>,
}

impl Farming {
    /// A farmer who has done nothing yet.
    pub fn new(farmer: usize, conduct: Conduct) -> Self {
        let deceit = Deceit::default();
        Self { farmer, conduct, deceit, signed: Slot::ZERO, rounds: Vec::new(), own: Vec::new() }
    }
}

/// A win: what to seal, with the proof of its VRF output.
type Win = (SealClaim, VrfProof);

impl Station {
    pub(super) fn conduct(&self) -> Conduct {
        self.farming.as_ref().map_or(Conduct::Honest, |farming| farming.conduct)
    }

    /// Seals the slot that has come, if it is won.
    pub(super) fn farm(&mut self, world: Surroundings<'_>) {
        self.deceive(world);
        if world.at >= world.setting.farming_until {
            return;
        }
        if let Some((claim, vrf_proof)) = self.win(world) {
            self.counts.sealed += 1;
            let sealed = match self.conduct() {
                Conduct::DoubleSealer => self.seal_twice(claim, vrf_proof, world),
                Conduct::Flooder => self.seal_a_flood(claim, vrf_proof, world),
                Conduct::Forger => self.seal_a_forgery(claim, vrf_proof, world),
                _ => self.seal(claim, vrf_proof, world),
            };
            if let Err(error) = sealed
                && error.is_fatal()
            {
                self.fail(world, &error);
            }
        }
    }

    fn win(&mut self, world: Surroundings<'_>) -> Option<Win> {
        let (setting, spec) = (world.setting, &world.setting.spec);
        let now = self.moment(world);
        let (farming, chain) = (self.farming.as_mut()?, self.machine.as_deref()?.chain());
        let farmer = &setting.farms.farmers()[farming.farmer];
        let slot = spec.slot_at(now.unix)?;
        let expected = chain.expectation(slot).ok()?;
        let (seed, round) = (expected.seed, spec.round(slot));
        if !farming.rounds.iter().any(|work| work.seed == seed && work.round == round) {
            let (output, proof) = farmer.secret.evaluate(spec.id(), &seed, round, &mut self.rng);
            let mut work = RoundWork::new(round, seed, output, proof);
            work.add(spec, &farmer.look_up(spec, &seed, round));
            farming.rounds.truncate(ROUNDS - 1);
            farming.rounds.insert(0, work);
        }
        let after = expected.after.max(farming.signed);
        farming.rounds.iter_mut().filter(|work| work.seed == seed).find_map(|work| {
            while let Some(draw) = work.unsolved(after, expected.difficulty).filter(|draw| draw.slot <= slot)
            {
                let (key, proof) = (mass_farmer::proof_key(draw), farmer.solve(draw));
                work.solved(key, proof);
            }
            let (draw, proof) = work.due(after, slot, expected.difficulty)?;
            let claim = SealClaim {
                chain: *spec.id(),
                height: expected.height,
                slot: draw.slot,
                difficulty: expected.difficulty,
                seed,
                group: draw.identity,
                index: draw.index,
                proof: *proof,
                vrf_output: work.output,
            };
            Some((claim, work.vrf_proof))
        })
    }

    pub(super) fn prepare(
        &mut self,
        claim: SealClaim,
        payee: u64,
        world: Surroundings<'_>,
    ) -> Result<Header, ChainError> {
        let payout = payout(&world.setting.spec, payee);
        let machine = self.machine.as_deref_mut().ok_or(ChainError::Stale("the power"))?;
        machine.chain_mut().prepare(claim, &payout)
    }

    /// What an honest farmer does; those who keep blocks back do the same and show less.
    fn seal(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        let header = self.prepare(claim, self.number as u64, world)?;
        let Some(farming) = &mut self.farming else { return Ok(()) };
        farming.signed = claim.slot;
        farming.deceit.sealed(claim.height);
        farming.own.push(header.id());
        let secret = &world.setting.farms.farmers()[farming.farmer].secret;
        let signature = secret.sign(&claim.chain, &header.id(), &mut self.rng);
        self.act(world, |machine, now| machine.submit(&header.id(), vrf_proof, signature, now));
        Ok(())
    }
}
