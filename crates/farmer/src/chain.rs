//! One chain of a farmer: its settings, its node, its rounds, and the block that is being sealed.

use mass_consensus::{
    difficulty::compact_target,
    header::{Header, SealClaim},
    spec::ChainSpec,
};
use mass_plot::Plot;
use mass_primitives::{BlockId, ChainId, Difficulty, Round, Seed, Slot, VrfProof};
use mass_proof_of_space::{Proof, QualityChain};
use mass_rpc::Work;
use tokio::sync::mpsc;

use crate::{
    events::{ChainTotals, FarmEvent, Totals},
    link::{self, Ask, Said},
    round::RoundWork,
    run::FarmerError,
    schedule::Found,
};

/// How a chain is farmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// The chain.
    pub spec: ChainSpec,
    /// URL of the node's RPC.
    pub node: String,
    /// Address for the rewards.
    pub payout: String,
    /// Who is served first when proofs are needed at the same time: the greater.
    pub priority: i32,
    /// Whether it is farmed.
    pub enabled: bool,
}

impl ChainConfig {
    /// Whether the other is farmed through the same node.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.spec == other.spec && self.node == other.node
    }
}

/// A chain that is farmed.
pub(crate) struct Member {
    pub config: ChainConfig,
    pub rounds: Vec<RoundWork>,
    /// What the node said last, and its difficulty.
    pub work: Option<(Work, Difficulty)>,
    pub sealing: Option<Sealing>,
    asks: mpsc::UnboundedSender<Ask>,
    node_lost: bool,
}

/// A block on its way from a win to the node.
#[derive(Clone)]
pub(crate) struct Sealing {
    pub claim: SealClaim,
    pub tip: BlockId,
    pub vrf_proof: VrfProof,
}

/// A proof that is needed.
pub(crate) struct Wanted {
    pub turn: (ChainId, Seed, Round),
    pub plot: usize,
    pub chain: QualityChain,
    /// When, in unix seconds.
    pub time: u32,
}

impl Member {
    /// Opens the line to the node.
    pub fn start<R: Send + 'static>(
        config: ChainConfig,
        reports: mpsc::UnboundedSender<R>,
        report: fn(ChainId, Said) -> R,
    ) -> Result<Self, FarmerError> {
        let client = mass_rpc::client(&config.node);
        let client = client.map_err(|error| FarmerError::Url(config.node.clone(), error))?;
        let asks = link::spawn(*config.spec.id(), client, reports, report);
        Ok(Self { config, rounds: Vec::new(), work: None, sealing: None, asks, node_lost: false })
    }

    /// The same chain with other settings.
    pub fn with(self, config: ChainConfig) -> Self {
        Self { config, ..self }
    }

    pub const fn id(&self) -> &ChainId {
        self.config.spec.id()
    }

    pub fn name(&self) -> String {
        self.config.spec.rules().name.clone()
    }

    /// Asks the node. The line ends with the member alone.
    pub fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ask);
    }

    /// Puts the chain into the totals.
    pub fn note(&self, totals: &mut Totals) {
        if totals.chains.iter().any(|chain| chain.chain == *self.id()) {
            return;
        }
        let beacon = *self.config.spec.beacon_id();
        let reads = totals.chains.iter().find(|chain| chain.beacon == beacon).map_or(0, |chain| chain.reads);
        totals.chains.push(ChainTotals {
            name: self.name(),
            chain: *self.id(),
            beacon,
            reads,
            wins: 0,
            lost: 0,
        });
    }

    /// The node has failed; an event if it is news.
    pub fn failed(&mut self, reason: String) -> Option<FarmEvent> {
        let known = std::mem::replace(&mut self.node_lost, true);
        (!known).then(|| FarmEvent::NodeLost { chain: self.name(), reason })
    }

    /// The node answers; an event if it is news.
    pub fn answers(&mut self) -> Option<FarmEvent> {
        std::mem::take(&mut self.node_lost).then(|| FarmEvent::NodeBack { chain: self.name() })
    }

    fn round(&mut self, seed: &Seed, round: Round) -> Option<&mut RoundWork> {
        self.rounds.iter_mut().find(|work| work.seed == *seed && work.round == round)
    }

    pub fn knows(&mut self, seed: &Seed, round: Round) -> bool {
        self.round(seed, round).is_some()
    }

    pub fn found(&mut self, seed: &Seed, round: Round, found: &[Found]) {
        let spec = self.config.spec.clone();
        if let Some(work) = self.round(seed, round) {
            work.add(&spec, found.to_vec());
        }
    }

    pub fn solved(
        &mut self,
        seed: &Seed,
        round: Round,
        plot: usize,
        chain: &QualityChain,
        proof: Option<Proof>,
    ) {
        if let Some(work) = self.round(seed, round) {
            work.solved(plot, chain, proof);
        }
    }

    /// The rounds that count by what the node said last.
    fn current(&self) -> impl Iterator<Item = (&RoundWork, &Work, Difficulty)> {
        let rounds = self
            .work
            .iter()
            .flat_map(|(work, difficulty)| self.rounds.iter().map(move |round| (round, work, *difficulty)));
        rounds.filter(|(round, work, _)| round.seed == work.seed)
    }

    /// The proof that this chain needs first.
    pub fn unsolved(&self) -> Option<Wanted> {
        let spec = &self.config.spec;
        let wanted = self.current().filter_map(|(round, work, difficulty)| {
            let draw = round.unsolved(work.after, difficulty)?;
            let turn = (*spec.beacon_id(), round.seed, round.round);
            let time = spec.slot_time(draw.slot).unwrap_or(u32::MAX);
            Some(Wanted { turn, plot: draw.plot, chain: draw.chain, time })
        });
        wanted.min_by_key(|wanted| wanted.time)
    }

    /// The block to seal now: the first slot after `signed` that has come, is won, and whose proof is there.
    pub fn due(&self, signed: Slot, plots: &[Plot]) -> Option<Sealing> {
        if self.sealing.is_some() {
            return None;
        }
        self.current().find_map(|(round, work, difficulty)| {
            let (draw, proof) = round.due(work.after.max(signed), work.now, difficulty)?;
            let plot = plots.get(draw.plot)?;
            let claim = SealClaim {
                chain: *self.id(),
                height: work.height,
                slot: draw.slot,
                difficulty,
                seed: round.seed,
                group: *plot.identity(),
                index: plot.params().index,
                proof: *proof,
                vrf_output: round.output,
            };
            Some(Sealing { claim, tip: work.tip, vrf_proof: round.vrf_proof })
        })
    }

    /// Whether a header is the one that the claim asks for, so that a node cannot have anything else signed.
    pub fn is_ours(&self, tip: &BlockId, claim: &SealClaim, header: &Header) -> bool {
        header.parent == *tip
            && Some(header.time) == self.config.spec.slot_time(claim.slot)
            && header.bits == compact_target(claim.difficulty)
            && (header.version, header.nonce) == Header::commitment_fields(&claim.commitment())
    }

    /// The win in hand is lost. A node that refuses may know of a ban.
    pub fn lost(&mut self, reason: String, totals: &mut Totals) -> FarmEvent {
        let slot = self.sealing.take().map_or(Slot::ZERO, |sealing| sealing.claim.slot);
        totals.lost += 1;
        self.totals_of(totals).for_each(|chain| chain.lost += 1);
        self.ask(Ask::Bans);
        FarmEvent::Lost { chain: self.name(), slot, reason }
    }

    /// The node has taken or refused the block in hand.
    pub fn submitted(&mut self, taken: Result<BlockId, String>, totals: &mut Totals) -> Option<FarmEvent> {
        let id = match taken {
            Ok(id) => id,
            Err(reason) => return Some(self.lost(reason, totals)),
        };
        let claim = self.sealing.take()?.claim;
        totals.wins += 1;
        self.totals_of(totals).for_each(|chain| chain.wins += 1);
        Some(FarmEvent::Sealed { chain: self.name(), height: claim.height, slot: claim.slot, id })
    }

    fn totals_of<'a>(&self, totals: &'a mut Totals) -> impl Iterator<Item = &'a mut ChainTotals> {
        let id = *self.id();
        totals.chains.iter_mut().filter(move |chain| chain.chain == id)
    }
}
