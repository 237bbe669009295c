//! The network over TCP: one task owns the libp2p swarm and everything known about its peers.
//!
//! Commands are taken at all times. While the events' receiver is behind, the swarm is not polled, so
//! that peers are slowed down instead of memory being filled.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageId},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    request_response::{self, InboundRequestId, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, SwarmEvent, dial_opts::DialOpts},
    yamux,
};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use crate::{
    behaviour::{Behaviour, BehaviourEvent, limits},
    codec::Asked,
    config::{COMMANDS_LEN, Config, Deadlines, DiscoveryConfig, EVENTS_LEN, Names, keypair},
    discovery::{Book, Discovery, Endpoint, Memory, Now, load},
    faults::Faults,
    handle::{
        AGENT_BYTES_MAX, Command, ConnectionKind, Event, GossipToken, Network, PeerDetails, RequestFailure,
        ResponseToken, Topic, Traffic, Verdict,
    },
    outbox::Outbox,
    proxy::ProxyTransport,
    quota::Totals,
    redial::Redial,
    wire::{BLOCK_BYTES_MAX, Request, Response},
};

mod answers;
mod guard;
mod peers;
mod search;

use answers::Answers;
use peers::{Peers, Progress};

/// How often what is known of peers is written down.
const SAVE_EVERY: Duration = Duration::from_secs(600);
/// With fewer addresses in the book any peer is asked for some.
const BOOK_SMALL: usize = 100;
/// Gossip keeps connections busy; this only has to exceed its heartbeat.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Why no network could be made. All are our own fault.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The protocols cannot be set up.
    #[error("cannot set up the network protocols: {0}")]
    Setup(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system says.
        cause: String,
    },
}

/// Starts a network on the current tokio runtime.
///
/// # Errors
/// [`SpawnError`].
pub fn spawn(config: Config) -> Result<Network, SpawnError> {
    spawn_within(config, Deadlines::default())
}

/// [`spawn`] with other deadlines for peers.
///
/// # Errors
/// [`SpawnError`].
pub fn spawn_within(config: Config, deadlines: Deadlines) -> Result<Network, SpawnError> {
    let names = Names(config.chain_id);
    let mut swarm = build(&config, names, deadlines)?;
    for address in &config.listen {
        let refused = |cause: String| SpawnError::Listen { address: address.clone(), cause };
        check_free(address).map_err(|cause| refused(cause.to_string()))?;
        swarm.listen_on(address.clone()).map_err(|cause| refused(cause.to_string()))?;
    }
    let (command_sender, commands) = mpsc::channel(COMMANDS_LEN);
    let (events, event_receiver) = mpsc::channel(EVENTS_LEN);
    let (resolved_sender, resolved) = mpsc::channel(1);
    let now = Instant::now();
    let Memory { book, anchors, faults } = remember(config.memory.as_deref())?;
    let search = config.discovery.unwrap_or(DiscoveryConfig { outbound: 0, bootstrap: Vec::new() });
    let discovery =
        Discovery::new((book, anchors), search.outbound, !search.bootstrap.is_empty(), rng()?, now);
    let driver = Driver {
        names,
        swarm,
        commands,
        outbox: Outbox::new(events),
        peers: Peers::default(),
        requests: HashMap::new(),
        channels: HashMap::new(),
        answers: Answers::default(),
        totals: Totals::new(now),
        next_token: 0,
        redial: Redial::new(config.peers, now),
        max_connections: config.max_connections,
        greeting: deadlines.greeting,
        active: true,
        faults,
        discovery,
        seeks: search.outbound > 0,
        bootstrap: search.bootstrap,
        proxied: config.proxy.is_some(),
        resolved,
        resolved_sender,
        memory: config.memory,
        save_at: now + SAVE_EVERY,
    };
    tokio::spawn(driver.run());
    Ok((command_sender, event_receiver))
}

/// What was remembered. A file that is damaged is begun anew: all in it is found again.
fn remember(path: Option<&Path>) -> Result<Memory, SpawnError> {
    let found = path.map(load).transpose().unwrap_or_else(|error| {
        warn!(%error, "what was known of peers is lost");
        None
    });
    if let Some(memory) = found.flatten() {
        return Ok(memory);
    }
    let mut key = [0; 32];
    rng()?.fill_bytes(&mut key);
    Ok(Memory { book: Book::new(key), anchors: Vec::new(), faults: Faults::default() })
}

fn rng() -> Result<ChaCha12Rng, SpawnError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| SpawnError::Setup(error.to_string()))?;
    Ok(ChaCha12Rng::from_seed(seed))
}

/// libp2p shares a port with whoever else does; two nodes on one port would each get half of the peers.
fn check_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

fn build(config: &Config, names: Names, deadlines: Deadlines) -> Result<Swarm<Behaviour>, SpawnError> {
    let keypair = keypair(config.seed);
    let behaviour =
        Behaviour::new(&keypair, names, config.max_connections, deadlines).map_err(SpawnError::Setup)?;
    let builder = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|key| transport(key, config.proxy))
        .map_err(|error| SpawnError::Setup(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| SpawnError::Setup(error.to_string()))?;
    let builder = builder.with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE_TIMEOUT));
    Ok(builder.with_connection_timeout(deadlines.handshake).build())
}

/// TCP, through the proxy if there is one, encrypted by noise and shared by yamux.
fn transport(
    key: &Keypair,
    proxy: Option<SocketAddr>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error + Send + Sync>> {
    let upgraded = ProxyTransport::new(proxy)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default());
    Ok(upgraded.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed())
}

struct Driver {
    names: Names,
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    peers: Peers,
    /// Our requests: the names that the caller has for them, who is asked, and the kind of answer that fits.
    requests: HashMap<OutboundRequestId, (u64, PeerId, u8)>,
    channels: HashMap<u64, (PeerId, InboundRequestId, ResponseChannel<Response>)>,
    answers: Answers<InboundRequestId>,
    totals: Totals,
    next_token: u64,
    redial: Redial,
    max_connections: u32,
    greeting: Duration,
    active: bool,
    faults: Faults,
    discovery: Discovery,
    /// Whether peers are looked for.
    seeks: bool,
    bootstrap: Vec<Multiaddr>,
    /// Whether a proxy stands between: names are then its business.
    proxied: bool,
    /// Addresses that the names of the bootstrap list led to.
    resolved: mpsc::Receiver<Vec<Endpoint>>,
    resolved_sender: mpsc::Sender<Vec<Endpoint>>,
    memory: Option<PathBuf>,
    save_at: Instant,
}

impl Driver {
    async fn run(mut self) {
        self.drive().await;
        self.save();
    }

    /// Runs until it is told to end, or nobody is left to tell.
    async fn drive(&mut self) {
        loop {
            let wake = self.wake();
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(Command::Stop) => return,
                    Some(command) => self.on_command(command),
                },
                sent = self.outbox.flush() => if sent.is_err() {
                    return;
                },
                event = self.swarm.select_next_some(), if !self.outbox.is_full() => self.on_event(event),
                Some(endpoints) = self.resolved.recv() => self.on_resolved(endpoints),
                () = sleep_until(wake) => self.on_time(),
            }
        }
    }

    /// When something is due.
    fn wake(&self) -> Instant {
        let redial = self.redial.next().filter(|_| self.active);
        let search = Some(self.discovery.next()).filter(|_| self.active && self.seeks);
        let greeting = self.peers.next_deadline(self.greeting);
        [redial, search, greeting].into_iter().flatten().fold(self.save_at, Instant::min)
    }

    fn on_time(&mut self) {
        let now = now();
        for peer in self.peers.expire(now.instant, self.greeting) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        if self.active {
            let swarm = &mut self.swarm;
            self.redial.dial_due(now.instant, |address| dial(swarm, address));
        }
        if self.active && self.seeks {
            self.search(now);
        }
        if self.save_at <= now.instant {
            self.save_at = now.instant + SAVE_EVERY;
            self.save();
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(address) if self.active => drop(dial(&mut self.swarm, &address)),
            Command::Dial(address) => debug!(%address, "not dialed while inactive"),
            Command::Keep(address) => self.redial.keep(address, Instant::now()),
            Command::Forget(address) => self.redial.forget(&address),
            Command::Publish { topic, bytes } => self.publish(topic, bytes),
            Command::Request { peer, request, id } => self.request(peer, request, id),
            Command::Respond { token, response } => self.respond(&token, response),
            Command::Report { token, verdict } => {
                let message = MessageId::new(&token.id);
                self.report(&message, &token.from, verdict);
            }
            Command::SetActive(active) => self.set_active(active),
            Command::Disconnect(peer) => drop(self.swarm.disconnect_peer_id(peer)),
            Command::Fault { peer, fault } => self.on_fault(peer, fault),
            Command::Ban(ban) => self.on_ban(ban),
            Command::Unban(who, reply) => {
                let _ = reply.send(self.faults.unban(&who));
            }
            Command::Bans(reply) => drop(reply.send(self.faults.bans(now().unix))),
            Command::Peers(reply) => drop(reply.send(self.peers.ready())),
            Command::Stop => {}
        }
    }

    fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        if bytes.len() > BLOCK_BYTES_MAX {
            debug!(length = bytes.len(), "too long to be published");
            return;
        }
        let (topic, length) = (IdentTopic::new(self.names.topic(topic)), bytes.len());
        if let Err(error) = self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            debug!(%error, "not published");
        } else {
            self.peers.sent_to_all(length, unix());
        }
    }

    fn request(&mut self, peer: PeerId, request: Request, id: u64) {
        let reason = match request.check() {
            Err(_) => RequestFailure::TooLarge,
            Ok(()) if !self.swarm.is_connected(&peer) => RequestFailure::NotConnected,
            Ok(()) => {
                self.peers.sent(peer, request.encoded_len(), unix());
                let kind = request.kind();
                let own = self.swarm.behaviour_mut().sync.send_request(&peer, Asked::Question(request));
                self.requests.insert(own, (id, peer, kind));
                return;
            }
        };
        self.outbox.push(Event::RequestFailed { id, peer, reason });
    }

    fn respond(&mut self, token: &ResponseToken, response: Response) {
        let Some((peer, request, channel)) = self.channels.remove(&token.0) else { return };
        self.peers.answered(&peer);
        let length = response.encoded_len();
        if let Err(error) = response.check() {
            debug!(%error, "response dropped");
        } else if !self.answers.begin(request, peer, length) {
            debug!(%peer, length, "reads too slowly for this answer");
        } else if self.swarm.behaviour_mut().sync.send_response(channel, response).is_err() {
            self.answers.end(&request);
            debug!("the request was gone before its response");
        } else {
            self.peers.sent(peer, length, unix());
        }
    }

    fn report(&mut self, message: &MessageId, from: &PeerId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => {
                self.peers.useful(from, Instant::now());
                MessageAcceptance::Accept
            }
            Verdict::Reject => MessageAcceptance::Reject,
            Verdict::Ignore => MessageAcceptance::Ignore,
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(message, from, acceptance);
    }

    fn set_active(&mut self, active: bool) {
        self.active = active;
        let max = if active { self.max_connections } else { 0 };
        *self.swarm.behaviour_mut().limits.limits_mut() = limits(max);
        if active {
            self.redial.hurry(Instant::now());
            return;
        }
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = now();
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                Endpoint::of(&address).into_iter().for_each(|own| self.discovery.own(own));
                let address = address.with_p2p(*self.swarm.local_peer_id()).unwrap_or_else(|address| address);
                self.outbox.push(Event::Listening(address));
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_opened(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.redial.ended(connection_id, now.instant);
                self.discovery.ended(connection_id, now);
                if !self.swarm.is_connected(&peer_id) {
                    self.fail_requests(peer_id);
                }
                if self.peers.closed(peer_id, connection_id) {
                    self.outbox.push(Event::PeerDisconnected(peer_id));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                debug!(%error, "dialing failed");
                self.redial.ended(connection_id, now.instant);
                self.on_dial_failed(connection_id, &error, now);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_sync(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            })) => {
                self.peers.named(peer_id, &info.agent_version);
                if self.on_identified(peer_id, connection_id, &info.protocol_version) {
                    self.learn_from(peer_id, connection_id, &info.listen_addrs, now);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.on_exchange(event, now),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            other => debug!(event = ?other, "passed over"),
        }
    }

    /// Who answers no pings is gone, or stuck within something that it does not end.
    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(time) => self.peers.ping(&event.peer, time),
            // Who says that it knows no pings says something.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                debug!(peer = %event.peer, %error, "answers no pings");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    /// All requests to a peer fail before it is reported as gone.
    fn fail_requests(&mut self, gone: PeerId) {
        let lost = self.requests.extract_if(|_, (_, peer, _)| *peer == gone);
        let mut lost: Vec<_> = lost.map(|(_, (id, ..))| id).collect();
        lost.sort_unstable();
        for id in lost {
            let reason = RequestFailure::ConnectionClosed;
            self.outbox.push(Event::RequestFailed { id, peer: gone, reason });
        }
    }

    /// Whether the peer is of our chain.
    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, protocol: &str) -> bool {
        if protocol == self.names.identity() {
            let progress = self.peers.identified(peer);
            self.on_progress(peer, progress);
            return true;
        }
        self.discovery.strange(connection);
        if self.peers.refuse(peer) {
            debug!(%peer, protocol, "of another chain");
            self.outbox.push(Event::PeerRefused(peer));
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        false
    }

    fn on_progress(&mut self, peer: PeerId, progress: Progress) {
        if let Progress::Ready(connections) = progress {
            let now = now();
            let chosen = connections.iter().any(|connection| self.discovery.purpose(*connection).is_some());
            for connection in connections {
                self.redial.settled(connection);
                self.discovery.found(connection, now);
            }
            self.outbox.push(Event::PeerConnected(peer));
            if chosen || self.seeks && self.discovery.book().len() < BOOK_SMALL {
                self.ask(peer);
            }
        }
    }

    fn topic(&self, hash: &gossipsub::TopicHash) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.names.topic(*topic) == hash.as_str())
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source: from, message_id, message } => {
                self.peers.received(from, message.data.len(), unix());
                let id = <[u8; 32]>::try_from(message_id.0.as_slice());
                match (self.topic(&message.topic), id) {
                    (Some(topic), _) if !self.may_gossip(&from, topic) => {
                        debug!(%from, ?topic, "more than anybody has reason to tell");
                        self.report(&message_id, &from, Verdict::Ignore);
                    }
                    (Some(topic), Ok(id)) if message.data.len() <= BLOCK_BYTES_MAX => {
                        let token = GossipToken { id, from };
                        self.outbox.push(Event::Gossip { topic, from, token, bytes: message.data });
                    }
                    _ => self.report(&message_id, &from, Verdict::Reject),
                }
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(topic) = self.topic(&topic) {
                    let progress = self.peers.subscribed(peer_id, topic);
                    self.on_progress(peer_id, progress);
                }
            }
            other => debug!(event = ?other, "passed over"),
        }
    }

    fn on_sync(&mut self, event: request_response::Event<Asked<Request>, Response>) {
        use request_response::{Event as Sync, Message};
        match event {
            Sync::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                let Some(request) = self.readable(peer, request) else { return };
                if !self.may_ask(peer) {
                    return;
                }
                let token = self.next_token;
                self.next_token += 1;
                self.peers.received(peer, request.encoded_len(), unix());
                self.channels.insert(token, (peer, request_id, channel));
                self.outbox.push(Event::Request { peer, request, token: ResponseToken(token) });
            }
            Sync::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.peers.received(peer, response.encoded_len(), unix());
                match self.requests.remove(&request_id) {
                    Some((id, _, kind)) if kind == response.kind() => {
                        self.outbox.push(Event::Response { id, peer, response });
                    }
                    Some((id, ..)) => {
                        let reason = RequestFailure::Malformed("an answer to something else".to_owned());
                        self.outbox.push(Event::RequestFailed { id, peer, reason });
                    }
                    None => {}
                }
            }
            Sync::OutboundFailure { peer, request_id, error, .. } => {
                if let Some((id, ..)) = self.requests.remove(&request_id) {
                    self.outbox.push(Event::RequestFailed { id, peer, reason: failure(&error) });
                }
            }
            Sync::InboundFailure { peer, request_id, error, .. } => {
                debug!(%error, "request of a peer failed");
                self.answers.end(&request_id);
                let lost = self.channels.extract_if(|_, (_, own, _)| *own == request_id).count();
                (0..lost).for_each(|_| self.peers.answered(&peer));
            }
            Sync::ResponseSent { request_id, .. } => self.answers.end(&request_id),
        }
    }
}

/// The time in unix seconds.
fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn dial(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Option<ConnectionId> {
    let options = DialOpts::from(address.clone());
    let connection = options.connection_id();
    match swarm.dial(options) {
        Ok(()) => Some(connection),
        Err(error) => {
            debug!(%address, %error, "not dialed");
            None
        }
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), unix: unix() }
}

fn failure(error: &OutboundFailure) -> RequestFailure {
    match error {
        OutboundFailure::DialFailure => RequestFailure::NotConnected,
        OutboundFailure::Timeout => RequestFailure::Timeout,
        OutboundFailure::ConnectionClosed => RequestFailure::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => RequestFailure::Refused,
        OutboundFailure::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => RequestFailure::Refused,
            io::ErrorKind::InvalidData => RequestFailure::Malformed(error.to_string()),
            _ => RequestFailure::Io(error.to_string()),
        },
    }
}
