//! Rewards that are still pending, and the books of the supply.
//!
//! A farmer's pending rewards are a list from the oldest to the newest, linked by height: a payout takes
//! the oldest, a new block appends, a forfeit walks this one farmer's list and nothing else.

use bitcoin::ScriptBuf;
use mass_consensus::ledger::{ApplyError, Overlay, StateRead};
use mass_primitives::{
    Amount, Decode, DecodeError, Encode, FarmerPublicKey, Height, HeightDelta, Reader,
    encoding::encode_byte_string,
};

use crate::{
    coin::{COIN_SCRIPT_BYTES_MAX, SUPPLY_KEY, corrupt, farmer_key, read, reward_key},
    error::LedgerError,
    params::within_range,
};

type Applied<T> = Result<T, ApplyError<LedgerError>>;

/// One part in so many of a forfeited reward goes to the farmer who included the evidence.
pub const FORFEIT_SHARE_DIVISOR: u64 = 8;

/// The reward of a block, not yet paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReward {
    /// Amount in maxwell.
    pub amount: Amount,
    /// Key that sealed the block.
    pub farmer: FarmerPublicKey,
    /// Script that the block named.
    pub payout_script: ScriptBuf,
    /// Height of the same farmer's next pending reward; zero if this is the newest.
    next: Height,
}

impl Encode for PendingReward {
    fn encode(&self, out: &mut Vec<u8>) {
        self.amount.encode(out);
        self.farmer.encode(out);
        self.next.encode(out);
        encode_byte_string(self.payout_script.as_bytes(), out);
    }
}

impl Decode for PendingReward {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            amount: Amount::decode(reader)?,
            farmer: FarmerPublicKey::decode(reader)?,
            next: Height::decode(reader)?,
            payout_script: ScriptBuf::from_bytes(reader.byte_string(COIN_SCRIPT_BYTES_MAX)?.to_vec()),
        })
    }
}

/// Heights of a farmer's oldest and newest pending reward.
struct FarmerRewards {
    oldest: Height,
    newest: Height,
}

impl Encode for FarmerRewards {
    fn encode(&self, out: &mut Vec<u8>) {
        self.oldest.encode(out);
        self.newest.encode(out);
    }
}

impl Decode for FarmerRewards {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { oldest: Height::decode(reader)?, newest: Height::decode(reader)? })
    }
}

/// The books: coins and pending rewards together are always `genesis + issued - burned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// Sum of the coins of the genesis block.
    pub genesis: Amount,
    /// Sum of the subsidies so far.
    pub issued: Amount,
    /// Sum of what was forfeited and given to nobody.
    pub burned: Amount,
}

impl Supply {
    /// The supply in `state`.
    ///
    /// # Errors
    /// [`ApplyError::State`] if the state cannot be read or is corrupt.
    pub fn read(state: &dyn StateRead) -> Applied<Self> {
        Ok(read(state, SUPPLY_KEY, "supply")?.unwrap_or_default())
    }

    /// What coins and pending rewards have to sum up to.
    #[must_use]
    pub fn outstanding(&self) -> Option<Amount> {
        self.genesis.checked_add(self.issued)?.checked_sub(self.burned)
    }
}

impl Encode for Supply {
    fn encode(&self, out: &mut Vec<u8>) {
        self.genesis.encode(out);
        self.issued.encode(out);
        self.burned.encode(out);
    }
}

impl Decode for Supply {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            genesis: Amount::decode(reader)?,
            issued: Amount::decode(reader)?,
            burned: Amount::decode(reader)?,
        })
    }
}

/// The reward of the block at `height`, if it is still pending.
///
/// # Errors
/// [`ApplyError::State`] if the state cannot be read or is corrupt.
pub fn read_pending(state: &dyn StateRead, height: Height) -> Applied<Option<PendingReward>> {
    read(state, &reward_key(height), "pending reward")
}

/// Sum of a farmer's pending rewards.
///
/// # Errors
/// [`ApplyError::State`] if the state cannot be read or is corrupt.
pub fn pending_of(state: &dyn StateRead, farmer: &FarmerPublicKey) -> Applied<Amount> {
    let rewards = rewards_of(state, farmer)?;
    let sum = rewards.iter().try_fold(Amount::ZERO, |sum, (_, reward)| sum.checked_add(reward.amount));
    within_range(sum).map_err(ApplyError::Invalid)
}

/// Takes all pending rewards of the banned keys: what the includer gets and what is burned.
pub(crate) fn forfeit(state: &mut Overlay<'_>, banned: &[FarmerPublicKey]) -> Applied<(Amount, Amount)> {
    let mut total = Amount::ZERO;
    for farmer in banned {
        for (height, reward) in rewards_of(state, farmer)? {
            let sum = total.checked_add(reward.amount);
            total = within_range(sum).map_err(ApplyError::Invalid)?;
            state.delete(reward_key(height));
        }
        if state.get(&farmer_key(farmer))?.is_some() {
            state.delete(farmer_key(farmer));
        }
    }
    let share = Amount::new(total.get().checked_div(FORFEIT_SHARE_DIVISOR).unwrap_or(0));
    let burned = total.checked_sub(share).unwrap_or(Amount::ZERO);
    Ok((share, burned))
}

/// Takes the reward that the block at `height` pays out, if there is one.
pub(crate) fn take_due(
    state: &mut Overlay<'_>,
    height: Height,
    delay: HeightDelta,
) -> Applied<Option<PendingReward>> {
    let Some(earned) = height.checked_sub(delay) else { return Ok(None) };
    let Some(reward) = read_pending(state, earned)? else { return Ok(None) };
    let key = farmer_key(&reward.farmer);
    let rewards: FarmerRewards =
        read(state, &key, "farmer's rewards")?.ok_or_else(|| corrupt("reward without farmer"))?;
    if rewards.oldest != earned {
        return Err(corrupt("rewards are not paid in order"));
    }
    if rewards.newest == earned {
        state.delete(key);
    } else {
        state.put(key, FarmerRewards { oldest: reward.next, ..rewards }.to_bytes());
    }
    state.delete(reward_key(earned));
    Ok(Some(reward))
}

/// Writes down the reward of the block at `height`. A reward of nothing is not written.
pub(crate) fn add_pending(
    state: &mut Overlay<'_>,
    height: Height,
    amount: Amount,
    farmer: FarmerPublicKey,
    payout_script: ScriptBuf,
) -> Applied<()> {
    if amount == Amount::ZERO {
        return Ok(());
    }
    let key = farmer_key(&farmer);
    let oldest = match read::<FarmerRewards>(state, &key, "farmer's rewards")? {
        None => height,
        Some(rewards) => {
            let newest =
                read_pending(state, rewards.newest)?.ok_or_else(|| corrupt("farmer without reward"))?;
            state.put(reward_key(rewards.newest), PendingReward { next: height, ..newest }.to_bytes());
            rewards.oldest
        }
    };
    state.put(key, FarmerRewards { oldest, newest: height }.to_bytes());
    let reward = PendingReward { amount, farmer, payout_script, next: Height::ZERO };
    state.put(reward_key(height), reward.to_bytes());
    Ok(())
}

fn rewards_of(state: &dyn StateRead, farmer: &FarmerPublicKey) -> Applied<Vec<(Height, PendingReward)>> {
    let mut found = Vec::new();
    let Some(list) = read::<FarmerRewards>(state, &farmer_key(farmer), "farmer's rewards")? else {
        return Ok(found);
    };
    let mut height = list.oldest;
    loop {
        let reward = read_pending(state, height)?.ok_or_else(|| corrupt("farmer without reward"))?;
        let next = reward.next;
        found.push((height, reward));
        if height == list.newest {
            return Ok(found);
        }
        if next <= height {
            return Err(corrupt("rewards of a farmer do not ascend"));
        }
        height = next;
    }
}
