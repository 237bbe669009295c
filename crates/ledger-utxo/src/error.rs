//! Every rule of this ledger that can be broken, by name, with what was found and what was expected.

use bitcoin::{OutPoint, Txid};
use mass_primitives::{Amount, FarmerPublicKey, Height};

use crate::{address::AddressError, fault::ScriptFault};

/// What was summed up to more than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// Inputs of a transaction.
    Inputs,
    /// Outputs of a transaction.
    Outputs,
    /// Fees and rewards of a block, or the books.
    Rewards,
}

impl core::fmt::Display for Sum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
            Self::Rewards => "fees and rewards",
        })
    }
}

/// A broken rule of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The body is longer than any body within the weight limit.
    #[error("body of {got} bytes exceeds {bound}")]
    BodyTooLong {
        /// Bytes found.
        got: usize,
        /// Bytes allowed.
        bound: usize,
    },
    /// The body is no list of transactions.
    #[error("body is malformed at transaction {position}")]
    BodyMalformed {
        /// Position of the transaction that cannot be read.
        position: u64,
    },
    /// Bytes follow the last transaction.
    #[error("{left} bytes left over after the last transaction")]
    BodyTrailing {
        /// Bytes left over.
        left: usize,
    },
    /// The body has no transaction.
    #[error("body has no coinbase")]
    BodyEmpty,
    /// Two equal neighbours in the merkle tree (CVE-2012-2459).
    #[error("merkle tree has equal neighbours: another body has the same root")]
    MerkleMalleated,
    /// A transaction of 64 bytes could pass for an inner node of the merkle tree (CVE-2017-12842).
    #[error("transaction {0} is 64 bytes long without its witness")]
    TransactionLooksLikeNode(Txid),
    /// The weight exceeds the limit.
    #[error("weight {got} exceeds {bound}")]
    Weight {
        /// Weight found.
        got: u64,
        /// Weight allowed.
        bound: u64,
    },
    /// The first transaction is no coinbase, or a later one is.
    #[error("transaction {position} must {} a coinbase", if *.expected { "be" } else { "not be" })]
    CoinbasePosition {
        /// Position in the body.
        position: usize,
        /// Whether it has to be a coinbase.
        expected: bool,
    },
    /// The coinbase's signature script is not `push(height) push(payout script)`.
    #[error("coinbase does not begin with height {expected} and a payout script")]
    CoinbaseScript {
        /// Height of the block.
        expected: Height,
    },
    /// The coinbase's witness is not one value of 32 bytes.
    #[error("coinbase witness is not one reserved value of 32 bytes")]
    CoinbaseWitness,
    /// The coinbase does not pay exactly the reward that is due.
    #[error("coinbase pays {got:?} where {expected:?} is due")]
    CoinbasePayout {
        /// First output, if it carries value.
        got: Option<Amount>,
        /// The reward that is due, if any.
        expected: Option<Amount>,
    },
    /// The coinbase pays the reward to another script than the farmer named.
    #[error("coinbase pays the reward that is due to another script than its farmer named")]
    CoinbasePayoutScript,
    /// An output of the coinbase is neither the payout nor a commitment.
    #[error("output {position} of the coinbase is neither payout nor commitment")]
    CoinbaseOutput {
        /// Position of the output.
        position: usize,
    },
    /// The coinbase carries no witness commitment, or several.
    #[error("coinbase carries {got} witness commitments, expected 1")]
    WitnessCommitmentCount {
        /// Commitments found.
        got: usize,
    },
    /// The witness commitment does not fit the witnesses (BIP-141).
    #[error("witness commitment does not fit the witnesses")]
    WitnessCommitment,
    /// The coinbase carries several evidence commitments.
    #[error("coinbase carries {got} evidence commitments, expected at most 1")]
    EvidenceCommitmentCount {
        /// Commitments found.
        got: usize,
    },
    /// The coinbase carries several state commitments.
    #[error("coinbase carries {got} state commitments, expected at most 1")]
    StateCommitmentCount {
        /// Commitments found.
        got: usize,
    },
    /// The block is sealed by a key that its own evidence bans.
    #[error("block of farmer {0}, whom its own evidence bans")]
    BannedFarmer(FarmerPublicKey),
    /// The version of a transaction has no meaning yet.
    #[error("transaction version {got}, expected 1 to 3")]
    Version {
        /// Version found.
        got: i32,
    },
    /// A transaction without inputs or outputs.
    #[error("transaction has {inputs} inputs and {outputs} outputs, expected at least one of each")]
    TransactionEmpty {
        /// Inputs found.
        inputs: usize,
        /// Outputs found.
        outputs: usize,
    },
    /// One transaction spends a coin twice.
    #[error("transaction spends {0} twice")]
    InputTwice(OutPoint),
    /// The coin is already spent in this block.
    #[error("coin {0} is already spent in this block")]
    DoubleSpend(OutPoint),
    /// There is no such coin.
    #[error("coin {0} does not exist")]
    MissingCoin(OutPoint),
    /// A coin of a coinbase is spent too early.
    #[error("coin {outpoint} matures at height {expected}, spent at {got}")]
    Immature {
        /// The coin.
        outpoint: OutPoint,
        /// Height of the spending block.
        got: Height,
        /// Least height that may spend it.
        expected: Height,
    },
    /// An output has a script that this chain does not know.
    #[error("output {position} is neither P2WPKH, P2WSH, P2TR, P2A nor a short OP_RETURN")]
    OutputScript {
        /// Position of the output.
        position: usize,
    },
    /// An OP_RETURN output carries value, which would be lost outside the books.
    #[error("OP_RETURN output {position} carries {got} maxwell, expected 0")]
    NullDataValue {
        /// Position of the output.
        position: usize,
        /// Amount found.
        got: Amount,
    },
    /// An amount has the sign bit of Bitcoin's signed amounts.
    #[error("output {position} carries a negative amount")]
    AmountNegative {
        /// Position of the output.
        position: usize,
    },
    /// An amount is out of range.
    #[error("output {position} carries {got} maxwell, more than {bound}")]
    AmountTooLarge {
        /// Position of the output.
        position: usize,
        /// Amount found.
        got: Amount,
        /// Greatest amount that there may be.
        bound: Amount,
    },
    /// A sum of amounts is out of range.
    #[error("{what} exceed {bound} maxwell")]
    AmountRange {
        /// What was summed up.
        what: Sum,
        /// Greatest amount that there may be.
        bound: Amount,
    },
    /// A transaction spends more than it has.
    #[error("outputs of {got} maxwell from inputs of {expected}")]
    Overspent {
        /// Sum of the outputs.
        got: Amount,
        /// Sum of the inputs.
        expected: Amount,
    },
    /// The lock time has not come (BIP-113).
    #[error("lock time {lock_time} has not come at height {height}, median time {median_time}")]
    LockTime {
        /// Lock time of the transaction.
        lock_time: u32,
        /// Height of the block.
        height: Height,
        /// Median time past.
        median_time: u32,
    },
    /// The relative lock of an input still holds (BIP-68).
    #[error("relative lock of coin {outpoint} opens at {expected}, now {got} (height or median time)")]
    RelativeLock {
        /// The coin.
        outpoint: OutPoint,
        /// Height or median time now.
        got: u64,
        /// Least height or median time.
        expected: u64,
    },
    /// An input does not satisfy the coin that it spends.
    #[error("input {input} of transaction {txid}: {fault}")]
    Script {
        /// The transaction.
        txid: Txid,
        /// Position of the input.
        input: usize,
        /// What is wrong with it.
        fault: ScriptFault,
    },
    /// The scripts cost too much to check.
    #[error("scripts cost {got} signature operations, more than {bound}")]
    SigopCost {
        /// Cost found.
        got: u64,
        /// Cost allowed.
        bound: u64,
    },
}

/// Why parameters describe no ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The text is no parameters.
    #[error("ledger parameters: {0}")]
    Format(String),
    /// A number must not be zero.
    #[error("ledger parameter {0} must be at least 1")]
    Zero(&'static str),
    /// The weight limit leaves no room for a transaction, or is above what can be addressed.
    #[error("weight limit {got} is not within {least} to {most}")]
    Weight {
        /// Limit found.
        got: u64,
        /// Least limit.
        least: u64,
        /// Greatest limit.
        most: u64,
    },
    /// All coins together exceed what Bitcoin's libraries carry.
    #[error("all coins together exceed {bound} maxwell")]
    Supply {
        /// Greatest supply.
        bound: Amount,
    },
    /// An address is none, or of another chain.
    #[error(transparent)]
    Address(#[from] AddressError),
}
