//! What differs between chains: money supply, delays, limits and the coins of the genesis block.

use bitcoin::ScriptBuf;
use mass_primitives::{Amount, Height};
use serde::{Deserialize, Serialize};

use crate::{
    address,
    coinbase::COINBASE_WEIGHT_MAX,
    error::{LedgerError, ParamsError, Sum},
};

/// Number of eras with a subsidy.
pub const ERAS: u32 = 15;
/// Greatest amount that there may be, in maxwell: what Bitcoin's libraries carry.
pub const MONEY_MAX: Amount = Amount::new(2_100_000_000_000_000);
/// Greatest weight limit: a body's length always fits the bounds of storage and network.
const WEIGHT_LIMIT_MAX: u64 = 64_000_000;

/// A coin that the genesis block creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisOutput {
    /// Address with the chain's prefix.
    pub address: String,
    /// Amount in maxwell.
    pub amount: Amount,
}

/// Parameters of the ledger, a part of the chain spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerParams {
    /// Subsidy of a block of the first era in maxwell.
    pub subsidy_initial: Amount,
    /// Blocks of the first era. Each next era is twice as long with half the subsidy.
    pub era_blocks: u32,
    /// Blocks between a block and the one whose coinbase pays its reward.
    pub reward_delay: u32,
    /// Blocks between a coinbase and the first one that may spend it.
    pub maturity: u32,
    /// Greatest weight of a body (BIP-141 units).
    pub weight_max: u64,
    /// Prefix of the chain's addresses.
    pub address_prefix: String,
    /// Coins of the genesis block. Empty on public networks.
    pub genesis_outputs: Vec<GenesisOutput>,
}

impl LedgerParams {
    /// Reads the parameters from the chain spec.
    ///
    /// # Errors
    /// [`ParamsError::Format`].
    pub fn from_json(value: serde_json::Value) -> Result<Self, ParamsError> {
        serde_json::from_value(value).map_err(|error| ParamsError::Format(error.to_string()))
    }

    /// Checks the parameters against each other.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn validate(&self) -> Result<(), ParamsError> {
        let numbers = [
            ("era_blocks", self.era_blocks),
            ("reward_delay", self.reward_delay),
            ("maturity", self.maturity),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == 0) {
            return Err(ParamsError::Zero(name));
        }
        if !(COINBASE_WEIGHT_MAX..=WEIGHT_LIMIT_MAX).contains(&self.weight_max) {
            return Err(ParamsError::Weight {
                got: self.weight_max,
                least: COINBASE_WEIGHT_MAX,
                most: WEIGHT_LIMIT_MAX,
            });
        }
        let supply = self
            .issuance_max()
            .and_then(|issued| issued.checked_add(self.genesis_amount()?))
            .filter(|supply| *supply <= MONEY_MAX);
        supply.ok_or(ParamsError::Supply { bound: MONEY_MAX })?;
        self.genesis_scripts().map(|_| ())
    }

    /// Subsidy of the block at `height`. The genesis block has none.
    #[must_use]
    pub fn subsidy(&self, height: Height) -> Amount {
        let Some(mut blocks) = u64::from(height.get()).checked_sub(1) else { return Amount::ZERO };
        for era in 0..ERAS {
            let Some((subsidy, length)) = self.era(era) else { return Amount::ZERO };
            match blocks.checked_sub(length) {
                None => return Amount::new(subsidy),
                Some(rest) => blocks = rest,
            }
        }
        Amount::ZERO
    }

    /// Sum of the subsidies up to `height`; `None` if it does not fit.
    #[must_use]
    pub fn issued_by(&self, height: Height) -> Option<Amount> {
        let (mut left, mut sum) = (u64::from(height.get()), Amount::ZERO);
        for era in 0..ERAS {
            let Some((subsidy, length)) = self.era(era).filter(|_| left > 0) else { break };
            let blocks = left.min(length);
            sum = sum.checked_add(Amount::new(subsidy.checked_mul(blocks)?))?;
            left = left.checked_sub(blocks)?;
        }
        Some(sum)
    }

    /// Sum of all subsidies there will ever be; `None` if it does not fit.
    #[must_use]
    pub fn issuance_max(&self) -> Option<Amount> {
        (0..ERAS).try_fold(Amount::ZERO, |sum, era| {
            let (subsidy, length) = self.era(era)?;
            sum.checked_add(Amount::new(subsidy.checked_mul(length)?))
        })
    }

    /// Sum of the coins of the genesis block; `None` if it does not fit.
    #[must_use]
    pub fn genesis_amount(&self) -> Option<Amount> {
        self.genesis_outputs.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.amount))
    }

    /// Scripts of the coins of the genesis block.
    ///
    /// # Errors
    /// [`ParamsError::Address`].
    pub fn genesis_scripts(&self) -> Result<Vec<ScriptBuf>, ParamsError> {
        let decode = |output: &GenesisOutput| Ok(address::decode(&self.address_prefix, &output.address)?);
        self.genesis_outputs.iter().map(decode).collect()
    }

    /// Subsidy and number of blocks of an era.
    fn era(&self, era: u32) -> Option<(u64, u64)> {
        let subsidy = self.subsidy_initial.get().checked_shr(era)?;
        let length = u64::from(self.era_blocks).checked_mul(1u64.checked_shl(era)?)?;
        Some((subsidy, length))
    }
}

/// `amount` as a sum of rewards within range.
pub(crate) fn within_range(amount: Option<Amount>) -> Result<Amount, LedgerError> {
    within_range_of(Sum::Rewards, amount)
}

/// `amount` as a sum within range.
pub(crate) fn within_range_of(what: Sum, amount: Option<Amount>) -> Result<Amount, LedgerError> {
    amount.filter(|amount| *amount <= MONEY_MAX).ok_or(LedgerError::AmountRange { what, bound: MONEY_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn massnet() -> LedgerParams {
        LedgerParams {
            subsidy_initial: Amount::new(10_240_000_000),
            era_blocks: 13_440,
            reward_delay: 1_820,
            maturity: 100,
            weight_max: 4_000_000,
            address_prefix: "ms".into(),
            genesis_outputs: Vec::new(),
        }
    }

    #[test]
    fn all_subsidies_are_the_promised_supply() {
        assert_eq!(massnet().issuance_max(), Some(Amount::new(206_438_400 * 10_000_000)));
        assert_eq!(massnet().validate(), Ok(()));
    }

    #[test]
    fn eras_double_while_the_subsidy_halves() {
        let subsidy = |height| massnet().subsidy(Height::new(height)).get();
        assert_eq!(subsidy(0), 0);
        assert_eq!((subsidy(1), subsidy(13_440)), (10_240_000_000, 10_240_000_000));
        assert_eq!((subsidy(13_441), subsidy(3 * 13_440)), (5_120_000_000, 5_120_000_000));
        assert_eq!(subsidy(3 * 13_440 + 1), 2_560_000_000);
        let last = 13_440 * ((1 << 15) - 1);
        assert_eq!((subsidy(last), subsidy(last + 1), subsidy(u32::MAX)), (625_000, 0, 0));
    }

    #[test]
    fn what_is_issued_is_the_sum_of_the_subsidies() {
        let mut sum = Amount::ZERO;
        for height in (0..50_000).map(Height::new) {
            sum = sum.checked_add(massnet().subsidy(height)).unwrap();
            assert_eq!(massnet().issued_by(height), Some(sum), "{height}");
        }
        assert_eq!(massnet().issued_by(Height::new(u32::MAX)), massnet().issuance_max());
    }

    #[test]
    fn parameters_are_read_strictly() {
        let json = serde_json::to_value(massnet()).unwrap();
        assert_eq!(LedgerParams::from_json(json.clone()), Ok(massnet()));
        let mut more = json;
        more["more"] = 1.into();
        assert!(matches!(LedgerParams::from_json(more), Err(ParamsError::Format(_))));
        assert_eq!(
            LedgerParams { reward_delay: 0, ..massnet() }.validate(),
            Err(ParamsError::Zero("reward_delay"))
        );
        assert!(LedgerParams { weight_max: 1, ..massnet() }.validate().is_err());
        let too_much = LedgerParams { subsidy_initial: Amount::new(u64::MAX), ..massnet() };
        assert_eq!(too_much.validate(), Err(ParamsError::Supply { bound: MONEY_MAX }));
    }
}
