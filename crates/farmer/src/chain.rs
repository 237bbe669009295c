//! One chain of a farmer: its settings, its node, its rounds, and the block that is being sealed.

use mass_consensus::{
    difficulty::compact_target,
    header::{Header, SealClaim},
    spec::ChainSpec,
};
use mass_primitives::{
    Amount, BlockId, ChainId, Difficulty, FarmerPublicKey, Height, Round, Seed, Slot, VrfProof,
};
use mass_proof_of_space::{GroupIdentity, PlotParams, Proof, QualityChain};
use mass_rpc::{
    LastSeal, Pending, Status, Work,
    farm::{ChainStatus, PendingRewards},
};
use tokio::sync::mpsc;

use crate::{
    disk::Turn,
    doctor::poisson_at_most,
    events::{ChainTotals, FarmEvent, Totals},
    link::{self, Ask, Said},
    luck::Wins,
    round::{ProofKey, RoundWork, proof_key},
    run::FarmerError,
    schedule::Found,
    watch::{News, Watch},
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
    /// How the node fares, as it said last.
    pub status: Option<Status>,
    /// What the farmer is still to be paid, as the node said last.
    pub pending: Option<PendingRewards>,
    /// Height of the block that banned the key.
    pub banned: Option<Height>,
    pub won: Wins,
    watch: Watch,
    /// The last slot of which was told that the node gives no header for it.
    refused: Option<Slot>,
    asks: mpsc::UnboundedSender<Ask>,
    node_lost: Option<String>,
    /// What this much space wins on average in the slots that have passed.
    expected_wins: f64,
    skew_slots: i64,
}

/// A block on its way from a win to the node.
#[derive(Clone)]
pub(crate) struct Sealing {
    pub claim: SealClaim,
    pub tip: BlockId,
    pub vrf_proof: VrfProof,
    /// Whether the slot is used up.
    pub is_signed: bool,
}

/// A proof that is needed.
pub(crate) struct Wanted {
    pub turn: Turn,
    pub key: ProofKey,
    pub params: PlotParams,
    pub chain: QualityChain,
    /// When, in unix seconds.
    pub time: u32,
}

impl Member {
    /// Opens the line to the node.
    pub fn start<R: Send + 'static>(
        config: ChainConfig,
        farmer: FarmerPublicKey,
        watch_rounds: u32,
        reports: mpsc::UnboundedSender<R>,
        report: fn(ChainId, Said) -> R,
    ) -> Result<Self, FarmerError> {
        let client = mass_rpc::client(&config.node);
        let client = client.map_err(|error| FarmerError::Url(config.node.clone(), error))?;
        let asks = link::spawn(*config.spec.id(), farmer, client, reports, report);
        let watch = Watch::new(config.spec.rules().round_slots.saturating_mul(watch_rounds.into()));
        Ok(Self {
            config,
            rounds: Vec::new(),
            work: None,
            sealing: None,
            status: None,
            pending: None,
            banned: None,
            won: Wins::default(),
            watch,
            refused: None,
            asks,
            node_lost: None,
            expected_wins: 0.0,
            skew_slots: 0,
        })
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

    /// Asks the node how it fares.
    pub fn ask_health(&self) {
        self.ask(Ask::Health);
    }

    /// The node has said how it fares.
    pub fn fares(&mut self, status: Status, pending: Option<&[Pending]>) {
        self.status = Some(status);
        self.pending = pending.map(|pending| PendingRewards {
            rewards: pending.len() as u64,
            amount: pending
                .iter()
                .fold(Amount::ZERO, |sum, reward| Amount::new(sum.get().saturating_add(reward.amount.get()))),
        });
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
        let known = self.node_lost.replace(reason.clone());
        known.is_none().then(|| FarmEvent::NodeLost { chain: self.name(), reason })
    }

    /// The node answers; an event if it is news.
    pub fn answers(&mut self) -> Option<FarmEvent> {
        self.node_lost.take().map(|_| FarmEvent::NodeBack { chain: self.name() })
    }

    /// Looks for another farmer: `sealed` is the newest seal of the key that the node knows, `signed` the last slot
    /// of the record. What is not signed yet is given up if there is one.
    pub fn watch(&mut self, now: Slot, sealed: Option<LastSeal>, signed: Option<Slot>) -> Option<FarmEvent> {
        let is_synced = self.status.as_ref().is_none_or(|status| status.synced);
        let chain = self.name();
        Some(match self.watch.hear(now, is_synced, sealed, signed)? {
            News::Begun(slots) => FarmEvent::Watching { chain, slots },
            News::Over => FarmEvent::Watched { chain },
            News::Other(LastSeal { slot, height, .. }) => {
                self.sealing.take_if(|sealing| !sealing.is_signed);
                FarmEvent::OtherFarmer { chain, slot, height }
            }
        })
    }

    /// The node has work; `bytes` of plots (LOT-2, nominal) compete for the slots that have passed since.
    pub fn works(&mut self, work: Work, difficulty: Difficulty, bytes: u64, unix_now: u64) {
        if let Some((last, _)) = self.work.as_ref().filter(|_| self.watch.may_seal_after().is_some()) {
            // A jump of the clock is no time farmed.
            let passed =
                work.now.get().saturating_sub(last.now.get()).min(self.config.spec.rules().round_slots);
            self.expected_wins += passed as f64 * bytes as f64 / difficulty.get() as f64;
        }
        let ours = self.config.spec.slot_at(unix_now).unwrap_or_default();
        self.skew_slots = work.now.get().wrapping_sub(ours.get()) as i64;
        self.work = Some((work, difficulty));
    }

    /// How the chain fares.
    pub fn status(&self, totals: &Totals) -> ChainStatus {
        let counted = totals.chains.iter().find(|chain| chain.chain == *self.id());
        let wins = counted.map_or(0, |chain| chain.wins);
        ChainStatus {
            name: self.name(),
            chain: *self.id(),
            beacon: *self.config.spec.beacon_id(),
            node: self.config.node.clone(),
            connected: self.work.is_some() && self.node_lost.is_none(),
            reason: self.node_lost.clone(),
            height: self.status.as_ref().map(|status| status.height),
            node_version: self.status.as_ref().and_then(|status| status.version.clone()),
            pending: self.pending,
            peers: self.status.as_ref().map(|status| status.peers),
            synced: self.status.as_ref().map(|status| status.synced),
            clock_skew_slots: self.skew_slots,
            banned: self.banned,
            watch_slots: self.watch.slots_left(),
            other_farmer: self.watch.other(),
            reads: counted.map_or(0, |chain| chain.reads),
            wins,
            lost: counted.map_or(0, |chain| chain.lost),
            expected_wins: self.expected_wins,
            p_value: poisson_at_most(wins, self.expected_wins),
        }
    }

    fn round(&mut self, seed: &Seed, round: Round) -> Option<&mut RoundWork> {
        self.rounds.iter_mut().find(|work| work.seed == *seed && work.round == round)
    }

    pub fn knows(&mut self, seed: &Seed, round: Round) -> bool {
        self.round(seed, round).is_some()
    }

    pub fn found(&mut self, seed: &Seed, round: Round, found: &[Found]) {
        let of_turn = |work: &&mut RoundWork| work.seed == *seed && work.round == round;
        if let Some(work) = self.rounds.iter_mut().find(of_turn) {
            work.add(&self.config.spec, found);
        }
    }

    pub fn solved(&mut self, seed: &Seed, round: Round, key: ProofKey, proof: Option<Proof>) {
        if let Some(work) = self.round(seed, round) {
            work.solved(key, proof);
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
        if self.banned.is_some() || self.watch.other().is_some() {
            return None;
        }
        let spec = &self.config.spec;
        let wanted = self.current().filter_map(|(round, work, difficulty)| {
            let draw = round.unsolved(work.after, difficulty)?;
            let turn = Turn { beacon: *spec.beacon_id(), seed: round.seed, round: round.round };
            let GroupIdentity { size, strength, .. } = draw.identity;
            let params = PlotParams { group_id: draw.group, index: draw.index, size, strength };
            let time = spec.slot_time(draw.slot).unwrap_or(u32::MAX);
            Some(Wanted { turn, key: proof_key(draw), params, chain: draw.chain, time })
        });
        wanted.min_by_key(|wanted| wanted.time)
    }

    /// The block to seal now: the first slot after `signed` and after the watch that has come, is won, and whose
    /// proof is there.
    pub fn due(&self, signed: Slot) -> Option<Sealing> {
        if self.sealing.is_some() || self.banned.is_some() {
            return None;
        }
        let after = self.watch.may_seal_after()?.max(signed);
        self.current().find_map(|(round, work, difficulty)| {
            let (draw, proof) = round.due(work.after.max(after), work.now, difficulty)?;
            let claim = SealClaim {
                chain: *self.id(),
                height: work.height,
                slot: draw.slot,
                difficulty,
                seed: round.seed,
                group: draw.identity,
                index: draw.index,
                proof: *proof,
                vrf_output: round.output,
            };
            Some(Sealing { claim, tip: work.tip, vrf_proof: round.vrf_proof, is_signed: false })
        })
    }

    /// Whether a header is the one that the claim asks for, so that a node cannot have anything else signed.
    pub fn is_ours(&self, tip: &BlockId, claim: &SealClaim, header: &Header) -> bool {
        header.parent == *tip
            && Some(header.time) == self.config.spec.slot_time(claim.slot)
            && header.bits == compact_target(claim.difficulty)
            && (header.version, header.nonce) == Header::commitment_fields(&claim.commitment())
    }

    /// The node gives no header for the win in hand. Nothing is signed, so it is tried again when the node next has
    /// work, until another block takes the slot; an event if it is news.
    pub fn unprepared(&mut self, reason: &str) -> Option<FarmEvent> {
        let slot = self.sealing.take()?.claim.slot;
        if self.refused.replace(slot) == Some(slot) {
            return None;
        }
        self.ask_health();
        let chain = self.name();
        Some(FarmEvent::Fault { reason: format!("{chain}: no header for slot {slot}: {reason}") })
    }

    /// The win in hand is lost. A node that refuses may know of a ban.
    pub fn lost(&mut self, reason: String, totals: &mut Totals) -> FarmEvent {
        let slot = self.sealing.take().map_or(Slot::ZERO, |sealing| sealing.claim.slot);
        totals.lost += 1;
        self.totals_of(totals).for_each(|chain| chain.lost += 1);
        self.ask_health();
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

#[cfg(test)]
mod tests {
    use mass_primitives::{GroupNonce, PlotIndex, VrfOutput};
    use mass_proof_of_space::{GroupIdentity, PROOF_X_VALUES, PlotSize, Strength};

    use super::*;

    fn sealing(slot: Slot, is_signed: bool) -> Sealing {
        let (size, strength) = (PlotSize::MIN, Strength::MIN);
        let group =
            GroupIdentity { size, strength, farmer: FarmerPublicKey::ZERO, nonce: GroupNonce::new([1; 32]) };
        let claim = SealClaim {
            chain: ChainId::ZERO,
            height: Height::new(1),
            slot,
            difficulty: Difficulty::new(1),
            seed: Seed::ZERO,
            group,
            index: PlotIndex::new(0),
            proof: Proof::new(PlotSize::MIN, [1; PROOF_X_VALUES]).unwrap(),
            vrf_output: VrfOutput::ZERO,
        };
        Sealing { claim, tip: BlockId::ZERO, vrf_proof: VrfProof::ZERO, is_signed }
    }

    /// A header that was asked for before the other farmer was seen comes after: it must find nothing to sign.
    #[tokio::test]
    async fn a_win_in_hand_is_given_up_when_another_farmer_is_seen_unless_it_is_signed() {
        for is_signed in [false, true] {
            let (spec, payout) = (ChainSpec::built_in("dev").unwrap(), String::new());
            let node = "http://127.0.0.1:1".to_owned();
            let config = ChainConfig { spec, node, payout, priority: 0, enabled: true };
            let (reports, _inbox) = mpsc::unbounded_channel();
            let mut member =
                Member::start(config, FarmerPublicKey::ZERO, 0, reports, |_, said| said).unwrap();
            let (start, now) = (Slot::new(100), Slot::new(101));
            assert_eq!(member.watch(start, None, None), None);
            member.sealing = Some(sealing(now, is_signed));
            let seal = LastSeal { slot: now, height: Height::new(1), id: BlockId::ZERO };
            let event = member.watch(now, Some(seal), Some(start));
            let chain = "dev".to_owned();
            assert_eq!(event, Some(FarmEvent::OtherFarmer { chain, slot: now, height: seal.height }));
            assert_eq!(member.sealing.is_some(), is_signed);
        }
    }
}
