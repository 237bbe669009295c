//! The farmer's loop: it owns plots, chains and the signing record, and does what the reports of its threads
//! and of its nodes ask for.
//!
//! Each disk has a thread that alone reads there, or lies behind a harvester; each chain has a line to its node. Plots are asked as soon as a round's seed is known, one round ahead, once for all chains that share a
//! beacon; proofs are solved before their slots come. All report to the loop, so nothing that hangs holds up
//! anything else.

mod disks;
mod harvesters;
mod rounds;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mass_consensus::{
    header::{Header, SealClaim},
    keys::FarmerSecret,
};
use mass_plot::PlotError;
use mass_primitives::{ChainId, GroupId, Height, Slot};
use mass_proof_of_space::Proof;
use mass_rpc::{ClientError, Methods, farm::FarmServer as _, farm_view::FarmViewServer as _};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use self::harvesters::Partner;
use crate::{
    api::{Api, Query, metrics},
    bus::BusError,
    chain::{ChainConfig, Member},
    cluster::Cluster,
    disk::{self, Done, Reader, Turn},
    events::{FarmEvent, Totals},
    farm::Farm,
    guard::{GuardError, SigningGuard},
    harvest::{self, Harbour, HarbourConfig, HarvestError, Landed},
    link::Said,
    reads::upcoming,
    round::ProofKey,
    schedule::Found,
    shelf::GroupFile,
    strip::Strip,
    troubles::Troubles,
    view::View,
};

/// Rounds that are looked up ahead of the present one.
pub(crate) const ROUNDS_AHEAD: u64 = 1;

/// How often disks are looked after.
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
    /// Where harvesters may come to, if they may.
    pub harvesters: Option<HarbourConfig>,
    /// The cluster that it is the active farmer of, if it is one of several.
    pub cluster: Option<Cluster>,
    /// The key that the plots are bound to.
    pub secret: FarmerSecret,
    /// The record of what was signed.
    pub guard: PathBuf,
    /// Rounds in which nothing is sealed at the start, while others with the key are looked for. 0 says that there
    /// are none: then only what is sealed after the start counts.
    pub watch_rounds: u32,
    /// Address to listen on for RPC, on this machine alone.
    pub rpc: Option<SocketAddr>,
    /// Who may call it.
    pub access: mass_rpc::Access,
    /// Who is given all that RPC answers, to call it in this process.
    pub methods: Option<oneshot::Sender<Methods>>,
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
    /// The cluster's bus fails.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Harvesters cannot be listened for.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The key sealed twice in one slot, and all know.
    #[error("the farmer key is banned since block {0}: it sealed twice in one slot")]
    Banned(Height),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
enum SolveError {
    /// The plot does not yield the proof.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The solver has a defect.
    #[error("the solver has stopped: {0}")]
    Stopped(String),
}

/// What threads, nodes and harvesters report.
enum Report {
    /// A disk of this machine has done what it was given.
    Disk(usize, Done),
    /// A proof was looked for.
    Solved { turn: Turn, key: ProofKey, proof: Result<Box<Proof>, SolveError> },
    /// The node of a chain has said something.
    Node(ChainId, Said),
    /// What the cluster has signed of a chain, asked for because of a seal in this slot.
    Vetted { chain: ChainId, slot: Slot, signed: Option<Slot> },
    /// The cluster lets a header be signed, or does not.
    Permitted { claim: Box<SealClaim>, header: Header, permit: Result<(), String> },
    /// A harvester has come, gone, or done something.
    Harvester(Landed),
}

/// A challenge that is looked up, and what has come of it so far.
struct Look {
    turn: Turn,
    found: Vec<Found>,
    asked: u64,
    reads: u64,
    /// Disks that have not answered yet, and which groups they were asked, the first question first.
    waiting: BTreeMap<usize, VecDeque<Vec<GroupId>>>,
    /// Groups that were asked, or are.
    groups: BTreeSet<GroupId>,
    /// Whether that was told.
    is_done: bool,
}

impl Look {
    fn new(turn: Turn) -> Self {
        let (waiting, groups) = (BTreeMap::new(), BTreeSet::new());
        Self { turn, found: Vec::new(), asked: 0, reads: 0, waiting, groups, is_done: false }
    }
}

struct Farmer<W> {
    secret: Arc<FarmerSecret>,
    farm: Farm,
    readers: BTreeMap<usize, Reader>,
    partners: Vec<Partner>,
    guard: SigningGuard,
    watch_rounds: u32,
    cluster: Option<Cluster>,
    /// The last seal on each chain for which the cluster was asked whether it is its own, and whether it has answered.
    vetted: BTreeMap<ChainId, (Slot, bool)>,
    reports: mpsc::UnboundedSender<Report>,
    members: Vec<Member>,
    looks: Vec<Look>,
    solving: bool,
    totals: Totals,
    troubles: Troubles,
    strip: Strip,
    started: Instant,
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
    work: disk::Work,
) -> Result<Totals, FarmerError> {
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let (queries, mut questions) = mpsc::channel(16);
    let secret = Arc::new(config.secret);
    let (mut guard, mut watch_rounds) = (SigningGuard::open(&config.guard)?, config.watch_rounds);
    if let Some(cluster) = &config.cluster {
        for (chain, slot) in cluster.signed(&secret.public()).await? {
            guard.raise(&chain, &secret.public(), slot)?;
            // It goes on where the one before it was; the record keeps both from signing in one slot.
            watch_rounds = 0;
        }
        harvest::gather(cluster.bus().clone(), secret.public(), reports.clone(), Report::Harvester).await?;
    }
    let harbour = match &config.harvesters {
        Some(config) => {
            Some(harvest::listen(config, secret.public(), reports.clone(), Report::Harvester).await?)
        }
        None => None,
    };
    let metrics = metrics(queries.clone());
    let view = View::new(queries.clone(), secret.public(), &config.chains, &config.directories);
    let mut methods: Methods =
        Api { queries, secret: Arc::clone(&secret), harbour: harbour.clone() }.into_rpc().into();
    methods.merge(view.into_rpc()).expect("no method has two names");
    if let Some(wanted) = config.methods {
        // Who wanted them may be gone.
        let _ = wanted.send(methods.clone());
    }
    let rpc = match config.rpc {
        Some(addr) => Some(mass_rpc::serve(addr, methods, metrics, config.access).await?),
        None => None,
    };
    let mut farmer = Farmer {
        guard,
        watch_rounds,
        cluster: config.cluster,
        vetted: BTreeMap::new(),
        farm: Farm::new(secret.public()),
        readers: BTreeMap::new(),
        partners: Partner::known(harbour.as_deref()),
        secret,
        reports,
        members: Vec::new(),
        looks: Vec::new(),
        solving: false,
        totals: Totals::default(),
        troubles: Troubles::default(),
        strip: Strip::default(),
        started: Instant::now(),
        watch,
    };
    farmer.add_directories(config.directories, work);
    let rpc = rpc.as_ref().map(|(addr, _)| *addr);
    let alone = harbour.is_none() && farmer.cluster.is_none();
    let harvesters = harbour.as_deref().map(Harbour::address);
    farmer.open(&config.chains, &mut inbox, rpc, harvesters, alone).await?;
    farmer.set_chains(config.chains)?;
    tokio::select! {
        () = stop => {}
        Err(error) = farmer.farm(&mut inbox, &mut changes, &mut questions) => return Err(error),
    }
    farmer.hand_over(&mut inbox).await?;
    Ok(farmer.totals)
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
            Query::Status(reply) => drop(reply.send((self.status(), self.ways()))),
            Query::Rounds(reply) => drop(reply.send(self.rounds())),
            Query::Luck(reply) => drop(reply.send(self.luck())),
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

    /// Waits for the first look into the disks; a disk that hangs is not waited for. A farm that is `alone`, without
    /// harvesters, must have plots of its own.
    async fn open(
        &mut self,
        chains: &[ChainConfig],
        inbox: &mut mpsc::UnboundedReceiver<Report>,
        rpc: Option<SocketAddr>,
        harvesters: Option<SocketAddr>,
        alone: bool,
    ) -> Result<(), FarmerError> {
        self.scan();
        let first_look = async {
            while !self.readers.values().all(Reader::is_idle) {
                let Some(report) = inbox.recv().await else { break };
                self.report(report)?;
            }
            Ok::<(), FarmerError>(())
        };
        let is_complete = match tokio::time::timeout(START, first_look).await {
            Ok(looked) => looked.map(|()| true)?,
            Err(_) => false,
        };
        let counts = |file: &&GroupFile| chains.iter().any(|chain| Farm::counts(file, &chain.spec));
        let (mut plots, mut bytes) = (0, 0);
        self.farm.groups().filter(counts).for_each(|file| {
            (plots, bytes) = (plots + u64::from(file.plots), bytes + file.bytes);
        });
        if plots == 0 && is_complete && alone {
            return Err(FarmerError::NoPlots {
                chains: chains.iter().map(|chain| chain.spec.rules().name.clone()).collect(),
                directories: self.farm.disks().map(|(_, disk)| disk.path().to_owned()).collect(),
            });
        }
        let rpc = rpc.map(|addr| format!("http://{addr}"));
        let harvesters = harvesters.map(|addr| addr.to_string());
        self.tell(&FarmEvent::Opened { plots, bytes, rpc, harvesters });
        Ok(())
    }

    fn report(&mut self, report: Report) -> Result<(), FarmerError> {
        match report {
            Report::Disk(number, done) => self.disk_done(number, done),
            Report::Solved { turn, key, proof } => self.solved(&turn, key, proof),
            Report::Harvester(landed) => self.landed(landed),
            Report::Vetted { chain, slot, signed } => {
                if let Some(signed) = signed {
                    self.guard.raise(&chain, &self.secret.public(), signed)?;
                }
                self.vetted.insert(chain, (slot, true));
            }
            Report::Permitted { claim, header, permit } => self.permitted(&claim, header, permit)?,
            Report::Node(chain, said) => {
                let Some(position) = self.members.iter().position(|member| *member.id() == chain) else {
                    return Ok(());
                };
                self.said(position, said)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: &FarmEvent) {
        (self.watch)(event, &self.totals);
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
