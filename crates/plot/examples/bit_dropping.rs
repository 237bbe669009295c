//! The bit-dropping attack of CHIP-48, carried out: what it costs to farm plots whose fragments lack bits.
//!
//! An attacker who stores fragments without their lowest bit saves `1 / (k + 1.5)` of the space. At a challenge each
//! stored fragment then stands for two links, of which one is of the plot. Every link of a chain draws from twice
//! as many, but the filter still lets one in 64 through, so that partial chains double with each link instead of
//! staying as many as they are. Only solving tells which complete chains are of the plot.
//!
//! With `d` bits dropped on average and sets of 64 fragments a link draws from `n = 64 * 2^d`, and a challenge costs
//! `n + n^2 * (1 + 2^d + 2^2d + .. + 2^14d)` hashes, whatever k is: 61,504 for none, 3,560,376 for half a bit,
//! 536,854,656 for one, as in CHIP-48. Half a bit is one bit of every second link. Two things make a real plot differ:
//! a chain may start in each of four sets, which costs 3n more; and sets are not of 64 fragments each, so that
//! what is measured is compared with what is expected of those very sets, too.
//!
//! `cargo run --release -p mass-plot --example bit_dropping [-- K]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use mass_plot::{BuildOptions, Gate, PlotError, PlotHasher, SolveOptions, build, solve};
use mass_primitives::{Challenge, GroupId, PlotIndex};
use mass_proof_of_space::{
    PlotParams, PlotSize, QUALITY_LINKS, QualityChain, ROUND_PAIRS, Strength,
    chain::{SET_BITS, SETS, challenge_sets, passes_filter, round_keys, zero_bits},
    plot_id,
};

/// How much is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dropped {
    Nothing,
    /// The lowest bit in sets 1 and 3 of a challenge, that is, of every second link.
    HalfABit,
    Bit,
}

impl Dropped {
    const fn in_set(self, set: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::HalfABit => set % 2 == 1,
            Self::Bit => true,
        }
    }

    const fn bits(self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::HalfABit => 0.5,
            Self::Bit => 1.0,
        }
    }

    /// Hashes for a challenge by the closed form.
    fn hashes_expected(self) -> f64 {
        let growth = self.bits().exp2();
        let links = 64.0 * growth;
        links + links * links * (0..15).map(|link| growth.powi(link)).sum::<f64>()
    }
}

/// A plot, and what an attacker keeps of it.
struct Victim {
    params: PlotParams,
    hasher: PlotHasher,
    fragments: Vec<u64>,
}

/// What challenges have cost.
#[derive(Default)]
struct Tally {
    hashes: u64,
    /// Of hashes, for sets of the sizes that there were.
    expected: f64,
    chains: u64,
    honest: u64,
}

fn main() {
    let k = std::env::args().nth(1).map_or(18, |k| k.parse().expect("k is a number"));
    let victim = Victim::new(PlotSize::new(k).expect("k is even and from 18 to 28"));
    println!("k = {k}, {} fragments", victim.fragments.len());
    println!(
        "| bits dropped | challenges | hashes each | of these sets expected | ratio | by the closed form | chains each |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for (dropped, challenges) in [(Dropped::Nothing, 400), (Dropped::HalfABit, 100), (Dropped::Bit, 8)] {
        let mut tally = Tally::default();
        for number in 0..challenges {
            victim.attack(&challenge(number), dropped, &mut tally);
        }
        let each = |count: u64| count as f64 / f64::from(challenges);
        let expected = tally.expected / f64::from(challenges);
        println!(
            "| {} | {challenges} | {:.0} | {expected:.0} | {:.3} | {:.0} | {:.1} |",
            dropped.bits(),
            each(tally.hashes),
            each(tally.hashes) / expected,
            dropped.hashes_expected(),
            each(tally.chains),
        );
        assert!((0.8..1.25).contains(&(each(tally.hashes) / expected)), "the measurement is off");
        assert!(tally.chains >= tally.honest, "every chain of the plot is among those found");
    }
    victim.solve_on_demand();
}

impl Victim {
    fn new(size: PlotSize) -> Self {
        let group_id = GroupId::new([9; 32]);
        let params = PlotParams { group_id, index: PlotIndex::new(0), size, strength: Strength::MIN };
        let mut fragments = Vec::new();
        build::<()>(&params, &BuildOptions::default(), &|_| (), &Gate::default(), &mut |some| {
            fragments.extend_from_slice(some);
            Ok(())
        })
        .expect("the plot can be made");
        Self { params, hasher: PlotHasher::new(&plot_id(&params.group_id, params.index)), fragments }
    }

    /// The links that the sets of a challenge offer to the attacker.
    fn links(&self, challenge: &Challenge, dropped: Dropped) -> [Vec<u64>; SETS] {
        let shift = u32::from(self.params.size.get()) + SET_BITS;
        let numbers = challenge_sets(&self.params, challenge);
        std::array::from_fn(|set| {
            let start = self.fragments.partition_point(|fragment| fragment >> shift < numbers[set]);
            let end = self.fragments.partition_point(|fragment| fragment >> shift <= numbers[set]);
            let fragments = &self.fragments[start..end];
            if dropped.in_set(set) {
                let mut stored: Vec<u64> = fragments.iter().map(|fragment| fragment >> 1).collect();
                stored.dedup();
                stored.iter().flat_map(|stored| [stored << 1, stored << 1 | 1]).collect()
            } else {
                fragments.to_vec()
            }
        })
    }

    fn attack(&self, challenge: &Challenge, dropped: Dropped, tally: &mut Tally) {
        let sets = self.links(challenge, dropped);
        tally.expected += expected(&sets);
        self.search(challenge, &sets, &mut tally.hashes, |_| tally.chains += 1);
        let honest = self.links(challenge, Dropped::Nothing);
        self.search(challenge, &honest, &mut 0, |_| tally.honest += 1);
    }

    /// Depth first, for at one bit partial chains are millions: calls `f` with every complete chain.
    fn search(
        &self,
        challenge: &Challenge,
        sets: &[Vec<u64>; SETS],
        hashes: &mut u64,
        mut f: impl FnMut(&[u64; QUALITY_LINKS]),
    ) {
        let keys = round_keys(&plot_id(&self.params.group_id, self.params.index), challenge);
        let (mut inputs, mut results) = (Vec::new(), Vec::new());
        for start in 0..SETS {
            let mut chain = [0; QUALITY_LINKS];
            // What is still to be made longer: position, running hash so far, and the link that made it.
            let mut open = vec![(0, 0u64, 0u64)];
            while let Some((position, running, link)) = open.pop() {
                if position > 0 {
                    chain[position - 1] = link;
                }
                if position == QUALITY_LINKS {
                    f(&chain);
                    continue;
                }
                let links = &sets[(start + position) % SETS];
                inputs.clear();
                inputs.extend(links.iter().map(|link| link ^ running ^ keys[position]));
                results.resize(inputs.len(), 0);
                self.hasher.hash_low64(&inputs, &mut results, ROUND_PAIRS);
                *hashes += inputs.len() as u64;
                let found = links.iter().zip(&results).filter(|(_, hash)| passes_filter(position, **hash));
                open.extend(found.map(|(link, hash)| (position + 1, *hash, *link)));
            }
        }
    }

    /// Of the complete chains of an attacker, shows that solving tells true from false, and what that takes.
    fn solve_on_demand(&self) {
        let options = SolveOptions::default();
        let solves =
            |links: &[u64; QUALITY_LINKS]| match solve(&self.params, &QualityChain::new(*links), &options) {
                Ok(_) => true,
                Err(PlotError::Unsolvable) => false,
                Err(error) => panic!("{error}"),
            };
        for number in 0.. {
            let challenge = challenge(number);
            let mut honest = Vec::new();
            let plain = self.links(&challenge, Dropped::Nothing);
            self.search(&challenge, &plain, &mut 0, |chain| honest.push(*chain));
            if honest.is_empty() {
                continue;
            }
            let mut all = Vec::new();
            let sets = self.links(&challenge, Dropped::HalfABit);
            self.search(&challenge, &sets, &mut 0, |chain| all.push(*chain));
            let start = Instant::now();
            let solved: Vec<_> = all.iter().filter(|chain| solves(chain)).collect();
            let each = start.elapsed() / all.len() as u32;
            println!(
                "Half a bit, one challenge: {} complete chains solved in {each:?} each; {} have a proof, {} are of the plot.",
                all.len(),
                solved.len(),
                honest.len()
            );
            assert!(solved.len() == honest.len() && honest.iter().all(|chain| solved.contains(&chain)));
            return;
        }
    }
}

/// Hashes that a search of sets of these sizes takes on average.
fn expected(sets: &[Vec<u64>; SETS]) -> f64 {
    let mut hashes = 0.0;
    for start in 0..SETS {
        let mut partial = 1.0;
        for position in 0..QUALITY_LINKS {
            partial *= sets[(start + position) % SETS].len() as f64;
            hashes += partial;
            partial /= f64::from(zero_bits(position).count_ones()).exp2();
        }
    }
    hashes
}

fn challenge(number: u32) -> Challenge {
    let mut bytes = [5; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Challenge::new(bytes)
}
