//! What goes wrong with a wallet, and whose fault it is: the owner's, the node's or the machine's.

use std::{io, path::PathBuf};

use bitcoin::{FeeRate, OutPoint, Txid};
use mass_ledger_utxo::{AddressError, ParamsError, format_mass};
use mass_primitives::{Amount, BlockId, ChainId};
use mass_rpc::ClientError;

use crate::light::LightError;

/// A failed operation on a wallet.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// There is a wallet already, and its seed is never overwritten.
    #[error("{0} holds a wallet already, which is not overwritten")]
    Exists(PathBuf),
    /// There is no wallet.
    #[error("{0} holds no wallet")]
    Missing(PathBuf),
    /// Another program has the wallet open.
    #[error("the wallet in {0} is in use by another program")]
    InUse(PathBuf),
    /// The seed file does not hold a seed.
    #[error("{path} is no seed file of a wallet: {reason}")]
    SeedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a part of the phrase.
        reason: String,
    },
    /// The phrase is none.
    #[error("not a seed phrase: {0}")]
    Phrase(String),
    /// The descriptor is none, or of a kind that this chain does not have.
    #[error("not a descriptor for a wallet: {0}")]
    Descriptor(String),
    /// The passphrase is empty or too long.
    #[error("a passphrase has 1 to {most} bytes, not {got}")]
    PassphraseForm {
        /// Bytes of the passphrase.
        got: usize,
        /// Bytes at the most.
        most: usize,
    },
    /// The wallet is encrypted.
    #[error("the wallet in {0} is encrypted: its passphrase is needed")]
    PassphraseMissing(PathBuf),
    /// The passphrase is another, or the file was changed.
    #[error("the passphrase is wrong, or the file was changed")]
    PassphraseWrong,
    /// The passphrase's key cannot be made.
    #[error("no key can be made of the passphrase: {0}")]
    Stretch(String),
    /// The wallet has no keys to sign with.
    #[error("the wallet watches only: it has no keys to sign with")]
    WatchOnly,
    /// The keys are locked.
    #[error("the wallet is locked: unlock it with its passphrase first")]
    Locked,
    /// A signature cannot be made.
    #[error("cannot sign: {0}")]
    Sign(String),
    /// The bytes are no PSBT.
    #[error("not a PSBT: {0}")]
    PsbtForm(String),
    /// The PSBT cannot be worked with.
    #[error("PSBT: {0}")]
    Psbt(String),
    /// The text is no coin.
    #[error("{0:?} is no coin: a coin is TXID:N")]
    CoinForm(String),
    /// The wallet does not have the coin.
    #[error("the wallet has no unspent coin {0}")]
    NoCoin(OutPoint),
    /// The coin is frozen.
    #[error("coin {0} is frozen: unfreeze it first")]
    Frozen(OutPoint),
    /// The wallet does not know the transaction.
    #[error("the wallet knows no transaction {0}")]
    NoTransaction(Txid),
    /// The transaction is in a block.
    #[error("transaction {0} is in a block already")]
    Confirmed(Txid),
    /// The transaction cannot be replaced.
    #[error("transaction {txid} cannot be replaced: {reason}")]
    Irreplaceable {
        /// The transaction.
        txid: Txid,
        /// Why.
        reason: String,
    },
    /// A replacement or a child would pay too little.
    #[error("the fee is too low: {0}")]
    FeeTooLow(String),
    /// A line of a labels file is none.
    #[error("line {line} is no label (BIP-329): {reason}")]
    Label {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The labels file does not open.
    #[error("{0} holds no labels of this wallet, or was changed")]
    LabelsFile(PathBuf),
    /// A light wallet found a lie.
    #[error(transparent)]
    Light(#[from] Box<LightError>),
    /// The wallet was made for another chain.
    #[error("the wallet in {path} is of chain {found}, not of {name} ({expected})")]
    OtherChain {
        /// Directory of the wallet.
        path: PathBuf,
        /// Name of the chain asked for.
        name: String,
        /// Id of the chain asked for.
        expected: ChainId,
        /// Id of the chain that the wallet is of.
        found: ChainId,
    },
    /// The chain runs on a ledger that this wallet does not know.
    #[error("the chain runs on the ledger {0:?}, which this wallet does not know")]
    LedgerKind(String),
    /// The ledger's parameters cannot be used.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The chain has another maturity than the one that BDK has built in.
    #[error("coinbases of the chain mature in {got} blocks; this wallet knows {expected} only")]
    Maturity {
        /// Maturity of the chain.
        got: u32,
        /// Maturity that BDK has built in.
        expected: u32,
    },
    /// A file of the wallet cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// No node answers.
    #[error("no node answers: {0}")]
    NoNode(String),
    /// The node does not do what it is asked.
    #[error("the node refuses {method}: {message} (code {code})")]
    NodeRefuses {
        /// Method that was called.
        method: &'static str,
        /// Code of the refusal.
        code: i32,
        /// Why it refuses.
        message: String,
    },
    /// The node's answer makes no sense.
    #[error("the node's answer to {method} is wrong: {reason}")]
    NodeAnswer {
        /// Method that was called.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The node follows another chain.
    #[error("the node follows chain {name} ({found}), the wallet is of chain {expected}")]
    NodeChain {
        /// Name of the node's chain.
        name: String,
        /// Id of the node's chain.
        found: ChainId,
        /// Id of the wallet's chain.
        expected: ChainId,
    },
    /// The node's chain begins with another block.
    #[error("the node's chain begins with block {found}, the wallet's with {expected}")]
    NodeGenesis {
        /// Genesis block of the node.
        found: BlockId,
        /// Genesis block of the wallet's chain.
        expected: BlockId,
    },
    /// The node's chain changes faster than it can be read.
    #[error("the node's chain changed again and again while it was read: try again")]
    Unsteady,
    /// The address is none, or of another chain.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The address is of another network, which is named.
    #[error("{address:?} is {network}, and this wallet pays to addresses that begin with {expected}1")]
    ForeignAddress {
        /// The address.
        address: String,
        /// What it is an address of, as in "a Bitcoin testnet address".
        network: &'static str,
        /// Prefix of the chain.
        expected: String,
    },
    /// The spendable coins do not suffice for amount and fee.
    #[error("{} MASS are needed with the fee, {} MASS can be spent", format_mass(*.needed), format_mass(*.available))]
    Funds {
        /// Amount and fee.
        needed: Amount,
        /// What can be spent.
        available: Amount,
    },
    /// A coin of that amount would cost more to spend than it is worth.
    #[error("{} MASS are too little for a coin of their own: send at least {}", format_mass(*.got), format_mass(*.least))]
    Dust {
        /// The amount.
        got: Amount,
        /// The least amount to that address.
        least: Amount,
    },
    /// The fee rate is too low for nodes to relay, or so high that it must be a mistake.
    #[error("a fee rate of {} maxwell per vbyte is not between {} and {}", .got.to_sat_per_vb_ceil(), .least.to_sat_per_vb_ceil(), .most.to_sat_per_vb_ceil())]
    FeeRate {
        /// The fee rate.
        got: FeeRate,
        /// The least one.
        least: FeeRate,
        /// The greatest one.
        most: FeeRate,
    },
    /// The payment cannot be made for a reason that should not occur.
    #[error("the payment cannot be made: {0}")]
    Payment(String),
}

/// What a failed call of `method` means.
pub(crate) fn from_call(method: &'static str, error: ClientError) -> WalletError {
    match error {
        ClientError::Call(refusal) => {
            WalletError::NodeRefuses { method, code: refusal.code(), message: refusal.message().to_owned() }
        }
        ClientError::ParseError(error) => WalletError::NodeAnswer { method, reason: error.to_string() },
        other => WalletError::NoNode(other.to_string()),
    }
}
