//! Double seals, played with the production engine and real plots: two halves of a network that part and meet again, honest
//! farmers on both, and one farmer who signs one win twice.
//!
//! On public forks he seals on the tip of each half. In private he grows a tree, seals one slot on several of its
//! branches, and shows one branch only. Honest farmers seal a slot once, whatever reorgs do to the chain below them.
//! A slot of the game is: each farmer looks for a win on the tip that he sees, then blocks travel.

use std::collections::{BTreeMap, BTreeSet};

use mass_consensus::{
    block::{Block, Proven},
    difficulty::compact_target,
    engine::{Effect, Engine, Input},
    evidence::{Evidence, evidence_commitment},
    header::{Header, Seal, SealClaim, SealedHeader},
    keys::FarmerSecret,
    ledger::{BodyCommitment, Carried},
    lottery::{challenge, is_asked, lottery_weight, ticket, wins},
    spec::ChainSpec,
    tree::{Expectation, HeaderTree},
};
use mass_plot::Plot;
use mass_primitives::{BlockId, BodyRoot, FarmerPublicKey, GroupNonce, PlotIndex, Round, Seed, Slot};
use mass_proof_of_space::{GroupIdentity, Proof, QUALITY_LINKS, QualityChain, Strength};
use rand::{Rng as _, RngCore};
use rand_chacha::ChaCha8Rng;

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const GENESIS: BlockId = BlockId::new([1; 32]);
const HONEST: usize = 4;
const HONEST_PLOTS: u8 = 4;
/// Enough to overtake the honest chain from a private tree.
const OFFENDER_PLOTS: u8 = 24;
const SLOTS: u64 = 240;
/// Slots in which the network stays whole at the end, for evidence to reach a block.
const CALM_SLOTS: u64 = 160;
const PARTED_SLOTS: u64 = 24;
const BRANCHES: usize = 4;
const LEAD_BLOCKS: u32 = 2;
const CAUGHT: &str = "both headers are public: any honest block bears the evidence (EVD-1 to EVD-3)";
const NEVER: &str = "one seal a slot is no evidence, whatever becomes of the block";
const HIDDEN: &str = "the second seal is never shown";
const PLAYED: &str = "at least one, or the game shows nothing";

type Blocks = Vec<Block<Proven>>;

/// What a plot found for a round.
#[derive(Clone, Copy)]
struct Answer {
    plot: usize,
    chain: QualityChain,
}

/// A farmer with real plots.
struct Farmer {
    secret: FarmerSecret,
    plots: Vec<Plot>,
    answers: BTreeMap<(Seed, Round), Vec<Answer>>,
    solved: BTreeMap<[u64; QUALITY_LINKS], Proof>,
    /// His guard: the last slot that he sealed.
    sealed: Slot,
    _dir: tempfile::TempDir,
}

impl Farmer {
    fn new(spec: &ChainSpec, plots: u8, rng: &mut ChaCha8Rng) -> Result<Self, AttackError> {
        let secret = FarmerSecret::from_seed(&bytes(rng));
        let dir = tempfile::tempdir()?;
        let farmer = secret.public();
        let mut made = Vec::new();
        for _ in 0..plots {
            let nonce = GroupNonce::new(bytes(rng));
            let group = GroupIdentity { size: spec.plot_size(), strength: Strength::MIN, farmer, nonce };
            made.push(Plot::open(&mass_plot::create(dir.path(), &group)?)?);
        }
        let (answers, solved) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { secret, plots: made, answers, solved, sealed: Slot::ZERO, _dir: dir })
    }

    fn forget(&mut self) {
        self.answers.clear();
        self.solved.clear();
        self.sealed = Slot::ZERO;
    }

    fn answers(&mut self, spec: &ChainSpec, seed: &Seed, round: Round) -> Result<&[Answer], AttackError> {
        if !self.answers.contains_key(&(*seed, round)) {
            let mut found = Vec::new();
            for (number, plot) in self.plots.iter().enumerate() {
                let group = plot.identity().group_id();
                if is_asked(spec.beacon_id(), seed, &group, spec.filter(Strength::MIN), round) {
                    let chains = plot.qualities(&challenge(spec.beacon_id(), seed, round))?;
                    found.extend(chains.into_iter().map(|chain| Answer { plot: number, chain }));
                }
            }
            self.answers.insert((*seed, round), found);
        }
        Ok(self.answers.get(&(*seed, round)).map_or(&[], Vec::as_slice))
    }

    /// A block in a slot, if he wins it.
    fn win(
        &mut self,
        spec: &ChainSpec,
        (parent, expected): (BlockId, Expectation),
        slot: Slot,
        evidence: Vec<Evidence>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Option<Block<Proven>>, AttackError> {
        if slot <= expected.after {
            return Ok(None);
        }
        let round = spec.round(slot);
        let seed = expected.seed;
        let (vrf_output, vrf_proof) = self.secret.evaluate(spec.id(), &seed, round, &mut *rng);
        let answers = self.answers(spec, &seed, round)?.to_vec();
        let weight = lottery_weight(spec, Strength::MIN);
        let drawn = answers.iter().map(|answer| {
            let quality = answer.chain.quality(self.plots[answer.plot].plot_id(), Strength::MIN);
            (ticket(spec.id(), &seed, slot, &quality, &vrf_output), *answer)
        });
        let best = drawn.min_by_key(|(ticket, _)| *ticket);
        let Some((_, answer)) = best.filter(|(ticket, _)| wins(ticket, weight, expected.difficulty)) else {
            return Ok(None);
        };
        let plot = &self.plots[answer.plot];
        let proof = match self.solved.get(answer.chain.links()) {
            Some(proof) => *proof,
            None => plot.solve(&answer.chain)?,
        };
        self.solved.insert(*answer.chain.links(), proof);
        let claim = SealClaim {
            chain: *spec.id(),
            height: expected.height,
            slot,
            difficulty: expected.difficulty,
            seed,
            group: *plot.identity(),
            index: PlotIndex::ZERO,
            proof,
            vrf_output,
        };
        let (version, nonce) = Header::commitment_fields(&claim.commitment());
        let root = BodyRoot::new(bytes(rng));
        let time = spec.slot_time(slot).unwrap_or(0);
        let header = Header { version, parent, root, time, bits: compact_target(expected.difficulty), nonce };
        let signature = self.secret.sign(spec.id(), &header.id(), &mut *rng);
        let sealed = SealedHeader { header, seal: Seal { claim, vrf_proof, signature } };
        let commitment = BodyCommitment {
            root,
            carried: Carried { evidence: evidence_commitment(&evidence), state: None },
        };
        let block = Block::new(sealed, evidence, Vec::new()).prove(spec, &commitment);
        Ok(Some(block.map_err(|error| AttackError::Engine(error.to_string()))?))
    }
}

/// The nodes of one half, which are as one.
struct Half {
    engine: Engine,
    store: BTreeMap<BlockId, Block<Proven>>,
    accused: BTreeSet<FarmerPublicKey>,
    /// What has not reached it yet.
    queue: Blocks,
}

impl Half {
    fn new(spec: &ChainSpec) -> Self {
        let engine = Engine::new(spec.clone(), GENESIS);
        Self { engine, store: BTreeMap::new(), accused: BTreeSet::new(), queue: Vec::new() }
    }

    fn take(&mut self, block: Block<Proven>) {
        self.store.insert(*block.header().id(), block.clone());
        self.feed(Input::Block(block));
    }

    /// Drives the engine as a node does, with a ledger that takes every body.
    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.engine.step(input) {
                match effect {
                    Effect::Connect(block) => inputs.push(Input::Connected(*block.header().id())),
                    Effect::Load(id) => inputs.push(Input::Block(self.store[&id].clone())),
                    Effect::DoubleSeal(evidence) => {
                        self.accused.insert(*evidence.farmer());
                    }
                    _ => {}
                }
            }
        }
    }

    fn expectation(&self, slot: Slot) -> Option<(BlockId, Expectation)> {
        self.engine.expectation(slot).ok().map(|expected| (*self.engine.tip(), expected))
    }

    fn bans(&self, farmer: &FarmerPublicKey) -> bool {
        self.engine.ban(farmer, self.engine.tip()).is_some()
    }
}

/// What the one farmer does with his wins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Game {
    Honest,
    PublicForks,
    PrivateTree,
}

/// A tree that nobody else sees.
struct Private {
    tree: HeaderTree,
    blocks: BTreeMap<BlockId, Block<Proven>>,
    tips: Vec<BlockId>,
}

/// How a game went.
#[derive(Default)]
struct Outcome {
    reorgs: f64,
    double_slots: f64,
    caught: bool,
    honest_accused: f64,
    took_over: bool,
    slots_to_ban: Option<f64>,
}

struct World<'a> {
    spec: &'a ChainSpec,
    honest: &'a mut [Farmer],
    offender: &'a mut Farmer,
    halves: [Half; 2],
    private: Private,
    rng: ChaCha8Rng,
    outcome: Outcome,
    /// First slot in which the second seal could be seen.
    exposed: Option<u64>,
    is_parted: bool,
}

impl World<'_> {
    fn slot(&mut self, slot: Slot, game: Game) -> Result<(), AttackError> {
        self.halves.iter_mut().for_each(|half| half.feed(Input::Tick(slot)));
        let mut made: Vec<(usize, Block<Proven>)> = Vec::new();
        for (number, farmer) in self.honest.iter_mut().enumerate() {
            let side = number % 2;
            let half = &self.halves[side];
            let Some(on) = half.expectation(slot).filter(|_| farmer.sealed < slot) else { continue };
            let evidence = half.engine.evidence_for_next();
            if let Some(block) = farmer.win(self.spec, on, slot, evidence, &mut self.rng)? {
                farmer.sealed = slot;
                made.push((side, block));
            }
        }
        match game {
            Game::Honest => self.public(slot, 1, &mut made)?,
            Game::PublicForks => self.public(slot, 2, &mut made)?,
            Game::PrivateTree => self.grow(slot, &mut made)?,
        }
        for (side, block) in made {
            self.halves[side].take(block.clone());
            self.halves[1 - side].queue.push(block);
        }
        if !self.is_parted {
            for half in &mut self.halves {
                let queue = std::mem::take(&mut half.queue);
                queue.into_iter().for_each(|block| half.take(block));
            }
            if self.outcome.double_slots > 0.0 && self.exposed.is_none() {
                self.exposed = Some(slot.get());
            }
        }
        let key = self.offender.secret.public();
        let is_banned = self.halves.iter().all(|half| half.bans(&key));
        if let Some(exposed) = self.exposed.filter(|_| is_banned && self.outcome.slots_to_ban.is_none()) {
            self.outcome.slots_to_ban = Some((slot.get() - exposed) as f64);
        }
        Ok(())
    }

    /// Seals on the tips of so many halves, in one slot.
    fn public(
        &mut self,
        slot: Slot,
        sides: usize,
        made: &mut Vec<(usize, Block<Proven>)>,
    ) -> Result<(), AttackError> {
        let key = self.offender.secret.public();
        let mut tips = BTreeSet::new();
        let before = made.len();
        for side in 0..sides {
            let half = &self.halves[side];
            let Some(on) = half.expectation(slot).filter(|on| !half.bans(&key) && tips.insert(on.0)) else {
                continue;
            };
            let evidence: Vec<Evidence> = half.engine.evidence_for_next();
            let evidence = evidence.into_iter().filter(|evidence| *evidence.farmer() != key).collect();
            let block = self.offender.win(self.spec, on, slot, evidence, &mut self.rng)?;
            made.extend(block.map(|block| (side, block)));
        }
        self.outcome.double_slots += f64::from(u8::from(made.len() - before == 2));
        Ok(())
    }

    /// Seals on each branch of the private tree, and shows the best once it leads.
    fn grow(&mut self, slot: Slot, made: &mut Vec<(usize, Block<Proven>)>) -> Result<(), AttackError> {
        let mut born = Vec::new();
        for tip in self.private.tips.clone() {
            let Ok(expected) = self.private.tree.expectation(&tip, slot) else { continue };
            let won = self.offender.win(self.spec, (tip, expected), slot, Vec::new(), &mut self.rng)?;
            if let Some(block) = won {
                let linked = self.private.tree.link(block.header());
                linked.map_err(|error| AttackError::Engine(error.to_string()))?;
                born.push(*block.header().id());
                self.private.blocks.insert(*block.header().id(), block);
            }
        }
        self.outcome.double_slots += f64::from(u8::from(born.len() > 1));
        let private = &mut self.private;
        private.tips.extend(born);
        let height = |tree: &HeaderTree, id: &BlockId| tree.get(id).map_or(0, |node| node.height.get());
        private.tips.sort_by_key(|id| std::cmp::Reverse(height(&private.tree, id)));
        private.tips.truncate(BRANCHES);
        let public = self.halves.iter().map(|half| height(half.engine.tree(), half.engine.tip())).max();
        let best = private.tips.first().copied().unwrap_or(GENESIS);
        let is_due = slot.get() > SLOTS / 2
            && height(&private.tree, &best) > public.unwrap_or(0).saturating_add(LEAD_BLOCKS);
        if is_due && !self.outcome.took_over {
            let mut path: Vec<BlockId> = private.tree.ancestry(&best).map(|(id, _)| id).collect();
            path.reverse();
            let shown = path.iter().filter_map(|id| private.blocks.get(id));
            made.extend(shown.flat_map(|block| [(0, block.clone()), (1, block.clone())]));
            self.outcome.took_over = true;
            self.exposed = Some(slot.get());
            // What he shows from now on, if anything, would be of this one branch.
            private.tips = Vec::new();
        }
        Ok(())
    }

    fn play(mut self, game: Game) -> Result<Outcome, AttackError> {
        let mut until = 0;
        for slot in 1..SLOTS + CALM_SLOTS {
            if slot < SLOTS && slot >= until + PARTED_SLOTS / 2 && self.rng.gen_bool(0.2) {
                until = slot + PARTED_SLOTS;
            }
            self.is_parted = slot < until.min(SLOTS);
            let is_over = slot >= SLOTS && game == Game::PublicForks;
            self.slot(Slot::new(slot), if is_over { Game::Honest } else { game })?;
        }
        let key = self.offender.secret.public();
        let mut outcome = self.outcome;
        outcome.caught = self.halves.iter().all(|half| half.bans(&key) && half.accused.contains(&key));
        outcome.reorgs = self.halves.iter().map(|half| half.engine.reorgs() as f64).sum();
        let accused = |farmer: &Farmer| {
            let key = farmer.secret.public();
            self.halves.iter().any(|half| half.accused.contains(&key) || half.bans(&key))
        };
        outcome.honest_accused = self.honest.iter().filter(|farmer| accused(farmer)).count() as f64;
        if game != Game::PublicForks {
            // He must not be accused either; a ban alone is not the question.
            outcome.caught = self.halves.iter().any(|half| half.accused.contains(&key) || half.bans(&key));
        }
        Ok(outcome)
    }
}

fn bytes<R: RngCore>(rng: &mut R) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// The dev chain, with a seed of its own and the difficulty of the plots in the game.
fn game_spec(rng: &mut ChaCha8Rng) -> Result<ChainSpec, AttackError> {
    let dev = ChainSpec::built_in("dev").ok_or(AttackError::Spec("dev"))?;
    let mut file = dev.file().clone();
    file.rules.name = "double-seal".to_owned();
    file.rules.seed_initial = Seed::new(bytes(rng));
    let plots = HONEST as u64 * u64::from(HONEST_PLOTS) + u64::from(OFFENDER_PLOTS);
    let capacity = plots * dev.plot_size().nominal_bytes();
    file.rules.difficulty_initial = capacity * file.rules.interval_slots;
    ChainSpec::new(file).map_err(|error| AttackError::Engine(error.to_string()))
}

/// Row 15.
pub(super) fn double_seal(trial: &Trial) -> Result<Findings, AttackError> {
    let mut rng = trial.streams.stream(0, 0);
    let dev = ChainSpec::built_in("dev").ok_or(AttackError::Spec("dev"))?;
    let mut honest = Vec::new();
    for _ in 0..HONEST {
        honest.push(Farmer::new(&dev, HONEST_PLOTS, &mut rng)?);
    }
    let mut offender = Farmer::new(&dev, OFFENDER_PLOTS, &mut rng)?;
    let games = [
        ("honest farmers, reorgs", Game::Honest),
        ("public forks", Game::PublicForks),
        ("private tree", Game::PrivateTree),
    ];
    let mut measurements = Vec::new();
    let mut waits = Vec::new();
    for (case, (name, game)) in (1..).zip(games) {
        let mut outcomes = Vec::new();
        for mut rng in trial.streams(case) {
            let spec = game_spec(&mut rng)?;
            honest.iter_mut().chain([&mut offender]).for_each(Farmer::forget);
            let private = Private {
                tree: HeaderTree::new(spec.clone(), GENESIS),
                blocks: BTreeMap::new(),
                tips: vec![GENESIS],
            };
            let world = World {
                spec: &spec,
                honest: &mut honest,
                offender: &mut offender,
                halves: [Half::new(&spec), Half::new(&spec)],
                private,
                rng,
                outcome: Outcome::default(),
                exposed: None,
                is_parted: false,
            };
            outcomes.push(world.play(game)?);
        }
        measurements.extend(rows(name, game, &outcomes));
        if game == Game::PublicForks {
            waits = outcomes.iter().filter_map(|outcome| outcome.slots_to_ban).collect();
        }
    }
    waits.sort_by(f64::total_cmp);
    let share = |rank: usize| (rank + 1) as f64 / waits.len() as f64;
    let points = waits.iter().enumerate().map(|(rank, wait)| (*wait, share(rank))).collect();
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            format!(
                "Engine, plots of k = 18, VRF, seals and evidence are the real ones, on the dev chain's rules. A game is {SLOTS} slots in \
                 which the network parts for {PARTED_SLOTS} slots at a time, and {CALM_SLOTS} whole ones."
            ),
            "A private tree that double dips is what the tolerance of recent blocks allows for; the penalty cannot reach it."
                .to_owned(),
        ],
        chart: Chart {
            x: "slots from the end of the split to the ban on both halves",
            y: "part of the games",
            is_x_logarithmic: false,
            series: vec![Series { name: "public forks".to_owned(), points }],
        },
    })
}

fn rows(name: &str, game: Game, outcomes: &[Outcome]) -> Vec<Measurement> {
    let over = |figure: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(figure).collect::<Sample>();
    let share = |is: bool| f64::from(u8::from(is));
    let only = |value: f64| Band::new(value, value);
    let row = |quantity, sample: &Sample, expected, band, source| {
        Measurement::sampled(name, quantity, sample, expected, band, source)
    };
    let any = Band::new(1.0, 1e6);
    let caught = over(&|outcome| share(outcome.caught));
    let mut rows =
        vec![row("honest keys accused or banned", &over(&|o| o.honest_accused), 0.0, only(0.0), NEVER)];
    let expected = if game == Game::PublicForks { 1.0 } else { 0.0 };
    let source = match game {
        Game::Honest => NEVER,
        Game::PublicForks => CAUGHT,
        Game::PrivateTree => HIDDEN,
    };
    rows.push(row("games in which he was caught", &caught, expected, only(expected), source));
    rows.push(row("reorgs a game", &over(&|o| o.reorgs), 1.0, any, PLAYED));
    if game != Game::Honest {
        rows.push(row("slots sealed twice a game", &over(&|o| o.double_slots), 1.0, any, PLAYED));
    }
    if game == Game::PrivateTree {
        rows.push(row(
            "games in which the private branch won",
            &over(&|o| share(o.took_over)),
            1.0,
            Band::new(0.5, 1.0),
            PLAYED,
        ));
    }
    rows
}
