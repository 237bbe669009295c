//! Long ways of a tip, gone in turns: in between a node answers peers and RPC from a chain that is whole, and can end, or be
//! killed, and goes on from there (decision 0026).

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_network::{
    Command, Event, PeerId, ResponseToken, peer_id,
    wire::{Request, Response},
};
use mass_node::{ChainError, Moment, Node, NodeConfig, start_asked};
use mass_primitives::{BlockId, Height, Slot};
use nodes::{node, reaches};
use payer::{Chain, NOW, mine, open, payout, tip};
use tempfile::TempDir;

type UtxoNode = Node<UtxoLedger>;

/// Two branches from the genesis block, in data directories of two nodes.
struct Fork {
    dir: TempDir,
    farm: Farm,
    tip: BlockId,
}

impl Fork {
    fn new(short: u32, long: u32) -> Self {
        let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, farm: &Farm, blocks: u32| {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            let mut chain = open(farm, &database(&dir.path().join(name)));
            chain.set_bulk(true).unwrap();
            (0..blocks).for_each(|_| drop(mine(farm, &mut chain, 1)));
            tip(&chain)
        };
        make("short", &other, short);
        let tip = make("long", &farm, long);
        Self { dir, farm, tip }
    }

    /// A data directory with one of the two branches.
    fn copy(&self, of: &str, name: &str) -> PathBuf {
        let to = self.dir.path().join(name);
        fs::create_dir_all(&to).unwrap();
        fs::copy(database(&self.dir.path().join(of)), database(&to)).unwrap();
        to
    }

    /// A node with a peer.
    fn open(&self, dir: &Path) -> UtxoNode {
        let mut node = Node::new(Chain::open(&database(dir), self.farm.spec.clone(), None).unwrap(), now());
        node.tick(now()).unwrap();
        node.event(Event::PeerConnected(peer()), now()).unwrap();
        node
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("chain.redb")
}

fn now() -> Moment {
    Moment { unix: NOW, instant: Instant::now() }
}

fn peer() -> PeerId {
    peer_id([9; 32])
}

/// What a node answers a peer.
fn ask(node: &mut UtxoNode, request: Request) -> Response {
    node.event(Event::Request { peer: peer(), request, token: ResponseToken::new(1) }, now()).unwrap();
    let (mut answer, commands) = (None, node.take_commands());
    for command in commands {
        match command {
            Command::Respond { response, .. } => answer = Some(response),
            // What it asks others is not lost.
            other => node.send(other),
        }
    }
    answer.expect("an answer")
}

/// Lets `node` ask `other`, until it has work of its own or wants nothing more.
fn exchange(node: &mut UtxoNode, other: &mut UtxoNode) {
    while !node.has_work() {
        let commands = node.take_commands();
        let requests = commands.into_iter().filter_map(|command| match command {
            Command::Request { id, request, .. } => Some((id, request)),
            _ => None,
        });
        let requests: Vec<_> = requests.collect();
        if requests.is_empty() {
            return;
        }
        for (id, request) in requests {
            let response = ask(other, request);
            node.event(Event::Response { id, peer: peer(), response }, now()).unwrap();
        }
    }
}

fn height(node: &UtxoNode) -> u32 {
    node.chain().height().get()
}

/// What holds between any two turns.
fn is_whole(fork: &Fork, node: &mut UtxoNode) {
    let (height, tip) = (node.chain().height(), *node.chain().engine().tip());
    assert_eq!(node.chain().store().tip().unwrap().map(|tip| (tip.height, tip.id)), Some((height, tip)));
    let Response::Status { tip: told, height: at, .. } = ask(node, Request::Status) else { panic!() };
    assert_eq!((told, at), (tip, height), "a peer is told what is executed");
    let expected = node.chain().expectation(Slot::ZERO).unwrap();
    let claim = fork.farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let refused = node.chain_mut().prepare(claim, &payout(1));
    assert!(matches!(refused, Err(ChainError::Moving(at)) if at == height), "{refused:?}");
}

/// Before, the whole of it was done within one event, and who was killed lost what was not yet on disk of it.
#[test]
fn a_long_reorganisation_is_done_in_turns_and_goes_on_after_a_kill() {
    let fork = Fork::new(60, 70);
    let mut long = fork.open(&fork.dir.path().join("long"));
    let hash = long.chain().store().snapshot().unwrap().state_hash().unwrap();
    // Killed on the way down, on the way up, and not at all.
    for turns in [2, 6, u32::MAX] {
        let dir = fork.copy("short", &format!("short-{turns}"));
        let mut node = fork.open(&dir);
        exchange(&mut node, &mut long);
        assert!(node.has_work(), "one turn is not enough");
        let mut seen = vec![height(&node)];
        while node.has_work() && (seen.len() as u32) < turns {
            is_whole(&fork, &mut node);
            node.proceed(now()).unwrap();
            seen.push(height(&node));
        }
        assert!(seen.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 16), "{seen:?}");
        if turns != u32::MAX {
            assert!(node.has_work() && height(&node) < 60, "{seen:?}");
            drop(node);
            node = fork.open(&dir);
            for _ in 0..3 {
                exchange(&mut node, &mut long);
                while node.has_work() {
                    is_whole(&fork, &mut node);
                    node.proceed(now()).unwrap();
                }
            }
        }
        assert_eq!(*node.chain().engine().tip(), fork.tip);
        assert_eq!(node.chain().store().snapshot().unwrap().state_hash().unwrap(), hash);
        assert!(matches!(ask(&mut node, Request::Status), Response::Status { tip, .. } if tip == fork.tip));
    }
}

/// Real nodes: RPC is answered in the middle of a reorganisation, with what is true then, and the node ends there within
/// seconds and goes on when it is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_in_the_middle_of_a_long_reorganisation_answers_and_ends() {
    let fork = Fork::new(300, 310);
    let (one, rpc_one) = node(&fork.farm.spec, &fork.dir.path().join("long"), vec![]).await;
    let short = fork.dir.path().join("short");
    let config =
        NodeConfig { peers: one.listen.clone(), ..NodeConfig::new(fork.farm.spec.clone(), short.clone()) };
    let (two, queries) = start_asked::<UtxoLedger>(config).await.unwrap();
    let middle = async {
        loop {
            let seen = queries.ask(|node| (height(node), node.has_work(), node.chain().is_current()));
            let (at, has_work, is_current) = seen.await.expect("the node runs");
            assert!(at != 310, "it is through before it answered once on its way");
            if at < 300 {
                assert!(has_work && !is_current);
                return at;
            }
        }
    };
    let at = tokio::time::timeout(Duration::from_secs(60), middle).await.expect("the way begins");
    let begun = Instant::now();
    two.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "ended after {:?}", begun.elapsed());
    let left = Chain::open(&database(&short), fork.farm.spec.clone(), None).unwrap();
    assert!(left.height() < Height::new(310), "at {at} when it was stopped, at {} then", left.height());
    drop(left);

    let (two, rpc_two) = node(&fork.farm.spec, &short, one.listen.clone()).await;
    reaches(&rpc_two, fork.tip).await;
    let [first, second] = [&rpc_one, &rpc_two].map(mass_rpc::BitcoinClient::get_block_count);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Height::new(310), Height::new(310)));
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
    let hash = |name: &str| {
        let chain =
            Chain::open(&database(&fork.dir.path().join(name)), fork.farm.spec.clone(), None).unwrap();
        (tip(&chain), chain.store().snapshot().unwrap().state_hash().unwrap())
    };
    assert_eq!(hash("short"), hash("long"));
}
