//! A coin in the state, and the keys under which this ledger keeps what it knows.
//!
//! ```text
//! 'c' txid(32) vout(4 LE)   coin
//! 'r' height(4 BE)          reward that is still pending
//! 'f' farmer(32)            first and last height of the farmer's pending rewards
//! 's'                       supply
//! ```

use bitcoin::{OutPoint, ScriptBuf, TxOut, hashes::Hash};
use mass_consensus::ledger::{ApplyError, StateRead, StateReadError};
use mass_primitives::{
    Amount, Decode, DecodeError, Encode, FarmerPublicKey, Height, Reader, encoding::encode_byte_string,
};

use crate::{error::LedgerError, script::is_spendable};

/// First byte of the key of a coin.
pub const COIN_PREFIX: u8 = b'c';
/// First byte of the key of a pending reward.
pub const REWARD_PREFIX: u8 = b'r';
/// First byte of the key of a farmer's pending rewards.
pub const FARMER_PREFIX: u8 = b'f';
/// The key of the supply.
pub const SUPPLY_KEY: &[u8] = b"s";
/// Length of the longest script of a coin.
pub(crate) const COIN_SCRIPT_BYTES_MAX: usize = 34;

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Amount in maxwell.
    pub amount: Amount,
    /// Witness program that has to be satisfied.
    pub script: ScriptBuf,
    /// Height of the block that created it.
    pub height: Height,
    /// Median time past of that block, from which relative locks by time count (BIP-68).
    pub median_time: u32,
    /// Whether a coinbase created it.
    pub coinbase: bool,
}

impl Coin {
    /// The coin as the output that created it.
    #[must_use]
    pub fn to_output(&self) -> TxOut {
        TxOut { value: bitcoin::Amount::from_sat(self.amount.get()), script_pubkey: self.script.clone() }
    }
}

impl Encode for Coin {
    fn encode(&self, out: &mut Vec<u8>) {
        self.amount.encode(out);
        self.height.encode(out);
        self.median_time.encode(out);
        u8::from(self.coinbase).encode(out);
        encode_byte_string(self.script.as_bytes(), out);
    }
}

impl Decode for Coin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let amount = Amount::decode(reader)?;
        let height = Height::decode(reader)?;
        let median_time = u32::decode(reader)?;
        let coinbase = match u8::decode(reader)? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("coinbase flag is neither 0 nor 1")),
        };
        let script = ScriptBuf::from_bytes(reader.byte_string(COIN_SCRIPT_BYTES_MAX)?.to_vec());
        if !is_spendable(&script) {
            return Err(DecodeError::Invalid("script of a coin is no witness program"));
        }
        Ok(Self { amount, script, height, median_time, coinbase })
    }
}

/// Key of a coin.
#[must_use]
pub fn coin_key(outpoint: &OutPoint) -> Vec<u8> {
    let mut key = vec![COIN_PREFIX];
    key.extend_from_slice(outpoint.txid.as_byte_array());
    outpoint.vout.encode(&mut key);
    key
}

/// Key of the reward of the block at `height`, in the order of heights.
#[must_use]
pub fn reward_key(height: Height) -> Vec<u8> {
    let mut key = vec![REWARD_PREFIX];
    key.extend_from_slice(&height.get().to_be_bytes());
    key
}

/// Key of a farmer's pending rewards.
#[must_use]
pub fn farmer_key(farmer: &FarmerPublicKey) -> Vec<u8> {
    let mut key = vec![FARMER_PREFIX];
    farmer.encode(&mut key);
    key
}

/// State that this ledger did not write: a fault of the machine.
pub(crate) fn corrupt(what: &str) -> ApplyError<LedgerError> {
    ApplyError::State(StateReadError(format!("not written by this ledger: {what}")))
}

/// The value at a key.
pub(crate) fn read<T: Decode>(
    state: &dyn StateRead,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, ApplyError<LedgerError>> {
    let Some(bytes) = state.get(key)? else { return Ok(None) };
    T::from_bytes(&bytes).map(Some).map_err(|error| corrupt(&format!("{what}: {error}")))
}

/// The coin at an outpoint, if it is unspent.
///
/// # Errors
/// [`ApplyError`] if the state cannot be read or is corrupt.
pub fn read_coin(
    state: &dyn StateRead,
    outpoint: &OutPoint,
) -> Result<Option<Coin>, ApplyError<LedgerError>> {
    read(state, &coin_key(outpoint), "coin")
}
