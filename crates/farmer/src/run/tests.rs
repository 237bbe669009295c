//! Real plots before nodes that only tell the time: what look-ups cost, and a disk that hangs.

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
use mass_primitives::{BlockId, GroupNonce, Slot};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use tokio::sync::oneshot;

use super::*;

const FIRST_ROUND: u64 = 100;

/// Work at a difficulty that nobody beats, in the round that the test says.
fn work(spec: &ChainSpec, round: &AtomicU64) -> Work {
    Work {
        spec: spec.file().clone(),
        chain: *spec.id(),
        tip: BlockId::ZERO,
        height: Height::new(1),
        after: Slot::ZERO,
        seed: Seed::new([5; 32]),
        difficulty: u128::MAX.to_string(),
        now: spec.round_start(Round::new(round.load(Ordering::SeqCst))),
    }
}

async fn node(spec: &ChainSpec, round: &Arc<AtomicU64>) -> (ChainConfig, ServerHandle) {
    let mut module = RpcModule::new((spec.clone(), Arc::clone(round)));
    module
        .register_method("mass_work", |_, (spec, round), _| serde_json::to_value(work(spec, round)).unwrap())
        .unwrap();
    module.register_method("mass_lastSeal", |_, _, _| serde_json::Value::Null).unwrap();
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
        secret: FarmerSecret::from_seed(&[7; 32]),
        guard,
        watch_rounds: 0,
        rpc: None,
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
fn read_or_hang(dir: &Path, job: Job<Turn>) -> Done<Turn> {
    while dir.ends_with("stuck") && STUCK.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
    }
    disk::read(dir, job)
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

#[tokio::test]
async fn a_disk_that_hangs_costs_no_other_disk_a_round() {
    let dir = tempfile::tempdir().unwrap();
    let (good, stuck) = (dir.path().join("good"), dir.path().join("stuck"));
    std::fs::create_dir(&good).unwrap();
    std::fs::create_dir(&stuck).unwrap();
    make_plots(&good, 0..4);
    make_plots(&stuck, 4..8);
    let (round, log) = (Arc::new(AtomicU64::new(FIRST_ROUND)), Log::default());
    let (chain, _server) = node(&specs(1, true)[0], &round).await;
    let config = FarmerConfig {
        chains: vec![chain],
        directories: vec![good, stuck.clone()],
        secret: FarmerSecret::from_seed(&[7; 32]),
        guard: dir.path().join("guard"),
        watch_rounds: 0,
        rpc: None,
    };
    let (_, changes) = mpsc::channel(1);
    let is_round = |event: &FarmEvent| matches!(event, FarmEvent::Round { .. });
    let name = stuck.display().to_string();
    let test = async {
        log.until("two rounds", is_round, 1).await;
        STUCK.store(true, Ordering::SeqCst);
        // A filter of four: within four rounds the disk is asked, and does not answer.
        round.fetch_add(4, Ordering::SeqCst);
        log.until("it hangs", |event| *event == FarmEvent::DiskHangs { disk: name.clone() }, 0).await;
        for _ in 0..4 {
            let before = log.count(is_round);
            round.fetch_add(1, Ordering::SeqCst);
            log.until("the other disk's round", is_round, before).await;
        }
        STUCK.store(false, Ordering::SeqCst);
        log.until("it is back", |event| *event == FarmEvent::DiskBack { disk: name.clone() }, 0).await;
        let before = log.count(is_round);
        round.fetch_add(1, Ordering::SeqCst);
        log.until("both disks' round", is_round, before).await;
    };
    let watch = |event: &FarmEvent, _: &Totals| log.0.lock().unwrap().push(event.clone());
    run_on(config, watch, changes, test, read_or_hang).await.unwrap();
}
