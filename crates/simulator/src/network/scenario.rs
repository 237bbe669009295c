//! What a seed decides before the clock starts: the chain, who is linked to whom and how well, who is dishonest, and when
//! links are cut and nodes crash.

use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash as _};
use mass_consensus::spec::{ChainSpec, ChainSpecFile, SpecError};
use mass_ledger_utxo::address;
use mass_primitives::{Seed, Slot};
use mass_proof_of_space::PlotSize;
use rand::{Rng as _, RngCore as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{Network, farms::Farms, payer};
use crate::random::Streams;

/// A second in the unit of the virtual clock.
pub const SECOND: u64 = 1_000;

/// The least latency of a link. What nodes do within this time cannot touch each other.
pub const LATENCY_MIN: u64 = 50;

/// Nothing is cut and nobody crashes in the first and the last part of a run, of so many.
const QUIET_PARTS: u64 = 12;

/// A partition lasts so long, in seconds: too short for either side to bury a block.
const CUT_SECONDS: std::ops::RangeInclusive<u64> = 30..=480;

/// A node that crashed is down so long, in seconds.
const DOWN_SECONDS: std::ops::RangeInclusive<u64> = 2..=900;

/// Links that each node makes by itself.
const LINKS_EACH: usize = 4;

/// How a farmer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// As the rules say.
    Honest,
    /// Seals two blocks in each slot that it wins, one for each half of its peers, and goes on when it is banned.
    DoubleSealer,
    /// Keeps its blocks back until others come close, to make theirs stale.
    Withholder,
    /// Shows the headers of its blocks and never their contents.
    Mute,
    /// Seals a dozen blocks in each slot that it wins, all for everybody.
    Flooder,
    /// Seals good headers over bodies that pay too much, or sends other contents than a header commits to.
    Forger,
    /// Tells evidence again and again: true, forged, and of nothing.
    Spammer,
    /// Is alone with its own branch for some minutes, again and again, and shows it then.
    Loner,
}

impl Conduct {
    /// Whether the rules ban it for what it does.
    pub const fn seals_twice(self) -> bool {
        matches!(self, Self::DoubleSealer | Self::Flooder)
    }
}

/// A link between two nodes.
#[derive(Clone, Copy, Debug)]
pub struct Cable {
    /// One end.
    pub one: usize,
    /// The other end.
    pub other: usize,
    /// Milliseconds from end to end.
    pub latency: u64,
}

/// A time in which some nodes hear nothing of the others.
#[derive(Clone, Debug)]
pub struct Cut {
    /// When it begins, in milliseconds.
    pub begins: u64,
    /// When it ends.
    pub ends: u64,
    /// For each node on which side it is.
    pub sides: Vec<bool>,
}

/// A crash.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// When, in milliseconds.
    pub at: u64,
    /// Who.
    pub node: usize,
    /// Operations that its disk still performs; if it does not come so far within some seconds it goes down as well.
    pub operations: u32,
    /// For how long it is down.
    pub down: u64,
}

/// All of it.
pub struct Scenario {
    /// The chain.
    pub spec: ChainSpec,
    /// For each farmer how it behaves. Farmer `i` is at node `i`.
    pub conduct: Vec<Conduct>,
    /// The links.
    pub cables: Vec<Cable>,
    /// Partitions, one after the other.
    pub cuts: Vec<Cut>,
    /// Crashes, in time.
    pub crashes: Vec<Crash>,
    /// When somebody pays.
    pub payments: Vec<u64>,
    /// How far each node's clock is ahead, in milliseconds.
    pub skews: Vec<u64>,
}

/// An address for rewards.
pub fn payout(spec: &ChainSpec, number: u64) -> String {
    let mut hash = [0x77; 20];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    let prefix = spec.rules().ledger.params["address_prefix"].as_str().unwrap_or_default();
    address::encode(prefix, &ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array(hash))).unwrap_or_default()
}

/// Mass Net's slots, rounds and intervals over plots of k = 18. Periods are short, so that seeds change and a group is
/// asked often enough by few plots; rewards are late by blocks and not by a day, so that a run sees them paid.
fn chain(seed: Seed, plots: u64) -> Result<ChainSpec, SpecError> {
    let massnet = ChainSpec::built_in("massnet").ok_or(SpecError::Name)?;
    let mut rules = massnet.rules().clone();
    rules.name = "simulated".to_owned();
    rules.seed_initial = seed;
    (rules.plot_size, rules.period_blocks, rules.seed_lag_blocks, rules.filter) = (18, 16, 2, 16);
    let bytes = PlotSize::MIN.nominal_bytes();
    rules.difficulty_initial = plots * bytes * rules.interval_slots;
    rules.difficulty_min = bytes;
    rules.ledger.params["reward_delay"] = 20.into();
    rules.ledger.params["genesis_outputs"] = payer::genesis_outputs(&rules.ledger.params["address_prefix"]);
    ChainSpec::new(ChainSpecFile { rules, hints: Default::default() })
}

impl Scenario {
    /// The scenario of a seed.
    ///
    /// # Errors
    /// [`SpecError`] if the chain cannot be made.
    pub fn new(network: &Network, farms: &Farms) -> Result<Self, SpecError> {
        let streams = Streams::new(network.seed, "network");
        let mut bytes = [0; 32];
        streams.stream(0, 0).fill_bytes(&mut bytes);
        let farmers = &farms.farmers()[..network.farmers];
        let plots = farmers.iter().map(|farmer| u64::from(farmer.plots)).sum();
        let spec = chain(Seed::new(bytes), plots)?;
        let (slot, nodes) =
            (spec.slot_time(Slot::new(1)).unwrap_or(0) - spec.rules().genesis_time, network.nodes);
        let mut rng = streams.stream(0, 5);
        Ok(Self {
            conduct: conduct(network, &mut streams.stream(0, 1)),
            cables: cables(nodes, &mut streams.stream(0, 2)),
            cuts: cuts(network, &mut streams.stream(0, 3)),
            crashes: crashes(network, &mut streams.stream(0, 4)),
            payments: payments(network, &mut streams.stream(0, 6)),
            // Up to a half of a slot ahead: within what the engine grants.
            skews: (0..nodes).map(|_| rng.gen_range(0..u64::from(slot) * SECOND / 2)).collect(),
            spec,
        })
    }
}

fn conduct(network: &Network, rng: &mut ChaCha8Rng) -> Vec<Conduct> {
    let cheats = [
        (Conduct::DoubleSealer, network.double_sealers),
        (Conduct::Withholder, network.withholders),
        (Conduct::Mute, network.mutes),
        (Conduct::Flooder, network.flooders),
        (Conduct::Forger, network.forgers),
        (Conduct::Spammer, network.spammers),
        (Conduct::Loner, network.loners),
    ];
    let mut conduct: Vec<Conduct> = cheats.iter().flat_map(|(cheat, count)| vec![*cheat; *count]).collect();
    conduct.resize(network.farmers, Conduct::Honest);
    conduct.shuffle(rng);
    conduct
}

/// A ring, so that all can reach all, and random links beside it. One in ten is slow.
fn cables(nodes: usize, rng: &mut ChaCha8Rng) -> Vec<Cable> {
    let mut ends: Vec<(usize, usize)> = Vec::new();
    for node in 0..nodes {
        let mut targets = vec![(node + 1) % nodes];
        targets.extend((1..LINKS_EACH.min(nodes / 2)).map(|_| rng.gen_range(0..nodes)));
        ends.extend(
            targets
                .into_iter()
                .filter(|other| *other != node)
                .map(|other| (node.min(other), node.max(other))),
        );
    }
    ends.sort_unstable();
    ends.dedup();
    let latency = |rng: &mut ChaCha8Rng| match rng.gen_range(0..10) {
        0 => rng.gen_range(1_000..4_000),
        _ => rng.gen_range(LATENCY_MIN..300),
    };
    ends.into_iter().map(|(one, other)| Cable { one, other, latency: latency(rng) }).collect()
}

fn quiet(network: &Network) -> std::ops::Range<u64> {
    let all = network.milliseconds();
    all / QUIET_PARTS..all - all / QUIET_PARTS
}

fn cuts(network: &Network, rng: &mut ChaCha8Rng) -> Vec<Cut> {
    let range = quiet(network);
    let part = (range.end - range.start) / (network.partitions as u64).max(1);
    let mut cuts = Vec::new();
    for number in 0..network.partitions as u64 {
        let length = rng.gen_range(CUT_SECONDS).saturating_mul(SECOND).min(part * 2 / 3);
        let begins = range.start + number * part + rng.gen_range(0..=part / 4);
        // From one node alone to halves.
        let share = rng.gen_range(0.0..0.5);
        let sides = (0..network.nodes).map(|_| rng.gen_bool(share)).collect();
        cuts.push(Cut { begins, ends: begins + length, sides });
    }
    cuts
}

fn crashes(network: &Network, rng: &mut ChaCha8Rng) -> Vec<Crash> {
    let mut crashes: Vec<Crash> = (0..network.crashes)
        .map(|_| {
            let at = rng.gen_range(quiet(network));
            Crash {
                at,
                node: rng.gen_range(0..network.nodes),
                operations: rng.gen_range(0..120),
                // All are back for the end, after which the network has its time to settle.
                down: (rng.gen_range(DOWN_SECONDS) * SECOND).min(network.milliseconds() - at),
            }
        })
        .collect();
    crashes.sort_by_key(|crash| (crash.at, crash.node));
    crashes
}

fn payments(network: &Network, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let mut times: Vec<u64> =
        (0..network.payments).map(|_| rng.gen_range(0..network.milliseconds())).collect();
    times.sort_unstable();
    times
}
