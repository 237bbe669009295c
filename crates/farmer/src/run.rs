//! The farmer's loop: one task that asks its node for work, its plots for qualities, and seals the slots won.
//!
//! Plots are asked as soon as a round's seed is known, one round ahead, and proofs are solved before their
//! slots come. Look-ups and solving run on threads of their own and report back; the loop owns all else.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mass_consensus::{
    difficulty::compact_target,
    header::{Header, SealClaim},
    keys::FarmerSecret,
    spec::ChainSpec,
};
use mass_primitives::{BlockId, ChainId, Decode, Difficulty, Encode, Height, Round, Seed, Slot};
use mass_proof_of_space::{Proof, QualityChain};
use mass_rpc::{ClientError, HttpClient, MassClient, Work};
use rand_core::OsRng;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    farm::{Answer, Farm, FarmError, Fault},
    guard::{GuardError, SigningGuard},
    round::RoundWork,
};

/// How often the node is asked for work: a fraction of the shortest slot.
const POLL: Duration = Duration::from_millis(200);

/// How long a block that is being sealed may take to be handed over when the farmer is told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Rounds that are looked up ahead of the present one.
const ROUNDS_AHEAD: u64 = 1;

/// What a farmer needs to start.
pub struct FarmerConfig {
    /// The chain to farm.
    pub spec: ChainSpec,
    /// Directories of plots.
    pub directories: Vec<PathBuf>,
    /// The key that the plots are bound to.
    pub secret: FarmerSecret,
    /// The record of what was signed.
    pub guard: PathBuf,
    /// URL of the node's RPC.
    pub node: String,
    /// Address for the rewards.
    pub payout: String,
}

/// Why a farmer does not farm.
#[derive(Debug, thiserror::Error)]
pub enum FarmerError {
    /// The signing record cannot be used.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The URL is none.
    #[error("{0} is no address of a node: {1}")]
    Url(String, ClientError),
    /// The node is on another chain.
    #[error("the node is on chain {got}, the farmer is to farm chain {expected}")]
    OtherChain {
        /// The farmer's chain.
        expected: ChainId,
        /// The node's chain.
        got: ChainId,
    },
    /// There is nothing to farm with.
    #[error("no plots of this farmer that chain {chain} takes in {directories:?}")]
    NoPlots {
        /// Name of the chain.
        chain: String,
        /// Where plots were looked for.
        directories: Vec<PathBuf>,
    },
    /// The key sealed twice in one slot, and all know.
    #[error("the farmer key is banned since block {0}: it sealed twice in one slot")]
    Banned(Height),
}

/// What happened, for who watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum FarmEvent {
    /// The plots are open.
    Opened {
        /// How many plots count.
        plots: usize,
        /// Bytes of their files.
        bytes: u64,
    },
    /// A directory or plot fails; the rest goes on.
    Fault {
        /// What is wrong.
        reason: String,
    },
    /// All plots whose turn it was have answered.
    Round {
        /// The round.
        round: Round,
        /// Groups asked.
        asked: u64,
        /// Short reads made.
        reads: u64,
        /// Qualities found.
        qualities: u64,
    },
    /// A block of ours was taken by the node.
    Sealed {
        /// Its height.
        height: Height,
        /// Its slot.
        slot: Slot,
        /// Its id.
        id: BlockId,
    },
    /// A slot was won and not sealed.
    Lost {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// The node does not answer.
    NodeLost {
        /// What the attempt said.
        reason: String,
    },
    /// The node answers again.
    NodeBack,
}

/// What a farmer did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Rounds for which all plots have answered.
    pub rounds: u64,
    /// Short reads made.
    pub reads: u64,
    /// Qualities found.
    pub qualities: u64,
    /// Proofs solved.
    pub proofs: u64,
    /// Blocks of ours that the node took.
    pub wins: u64,
    /// Slots won and not sealed.
    pub lost: u64,
}

/// Names a look-up: at the end of a period, and in a reorg, a round may get another seed.
type Turn = (Round, Seed);

/// What the threads report.
enum Report {
    /// A directory has answered for a round.
    Part(Turn, Answer),
    /// All directories have.
    Done(Turn),
    /// A proof was looked for.
    Solved { turn: Turn, plot: usize, chain: QualityChain, proof: Result<Box<Proof>, FarmError> },
}

struct Farmer<W> {
    config: FarmerConfig,
    farm: Arc<Farm>,
    guard: SigningGuard,
    client: HttpClient,
    reports: mpsc::UnboundedSender<Report>,
    rounds: Vec<Looked>,
    solving: bool,
    node_lost: bool,
    /// The last slot of which was told that the node gives no header for it.
    refused: Option<Slot>,
    totals: Totals,
    watch: W,
}

/// A round that is looked up, and what that has cost so far.
struct Looked {
    work: RoundWork,
    asked: u64,
    reads: u64,
    qualities: u64,
}

fn find<'a>(rounds: &'a mut [Looked], turn: &Turn) -> Option<&'a mut Looked> {
    rounds.iter_mut().find(|looked| (looked.work.round, looked.work.seed) == *turn)
}

/// Farms until `stop` is ready.
///
/// # Errors
/// [`FarmerError`]: what no waiting mends. A node or a disk that is gone is waited for.
pub async fn run<W: FnMut(&FarmEvent, &Totals)>(
    config: FarmerConfig,
    watch: W,
    stop: impl Future<Output = ()>,
) -> Result<Totals, FarmerError> {
    let guard = SigningGuard::open(&config.guard)?;
    let client =
        mass_rpc::client(&config.node).map_err(|error| FarmerError::Url(config.node.clone(), error))?;
    let (farm, faults) = Farm::open(&config.directories, &config.secret.public());
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let mut farmer = Farmer {
        farm: Arc::new(farm),
        config,
        guard,
        client,
        reports,
        rounds: Vec::new(),
        solving: false,
        node_lost: false,
        refused: None,
        totals: Totals::default(),
        watch,
    };
    farmer.opened(&faults)?;
    farmer.farm(&mut inbox, stop).await?;
    Ok(farmer.totals)
}

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// The loop, until `stop` is ready. A poll is not cut short: it may have used up a slot.
    async fn farm(
        &mut self,
        inbox: &mut mpsc::UnboundedReceiver<Report>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), FarmerError> {
        let mut clock = tokio::time::interval(POLL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut stop, mut is_stopping) = (std::pin::pin!(stop), false);
        while !is_stopping {
            tokio::select! {
                () = &mut stop => return Ok(()),
                Some(report) = inbox.recv() => self.report(report),
                _ = clock.tick() => {
                    let patience = async {
                        stop.as_mut().await;
                        is_stopping = true;
                        tokio::time::sleep(FAREWELL).await;
                    };
                    tokio::select! {
                        polled = self.poll() => polled?,
                        () = patience => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: &FarmEvent) {
        (self.watch)(event, &self.totals);
    }

    fn opened(&mut self, faults: &[Fault]) -> Result<(), FarmerError> {
        for fault in faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
        let spec = &self.config.spec;
        let counts = |plot: &&mass_plot::Plot| {
            plot.params().size == spec.plot_size() && spec.allows_strength(plot.params().strength)
        };
        let bytes: Vec<u64> =
            self.farm.plots().iter().filter(counts).map(mass_plot::Plot::file_bytes).collect();
        if bytes.is_empty() {
            return Err(FarmerError::NoPlots {
                chain: spec.rules().name.clone(),
                directories: self.config.directories.clone(),
            });
        }
        self.tell(&FarmEvent::Opened { plots: bytes.len(), bytes: bytes.iter().sum() });
        Ok(())
    }

    async fn poll(&mut self) -> Result<(), FarmerError> {
        let work = match self.client.work().await {
            Ok(work) => work,
            Err(error) => {
                self.node_failed(&error);
                return Ok(());
            }
        };
        if work.chain != *self.config.spec.id() {
            return Err(FarmerError::OtherChain { expected: *self.config.spec.id(), got: work.chain });
        }
        if std::mem::take(&mut self.node_lost) {
            self.tell(&FarmEvent::NodeBack);
        }
        if self.look_ahead(&work) {
            self.check_ban().await?;
        }
        let Ok(difficulty) = work.difficulty.parse().map(Difficulty::new) else { return Ok(()) };
        self.solve_next(&work, difficulty);
        self.seal_due(&work, difficulty).await
    }

    fn node_failed(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.node_lost, true) {
            self.tell(&FarmEvent::NodeLost { reason: error.to_string() });
        }
    }

    /// Starts the look-up of rounds that come, and forgets those that are over; whether a round is new.
    fn look_ahead(&mut self, work: &Work) -> bool {
        let present = self.config.spec.round(work.now).get();
        self.rounds.retain(|looked| looked.work.round.get() >= present);
        let coming = (present..=present + ROUNDS_AHEAD).map(|round| (Round::new(round), work.seed));
        let fresh: Vec<Turn> = coming.filter(|turn| find(&mut self.rounds, turn).is_none()).collect();
        for turn in &fresh {
            self.look_up(*turn);
        }
        !fresh.is_empty()
    }

    fn look_up(&mut self, turn: Turn) {
        let (round, seed) = turn;
        let (output, vrf_proof) = self.config.secret.evaluate(self.config.spec.id(), &seed, round, OsRng);
        let work = RoundWork::new(round, seed, output, vrf_proof);
        self.rounds.push(Looked { work, asked: 0, reads: 0, qualities: 0 });
        let (farm, spec) = (Arc::clone(&self.farm), self.config.spec.clone());
        let reports = self.reports.clone();
        tokio::task::spawn_blocking(move || {
            // Nobody is left to hear of an answer only when the farmer has stopped.
            farm.look_up_each(&spec, &seed, round, |part| drop(reports.send(Report::Part(turn, part))));
            let _ = reports.send(Report::Done(turn));
        });
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Part(turn, answer) => self.answered(&turn, answer),
            Report::Done(turn) => {
                let Some(looked) = find(&mut self.rounds, &turn) else { return };
                let (round, asked, reads, qualities) = (turn.0, looked.asked, looked.reads, looked.qualities);
                self.totals.rounds += 1;
                self.tell(&FarmEvent::Round { round, asked, reads, qualities });
            }
            Report::Solved { turn, plot, chain, proof } => {
                self.solving = false;
                self.totals.proofs += u64::from(proof.is_ok());
                if let Err(error) = &proof {
                    self.tell(&FarmEvent::Fault { reason: error.to_string() });
                }
                if let Some(looked) = find(&mut self.rounds, &turn) {
                    looked.work.solved(plot, &chain, proof.ok().map(|proof| *proof));
                }
            }
        }
    }

    fn answered(&mut self, turn: &Turn, answer: Answer) {
        self.totals.reads += answer.reads;
        self.totals.qualities += answer.found.len() as u64;
        for fault in &answer.faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
        if let Some(looked) = find(&mut self.rounds, turn) {
            looked.asked += answer.asked;
            looked.reads += answer.reads;
            looked.qualities += answer.found.len() as u64;
            looked.work.add(&self.config.spec, answer.found);
        }
    }

    /// Sets the cores to work on the proof that is needed first.
    fn solve_next(&mut self, work: &Work, difficulty: Difficulty) {
        if self.solving {
            return;
        }
        let rounds = self.rounds.iter().map(|looked| &looked.work).filter(|round| round.seed == work.seed);
        let wanted = rounds.filter_map(|round| Some((round, round.unsolved(work.after, difficulty)?)));
        let Some((round, draw)) = wanted.min_by_key(|(_, draw)| draw.slot) else { return };
        let (turn, plot, chain) = ((round.round, round.seed), draw.plot, draw.chain);
        self.solving = true;
        let (farm, reports) = (Arc::clone(&self.farm), self.reports.clone());
        tokio::task::spawn_blocking(move || {
            let proof = farm.solve(plot, &chain).map(Box::new);
            let _ = reports.send(Report::Solved { turn, plot, chain, proof });
        });
    }

    async fn seal_due(&mut self, work: &Work, difficulty: Difficulty) -> Result<(), FarmerError> {
        let farmer = self.config.secret.public();
        let signed = self.guard.last(&work.chain, &farmer).unwrap_or_default();
        let after = work.after.max(signed);
        let due = self.rounds.iter().filter(|looked| looked.work.seed == work.seed).find_map(|looked| {
            let (draw, proof) = looked.work.due(after, work.now, difficulty)?;
            let plot = self.farm.plots().get(draw.plot)?;
            let claim = SealClaim {
                chain: work.chain,
                height: work.height,
                slot: draw.slot,
                difficulty,
                seed: work.seed,
                group: *plot.identity(),
                index: plot.params().index,
                proof: *proof,
                vrf_output: looked.work.output,
            };
            Some((claim, looked.work.vrf_proof))
        });
        let Some((claim, vrf_proof)) = due else { return Ok(()) };
        let (height, slot) = (claim.height, claim.slot);
        match self.seal(work, &claim, vrf_proof).await {
            Ok(id) => {
                self.totals.wins += 1;
                self.tell(&FarmEvent::Sealed { height, slot, id });
            }
            Err(SealFailure::NoHeader(reason)) => {
                // Nothing is signed, so the slot is tried again at the next poll, until another block takes it.
                if self.refused.replace(slot) != Some(slot) {
                    self.tell(&FarmEvent::Fault { reason: format!("no header for slot {slot}: {reason}") });
                    self.check_ban().await?;
                }
            }
            Err(SealFailure::Node(reason)) => {
                self.totals.lost += 1;
                self.tell(&FarmEvent::Lost { slot, reason });
                self.check_ban().await?;
            }
            Err(SealFailure::Guard(error)) => return Err(error.into()),
        }
        Ok(())
    }

    async fn seal(
        &mut self,
        work: &Work,
        claim: &SealClaim,
        vrf_proof: mass_primitives::VrfProof,
    ) -> Result<BlockId, SealFailure> {
        let prepared = self.client.prepare_block(hex::encode(claim.to_bytes()), self.config.payout.clone());
        let text = prepared.await.map_err(|error| SealFailure::NoHeader(error.to_string()))?;
        let header = hex::decode(&text).ok().and_then(|bytes| Header::from_bytes(&bytes).ok());
        let header = header.filter(|header| self.is_ours(work, claim, header));
        let header = header
            .ok_or_else(|| SealFailure::NoHeader("the node's header is not for this win".to_owned()))?;
        // From here on the slot is used up, whatever happens.
        let permit = self.guard.permit(&claim.chain, claim.farmer(), claim.slot)?;
        let signature = permit.sign(&self.config.secret, &header.id(), OsRng)?;
        Ok(self.client.submit_seal(text, vrf_proof, signature).await?)
    }

    /// Whether a header is the one that the claim asks for, so that a node cannot have anything else signed.
    fn is_ours(&self, work: &Work, claim: &SealClaim, header: &Header) -> bool {
        header.parent == work.tip
            && Some(header.time) == self.config.spec.slot_time(claim.slot)
            && header.bits == compact_target(claim.difficulty)
            && (header.version, header.nonce) == Header::commitment_fields(&claim.commitment())
    }

    async fn check_ban(&mut self) -> Result<(), FarmerError> {
        let farmer = self.config.secret.public();
        match self.client.bans().await {
            Ok(bans) => match bans.iter().find(|ban| ban.farmer == farmer) {
                Some(ban) => Err(FarmerError::Banned(ban.height)),
                None => Ok(()),
            },
            Err(error) => {
                self.node_failed(&error);
                Ok(())
            }
        }
    }
}

/// Why a win was not sealed.
enum SealFailure {
    /// The node gave nothing to sign: it has another tip by now, or is gone.
    NoHeader(String),
    /// The node refused what was signed, or is gone.
    Node(String),
    /// The record cannot be written: nothing is signed any more.
    Guard(GuardError),
}

impl From<ClientError> for SealFailure {
    fn from(error: ClientError) -> Self {
        Self::Node(error.to_string())
    }
}

impl From<GuardError> for SealFailure {
    fn from(error: GuardError) -> Self {
        Self::Guard(error)
    }
}
