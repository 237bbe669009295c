//! The farmer's loop: it owns plots, chains and the signing record, and does what the reports of its threads
//! and of its nodes ask for.
//!
//! Each disk has a thread that alone reads there, each chain a line to its node. Plots are asked as soon as a round's seed is known, one round ahead, once for all chains that share a
//! beacon; proofs are solved before their slots come. All report to the loop, so nothing that hangs holds up
//! anything else.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mass_consensus::{
    header::{Header, SealClaim},
    keys::FarmerSecret,
    lottery::challenge,
};
use mass_plot::{Plot, PlotError, SolveOptions};
use mass_primitives::{ChainId, Difficulty, Height, Round, Seed};
use mass_proof_of_space::Proof;
use mass_rpc::{
    ClientError, Work,
    farm::{DiskStatus, FarmServer as _, FarmStatus},
};
use rand_core::OsRng;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::{
    api::{Api, Query, metrics},
    chain::{ChainConfig, Member, Sealing},
    disk::{self, Done, Job, Reader},
    doctor::diagnose,
    events::{FarmEvent, Totals},
    farm::{Answer, Farm, Fault},
    guard::{GuardError, SigningGuard},
    link::{Ask, Said},
    reads::upcoming,
    round::{ProofKey, RoundWork},
    schedule::Found,
    troubles::Troubles,
};

/// Rounds that are looked up ahead of the present one.
pub(crate) const ROUNDS_AHEAD: u64 = 1;

/// How often disks and nodes are looked after.
const CARE: Duration = Duration::from_secs(1);

/// How often a disk is looked into for plots that came or went, and a node asked how it fares.
const SCAN_EVERY: Duration = Duration::from_secs(10);

/// How long the handing over of what was signed may take when the farmer is told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the first look into the disks may take before the farm starts with what is there.
const START: Duration = Duration::from_secs(10);

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
    /// Address to listen on for RPC, on this machine alone.
    pub rpc: Option<SocketAddr>,
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
    /// RPC cannot listen.
    #[error(transparent)]
    Rpc(#[from] mass_rpc::ServeError),
    /// The key sealed twice in one slot, and all know.
    #[error("the farmer key is banned since block {0}: it sealed twice in one slot")]
    Banned(Height),
}

/// Names a challenge: the beacon, its seed and the round. At the end of a period, and in a reorg, a round may
/// get another seed.
type Turn = (ChainId, Seed, Round);

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
enum FarmError {
    /// The plot was taken out of the farm meanwhile.
    #[error("the plot is gone")]
    Gone,
    /// The plot does not yield the proof.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// What threads and nodes report.
enum Report {
    /// A disk has done what it was given.
    Disk(usize, Done<Turn>),
    /// A proof was looked for.
    Solved { turn: Turn, key: ProofKey, proof: Result<Box<Proof>, FarmError> },
    /// The node of a chain has said something.
    Node(ChainId, Said),
}

/// A challenge that is looked up, and what has come of it so far.
struct Look {
    turn: Turn,
    found: Vec<Found>,
    asked: u64,
    reads: u64,
    /// Disks that have not answered yet.
    waiting: BTreeSet<usize>,
}

struct Farmer<W> {
    secret: Arc<FarmerSecret>,
    farm: Farm,
    readers: Vec<Reader<Turn>>,
    guard: SigningGuard,
    reports: mpsc::UnboundedSender<Report>,
    members: Vec<Member>,
    looks: Vec<Look>,
    solving: bool,
    totals: Totals,
    troubles: Troubles,
    watch: W,
}

/// Farms until `stop` is ready. `changes` may bring other chains or settings at any time.
///
/// # Errors
/// [`FarmerError`]: what no waiting mends. A node or a disk that is gone is waited for.
pub async fn run<W: FnMut(&FarmEvent, &Totals)>(
    config: FarmerConfig,
    watch: W,
    changes: mpsc::Receiver<Vec<ChainConfig>>,
    stop: impl Future<Output = ()>,
) -> Result<Totals, FarmerError> {
    run_on(config, watch, changes, stop, disk::read).await
}

/// [`run`] on disks that do their jobs with `work`.
async fn run_on<W: FnMut(&FarmEvent, &Totals)>(
    config: FarmerConfig,
    watch: W,
    mut changes: mpsc::Receiver<Vec<ChainConfig>>,
    stop: impl Future<Output = ()>,
    work: disk::Work<Turn>,
) -> Result<Totals, FarmerError> {
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let (queries, mut questions) = mpsc::channel(16);
    let secret = Arc::new(config.secret);
    let rpc = match config.rpc {
        Some(addr) => {
            let page = metrics(queries.clone());
            let api = Api { queries, secret: Arc::clone(&secret) };
            Some(mass_rpc::serve(addr, api.into_rpc(), page).await?)
        }
        None => None,
    };
    let mut farmer = Farmer {
        guard: SigningGuard::open(&config.guard)?,
        farm: Farm::new(&config.directories, secret.public()),
        readers: spawn_readers(&config.directories, work, &reports),
        secret,
        reports,
        members: Vec::new(),
        looks: Vec::new(),
        solving: false,
        totals: Totals::default(),
        troubles: Troubles::default(),
        watch,
    };
    farmer.open(&config.chains, &mut inbox, rpc.as_ref().map(|(addr, _)| *addr)).await?;
    farmer.set_chains(config.chains)?;
    tokio::select! {
        () = stop => {}
        Err(error) = farmer.farm(&mut inbox, &mut changes, &mut questions) => return Err(error),
    }
    farmer.hand_over(&mut inbox).await?;
    Ok(farmer.totals)
}

fn spawn_readers(
    directories: &[PathBuf],
    work: disk::Work<Turn>,
    reports: &mpsc::UnboundedSender<Report>,
) -> Vec<Reader<Turn>> {
    let spawn = |(number, path): (usize, &PathBuf)| {
        let reports = reports.clone();
        // Nobody is left to hear of it only when the farmer has stopped.
        Reader::spawn(path.clone(), work, move |done| drop(reports.send(Report::Disk(number, done))))
    };
    directories.iter().enumerate().map(spawn).collect()
}

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// The loop. It may be dropped at any await.
    async fn farm(
        &mut self,
        inbox: &mut mpsc::UnboundedReceiver<Report>,
        changes: &mut mpsc::Receiver<Vec<ChainConfig>>,
        questions: &mut mpsc::Receiver<Query>,
    ) -> Result<Infallible, FarmerError> {
        let (mut care, mut scan) = (tokio::time::interval(CARE), tokio::time::interval(SCAN_EVERY));
        care.set_missed_tick_behavior(MissedTickBehavior::Delay);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(report) = inbox.recv() => self.report(report)?,
                Some(question) = questions.recv() => self.reply(question),
                Some(chains) = changes.recv() => {
                    self.set_chains(chains)?;
                    let chains = self.members.iter().map(Member::name).collect();
                    self.tell(&FarmEvent::Changed { chains });
                }
                _ = care.tick() => {
                    self.look_after_disks();
                    self.look_for_trouble();
                }
                _ = scan.tick() => self.look_around(),
            }
        }
    }

    /// Answers a question. Who asks may be gone by then.
    fn reply(&self, question: Query) {
        match question {
            Query::Status(reply) => drop(reply.send((self.status(), self.samples()))),
            Query::Reads(reply) => drop(reply.send(upcoming(&self.farm, &self.members, unix_now()))),
        }
    }

    /// Waits for what was signed to be handed over: its slots are used up.
    async fn hand_over(&mut self, inbox: &mut mpsc::UnboundedReceiver<Report>) -> Result<(), FarmerError> {
        let is_signed = |member: &Member| member.sealing.as_ref().is_some_and(|sealing| sealing.is_signed);
        let hand_over = async {
            while self.members.iter().any(is_signed) {
                match inbox.recv().await {
                    Some(report @ Report::Node(_, Said::Submitted(_))) => self.report(report)?,
                    Some(_) => {}
                    None => break,
                }
            }
            Ok(())
        };
        tokio::time::timeout(FAREWELL, hand_over).await.unwrap_or(Ok(()))
    }

    /// Waits for the first look into the disks; a disk that hangs is not waited for.
    async fn open(
        &mut self,
        chains: &[ChainConfig],
        inbox: &mut mpsc::UnboundedReceiver<Report>,
        rpc: Option<SocketAddr>,
    ) -> Result<(), FarmerError> {
        self.scan();
        let first_look = async {
            while !self.readers.iter().all(Reader::is_idle) {
                let Some(report) = inbox.recv().await else { break };
                self.report(report)?;
            }
            Ok::<(), FarmerError>(())
        };
        let is_complete = match tokio::time::timeout(START, first_look).await {
            Ok(looked) => looked.map(|()| true)?,
            Err(_) => false,
        };
        let counts = |plot: &Plot| chains.iter().any(|chain| Farm::counts(plot, &chain.spec));
        let plots = self.farm.plots().filter(|(_, plot)| counts(plot));
        let (mut count, mut bytes) = (0, 0);
        plots.for_each(|(_, plot)| {
            (count, bytes) = (count + usize::from(plot.count()), bytes + plot.file_bytes());
        });
        if count == 0 && is_complete {
            return Err(FarmerError::NoPlots {
                chains: chains.iter().map(|chain| chain.spec.rules().name.clone()).collect(),
                directories: self.farm.disks().iter().map(|disk| disk.path().to_owned()).collect(),
            });
        }
        let rpc = rpc.map(|addr| format!("http://{addr}"));
        self.tell(&FarmEvent::Opened { plots: count, bytes, rpc });
        Ok(())
    }

    /// Has each disk that is at rest looked into for plots that came or went.
    fn scan(&mut self) {
        let now = Instant::now();
        for (reader, disk) in
            self.readers.iter_mut().zip(self.farm.disks()).filter(|(reader, _)| reader.is_idle())
        {
            reader.give(Job::Scan(disk.open_files()), now);
        }
    }

    fn look_around(&mut self) {
        self.scan();
        self.members.iter().for_each(Member::ask_health);
    }

    /// Tells of disks that hang and of those that answer again.
    fn look_after_disks(&mut self) {
        let now = Instant::now();
        for number in 0..self.readers.len() {
            let hangs = self.readers[number].hangs(now);
            if std::mem::replace(&mut self.readers[number].health.hangs, hangs) != hangs {
                let disk = self.disk_name(number);
                self.tell(&if hangs { FarmEvent::DiskHangs { disk } } else { FarmEvent::DiskBack { disk } });
            }
        }
    }

    /// Tells of troubles that begin and of those that are over. Without trials: those take minutes.
    fn look_for_trouble(&mut self) {
        let findings = diagnose(self.status(), Vec::new()).findings;
        for event in self.troubles.look(findings, Instant::now()) {
            self.tell(&event);
        }
    }

    fn plots_of(&self, number: usize) -> usize {
        self.farm.plots_of(number).map(|plot| usize::from(plot.count())).sum()
    }

    fn disk_name(&self, number: usize) -> String {
        self.farm.disks().get(number).map(|disk| disk.path().display().to_string()).unwrap_or_default()
    }

    fn disk_done(&mut self, number: usize, done: Done<Turn>) {
        let now = Instant::now();
        match done {
            Done::Scan(scan) => {
                self.readers[number].done(None, now);
                let before = self.plots_of(number);
                let faults = self.farm.scanned(number, scan);
                let plots = self.plots_of(number);
                if plots != before {
                    self.tell(&FarmEvent::Plots { disk: self.disk_name(number), plots });
                }
                self.tell_faults(&faults);
            }
            Done::Answer(turn, answer) => {
                self.readers[number].done(Some(turn.2), now);
                self.farm.asked(number, &answer);
                self.answered(&turn, &answer);
                self.settle(&turn, number);
            }
        }
    }

    fn tell_faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
    }

    /// A disk has answered, or will not; when all have, the challenge is done.
    fn settle(&mut self, turn: &Turn, disk: usize) {
        let Some(look) = self.looks.iter_mut().find(|look| look.turn == *turn) else { return };
        look.waiting.remove(&disk);
        if look.waiting.is_empty() {
            let (asked, reads, qualities) = (look.asked, look.reads, look.found.len() as u64);
            self.totals.rounds += 1;
            self.tell(&FarmEvent::Round { beacon: turn.0, round: turn.2, asked, reads, qualities });
        }
    }

    /// How all parts fare.
    fn status(&self) -> FarmStatus {
        let disks = self.readers.iter().enumerate().map(|(number, reader)| {
            let disk = &self.farm.disks()[number];
            let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
            DiskStatus {
                path: disk.path().display().to_string(),
                plots: self.plots_of(number) as u64,
                bytes: self.farm.plots_of(number).map(|plot| plot.file_bytes()).sum(),
                free_bytes: disk.free_bytes(),
                answered: reader.health.answered,
                missed: reader.health.missed,
                hangs: reader.hangs(Instant::now()),
                p50_milliseconds: reader.percentile(50).map(milliseconds),
                p99_milliseconds: reader.percentile(99).map(milliseconds),
                faults: disk.faults().cloned().collect(),
                unfinished: disk.unfinished().to_vec(),
            }
        });
        FarmStatus {
            farmer: self.secret.public(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            record_free_bytes: self.guard.free_bytes(),
            disks: disks.collect(),
            chains: self.members.iter().map(|member| member.status(&self.totals)).collect(),
            rounds: self.totals.rounds,
            reads: self.totals.reads,
            qualities: self.totals.qualities,
            proofs: self.totals.proofs,
        }
    }

    /// A plot of each disk that answers, to be tried out.
    fn samples(&self) -> Vec<(String, Arc<Plot>)> {
        let answering = (0..self.readers.len()).filter(|number| !self.readers[*number].hangs(Instant::now()));
        answering
            .filter_map(|number| {
                Some((self.disk_name(number), Arc::clone(self.farm.plots_of(number).next()?)))
            })
            .collect()
    }

    fn tell(&mut self, event: &FarmEvent) {
        (self.watch)(event, &self.totals);
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
                None => Member::start(chain, self.secret.public(), self.reports.clone(), Report::Node)?,
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
            Report::Disk(number, done) => self.disk_done(number, done),
            Report::Solved { turn, key, proof } => self.solved(&turn, key, proof),
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
            Said::Health(bans, status, pending) => {
                self.members[position].fares(*status, pending.as_deref());
                let farmer = self.secret.public();
                match bans.iter().find(|ban| ban.farmer == farmer) {
                    Some(ban) => self.banned(position, ban.height),
                    None => Ok(()),
                }
            }
        }
    }

    fn banned(&mut self, position: usize, height: Height) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        if member.banned.replace(height).is_none() {
            let chain = member.name();
            self.tell(&FarmEvent::Banned { chain, height });
        }
        let all = self.members.iter().all(|member| member.banned.is_some());
        if all { Err(FarmerError::Banned(height)) } else { Ok(()) }
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
        let spec = &self.members[position].config.spec;
        let counted = self.farm.plots().filter(|(_, plot)| Farm::counts(plot, spec));
        let plots: u64 = counted.map(|(_, plot)| u64::from(plot.count())).sum();
        let bytes = plots.saturating_mul(spec.plot_size().nominal_bytes());
        self.members[position].works(work, difficulty, bytes, unix_now());
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
        let (_, seed, round) = turn;
        let known = self.looks.iter().find(|look| look.turn == turn);
        let (member, found) = (&mut self.members[position], known.map(|look| look.found.clone()));
        let (output, vrf_proof) = self.secret.evaluate(member.id(), &seed, round, OsRng);
        let mut work = RoundWork::new(round, seed, output, vrf_proof);
        work.add(&member.config.spec, found.clone().unwrap_or_default());
        member.rounds.push(work);
        if found.is_none() {
            self.look_up(position, turn);
        }
    }

    /// Asks all disks with plots whose turn it is. Chains that share a beacon take the same plots: that is
    /// checked where a spec names its beacon.
    fn look_up(&mut self, position: usize, turn: Turn) {
        let (beacon, seed, round) = turn;
        let (question, now) = (challenge(&beacon, &seed, round), Instant::now());
        let mut look = Look { turn, found: Vec::new(), asked: 0, reads: 0, waiting: BTreeSet::new() };
        let spec = &self.members[position].config.spec;
        for (number, reader) in self.readers.iter_mut().enumerate() {
            let plots = self.farm.turn(number, spec, &seed, round);
            if plots.is_empty() {
                continue;
            }
            if reader.give(Job::Ask(turn, question, plots), now) {
                look.waiting.insert(number);
            } else {
                reader.health.missed += 1;
            }
        }
        self.looks.push(look);
        self.settle(&turn, usize::MAX);
    }

    fn answered(&mut self, turn: &Turn, answer: &Answer) {
        self.totals.reads += answer.reads;
        self.totals.qualities += answer.found.len() as u64;
        let sharing = self.totals.chains.iter_mut().filter(|chain| chain.beacon == turn.0);
        sharing.for_each(|chain| chain.reads += answer.reads);
        self.tell_faults(&answer.faults);
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

    /// Sets the cores to work on the proof that is needed first.
    fn solve_next(&mut self) {
        if self.solving {
            return;
        }
        let wanted = self.members.iter().filter_map(Member::unsolved);
        let Some(wanted) = wanted.min_by_key(|wanted| wanted.time) else { return };
        self.solving = true;
        let (plot, reports) = (self.farm.plot(wanted.key.0).cloned(), self.reports.clone());
        tokio::task::spawn_blocking(move || {
            let solve = |plot: Arc<Plot>| {
                Ok(Box::new(plot.solve_of(wanted.key.1, &wanted.chain, &SolveOptions::default())?))
            };
            let proof = plot.ok_or(FarmError::Gone).and_then(solve);
            let _ = reports.send(Report::Solved { turn: wanted.turn, key: wanted.key, proof });
        });
    }

    /// A proof serves every chain that shares the beacon.
    fn solved(&mut self, turn: &Turn, key: ProofKey, proof: Result<Box<Proof>, FarmError>) {
        self.solving = false;
        self.totals.proofs += u64::from(proof.is_ok());
        if let Err(error) = &proof {
            self.tell(&FarmEvent::Fault { reason: error.to_string() });
        }
        let proof = proof.ok().map(|proof| *proof);
        for member in self.members.iter_mut().filter(|member| *member.config.spec.beacon_id() == turn.0) {
            member.solved(&turn.1, turn.2, key, proof);
        }
        self.solve_next();
    }

    /// Asks for the header of the first slot that is won and not sealed yet.
    fn seal_due(&mut self, position: usize) {
        let farmer = self.secret.public();
        let member = &mut self.members[position];
        let signed = self.guard.last(member.id(), &farmer).unwrap_or_default();
        if let Some(sealing) = member.due(signed, &self.farm) {
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
        header: Result<Header, String>,
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
                let event = member.unprepared(&reason);
                event.iter().for_each(|event| self.tell(event));
                return Ok(());
            }
        };
        let permit = self.guard.permit(&claim.chain, claim.farmer(), claim.slot)?;
        let signature = permit.sign(&self.secret, &header.id(), OsRng)?;
        if let Some(sealing) = &mut member.sealing {
            sealing.is_signed = true;
        }
        member.ask(Ask::Submit { header, vrf_proof, signature });
        Ok(())
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
