//! Blocks told by what peers lack: two nodes without sockets, between whom a test carries the messages, and may lie; and two
//! over real ones.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::time::{Duration, Instant};

use bitcoin::{
    Transaction,
    consensus::{encode::serialize_hex, serialize},
};
use farm::Farm;
use mass_consensus::block::{Block, Decoded};
use mass_ledger_utxo::UtxoLedger;
use mass_network::{
    Command, Event, Fault, GossipToken, PeerId, ResponseToken, Topic, Verdict, message_id, peer_id,
    wire::{CompactBlock, Request, Response},
};
use mass_node::{CompactTally, Moment, Node, NodeConfig, start_asked};
use mass_primitives::{BlockId, Decode as _, Encode as _, Slot};
use mass_rpc::{BitcoinClient as _, HttpClient, PoolClient as _, client};
use nodes::reaches;
use payer::{NOW, Payer};

/// A node, and those whom it knows by number.
struct Side {
    node: Node<UtxoLedger>,
    start: Instant,
    after: Duration,
    _dir: tempfile::TempDir,
}

fn peer(number: u8) -> PeerId {
    peer_id([number; 32])
}

impl Side {
    fn new(payer: &Payer, peers: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut chain =
            mass_node::Chain::open(&dir.path().join("chain.redb"), payer.spec.clone(), None).unwrap();
        chain.tick(Slot::new(1 << 30), NOW).unwrap();
        let start = Instant::now();
        let node = Node::new(chain, Moment { unix: NOW, instant: start });
        let mut side = Self { node, start, after: Duration::ZERO, _dir: dir };
        for number in peers {
            side.event(Event::PeerConnected(peer(*number)));
        }
        side
    }

    fn now(&self) -> Moment {
        Moment { unix: NOW, instant: self.start + self.after }
    }

    /// What the node wants done at once when something happens.
    fn at_once(&mut self, event: Event) -> Vec<Command> {
        let now = self.now();
        self.node.event(event, now).unwrap();
        self.node.take_commands()
    }

    /// What the node wants done after something happened, and what follows from it.
    fn event(&mut self, event: Event) -> Vec<Command> {
        let (now, mut commands) = (self.now(), self.at_once(event));
        while self.node.has_work() {
            self.node.proceed(now).unwrap();
            commands.extend(self.node.take_commands());
        }
        commands
    }

    fn hears(&mut self, from: u8, bytes: &[u8]) -> Vec<Command> {
        let (token, bytes) = (GossipToken::new(message_id(bytes), peer(from)), bytes.to_vec());
        self.event(Event::Gossip { topic: Topic::Compact, from: peer(from), token, bytes })
    }

    fn answered(&mut self, from: u8, id: u64, response: Response) -> Vec<Command> {
        self.event(Event::Response { id, peer: peer(from), response })
    }

    /// The answer to a request.
    fn answers(&mut self, request: Request) -> Response {
        let commands = self.at_once(Event::Request { peer: peer(9), request, token: ResponseToken::new(1) });
        let answer = commands.into_iter().find_map(|command| match command {
            Command::Respond { response, .. } => Some(response),
            _ => None,
        });
        answer.unwrap()
    }

    fn knows(&mut self, transactions: &[Transaction]) {
        let now = self.now();
        for tx in transactions {
            self.node.pay(serialize(tx), now).unwrap();
        }
        drop(self.node.take_commands());
    }

    fn tip(&self) -> BlockId {
        *self.node.chain().engine().tip()
    }

    /// Farms a block; what peers are told of it.
    fn mine(&mut self, farm: &Farm) -> (BlockId, Topic, Vec<u8>) {
        let chain = self.node.chain_mut();
        let expected = chain.expectation(Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let header = chain.prepare(claim, &payer::payout(1)).unwrap();
        let seal = farm.sign(header, claim).seal;
        let now = self.now();
        self.node.submit(&header.id(), seal.vrf_proof, seal.signature, now).unwrap();
        let told = self.node.take_commands().into_iter().find_map(|command| match command {
            Command::Publish { topic: topic @ (Topic::Blocks | Topic::Compact), bytes } => {
                Some((topic, bytes))
            }
            _ => None,
        });
        let (topic, bytes) = told.unwrap();
        (header.id(), topic, bytes)
    }
}

fn requests(commands: &[Command]) -> Vec<(u64, PeerId, Request)> {
    let request = |command: &Command| match command {
        Command::Request { peer, request, id } => Some((*id, *peer, request.clone())),
        _ => None,
    };
    commands.iter().filter_map(request).collect()
}

fn verdict(commands: &[Command]) -> Option<Verdict> {
    commands.iter().find_map(|command| match command {
        Command::Report { verdict, .. } => Some(*verdict),
        _ => None,
    })
}

fn faults(commands: &[Command]) -> Vec<(PeerId, Fault)> {
    let fault = |command: &Command| match command {
        Command::Fault { peer, fault } => Some((*peer, *fault)),
        _ => None,
    };
    commands.iter().filter_map(fault).collect()
}

/// A payer, his farm, and payments one on the other.
fn world() -> (Payer, Farm, Vec<Transaction>) {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let farm = payer.farm(7);
    let dir = tempfile::tempdir().unwrap();
    let chain = payer::open(&farm, &dir.path().join("chain.redb"));
    let (mut coin, mut amount, mut payments) = (Payer::coin(&chain), 1_000_000, Vec::new());
    for _ in 0..12 {
        let tx = payer.pay(coin, amount, 1_000);
        (coin, amount) = (payer::coin_of(&tx), amount - 1_000);
        payments.push(tx);
    }
    (payer, farm, payments)
}

#[test]
fn a_block_of_known_transactions_needs_no_question_and_a_block_without_any_is_told_whole() {
    let (payer, farm, payments) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1]));
    let (empty, topic, whole) = one.mine(&farm);
    assert_eq!(topic, Topic::Blocks);
    let token = GossipToken::new(message_id(&whole), peer(1));
    two.event(Event::Gossip { topic, from: peer(1), token, bytes: whole });
    assert_eq!(two.tip(), empty);
    one.knows(&payments);
    two.knows(&payments);
    let (id, topic, told) = one.mine(&farm);
    assert_eq!(topic, Topic::Compact);
    let commands = two.hears(1, &told);
    assert_eq!((two.tip(), verdict(&commands), requests(&commands)), (id, Some(Verdict::Accept), vec![]));
    let whole = one.node.chain().block_bytes(&id).unwrap().unwrap();
    assert!(told.len() + payments.len() * 180 < whole.len(), "{} of {}", told.len(), whole.len());
    assert_eq!(two.node.chain().block_bytes(&id).unwrap(), Some(whole));
    let again = two.hears(1, &told);
    assert_eq!((verdict(&again), requests(&again)), (Some(Verdict::Ignore), vec![]));
}

#[test]
fn a_block_is_passed_on_before_it_is_executed() {
    let (payer, farm, transactions) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1]));
    one.knows(&transactions);
    two.knows(&transactions);
    let (before, (id, topic, bytes)) = (two.tip(), one.mine(&farm));
    let (token, now) = (GossipToken::new(message_id(&bytes), peer(1)), two.now());
    let commands = two.at_once(Event::Gossip { topic, from: peer(1), token, bytes });
    assert_eq!(verdict(&commands), Some(Verdict::Accept));
    assert_eq!((two.tip(), two.node.has_work()), (before, true));
    let told = two.answers(Request::Blocks { ids: vec![id] });
    let whole = one.node.chain().block_bytes(&id).unwrap();
    assert_eq!(told, Response::Blocks(vec![whole]), "and who asks for it gets it");
    assert_eq!((two.tip(), two.node.has_work()), (before, true));
    two.node.proceed(now).unwrap();
    assert_eq!((two.tip(), two.node.has_work()), (id, false));
}

#[test]
fn who_lacks_some_asks_the_teller_for_those_alone() {
    let (payer, farm, payments) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1]));
    one.knows(&payments);
    two.knows(&payments[..9]);
    let (id, _, told) = one.mine(&farm);
    let commands = two.hears(1, &told);
    let asked = requests(&commands);
    let [(number, to, request @ Request::Pieces { positions, .. })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((*to, positions.as_slice(), verdict(&commands)), (peer(1), &[10, 11, 12][..], None));
    let answer = one.answers(request.clone());
    let commands = two.answered(1, *number, answer);
    assert_eq!((two.tip(), verdict(&commands), faults(&commands)), (id, Some(Verdict::Accept), vec![]));
}

/// What does not fit together is nobody's fault; a whole block that does not fit its header is its sender's.
#[test]
fn pieces_that_do_not_fit_punish_nobody_and_a_whole_block_that_does_not_fit_its_sender() {
    let (payer, farm, payments) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1, 2]));
    one.knows(&payments);
    two.knows(&payments[..11]);
    let (id, _, told) = one.mine(&farm);
    let asked = requests(&two.hears(2, &told));
    let wrong = Response::Pieces(vec![serialize(&payments[0])]);
    let commands = two.answered(2, asked[0].0, wrong);
    assert_eq!((faults(&commands), verdict(&commands)), (vec![], Some(Verdict::Ignore)));
    let asked = requests(&commands);
    let [(number, to, Request::Blocks { ids })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((*to, ids.as_slice()), (peer(2), &[id][..]));
    let mut block = one.node.chain().block_bytes(&id).unwrap().unwrap();
    *block.last_mut().unwrap() ^= 1;
    let commands = two.answered(2, *number, Response::Blocks(vec![Some(block)]));
    assert_eq!(faults(&commands), [(peer(2), Fault::Misfit)]);
    // The header is as good as before.
    let asked = requests(&two.hears(1, &told));
    let answer = one.answers(asked[0].2.clone());
    let commands = two.answered(1, asked[0].0, answer);
    assert_eq!((two.tip(), verdict(&commands)), (id, Some(Verdict::Accept)));
}

#[test]
fn who_holds_pieces_back_keeps_nobody_from_telling_the_same_block() {
    let (payer, farm, payments) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1, 2, 3, 4, 5]));
    one.knows(&payments);
    let (id, _, told) = one.mine(&farm);
    assert_eq!(requests(&two.hears(2, &told)).len(), 1);
    let asked = requests(&two.hears(1, &told));
    assert_eq!(asked[0].1, peer(1));
    assert_eq!(requests(&two.hears(3, &told)).len(), 1);
    assert_eq!(verdict(&two.hears(4, &told)), Some(Verdict::Ignore), "three are enough");
    // All hold back: after a while anybody is asked for the whole.
    two.after += Duration::from_secs(4);
    let now = two.now();
    two.node.tick(now).unwrap();
    let asked = requests(&two.node.take_commands());
    let wanted = asked.iter().find(|(_, _, request)| *request == Request::Blocks { ids: vec![id] });
    let (number, to, _) = wanted.expect("the block is asked for").clone();
    let block = one.answers(Request::Blocks { ids: vec![id] });
    two.event(Event::Response { id: number, peer: to, response: block });
    assert_eq!(two.tip(), id);
}

#[test]
fn what_is_no_compact_block_or_has_a_bad_header_is_its_senders_fault() {
    let (payer, farm, payments) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1]));
    one.knows(&payments);
    let (id, _, told) = one.mine(&farm);
    assert_eq!(faults(&two.hears(1, &told[..told.len() - 1])), [(peer(1), Fault::Malformed)]);
    let mut bad = told.clone();
    let header = CompactBlock::from_bytes(&told).unwrap().first().len();
    // The one piece that is not short comes last. Its seal is behind the header of 80 bytes.
    let at = told.len() - header;
    bad[at + 300] ^= 1;
    assert_eq!(faults(&two.hears(1, &bad)), [(peer(1), Fault::BadHeader)]);
    two.knows(&payments);
    two.hears(1, &told);
    assert_eq!(two.tip(), id, "neither costs the header anything");
    let positions = vec![60_000];
    assert_eq!(one.answers(Request::Pieces { id, positions }), Response::Pieces(vec![]));
    assert_eq!(
        one.answers(Request::Pieces { id: BlockId::ZERO, positions: vec![0] }),
        Response::Pieces(vec![])
    );
}

#[test]
fn blocks_that_were_not_asked_for_are_their_senders_fault() {
    let (payer, farm, _) = world();
    let (mut one, mut two) = (Side::new(&payer, &[]), Side::new(&payer, &[1]));
    let [(first, _, block), (_, _, other)] = [(); 2].map(|()| one.mine(&farm));
    let header = Block::<Decoded>::from_bytes(&block).unwrap().sealed().to_bytes();
    let asked = requests(&two.answered(1, 0, Response::Headers(vec![header])));
    assert_eq!(asked[0].2, Request::Blocks { ids: vec![first] });
    let commands = two.answered(1, asked[0].0, Response::Blocks(vec![Some(other)]));
    assert_eq!(faults(&commands), [(peer(1), Fault::Unasked)]);
}

/// Two real nodes over loopback. All of one block waits in both pools; of the next, one node has another payment of the same
/// coin, which keeps half of the block out of its pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_travel_by_what_is_lacking_over_real_sockets() {
    let (payer, farm, payments) = world();
    let dir = tempfile::tempdir().unwrap();
    let (one, rpc_one) = nodes::node(&payer.spec, &dir.path().join("one"), vec![]).await;
    let config = NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: one.listen.clone(),
        ..NodeConfig::new(payer.spec.clone(), dir.path().join("two"))
    };
    let (two, queries) = start_asked::<UtxoLedger>(config).await.unwrap();
    let rpc_two = client(&format!("http://{}", two.rpc)).unwrap();
    let pay = async |transactions: &[Transaction]| {
        for tx in transactions {
            rpc_one.send_raw_transaction(serialize_hex(tx), None, None).await.unwrap();
        }
    };
    let tally = async || queries.ask(|node| node.compact_tally()).await.unwrap();
    // What an empty block cannot be told by: it comes whole, and both are connected then.
    reaches(&rpc_two, nodes::mine(&farm, &rpc_one, &payer::payout(1)).await.id()).await;
    assert_eq!(tally().await, CompactTally::default());

    pay(&payments[..6]).await;
    pool_has(&rpc_two, 6).await;
    reaches(&rpc_two, nodes::mine(&farm, &rpc_one, &payer::payout(1)).await.id()).await;
    assert_eq!(tally().await, CompactTally { pool: 1, pieces: 0, whole: 0 });

    pay(&payments[6..9]).await;
    pool_has(&rpc_two, 3).await;
    rpc_two.set_network_active(false).await.unwrap();
    connected(&rpc_one, 0).await;
    pay(&payments[9..]).await;
    // It pays more than what it excludes, and less than that and what stands on it, so that each pool keeps its own.
    let rival = payer.pay(payer::coin_of(&payments[8]), 991_000, 2_000);
    rpc_two.send_raw_transaction(serialize_hex(&rival), None, None).await.unwrap();
    rpc_two.set_network_active(true).await.unwrap();
    connected(&rpc_one, 1).await;
    connected(&rpc_two, 1).await;
    let block = nodes::mine(&farm, &rpc_one, &payer::payout(1)).await.id();
    reaches(&rpc_two, block).await;
    assert_eq!(tally().await, CompactTally { pool: 1, pieces: 1, whole: 0 });
    let told = rpc_two.get_block(block, None).await.unwrap();
    assert_eq!(told["tx"].as_array().unwrap().len(), 1 + 6, "{told}");
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
}

async fn waits<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes to be so");
}

async fn pool_has(node: &HttpClient, transactions: usize) {
    waits(|| async {
        node.get_raw_mempool(None, None).await.unwrap().as_array().unwrap().len() == transactions
    })
    .await;
}

async fn connected(node: &HttpClient, peers: u32) {
    waits(|| async { node.get_connection_count().await.unwrap() == peers }).await;
}
