//! A wallet of one chain: seed phrase, addresses, coins, payments and history, on BDK.
//!
//! A wallet is a directory. `seed` holds the phrase (BIP-39) and is all that must be kept; `state`
//! holds what was derived from the phrase and the chain, and is made anew from a node whenever it is missing or
//! damaged. Keys follow BIP-84 with coin type 297 (`m/84'/297'/0'`), so every address is P2WPKH.
//!
//! BDK knows Bitcoin's networks only, so inside it a chain of ours is a test network with another genesis
//! block; no name, prefix or key text of that network ever gets out.
//!
//! Deliberately not here: rules of the ledger (in `mass-ledger-utxo`), a proof that the node tells the truth
//! (the wallet believes the node that it is given), and encryption of the seed.

mod error;
mod history;
mod keys;
mod ledger_chain;
mod seed_file;
mod send;
mod state;
mod sync;
mod wallet;

pub use bitcoin::{FeeRate, Txid};
pub use error::WalletError;
pub use history::{Balance, Entry};
pub use keys::{COIN_TYPE, DEV_FAUCET_PHRASE, SecretPhrase, Words};
pub use send::{FEE_RATE_DEFAULT, FEE_RATE_MAX, FEE_RATE_MIN, Sent};
pub use sync::{Progress, Synced};
pub use wallet::Wallet;
