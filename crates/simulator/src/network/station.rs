//! One simulated machine: a node, its disk, its clock and its ends of the links. The links stand in for libp2p: they flood
//! gossip that the node accepts, drop what was seen before, match answers with requests and let them time out. All that
//! a station does is a function of its own state and of the orders that come; what it sends takes time to arrive.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::{Hash as _, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_network::{
    Command, Event, GossipToken, PeerId, RequestFailure, ResponseToken, Topic, Verdict, message_id,
    wire::{Request, Response},
};
use mass_node::{ChainError, Moment, Parts, Prover};
use mass_primitives::BlockId;
use mass_storage::{
    Store,
    fault::{FakeDisk, Pages},
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    farming::Farming,
    farms::Farms,
    machine::{Builder, Machine},
    scenario::SECOND,
};

/// As long as libp2p's gossip remembers a message.
const SEEN_FOR: u64 = 60 * SECOND;
/// As long as the real network waits for an answer.
const ANSWER_WITHIN: u64 = 20 * SECOND;
/// A node that crashes and whose disk is idle goes down after this time.
const IDLE_CRASH: u64 = 10 * SECOND;
/// What the database of a node keeps of its disk in memory: little, for there are many.
const CACHE_BYTES: usize = 256 << 10;

/// A gossiped message.
pub struct Gossip {
    pub topic: Topic,
    pub id: [u8; 32],
    pub bytes: Vec<u8>,
}

impl Gossip {
    pub fn new(topic: Topic, bytes: Vec<u8>) -> Self {
        Self { topic, id: message_id(&bytes), bytes }
    }
}

/// What goes over a link.
pub enum Packet {
    Gossip(Arc<Gossip>),
    Ask { number: u64, request: Request },
    Answer { number: u64, response: Box<Response> },
}

impl Packet {
    /// Bytes of the message itself, without those of the transport.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Gossip(gossip) => gossip.bytes.len(),
            Self::Ask { request, .. } => request.encoded_len(),
            Self::Answer { response, .. } => response.encoded_len(),
        }
    }
}

/// What happens to a station.
pub enum Order {
    /// Its clock enters a slot. The number is that of its present life.
    Tick(u32),
    /// Something came over a link.
    Packet { from: usize, packet: Packet },
    /// A link is up.
    LinkUp(usize),
    /// A link is down.
    LinkDown(usize),
    /// The disk fails after so many operations, and the machine with it.
    Fail { operations: u32, down: u64 },
    /// The power of this life is off.
    PowerOff(u32),
    /// The power is back.
    Restart,
}

impl Order {
    /// What this is, for the log of events: its kind, and what tells it from others of the kind.
    pub fn log(&self, log: &mut impl Hasher) {
        std::mem::discriminant(self).hash(log);
        match self {
            Self::Tick(life) | Self::PowerOff(life) => life.hash(log),
            Self::LinkUp(other) | Self::LinkDown(other) => other.hash(log),
            Self::Fail { operations, down } => (operations, down).hash(log),
            Self::Restart => {}
            Self::Packet { from, packet } => {
                (from, std::mem::discriminant(packet), packet.len()).hash(log);
                match packet {
                    Packet::Gossip(gossip) => gossip.id.hash(log),
                    Packet::Ask { number, .. } | Packet::Answer { number, .. } => number.hash(log),
                }
            }
        }
    }
}

/// An order on its way.
pub struct Sent {
    pub at: u64,
    pub to: usize,
    pub order: Order,
}

/// What all stations share and none changes.
pub struct Setting {
    pub spec: ChainSpec,
    pub ledger: UtxoLedger,
    pub prover: Arc<dyn Prover<UtxoLedger>>,
    pub builder: Builder,
    pub pages: Arc<Pages>,
    pub farms: Arc<Farms>,
    pub peers: Vec<PeerId>,
    pub names: HashMap<PeerId, usize>,
    pub start: Instant,
    /// Part of the messages that is lost.
    pub loss: f64,
    /// When the last block is sealed.
    pub farming_until: u64,
}

/// A moment of the world: the time, and who is cut off from whom.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub setting: &'a Setting,
    pub at: u64,
    pub sides: Option<&'a [bool]>,
}

struct Link {
    latency: u64,
    up: bool,
}

struct Asked {
    id: u64,
    to: usize,
    until: u64,
}

/// What is counted.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub sent: u64,
    pub bytes: u64,
    pub lost: u64,
    pub sealed: u64,
    pub crashes: u64,
    pub reorgs: u64,
    pub deepest: usize,
}

/// A machine.
pub struct Station {
    pub number: usize,
    pub machine: Option<Box<dyn Machine>>,
    pub farming: Option<Farming>,
    pub counts: Counts,
    /// Orders of the present window.
    pub inbox: Vec<(u64, Order)>,
    /// What was sent in it.
    pub outbox: Vec<Sent>,
    /// The tip when it was last looked at.
    pub tip: BlockId,
    /// Whether it went down in the present window.
    pub fell: bool,
    /// Links that the node itself ended.
    pub dropped: Vec<usize>,
    /// What no honest node should ever meet.
    pub fault: Option<(u64, String)>,
    pub(super) rng: ChaCha8Rng,
    disk: FakeDisk,
    skew: u64,
    life: u32,
    /// For how long it will be down, once it is.
    down: Option<u64>,
    links: BTreeMap<usize, Link>,
    seen: HashSet<[u8; 32]>,
    seen_order: VecDeque<(u64, [u8; 32])>,
    held: HashMap<[u8; 32], (Arc<Gossip>, usize)>,
    asked: BTreeMap<u64, Asked>,
    answering: BTreeMap<u64, (usize, u64)>,
    next: u64,
    local: VecDeque<Event>,
}

impl Station {
    /// A machine that is switched off, with an empty disk.
    pub fn new(
        number: usize,
        setting: &Setting,
        skew: u64,
        rng: ChaCha8Rng,
        farming: Option<Farming>,
    ) -> Self {
        Self {
            number,
            machine: None,
            farming,
            counts: Counts::default(),
            inbox: Vec::new(),
            outbox: Vec::new(),
            tip: BlockId::ZERO,
            fell: false,
            dropped: Vec::new(),
            fault: None,
            rng,
            disk: FakeDisk::new(Arc::clone(&setting.pages)),
            skew,
            life: 0,
            down: None,
            links: BTreeMap::new(),
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
            held: HashMap::new(),
            asked: BTreeMap::new(),
            answering: BTreeMap::new(),
            next: 0,
            local: VecDeque::new(),
        }
    }

    /// Adds an end of a link, which is down.
    pub fn wire(&mut self, other: usize, latency: u64) {
        self.links.insert(other, Link { latency, up: false });
    }

    /// Who is at the other ends.
    pub fn neighbours(&self) -> impl Iterator<Item = usize> + '_ {
        self.links.keys().copied()
    }

    /// What the clocks of this machine show.
    pub fn moment(&self, world: Surroundings<'_>) -> Moment {
        let unix = u64::from(world.setting.spec.rules().genesis_time) + (world.at + self.skew) / SECOND;
        Moment { unix, instant: world.setting.start + Duration::from_millis(world.at) }
    }

    /// Takes the orders of a window.
    pub fn process(&mut self, world: Surroundings<'_>) {
        for (at, order) in std::mem::take(&mut self.inbox) {
            self.obey(order, Surroundings { at, ..world });
        }
    }

    fn obey(&mut self, order: Order, world: Surroundings<'_>) {
        match order {
            Order::Restart => self.restart(world),
            _ if self.machine.is_none() => {}
            Order::Tick(life) if life == self.life => self.tick(world),
            Order::PowerOff(life) if life == self.life => self.fall(world),
            Order::Tick(_) | Order::PowerOff(_) => {}
            Order::Packet { from, packet } => self.receive(from, packet, world),
            Order::LinkUp(other) => {
                self.unlink(other, world);
                self.links.get_mut(&other).expect("a cable has two ends").up = true;
                self.act(world, |machine, now| {
                    machine.event(Event::PeerConnected(world.setting.peers[other]), now)
                });
            }
            Order::LinkDown(other) => self.unlink(other, world),
            Order::Fail { operations, down } => {
                self.down = Some(down);
                self.disk.fail_after(operations);
                let order = Order::PowerOff(self.life);
                self.outbox.push(Sent { at: world.at + IDLE_CRASH, to: self.number, order });
            }
        }
    }

    /// Lets the machine do something, and does what it wants done.
    pub(super) fn act(
        &mut self,
        world: Surroundings<'_>,
        deed: impl FnOnce(&mut dyn Machine, Moment) -> Result<(), ChainError>,
    ) {
        let now = self.moment(world);
        let Some(machine) = self.machine.as_deref_mut() else { return };
        let mut done = deed(machine, now);
        loop {
            if let Err(error) = done
                && error.is_fatal()
            {
                return self.fail(world, &error);
            }
            let Some(machine) = self.machine.as_deref_mut() else { return };
            for command in machine.take_commands() {
                self.perform(command, world);
            }
            let (Some(event), Some(machine)) = (self.local.pop_front(), self.machine.as_deref_mut()) else {
                return;
            };
            done = machine.event(event, now);
        }
    }

    /// A fatal error is the failing disk's, or else a fault.
    pub(super) fn fail(&mut self, world: Surroundings<'_>, error: &ChainError) {
        if self.down.is_none() {
            self.fault = Some((world.at, format!("the node ended by itself: {error}")));
        }
        self.fall(world);
    }

    fn fall(&mut self, world: Surroundings<'_>) {
        // The image is taken before the database closes, as a crash would.
        let dice = |below: usize| self.rng.gen_range(0..below.max(1));
        self.disk = self.disk.after_crash(dice);
        self.machine = None;
        self.tip = BlockId::ZERO;
        self.links.values_mut().for_each(|link| link.up = false);
        self.seen.clear();
        self.seen_order.clear();
        self.held.clear();
        self.asked.clear();
        self.answering.clear();
        self.local.clear();
        self.life += 1;
        self.fell = true;
        self.counts.crashes += 1;
        let down = self.down.take().unwrap_or(SECOND);
        self.outbox.push(Sent { at: world.at + down, to: self.number, order: Order::Restart });
    }

    fn restart(&mut self, world: Surroundings<'_>) {
        let (setting, now) = (world.setting, self.moment(world));
        let open = || -> Result<Box<dyn Machine>, ChainError> {
            let store = Store::open_on(self.disk.clone(), CACHE_BYTES, setting.spec.id())?;
            let parts = Parts {
                spec: setting.spec.clone(),
                ledger: setting.ledger.clone(),
                store,
                prover: Arc::clone(&setting.prover),
                beacon: None,
            };
            (setting.builder)(self.number, parts, now)
        };
        match open() {
            Ok(machine) => self.machine = Some(machine),
            Err(error) => {
                self.fault = Some((world.at, format!("what the disk holds cannot be opened: {error}")));
                return;
            }
        }
        self.tick(world);
    }

    fn tick(&mut self, world: Surroundings<'_>) {
        let late = self.asked.extract_if(.., |_, asked| asked.until <= world.at);
        let failed = late.map(|(_, Asked { id, to, .. })| Event::RequestFailed {
            id,
            peer: world.setting.peers[to],
            reason: RequestFailure::Timeout,
        });
        self.local.extend(failed);
        while self.seen_order.front().is_some_and(|(since, _)| since + SEEN_FOR < world.at) {
            if let Some((_, id)) = self.seen_order.pop_front() {
                self.seen.remove(&id);
            }
        }
        self.act(world, |machine, now| machine.tick(now));
        self.farm(world);
        let slot = u64::from(world.setting.spec.rules().slot_seconds) * SECOND;
        let at = ((world.at + self.skew) / slot + 1) * slot - self.skew;
        self.outbox.push(Sent { at, to: self.number, order: Order::Tick(self.life) });
    }

    fn unlink(&mut self, other: usize, world: Surroundings<'_>) {
        let Some(link) = self.links.get_mut(&other).filter(|link| link.up) else { return };
        link.up = false;
        let peer = world.setting.peers[other];
        let open = self.asked.extract_if(.., |_, asked| asked.to == other);
        let failed = open.map(|(_, Asked { id, .. })| Event::RequestFailed {
            id,
            peer,
            reason: RequestFailure::ConnectionClosed,
        });
        self.local.extend(failed);
        self.answering.retain(|_, (from, _)| *from != other);
        self.act(world, |machine, now| machine.event(Event::PeerDisconnected(peer), now));
    }

    fn receive(&mut self, from: usize, packet: Packet, world: Surroundings<'_>) {
        let is_deaf = self.is_away(world.at) && !matches!(packet, Packet::Ask { .. });
        if is_deaf || self.links.get(&from).is_none_or(|link| !link.up) {
            return;
        }
        let peer = world.setting.peers[from];
        let event = match packet {
            Packet::Gossip(gossip) => {
                if !self.is_news(gossip.id, world.at) {
                    return;
                }
                self.overhear(&gossip, world);
                let (topic, bytes) = (gossip.topic, gossip.bytes.clone());
                let token = GossipToken::new(gossip.id, peer);
                self.held.insert(gossip.id, (gossip, from));
                Event::Gossip { topic, from: peer, token, bytes }
            }
            Packet::Ask { number, request } => {
                self.next += 1;
                self.answering.insert(self.next, (from, number));
                Event::Request { peer, request, token: ResponseToken::new(self.next) }
            }
            Packet::Answer { number, response } => match self.asked.remove(&number) {
                Some(Asked { id, to, .. }) if to == from => Event::Response { id, peer, response: *response },
                _ => return,
            },
        };
        self.act(world, |machine, now| machine.event(event, now));
    }

    /// Whether a message was not seen before; it is now.
    fn is_news(&mut self, id: [u8; 32], at: u64) -> bool {
        let is_news = self.seen.insert(id);
        if is_news {
            self.seen_order.push_back((at, id));
        }
        is_news
    }

    fn perform(&mut self, command: Command, world: Surroundings<'_>) {
        match command {
            Command::Publish { topic, bytes } if self.keeps_back(topic, &bytes, world.at) => {}
            Command::Publish { topic, bytes } => self.publish(topic, bytes, |_| true, world),
            Command::Request { peer, request, id } => self.request(peer, request, id, world),
            Command::Respond { token, response } => {
                let Some((to, number)) = self.answering.remove(&token.number()) else { return };
                if let Some(response) = self.bend(response).filter(|response| response.check().is_ok()) {
                    self.send(to, Packet::Answer { number, response: Box::new(response) }, world);
                }
            }
            Command::Report { token, verdict } => {
                let held = self.held.remove(token.id());
                if let (Some((gossip, from)), Verdict::Accept) = (held, verdict) {
                    self.flood(&gossip, |to| to != from, world);
                }
            }
            Command::Disconnect(peer) | Command::Fault { peer, .. } => {
                let Some(other) = world.setting.names.get(&peer).copied() else { return };
                if let Some(link) = self.links.get_mut(&other).filter(|link| link.up) {
                    link.up = false;
                    self.dropped.push(other);
                    self.local.push_back(Event::PeerDisconnected(peer));
                }
            }
            _ => {}
        }
    }

    fn request(&mut self, peer: PeerId, request: Request, id: u64, world: Surroundings<'_>) {
        let to = world.setting.names.get(&peer).copied();
        let Some(to) = to.filter(|to| self.links.get(to).is_some_and(|link| link.up)) else {
            let reason = RequestFailure::NotConnected;
            return self.local.push_back(Event::RequestFailed { id, peer, reason });
        };
        self.next += 1;
        self.asked.insert(self.next, Asked { id, to, until: world.at + ANSWER_WITHIN });
        self.send(to, Packet::Ask { number: self.next, request }, world);
    }

    /// Neighbours of even or of odd number that can be reached.
    pub(super) fn reaches(&self, side: usize) -> usize {
        self.links.iter().filter(|(to, link)| link.up && *to % 2 == side).count()
    }

    /// Gossips to those neighbours that `whom` names.
    pub(super) fn publish(
        &mut self,
        topic: Topic,
        bytes: Vec<u8>,
        whom: impl Fn(usize) -> bool,
        world: Surroundings<'_>,
    ) {
        let gossip = Arc::new(Gossip::new(topic, bytes));
        if self.is_news(gossip.id, world.at) {
            self.flood(&gossip, whom, world);
        }
    }

    fn flood(&mut self, gossip: &Arc<Gossip>, whom: impl Fn(usize) -> bool, world: Surroundings<'_>) {
        let up = self.links.iter().filter(|(to, link)| link.up && whom(**to));
        for to in up.map(|(to, _)| *to).collect::<Vec<_>>() {
            self.send(to, Packet::Gossip(Arc::clone(gossip)), world);
        }
    }

    fn send(&mut self, to: usize, packet: Packet, world: Surroundings<'_>) {
        let Some(link) = self.links.get(&to).filter(|link| link.up) else { return };
        self.counts.sent += 1;
        self.counts.bytes += packet.len() as u64;
        let latency = link.latency + self.rng.gen_range(0..=link.latency / 4);
        let is_cut = world.sides.is_some_and(|sides| sides[self.number] != sides[to]);
        if self.rng.gen_bool(world.setting.loss) || is_cut {
            self.counts.lost += 1;
            return;
        }
        let order = Order::Packet { from: self.number, packet };
        self.outbox.push(Sent { at: world.at + latency, to, order });
    }
}
