//! Rules on numbers and hashes alone: DIF-1, HDR-6, CHL-1, FLT-1, LOT-2, LOT-3, SEED-1 and the chain id. Integers
//! beyond 32 bits are decimal texts, as some readers of JSON round them.

use mass_consensus::{
    difficulty::{compact_target, next_difficulty},
    lottery::{challenge, is_asked, lottery_weight, next_seed, wins},
    spec::ChainSpec,
};
use mass_primitives::{
    ChainId, Challenge, Difficulty, GroupId, LotteryWeight, Round, Seed, SlotDelta, Ticket, VrfOutput,
};
use mass_proof_of_space::Strength;
use serde::{Deserialize, Serialize};

use crate::vectors;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    interval: String,
    tau: String,
    min: String,
    parent: String,
    gap: String,
    child: String,
}

fn step(interval: u64, tau: u64, min: u128, parent: u128, gap: u64) -> u128 {
    let (gap, interval, tau) = (SlotDelta::new(gap), SlotDelta::new(interval), SlotDelta::new(tau));
    next_difficulty(Difficulty::new(parent), gap, interval, tau, Difficulty::new(min)).get()
}

fn steps() -> Vec<Step> {
    // Mass Net, dev, and three at the ends.
    let chains = [
        (15u64, 28_800, 14_847_836_160),
        (4, 240, 2_555_904),
        (1, 1, 1),
        (200, 3, 1),
        (1 << 40, u64::MAX, 1),
    ];
    let mut steps = Vec::new();
    for (interval, tau, min) in chains {
        let gaps = [1, interval, interval + 1, interval.saturating_add(tau), 3 * interval + 1, u64::MAX];
        for parent in [min + 3, 1_234_567_890_123_456_789_012_345_677, 1 << 96] {
            for gap in gaps {
                steps.push(Step {
                    interval: interval.to_string(),
                    tau: tau.to_string(),
                    min: min.to_string(),
                    parent: parent.to_string(),
                    gap: gap.to_string(),
                    child: step(interval, tau, min, parent, gap).to_string(),
                });
            }
        }
    }
    steps
}

#[test]
fn dif_1() {
    for case in vectors("numbers/DIF-1.json", steps) {
        let [interval, tau, gap] = [&case.interval, &case.tau, &case.gap].map(|text| text.parse().unwrap());
        let [min, parent] = [&case.min, &case.parent].map(|text| text.parse().unwrap());
        assert_eq!(step(interval, tau, min, parent, gap).to_string(), case.child);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bits {
    difficulty: String,
    bits: u32,
}

#[test]
fn hdr_6() {
    let bits = |difficulty: u128| compact_target(Difficulty::new(difficulty));
    let make = || {
        let ends = [1, 2, 3, 255, 256, 257, 81_788_928, 1_900_523_028_480, 1 << 95, (1 << 96) - 1, 1 << 96];
        let shifts = (9..17).flat_map(|shift| [1, 3].map(|odd| odd << shift));
        let all = ends.into_iter().chain(shifts);
        all.map(|difficulty| Bits { difficulty: difficulty.to_string(), bits: bits(difficulty) }).collect()
    };
    for case in vectors::<Vec<Bits>>("numbers/HDR-6.json", make) {
        assert_eq!(bits(case.difficulty.parse().unwrap()), case.bits, "{}", case.difficulty);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Posed {
    beacon: ChainId,
    seed: Seed,
    round: String,
    challenge: Challenge,
}

#[test]
fn chl_1() {
    let pose = |round: u64| {
        let (beacon, seed) = (ChainId::new([1; 32]), Seed::new([2; 32]));
        let challenge = challenge(&beacon, &seed, Round::new(round));
        Posed { beacon, seed, round: round.to_string(), challenge }
    };
    for case in vectors::<Vec<Posed>>("numbers/CHL-1.json", || [0, 258, u64::MAX].map(pose).into()) {
        let round = Round::new(case.round.parse().unwrap());
        assert_eq!(challenge(&case.beacon, &case.seed, round), case.challenge);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    beacon: ChainId,
    seed: Seed,
    group: GroupId,
    filter: String,
    round: String,
    asked: bool,
}

#[test]
fn flt_1() {
    let verdict = |case: &Asked| {
        let (filter, round) = (case.filter.parse().unwrap(), Round::new(case.round.parse().unwrap()));
        is_asked(&case.beacon, &case.seed, &case.group, filter, round)
    };
    let make = || {
        let mut cases = Vec::new();
        for (filter, round) in
            (5..10).map(|round| (5u64, round)).chain((1u64 << 50..(1 << 50) + 4).map(|r| (4, r)))
        {
            let (beacon, seed, group) = (ChainId::new([1; 32]), Seed::new([2; 32]), GroupId::new([3; 32]));
            let (filter, round) = (filter.to_string(), round.to_string());
            let mut case = Asked { beacon, seed, group, filter, round, asked: false };
            case.asked = verdict(&case);
            cases.push(case);
        }
        cases
    };
    let cases = vectors::<Vec<Asked>>("numbers/FLT-1.json", make);
    assert!(cases.iter().all(|case| verdict(case) == case.asked));
    assert_eq!(cases.iter().filter(|case| case.asked).count(), 2, "once in 5 rounds, once in 4");
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    chain: String,
    strength: u8,
    weight: String,
}

#[test]
fn lot_2() {
    let weight = |chain: &str, strength: u8| {
        let spec = ChainSpec::built_in(chain).unwrap();
        lottery_weight(&spec, Strength::new(strength).unwrap()).get().to_string()
    };
    let make = || {
        let all = [("dev", 2), ("dev", 3), ("massnet", 2), ("massnet", 17)];
        all.map(|(chain, strength)| Weight { chain: chain.into(), strength, weight: weight(chain, strength) })
            .into()
    };
    for case in vectors::<Vec<Weight>>("numbers/LOT-2.json", make) {
        assert_eq!(weight(&case.chain, case.strength), case.weight);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draw {
    ticket: Ticket,
    weight: String,
    difficulty: String,
    wins: bool,
}

#[test]
fn lot_3() {
    let verdict = |case: &Draw| {
        let weight = LotteryWeight::new(case.weight.parse().unwrap());
        wins(&case.ticket, weight, Difficulty::new(case.difficulty.parse().unwrap()))
    };
    let make = || {
        let byte = |at: usize, value: u8| {
            let mut ticket = [0; 32];
            ticket[at] = value;
            Ticket::new(ticket)
        };
        let draw = |ticket, weight: u128, difficulty: u128| {
            let (weight, difficulty) = (weight.to_string(), difficulty.to_string());
            let mut case = Draw { ticket, weight, difficulty, wins: false };
            case.wins = verdict(&case);
            case
        };
        // The bound itself does not win, one below does; a product of 352 bits; hashes are read big-endian.
        let below = Ticket::new(std::array::from_fn(|i| if i == 0 { 0x0f } else { 0xff }));
        vec![
            draw(byte(0, 0x10), 1 << 20, 1 << 24),
            draw(below, 1 << 20, 1 << 24),
            draw(Ticket::new([0xff; 32]), 1 << 20, 1 << 20),
            draw(Ticket::new([0xff; 32]), (1 << 96) - 1, 1 << 96),
            draw(Ticket::new([0xff; 32]), 1 << 96, 1 << 96),
            draw(byte(31, 0xff), 1, 1 << 96),
            draw(byte(0, 0xff), 1, 1 << 96),
        ]
    };
    let cases = vectors::<Vec<Draw>>("numbers/LOT-3.json", make);
    assert!(cases.iter().all(|case| verdict(case) == case.wins));
    assert_eq!(cases.iter().filter(|case| case.wins).count(), 4);
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextSeed {
    seed: Seed,
    vrf_output: VrfOutput,
    next: Seed,
}

#[test]
fn seed_1() {
    let make = || {
        let (seed, vrf_output) = (Seed::new([1; 32]), VrfOutput::new([2; 32]));
        vec![NextSeed { seed, vrf_output, next: next_seed(&seed, &vrf_output) }]
    };
    for case in vectors::<Vec<NextSeed>>("numbers/SEED-1.json", make) {
        assert_eq!(next_seed(&case.seed, &case.vrf_output), case.next);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    id: ChainId,
    beacon: ChainId,
}

#[test]
fn chain_id() {
    let named = |name: &str| {
        let spec = ChainSpec::built_in(name).unwrap();
        Named { name: name.to_owned(), id: *spec.id(), beacon: *spec.beacon_id() }
    };
    for case in vectors::<Vec<Named>>("numbers/chain-id.json", || ChainSpec::BUILT_IN.map(named).into()) {
        let now = named(&case.name);
        assert_eq!((now.id, now.beacon), (case.id, case.beacon));
    }
}
