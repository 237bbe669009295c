//! The farmer's loop: it owns plots, chains and the signing record, and does what the reports of its threads
//! and of its nodes ask for.
//!
//! Plots are asked as soon as a round's seed is known, one round ahead, once for all chains that share a
//! beacon; proofs are solved before their slots come. Look-ups, solving and the lines to the nodes run beside
//! the loop and report to it, so nothing that hangs holds up anything else.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use mass_consensus::{header::SealClaim, keys::FarmerSecret, spec::ChainSpec};
use mass_primitives::{ChainId, Difficulty, Round, Seed};
use mass_proof_of_space::{Proof, QualityChain};
use mass_rpc::{ClientError, Work};
use rand_core::OsRng;
use tokio::sync::mpsc;

use crate::{
    chain::{ChainConfig, Member, Sealing},
    events::{FarmEvent, Totals},
    farm::{Answer, Farm, FarmError, Fault},
    guard::{GuardError, SigningGuard},
    link::{Ask, Said},
    round::RoundWork,
    schedule::Found,
};

/// Rounds that are looked up ahead of the present one.
const ROUNDS_AHEAD: u64 = 1;

/// What a farmer needs to start.
pub struct FarmerConfig {
    /// The chains to farm.
    pub chains: Vec<ChainConfig>,
    /// Directories of plots.
    pub directories: Vec<PathBuf>,
    /// The key that the plots are bound to.
    pub secret: FarmerSecret,
    /// The record of what was signed.
    pub guard: PathBuf,
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
    /// Two entries name one chain.
    #[error("chain {0} is named twice")]
    Twice(String),
    /// The node is on another chain.
    #[error("the node of chain {name} is on chain {got}, not on {expected}")]
    OtherChain {
        /// Name of the farmer's chain.
        name: String,
        /// The farmer's chain.
        expected: ChainId,
        /// The node's chain.
        got: ChainId,
    },
    /// There is nothing to farm with.
    #[error("no plots of this farmer that {chains:?} take in {directories:?}")]
    NoPlots {
        /// Names of the chains.
        chains: Vec<String>,
        /// Where plots were looked for.
        directories: Vec<PathBuf>,
    },
    /// The key sealed twice in one slot, and all know.
    #[error("the farmer key is banned since block {0}: it sealed twice in one slot")]
    Banned(mass_primitives::Height),
}

/// Names a challenge: the beacon, its seed and the round. At the end of a period, and in a reorg, a round may
/// get another seed.
type Turn = (ChainId, Seed, Round);

/// What threads and nodes report.
enum Report {
    /// A directory has answered a challenge.
    Part(Turn, Answer),
    /// All directories have.
    Done(Turn),
    /// A proof was looked for.
    Solved { turn: Turn, plot: usize, chain: QualityChain, proof: Result<Box<Proof>, FarmError> },
    /// The node of a chain has said something.
    Node(ChainId, Said),
}

/// A challenge that is looked up, and what has come of it so far.
struct Look {
    turn: Turn,
    found: Vec<Found>,
    asked: u64,
    reads: u64,
}

struct Farmer<W> {
    config: FarmerConfig,
    farm: Arc<Farm>,
    guard: SigningGuard,
    reports: mpsc::UnboundedSender<Report>,
    members: Vec<Member>,
    looks: Vec<Look>,
    solving: bool,
    totals: Totals,
    watch: W,
}

/// Farms until `stop` is ready. `changes` may bring other chains or settings at any time.
///
/// # Errors
/// [`FarmerError`]: what no waiting mends. A node or a disk that is gone is waited for.
pub async fn run<W: FnMut(&FarmEvent, &Totals)>(
    config: FarmerConfig,
    watch: W,
    mut changes: mpsc::Receiver<Vec<ChainConfig>>,
    stop: impl Future<Output = ()>,
) -> Result<Totals, FarmerError> {
    let guard = SigningGuard::open(&config.guard)?;
    let (farm, faults) = Farm::open(&config.directories, &config.secret.public());
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let chains = config.chains.clone();
    let mut farmer = Farmer {
        farm: Arc::new(farm),
        config,
        guard,
        reports,
        members: Vec::new(),
        looks: Vec::new(),
        solving: false,
        totals: Totals::default(),
        watch,
    };
    farmer.opened(&faults)?;
    farmer.set_chains(chains)?;
    tokio::select! {
        () = stop => Ok(farmer.totals),
        Err(error) = farmer.farm(&mut inbox, &mut changes) => Err(error),
    }
}

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// The loop. It may be dropped at any await: a slot that was permitted and not sealed by then is lost.
    async fn farm(
        &mut self,
        inbox: &mut mpsc::UnboundedReceiver<Report>,
        changes: &mut mpsc::Receiver<Vec<ChainConfig>>,
    ) -> Result<Infallible, FarmerError> {
        loop {
            tokio::select! {
                Some(report) = inbox.recv() => self.report(report)?,
                Some(chains) = changes.recv() => {
                    self.set_chains(chains)?;
                    let chains = self.members.iter().map(Member::name).collect();
                    self.tell(&FarmEvent::Changed { chains });
                }
            }
        }
    }

    fn tell(&mut self, event: &FarmEvent) {
        (self.watch)(event, &self.totals);
    }

    fn opened(&mut self, faults: &[Fault]) -> Result<(), FarmerError> {
        for fault in faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
        let specs: Vec<&ChainSpec> = self.config.chains.iter().map(|chain| &chain.spec).collect();
        let counts = |plot: &&mass_plot::Plot| specs.iter().any(|spec| Farm::counts(plot, spec));
        let plots = self.farm.plots().iter().filter(counts);
        let bytes: Vec<u64> = plots.map(mass_plot::Plot::file_bytes).collect();
        if bytes.is_empty() {
            return Err(FarmerError::NoPlots {
                chains: specs.iter().map(|spec| spec.rules().name.clone()).collect(),
                directories: self.config.directories.clone(),
            });
        }
        self.tell(&FarmEvent::Opened { plots: bytes.len(), bytes: bytes.iter().sum() });
        Ok(())
    }

    /// Farms these chains from now on. A chain that stays keeps its rounds.
    fn set_chains(&mut self, chains: Vec<ChainConfig>) -> Result<(), FarmerError> {
        let mut members: Vec<Member> = Vec::new();
        for chain in chains.into_iter().filter(|chain| chain.enabled) {
            if members.iter().any(|member| member.id() == chain.spec.id()) {
                return Err(FarmerError::Twice(chain.spec.rules().name.clone()));
            }
            let known = self.members.iter().position(|member| member.config.is_like(&chain));
            members.push(match known {
                Some(position) => self.members.swap_remove(position).with(chain),
                None => Member::start(chain, self.reports.clone(), Report::Node)?,
            });
        }
        members.sort_by_key(|member| std::cmp::Reverse(member.config.priority));
        self.members = members;
        for member in &self.members {
            member.note(&mut self.totals);
        }
        Ok(())
    }

    fn report(&mut self, report: Report) -> Result<(), FarmerError> {
        match report {
            Report::Part(turn, answer) => self.answered(&turn, &answer),
            Report::Done(turn) => self.done(&turn),
            Report::Solved { turn, plot, chain, proof } => self.solved(&turn, plot, &chain, proof),
            Report::Node(chain, said) => {
                let Some(position) = self.members.iter().position(|member| *member.id() == chain) else {
                    return Ok(());
                };
                self.said(position, said)?;
            }
        }
        Ok(())
    }

    fn said(&mut self, position: usize, said: Said) -> Result<(), FarmerError> {
        match said {
            Said::Work(work) => self.work(position, *work),
            Said::Failed(reason) => {
                if let Some(event) = self.members[position].failed(reason) {
                    self.tell(&event);
                }
                Ok(())
            }
            Said::Prepared(claim, header) => self.prepared(position, &claim, header),
            Said::Submitted(taken) => {
                let event = self.members[position].submitted(taken, &mut self.totals);
                event.iter().for_each(|event| self.tell(event));
                Ok(())
            }
            Said::Bans(bans) => {
                let farmer = self.config.secret.public();
                match bans.iter().find(|ban| ban.farmer == farmer) {
                    Some(ban) => self.banned(position, ban.height),
                    None => Ok(()),
                }
            }
        }
    }

    fn banned(&mut self, position: usize, height: mass_primitives::Height) -> Result<(), FarmerError> {
        let member = self.members.remove(position);
        self.tell(&FarmEvent::Banned { chain: member.name(), height });
        if self.members.is_empty() { Err(FarmerError::Banned(height)) } else { Ok(()) }
    }

    fn work(&mut self, position: usize, work: Work) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        if work.chain != *member.id() {
            let (name, expected) = (member.name(), *member.id());
            return Err(FarmerError::OtherChain { name, expected, got: work.chain });
        }
        if let Some(event) = member.answers() {
            self.tell(&event);
        }
        self.look_ahead(position, &work);
        let Ok(difficulty) = work.difficulty.parse().map(Difficulty::new) else { return Ok(()) };
        self.members[position].work = Some((work, difficulty));
        self.solve_next();
        self.seal_due(position);
        Ok(())
    }

    /// Starts the look-up of challenges that come, and forgets those that are over.
    fn look_ahead(&mut self, position: usize, work: &Work) {
        let member = &self.members[position];
        let (beacon, present) = (*member.config.spec.beacon_id(), member.config.spec.round(work.now).get());
        self.looks.retain(|look| look.turn.0 != beacon || look.turn.2.get() + ROUNDS_AHEAD >= present);
        self.members[position].rounds.retain(|round| round.round.get() >= present);
        for round in present..=present + ROUNDS_AHEAD {
            let turn = (beacon, work.seed, Round::new(round));
            if !self.members[position].knows(&turn.1, turn.2) {
                self.begin(position, turn);
            }
        }
    }

    /// A chain meets a challenge: it gets what is found already, or its look-up starts.
    fn begin(&mut self, position: usize, turn: Turn) {
        let (beacon, seed, round) = turn;
        let known = self.looks.iter().find(|look| look.turn == turn);
        let (member, found) = (&mut self.members[position], known.map(|look| look.found.clone()));
        let (output, vrf_proof) = self.config.secret.evaluate(member.id(), &seed, round, OsRng);
        let mut work = RoundWork::new(round, seed, output, vrf_proof);
        work.add(&member.config.spec, found.clone().unwrap_or_default());
        member.rounds.push(work);
        member.ask(Ask::Bans);
        if found.is_some() {
            return;
        }
        self.looks.push(Look { turn, found: Vec::new(), asked: 0, reads: 0 });
        // Chains that share a beacon take the same plots: that is checked when a spec names its beacon.
        let (farm, spec) = (Arc::clone(&self.farm), member.config.spec.clone());
        let reports = self.reports.clone();
        debug_assert_eq!(*spec.beacon_id(), beacon);
        tokio::task::spawn_blocking(move || {
            // Nobody is left to hear of an answer only when the farmer has stopped.
            farm.look_up_each(&spec, &seed, round, |part| drop(reports.send(Report::Part(turn, part))));
            let _ = reports.send(Report::Done(turn));
        });
    }

    fn answered(&mut self, turn: &Turn, answer: &Answer) {
        self.totals.reads += answer.reads;
        self.totals.qualities += answer.found.len() as u64;
        let sharing = self.totals.chains.iter_mut().filter(|chain| chain.beacon == turn.0);
        sharing.for_each(|chain| chain.reads += answer.reads);
        for fault in &answer.faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
        if let Some(look) = self.looks.iter_mut().find(|look| look.turn == *turn) {
            look.asked += answer.asked;
            look.reads += answer.reads;
            look.found.extend(answer.found.iter().cloned());
        }
        for member in self.members.iter_mut().filter(|member| *member.config.spec.beacon_id() == turn.0) {
            member.found(&turn.1, turn.2, &answer.found);
        }
        self.solve_next();
    }

    fn done(&mut self, turn: &Turn) {
        self.totals.rounds += 1;
        let Some(look) = self.looks.iter().find(|look| look.turn == *turn) else { return };
        let (asked, reads, qualities) = (look.asked, look.reads, look.found.len() as u64);
        self.tell(&FarmEvent::Round { beacon: turn.0, round: turn.2, asked, reads, qualities });
    }

    /// Sets the cores to work on the proof that is needed first.
    fn solve_next(&mut self) {
        if self.solving {
            return;
        }
        let wanted = self.members.iter().filter_map(Member::unsolved);
        let Some(wanted) = wanted.min_by_key(|wanted| wanted.time) else { return };
        self.solving = true;
        let (farm, reports) = (Arc::clone(&self.farm), self.reports.clone());
        tokio::task::spawn_blocking(move || {
            let (turn, plot, chain) = (wanted.turn, wanted.plot, wanted.chain);
            let proof = farm.solve(plot, &chain).map(Box::new);
            let _ = reports.send(Report::Solved { turn, plot, chain, proof });
        });
    }

    /// A proof serves every chain that shares the beacon.
    fn solved(
        &mut self,
        turn: &Turn,
        plot: usize,
        chain: &QualityChain,
        proof: Result<Box<Proof>, FarmError>,
    ) {
        self.solving = false;
        self.totals.proofs += u64::from(proof.is_ok());
        if let Err(error) = &proof {
            self.tell(&FarmEvent::Fault { reason: error.to_string() });
        }
        let proof = proof.ok().map(|proof| *proof);
        for member in self.members.iter_mut().filter(|member| *member.config.spec.beacon_id() == turn.0) {
            member.solved(&turn.1, turn.2, plot, chain, proof);
        }
        self.solve_next();
    }

    /// Asks for the header of the first slot that is won and not sealed yet.
    fn seal_due(&mut self, position: usize) {
        let farmer = self.config.secret.public();
        let member = &mut self.members[position];
        let signed = self.guard.last(member.id(), &farmer).unwrap_or_default();
        if let Some(sealing) = member.due(signed, self.farm.plots()) {
            let (claim, payout) = (Box::new(sealing.claim), member.config.payout.clone());
            member.sealing = Some(sealing);
            member.ask(Ask::Prepare { claim, payout });
        }
    }

    /// Signs a header that is for our claim and nothing else. From the permit on the slot is used up.
    fn prepared(
        &mut self,
        position: usize,
        claim: &SealClaim,
        header: Result<mass_consensus::header::Header, String>,
    ) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        let Some(Sealing { tip, vrf_proof, .. }) =
            member.sealing.clone().filter(|sealing| sealing.claim == *claim)
        else {
            return Ok(());
        };
        let ours = header.and_then(|header| match member.is_ours(&tip, claim, &header) {
            true => Ok(header),
            false => Err("the node's header is not for this win".to_owned()),
        });
        let header = match ours {
            Ok(header) => header,
            Err(reason) => {
                let event = member.lost(reason, &mut self.totals);
                self.tell(&event);
                return Ok(());
            }
        };
        let permit = self.guard.permit(&claim.chain, claim.farmer(), claim.slot)?;
        let signature = permit.sign(&self.config.secret, &header.id(), OsRng)?;
        member.ask(Ask::Submit { header, vrf_proof, signature });
        Ok(())
    }
}
