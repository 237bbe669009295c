//! How soon a block reaches the far end of a row of nodes, told whole and told by what its receivers lack: production nodes
//! at each hop, links with a latency and a bandwidth, pools that know the block's transactions or most of them.
//!
//! Time is virtual. On request the time that each node takes for an event, as measured on this machine, goes by as
//! well; then figures differ from run to run, and else they are a function of the seed. Not here: a mesh, in which
//! paths are shorter, and what TCP and libp2p add.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bitcoin::{OutPoint, Transaction, consensus::serialize};
use mass_consensus::{
    header::SealClaim,
    ledger::Ledger as _,
    spec::{ChainSpec, SpecError},
};
use mass_farmer::RoundWork;
use mass_ledger_utxo::{UtxoLedger, body::Body};
use mass_network::{
    Command, Event, GossipToken, PeerId, ResponseToken, Topic, Verdict, peer_id, wire::Request,
};
use mass_node::{Afresh, Chain, ChainError, Moment, Node, Parts};
use mass_primitives::{BlockId, Round, Slot, VrfProof};
use mass_storage::{
    Store,
    fault::{FakeDisk, Pages},
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    NetworkError,
    farms::{Farmer, Farms},
    payer,
    scenario::payout,
    station::{Gossip, Packet},
};
use crate::random::Streams;

/// Microseconds in a millisecond: the virtual clock here counts microseconds.
const MILLI: u64 = 1_000;
/// Virtual time in which a block must be everywhere, in microseconds.
const PATIENCE: u64 = 300_000 * MILLI;
/// Seconds after the genesis block at which a run begins: slots of the past to farm in.
const BEGINS: u64 = 10_000_000;
/// What a database keeps of its disk in memory.
const CACHE_BYTES: usize = 32 << 20;
/// What the coins of the genesis block are worth.
const COIN: u64 = 10_000_000;

/// A row of nodes, and the blocks that go along it.
#[derive(Clone, Debug, PartialEq)]
pub struct Propagation {
    /// The seed of all randomness.
    pub seed: u64,
    /// Links between the first node and the last.
    pub hops: usize,
    /// Milliseconds from end to end of a link; up to a quarter more at random.
    pub latency: u64,
    /// Bytes in a second that go over a link in one direction.
    pub bandwidth: u64,
    /// Payments in a block.
    pub payments: usize,
    /// Blocks.
    pub blocks: usize,
    /// Part of the payments that each pool knows.
    pub known: f64,
    /// Whether the time that nodes take goes by.
    pub timed: bool,
}

/// How blocks are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Compact,
    Whole,
}

/// What was measured of one manner of telling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// Milliseconds until the far end had a block: the median.
    pub p50: f64,
    /// The same: 95 of 100 were not slower.
    pub p95: f64,
    /// The slowest.
    pub max: f64,
    /// Bytes of one block over one link, questions and answers included.
    pub bytes: u64,
    /// Milliseconds that a node took for a block, on average; zero if that is not measured.
    pub node: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Propagated {
    /// Length of a block on average.
    pub block_bytes: u64,
    /// Told by what receivers lack.
    pub compact: Reach,
    /// Told whole.
    pub whole: Reach,
}

impl Propagation {
    /// Runs the row twice, with the same blocks.
    ///
    /// # Errors
    /// [`NetworkError`] if there is no network, or a block does not arrive.
    pub fn run(&self, farms: &Farms) -> Result<Propagated, NetworkError> {
        let (block_bytes, compact) = Row::new(self, farms, Manner::Compact)?.run()?;
        let (_, whole) = Row::new(self, farms, Manner::Whole)?.run()?;
        Ok(Propagated { block_bytes, compact, whole })
    }
}

/// The development network's chain with coins for as many payments; every quality wins every slot.
fn chain(payments: usize) -> Result<ChainSpec, SpecError> {
    let mut file = ChainSpec::built_in("dev").ok_or(SpecError::Name)?.file().clone();
    file.rules.name = "row".to_owned();
    (file.rules.round_slots, file.rules.period_blocks) = (64, 64);
    (file.rules.difficulty_initial, file.rules.difficulty_min) = (1_000_000, 1_000_000);
    file.rules.difficulty_tau_slots = 100_000;
    let prefix = file.rules.ledger.params["address_prefix"].clone();
    file.rules.ledger.params["genesis_outputs"] = payer::outputs(&prefix, payments, COIN);
    ChainSpec::new(file)
}

/// A packet on its way.
struct Sent {
    from: usize,
    to: usize,
    packet: Packet,
}

/// A node of the row, with its ends of two links.
struct Hop {
    node: Node<UtxoLedger>,
    /// When it is done with what it does.
    busy: u64,
    /// For how long it was busy.
    spent: u64,
    seen: HashSet<[u8; 32]>,
    held: HashMap<[u8; 32], (Arc<Gossip>, usize)>,
    asked: BTreeMap<u64, u64>,
    answering: BTreeMap<u64, (usize, u64)>,
    next: u64,
}

struct Row<'a> {
    plan: &'a Propagation,
    manner: Manner,
    farmer: &'a Farmer,
    spec: ChainSpec,
    hops: Vec<Hop>,
    peers: Vec<PeerId>,
    /// By time and number.
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    packets: HashMap<u64, Sent>,
    /// When each direction of a link is free, and when what it carries last arrives.
    free: HashMap<(usize, usize), (u64, u64)>,
    /// Bytes that went over all links.
    bytes: u64,
    numbers: u64,
    at: u64,
    start: Instant,
    rng: ChaCha8Rng,
    /// Payments to spend next: their coins, and what these are worth.
    coins: Vec<(OutPoint, u64)>,
    /// When the far end had which tip.
    arrivals: BTreeMap<BlockId, u64>,
}

impl<'a> Row<'a> {
    fn new(plan: &'a Propagation, farms: &'a Farms, manner: Manner) -> Result<Self, NetworkError> {
        let farmer = farms.farmers().first().ok_or(NetworkError::Farms { got: 0, expected: 1 })?;
        let spec = chain(plan.payments)?;
        let (start, count) = (Instant::now(), plan.hops + 1);
        let now = Moment { unix: u64::from(spec.rules().genesis_time) + BEGINS, instant: start };
        let pages = Arc::<Pages>::default();
        let hop = |_| -> Result<Hop, NetworkError> {
            // A ledger of its own: what one node has verified, another has not.
            let ledger = Chain::<UtxoLedger>::ledger_of(&spec)?;
            let disk = FakeDisk::new(Arc::clone(&pages));
            let store = Store::open_on(disk, CACHE_BYTES, spec.id()).map_err(ChainError::from)?;
            let parts = Parts { spec: spec.clone(), ledger, store, prover: Arc::new(Afresh), beacon: None };
            let mut node = Node::new(Chain::with(parts)?, now);
            node.tick(now)?;
            let (seen, held) = (HashSet::new(), HashMap::new());
            let (asked, answering) = (BTreeMap::new(), BTreeMap::new());
            Ok(Hop { node, busy: 0, spent: 0, seen, held, asked, answering, next: 0 })
        };
        let ledger = Chain::<UtxoLedger>::ledger_of(&spec)?;
        let genesis = Body::decode(&ledger.genesis().0, u64::MAX).map_err(|_| NetworkError::Genesis)?;
        let txid = genesis.payments().first().ok_or(NetworkError::Genesis)?.compute_txid();
        let coins = (0..plan.payments as u32).map(|vout| (OutPoint { txid, vout }, COIN)).collect();
        let mut row = Self {
            plan,
            manner,
            farmer,
            hops: (0..count).map(hop).collect::<Result<_, _>>()?,
            peers: (0..count).map(|number| peer_id([number as u8 + 1; 32])).collect(),
            spec,
            queue: BinaryHeap::new(),
            packets: HashMap::new(),
            free: HashMap::new(),
            bytes: 0,
            numbers: 0,
            at: 0,
            start,
            rng: Streams::new(plan.seed, "propagation").stream(0, 0),
            coins,
            arrivals: BTreeMap::new(),
        };
        for number in 0..count {
            for other in row.neighbours(number) {
                let event = Event::PeerConnected(row.peers[other]);
                row.happens(number, event)?;
            }
        }
        row.settle()?;
        Ok(row)
    }

    fn neighbours(&self, number: usize) -> Vec<usize> {
        [number.checked_sub(1), (number < self.plan.hops).then_some(number + 1)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn moment(&self) -> Moment {
        let unix = u64::from(self.spec.rules().genesis_time) + BEGINS + self.at / (1_000 * MILLI);
        Moment { unix, instant: self.start + Duration::from_micros(self.at) }
    }

    fn run(mut self) -> Result<(u64, Reach), NetworkError> {
        let (mut times, mut lengths) = (Vec::new(), 0);
        let (before, spent) = (self.bytes, self.spent());
        for _ in 0..self.plan.blocks {
            self.fill_pools()?;
            let (id, begins) = (self.mine()?, self.at);
            self.settle()?;
            times.push((self.arrived(&id)? - begins) as f64 / MILLI as f64);
            let block = self.hops[0].node.chain().block_bytes(&id)?;
            lengths += block.map_or(0, |block| block.len() as u64);
        }
        times.sort_by(f64::total_cmp);
        let quantile = |part: f64| {
            let rank = (part * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        let blocks = self.plan.blocks.max(1) as u64;
        let links = blocks * self.plan.hops.max(1) as u64;
        let node = (self.spent() - spent) as f64 / (MILLI * links) as f64;
        let bytes = (self.bytes - before) / links;
        let reach = Reach { p50: quantile(0.5), p95: quantile(0.95), max: quantile(1.0), bytes, node };
        Ok((lengths / blocks, reach))
    }

    fn spent(&self) -> u64 {
        self.hops.iter().map(|hop| hop.spent).sum()
    }

    /// Payments of all coins come into the pools, without the network.
    fn fill_pools(&mut self) -> Result<(), NetworkError> {
        let payments: Vec<Transaction> =
            self.coins.iter().map(|(coin, amount)| payer::payment(*coin, *amount)).collect();
        let now = self.moment().unix;
        for tx in &payments {
            let bytes = serialize(tx);
            for (number, hop) in self.hops.iter_mut().enumerate() {
                if number == 0 || self.rng.gen_bool(self.plan.known) {
                    hop.node.chain_mut().take_transaction(&bytes, now)?;
                }
            }
        }
        let coin = |tx: &Transaction| {
            let amount = tx.output.first().map_or(0, |output| output.value.to_sat());
            (OutPoint { txid: tx.compute_txid(), vout: 0 }, amount)
        };
        self.coins = payments.iter().map(coin).collect();
        Ok(())
    }

    /// The first node seals a block.
    fn mine(&mut self) -> Result<BlockId, NetworkError> {
        let (claim, vrf_proof) = self.win()?;
        let (now, payout) = (self.moment(), payout(&self.spec, 1));
        let node = &mut self.hops[0].node;
        let header = node.chain_mut().prepare(claim, &payout)?;
        let signature = self.farmer.secret.sign(&claim.chain, &header.id(), &mut self.rng);
        node.submit(&header.id(), vrf_proof, signature, now)?;
        self.perform(0);
        Ok(header.id())
    }

    fn win(&mut self) -> Result<(SealClaim, VrfProof), NetworkError> {
        let (spec, farmer) = (&self.spec, self.farmer);
        let slot = spec.slot_at(self.moment().unix).unwrap_or(Slot::ZERO);
        let expected = self.hops[0].node.chain().expectation(slot)?;
        let first = spec.round(expected.after).get();
        for round in (first..).map(Round::new).take_while(|round| spec.round_start(*round) <= slot) {
            let (output, proof) = farmer.secret.evaluate(spec.id(), &expected.seed, round, &mut self.rng);
            let mut work = RoundWork::new(round, expected.seed, output, proof);
            work.add(spec, &farmer.look_up(spec, &expected.seed, round));
            while let Some(draw) = work.unsolved(expected.after, expected.difficulty) {
                let (key, proof) = (mass_farmer::proof_key(draw), farmer.solve(draw));
                work.solved(key, proof);
            }
            if let Some((draw, proof)) = work.due(expected.after, slot, expected.difficulty) {
                let claim = SealClaim {
                    chain: *spec.id(),
                    height: expected.height,
                    slot: draw.slot,
                    difficulty: expected.difficulty,
                    seed: expected.seed,
                    group: draw.identity,
                    index: draw.index,
                    proof: *proof,
                    vrf_output: work.output,
                };
                return Ok((claim, work.vrf_proof));
            }
        }
        Err(ChainError::Early(slot).into())
    }

    /// When the far end had a block.
    fn arrived(&self, id: &BlockId) -> Result<u64, NetworkError> {
        let missing = || ChainError::Refused(format!("block {id} did not arrive")).into();
        self.arrivals.get(id).copied().ok_or_else(missing)
    }

    /// Lets all that is on its way arrive.
    fn settle(&mut self) -> Result<(), NetworkError> {
        let (until, mut latest) = (self.at + PATIENCE, self.at);
        while let Some(Reverse((at, number))) = self.queue.pop() {
            let Some(Sent { from, to, packet }) = self.packets.remove(&number) else { continue };
            if at > until {
                break;
            }
            // A node does one thing after the other.
            self.at = at.max(self.hops[to].busy);
            self.receive(from, to, packet)?;
            latest = latest.max(self.at);
        }
        self.at = latest;
        Ok(())
    }

    fn receive(&mut self, from: usize, to: usize, packet: Packet) -> Result<(), NetworkError> {
        let (peer, hop) = (self.peers[from], &mut self.hops[to]);
        let event = match packet {
            Packet::Gossip(gossip) => {
                if !hop.seen.insert(gossip.id) {
                    return Ok(());
                }
                let (topic, bytes, token) =
                    (gossip.topic, gossip.bytes.clone(), GossipToken::new(gossip.id, peer));
                hop.held.insert(gossip.id, (gossip, from));
                Event::Gossip { topic, from: peer, token, bytes }
            }
            Packet::Ask { number, request } => {
                hop.next += 1;
                hop.answering.insert(hop.next, (from, number));
                Event::Request { peer, request, token: ResponseToken::new(hop.next) }
            }
            Packet::Answer { number, response } => match hop.asked.remove(&number) {
                Some(id) => Event::Response { id, peer, response: *response },
                None => return Ok(()),
            },
        };
        self.happens(to, event)
    }

    fn happens(&mut self, number: usize, event: Event) -> Result<(), NetworkError> {
        let (now, begins) = (self.moment(), Instant::now());
        self.hops[number].node.event(event, now)?;
        self.took(number, begins);
        self.perform(number);
        while self.hops[number].node.has_work() {
            let (now, begins) = (self.moment(), Instant::now());
            self.hops[number].node.proceed(now)?;
            self.took(number, begins);
            self.perform(number);
        }
        if number == self.plan.hops {
            let tip = *self.hops[number].node.chain().engine().tip();
            self.arrivals.entry(tip).or_insert(self.at);
        }
        Ok(())
    }

    /// A node did something that began at this time.
    fn took(&mut self, number: usize, begins: Instant) {
        if self.plan.timed {
            let took = begins.elapsed().as_micros() as u64;
            self.at += took;
            self.hops[number].spent += took;
        }
        self.hops[number].busy = self.at;
    }

    fn perform(&mut self, number: usize) {
        for command in self.hops[number].node.take_commands() {
            match command {
                Command::Publish { topic, bytes } => {
                    let (topic, bytes) = self.told(number, topic, bytes);
                    let gossip = Arc::new(Gossip::new(topic, bytes));
                    self.hops[number].seen.insert(gossip.id);
                    self.flood(number, None, &gossip);
                }
                Command::Report { token, verdict } => {
                    let held = self.hops[number].held.remove(token.id());
                    if let (Some((gossip, from)), Verdict::Accept) = (held, verdict) {
                        self.flood(number, Some(from), &gossip);
                    }
                }
                Command::Request { peer, request, id } => self.ask(number, peer, request, id),
                Command::Respond { token, response } => {
                    let answering = self.hops[number].answering.remove(&token.number());
                    if let Some((to, asked)) = answering {
                        self.send(number, to, Packet::Answer { number: asked, response: Box::new(response) });
                    }
                }
                _ => {}
            }
        }
    }

    /// A message as this run wants it: a compact block becomes whole where blocks are told whole.
    fn told(&self, number: usize, topic: Topic, bytes: Vec<u8>) -> (Topic, Vec<u8>) {
        let chain = self.hops[number].node.chain();
        let whole = mass_node::gossiped_header(topic, &bytes)
            .filter(|_| self.manner == Manner::Whole)
            .and_then(|sealed| chain.block_bytes(&sealed.id()).ok().flatten());
        whole.map_or((topic, bytes), |block| (Topic::Blocks, block))
    }

    fn ask(&mut self, number: usize, peer: PeerId, request: Request, id: u64) {
        let Some(to) = self.peers.iter().position(|known| *known == peer) else { return };
        let hop = &mut self.hops[number];
        hop.next += 1;
        let own = hop.next;
        hop.asked.insert(own, id);
        self.send(number, to, Packet::Ask { number: own, request });
    }

    fn flood(&mut self, number: usize, but: Option<usize>, gossip: &Arc<Gossip>) {
        for to in self.neighbours(number).into_iter().filter(|to| Some(*to) != but) {
            self.send(number, to, Packet::Gossip(Arc::clone(gossip)));
        }
    }

    /// One after the other over a link, as fast as it is, and none before what was sent earlier.
    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        let (length, latency) = (packet.len() as u64, self.plan.latency * MILLI);
        let latency = latency + self.rng.gen_range(0..=latency / 4);
        let (free, last) = self.free.entry((from, to)).or_default();
        *free = self.at.max(*free) + length.saturating_mul(1_000 * MILLI) / self.plan.bandwidth.max(1);
        *last = (*free + latency).max(*last);
        self.bytes += length;
        self.numbers += 1;
        self.queue.push(Reverse((*last, self.numbers)));
        self.packets.insert(self.numbers, Sent { from, to, packet });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_block_is_sooner_at_the_end_and_takes_a_part_of_the_bytes() {
        let farms = Farms::make(1).unwrap();
        let plan = Propagation {
            seed: 1,
            hops: 3,
            latency: 50,
            bandwidth: 125_000,
            payments: 60,
            blocks: 3,
            known: 1.0,
            timed: false,
        };
        let all = plan.run(&farms).unwrap();
        assert_eq!(all, plan.run(&farms).unwrap(), "a function of the seed");
        assert!(all.block_bytes > 60 * 180, "{all:?}");
        assert!(all.compact.bytes * 5 < all.whole.bytes && all.whole.bytes >= all.block_bytes, "{all:?}");
        assert!((150.0..250.0).contains(&all.compact.p95) && all.whole.p50 > all.compact.max, "{all:?}");
        // One more way there and back for each hop that lacks some.
        let some = Propagation { known: 0.9, ..plan }.run(&farms).unwrap();
        assert!((400.0..640.0).contains(&some.compact.p50), "{some:?}");
        assert!(some.compact.bytes < some.whole.bytes, "{some:?}");
    }
}
