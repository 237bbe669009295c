//! What must be true of a network, whatever happens to it. Honest nodes alone are looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use mass_consensus::tree::HeaderTree;
use mass_ledger_utxo::{LedgerParams, audit::audit};
use mass_primitives::{Amount, BlockId, FarmerPublicKey, Height, Slot};

use super::{
    Network,
    agreement::Agreement,
    farms::Farms,
    machine::Machine,
    scenario::{Conduct, SECOND, Scenario},
    station::Station,
    world::Found,
};

/// A node that comes back has so long to reach the height that the others had then.
const CATCH_UP_WITHIN: u64 = 300 * SECOND;
/// A ban must have followed so many double seals that others could see, for the messages of one may be lost; and the last
/// of these must be so long ago.
const OFFENCES: usize = 2;
const BAN_WITHIN: u64 = 1_200 * SECOND;
/// The least and the greatest part of the expected blocks that a chain must have, where chance has little say.
const GROWTH: std::ops::RangeInclusive<f64> = 0.25..=2.0;
/// From so many expected blocks on growth is looked at.
const GROWTH_FROM: f64 = 60.0;

/// Disagreement: two honest nodes have buried different blocks.
pub const AGREEMENT: &str = "no honest nodes disagree below the confirmation depth";
/// Disagreement that does not end.
pub const ONE_TIP: &str = "after the links are healed all honest nodes have one tip";
/// One tip, two states.
pub const ONE_STATE: &str = "nodes with one tip have one state";
/// A cheat goes unpunished.
pub const CHEATS: &str = "who seals twice is banned everywhere, and seals no further block of the chain";
/// An honest farmer is punished.
pub const HONEST: &str = "no honest key is banned";
/// A flood of headers.
pub const FLOODS: &str = "of one win no more than two blocks are kept on which nothing stands";
/// As the engine has it.
const SAME_WIN_MAX: usize = 2;
/// Coins from nowhere.
pub const SUPPLY: &str = "coins and pending rewards are what was issued and not burned";
/// A node that does not come back.
pub const CATCH_UP: &str = "a node that crashed catches up";
/// Nothing happens.
pub const GROWS: &str = "the chain grows at its pace";
/// A node that ends, or whose disk cannot be opened.
pub const RUNS: &str = "no node ends by itself, and each disk can be opened after a crash";

/// What is known at the end.
pub struct End {
    /// The tip of all.
    pub tip: BlockId,
    /// Its height.
    pub height: Height,
    /// Keys banned on its chain.
    pub banned: usize,
    /// Payments in its chain.
    pub payments: u64,
    /// Blocks that are linked, not refused, and not of the chain.
    pub stale: usize,
    /// Seconds from the genesis block to the tip.
    pub seconds: u64,
    /// The longest time in which a node caught up, in milliseconds.
    pub catch_up: u64,
    /// Blocks that two honest nodes disagreed about at some moment, at the most.
    pub disagreement: usize,
    /// Of all moves of tips, in their order.
    pub digest: u64,
}

/// A node that came back.
struct Behind {
    target: Height,
    since: u64,
    until: u64,
}

/// The checks of a run.
pub struct Checks {
    depth: usize,
    interval: u64,
    params: LedgerParams,
    end: u64,
    honest: BTreeSet<FarmerPublicKey>,
    cheats: Vec<(usize, FarmerPublicKey)>,
    conduct: Vec<Conduct>,
    buried: BTreeMap<Height, BlockId>,
    agreement: Agreement,
    behind: BTreeMap<usize, Behind>,
    is_cut: bool,
    height: Height,
    catch_up: u64,
    digest: DefaultHasher,
}

impl Checks {
    pub fn new(network: &Network, scenario: &Scenario, params: LedgerParams, farms: &Farms) -> Self {
        let rules = scenario.spec.rules();
        let key = |number: usize| farms.farmers()[number].secret.public();
        let who = |wanted: fn(&Conduct) -> bool| {
            let all = scenario.conduct.iter().enumerate();
            all.filter(move |(_, conduct)| wanted(conduct)).map(|(number, _)| number)
        };
        Self {
            depth: network.depth,
            interval: rules.interval_slots * u64::from(rules.slot_seconds) * SECOND,
            params,
            end: network.milliseconds(),
            honest: who(|conduct| !conduct.seals_twice()).map(key).collect(),
            cheats: who(|conduct| conduct.seals_twice()).map(|number| (number, key(number))).collect(),
            conduct: scenario.conduct.clone(),
            buried: BTreeMap::new(),
            agreement: Agreement::default(),
            behind: BTreeMap::new(),
            is_cut: false,
            height: Height::ZERO,
            catch_up: 0,
            digest: DefaultHasher::new(),
        }
    }

    /// The greatest height that an honest node had.
    pub const fn height(&self) -> Height {
        self.height
    }

    fn is_honest(&self, number: usize) -> bool {
        self.conduct.get(number).is_none_or(|conduct| *conduct == Conduct::Honest)
    }

    /// No time limit holds while the network is cut.
    pub fn cut_begins(&mut self) {
        self.is_cut = true;
    }

    /// The limits start anew.
    pub fn cut_ends(&mut self, at: u64) {
        self.is_cut = false;
        self.behind.values_mut().for_each(|behind| behind.until = at + CATCH_UP_WITHIN);
    }

    /// Looks at a station after a window.
    pub fn look(&mut self, station: &mut Station, at: u64) -> Result<(), Found> {
        if let Some((_, error)) = station.fault.take() {
            return Err((Some(station.number), RUNS, error));
        }
        let is_honest = self.is_honest(station.number);
        let Some(machine) = station.machine.as_deref() else {
            self.behind.remove(&station.number);
            self.agreement.gone(station.number);
            return Ok(());
        };
        let tip = machine.tip();
        let tree = machine.chain().engine().tree();
        let height = tree.get(&tip).map_or(Height::ZERO, |node| node.height);
        if station.counts.crashes > 0 && station.tip == BlockId::ZERO && is_honest {
            let behind = Behind { target: self.height, since: at, until: at + CATCH_UP_WITHIN };
            self.behind.insert(station.number, behind);
        }
        self.caught_up(station.number, height, at)?;
        if tip == station.tip {
            return Ok(());
        }
        (at, station.number, tip.get()).hash(&mut self.digest);
        let undone = tree.path(&station.tip, &tip).map_or(0, |(leave, _)| leave.len());
        if undone > 0 {
            station.counts.reorgs += 1;
        }
        if is_honest {
            station.counts.deepest = station.counts.deepest.max(undone);
            if undone > self.depth {
                let detail = format!("{undone} blocks below {} were undone", station.tip);
                return Err((Some(station.number), AGREEMENT, detail));
            }
            self.agreement.moved(station.number, machine, at);
            self.height = self.height.max(height);
            self.bury(station.number, machine)?;
            self.spare_the_honest(station.number, machine)?;
            Self::bar_the_banned(station.number, machine)?;
        }
        station.tip = tip;
        Ok(())
    }

    fn caught_up(&mut self, number: usize, height: Height, at: u64) -> Result<(), Found> {
        let Some(behind) = self.behind.get(&number) else { return Ok(()) };
        if height >= behind.target {
            self.catch_up = self.catch_up.max(at - behind.since);
            self.behind.remove(&number);
        } else if at > behind.until && !self.is_cut {
            let target = behind.target;
            return Err((Some(number), CATCH_UP, format!("height {height}, and it was to reach {target}")));
        }
        Ok(())
    }

    /// All that is deep below the tip must be what any honest node ever had there.
    fn bury(&mut self, number: usize, machine: &dyn Machine) -> Result<(), Found> {
        for (id, node) in machine.chain().engine().tree().ancestry(&machine.tip()).skip(self.depth) {
            match self.buried.get(&node.height) {
                Some(known) if *known == id => break,
                Some(known) => {
                    let detail = format!("height {}: {id} here, {known} elsewhere", node.height);
                    return Err((Some(number), AGREEMENT, detail));
                }
                None => self.buried.insert(node.height, id),
            };
        }
        Ok(())
    }

    /// A tip that a banned key sealed.
    fn bar_the_banned(number: usize, machine: &dyn Machine) -> Result<(), Found> {
        let tip = machine.tip();
        let farmer = machine.chain().engine().tree().get(&tip).and_then(|node| node.farmer);
        match farmer.filter(|key| machine.ban(key).is_some()) {
            Some(key) => {
                Err((Some(number), CHEATS, format!("{key} is banned, and its block {tip} is the tip")))
            }
            None => Ok(()),
        }
    }

    fn spare_the_honest(&self, number: usize, machine: &dyn Machine) -> Result<(), Found> {
        match machine.chain().engine().banned().find(|key| self.honest.contains(key)) {
            Some(key) => Err((Some(number), HONEST, format!("{key}"))),
            None => Ok(()),
        }
    }

    /// Looks at all stations after the network has settled.
    pub fn at_the_end(&mut self, stations: &mut [Station]) -> Result<End, Found> {
        for station in stations.iter().filter(|station| self.is_honest(station.number)) {
            if station.machine.is_none() {
                return Err((Some(station.number), CATCH_UP, "it is down".to_owned()));
            }
        }
        let honest: Vec<(usize, &dyn Machine)> = stations
            .iter()
            .filter(|station| self.is_honest(station.number))
            .filter_map(|station| Some((station.number, station.machine.as_deref()?)))
            .collect();
        let Some((first, reference)) = honest.first().copied() else {
            return Err((None, GROWS, "nobody is honest".to_owned()));
        };
        let tip = reference.tip();
        for (number, machine) in &honest {
            if machine.tip() != tip {
                let detail = format!("its tip is {}, that of node {first} is {tip}", machine.tip());
                return Err((Some(*number), ONE_TIP, detail));
            }
            self.spare_the_honest(*number, *machine)?;
            few_of_one_win(*number, *machine)?;
        }
        let height = self.growth(reference)?;
        let subsidies = (1..=height.get()).map(|height| self.params.subsidy(Height::new(height)).get());
        one_state(&honest, Amount::new(subsidies.sum()))?;
        let offences = |number: usize| {
            stations[number].farming.as_ref().map(|farming| farming.deceit.offences.as_slice())
        };
        let seen = self.agreement.double_sealers(self.end.saturating_sub(BAN_WITHIN));
        let mut banned = 0;
        for (number, key) in &self.cheats {
            let must = seen.contains(key)
                || offences(*number)
                    .and_then(|all| all.get(OFFENCES - 1))
                    .is_some_and(|at| at + BAN_WITHIN < self.end);
            banned += usize::from(banned_everywhere(&honest, key, must)?);
        }
        Ok(End {
            tip,
            height,
            banned,
            payments: payments(reference),
            stale: stale(reference.chain().engine().tree(), height),
            seconds: Self::seconds_to(reference),
            catch_up: self.catch_up,
            disagreement: self.agreement.deepest(),
            digest: self.digest.finish(),
        })
    }

    /// From the genesis block to the tip.
    fn seconds_to(reference: &dyn Machine) -> u64 {
        let (spec, tip) = (reference.chain().spec(), reference.tip());
        let slot = reference.chain().engine().tree().get(&tip).map_or(0, |node| node.slot.get());
        slot * u64::from(spec.rules().slot_seconds)
    }

    fn growth(&self, reference: &dyn Machine) -> Result<Height, Found> {
        let tip = reference.tip();
        let height = reference.chain().engine().tree().get(&tip).map_or(Height::ZERO, |node| node.height);
        let expected = self.end as f64 / self.interval as f64;
        if expected >= GROWTH_FROM && !GROWTH.contains(&(f64::from(height.get()) / expected)) {
            return Err((None, GROWS, format!("height {height}, {expected:.0} expected")));
        }
        Ok(height)
    }
}

/// One win can be sealed without end. No more than two of these blocks are kept on which nothing stands.
fn few_of_one_win(number: usize, machine: &dyn Machine) -> Result<(), Found> {
    let tree = machine.chain().engine().tree();
    let mut loose: BTreeMap<(FarmerPublicKey, Slot), usize> = BTreeMap::new();
    for id in tree.with_descendants(tree.genesis()).into_iter().filter(|id| tree.children(id).is_empty()) {
        let Some((farmer, slot)) = tree.get(&id).and_then(|node| Some((node.farmer?, node.slot))) else {
            continue;
        };
        let count = loose.entry((farmer, slot)).or_default();
        *count += 1;
        if *count > SAME_WIN_MAX {
            return Err((Some(number), FLOODS, format!("{count} blocks of {farmer} in slot {slot}")));
        }
    }
    Ok(())
}

/// The books of every node, and that all states are the same.
fn one_state(honest: &[(usize, &dyn Machine)], issued: Amount) -> Result<(), Found> {
    let mut first = None;
    for (number, machine) in honest {
        let fault = |error: String| (Some(*number), RUNS, error);
        let state = machine.chain().store().snapshot().map_err(|error| fault(error.to_string()))?;
        let entries = state.scan(b"").map_err(|error| fault(error.to_string()))?;
        let entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(|error| fault(error.to_string()))?;
        let books = audit(entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice())));
        if !books.is_some_and(|books| books.balances() && books.supply.issued == issued) {
            return Err((
                Some(*number),
                SUPPLY,
                format!("{} maxwell were to be issued: {books:?}", issued.get()),
            ));
        }
        let mut hasher = DefaultHasher::new();
        entries.hash(&mut hasher);
        let digest = hasher.finish();
        if *first.get_or_insert(digest) != digest {
            return Err((Some(*number), ONE_STATE, "its state is another".to_owned()));
        }
    }
    Ok(())
}

/// Whether a key is banned on the chain; it must be on all nodes or, if it need not be, on none, and then no later block
/// is its own.
fn banned_everywhere(
    honest: &[(usize, &dyn Machine)],
    key: &FarmerPublicKey,
    must: bool,
) -> Result<bool, Found> {
    let ban = honest.iter().find_map(|(_, machine)| machine.ban(key));
    for (number, machine) in honest {
        let wrong = |what: &str| Err((Some(*number), CHEATS, format!("{key}: {what}")));
        if machine.ban(key) != ban {
            return wrong("banned elsewhere and not here");
        }
        let Some(ban) = ban else {
            if must {
                return wrong("sealed twice and is not banned");
            }
            continue;
        };
        let tree = machine.chain().engine().tree();
        let tip = machine.tip();
        let later = tree.ancestry(&tip).take_while(|(id, _)| *id != ban);
        if later.map(|(_, node)| node.farmer).any(|farmer| farmer.as_ref() == Some(key)) {
            return wrong("it sealed a block of the chain after its ban");
        }
    }
    Ok(ban.is_some())
}

/// Blocks beside the chain, without those that nobody takes, which are passed on before they are executed.
fn stale(tree: &HeaderTree, height: Height) -> usize {
    let linked = tree.with_descendants(tree.genesis());
    linked.iter().filter(|id| !tree.is_condemned(id)).count() - 1 - height.get() as usize
}

fn payments(machine: &dyn Machine) -> u64 {
    let (chain, tip) = (machine.chain(), machine.tip());
    let bodies = chain.engine().tree().ancestry(&tip).filter_map(|(id, _)| chain.body(&id).ok()?);
    let decoded = bodies.filter_map(|body| {
        mass_ledger_utxo::body::Body::decode(&body, chain.ledger().params().weight_max).ok()
    });
    decoded.map(|body| body.payments().len() as u64).sum::<u64>().saturating_sub(1)
}
