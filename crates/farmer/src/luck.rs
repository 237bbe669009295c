//! What a farm is to expect of each chain, and the band in which honest farms of its size are. Pure.

use std::collections::VecDeque;

use mass_primitives::Height;
use mass_rpc::farm_view::{ChainLuck, Win};

use crate::{chain::Member, doctor::poisson_at_most, events::Totals, farm::Farm};

/// Wins of a chain that are remembered.
const WINS_MAX: usize = 100;
/// What is left out of the band on either side.
const TAIL: f64 = 0.025;

/// The last wins of a chain, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Wins(VecDeque<Win>);

impl Wins {
    /// The node took a block of ours.
    pub fn add(&mut self, height: Height, time: u64) {
        if self.0.len() == WINS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Win { height, time });
    }
}

/// The luck on a chain.
pub(crate) fn of_chain(farm: &Farm, member: &Member, totals: &Totals) -> ChainLuck {
    let spec = &member.config.spec;
    let plot_bytes = farm.plots(spec).saturating_mul(spec.plot_size().nominal_bytes());
    let difficulty = member.work.as_ref().map(|(_, difficulty)| difficulty.get());
    let netspace = difficulty.map(|difficulty| difficulty / u128::from(spec.rules().interval_slots).max(1));
    let status = member.status(totals);
    let (wins_low, wins_high) = band(status.expected_wins);
    ChainLuck {
        name: status.name,
        plot_bytes,
        netspace_bytes: netspace.map(|bytes| bytes.to_string()),
        share: netspace.filter(|bytes| *bytes > 0).map(|bytes| plot_bytes as f64 / bytes as f64),
        seconds_per_win: difficulty
            .filter(|_| plot_bytes > 0)
            .map(|difficulty| difficulty as f64 / plot_bytes as f64 * f64::from(spec.rules().slot_seconds)),
        wins: status.wins,
        expected_wins: status.expected_wins,
        wins_low,
        wins_high,
        p_value: status.p_value,
        won: member.won.0.iter().copied().collect(),
    }
}

/// The counts between which 19 of 20 farms are that win so many blocks on average.
fn band(mean: f64) -> (u64, u64) {
    (first_at(mean, TAIL), first_at(mean, 1.0 - TAIL))
}

/// The smallest count that is reached or not exceeded with a probability greater than `part`.
fn first_at(mean: f64, part: f64) -> u64 {
    // Twelve deviations away from the mean nothing happens.
    let (mut low, mut high) = (0, (mean + 12.0 * mean.sqrt() + 12.0) as u64);
    while low < high {
        let middle = low + (high - low) / 2;
        if poisson_at_most(middle, mean) > part { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart, from the sums of the probabilities.
    #[test]
    fn the_band_has_nineteen_of_twenty_farms() {
        for (mean, expected) in [
            (0.0, (0, 0)),
            (0.01, (0, 0)),
            (1.0, (0, 3)),
            (10.0, (4, 17)),
            (100.0, (81, 120)),
            (10_000.0, (9_804, 10_196)),
        ] {
            assert_eq!(band(mean), expected, "{mean}");
        }
    }

    #[test]
    fn old_wins_are_forgotten() {
        let mut wins = Wins::default();
        (0..300).for_each(|height| wins.add(Height::new(height), 7));
        assert_eq!((wins.0.len(), wins.0[0].height.get()), (WINS_MAX, 200));
    }
}
