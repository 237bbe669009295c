//! Three real nodes over loopback: they follow, part and meet again, and one comes back from its disk.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;

use std::{io::Write as _, time::Duration};

use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash};
use farm::Farm;
use mass_consensus::{header::SealedHeader, spec::ChainSpec};
use mass_ledger_utxo::{UtxoLedger, address};
use mass_network::{
    Command, Config, Event, Topic, swarm,
    wire::{HEADERS_MAX, Request, Response, StateResponse},
};
use mass_primitives::{BlockId, ChainWeight, Encode, Height};
use mass_rpc::{BansClient as _, BitcoinClient, HttpClient, MassClient};
use nodes::{node, reaches};

/// Farms one block.
async fn mine(farm: &Farm, node: &HttpClient) -> BlockId {
    mine_sealed(farm, node).await.id()
}

async fn mine_sealed(farm: &Farm, node: &HttpClient) -> SealedHeader {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]));
    nodes::mine(farm, node, &address::encode("dms", &script).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree_after_partition_and_restart() {
    // The dev genesis lies in the past, so that the slots of the first blocks do too.
    // Two keys: one farm on both sides of the partition would make the very same block there.
    let (farm, other) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    let (three, rpc_three) = node(&farm.spec, &path("three"), one.listen.clone()).await;
    let mut tip = mine(&farm, &rpc_one).await;
    for _ in 0..3 {
        tip = mine(&farm, &rpc_one).await;
    }
    reaches(&rpc_two, tip).await;
    reaches(&rpc_three, tip).await;

    // Three is cut off and makes one block; the others make three.
    rpc_three.set_network_active(false).await.unwrap();
    let lost = mine(&other, &rpc_three).await;
    for _ in 0..3 {
        tip = mine(&farm, &rpc_two).await;
    }
    reaches(&rpc_one, tip).await;
    rpc_three.set_network_active(true).await.unwrap();
    reaches(&rpc_three, tip).await;
    assert_eq!(rpc_three.status().await.unwrap().reorgs, 1);
    let seal = rpc_three.last_seal(other.secret.public()).await.unwrap().unwrap();
    assert_eq!((seal.id, seal.height), (lost, Height::new(5)), "a branch that was left counts");

    // Who knows the work of now is told of other work: of the next slot, or of the next block.
    let key = Some(farm.secret.public());
    let known = rpc_one.work(key, None).await.unwrap();
    assert_eq!(known.sealed, rpc_one.last_seal(farm.secret.public()).await.unwrap());
    assert_eq!((known.sealed.unwrap().id, known.tip), (tip, tip));
    let other = rpc_one.work(key, Some(known.clone())).await.unwrap();
    assert!(other != known && other.now > known.now, "{other:?}");

    // Two stops, misses a block, and catches up from its own directory.
    two.stop().await.unwrap();
    tip = mine(&farm, &rpc_one).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    reaches(&rpc_two, tip).await;
    let info = rpc_two.get_block(tip, None).await.unwrap();
    assert_eq!(info["height"], 8);
    let seal = rpc_two.last_seal(farm.secret.public()).await.unwrap().unwrap();
    assert_eq!(
        (seal.id, serde_json::json!(seal.slot)),
        (tip, rpc_two.get_block_header(tip, None).await.unwrap()["slot"].clone())
    );
    assert!(rpc_two.get_block(BlockId::ZERO, None).await.is_err());
    for handle in [one, two, three] {
        handle.stop().await.unwrap();
    }
}

/// A fork longer than one answer of headers: the continuation of a sync must start at the last header that
/// came, for the best one that is known stays on the own side until the other outweighs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_longer_than_an_answer_of_headers_heals() {
    let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let mut chains = [("long", &farm, 560), ("short", &other, 550)].map(|(name, farm, blocks)| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let mut chain =
            mass_node::Chain::<UtxoLedger>::open(&path.join("chain.redb"), farm.spec.clone(), None).unwrap();
        chain.tick(mass_primitives::Slot::new(1 << 30), 2_000_000_000).unwrap();
        for _ in 0..blocks {
            let expected = chain.expectation(mass_primitives::Slot::ZERO).unwrap();
            let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
            let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]));
            let header = chain.prepare(claim, &address::encode("dms", &script).unwrap()).unwrap();
            let seal = farm.sign(header, claim).seal;
            chain.submit(&header.id(), seal.vrf_proof, seal.signature, 2_000_000_000).unwrap();
        }
        (path, *chain.engine().tip())
    });
    let [(long, tip), (short, _)] = &mut chains;
    let (one, _rpc) = node(&farm.spec, long, vec![]).await;
    let (two, rpc_two) = node(&farm.spec, short, one.listen.clone()).await;
    reaches(&rpc_two, *tip).await;
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
}

/// A node ends within seconds, whatever a client does that never finishes its request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_does_not_keep_a_node_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&ChainSpec::built_in("dev").unwrap(), dir.path(), vec![]).await;
    let mut hanging = Vec::new();
    for kind in ["", "content-type: application/json\r\n"] {
        let mut client = std::net::TcpStream::connect(handle.rpc).unwrap();
        let login = mass_rpc::Login::Port(handle.rpc.port()).header().unwrap();
        let login = login.to_str().unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: localhost:1\r\nauthorization: {login}\r\n{kind}content-length: 99\r\n\r\n{{"
        );
        client.write_all(request.as_bytes()).unwrap();
        hanging.push(client);
    }
    rpc.status().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), handle.stop()).await;
    ended.expect("the node ends").unwrap();
}

/// A peer that lies: garbage on both topics, a tip that nobody knows, no headers, bad ones, the same ones without
/// end, and never a block. It listens nowhere and comes back whenever it is sent away.
async fn lie(config: Config, good: Vec<u8>) {
    let (commands, mut events) = swarm::spawn(config).unwrap();
    let (mut turn, mut bad) = (0usize, good.clone());
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    while let Some(event) = events.recv().await {
        let command = match event {
            Event::PeerConnected(_) => {
                for bytes in [vec![7; 100], bad.clone()] {
                    let _ = commands.send(Command::Publish { topic: Topic::Blocks, bytes }).await;
                }
                Command::Publish { topic: Topic::Transactions, bytes: vec![7; 100] }
            }
            Event::Request { request, token, .. } => {
                turn += 1;
                let tip = BlockId::new([9; 32]);
                let response = match request {
                    Request::Status => Response::Status {
                        tip,
                        height: Height::new(9),
                        weight: ChainWeight::ZERO,
                        time: 0,
                        blocks_from: Height::ZERO,
                    },
                    Request::Headers { .. } => Response::Headers(match turn % 3 {
                        0 => vec![],
                        1 => vec![vec![7; 700]; 3],
                        _ => vec![good.clone(); HEADERS_MAX],
                    }),
                    Request::Blocks { ids } => Response::Blocks(vec![None; ids.len()]),
                    Request::Pieces { positions, .. } => Response::Pieces(vec![vec![7; 9]; positions.len()]),
                    Request::State(_) => Response::State(StateResponse::Sums(vec![7; 9])),
                };
                Command::Respond { token, response }
            }
            _ => continue,
        };
        if commands.send(command).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_lie_hold_up_nothing() {
    let (farm, dir) = (Farm::easy(8, [7; 32]), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), vec![]).await;
    let first = mine_sealed(&farm, &rpc_one).await;
    let (good, mut tip) = (first.to_bytes(), first.id());
    for seed in 1..4 {
        let config = Config {
            chain_id: *farm.spec.id(),
            listen: vec![],
            seed: [seed; 32],
            peers: two.listen.clone(),
            max_connections: 8,
            memory: None,
            proxy: None,
            discovery: None,
        };
        tokio::spawn(lie(config, good.clone()));
    }
    let met = async {
        while rpc_two.get_connection_count().await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), met).await.expect("the liars come");
    for _ in 0..70 {
        tip = mine(&farm, &rpc_one).await;
    }
    rpc_two.add_node(one.listen[0].to_string(), "add".to_owned()).await.unwrap();
    reaches(&rpc_two, tip).await;
    tip = mine(&farm, &rpc_one).await;
    reaches(&rpc_two, tip).await;
    let liars = (1..4).map(|seed| mass_network::peer_id([seed; 32]).to_string());
    let honest = one.listen[0].to_string();
    let banned = async {
        loop {
            let bans = rpc_two.list_banned().await.unwrap();
            if !bans.is_empty() {
                return bans;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let bans = tokio::time::timeout(Duration::from_secs(30), banned).await.expect("liars are banned");
    let liars: Vec<String> = liars.collect();
    assert!(
        bans.iter().all(|ban| liars.contains(&ban.address) && !honest.contains(&ban.address)),
        "{bans:?}"
    );
    for handle in [one, two] {
        tokio::time::timeout(Duration::from_secs(5), handle.stop()).await.expect("a node ends").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bans_are_set_and_ended_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&ChainSpec::built_in("dev").unwrap(), dir.path(), vec![]).await;
    let (address, peer) = ("192.0.2.1", mass_network::peer_id([1; 32]).to_string());
    rpc.set_ban(address.to_owned(), "add".to_owned(), Some(60), None).await.unwrap();
    rpc.set_ban(peer.clone(), "add".to_owned(), None, None).await.unwrap();
    let bans = rpc.list_banned().await.unwrap();
    let shown = |ban: &mass_rpc::Banned| (ban.address.clone(), ban.ban_duration, ban.ban_reason.clone());
    let by_hand = |address: &str, seconds| (address.to_owned(), seconds, "by hand".to_owned());
    let mut found: Vec<_> = bans.iter().map(shown).collect();
    found.sort();
    let mut expected = [by_hand(&peer, 24 * 3600), by_hand(address, 60)];
    expected.sort();
    assert_eq!(found, expected);
    rpc.set_ban(address.to_owned(), "remove".to_owned(), None, None).await.unwrap();
    for (subnet, command, absolute) in [
        (address, "remove", None),
        ("nobody", "add", None),
        (address, "keep", None),
        (address, "add", Some(true)),
    ] {
        let refused = rpc.set_ban(subnet.to_owned(), command.to_owned(), Some(1), absolute).await;
        assert!(refused.is_err(), "{subnet} {command}");
    }
    rpc.clear_banned().await.unwrap();
    assert_eq!(rpc.list_banned().await.unwrap(), []);
    handle.stop().await.unwrap();
}
