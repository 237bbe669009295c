//! The farmer at a station: real plots asked round by round, real seals, and the ways in which one can cheat.

use mass_consensus::{
    block::{Block, Decoded},
    header::{HEADER_BYTES, Header, SealClaim},
};
use mass_farmer::RoundWork;
use mass_network::{Topic, wire::Response};
use mass_node::ChainError;
use mass_primitives::{BlockId, Decode as _, Height, Slot, VrfProof};

use super::{
    scenario::{Conduct, payout},
    station::{Gossip, Station, Surroundings},
};

/// Rounds that a farmer remembers.
const ROUNDS: usize = 4;

/// A farmer.
pub struct Farming {
    /// Its number among the farms.
    pub farmer: usize,
    pub conduct: Conduct,
    /// When it sealed twice in a slot and others could see both blocks, in milliseconds.
    pub offences: Vec<u64>,
    /// The last slot that it signed. It is on disk before there is a signature, so a crash does not take it.
    signed: Slot,
    rounds: Vec<RoundWork>,
    /// Own blocks that nobody was shown yet, and the height of the last.
    hidden: Vec<Vec<u8>>,
    hidden_height: Height,
    /// Height of the best block that others made.
    heard: Height,
    own: Vec<BlockId>,
}

impl Farming {
    /// A farmer who has done nothing yet.
    pub const fn new(farmer: usize, conduct: Conduct) -> Self {
        Self {
            farmer,
            conduct,
            offences: Vec::new(),
            signed: Slot::ZERO,
            rounds: Vec::new(),
            hidden: Vec::new(),
            hidden_height: Height::ZERO,
            heard: Height::ZERO,
            own: Vec::new(),
        }
    }
}

/// A win: what to seal, with the proof of its VRF output.
type Win = (SealClaim, VrfProof);

impl Station {
    fn conduct(&self) -> Conduct {
        self.farming.as_ref().map_or(Conduct::Honest, |farming| farming.conduct)
    }

    /// Seals the slot that has come, if it is won.
    pub(super) fn farm(&mut self, world: Surroundings<'_>) {
        if world.at >= world.setting.farming_until {
            return self.show(world);
        }
        if let Some((claim, vrf_proof)) = self.win(world) {
            self.counts.sealed += 1;
            let sealed = match self.conduct() {
                Conduct::DoubleSealer => self.seal_twice(claim, vrf_proof, world),
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

    fn prepare(
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
        farming.hidden_height = claim.height;
        farming.own.push(header.id());
        let secret = &world.setting.farms.farmers()[farming.farmer].secret;
        let signature = secret.sign(&claim.chain, &header.id(), &mut self.rng);
        self.act(world, |machine, now| machine.submit(&header.id(), vrf_proof, signature, now));
        Ok(())
    }

    /// Two blocks for one slot, each for half of the neighbours. It goes on when it is banned and its own node refuses.
    fn seal_twice(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        let headers = [0, 1].map(|side| self.prepare(claim, (self.number + side * 1_000_000) as u64, world));
        for (side, header) in headers.into_iter().enumerate() {
            let (now, id) = (self.moment(world), header?.id());
            let Some(farming) = &mut self.farming else { return Ok(()) };
            farming.signed = claim.slot;
            let secret = &world.setting.farms.farmers()[farming.farmer].secret;
            let signature = secret.sign(&claim.chain, &id, &mut self.rng);
            let Some(machine) = self.machine.as_deref_mut() else { return Ok(()) };
            let (bytes, _) = machine.chain_mut().submit(&id, vrf_proof, signature, now.unix)?;
            self.publish(Topic::Blocks, bytes, |to| to % 2 == side, world);
        }
        let can_be_seen = world.sides.is_none() && [0, 1].iter().all(|side| self.reaches(*side) >= 2);
        if let Some(farming) = self.farming.as_mut().filter(|_| can_be_seen) {
            farming.offences.push(world.at);
        }
        Ok(())
    }

    /// Whether a block of our own is not to be gossiped. A withholder keeps it for later.
    pub(super) fn keeps_back(&mut self, bytes: &[u8]) -> bool {
        let Some(farming) = &mut self.farming else { return false };
        if farming.conduct == Conduct::Withholder {
            farming.hidden.push(bytes.to_vec());
        }
        matches!(farming.conduct, Conduct::Withholder | Conduct::Mute)
    }

    /// What a cheat makes of an answer: a withholder says nothing while it hides blocks, a mute has no contents.
    pub(super) fn bend(&self, mut response: Response) -> Option<Response> {
        let Some(farming) = &self.farming else { return Some(response) };
        if farming.conduct == Conduct::Mute
            && let Response::Blocks(blocks) = &mut response
        {
            let id = |bytes: &Vec<u8>| {
                Header::from_bytes(bytes.get(..HEADER_BYTES)?).ok().map(|header| header.id())
            };
            let is_own = |bytes: &Vec<u8>| id(bytes).is_some_and(|id| farming.own.contains(&id));
            blocks
                .iter_mut()
                .filter(|block| block.as_ref().is_some_and(is_own))
                .for_each(|block| *block = None);
        }
        farming.hidden.is_empty().then_some(response)
    }

    /// A withholder listens how far the others are.
    pub(super) fn overhear(&mut self, gossip: &Gossip, world: Surroundings<'_>) {
        if self.conduct() != Conduct::Withholder || gossip.topic != Topic::Blocks {
            return;
        }
        let (Ok(block), Some(farming)) = (Block::<Decoded>::from_bytes(&gossip.bytes), &mut self.farming)
        else {
            return;
        };
        farming.heard = farming.heard.max(block.sealed().seal.claim.height);
        if farming.heard > farming.hidden_height {
            farming.hidden.clear();
        } else if farming.heard.get() + 1 >= farming.hidden_height.get() {
            self.show(world);
        }
    }

    /// Shows all that was kept back.
    fn show(&mut self, world: Surroundings<'_>) {
        let hidden = self.farming.as_mut().map(|farming| std::mem::take(&mut farming.hidden));
        for bytes in hidden.unwrap_or_default() {
            self.publish(Topic::Blocks, bytes, |_| true, world);
        }
    }
}
