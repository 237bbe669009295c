//! Which libp2p protocols a node speaks and how they are set: gossip, sync, the exchange of addresses, identification,
//! pings, and the limit of connections. Whom to dial is decided elsewhere.

use std::{collections::HashMap, iter, time::Duration};

use libp2p::{
    StreamProtocol,
    connection_limits::{self, ConnectionLimits},
    gossipsub::{
        self, IdentTopic, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
        TopicScoreParams, ValidationMode,
    },
    identify,
    identity::Keypair,
    ping,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
};
use sha2::{Digest as _, Sha256};

use crate::{
    codec::{Codec, Message},
    config::{Deadlines, Names},
    discovery::exchange::{Answer, Question},
    handle::Topic,
    wire::{BLOCK_BYTES_MAX, Request, Response},
};

/// Room for the envelope around the largest gossip message.
const ENVELOPE_BYTES_MAX: usize = 1024;
/// Two nodes may dial each other at the same moment.
const CONNECTIONS_PER_PEER_MAX: u32 = 2;
const CONTENDERS: u32 = 4;
const PENDING_MAX: u32 = 32;
const STREAMS_MAX: usize = 16;
const SYNC_TIMEOUT: Duration = Duration::from_secs(20);
/// What one invalid message costs its sender, squared in their number; below -80 it is ignored.
const INVALID_MESSAGE_WEIGHT: f64 = -25.0;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub limits: connection_limits::Behaviour,
    pub gossip: gossipsub::Behaviour,
    pub sync: request_response::Behaviour<Codec<Request, Response>>,
    pub exchange: request_response::Behaviour<Codec<Question, Answer>>,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
}

impl Behaviour {
    /// # Errors
    /// What libp2p finds wrong with the settings.
    pub fn new(
        keypair: &Keypair,
        names: Names,
        max_connections: u32,
        deadlines: Deadlines,
    ) -> Result<Self, String> {
        let identify = identify::Config::new(names.identity(), keypair.public())
            .with_agent_version(concat!("mass/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_cache_size(0);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits(max_connections)),
            gossip: gossip(names)?,
            sync: asking(names.sync(), deadlines.question)?,
            exchange: asking(names.exchange(), deadlines.question)?,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(
                ping::Config::new().with_interval(deadlines.ping_every).with_timeout(deadlines.pong),
            ),
        })
    }
}

/// # Errors
/// What libp2p finds wrong with the name.
fn asking<Q: Message, A: Message>(
    name: String,
    patience: Duration,
) -> Result<request_response::Behaviour<Codec<Q, A>>, String> {
    let protocol = StreamProtocol::try_from_owned(name).map_err(|error| error.to_string())?;
    let config = request_response::Config::default()
        .with_request_timeout(SYNC_TIMEOUT)
        .with_max_concurrent_streams(STREAMS_MAX);
    let protocols = iter::once((protocol, ProtocolSupport::Full));
    Ok(request_response::Behaviour::with_codec(Codec::new(patience), protocols, config))
}

/// A quarter of the connections is kept for peers that we choose ourselves. A few more may come than can stay, so that one that is
/// harder to replace takes the place of another.
pub(crate) fn limits(max_connections: u32) -> ConnectionLimits {
    let pending = max_connections.min(PENDING_MAX);
    let contenders = max_connections.min(CONTENDERS);
    ConnectionLimits::default()
        .with_max_established(Some(max_connections + contenders))
        .with_max_established_incoming(Some(max_connections - max_connections / 4 + contenders))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_pending_incoming(Some(pending))
        .with_max_pending_outgoing(Some(pending))
}

fn gossip(names: Names) -> Result<gossipsub::Behaviour, String> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(names.gossip())
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .max_transmit_size(BLOCK_BYTES_MAX + ENVELOPE_BYTES_MAX)
        .message_id_fn(|message| MessageId::new(&name(message.topic.as_str(), &message.data)))
        .build()
        .map_err(|error| error.to_string())?;
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)?;
    let topics = Topic::ALL.map(|topic| IdentTopic::new(names.topic(topic)));
    let scores: HashMap<_, _> = topics.iter().map(|topic| (topic.hash(), scoring())).collect();
    // An address costs nothing by itself: all who come to a hidden service, or from behind one router, have the same one, and
    // more than ten of them would not be listened to any more, honest ones among them. Crowds are the business of `evict`.
    let params =
        PeerScoreParams { topics: scores, ip_colocation_factor_weight: 0.0, ..PeerScoreParams::default() };
    gossip.with_peer_score(params, PeerScoreThresholds::default())?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

/// Names a gossip message. The topic is a part of it: else who told a block as a transaction first would make it look as if it
/// had been seen.
fn name(topic: &str, data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(topic).chain_update([0]).chain_update(data).finalize().into()
}

/// Only invalid messages cost: a quiet topic is no fault, blocks are minutes apart.
fn scoring() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: INVALID_MESSAGE_WEIGHT,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    }
}
