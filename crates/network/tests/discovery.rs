//! Nodes on loopback that find each other, remember each other, and keep out who did wrong.

mod node;

use std::path::PathBuf;

use mass_network::{Ban, Banned, Command, Config, DiscoveryConfig, Event, Fault, Multiaddr, PeerId, swarm};
use mass_primitives::ChainId;
use node::Node;
use tokio::sync::oneshot;

const CHAIN: ChainId = ChainId::new([1; 32]);

fn config(seed: u8, bootstrap: Vec<Multiaddr>, memory: Option<PathBuf>) -> Config {
    Config {
        chain_id: CHAIN,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid address")],
        seed: [seed; 32],
        peers: Vec::new(),
        max_connections: 16,
        memory,
        proxy: None,
        discovery: Some(DiscoveryConfig { outbound: DiscoveryConfig::OUTBOUND, bootstrap }),
    }
}

async fn start(config: Config) -> Node {
    Node::start(config, |config| swarm::spawn(config).expect("loopback can be listened on")).await
}

async fn kept_out(node: &Node) -> Vec<Ban> {
    let (reply, bans) = oneshot::channel();
    node.tell(Command::Bans(reply)).await;
    bans.await.expect("the network answers")
}

/// Ends the network and waits until it has written what it knows.
async fn stop(mut node: Node) {
    node.tell(Command::Stop).await;
    while node.network.1.recv().await.is_some() {}
}

#[tokio::test]
async fn nodes_that_know_one_address_find_all_others() {
    let first = start(config(1, Vec::new(), None)).await;
    let others = vec![first.address.clone()];
    let mut nodes = Vec::new();
    for seed in 2..=5 {
        nodes.push(start(config(seed, others.clone(), None)).await);
    }
    let all: Vec<PeerId> = nodes.iter().map(|node| node.peer).collect();
    for node in &mut nodes {
        let wanted = all.iter().copied().filter(|peer| *peer != node.peer).collect();
        node.meets(wanted).await;
    }
}

#[tokio::test]
async fn a_node_finds_its_peers_again_without_the_list() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Some(dir.path().join("peers"));
    let bootstrap = start(config(1, Vec::new(), None)).await;
    let mut friend = start(config(2, vec![bootstrap.address.clone()], None)).await;
    let mut node = start(config(3, vec![bootstrap.address.clone()], memory.clone())).await;
    node.meets(vec![friend.peer, bootstrap.peer]).await;
    friend.meets(vec![node.peer]).await;
    let own = node.peer;
    stop(node).await;
    friend.disconnected(own).await;
    stop(bootstrap).await;
    let mut again = start(config(3, Vec::new(), memory)).await;
    again.meets(vec![friend.peer]).await;
}

#[tokio::test]
async fn who_did_wrong_stays_out_after_a_restart_and_until_it_is_forgiven() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Some(dir.path().join("peers"));
    let mut node = start(config(1, Vec::new(), memory.clone())).await;
    let mut other = start(config(2, vec![node.address.clone()], None)).await;
    let bystander = start(config(3, vec![node.address.clone()], None)).await;
    node.meets(vec![other.peer, bystander.peer]).await;
    node.tell(Command::Fault { peer: other.peer, fault: Fault::BadHeader }).await;
    node.disconnected(other.peer).await;
    other.disconnected(node.peer).await;
    let bans = kept_out(&node).await;
    assert_eq!(bans.len(), 1, "the machine that all share is not banned: {bans:?}");
    assert_eq!((bans[0].who, bans[0].reason.as_str()), (Banned::Peer(other.peer), "invalid header"));
    stop(node).await;

    let mut again =
        start(Config { peers: vec![other.address.clone()], ..config(1, Vec::new(), memory) }).await;
    assert_eq!(kept_out(&again).await, bans);
    bystander.tell(Command::Dial(again.address.clone())).await;
    again.meets(vec![bystander.peer]).await;
    let (reply, unbanned) = oneshot::channel();
    again.tell(Command::Unban(Banned::Peer(other.peer), reply)).await;
    assert_eq!(unbanned.await, Ok(true));
    again.meets(vec![other.peer]).await;
}

#[tokio::test]
async fn a_flood_of_connections_leaves_room_for_newcomers_and_for_our_own_choice() {
    let mut node = start(Config { max_connections: 4, ..config(1, Vec::new(), None) }).await;
    let mut crowd = Vec::new();
    for seed in 10..16 {
        let stranger =
            Config { discovery: None, peers: vec![node.address.clone()], ..config(seed, Vec::new(), None) };
        crowd.push(start(stranger).await);
    }
    let met = node
        .until(|event| match event {
            Event::PeerConnected(peer) => Some(peer),
            _ => None,
        })
        .await;
    assert!(crowd.iter().any(|stranger| stranger.peer == met));
    let chosen = start(config(9, Vec::new(), None)).await;
    node.tell(Command::Dial(chosen.address.clone())).await;
    node.meets(vec![chosen.peer]).await;
}
