//! Wins follow capacity and nothing else: the farmer's own schedule over thousands of rounds, on several chains.
//!
//! Challenge, filter, tickets and the choice of a winner are the real ones. Qualities are drawn as a plot gives
//! them, Poisson with a mean of one to a challenge, and VRF outputs are hashes: both look random to the lottery,
//! and real ones would take hours.

use std::collections::BTreeMap;

use mass_consensus::{lottery::is_asked, spec::ChainSpec};
use mass_farmer::{Found, schedule, winner};
use mass_primitives::{
    ChainId, Difficulty, FarmerPublicKey, GroupId, GroupNonce, PlotIndex, Quality, Round, Seed, Slot,
    VrfOutput,
};
use mass_proof_of_space::{GroupIdentity, QUALITY_LINKS, QualityChain, Strength};
use sha2::{Digest, Sha256};

/// Slots that a good share of the space wins: about one in ten.
const SLOTS_TO_A_WIN: u64 = 10;

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update((part.len() as u64).to_le_bytes()));
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// How many qualities a plot has for a challenge: Poisson with mean one, from 32 random bits.
fn qualities(random: [u8; 32]) -> u8 {
    let uniform = f64::from(u32::from_le_bytes([random[0], random[1], random[2], random[3]])) / 2f64.powi(32);
    let (mut count, mut term, mut sum) = (0u8, (-1f64).exp(), (-1f64).exp());
    while uniform >= sum && count < 20 {
        count += 1;
        term /= f64::from(count);
        sum += term;
    }
    count
}

/// A key and the groups that are bound to it.
struct Farm {
    key: [u8; 32],
    groups: Vec<GroupId>,
}

/// `plots` plots under so many keys.
fn farms(name: &str, plots: usize, keys: usize) -> Vec<Farm> {
    let farm = |key: usize| Farm {
        key: hash(&[name.as_bytes(), b"key", &key.to_le_bytes()]),
        groups: (0..plots)
            .filter(|plot| plot % keys == key)
            .map(|plot| GroupId::new(hash(&[name.as_bytes(), b"group", &plot.to_le_bytes()])))
            .collect(),
    };
    (0..keys).map(farm).collect()
}

/// What the plots of a farm find in a round. Chains that share a beacon find the same.
fn found(spec: &ChainSpec, seed: &Seed, round: Round, farm: &Farm) -> Vec<Found> {
    let filter = spec.filter(Strength::MIN);
    let asked = farm.groups.iter().filter(|group| is_asked(spec.beacon_id(), seed, group, filter, round));
    asked
        .flat_map(|group| {
            let beacon: &ChainId = spec.beacon_id();
            let parts: [&[u8]; 4] =
                [beacon.as_bytes(), seed.as_bytes(), group.as_bytes(), &round.get().to_le_bytes()];
            let random = hash(&parts);
            let (farmer, nonce) = (FarmerPublicKey::ZERO, GroupNonce::ZERO);
            let identity = GroupIdentity { size: spec.plot_size(), strength: Strength::MIN, farmer, nonce };
            (0..qualities(random)).map(move |number| Found {
                identity,
                group: *group,
                index: PlotIndex::ZERO,
                chain: QualityChain::new([u64::from(number); QUALITY_LINKS]),
                quality: Quality::new(hash(&[&random, &[number]])),
            })
        })
        .collect()
}

/// The blocks that each camp makes, the lowest ticket of each slot being the block.
fn race(spec: &ChainSpec, camps: &[Vec<Farm>], rounds: u64, difficulty: Difficulty) -> Vec<u64> {
    let mut wins = vec![0; camps.len()];
    let seed = Seed::new(hash(&[b"seed"]));
    for round in (0..rounds).map(Round::new) {
        let mut best: BTreeMap<Slot, (mass_primitives::Ticket, usize)> = BTreeMap::new();
        for (camp, farm) in
            camps.iter().enumerate().flat_map(|(camp, farms)| farms.iter().map(move |f| (camp, f)))
        {
            let output = hash(&[&farm.key, spec.id().as_bytes(), &round.get().to_le_bytes()]);
            let draws =
                schedule(spec, &VrfOutput::new(output), &seed, round, &found(spec, &seed, round, farm));
            let start = spec.round_start(round).get();
            for slot in (start..start + spec.rules().round_slots).map(Slot::new) {
                if let Some(draw) = winner(&draws, slot, difficulty) {
                    let entry = best.entry(slot).or_insert((draw.ticket, camp));
                    *entry = (*entry).min((draw.ticket, camp));
                }
            }
        }
        best.values().for_each(|(_, camp)| wins[*camp] += 1);
    }
    wins
}

/// The difficulty at which so many plots win every tenth slot.
fn difficulty(spec: &ChainSpec, plots: u64) -> Difficulty {
    Difficulty::new(u128::from(plots * spec.plot_size().nominal_bytes() * SLOTS_TO_A_WIN))
}

/// Chi-square of three counts against their shares: with two degrees of freedom, p = exp(-x / 2).
fn p_value(counts: &[u64], shares: [f64; 3]) -> f64 {
    let (total, whole) = (counts.iter().sum::<u64>() as f64, shares.iter().sum::<f64>());
    let terms = counts.iter().zip(shares).map(|(count, share)| {
        let expected = total * share / whole;
        (*count as f64 - expected).powi(2) / expected
    });
    (-terms.sum::<f64>() / 2.0).exp()
}

#[test]
fn wins_follow_capacity_on_every_chain() {
    for name in ["dev", "dev2", "dev3"] {
        let spec = ChainSpec::built_in(name).unwrap();
        let camps = [farms("small", 8, 1), farms("medium", 16, 1), farms("large", 40, 1)];
        let wins = race(&spec, &camps, 2_000, difficulty(&spec, 64));
        let p = p_value(&wins, [8.0, 16.0, 40.0]);
        assert!(p > 0.01, "{name}: {wins:?}, p = {p}");
        assert!(p_value(&wins, [1.0, 1.0, 1.0]) < 1e-6, "the test can tell: {wins:?}");
        let expected = 2_000.0 * spec.rules().round_slots as f64 / SLOTS_TO_A_WIN as f64;
        // Of slots that several win, only one block comes.
        let share = wins.iter().sum::<u64>() as f64 / expected;
        assert!((0.9..1.0).contains(&share), "{name}: {share} of the wins expected");
    }
}

#[test]
fn a_farm_split_over_many_keys_wins_alike() {
    let spec = ChainSpec::built_in("dev").unwrap();
    let camps = [farms("whole", 100, 1), farms("ten", 100, 10), farms("hundred", 100, 100)];
    let wins = race(&spec, &camps, 1_000, difficulty(&spec, 300));
    let p = p_value(&wins, [1.0, 1.0, 1.0]);
    assert!(p > 0.01, "{wins:?}, p = {p}");
}
