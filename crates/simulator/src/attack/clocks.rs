//! Clocks that are two-faced within the tolerance (rule TIM-1): a farmer who shows each block one slot before its own.
//!
//! Nodes take such a block. An honest farmer who wins the slot before has made his own on the same parent, and the lower ticket
//! decides, where the later of the two would have stood on the earlier. One who wins the same slot comes too late, for slots ascend,
//! where the lower ticket would have decided. So the cheat loses as many blocks as he wins, and the honest lose in
//! both slots. With `b` and `h` the odds of a slot for the cheat and for the others, and to the first order of both:
//! `b (1 - h/2) : h (1 - 3b/2)` instead of `b (1 - h/2) : h (1 - b/2)`.
//!
//! To show a block to some early and to others in its slot changes nothing in this: no choice depends on who
//! saw what first (FRK-1).

use mass_consensus::spec::ChainSpec;
use rand::Rng;

use super::Trial;
use crate::{
    report::{Band, Measurement},
    statistics::Sample,
};

const SLOTS: u64 = 1_000_000;

/// The end of the chain.
struct Tip {
    slot: u64,
    is_cheats: bool,
    ticket: f64,
}

/// A chain that counts whose blocks stay.
struct Chain {
    tip: Tip,
    /// Of others, of the cheat; without the tip.
    settled: [u64; 2],
}

impl Chain {
    fn new() -> Self {
        Self { tip: Tip { slot: 0, is_cheats: false, ticket: 0.0 }, settled: [0; 2] }
    }

    fn extend(&mut self, tip: Tip) {
        self.settled[usize::from(self.tip.is_cheats)] += 1;
        self.tip = tip;
    }

    /// Two blocks on one parent: the lower ticket stays.
    fn contest(&mut self, tip: Tip) {
        if tip.ticket < self.tip.ticket {
            self.tip = tip;
        }
    }

    /// The cheat's part of all blocks.
    fn part(&self) -> f64 {
        self.settled[1] as f64 / (self.settled[0] + self.settled[1]) as f64
    }
}

/// The cheat's part of the blocks if he shows them early, by that if he does not, with the same wins.
fn gain<R: Rng>(odds: [f64; 2], rng: &mut R) -> f64 {
    let (mut early, mut plain) = (Chain::new(), Chain::new());
    let mut next = draw(odds, rng);
    for slot in 1..SLOTS {
        let now = std::mem::replace(&mut next, draw(odds, rng));
        let tip = |slot, is_cheats, ticket| Tip { slot, is_cheats, ticket };
        // In turn: each is on what was there before the slot, so that two are on one parent.
        match now {
            [Some(honest), Some(cheat)] => {
                plain.extend(tip(slot, false, honest));
                plain.contest(tip(slot, true, cheat));
            }
            [Some(honest), None] => plain.extend(tip(slot, false, honest)),
            [None, Some(cheat)] => plain.extend(tip(slot, true, cheat)),
            [None, None] => {}
        }
        // The cheat's block of this slot was shown in the one before: who wins this slot stands below it.
        let honest = now[0].filter(|_| early.tip.slot < slot);
        match (honest, next[1]) {
            (Some(honest), Some(cheat)) => {
                early.extend(tip(slot, false, honest));
                early.contest(tip(slot + 1, true, cheat));
            }
            (Some(honest), None) => early.extend(tip(slot, false, honest)),
            (None, Some(cheat)) => early.extend(tip(slot + 1, true, cheat)),
            (None, None) => {}
        }
    }
    early.part() / plain.part()
}

/// The lowest tickets of the others and of the cheat in a slot, where they win.
fn draw<R: Rng>(odds: [f64; 2], rng: &mut R) -> [Option<f64>; 2] {
    odds.map(|odds| {
        let (wins, ticket) = (rng.gen_bool(odds), rng.r#gen::<f64>());
        wins.then_some(ticket)
    })
}

/// What there is to gain, for some parts of the space.
pub(super) fn one_slot_early(trial: &Trial, spec: &ChainSpec, measurements: &mut Vec<Measurement>) {
    let interval = spec.rules().interval_slots as f64;
    for (case, (name, share)) in (30..).zip([
        ("shows blocks a slot early, 10 % of the space", 0.1),
        ("shows blocks a slot early, 30 % of the space", 0.3),
        ("shows blocks a slot early, 45 % of the space", 0.45),
    ]) {
        let odds = [(1.0 - share) / interval, share / interval];
        let sample: Sample = trial.streams(case).map(|mut rng| gain(odds, &mut rng)).collect();
        let expected = expected(odds);
        let band = Band::relative(expected, -0.002, 0.002);
        let source = "first order, as in the header of the module `clocks`";
        measurements.push(Measurement::sampled(
            name,
            "part of the blocks / that without",
            &sample,
            expected,
            band,
            source,
        ));
    }
}

fn expected([honest, cheat]: [f64; 2]) -> f64 {
    let part = |lost: f64| {
        let (own, others) = (cheat * (1.0 - honest / 2.0), honest * (1.0 - lost * cheat));
        own / (own + others)
    };
    part(1.5) / part(0.5)
}
