//! One set of scenarios for both networks, TCP on loopback and the memory twin, and what only TCP has:
//! strangers that speak no protocol of ours.

mod node;

use mass_network::{
    Command, Config, Event, PeerId, RequestFailure, Topic, Verdict,
    memory::Hub,
    swarm,
    wire::{BLOCK_BYTES_MAX, Request, Response},
};
use mass_primitives::{BlockId, ChainId, ChainWeight, Height};
use node::{Node, PATIENCE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

const CHAIN: ChainId = ChainId::new([1; 32]);
const OTHER_CHAIN: ChainId = ChainId::new([2; 32]);

enum World {
    Tcp,
    Memory(Hub),
}

impl World {
    async fn node(&self, seed: u8, chain_id: ChainId, peers: &[&Node]) -> Node {
        self.limited(seed, chain_id, peers, 16).await
    }

    async fn limited(&self, seed: u8, chain_id: ChainId, peers: &[&Node], max_connections: u32) -> Node {
        let config = Config {
            chain_id,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid address")],
            seed: [seed; 32],
            peers: peers.iter().map(|node| node.address.clone()).collect(),
            max_connections,
            memory: None,
            proxy: None,
            discovery: None,
        };
        let spawn = |config| match self {
            Self::Tcp => swarm::spawn(config).expect("loopback can be listened on"),
            Self::Memory(hub) => hub.join(config),
        };
        Node::start(config, spawn).await
    }
}

impl Node {
    async fn refused(&mut self, other: PeerId) {
        self.until(|event| match event {
            Event::PeerConnected(peer) => panic!("{peer} of another chain was let in"),
            Event::PeerRefused(peer) => (peer == other).then_some(()),
            _ => None,
        })
        .await;
    }

    async fn peers(&self) -> Vec<PeerId> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Peers(reply)).await;
        answer.await.expect("the network answers").into_iter().map(|details| details.peer).collect()
    }

    /// Waits for the next gossip message, checks it and judges it.
    async fn gossip(&mut self, expected_topic: Topic, expected: &[u8], verdict: Verdict) {
        let (topic, token, bytes) = self
            .until(|event| match event {
                Event::Gossip { topic, token, bytes, .. } => Some((topic, token, bytes)),
                _ => None,
            })
            .await;
        assert_eq!(topic, expected_topic);
        assert!(bytes == expected, "another message came: {} bytes", bytes.len());
        self.tell(Command::Report { token, verdict }).await;
    }

    async fn answer_next(&mut self, expected: &Request, response: Response) {
        let (request, token) = self
            .until(|event| match event {
                Event::Request { request, token, .. } => Some((request, token)),
                _ => None,
            })
            .await;
        assert_eq!(request, *expected);
        self.tell(Command::Respond { token, response }).await;
    }

    async fn outcome(&mut self, expected_id: u64) -> Result<Response, RequestFailure> {
        self.until(|event| match event {
            Event::Response { id, response, .. } if id == expected_id => Some(Ok(response)),
            Event::RequestFailed { id, reason, .. } if id == expected_id => Some(Err(reason)),
            _ => None,
        })
        .await
    }
}

async fn pair(world: &World) -> (Node, Node) {
    let mut first = world.node(1, CHAIN, &[]).await;
    let mut second = world.node(2, CHAIN, &[&first]).await;
    first.connected(second.peer).await;
    second.connected(first.peer).await;
    (first, second)
}

async fn ask(
    asker: &mut Node,
    asked: &mut Node,
    request: Request,
    response: Response,
) -> Result<Response, RequestFailure> {
    asker.tell(Command::Request { peer: asked.peer, request: request.clone(), id: 7 }).await;
    asked.answer_next(&request, response).await;
    asker.outcome(7).await
}

async fn two_nodes_ask_and_gossip(world: &World) {
    let (mut first, mut second) = pair(world).await;
    assert_eq!(first.peers().await, [second.peer]);
    let status = Response::Status {
        tip: BlockId::new([9; 32]),
        height: Height::new(5),
        weight: ChainWeight::new(77),
        time: 7,
        blocks_from: Height::new(3),
    };
    assert_eq!(ask(&mut first, &mut second, Request::Status, status.clone()).await, Ok(status));
    let request = Request::Headers { locator: vec![BlockId::ZERO; 64], max: 512 };
    let headers = Response::Headers(vec![vec![3; 4096]; 512]);
    assert_eq!(ask(&mut second, &mut first, request, headers.clone()).await, Ok(headers));
    let request = Request::Blocks { ids: vec![BlockId::ZERO; 4] };
    let large = Some(vec![8; BLOCK_BYTES_MAX]);
    let blocks = Response::Blocks(vec![large.clone(), None, large.clone(), large]);
    assert_eq!(ask(&mut first, &mut second, request, blocks.clone()).await, Ok(blocks));

    let block = vec![5; BLOCK_BYTES_MAX];
    first.tell(Command::Publish { topic: Topic::Blocks, bytes: block.clone() }).await;
    second.gossip(Topic::Blocks, &block, Verdict::Accept).await;
    second.tell(Command::Publish { topic: Topic::Transactions, bytes: b"pay".to_vec() }).await;
    first.gossip(Topic::Transactions, b"pay", Verdict::Accept).await;

    second.tell(Command::Stop).await;
    first.disconnected(second.peer).await;
    first.tell(Command::Request { peer: second.peer, request: Request::Status, id: 8 }).await;
    assert_eq!(first.outcome(8).await, Err(RequestFailure::NotConnected));
}

async fn gossip_passes_a_node_only_when_it_accepts(world: &World) {
    let (first, mut middle) = pair(world).await;
    let mut last = world.node(3, CHAIN, &[&middle]).await;
    last.connected(middle.peer).await;
    middle.connected(last.peer).await;
    for (bytes, verdict) in [(b"bad", Verdict::Reject), (b"old", Verdict::Ignore), (b"new", Verdict::Accept)]
    {
        first.tell(Command::Publish { topic: Topic::Blocks, bytes: bytes.to_vec() }).await;
        middle.gossip(Topic::Blocks, bytes, verdict).await;
    }
    last.gossip(Topic::Blocks, b"new", Verdict::Accept).await;
    assert_eq!(last.peers().await, [middle.peer]);
}

async fn another_chain_is_refused(world: &World) {
    let mut ours = world.node(1, CHAIN, &[]).await;
    let mut theirs = world.node(2, OTHER_CHAIN, &[]).await;
    theirs.tell(Command::Dial(ours.address.clone())).await;
    let (our_peer, their_peer) = (ours.peer, theirs.peer);
    tokio::select! {
        () = ours.refused(their_peer) => {}
        () = theirs.refused(our_peer) => {}
    }
    let mut friend = world.node(3, CHAIN, &[&ours]).await;
    friend.connected(ours.peer).await;
    ours.connected(friend.peer).await;
    assert_eq!(ours.peers().await, [friend.peer]);
    assert_eq!(theirs.peers().await, []);
}

async fn an_oversized_response_is_refused(world: &World) {
    let (mut first, mut second) = pair(world).await;
    let request = Request::Blocks { ids: vec![BlockId::ZERO] };
    let response = Response::Blocks(vec![Some(vec![0; BLOCK_BYTES_MAX + 1])]);
    assert_eq!(ask(&mut first, &mut second, request, response).await, Err(RequestFailure::Refused));
    let (request, none) = (Request::Blocks { ids: vec![BlockId::ZERO] }, Response::Blocks(vec![None]));
    assert_eq!(ask(&mut first, &mut second, request, none.clone()).await, Ok(none));
    let request = Request::Blocks { ids: vec![BlockId::ZERO; 65] };
    first.tell(Command::Request { peer: second.peer, request, id: 9 }).await;
    assert_eq!(first.outcome(9).await, Err(RequestFailure::TooLarge));
}

async fn inactivity_partitions_and_heals(world: &World) {
    let (mut first, mut second) = pair(world).await;
    first.tell(Command::Request { peer: second.peer, request: Request::Status, id: 1 }).await;
    second.until(|event| matches!(event, Event::Request { .. }).then_some(())).await;
    second.tell(Command::SetActive(false)).await;
    assert_eq!(first.outcome(1).await, Err(RequestFailure::ConnectionClosed));
    first.disconnected(second.peer).await;
    second.disconnected(first.peer).await;
    // A refused dial has no event; the reply comes after it and finds nobody connected.
    first.tell(Command::Dial(second.address.clone())).await;
    second.tell(Command::Dial(first.address.clone())).await;
    assert_eq!(second.peers().await, []);
    second.tell(Command::SetActive(true)).await;
    second.connected(first.peer).await;
    first.connected(second.peer).await;
    first.tell(Command::Publish { topic: Topic::Blocks, bytes: b"healed".to_vec() }).await;
    second.gossip(Topic::Blocks, b"healed", Verdict::Accept).await;
}

async fn a_configured_peer_is_dialed_again(world: &World) {
    let (mut first, mut second) = pair(world).await;
    first.tell(Command::Disconnect(second.peer)).await;
    first.disconnected(second.peer).await;
    second.disconnected(first.peer).await;
    first.connected(second.peer).await;
    second.connected(first.peer).await;
}

async fn connections_are_limited(world: &World) {
    let mut first = world.limited(1, CHAIN, &[], 1).await;
    let mut second = world.node(2, CHAIN, &[&first]).await;
    second.connected(first.peer).await;
    first.connected(second.peer).await;
    let third = world.node(3, CHAIN, &[&first]).await;
    // The third keeps trying; it gets in when the place is free, and not before.
    assert_eq!(third.peers().await, []);
    assert_eq!(first.peers().await, [second.peer]);
    second.tell(Command::Stop).await;
    first.disconnected(second.peer).await;
    first.connected(third.peer).await;
}

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod tcp {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::World::Tcp).await;
            })+
        }

        mod twin {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::World::Memory(super::Hub::new())).await;
            })+
        }
    };
}

scenarios!(
    two_nodes_ask_and_gossip,
    gossip_passes_a_node_only_when_it_accepts,
    another_chain_is_refused,
    an_oversized_response_is_refused,
    inactivity_partitions_and_heals,
    a_configured_peer_is_dialed_again,
    connections_are_limited,
);

#[tokio::test]
async fn garbage_on_the_socket_disturbs_nobody() {
    let (first, mut second) = pair(&World::Tcp).await;
    let text = first.address.to_string();
    let port: u16 = text.split('/').nth(4).and_then(|port| port.parse().ok()).expect("a TCP port");
    for garbage in [vec![0xff; 4096], b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the node listens");
        // The node may hang up while we still write: that is its right.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("the node hangs up");
    }
    assert_eq!(first.peers().await, [second.peer]);
    first.tell(Command::Publish { topic: Topic::Blocks, bytes: b"still here".to_vec() }).await;
    second.gossip(Topic::Blocks, b"still here", Verdict::Accept).await;
}
