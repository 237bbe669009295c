//! A small real farm for tests and vectors: plots on disk, one farmer key, sealed headers on demand.
#![allow(dead_code, reason = "each test uses a part of the farm")]

use std::{collections::BTreeMap, sync::Mutex};

use mass_consensus::{
    difficulty::compact_target,
    header::{Header, Seal, SealClaim, SealedHeader},
    keys::FarmerSecret,
    lottery::{challenge, is_asked, lottery_weight, ticket, wins},
    spec::ChainSpec,
    tree::Expectation,
};
use mass_plot::Plot;
use mass_primitives::{BlockId, BodyRoot, Difficulty, GroupNonce, Height, PlotIndex, Round, Seed, Slot};
use mass_proof_of_space::{GroupIdentity, PlotSize, Proof, QUALITY_LINKS, QualityChain, Strength};
use rand_core::{CryptoRng, Error, RngCore, impls};

/// A counter for a generator: the tests must make the same bytes at each run.
pub struct Counter(pub u64);

impl RngCore for Counter {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }
    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        impls::fill_bytes_via_next(self, dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Counter {}

pub struct Farm {
    pub spec: ChainSpec,
    pub secret: FarmerSecret,
    plots: Vec<Plot>,
    solved: Mutex<BTreeMap<[u64; QUALITY_LINKS], Proof>>,
    _dir: tempfile::TempDir,
}

impl Farm {
    pub fn new(plots: u8) -> Self {
        Self::with_key(plots, [7; 32])
    }

    pub fn with_key(plots: u8, key: [u8; 32]) -> Self {
        let spec = ChainSpec::built_in("dev").unwrap();
        let secret = FarmerSecret::from_seed(&key);
        let dir = tempfile::tempdir().unwrap();
        let farmer = secret.public();
        let make = |number: u8| {
            let nonce = GroupNonce::new([number; 32]);
            let group = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
            Plot::open(&mass_plot::create(dir.path(), &group).unwrap()).unwrap()
        };
        let plots = (0..plots).map(make).collect();
        Self { spec, secret, plots, solved: Mutex::default(), _dir: dir }
    }

    /// A farm on a chain where every quality wins every slot of a long round: many blocks for one proof.
    pub fn easy(plots: u8, key: [u8; 32]) -> Self {
        let mut file = ChainSpec::built_in("dev").unwrap().file().clone();
        file.rules.name = "easy".to_owned();
        (file.rules.round_slots, file.rules.period_blocks) = (64, 64);
        (file.rules.difficulty_initial, file.rules.difficulty_min) = (1_000_000, 1_000_000);
        file.rules.difficulty_tau_slots = 100_000;
        Self { spec: ChainSpec::new(file).unwrap(), ..Self::with_key(plots, key) }
    }

    /// The first win after a slot, as a claim.
    pub fn win(&self, height: Height, after: Slot, seed: Seed, difficulty: Difficulty) -> SealClaim {
        let first = self.spec.round(after).get();
        (first..first + 1_000)
            .find_map(|round| self.win_in_round(Round::new(round), height, after, seed, difficulty))
            .expect("a farm wins within 1,000 rounds")
    }

    fn win_in_round(
        &self,
        round: Round,
        height: Height,
        after: Slot,
        seed: Seed,
        difficulty: Difficulty,
    ) -> Option<SealClaim> {
        let spec = &self.spec;
        let (vrf_output, _) = self.secret.evaluate(spec.id(), &seed, round, Counter(0));
        let question = challenge(spec.beacon_id(), &seed, round);
        let start = spec.round_start(round).get();
        let mut found: Option<(Slot, &Plot, QualityChain)> = None;
        for plot in &self.plots {
            let (group, strength) = (plot.identity(), plot.identity().strength);
            if !is_asked(spec.beacon_id(), &seed, &group.group_id(), spec.filter(strength), round) {
                continue;
            }
            for chain in plot.qualities(&question).unwrap() {
                let quality = chain.quality(plot.plot_id(), strength);
                let slots =
                    (start..start + spec.rules().round_slots).map(Slot::new).filter(|slot| *slot > after);
                let weight = lottery_weight(spec, strength);
                let won = slots
                    .filter(|slot| {
                        wins(&ticket(spec.id(), &seed, *slot, &quality, &vrf_output), weight, difficulty)
                    })
                    .min();
                if let Some(slot) = won.filter(|slot| found.as_ref().is_none_or(|(best, ..)| slot < best)) {
                    found = Some((slot, plot, chain));
                }
            }
        }
        let (slot, plot, chain) = found?;
        let known = self.solved.lock().unwrap().get(chain.links()).copied();
        let proof = known.unwrap_or_else(|| plot.solve(&chain).unwrap());
        self.solved.lock().unwrap().insert(*chain.links(), proof);
        Some(SealClaim {
            chain: *spec.id(),
            height,
            slot,
            difficulty,
            seed,
            group: *plot.identity(),
            index: PlotIndex::ZERO,
            proof,
            vrf_output,
        })
    }

    /// Builds and signs the header of a claim, whatever the claim says.
    pub fn seal(&self, parent: BlockId, root: BodyRoot, claim: SealClaim) -> SealedHeader {
        let (version, nonce) = Header::commitment_fields(&claim.commitment());
        let header = Header {
            version,
            parent,
            root,
            time: self.spec.slot_time(claim.slot).unwrap(),
            bits: compact_target(claim.difficulty),
            nonce,
        };
        self.sign(header, claim)
    }

    /// Signs a header as it is.
    pub fn sign(&self, header: Header, claim: SealClaim) -> SealedHeader {
        let round = self.spec.round(claim.slot);
        let (_, vrf_proof) = self.secret.evaluate(&claim.chain, &claim.seed, round, Counter(1));
        let signature = self.secret.sign(&claim.chain, &header.id(), Counter(2));
        SealedHeader { header, seal: Seal { claim, vrf_proof, signature } }
    }

    /// An honest next block.
    pub fn next(&self, parent: BlockId, expected: Expectation) -> SealedHeader {
        let claim = self.win(expected.height, expected.after, expected.seed, expected.difficulty);
        self.seal(parent, BodyRoot::new([9; 32]), claim)
    }
}
