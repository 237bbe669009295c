//! A peer that speaks our protocols and breaks their bounds: it answers whatever it likes, or takes whatever time it likes.

mod node;

use std::{io, iter, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, identify, noise,
    request_response::{self, Message, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use mass_network::{
    Banned, Command, Config, Deadlines, Event, Multiaddr, Network, PeerId, RequestFailure, Topic, swarm,
    wire::{BLOCK_BYTES_MAX, RESPONSE_BYTES_MAX, Request, Response},
};
use mass_primitives::{ChainId, Encode};
use node::{Node, PATIENCE};
use tokio::time::timeout;

const CHAIN: ChainId = ChainId::new([1; 32]);

/// Bytes as they are; or a reader who takes one byte of an answer and never another; or a writer of a byte now and then.
#[derive(Clone, Copy, Default)]
struct Raw {
    takes_one: bool,
    trickles: bool,
}

/// How often a byte comes of one who trickles.
const TRICKLE: Duration = Duration::from_millis(20);

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.takes_one && io.read(&mut [0]).await? > 0 {
            return std::future::pending().await;
        }
        self.read_request(protocol, io).await.and_then(|answer| match answer.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(answer),
        })
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        if !self.trickles {
            return io.write_all(&bytes).await;
        }
        loop {
            io.write_all(&[0]).await?;
            io.flush().await?;
            tokio::time::sleep(TRICKLE).await;
        }
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, io, bytes).await
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    sync: request_response::Behaviour<Raw>,
    identify: identify::Behaviour,
}

/// A swarm that names `chain_id` as its chain, whatever its sync protocol is called.
fn stranger(chain_id: ChainId, raw: Raw) -> Swarm<Behaviour> {
    let protocol = StreamProtocol::try_from_owned(format!("/mass/{CHAIN}/sync/2")).expect("a valid name");
    let build = |key: &libp2p::identity::Keypair| Behaviour {
        sync: request_response::Behaviour::with_codec(
            raw,
            iter::once((protocol, ProtocolSupport::Full)),
            request_response::Config::default(),
        ),
        identify: identify::Behaviour::new(identify::Config::new(
            format!("/mass/{chain_id}/1"),
            key.public(),
        )),
    };
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("the transport can be made")
        .with_behaviour(build)
        .expect("the behaviour can be made")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

/// Keeps a stranger going: it answers every request with `answer`.
async fn serve(mut swarm: Swarm<Behaviour>, answer: Vec<u8>) {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Sync(request_response::Event::Message {
            message: Message::Request { channel, .. },
            ..
        })) = swarm.select_next_some().await
        {
            // The asker may be gone already.
            let _ = swarm.behaviour_mut().sync.send_response(channel, answer.clone());
        }
    }
}

fn config(seed: u8, peers: Vec<Multiaddr>) -> Config {
    Config {
        chain_id: CHAIN,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid address")],
        seed: [seed; 32],
        peers,
        max_connections: 32,
        memory: None,
        proxy: None,
        discovery: None,
    }
}

async fn node() -> (Network, Multiaddr, PeerId) {
    let node = within(Deadlines::default()).await;
    (node.network, node.address, node.peer)
}

async fn within(deadlines: Deadlines) -> Node {
    let spawn = |config| swarm::spawn_within(config, deadlines).expect("loopback can be listened on");
    Node::start(config(1, Vec::new()), spawn).await
}

/// Another of our nodes, that a node has let in.
async fn friend(seed: u8, of: &mut Node) -> Node {
    let spawn = |config| swarm::spawn(config).expect("loopback can be listened on");
    let mut friend = Node::start(config(seed, vec![of.address.clone()]), spawn).await;
    friend.connected(of.peer).await;
    of.connected(friend.peer).await;
    friend
}

/// What our node makes of `answer`. The stranger asks first, so that we know it is connected.
async fn outcome_of(answer: Vec<u8>) -> RequestFailure {
    let ((commands, mut events), address, ours) = node().await;
    let mut hostile = stranger(CHAIN, Raw::default());
    hostile.behaviour_mut().sync.send_request_with_addresses(
        &ours,
        Request::Status.to_bytes(),
        vec![address],
    );
    let peer = *hostile.local_peer_id();
    tokio::spawn(serve(hostile, answer));
    loop {
        match events.recv().await.expect("the network runs") {
            Event::Request { .. } => {
                let request = Command::Request { peer, request: Request::Status, id: 3 };
                commands.send(request).await.expect("the network runs");
            }
            Event::RequestFailed { id: 3, reason, .. } => return reason,
            Event::Response { response, .. } => panic!("taken for a response: {response:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_answer_beyond_the_bounds_is_the_peers_fault() {
    // The last one is a good answer, to a question for blocks.
    let other = Response::Blocks(vec![None]).to_bytes();
    for answer in [vec![2; RESPONSE_BYTES_MAX + 1], vec![9; 40], vec![1, 255, 255, 255, 255], other] {
        let reason = timeout(PATIENCE, outcome_of(answer)).await.expect("the request ends in time");
        assert!(reason.is_peer_fault(), "{reason}");
    }
}

#[tokio::test]
async fn a_peer_that_names_another_chain_is_sent_away() {
    let ((_commands, mut events), address, _) = node().await;
    let mut hostile = stranger(ChainId::new([2; 32]), Raw::default());
    let stranger = *hostile.local_peer_id();
    hostile.dial(address).expect("the address can be dialed");
    tokio::spawn(serve(hostile, Vec::new()));
    let refused = async {
        loop {
            match events.recv().await.expect("the network runs") {
                Event::PeerRefused(peer) => return peer,
                Event::PeerConnected(peer) => panic!("{peer} was let in"),
                _ => {}
            }
        }
    };
    assert_eq!(timeout(PATIENCE, refused).await.expect("the refusal comes in time"), stranger);
}

/// Eight questions at once, answers of 15 MB each, and nobody reads them: two are kept, and the others are refused at once
/// and not after a time-out.
#[tokio::test]
async fn who_does_not_read_holds_two_answers_in_our_memory_and_no_more() {
    let ((commands, mut events), address, ours) = node().await;
    let mut hostile = stranger(CHAIN, Raw { takes_one: true, ..Raw::default() });
    for _ in 0..8 {
        let request = Request::Status.to_bytes();
        hostile.behaviour_mut().sync.send_request_with_addresses(&ours, request, vec![address.clone()]);
    }
    let refused = async {
        let mut refused = 0;
        while refused < 6 {
            if let SwarmEvent::Behaviour(BehaviourEvent::Sync(request_response::Event::OutboundFailure {
                error: request_response::OutboundFailure::Io(_),
                ..
            })) = hostile.select_next_some().await
            {
                refused += 1;
            }
        }
    };
    let answering = async {
        while let Some(event) = events.recv().await {
            if let Event::Request { token, .. } = event {
                let response = Response::Blocks(vec![Some(vec![7; BLOCK_BYTES_MAX]); 3]);
                commands.send(Command::Respond { token, response }).await.expect("the network runs");
            }
        }
    };
    tokio::select! {
        all = timeout(PATIENCE / 2, refused) => all.expect("what there is no room for is refused"),
        () = answering => panic!("the network ended"),
    }
}

/// A stranger's own view: it asks with these bytes, and in the end it has no connection.
async fn asks_until_it_is_cut_off(node: &Node, raw: Raw, question: Vec<u8>) -> PeerId {
    let mut hostile = stranger(CHAIN, raw);
    let address = vec![node.address.clone()];
    hostile.behaviour_mut().sync.send_request_with_addresses(&node.peer, question, address);
    let closed =
        async { while !matches!(hostile.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {} };
    timeout(PATIENCE, closed).await.expect("it is cut off");
    *hostile.local_peer_id()
}

/// Far above how long any of these tests takes, so that no other deadline than the short one explains it.
const FAR: Duration = Duration::from_secs(3600);

const PATIENT: Deadlines =
    Deadlines { handshake: FAR, greeting: FAR, question: FAR, ping_every: FAR, pong: FAR };

#[tokio::test]
async fn who_trickles_a_question_loses_the_connection_and_others_are_heard() {
    let mut node = within(Deadlines { question: Duration::from_millis(500), ..PATIENT }).await;
    let friend = friend(2, &mut node).await;
    let raw = Raw { trickles: true, ..Raw::default() };
    asks_until_it_is_cut_off(&node, raw, Vec::new()).await;
    friend.tell(Command::Publish { topic: Topic::Blocks, bytes: b"news".to_vec() }).await;
    node.until(|event| matches!(event, Event::Gossip { bytes, .. } if bytes == b"news").then_some(())).await;
    assert_eq!(bans(&node).await, [], "a slow line is no fault");
}

#[tokio::test]
async fn who_asks_what_is_no_question_is_banned() {
    let node = within(PATIENT).await;
    let raw = Raw::default();
    let stranger = asks_until_it_is_cut_off(&node, raw, vec![0xff; 40]).await;
    assert_eq!(bans(&node).await, [Banned::Peer(stranger)]);
}

async fn bans(node: &Node) -> Vec<Banned> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    node.tell(Command::Bans(reply)).await;
    answer.await.expect("the network answers").into_iter().map(|ban| ban.who).collect()
}

/// The greeting of the protocol, one byte at a time.
#[tokio::test]
async fn who_trickles_the_handshake_is_cut_off_and_others_are_let_in() {
    let mut node = within(Deadlines { handshake: Duration::from_millis(500), ..PATIENT }).await;
    let port = node.address.to_string().split('/').nth(4).and_then(|port| port.parse().ok());
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let socket = tokio::net::TcpStream::connect(("127.0.0.1", port.expect("a TCP port"))).await;
        sockets.push(tokio::spawn(trickles(socket.expect("the node listens"))));
    }
    friend(2, &mut node).await;
    for socket in sockets {
        timeout(PATIENCE, socket).await.expect("it is cut off").expect("it does not panic");
    }
}

async fn trickles(mut socket: tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // After the greeting, a frame of a handshake that would never end.
    let greeting = b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff";
    for byte in greeting.iter().chain(iter::repeat(&0)) {
        if socket.write_all(&[*byte]).await.is_err() {
            return;
        }
        let mut answer = [0; 64];
        if let Ok(Ok(0) | Err(_)) = timeout(TRICKLE, socket.read(&mut answer)).await {
            return;
        }
    }
}

/// A peer that was let in and then does nothing at all, as one whose machine hangs: its sockets stay, and nothing comes.
#[tokio::test]
async fn who_answers_no_pings_loses_the_connection() {
    let [ping_every, pong] = [Duration::from_millis(100), Duration::from_millis(400)];
    let mut node = within(Deadlines { ping_every, pong, ..PATIENT }).await;
    // Tasks on this runtime run only while something is waited for on it.
    let halted = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = config(2, vec![node.address.clone()]);
    let peer = mass_network::peer_id(config.seed);
    let (halt, halts) = tokio::sync::oneshot::channel();
    let halted = tokio::task::spawn_blocking(move || {
        let network = halted.block_on(async {
            let network = swarm::spawn(config).expect("loopback can be listened on");
            halts.await.expect("the test goes on");
            network
        });
        (halted, network)
    });
    node.connected(peer).await;
    halt.send(()).expect("it runs until now");
    let halted = halted.await.expect("it ends well");
    node.disconnected(peer).await;
    halted.0.shutdown_background();
}

/// As all who come through a hidden service, or from behind one router.
#[tokio::test]
async fn many_peers_behind_one_address_are_all_heard() {
    let mut node = within(Deadlines::default()).await;
    let mut friends = Vec::new();
    for seed in 2..16 {
        friends.push(friend(seed, &mut node).await);
    }
    for (number, friend) in friends.iter().enumerate() {
        let bytes = vec![number as u8; 9];
        friend.tell(Command::Publish { topic: Topic::Blocks, bytes: bytes.clone() }).await;
        node.until(|event| {
            matches!(event, Event::Gossip { bytes: heard, .. } if heard == bytes).then_some(())
        })
        .await;
    }
}
