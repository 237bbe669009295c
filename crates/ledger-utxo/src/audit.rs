//! The invariant of the books, for tests and for `mass` to check a whole state.

use mass_primitives::{Amount, Decode};

use crate::{
    coin::{COIN_PREFIX, Coin, REWARD_PREFIX, SUPPLY_KEY},
    reward::{PendingReward, Supply},
};

/// What an audit found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Sum of all coins.
    pub coins: Amount,
    /// Sum of all pending rewards.
    pub pending: Amount,
    /// The books.
    pub supply: Supply,
}

impl Audit {
    /// Whether coins and pending rewards are what was issued and not burned.
    #[must_use]
    pub fn balances(&self) -> bool {
        let found = self.coins.checked_add(self.pending);
        found.is_some() && found == self.supply.outstanding()
    }
}

/// Sums up a whole state. `None` if an entry cannot be read or a sum does not fit.
#[must_use]
pub fn audit<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<Audit> {
    let mut audit = Audit::default();
    for (key, value) in entries {
        match key.first() {
            Some(&COIN_PREFIX) => {
                audit.coins = audit.coins.checked_add(Coin::from_bytes(value).ok()?.amount)?;
            }
            Some(&REWARD_PREFIX) => {
                audit.pending = audit.pending.checked_add(PendingReward::from_bytes(value).ok()?.amount)?;
            }
            _ if key == SUPPLY_KEY => audit.supply = Supply::from_bytes(value).ok()?,
            _ => {}
        }
    }
    Some(audit)
}
