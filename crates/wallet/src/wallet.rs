//! The wallet's handle: making, restoring and opening it, and its addresses.

use std::{collections::HashSet, fs, io, os::unix::fs::DirBuilderExt as _, path::Path};

use bdk_wallet::{ChangeSet, KeychainKind, LoadError};
use bitcoin::{Script, Transaction, Txid};
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::address;

use crate::{
    error::WalletError,
    keys::{NETWORK, SecretPhrase, Seed, Words},
    ledger_chain::LedgerChain,
    seed_file,
    state::StateFile,
};

/// How many addresses beyond the last one known to be used are watched. Whoever gives out more than so many
/// that nobody pays finds later payments only as long as the state is kept.
const LOOKAHEAD: u32 = 100;

const SEED_FILE: &str = "seed";

/// One wallet of one chain, open. No other program can open it meanwhile.
pub struct Wallet {
    pub(crate) chain: LedgerChain,
    pub(crate) bdk: bdk_wallet::Wallet,
    /// Waiting transactions that were looked at and do not concern this wallet.
    pub(crate) strangers: HashSet<Txid>,
    pub(crate) seed: Seed,
    state: StateFile,
    damaged: bool,
}

impl Wallet {
    /// Makes a wallet with a new seed in `dir`. The phrase is to be shown to its owner now: it alone brings
    /// the coins back when the directory is lost.
    ///
    /// # Errors
    /// [`WalletError::Exists`] if there is a wallet in `dir`, or what cannot be written.
    pub fn create(dir: &Path, spec: &ChainSpec, words: Words) -> Result<(Self, SecretPhrase), WalletError> {
        let seed = Seed::generate(words)?;
        let phrase = seed.phrase();
        Ok((Self::establish(dir, spec, seed)?, phrase))
    }

    /// Makes a wallet in `dir` from a phrase. The first sync finds its coins.
    ///
    /// # Errors
    /// [`WalletError::Phrase`], [`WalletError::Exists`], or what cannot be written.
    pub fn restore(dir: &Path, spec: &ChainSpec, phrase: &str) -> Result<Self, WalletError> {
        Self::establish(dir, spec, Seed::parse(phrase)?)
    }

    fn establish(dir: &Path, spec: &ChainSpec, seed: Seed) -> Result<Self, WalletError> {
        let chain = LedgerChain::new(spec)?;
        let seed_path = dir.join(SEED_FILE);
        if seed_path.exists() {
            return Err(WalletError::Exists(dir.to_owned()));
        }
        let at = |error: io::Error| WalletError::File(dir.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
        // The state's lock comes first, so that two programs cannot both write a seed.
        let (mut state, ..) = StateFile::open(dir)?;
        seed_file::write(&seed_path, &chain.id, &seed)?;
        let mut bdk = fresh(&chain, &seed);
        state.replace(&bdk.take_staged().unwrap_or_default())?;
        Ok(Self { chain, bdk, strangers: HashSet::new(), seed, state, damaged: false })
    }

    /// Whether there is a wallet in a directory.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(SEED_FILE).exists()
    }

    /// Opens the wallet in `dir`.
    ///
    /// # Errors
    /// [`WalletError::Missing`], [`WalletError::InUse`], [`WalletError::OtherChain`], or what cannot be read.
    pub fn open(dir: &Path, spec: &ChainSpec) -> Result<Self, WalletError> {
        let chain = LedgerChain::new(spec)?;
        let (found, seed) = seed_file::read(&dir.join(SEED_FILE))?;
        if found != chain.id {
            let (path, name) = (dir.to_owned(), chain.name);
            return Err(WalletError::OtherChain { path, name, expected: chain.id, found });
        }
        let (mut state, changes, mut damaged) = StateFile::open(dir)?;
        let bdk = match load(&chain, &seed, changes) {
            Ok(Some(bdk)) => bdk,
            Ok(None) => fresh(&chain, &seed),
            // Sound, but of another wallet: as good as damaged.
            Err(_) => {
                state.replace(&ChangeSet::default())?;
                damaged = true;
                fresh(&chain, &seed)
            }
        };
        let mut wallet = Self { chain, bdk, strangers: HashSet::new(), seed, state, damaged };
        wallet.persist()?;
        Ok(wallet)
    }

    /// Whether a part of the state was damaged when the wallet was opened. The next sync reads the chain from
    /// where the sound part ends.
    #[must_use]
    pub const fn was_damaged(&self) -> bool {
        self.damaged
    }

    /// A new address, never given out before.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn new_address(&mut self) -> Result<String, WalletError> {
        let script = self.bdk.reveal_next_address(KeychainKind::External).address.script_pubkey();
        self.persist()?;
        Ok(self.text(&script))
    }

    /// The first address that was never paid, as far as known.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn unused_address(&mut self) -> Result<String, WalletError> {
        let script = self.bdk.next_unused_address(KeychainKind::External).address.script_pubkey();
        self.persist()?;
        Ok(self.text(&script))
    }

    /// The address of a number, `m/84'/297'/0'/0/index`, given out or not.
    #[must_use]
    pub fn address(&self, index: u32) -> String {
        self.text(&self.bdk.peek_address(KeychainKind::External, index).address.script_pubkey())
    }

    fn text(&self, script: &Script) -> String {
        address::encode(&self.chain.address_prefix, script).expect("P2WPKH has an address on every chain")
    }

    /// Forgets all that was learned from the chain but what addresses were given out and what still waits
    /// for a block. The next sync reads the whole chain.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn forget(&mut self) -> Result<(), WalletError> {
        let mut bdk = fresh(&self.chain, &self.seed);
        for keychain in [KeychainKind::External, KeychainKind::Internal] {
            if let Some(index) = self.bdk.derivation_index(keychain) {
                // The addresses are revealed by being asked for.
                let _ = bdk.reveal_addresses_to(keychain, index).count();
            }
        }
        bdk.apply_unconfirmed_txs(self.waiting());
        self.state.replace(&bdk.take_staged().unwrap_or_default())?;
        self.bdk = bdk;
        Ok(())
    }

    /// Payments of this wallet, and to it, that are in no block; with the time at which they were last seen.
    pub(crate) fn waiting(&self) -> Vec<(Transaction, u64)> {
        let waiting = self.bdk.transactions().filter(|tx| tx.chain_position.is_unconfirmed());
        waiting.map(|tx| ((*tx.tx_node.tx).clone(), tx.tx_node.last_seen.unwrap_or(0))).collect()
    }

    /// Makes durable what BDK learned.
    pub(crate) fn persist(&mut self) -> Result<(), WalletError> {
        if let Some(changes) = self.bdk.staged() {
            self.state.append(changes)?;
            let _ = self.bdk.take_staged();
        }
        Ok(())
    }
}

/// A wallet that knows the genesis block and nothing more.
fn fresh(chain: &LedgerChain, seed: &Seed) -> bdk_wallet::Wallet {
    let [external, internal] =
        [KeychainKind::External, KeychainKind::Internal].map(|key| seed.descriptor(key));
    let mut bdk = bdk_wallet::Wallet::create(external, internal)
        .network(NETWORK)
        .genesis_hash(chain.genesis.block_hash())
        .lookahead(LOOKAHEAD)
        .create_wallet_no_persist()
        .expect("the two descriptors differ in their branch");
    bdk.apply_block(&chain.genesis, 0).expect("the wallet was made with this genesis block");
    bdk
}

/// The wallet that the changes make; `None` if there are none.
fn load(
    chain: &LedgerChain,
    seed: &Seed,
    changes: ChangeSet,
) -> Result<Option<bdk_wallet::Wallet>, LoadError> {
    let keychains = [KeychainKind::External, KeychainKind::Internal].into_iter();
    let params = bdk_wallet::Wallet::load()
        .check_network(NETWORK)
        .check_genesis_hash(chain.genesis.block_hash())
        .lookahead(LOOKAHEAD);
    let params = keychains.fold(params, |params, key| params.descriptor(key, Some(seed.descriptor(key))));
    params.load_wallet_no_persist(changes)
}

#[cfg(test)]
mod tests;
