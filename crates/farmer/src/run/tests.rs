//! Real plots before nodes that only tell the time: what look-ups cost, and parts that stop.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use jsonrpsee::{
    RpcModule,
    server::{Server, ServerHandle},
};
use mass_consensus::spec::ChainSpec;
use mass_primitives::{BlockId, GroupNonce, Round, Seed, Slot};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use mass_rpc::{
    Work,
    farm::{Diagnosis, FarmClient as _, Severity},
};
use tokio::sync::oneshot;

use super::*;
use crate::{
    disk::Job,
    harvest::{HarvesterConfig, HarvesterEvent, WayToFarmer},
    shelf::Shelf,
};

const FIRST_ROUND: u64 = 100;

/// Work at a difficulty that nobody beats, in the round that the test says.
fn work(spec: &ChainSpec, round: &AtomicU64) -> Work {
    Work {
        chain: *spec.id(),
        tip: BlockId::ZERO,
        height: Height::new(1),
        after: Slot::ZERO,
        seed: Seed::new([5; 32]),
        difficulty: u128::MAX.to_string(),
        now: spec.round_start(Round::new(round.load(Ordering::SeqCst))),
        sealed: None,
    }
}

async fn node(spec: &ChainSpec, round: &Arc<AtomicU64>) -> (ChainConfig, ServerHandle) {
    let mut module = RpcModule::new((spec.clone(), Arc::clone(round)));
    module
        .register_method("mass_work", |_, (spec, round), _| serde_json::to_value(work(spec, round)).unwrap())
        .unwrap();
    module.register_method("mass_bans", |_, _, _| serde_json::json!([])).unwrap();
    let server = Server::builder().build("127.0.0.1:0").await.unwrap();
    let node = format!("http://{}", server.local_addr().unwrap());
    let (spec, payout) = (spec.clone(), String::new());
    (ChainConfig { spec, node, payout, priority: 0, enabled: true }, server.start(module))
}

/// The dev chain, and others that inherit its beacon or have their own.
fn specs(count: usize, sharing: bool) -> Vec<ChainSpec> {
    let parent = ChainSpec::built_in("dev").unwrap();
    let others = (1..count).map(|number| {
        let mut file = parent.file().clone();
        file.rules.name = format!("other-{number}");
        file.rules.beacon = sharing.then_some(*parent.id());
        ChainSpec::new(file).unwrap()
    });
    [parent.clone()].into_iter().chain(others).collect()
}

/// Farms `rounds` rounds of these chains, and looks one ahead; what that has cost.
async fn farm(specs: &[ChainSpec], plots: PathBuf, guard: PathBuf, rounds: u64) -> Totals {
    let round = Arc::new(AtomicU64::new(FIRST_ROUND));
    let (mut chains, mut servers) = (Vec::new(), Vec::new());
    for spec in specs {
        let (chain, server) = node(spec, &round).await;
        chains.push(chain);
        servers.push(server);
    }
    let beacons: BTreeSet<_> = specs.iter().map(|spec| *spec.beacon_id()).collect();
    let config = FarmerConfig {
        chains,
        directories: vec![plots],
        harvesters: None,
        cluster: None,
        secret: FarmerSecret::from_seed(&[7; 32]),
        guard,
        watch_rounds: 0,
        rpc: None,
        access: mass_rpc::Access::default(),
        methods: None,
    };
    let (end, ended) = oneshot::channel::<()>();
    let (mut end, mut answered) = (Some(end), BTreeSet::new());
    let watch = |event: &FarmEvent, _: &Totals| {
        let FarmEvent::Round { beacon, round: done, .. } = event else { return };
        answered.insert((*beacon, done.get()));
        let now = round.load(Ordering::SeqCst);
        let is_answered = |beacon| answered.contains(&(beacon, now)) && answered.contains(&(beacon, now + 1));
        if !beacons.iter().copied().all(is_answered) {
            return;
        }
        if now + 1 == FIRST_ROUND + rounds {
            drop(end.take());
        } else {
            round.store(now + 1, Ordering::SeqCst);
        }
    };
    let (_, changes) = mpsc::channel(1);
    run(config, watch, changes, async { drop(ended.await) }).await.unwrap()
}

fn make_plots(dir: &Path, nonces: std::ops::Range<u8>) {
    let farmer = FarmerSecret::from_seed(&[7; 32]).public();
    for nonce in nonces {
        let nonce = GroupNonce::new([nonce; 32]);
        let group = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
        mass_plot::create(dir, &group).unwrap();
    }
}

#[tokio::test]
async fn chains_that_share_a_beacon_cost_the_reads_of_one() {
    let dir = tempfile::tempdir().unwrap();
    make_plots(dir.path(), 0..3);
    let farm = async |count, sharing, name: &str| {
        farm(&specs(count, sharing), dir.path().to_owned(), dir.path().join(name), 8).await
    };
    // Nine rounds, a filter of four: each of three groups is asked two or three times, for four reads.
    let one = farm(1, true, "one").await;
    assert!((3 * 2 * 4..=3 * 3 * 4).contains(&one.reads), "{one:?}");
    for count in [2, 4] {
        let shared = farm(count, true, &format!("shared-{count}")).await;
        assert_eq!((shared.reads, shared.qualities), (one.reads, one.qualities), "{count} chains");
        assert_eq!(shared.chains.len(), count);
        assert!(shared.chains.iter().all(|chain| chain.reads == one.reads));
    }
    let apart = farm(2, false, "apart").await;
    assert_eq!(apart.reads, apart.chains.iter().map(|chain| chain.reads).sum::<u64>());
    assert!(apart.reads > one.reads, "another beacon asks for itself");
}

static STUCK: AtomicBool = AtomicBool::new(false);

/// A disk whose name is "stuck" hangs while the test says so.
fn read_or_hang(shelf: &mut Shelf, job: Job) -> Option<Done> {
    while shelf.dir().ends_with("stuck") && STUCK.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
    }
    disk::read(shelf, job)
}

/// What happened, in the order in which it did, for the test to look at.
#[derive(Default)]
struct Log(Mutex<Vec<FarmEvent>>);

impl Log {
    fn count(&self, wanted: impl Fn(&FarmEvent) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&FarmEvent) -> bool, more_than: usize) {
        let wait = async {
            while self.count(&wanted) <= more_than {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = || self.0.lock().unwrap().clone();
        tokio::time::timeout(Duration::from_secs(120), wait)
            .await
            .unwrap_or_else(|_| panic!("{what}: {:?}", log()));
    }
}

/// A harvester in this process, which ends when what is returned is dropped.
fn harvester(store: &Path, dir: &Path) -> oneshot::Sender<()> {
    let config =
        HarvesterConfig { way: WayToFarmer::Paired(store.to_owned()), directories: vec![dir.to_owned()] };
    let (end, ended) = oneshot::channel::<()>();
    tokio::spawn(async move {
        harvest::run(config, |_: &HarvesterEvent| (), async { drop(ended.await) }).await.unwrap();
    });
    end
}

/// What a doctor has to say within a round of the dev chain.
async fn named_within_a_round(url: &str, is_named: impl Fn(&Diagnosis) -> bool) {
    let client = mass_rpc::client_that_waits(url, Duration::from_secs(60)).unwrap();
    let mut last = None;
    let ask = async {
        loop {
            let diagnosis = client.farm_doctor().await.unwrap();
            if is_named(&diagnosis) {
                return;
            }
            last = Some(diagnosis.findings);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let round = Duration::from_secs(16);
    tokio::time::timeout(round, ask).await.unwrap_or_else(|_| panic!("not named: {last:?}"));
}

/// Errors but for those of the nodes' clock, which is the test's and far from ours.
fn errors(diagnosis: &Diagnosis) -> usize {
    let errors = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter(|finding| !finding.problem.contains("clock")).count()
}

fn names(diagnosis: &Diagnosis, subject: &str) -> bool {
    let is_it = |severity, named: &str| severity == Severity::Error && named == subject;
    diagnosis.findings.iter().any(|finding| is_it(finding.severity, &finding.subject))
}

/// Where a farm answers RPC, and where it listens for harvesters.
async fn opened(log: &Log) -> (String, String) {
    log.until("it opens", |event| matches!(event, FarmEvent::Opened { .. }), 0).await;
    let opened = log.0.lock().unwrap().iter().find_map(|event| match event {
        FarmEvent::Opened { rpc, harvesters, .. } => Some((rpc.clone()?, harvesters.clone()?)),
        _ => None,
    });
    opened.unwrap()
}

/// Three directories of four plots each.
fn three_disks(dir: &Path) -> [PathBuf; 3] {
    let mut first = 0;
    ["good", "stuck", "far"].map(|name| {
        let path = dir.join(name);
        std::fs::create_dir(&path).unwrap();
        make_plots(&path, first..first + 4);
        first += 4;
        path
    })
}

/// A farm that harvesters may come to.
fn with_harvesters(chains: Vec<ChainConfig>, directories: Vec<PathBuf>, dir: &Path) -> FarmerConfig {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    FarmerConfig {
        chains,
        directories,
        harvesters: Some(HarbourConfig { listen: anywhere, store: dir.join("harvesters.json") }),
        cluster: None,
        secret: FarmerSecret::from_seed(&[7; 32]),
        guard: dir.join("guard"),
        watch_rounds: 0,
        rpc: Some(anywhere),
        access: mass_rpc::Access::default(),
        methods: None,
    }
}

/// Whether a round of this chain's beacon was answered.
fn is_round_of(spec: &ChainSpec) -> impl Fn(&FarmEvent) -> bool + Copy {
    let beacon = *spec.beacon_id();
    move |event| matches!(event, FarmEvent::Round { beacon: of, .. } if *of == beacon)
}

/// A disk, a harvester and a node stop in turn. The doctor names each within a round, and the rest goes on: a round of
/// each of two beacons for each that the nodes tell.
#[tokio::test]
async fn each_part_that_stops_is_named_within_a_round_and_the_rest_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let [good, stuck, far] = three_disks(dir.path());
    let (round, log, specs) = (Arc::new(AtomicU64::new(FIRST_ROUND)), Log::default(), specs(2, false));
    let (first, _server) = node(&specs[0], &round).await;
    let (second, server) = node(&specs[1], &round).await;
    let config = with_harvesters(vec![first, second], vec![good, stuck.clone()], dir.path());
    let (first_round, second_round) = (is_round_of(&specs[0]), is_round_of(&specs[1]));
    let test = async {
        let (url, addr) = opened(&log).await;
        let code = mass_rpc::client(&url).unwrap().farm_pair().await.unwrap().code;
        let store = at("harvester.json");
        harvest::pair(&store, "rig1", &addr, &code).await.unwrap();
        let far_name = format!("rig1:{}", far.display());
        let running = harvester(&store, &far);
        let has_plots = |event: &FarmEvent| *event == FarmEvent::Plots { disk: far_name.clone(), plots: 4 };
        log.until("the harvester's plots", has_plots, 0).await;
        named_within_a_round(&url, |diagnosis| {
            diagnosis.trials.len() == 3 && diagnosis.trials.iter().all(|trial| trial.failure.is_none())
        })
        .await;
        let next_round = async |what: &str, beacons: usize| {
            let before = (log.count(first_round), log.count(second_round));
            round.fetch_add(1, Ordering::SeqCst);
            log.until(what, &first_round, before.0).await;
            if beacons == 2 {
                log.until(what, &second_round, before.1).await;
            }
        };
        for _ in 0..4 {
            next_round("a round of all", 2).await;
        }

        STUCK.store(true, Ordering::SeqCst);
        // A filter of four: within four rounds the disk is asked, and does not answer.
        round.fetch_add(4, Ordering::SeqCst);
        let stuck_name = stuck.display().to_string();
        named_within_a_round(&url, |diagnosis| names(diagnosis, &stuck_name)).await;
        for _ in 0..4 {
            next_round("a round without the disk", 2).await;
        }
        STUCK.store(false, Ordering::SeqCst);
        let is_back = |event: &FarmEvent| matches!(event, FarmEvent::DiskBack { .. });
        log.until("the disk is back", is_back, 0).await;

        drop(running);
        named_within_a_round(&url, |diagnosis| names(diagnosis, "rig1")).await;
        for _ in 0..4 {
            next_round("a round without the harvester", 2).await;
        }
        let running = harvester(&store, &far);
        let is_joined = |event: &FarmEvent| matches!(event, FarmEvent::HarvesterJoined { .. });
        log.until("the harvester is back", is_joined, 1).await;

        server.stop().unwrap();
        named_within_a_round(&url, |diagnosis| names(diagnosis, &specs[1].rules().name)).await;
        for _ in 0..4 {
            next_round("a round without the node", 1).await;
        }
        named_within_a_round(&url, |diagnosis| errors(diagnosis) == 1).await;
        drop(running);
    };
    let watch = |event: &FarmEvent, _: &Totals| log.0.lock().unwrap().push(event.clone());
    let (_, changes) = mpsc::channel(1);
    run_on(config, watch, changes, test, read_or_hang).await.unwrap();
}
