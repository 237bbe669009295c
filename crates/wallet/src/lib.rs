//! A wallet of one chain: keys, addresses, coins, payments and history, on BDK.
//!
//! A wallet is a directory. `seed` holds what its keys follow from (a BIP-39 phrase, or descriptors) and is all that must
//! be kept; `state` holds what was derived from it and the chain, and is made anew from a node whenever it is missing
//! or damaged; `labels` holds what its owner wrote. With a passphrase all three are encrypted. An account has the keys
//! of BIP-84 or BIP-86 with coin type 297 (`m/84'/297'/0'`).
//!
//! BDK knows Bitcoin's networks only, so inside it a chain of ours is a test network with another genesis
//! block. Addresses have the chain's own prefix; keys and descriptors are written as a test network's.
//!
//! A wallet believes the node that it is given, unless it is asked to check everything itself: see [`light`].
//!
//! Deliberately not here: rules of the ledger (in `mass-ledger-utxo`).

mod book;
mod bump;
mod coins;
mod descriptor;
mod earned;
mod error;
mod foreign;
mod history;
mod keys;
mod labels;
mod ledger_chain;
pub mod light;
mod psbt;
mod seed_file;
mod send;
pub mod serve;
mod state;
mod sync;
mod vault;
mod wallet;

pub use bitcoin::{FeeRate, OutPoint, Psbt, Txid};
pub use coins::{Coin, CoinState, parse_coin};
pub use descriptor::is_descriptor;
pub use error::WalletError;
pub use history::{Balance, Entry};
pub use keys::{Account, COIN_TYPE, DEV_FAUCET_PHRASE, SecretPhrase, Seed, Words};
pub use labels::{Label, parse as parse_labels};
pub use psbt::{
    InputView, OutputView, PSBT_BYTES_MAX, PsbtView, combine, finalize, parse_psbt, transaction_hex, view,
};
pub use seed_file::is_seed_file;
pub use send::{
    FEE_RATE_DEFAULT, FEE_RATE_MAX, FEE_RATE_MIN, Payment, RECIPIENTS_MAX, Sent, Value, parse_fee_rate,
};
pub use sync::{Progress, Synced};
pub use vault::Passphrase;
pub use wallet::{Origin, Wallet};
