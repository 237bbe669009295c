//! Networks as they should be, and networks in which one rule is left off: the checks must find it.

use std::sync::{Arc, Mutex, Weak};

use mass_consensus::header::SealedHeader;
use mass_ledger_utxo::{LedgerParams, UtxoLedger};
use mass_network::{Command, Event, Topic, wire::Response};
use mass_node::{Chain, ChainError, Moment, Node, Parts, gossiped_header};
use mass_primitives::{Amount, BlockId, Decode as _, Reader, SealSignature, VrfProof};

use super::{
    Builder, Farms, Machine, Network, NetworkError, Summary, Violation,
    checks::{AGREEMENT, CATCH_UP, CHEATS, ONE_TIP, SUPPLY},
    scenario::{Cable, Crash, Cut, SECOND, Scenario},
    world::World,
};

/// Plots are made once for all tests that run at the same time, and removed with the last of these.
fn farms() -> Arc<Farms> {
    static FARMS: Mutex<Weak<Farms>> = Mutex::new(Weak::new());
    let mut shared = FARMS.lock().unwrap();
    let farms = shared.upgrade().unwrap_or_else(|| Arc::new(Farms::make(14).unwrap()));
    *shared = Arc::downgrade(&farms);
    farms
}

fn run(network: &Network) -> Result<Summary, NetworkError> {
    network.run(&farms(), &mut |_| {})
}

/// A seed's network: each of another size.
fn network(seed: u64, minutes: u64) -> Network {
    Network::new(seed, 5 + (seed as usize * 7) % 20, minutes)
}

fn check(seeds: std::ops::Range<u64>, minutes: u64) {
    let (_plots, mut summaries) = (farms(), Vec::new());
    for seed in seeds {
        let summary = run(&network(seed, minutes)).unwrap();
        assert_eq!(summary.seed, seed);
        let Summary { nodes, height, stale, deepest_reorg, deepest_disagreement, .. } = summary;
        eprintln!(
            "seed {seed}: {nodes} nodes, height {height}, {stale} stale, reorgs of {deepest_reorg}, \
             disagreement of {deepest_disagreement}, {} events",
            summary.events
        );
        summaries.push(summary);
    }
    let deepest = |depth: fn(&Summary) -> usize| summaries.iter().map(depth).max();
    let (reorg, disagreement) =
        (deepest(|summary| summary.deepest_reorg), deepest(|summary| summary.deepest_disagreement));
    eprintln!("{} seeds: deepest reorg {reorg:?}, deepest disagreement {disagreement:?}", summaries.len());
    // The runs were what they claim to be.
    let sum = |count: fn(&Summary) -> u64| summaries.iter().map(count).sum::<u64>();
    let runs = summaries.len() as u64;
    assert!(sum(|summary| summary.banned as u64) * 2 > runs, "cheats are found out");
    assert!(sum(|summary| summary.crashes) >= runs && sum(|summary| summary.reorgs) > runs);
    assert!(sum(|summary| summary.payments_confirmed) * 2 > sum(|summary| summary.payments));
    assert!(sum(|summary| summary.lost) > 100 * runs);
}

#[test]
fn networks_hold() {
    check(0..10, 60);
}

#[test]
#[ignore = "minutes: cargo xtask slow network"]
fn many_networks_hold() {
    check(1_000..1_200, 120);
}

#[test]
fn a_seed_gives_the_same_run_on_one_core_and_on_many() {
    let (_plots, network) = (farms(), Network { farmers: 8, ..Network::new(3, 60, 30) });
    let many = run(&network).unwrap();
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let one = one_core.install(|| run(&network)).unwrap();
    assert_eq!(many, one);
    let other = run(&Network { seed: 4, ..network }).unwrap();
    assert_ne!(many.log, other.log);
}

/// A production node of which one thing is other than it should be.
struct Planted {
    node: Node<UtxoLedger>,
    /// What it hears.
    hears: fn(&mut Self, &Event) -> bool,
    /// What it says.
    says: fn(&Command) -> bool,
    /// The tip that it believes in, if another than the engine's.
    belief: Option<BlockId>,
}

impl Planted {
    fn start(
        parts: Parts<UtxoLedger>,
        now: Moment,
        hears: fn(&mut Self, &Event) -> bool,
        says: fn(&Command) -> bool,
    ) -> Result<Box<dyn Machine>, ChainError> {
        Ok(Box::new(Self { node: Node::new(Chain::with(parts)?, now), hears, says, belief: None }))
    }
}

impl Machine for Planted {
    fn tick(&mut self, now: Moment) -> Result<(), ChainError> {
        Machine::tick(&mut self.node, now)
    }

    fn event(&mut self, event: Event, now: Moment) -> Result<(), ChainError> {
        let hears = self.hears;
        if hears(self, &event) {
            let before = *self.node.chain().engine().tip();
            Machine::event(&mut self.node, event, now)?;
            self.belief = self.belief.filter(|_| before == *self.node.chain().engine().tip());
        }
        Ok(())
    }

    fn submit(
        &mut self,
        id: &BlockId,
        vrf_proof: VrfProof,
        signature: SealSignature,
        now: Moment,
    ) -> Result<(), ChainError> {
        Machine::submit(&mut self.node, id, vrf_proof, signature, now)
    }

    fn pay(&mut self, bytes: Vec<u8>, now: Moment) -> Result<(), ChainError> {
        self.node.pay(bytes, now).map(drop)
    }

    fn take_commands(&mut self) -> Vec<Command> {
        self.node.take_commands().into_iter().filter(self.says).collect()
    }

    fn chain(&self) -> &Chain<UtxoLedger> {
        self.node.chain()
    }

    fn chain_mut(&mut self) -> &mut Chain<UtxoLedger> {
        self.node.chain_mut()
    }

    fn tip(&self) -> BlockId {
        self.belief.unwrap_or(*self.node.chain().engine().tip())
    }
}

/// A node that has no farmer in the network of [`planted`], so that nobody but it is led astray.
const ONE: usize = 15;

fn start(parts: Parts<UtxoLedger>, now: Moment) -> Result<Box<dyn Machine>, ChainError> {
    Ok(Box::new(Node::new(Chain::with(parts)?, now)))
}

/// Nodes that hear but some things: all, or one alone.
fn deaf(is_one: bool, hears: fn(&mut Planted, &Event) -> bool) -> Builder {
    Arc::new(move |number, parts, now| {
        if is_one && number != ONE {
            return start(parts, now);
        }
        Planted::start(parts, now, hears, |_| true)
    })
}

/// Nodes whose ledger pays a hundredth too much: all, or one alone.
fn generous(is_one: bool) -> Builder {
    Arc::new(move |number, mut parts, now| {
        if !is_one || number == ONE {
            let params = parts.ledger.params();
            let subsidy_initial = Amount::new(params.subsidy_initial.get() * 101 / 100);
            let params = LedgerParams { subsidy_initial, ..params.clone() };
            parts.ledger = UtxoLedger::new(params, parts.spec.id()).unwrap();
        }
        start(parts, now)
    })
}

/// What the checks find in one network with a fault in it, twice the same.
fn planted(builder: &Builder) -> Violation {
    let (_plots, network) = (farms(), Network { crashes: 8, ..Network::new(7, 18, 120) });
    let find = || match network.run_with(&farms(), Arc::clone(builder), &mut |_| {}) {
        Err(NetworkError::Violation(violation)) => violation,
        other => panic!("nothing was found: {other:?}"),
    };
    let found = find();
    // With the digest of all events up to there.
    assert_eq!(found, find(), "a seed shows it again");
    assert_eq!(found.replay, network.command());
    assert_eq!(found.seed, 7);
    *found
}

/// The seals that an event brings.
fn seals(event: &Event) -> Vec<SealedHeader> {
    let header = |bytes: &Vec<u8>| SealedHeader::decode(&mut Reader::new(bytes)).ok();
    match event {
        Event::Gossip { topic, bytes, .. } => gossiped_header(*topic, bytes).into_iter().collect(),
        Event::Response { response: Response::Headers(headers), .. } => {
            headers.iter().filter_map(header).collect()
        }
        Event::Response { response: Response::Blocks(blocks), .. } => {
            blocks.iter().flatten().filter_map(header).collect()
        }
        _ => Vec::new(),
    }
}

fn gossiped(event: &Event) -> Option<SealedHeader> {
    seals(event).pop().filter(|_| matches!(event, Event::Gossip { .. }))
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let network = Network { crashes: 8, ..Network::new(7, 18, 120) };
    network.run_with(&farms(), deaf(false, |_, _| true), &mut |_| {}).unwrap();
}

#[test]
fn a_node_that_keeps_to_the_branch_that_it_saw_first_is_found() {
    let found = planted(&deaf(true, |planted, event| {
        let on_tip = gossiped(event).is_none_or(|sealed| sealed.header.parent == planted.tip());
        on_tip && !matches!(event, Event::Response { .. })
    }));
    assert!([AGREEMENT, ONE_TIP, CATCH_UP].contains(&found.rule), "{found}");
    assert_eq!(found.node, Some(ONE));
}

#[test]
fn nodes_that_take_blocks_of_banned_keys_are_found() {
    let found = planted(&deaf(false, |planted, event| {
        let banned = |sealed: &SealedHeader| planted.ban(sealed.seal.claim.farmer()).is_some();
        let on_tip = |sealed: &SealedHeader| sealed.header.parent == planted.tip();
        let believed = gossiped(event).filter(|sealed| banned(sealed) && on_tip(sealed));
        planted.belief = believed.map(|sealed| sealed.id()).or(planted.belief);
        true
    }));
    assert_eq!(found.rule, CHEATS, "{found}");
}

#[test]
fn nodes_that_do_not_look_for_double_seals_are_found() {
    let found = planted(&deaf(false, |planted, event| {
        let store = planted.chain().store();
        let is_first = |sealed: &SealedHeader| {
            let claim = &sealed.seal.claim;
            let known = store.headers_by_seal(claim.farmer(), claim.slot).unwrap();
            known.iter().all(|known| *known == sealed.id())
        };
        seals(event).iter().all(is_first) && !matches!(event, Event::Gossip { topic: Topic::Evidence, .. })
    }));
    assert!([CHEATS, ONE_TIP, AGREEMENT, CATCH_UP].contains(&found.rule), "{found}");
}

#[test]
fn a_ledger_that_pays_too_much_is_found_on_one_node_and_on_all() {
    let found = planted(&generous(false));
    assert_eq!(found.rule, SUPPLY, "{found}");
    let found = planted(&generous(true));
    assert_eq!(found.node, Some(ONE), "{found}");
}

#[test]
fn a_node_that_does_not_take_answers_is_found() {
    let found = planted(&deaf(true, |_, event| !matches!(event, Event::Response { .. })));
    assert!([CATCH_UP, ONE_TIP].contains(&found.rule), "{found}");
    assert_eq!(found.node, Some(ONE));
}

/// Behind a cut farmer 0 seals twice, for 5 and for 6, who hear of each other through the other side alone. Neither branch
/// is the better one when the cut ends, and then the farmer is gone.
fn parted(builder: Builder) -> Result<Summary, NetworkError> {
    let network = Network { farmers: 4, payments: 0, loss: 0.0, ..Network::new(1, 7, 70) };
    let mut scenario = Scenario::new(&network, &farms())?;
    scenario.conduct.sort_by_key(|conduct| !conduct.seals_twice());
    let ends = [(0, 5), (0, 6), (1, 5), (2, 6), (1, 2), (2, 3), (1, 3), (3, 4), (1, 4)];
    scenario.cables = ends.map(|(one, other)| Cable { one, other, latency: 100 }).to_vec();
    let sides = (0..7).map(|node| [0, 5, 6].contains(&node)).collect();
    scenario.cuts = vec![Cut { begins: SECOND, ends: 1_800 * SECOND, sides }];
    let (at, down) = (1_770 * SECOND, 7_200 * SECOND);
    scenario.crashes = vec![Crash { at, node: 0, operations: 0, down }];
    World::with(&network, &farms(), builder, scenario)?.run(&mut |_| {})
}

/// Nobody had both blocks, and nodes told others of their best chain only: the farmer got away, until nodes told of
/// the blocks that they leave.
#[test]
fn a_double_seal_on_two_branches_that_both_lose_is_found() {
    let _plots = farms();
    let nodes = |says: fn(&Command) -> bool| -> Builder {
        Arc::new(move |number, parts, now| match number {
            // The farmer answers nobody.
            0 => Planted::start(parts, now, |_, event| !matches!(event, Event::Request { .. }), |_| true),
            5 | 6 => Planted::start(parts, now, |_, _| true, says),
            _ => start(parts, now),
        })
    };
    assert_eq!(parted(nodes(|_| true)).unwrap().banned, 1);
    // These two have no farmers: all blocks that they publish are those that they left.
    let silent = parted(nodes(|command| {
        !matches!(command, Command::Publish { topic: Topic::Blocks | Topic::Compact, .. })
    }));
    let Err(NetworkError::Violation(found)) = silent else { panic!("nothing was found: {silent:?}") };
    assert_eq!(found.rule, CHEATS, "{found}");
}
