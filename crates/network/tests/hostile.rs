//! A peer that speaks our protocols and breaks their bounds: it answers whatever it likes.

use std::{io, iter, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, identify, noise,
    request_response::{self, Message, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use mass_network::{
    Command, Config, Event, Multiaddr, Network, PeerId, RequestFailure, swarm,
    wire::{BLOCK_BYTES_MAX, RESPONSE_BYTES_MAX, Request, Response},
};
use mass_primitives::{ChainId, Encode};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const CHAIN: ChainId = ChainId::new([1; 32]);

/// Bytes as they are; or a reader who takes one byte of an answer and never another.
#[derive(Clone)]
struct Raw {
    reads: bool,
}

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
        if !self.reads && io.read(&mut [0]).await? > 0 {
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
        io.write_all(&bytes).await
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
fn stranger(chain_id: ChainId, reads: bool) -> Swarm<Behaviour> {
    let protocol = StreamProtocol::try_from_owned(format!("/mass/{CHAIN}/sync/2")).expect("a valid name");
    let build = |key: &libp2p::identity::Keypair| Behaviour {
        sync: request_response::Behaviour::with_codec(
            Raw { reads },
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

async fn node() -> (Network, Multiaddr, PeerId) {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid address")];
    let config = Config {
        chain_id: CHAIN,
        listen,
        seed: [1; 32],
        peers: Vec::new(),
        max_connections: 8,
        memory: None,
        proxy: None,
        discovery: None,
    };
    let mut network = swarm::spawn(config).expect("loopback can be listened on");
    let Some(Event::Listening(address)) = network.1.recv().await else { panic!("listening comes first") };
    (network, address, mass_network::peer_id([1; 32]))
}

/// What our node makes of `answer`. The stranger asks first, so that we know it is connected.
async fn outcome_of(answer: Vec<u8>) -> RequestFailure {
    let ((commands, mut events), address, ours) = node().await;
    let mut hostile = stranger(CHAIN, true);
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
    let mut hostile = stranger(ChainId::new([2; 32]), true);
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
    let mut hostile = stranger(CHAIN, false);
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
