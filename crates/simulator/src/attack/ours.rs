//! Our own rules, measured the way that the published figures were, and rivals' rules beside them.
//!
//! A model of a chain is three numbers: how many blocks share a challenge, how many slots lie between blocks, and how
//! long a slot is. Blocks of one slot do not see each other; with a delay of whole slots, nor do those of the slots
//! after it. The adversary hears all at once and its own blocks need not travel.

pub(super) mod confirmations;
pub(super) mod cost;
pub(super) mod stale;
pub(super) mod tolerance;
pub(super) mod trade_offs;

use super::{AttackError, massnet};
use crate::statistics::maximum;

/// What the attacks depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rules {
    name: &'static str,
    /// Blocks that share a challenge (`c`).
    period: u32,
    /// Slots between blocks.
    interval: f64,
    slot_seconds: f64,
    /// Whether blocks of one slot and those on their way join the chain one after the other, as with Chia's infusion.
    is_infused: bool,
}

/// Ours first, from the built-in spec.
fn all_rules() -> Result<[Rules; 4], AttackError> {
    let spec = massnet()?;
    let rules = spec.rules();
    let ours = Rules {
        name: "MASS",
        period: rules.period_blocks,
        interval: rules.interval_slots as f64,
        slot_seconds: f64::from(rules.slot_seconds),
        is_infused: false,
    };
    let before = Rules { name: "Mass Net of 2021", period: 10, interval: 14.2, ..ours };
    // Signage points come each 9.375 s, blocks twice as far apart; a tenth of a second is as good as no slot.
    let chia = Rules { name: "Chia", period: 16, interval: 187.5, slot_seconds: 0.1, is_infused: true };
    Ok([ours, before, chia, Rules { name: "c = 1", period: 1, ..ours }])
}

impl Rules {
    /// Slots that a block takes to be seen, its own included.
    fn blind_slots(&self, delay_seconds: f64) -> f64 {
        if self.is_infused { 1.0 } else { 1.0 + (delay_seconds / self.slot_seconds).floor() }
    }

    /// Blocks a slot by which the honest chain of a share of the space grows.
    fn honest_growth(&self, share: f64, delay_seconds: f64) -> f64 {
        1.0 / (1.0 / has_win(share / self.interval) + self.blind_slots(delay_seconds) - 1.0)
    }

    /// Blocks a slot by which a private tree of a share of the space grows, in the limit.
    ///
    /// From a period's first block, `c - 1` slots with a win end it but for one block, and each win after them begins a
    /// period with a challenge of its own (see `private_tree`, whose time is without slots).
    fn tree_growth(&self, share: f64) -> f64 {
        let wins = share / self.interval;
        let log_odds = has_win(wins).ln();
        let after = f64::from(self.period) - 1.0;
        let per_slot = |log: f64| {
            let theta = log.exp();
            // A gap of slots to the next that has a win: q z / (1 - (1 - q) z), z = e^-theta.
            let gap = log_odds - theta - (-(-wins - theta).exp()).ln_1p();
            let births = wins.ln() - theta - (-(-theta).exp_m1()).ln();
            -(after * gap + births) / theta
        };
        f64::from(self.period) / maximum(wins.ln() - 9.0, wins.ln() + 5.0, per_slot)
    }

    /// What a row of a table is called.
    fn label(&self) -> String {
        let name = self.name;
        match (name, self.is_infused) {
            ("c = 1", _) => "a new challenge each block".to_owned(),
            (_, false) => {
                let seconds = (self.interval * self.slot_seconds * 10.0).round() / 10.0;
                format!("{name}, c = {}, {seconds} s", self.period)
            }
            (_, true) => format!("{name}'s proof, c = {}", self.period),
        }
    }
}

/// The odds that a slot has a win at so many on average.
fn has_win(wins: f64) -> f64 {
    -(-wins).exp_m1()
}

/// A share as percent.
fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * share)
}
