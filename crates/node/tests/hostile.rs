//! Hostile peers: real nodes on loopback, peers that speak the real protocol and lie. Whatever they do, the node follows
//! the honest chain, what it keeps for them is bounded, and those are banned who did what no honest node does, and
//! nobody else. `docs/threat-model.md` names each. Floods that take minutes run in `cargo xtask slow hostile`.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod liar;
mod nodes;
mod payer;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut, Txid, consensus::serialize, hashes::Hash as _};
use farm::Farm;
use liar::{Liar, News, PATIENCE, silent, status};
use mass_consensus::{
    block::{Block, Decoded},
    evidence::Evidence,
    header::SealedHeader,
    ledger::Ledger as _,
    tree::Expectation,
};
use mass_ledger_utxo::{
    UtxoLedger,
    body::{Body, encode_body},
};
use mass_network::{
    Multiaddr, Topic, peer_id,
    wire::{BLOCKS_MAX, CompactBlock, HEADERS_MAX, Piece, Request, Response, ShortIds},
};
use mass_node::{NodeConfig, NodeHandle, Queries, start_asked};
use mass_primitives::{BlockId, BodyRoot, ChainId, Decode as _, Encode as _, Height, Slot};
use mass_rpc::{BansClient as _, BitcoinClient as _, HttpClient, client};
use nodes::reaches;
use payer::{Chain, Payer};

/// A node under attack and an honest one that it is connected with.
struct Stage {
    farm: Farm,
    payer: Payer,
    victim: NodeHandle,
    rpc: HttpClient,
    queries: Queries<UtxoLedger>,
    honest: NodeHandle,
    source: HttpClient,
    dir: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
        let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
        let (honest, source) = nodes::node(&payer.spec, &dir.path().join("honest"), vec![]).await;
        let config = NodeConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            peers: honest.listen.clone(),
            ..NodeConfig::new(payer.spec.clone(), dir.path().join("victim"))
        };
        let (victim, queries) = start_asked::<UtxoLedger>(config).await.unwrap();
        let rpc = client(&format!("http://{}", victim.rpc)).unwrap();
        let stage = Self { farm, payer, victim, rpc, queries, honest, source, dir };
        stage.follows().await;
        stage
    }

    fn address(&self) -> Vec<Multiaddr> {
        self.victim.listen.clone()
    }

    fn peer(&self) -> mass_network::PeerId {
        let key: [u8; 32] =
            std::fs::read(self.dir.path().join("victim/peer.key")).unwrap().try_into().unwrap();
        peer_id(key)
    }

    async fn liar(&self, seed: u8, lie: liar::Lie) -> Liar {
        Liar::meets(*self.payer.spec.id(), seed, self.address(), lie).await
    }

    /// The victim learns of a block that the honest node makes; how long that takes.
    async fn follows(&self) -> Duration {
        let start = Instant::now();
        let block = nodes::mine(&self.farm, &self.source, &payer::payout(1)).await;
        reaches(&self.rpc, block.id()).await;
        start.elapsed()
    }

    /// Who is banned, and why.
    async fn bans(&self) -> Vec<(String, String)> {
        let bans = self.rpc.list_banned().await.unwrap();
        bans.into_iter().map(|ban| (ban.address, ban.ban_reason)).collect()
    }

    /// Waits until this is all who is banned.
    async fn comes_to_ban(&self, who: &[(&Liar, &str)]) {
        let mut expected: Vec<_> =
            who.iter().map(|(liar, why)| (liar.peer.to_string(), (*why).to_owned())).collect();
        expected.sort();
        let wait = async {
            loop {
                let mut bans = self.bans().await;
                bans.sort();
                if bans == expected {
                    return;
                }
                assert!(bans.iter().all(|ban| expected.contains(ban)), "{bans:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("those are banned who should be");
    }

    /// A chain of blocks of a second farmer that nobody else knows, from the genesis block; all blocks.
    fn branch(&self, farm: &Farm, blocks: usize) -> (Chain, Vec<Vec<u8>>) {
        let mut chain = payer::open(farm, &self.dir.path().join("branch.redb"));
        let blocks = (0..blocks).map(|_| payer::mine(farm, &mut chain, 2)).collect();
        (chain, blocks)
    }

    async fn ends(self) {
        for handle in [self.victim, self.honest] {
            tokio::time::timeout(Duration::from_secs(5), handle.stop()).await.expect("a node ends").unwrap();
        }
    }
}

fn header_of(block: &[u8]) -> SealedHeader {
    *Block::<Decoded>::from_bytes(block).unwrap().sealed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_bans_its_sender_on_every_topic_and_disturbs_nobody() {
    let stage = Stage::new().await;
    let mut liars = Vec::new();
    for (seed, topic) in (1..).zip(Topic::ALL) {
        let mut liar = stage.liar(seed, silent()).await;
        liar.tells(topic, vec![7; 700]).await;
        liar.is_sent_away().await;
        liars.push(liar);
    }
    let why = ["malformed message", "malformed message", "malformed message", "false evidence"];
    stage.comes_to_ban(&liars.iter().zip(why).collect::<Vec<_>>()).await;
    stage.follows().await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_say_nothing_or_garbage_keep_nobody_out() {
    let stage = Stage::new().await;
    let address = stage.victim.listen[0].to_string();
    let port: u16 = address.split('/').nth(4).unwrap().parse().unwrap();
    let mut sockets: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for (number, socket) in sockets.iter_mut().enumerate() {
        match number % 3 {
            // The greeting of the protocol, and never the rest of it.
            0 => socket.write_all(b"\x13/multistream/1.0.0\n\x07/noi").unwrap(),
            1 => socket.write_all(&[0xff; 4096]).unwrap(),
            _ => {}
        }
    }
    // Somebody who comes later is let in, and the node follows.
    let newcomer = stage.liar(9, silent()).await;
    stage.follows().await;
    drop(newcomer);
    // Garbage is hung up on. Who says nothing is as well, after a while that is not waited for here.
    let garbage = &mut sockets[1];
    garbage.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let end = garbage.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    assert_eq!(stage.bans().await, []);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_another_chain_is_sent_away_and_not_banned() {
    let stage = Stage::new().await;
    let mut liar = Liar::new(ChainId::new([9; 32]), [1; 32], stage.address(), silent());
    liar.until(|news| matches!(news, News::Refused).then_some(())).await;
    stage.follows().await;
    assert_eq!((stage.bans().await, stage.rpc.get_connection_count().await.unwrap()), (vec![], 1));
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_another_header_is_its_senders_fault_and_never_the_headers() {
    let stage = Stage::new().await;
    let (_, blocks) = stage.branch(&stage.payer.farm(8), 3);
    let tip = header_of(&blocks[2]).id();
    let mut liar = stage.liar(1, silent()).await;
    let (first, second) =
        (Block::<Decoded>::from_bytes(&blocks[0]), Block::<Decoded>::from_bytes(&blocks[1]));
    let forged = [first.unwrap().sealed().to_bytes(), second.unwrap().content()].concat();
    liar.tells(Topic::Blocks, forged).await;
    liar.is_sent_away().await;
    stage.comes_to_ban(&[(&liar, "body of another header")]).await;
    // Who tells a block as something else does not make it look as if it had been seen.
    let mut other = stage.liar(3, silent()).await;
    other.tells(Topic::Transactions, blocks[2].clone()).await;
    other.is_sent_away().await;
    // Told as it is, the same block is as good as any.
    let teller = stage.liar(2, silent()).await;
    for block in blocks {
        teller.tells(Topic::Blocks, block).await;
    }
    reaches(&stage.rpc, tip).await;
    stage.comes_to_ban(&[(&liar, "body of another header"), (&other, "malformed message")]).await;
    stage.ends().await;
}

/// A block whose body fits its header and pays its maker too much.
fn overpaid(farm: &Farm, chain: &mut Chain) -> Vec<u8> {
    let block = payer::mine(farm, chain, 3);
    let block = Block::<Decoded>::from_bytes(&block).unwrap();
    let body = Body::decode(block.body(), 4_000_000).unwrap();
    let mut coinbase = body.coinbase().clone();
    coinbase.output.insert(0, TxOut { value: Amount::ONE_SAT, script_pubkey: ScriptBuf::new_op_return([]) });
    let body = encode_body(&coinbase, body.payments());
    let root = chain.ledger().commitment(&body).unwrap().root;
    let sealed = farm.seal(block.sealed().header.parent, root, block.sealed().seal.claim);
    Block::new(sealed, vec![], body).to_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_passes_on_the_good_header_of_a_bad_body_is_not_punished() {
    let stage = Stage::new().await;
    let other = stage.payer.farm(8);
    let (mut chain, mut blocks) = stage.branch(&other, 3);
    let bad = overpaid(&other, &mut chain);
    blocks.push(bad.clone());
    let headers: Vec<Vec<u8>> = blocks.iter().map(|block| header_of(block).to_bytes()).collect();
    let (good, tip) = (header_of(&blocks[2]).id(), header_of(&bad).id());
    let lie = Box::new(move |request: &Request| {
        Some(match request {
            Request::Status => status(tip),
            Request::Headers { .. } => Response::Headers(headers.clone()),
            Request::Blocks { ids } => {
                let of = |id: &BlockId| blocks.iter().find(|block| header_of(block).id() == *id).cloned();
                Response::Blocks(ids.iter().map(of).collect())
            }
            _ => return None,
        })
    });
    let relay = stage.liar(1, lie).await;
    // The good part of the branch is followed, the bad block is not, and who passed it on may stay.
    reaches(&stage.rpc, good).await;
    relay.tells(Topic::Blocks, bad).await;
    stage.queries.ask(|_| ()).await.unwrap();
    assert_eq!(stage.bans().await, []);
    assert_eq!(stage.rpc.get_connection_count().await.unwrap(), 2);
    for _ in 0..3 {
        nodes::mine(&stage.farm, &stage.source, &payer::payout(1)).await;
    }
    stage.follows().await;
    assert_eq!((stage.bans().await, stage.rpc.get_connection_count().await.unwrap()), (vec![], 2));
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withheld_bodies_hold_up_nothing() {
    let stage = Stage::new().await;
    let (chain, blocks) = stage.branch(&stage.payer.farm(8), 30);
    let headers: Vec<Vec<u8>> = blocks.iter().map(|block| header_of(block).to_bytes()).collect();
    let tip = payer::tip(&chain);
    let lie = Box::new(move |request: &Request| {
        Some(match request {
            Request::Status => status(tip),
            Request::Headers { .. } => Response::Headers(headers.clone()),
            Request::Blocks { ids } => Response::Blocks(vec![None; ids.len()]),
            // Not even an answer.
            _ => return None,
        })
    });
    let liar = stage.liar(1, lie).await;
    let knows = async {
        while !stage.queries.ask(move |node| node.chain().engine().tree().contains(&tip)).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, knows).await.expect("the headers come");
    for _ in 0..3 {
        stage.follows().await;
    }
    assert!(liar.asked() > 0);
    assert_eq!(stage.bans().await, []);
    stage.ends().await;
}

/// Headers of one farmer, all of one height, each of a slot of its own: no double seal, and as cheap as any can be.
fn siblings(farm: &Farm, chain: &Chain, count: usize) -> Vec<Vec<u8>> {
    let genesis = *chain.engine().tree().genesis();
    let Expectation { height, mut after, seed, difficulty } =
        chain.engine().tree().expectation(&genesis, Slot::ZERO).unwrap();
    let header = |number: usize| {
        let claim = farm.win(height, after, seed, difficulty);
        after = claim.slot;
        let mut root = [0; 32];
        root[..8].copy_from_slice(&number.to_le_bytes());
        farm.seal(genesis, BodyRoot::new(root), claim).to_bytes()
    };
    (0..count).map(header).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_headers_of_least_difficulty_is_outrun() {
    let stage = Stage::new().await;
    let other = stage.payer.farm(8);
    let (chain, _) = stage.branch(&other, 0);
    let headers = siblings(&other, &chain, HEADERS_MAX);
    let (last, count) = (header_of_bytes(headers.last().unwrap()), headers.len());
    let lie = Box::new(move |request: &Request| {
        Some(match request {
            Request::Status => status(BlockId::new([9; 32])),
            Request::Headers { .. } => Response::Headers(headers.clone()),
            Request::Blocks { ids } => Response::Blocks(vec![None; ids.len()]),
            _ => return None,
        })
    });
    let _liar = stage.liar(1, lie).await;
    let knows = async {
        while !stage.queries.ask(move |node| node.chain().engine().tree().contains(&last)).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, knows).await.expect("the headers come");
    let beside = stage.queries.ask(|node| node.chain().engine().tree().beside()).await.unwrap();
    assert!((count..=count + 8).contains(&beside), "{beside}");
    stage.follows().await;
    assert_eq!(stage.bans().await, [], "each of these headers is good");
    stage.ends().await;
}

fn header_of_bytes(bytes: &[u8]) -> BlockId {
    SealedHeader::from_bytes(bytes).unwrap().id()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_out_of_their_place_ban_their_sender() {
    let stage = Stage::new().await;
    let other = stage.payer.farm(8);
    let (chain, _) = stage.branch(&other, 0);
    let genesis = *chain.engine().tree().genesis();
    let expected = chain.engine().tree().expectation(&genesis, Slot::ZERO).unwrap();
    let claim = other.win(Height::new(5), expected.after, expected.seed, expected.difficulty);
    let misfit = other.seal(genesis, BodyRoot::new([1; 32]), claim).to_bytes();
    let lie = Box::new(move |request: &Request| {
        Some(match request {
            Request::Status => status(BlockId::new([9; 32])),
            Request::Headers { .. } => Response::Headers(vec![misfit.clone()]),
            _ => return None,
        })
    });
    let mut liar = stage.liar(1, lie).await;
    liar.is_sent_away().await;
    stage.comes_to_ban(&[(&liar, "invalid header")]).await;
    stage.follows().await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inventory_and_orphans_without_end_are_bounded_and_nobodys_fault() {
    let stage = Stage::new().await;
    let (mut asker, teller) = (stage.liar(1, silent()).await, stage.liar(2, silent()).await);
    let peer = stage.peer();
    // Questions for blocks and pieces that nobody has.
    for number in 0..400u32 {
        let mut id = [9; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        let id = BlockId::new(id);
        let request = match number % 2 {
            0 => Request::Blocks { ids: vec![id; BLOCKS_MAX] },
            _ => Request::Pieces { id, positions: (0..4096).collect() },
        };
        asker.asks(peer, request).await;
        // A good transaction, but for a coin that does not exist.
        let coin = OutPoint { txid: Txid::from_byte_array(*id.as_bytes()), vout: number };
        teller.tells(Topic::Transactions, serialize(&stage.payer.pay(coin, 1_000_000, 1_000))).await;
    }
    // Blocks of which no part is known here, told again and again.
    let (_, blocks) = stage.branch(&stage.payer.farm(8), 2);
    let header = header_of(&blocks[1]);
    for nonce in 0..20 {
        let ids = ShortIds::new(&header.id(), nonce);
        let bytes = header.to_bytes();
        let short = (0..5_000u32).map(|number| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&number.to_le_bytes());
            Piece::Short(ids.of(&hash))
        });
        let told = CompactBlock::new(nonce, std::iter::once(Piece::Inline(&bytes)).chain(short)).unwrap();
        teller.tells(Topic::Compact, told.to_bytes()).await;
    }
    assert!(stage.follows().await < PATIENCE / 2);
    let orphans = async {
        while stage.queries.ask(|node| node.orphans()).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, orphans).await.expect("orphans are kept");
    assert!(stage.queries.ask(|node| node.orphans()).await.unwrap() <= 25, "of one peer");
    stage.follows().await;
    assert_eq!(stage.bans().await, []);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_evidence_bans_its_teller_and_true_evidence_told_without_end_changes_nothing() {
    let stage = Stage::new().await;
    let other = stage.payer.farm(8);
    let (chain, _) = stage.branch(&other, 0);
    let genesis = *chain.engine().tree().genesis();
    let expected = chain.engine().tree().expectation(&genesis, Slot::ZERO).unwrap();
    let claim = other.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let seal = |root: u8| other.seal(genesis, BodyRoot::new([root; 32]), claim);
    let mut forged = Evidence::new(seal(1), seal(2)).to_bytes();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut liar = stage.liar(1, silent()).await;
    liar.tells(Topic::Evidence, forged).await;
    liar.is_sent_away().await;
    stage.comes_to_ban(&[(&liar, "false evidence")]).await;
    let teller = stage.liar(2, silent()).await;
    for root in 2..40 {
        teller.tells(Topic::Evidence, Evidence::new(seal(1), seal(root)).to_bytes()).await;
    }
    stage.follows().await;
    let kept = stage.queries.ask(|node| node.chain().engine().evidence_for_next().len()).await.unwrap();
    assert!(kept <= 1, "one piece for a key");
    stage.comes_to_ban(&[(&liar, "false evidence")]).await;
    stage.ends().await;
}

/// Megabytes of memory that this process holds, attackers and all.
fn memory() -> u64 {
    mass_rpc::memory_bytes().unwrap() >> 20
}

/// What the two hundred need to know of whom they attack.
#[derive(Clone)]
struct Target {
    chain_id: ChainId,
    address: Vec<Multiaddr>,
    peer: mass_network::PeerId,
    payer: Arc<Payer>,
    headers: Arc<Vec<Vec<u8>>>,
    until: Instant,
}

/// What one of two hundred does, by its number, whenever it is let in: floods of headers and of questions, orphans, blocks of
/// nothing, evidence, or silence.
async fn floods(number: u8, target: Target) {
    let told = target.headers.clone();
    let lie = Box::new(move |request: &Request| match request {
        Request::Status => Some(status(BlockId::new([number; 32]))),
        Request::Headers { .. } => Some(Response::Headers(told.to_vec())),
        Request::Blocks { ids } if number.is_multiple_of(2) => Some(Response::Blocks(vec![None; ids.len()])),
        _ => None,
    });
    let mut liar = Liar::new(target.chain_id, [number; 32], target.address.clone(), lie);
    let mut turn = 0u64;
    while Instant::now() < target.until {
        if liar.is_in() {
            turn += 1;
            flood(&mut liar, number, turn, &target).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn flood(liar: &mut Liar, number: u8, turn: u64, target: &Target) {
    let mut id = [number; 32];
    id[..8].copy_from_slice(&turn.to_le_bytes());
    let header = &target.headers[turn as usize % target.headers.len()];
    match number % 5 {
        0 => drop(liar.asks(target.peer, Request::Blocks { ids: vec![BlockId::new(id); BLOCKS_MAX] }).await),
        1 => {
            let coin = OutPoint { txid: Txid::from_byte_array(id), vout: 0 };
            liar.tells(Topic::Transactions, serialize(&target.payer.pay(coin, 1_000_000, 1_000))).await;
        }
        2 => {
            let ids = ShortIds::new(&header_of_bytes(header), turn);
            let short = (0..1_000).map(|_| Piece::Short(ids.of(&id)));
            let pieces = std::iter::once(Piece::Inline(header)).chain(short);
            liar.tells(Topic::Compact, CompactBlock::new(turn, pieces).unwrap().to_bytes()).await;
        }
        3 => {
            let other = &target.headers[(turn as usize + 1) % target.headers.len()];
            let [first, second] = [header, other].map(|bytes| SealedHeader::from_bytes(bytes).unwrap());
            liar.tells(Topic::Evidence, Evidence::new(first, second).to_bytes()).await;
        }
        _ => {}
    }
}

/// The process holds the attackers as well, so that the bound is far above what the node has. They have a thread of their own:
/// what is tested is the node, not how it shares a thread with whom it is attacked by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: cargo xtask slow hostile"]
async fn two_hundred_connections_that_flood_leave_a_node_within_its_memory_and_on_the_honest_chain() {
    let stage = Stage::new().await;
    let other = stage.payer.farm(8);
    let (chain, _) = stage.branch(&other, 0);
    let before = memory();
    let target = Target {
        chain_id: *stage.payer.spec.id(),
        address: stage.address(),
        peer: stage.peer(),
        payer: Arc::new(Payer::new(&stage.payer.spec)),
        headers: Arc::new(siblings(&other, &chain, HEADERS_MAX)),
        until: Instant::now() + Duration::from_secs(120),
    };
    let attackers =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let floods: Vec<_> = (0..200).map(|number| attackers.spawn(floods(number, target.clone()))).collect();
    let (mut most, mut slowest, mut blocks, mut connections) = (0, Duration::ZERO, 0, 0);
    while Instant::now() < target.until {
        slowest = slowest.max(stage.follows().await);
        blocks += 1;
        connections = connections.max(stage.rpc.get_connection_count().await.unwrap());
        most = most.max(memory());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for flood in floods {
        flood.await.unwrap();
    }
    attackers.shutdown_background();
    let bans = stage.bans().await;
    let (beside, orphans) =
        stage.queries.ask(|node| (node.chain().engine().tree().beside(), node.orphans())).await.unwrap();
    eprintln!(
        "{connections} connections at the most; {blocks} blocks followed, the slowest after {slowest:?}; {before} MB before, {most} \
         MB at the most, node and 200 attackers together; {beside} headers beside the chain, {orphans} orphans, {} bans",
        bans.len()
    );
    assert!((32..=68).contains(&connections), "{connections}");
    assert!(beside <= mass_consensus::engine::BESIDE_MAX && orphans <= 100);
    assert!(most < 1_000, "{most} MB");
    // Evidence that shows nothing is what forty of them tell; all else was good by itself, if of no use.
    let tellers: Vec<String> =
        (0..200).filter(|number| number % 5 == 3).map(|n| peer_id([n; 32]).to_string()).collect();
    assert!(!bans.is_empty());
    for (who, why) in bans {
        assert!(
            why == "false evidence" && tellers.contains(&who) || why == "flood of requests",
            "{who}: {why}"
        );
    }
    stage.ends().await;
}
