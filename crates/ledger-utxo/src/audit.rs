//! The invariant of the books: of a whole state, for tests and for `mass` to check one; and of the
//! changes of one block, which debug builds check at each block.

use mass_consensus::ledger::{StateDelta, StateRead};
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

    /// Adds an entry of the state. `None` if it cannot be read or a sum does not fit.
    #[must_use]
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key.first() {
            Some(&COIN_PREFIX) => {
                self.coins = self.coins.checked_add(Coin::from_bytes(value).ok()?.amount)?;
            }
            Some(&REWARD_PREFIX) => {
                self.pending = self.pending.checked_add(PendingReward::from_bytes(value).ok()?.amount)?;
            }
            _ if key == SUPPLY_KEY => self.supply = Supply::from_bytes(value).ok()?,
            _ => {}
        }
        Some(())
    }
}

/// Sums up a whole state. `None` if an entry cannot be read or a sum does not fit.
#[must_use]
pub fn audit<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<Audit> {
    let mut audit = Audit::default();
    for (key, value) in entries {
        audit.take(key, value)?;
    }
    Some(audit)
}

/// Whether changes leave balanced books balanced: coins and pending rewards grow by what is issued, less
/// what is burned. `false`, too, if something cannot be read.
#[must_use]
pub fn keeps_balance(state: &dyn StateRead, delta: &StateDelta) -> bool {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (key, value) in delta.iter() {
        let Ok(old) = state.get(key) else { return false };
        before.extend(old.map(|old| (key, old)));
        after.extend(value.map(|value| (key, value)));
    }
    let before = audit(before.iter().map(|(key, value)| (*key, value.as_slice())));
    let (Some(before), Some(after)) = (before, audit(after)) else { return false };
    let untouched = delta.get(SUPPLY_KEY).is_none();
    let sum = |audit: &Audit| i128::from(audit.coins.get()).checked_add(i128::from(audit.pending.get()));
    let books = |audit: &Audit| {
        if untouched { Some(0) } else { audit.supply.outstanding().map(|amount| i128::from(amount.get())) }
    };
    let change = |of: &dyn Fn(&Audit) -> Option<i128>| of(&after)?.checked_sub(of(&before)?);
    change(&sum).is_some() && change(&sum) == change(&books)
}
