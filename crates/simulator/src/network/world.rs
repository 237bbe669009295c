//! The loop: a queue of orders in virtual time. Orders that lie closer together than the least latency cannot touch one
//! another, so the stations take those of such a window at the same time on all cores, and what they send is queued in the
//! order of their numbers: a run is the same on each machine.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use mass_ledger_utxo::UtxoLedger;
use mass_network::peer_id;
use mass_node::{Chain, Prover};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    Network, NetworkError, Progress, Summary, Violation,
    checks::Checks,
    farming::Farming,
    farms::Farms,
    machine::Builder,
    payer::Payer,
    prover::Remembering,
    scenario::{LATENCY_MIN, SECOND, Scenario},
    station::{Order, Sent, Setting, Station, Surroundings},
};
use crate::random::Streams;

/// After the last seal, the network has so long to come to one tip.
pub const SETTLE: u64 = 600 * SECOND;
/// After so long, a link over which nothing comes is given up.
const GIVEN_UP_AFTER: u64 = 20 * SECOND;
/// How often links that are down are tried again.
const REDIAL_EVERY: u64 = 5 * SECOND;
/// How long a node waits before it goes back to one whom it dropped.
const DROPPED_FOR: u64 = 30 * SECOND;
/// Below so many stations at work a second thread costs more than it brings.
const PARALLEL_MIN: usize = 8;

struct Entry {
    at: u64,
    number: u64,
    to: usize,
    order: Order,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What happens to the network and not to one station.
#[derive(Clone, Copy)]
enum Deed {
    CutBegins(usize),
    /// The links of a cut are given up.
    CutBites(usize),
    CutEnds,
    Pay,
    Redial,
    Report,
}

/// A network in the making.
pub struct World {
    network: Network,
    setting: Setting,
    scenario: Scenario,
    stations: Vec<Mutex<Station>>,
    queue: BinaryHeap<Reverse<Entry>>,
    plan: BTreeMap<u64, Vec<Deed>>,
    /// Links that are down, and when they may be tried again.
    broken: BTreeMap<(usize, usize), u64>,
    cut: Option<usize>,
    payer: Payer,
    paid: u64,
    checks: Checks,
    rng: ChaCha8Rng,
    numbers: u64,
    log: Log,
}

/// The events so far.
#[derive(Default)]
pub struct Log {
    /// How many.
    pub events: u64,
    digest: DefaultHasher,
}

impl Log {
    fn note(&mut self, entry: &Entry) {
        self.events += 1;
        (entry.at, entry.number, entry.to).hash(&mut self.digest);
        entry.order.log(&mut self.digest);
    }

    /// Two runs that have the same had the same events in the same order.
    pub fn digest(&self) -> String {
        format!("{:016x}", self.digest.finish())
    }
}

fn violation(network: &Network, at: u64, log: &Log, (node, rule, detail): Found) -> NetworkError {
    let (seed, event, digest, replay) = (network.seed, log.events, log.digest(), network.command());
    NetworkError::Violation(Box::new(Violation {
        seed,
        event,
        milliseconds: at,
        node,
        rule,
        detail,
        digest,
        replay,
    }))
}

fn station(stations: &mut [Mutex<Station>], number: usize) -> &mut Station {
    stations[number].get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The network of a seed, switched off.
    pub fn new(network: &Network, farms: &Arc<Farms>, builder: Builder) -> Result<Self, NetworkError> {
        Self::with(network, farms, builder, Scenario::new(network, farms)?)
    }

    /// A network of a scenario.
    pub fn with(
        network: &Network,
        farms: &Arc<Farms>,
        builder: Builder,
        scenario: Scenario,
    ) -> Result<Self, NetworkError> {
        let streams = Streams::new(network.seed, "network");
        let peers: Vec<_> = (0..network.nodes as u64)
            .map(|number| {
                let mut seed = [1; 32];
                seed[..8].copy_from_slice(&number.to_le_bytes());
                peer_id(seed)
            })
            .collect();
        let ledger = Chain::<UtxoLedger>::ledger_of(&scenario.spec)?;
        let genesis = mass_consensus::ledger::Ledger::genesis(&ledger).0;
        let prover: Arc<dyn Prover<UtxoLedger>> = Arc::new(Remembering::default());
        let setting = Setting {
            spec: scenario.spec.clone(),
            ledger,
            prover,
            builder,
            pages: Arc::default(),
            farms: Arc::clone(farms),
            names: peers.iter().enumerate().map(|(number, peer)| (*peer, number)).collect(),
            peers,
            start: Instant::now(),
            loss: network.loss,
            farming_until: network.milliseconds(),
        };
        let stations = (0..network.nodes).map(|number| {
            let farming = scenario.conduct.get(number).map(|conduct| Farming::new(number, *conduct));
            let rng = streams.stream(1, number as u32);
            Station::new(number, &setting, scenario.skews[number], rng, farming)
        });
        let mut stations: Vec<Mutex<Station>> = stations.map(Mutex::new).collect();
        for cable in &scenario.cables {
            station(&mut stations, cable.one).wire(cable.other, cable.latency);
            station(&mut stations, cable.other).wire(cable.one, cable.latency);
        }
        let mut world = Self {
            broken: scenario.cables.iter().map(|cable| ((cable.one, cable.other), 0)).collect(),
            checks: Checks::new(network, &scenario, setting.ledger.params().clone(), farms),
            payer: Payer::new(&genesis).ok_or(NetworkError::Genesis)?,
            network: network.clone(),
            setting,
            scenario,
            stations,
            queue: BinaryHeap::new(),
            plan: BTreeMap::new(),
            cut: None,
            paid: 0,
            rng: streams.stream(2, 0),
            numbers: 0,
            log: Log::default(),
        };
        world.schedule();
        Ok(world)
    }

    fn schedule(&mut self) {
        for number in 0..self.network.nodes {
            let at = self.rng.gen_range(0..2 * SECOND);
            self.post(Sent { at, to: number, order: Order::Restart });
        }
        for crash in self.scenario.crashes.clone() {
            let order = Order::Fail { operations: crash.operations, down: crash.down };
            self.post(Sent { at: crash.at, to: crash.node, order });
        }
        let mut plan = |at: u64, deed: Deed| self.plan.entry(at).or_default().push(deed);
        for (number, cut) in self.scenario.cuts.iter().enumerate() {
            plan(cut.begins, Deed::CutBegins(number));
            if cut.begins + GIVEN_UP_AFTER < cut.ends {
                plan(cut.begins + GIVEN_UP_AFTER, Deed::CutBites(number));
            }
            plan(cut.ends, Deed::CutEnds);
        }
        self.scenario.payments.iter().for_each(|at| plan(*at, Deed::Pay));
        plan(0, Deed::Redial);
        plan(0, Deed::Report);
    }

    fn post(&mut self, sent: Sent) {
        self.numbers += 1;
        let Sent { at, to, order } = sent;
        self.queue.push(Reverse(Entry { at, number: self.numbers, to, order }));
    }

    /// Lets the network live to its end.
    ///
    /// # Errors
    /// [`NetworkError::Violation`] with what a check found.
    pub fn run(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Summary, NetworkError> {
        let end = self.network.milliseconds() + SETTLE;
        loop {
            let next = self.queue.peek().map_or(u64::MAX, |entry| entry.0.at);
            let planned = self.plan.first_key_value().map_or(u64::MAX, |(at, _)| *at);
            if next.min(planned) >= end {
                break;
            }
            if planned <= next {
                if let Some((at, deeds)) = self.plan.pop_first() {
                    deeds.into_iter().try_for_each(|deed| self.perform(at, deed, progress))?;
                }
            } else {
                self.window(next, planned.min(next + LATENCY_MIN))?;
            }
        }
        let at = end;
        let mut stations: Vec<Station> = self
            .stations
            .into_iter()
            .map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let found = self.checks.at_the_end(&mut stations);
        let end = found.map_err(|found| violation(&self.network, at, &self.log, found))?;
        Ok(Summary::new(&self.network, &self.scenario, &stations, &end, (&self.log, self.paid)))
    }

    fn window(&mut self, from: u64, to: u64) -> Result<(), NetworkError> {
        let mut active = Vec::new();
        while self.queue.peek().is_some_and(|entry| entry.0.at < to) {
            let Some(Reverse(entry)) = self.queue.pop() else { break };
            self.log.note(&entry);
            let inbox = &mut station(&mut self.stations, entry.to).inbox;
            if inbox.is_empty() {
                active.push(entry.to);
            }
            inbox.push((entry.at, entry.order));
        }
        active.sort_unstable();
        let sides = self.cut.map(|cut| self.scenario.cuts[cut].sides.as_slice());
        let world = Surroundings { setting: &self.setting, at: from, sides };
        let stations = &self.stations;
        let process =
            |number: &usize| stations[*number].lock().unwrap_or_else(PoisonError::into_inner).process(world);
        if active.len() < PARALLEL_MIN {
            active.iter().for_each(process);
        } else {
            active.par_iter().with_min_len(PARALLEL_MIN / 4).for_each(process);
        }
        for number in active {
            self.settle(number, from)?;
        }
        Ok(())
    }

    /// What a station did in a window, taken to the others and looked at.
    fn settle(&mut self, number: usize, at: u64) -> Result<(), NetworkError> {
        let one = station(&mut self.stations, number);
        let (sent, dropped) = (std::mem::take(&mut one.outbox), std::mem::take(&mut one.dropped));
        let fell = std::mem::take(&mut one.fell).then(|| one.neighbours().collect::<Vec<_>>());
        let found = self.checks.look(one, at);
        sent.into_iter().for_each(|sent| self.post(sent));
        for other in dropped {
            self.part(number, other, at + SECOND, at + DROPPED_FOR);
        }
        for other in fell.into_iter().flatten() {
            let noticed = at + self.rng.gen_range(SECOND..4 * SECOND);
            self.part(number, other, noticed, noticed);
        }
        found.map_err(|found| violation(&self.network, at, &self.log, found))
    }

    /// A link is down at one end; the other notices.
    fn part(&mut self, one: usize, other: usize, noticed: u64, again: u64) {
        self.post(Sent { at: noticed, to: other, order: Order::LinkDown(one) });
        self.broken.insert((one.min(other), one.max(other)), again);
    }

    fn perform(
        &mut self,
        at: u64,
        deed: Deed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), NetworkError> {
        match deed {
            Deed::CutBegins(number) => {
                self.cut = Some(number);
                self.checks.cut_begins();
            }
            Deed::CutBites(number) => {
                let sides = self.scenario.cuts[number].sides.clone();
                for cable in self.scenario.cables.clone() {
                    let (one, other) = (cable.one, cable.other);
                    if sides[one] != sides[other] && !self.broken.contains_key(&(one, other)) {
                        self.post(Sent { at, to: one, order: Order::LinkDown(other) });
                        self.part(one, other, at, at);
                    }
                }
            }
            Deed::CutEnds => {
                self.cut = None;
                self.checks.cut_ends(at);
            }
            Deed::Pay => self.pay(at)?,
            Deed::Redial => {
                self.redial(at);
                self.plan.entry(at + REDIAL_EVERY).or_default().push(Deed::Redial);
            }
            Deed::Report => {
                let height = self.checks.height();
                let (of, events) = (self.network.milliseconds() + SETTLE, self.log.events);
                progress(Progress { milliseconds: at, of, height, events });
                self.plan.entry(at + 60 * SECOND).or_default().push(Deed::Report);
            }
        }
        Ok(())
    }

    fn redial(&mut self, at: u64) {
        let sides = self.cut.map(|cut| self.scenario.cuts[cut].sides.clone());
        let due: Vec<_> =
            self.broken.iter().filter(|(_, when)| **when <= at).map(|(ends, _)| *ends).collect();
        for (one, other) in due {
            let is_up = [one, other].iter().all(|end| station(&mut self.stations, *end).machine.is_some());
            let is_cut = sides.as_ref().is_some_and(|sides| sides[one] != sides[other]);
            if is_up && !is_cut {
                self.broken.remove(&(one, other));
                let at = at + self.rng.gen_range(LATENCY_MIN..SECOND);
                self.post(Sent { at, to: one, order: Order::LinkUp(other) });
                self.post(Sent { at, to: other, order: Order::LinkUp(one) });
            }
        }
    }

    fn pay(&mut self, at: u64) -> Result<(), NetworkError> {
        let number = self.rng.gen_range(0..self.network.nodes);
        let sides = self.cut.map(|cut| self.scenario.cuts[cut].sides.as_slice());
        let world = Surroundings { setting: &self.setting, at, sides };
        let (payer, paid) = (&mut self.payer, &mut self.paid);
        station(&mut self.stations, number).act(world, |machine, now| {
            *paid += u64::from(payer.pay(machine, now)?);
            Ok(())
        });
        self.settle(number, at)
    }
}

/// What a check found: at which node, which rule, and what.
pub type Found = (Option<usize>, &'static str, String);
