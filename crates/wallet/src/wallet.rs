//! The wallet's handle: making, restoring and opening it, its keys under lock, and its addresses.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use bdk_wallet::{
    ChangeSet, KeychainKind, LoadError, descriptor::ExtendedDescriptor, miniscript::descriptor::KeyMapWrapper,
};
use bitcoin::{Psbt, Script, Transaction, Txid};
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::address;
use zeroize::Zeroizing;

use crate::{
    descriptor::of_account_key,
    error::WalletError,
    keys::{Account, NETWORK, SecretPhrase, Seed, Words},
    labels::Labels,
    ledger_chain::LedgerChain,
    seed_file::{self, Secrets},
    state::{self, StateFile},
    vault::{Key, Passphrase},
};

/// How many addresses beyond the last one known to be used are watched. Whoever gives out more than so many
/// that nobody pays finds later payments only as long as the state is kept.
const LOOKAHEAD: u32 = 100;

const SEED_FILE: &str = "seed";

/// What a new wallet is made from.
pub enum Origin {
    /// An account of a seed.
    Account(Seed, Account),
    /// Descriptors, with secret keys in them or without; and a seed, if keys of the descriptors follow from it.
    Descriptors {
        /// The descriptor of addresses, or with `<0;1>` of both.
        text: Zeroizing<String>,
        /// The descriptor of change.
        change: Option<Zeroizing<String>>,
        /// What signs beside secret keys in the descriptors.
        seed: Option<Seed>,
    },
    /// The public key of an account, `[fingerprint/84'/297'/0']tpub`, to watch it.
    AccountKey(String),
}

/// One wallet of one chain, open. No other program can open it meanwhile.
pub struct Wallet {
    pub(crate) chain: LedgerChain,
    pub(crate) bdk: bdk_wallet::Wallet,
    /// Waiting transactions that were looked at and do not concern this wallet.
    pub(crate) strangers: HashSet<Txid>,
    pub(crate) labels: Labels,
    pub(crate) dir: PathBuf,
    descriptors: Descriptors,
    /// Nothing while the wallet is locked.
    secrets: Option<Secrets>,
    watch_only: bool,
    encrypted: bool,
    state: StateFile,
    damaged: bool,
}

/// The public descriptors of a wallet: addresses, and change if that has its own.
#[derive(Clone)]
struct Descriptors(ExtendedDescriptor, Option<ExtendedDescriptor>);

impl Wallet {
    /// Makes a wallet with a new seed in `dir`, without a passphrase. The phrase is to be shown to its owner now: it
    /// alone brings the coins back when the directory is lost.
    ///
    /// # Errors
    /// [`WalletError::Exists`] if there is a wallet in `dir`, or what cannot be written.
    pub fn create(dir: &Path, spec: &ChainSpec, words: Words) -> Result<(Self, SecretPhrase), WalletError> {
        let seed = Seed::generate(words, "")?;
        let phrase = seed.phrase();
        Ok((Self::make(dir, spec, Origin::Account(seed, Account::default()), None)?, phrase))
    }

    /// Makes a wallet in `dir` from a phrase, without a passphrase. The first sync finds its coins.
    ///
    /// # Errors
    /// [`WalletError::Phrase`], [`WalletError::Exists`], or what cannot be written.
    pub fn restore(dir: &Path, spec: &ChainSpec, phrase: &str) -> Result<Self, WalletError> {
        Self::make(dir, spec, Origin::Account(Seed::parse(phrase, "")?, Account::default()), None)
    }

    /// Makes a wallet in `dir`, encrypted if there is a passphrase.
    ///
    /// # Errors
    /// [`WalletError::Descriptor`], [`WalletError::Exists`], or what cannot be written.
    pub fn make(
        dir: &Path,
        spec: &ChainSpec,
        origin: Origin,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, WalletError> {
        let chain = LedgerChain::new(spec)?;
        let mut secrets = match origin {
            Origin::Account(seed, account) => Secrets::of_account(seed, account),
            Origin::Descriptors { text, change, seed } => {
                Secrets::of_descriptors(&text, change.as_ref().map(|text| text.as_str()), seed)?
            }
            Origin::AccountKey(key) => Secrets::of_descriptors(&of_account_key(&key)?, None, None)?,
        };
        secrets.files = passphrase.map(|_| Key::generate()).transpose()?;
        let seed_path = dir.join(SEED_FILE);
        if seed_path.exists() {
            return Err(WalletError::Exists(dir.to_owned()));
        }
        let at = |error: io::Error| WalletError::File(dir.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
        // The lock comes first, so that two programs cannot both write a seed.
        let lock = state::lock(dir)?;
        seed_file::write(&seed_path, &chain.id, &secrets, passphrase)?;
        let (mut state, ..) = StateFile::open(dir, lock, secrets.files.clone())?;
        let mut bdk = fresh(&chain, &Descriptors(secrets.external.clone(), secrets.internal.clone()));
        state.replace(&bdk.take_staged().unwrap_or_default())?;
        let labels = Labels::open(dir, secrets.files.clone())?;
        Ok(Self::with(chain, dir, bdk, labels, secrets, (state, false)))
    }

    fn with(
        chain: LedgerChain,
        dir: &Path,
        bdk: bdk_wallet::Wallet,
        labels: Labels,
        secrets: Secrets,
        (state, damaged): (StateFile, bool),
    ) -> Self {
        Self {
            chain,
            bdk,
            strangers: HashSet::new(),
            labels,
            dir: dir.to_owned(),
            descriptors: Descriptors(secrets.external.clone(), secrets.internal.clone()),
            watch_only: secrets.is_watch_only(),
            encrypted: secrets.files.is_some(),
            secrets: Some(secrets),
            state,
            damaged,
        }
    }

    /// Whether there is a wallet in a directory.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(SEED_FILE).exists()
    }

    /// Whether the wallet in a directory needs a passphrase to be opened.
    ///
    /// # Errors
    /// [`WalletError::Missing`], or a seed file that is none.
    pub fn needs_passphrase(dir: &Path) -> Result<bool, WalletError> {
        Ok(seed_file::read(&dir.join(SEED_FILE))?.is_encrypted())
    }

    /// Opens the wallet in `dir` that has no passphrase.
    ///
    /// # Errors
    /// As [`Wallet::open_with`].
    pub fn open(dir: &Path, spec: &ChainSpec) -> Result<Self, WalletError> {
        Self::open_with(dir, spec, None)
    }

    /// Opens the wallet in `dir`.
    ///
    /// # Errors
    /// [`WalletError::Missing`], [`WalletError::InUse`], [`WalletError::OtherChain`],
    /// [`WalletError::PassphraseMissing`], [`WalletError::PassphraseWrong`], or what cannot be read.
    pub fn open_with(
        dir: &Path,
        spec: &ChainSpec,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, WalletError> {
        let chain = LedgerChain::new(spec)?;
        let seed_path = dir.join(SEED_FILE);
        if !seed_path.exists() {
            return Err(WalletError::Missing(dir.to_owned()));
        }
        let lock = state::lock(dir)?;
        let sealed = seed_file::read(&seed_path)?;
        if sealed.chain != chain.id {
            let (path, name, found) = (dir.to_owned(), chain.name, sealed.chain);
            return Err(WalletError::OtherChain { path, name, expected: chain.id, found });
        }
        let secrets = sealed.open(&seed_path, passphrase)?;
        let labels = Labels::open(dir, secrets.files.clone())?;
        let (mut state, changes, mut damaged) = StateFile::open(dir, lock, secrets.files.clone())?;
        let descriptors = Descriptors(secrets.external.clone(), secrets.internal.clone());
        let bdk = match load(&chain, &descriptors, changes) {
            Ok(Some(bdk)) => bdk,
            Ok(None) => fresh(&chain, &descriptors),
            // Sound, but of another wallet: as good as damaged.
            Err(_) => {
                state.replace(&ChangeSet::default())?;
                damaged = true;
                fresh(&chain, &descriptors)
            }
        };
        let mut wallet = Self::with(chain, dir, bdk, labels, secrets, (state, damaged));
        wallet.persist()?;
        Ok(wallet)
    }

    /// Whether a passphrase guards the wallet's files.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether the wallet has no keys at all.
    #[must_use]
    pub const fn is_watch_only(&self) -> bool {
        self.watch_only
    }

    /// Whether the keys are locked.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.secrets.is_none()
    }

    /// Wipes the keys from memory until the wallet is unlocked; whether it could, for a wallet without a passphrase
    /// cannot be locked.
    pub fn lock(&mut self) -> bool {
        if self.encrypted {
            self.secrets = None;
        }
        self.encrypted
    }

    /// Reads the keys again.
    ///
    /// # Errors
    /// [`WalletError::PassphraseWrong`], or a seed file that cannot be read.
    pub fn unlock(&mut self, passphrase: &Passphrase) -> Result<(), WalletError> {
        let path = self.dir.join(SEED_FILE);
        self.secrets = Some(seed_file::read(&path)?.open(&path, Some(passphrase))?);
        Ok(())
    }

    /// Gives the wallet another passphrase, or with `None` takes it away. The seed file is replaced at once; whoever
    /// has a copy of the old one still opens that with the old passphrase.
    ///
    /// # Errors
    /// [`WalletError::Locked`], or what cannot be written.
    pub fn change_passphrase(&mut self, passphrase: Option<&Passphrase>) -> Result<(), WalletError> {
        let changes = self.state.changes()?;
        let secrets = self.secrets.as_mut().ok_or(WalletError::Locked)?;
        let had_key = secrets.files.clone();
        secrets.files = passphrase.map(|_| had_key.clone().map_or_else(Key::generate, Ok)).transpose()?;
        let written = seed_file::replace(&self.dir.join(SEED_FILE), &self.chain.id, secrets, passphrase);
        if let Err(error) = written {
            secrets.files = had_key;
            return Err(error);
        }
        let key = secrets.files.clone();
        self.encrypted = key.is_some();
        self.labels.rekey(key.clone())?;
        self.state.rekey(key, &changes)
    }

    /// The phrase that brings the wallet back, if there is one.
    ///
    /// # Errors
    /// [`WalletError::Locked`].
    pub fn phrase(&self) -> Result<Option<SecretPhrase>, WalletError> {
        let secrets = self.secrets.as_ref().ok_or(WalletError::Locked)?;
        Ok(secrets.seed.as_ref().map(Seed::phrase))
    }

    /// The public key of the wallet's seed at a path, with its origin.
    ///
    /// # Errors
    /// [`WalletError::Locked`], [`WalletError::WatchOnly`] if there is no seed, or a path that is none.
    pub fn public_key(&self, path: &str) -> Result<String, WalletError> {
        let secrets = self.secrets.as_ref().ok_or(WalletError::Locked)?;
        secrets.seed.as_ref().ok_or(WalletError::WatchOnly)?.public_key(path)
    }

    /// The public descriptors with their checksums: of addresses, and of change if that has its own.
    #[must_use]
    pub fn descriptors(&self) -> (String, Option<String>) {
        (self.descriptors.0.to_string(), self.descriptors.1.as_ref().map(ToString::to_string))
    }

    /// Adds the signatures that the wallet's keys can make.
    pub(crate) fn add_signatures(&self, psbt: &mut Psbt) -> Result<(), WalletError> {
        if self.watch_only {
            return Err(WalletError::WatchOnly);
        }
        let secrets = self.secrets.as_ref().ok_or(WalletError::Locked)?;
        if let Some(seed) = &secrets.seed {
            seed.master().sign(psbt, self.bdk.secp_ctx())?;
        }
        if !secrets.keys.is_empty() {
            let signed = psbt.sign(&KeyMapWrapper::from(secrets.keys.clone()), self.bdk.secp_ctx());
            signed.map_err(|(_, errors)| WalletError::Sign(format!("{errors:?}")))?;
        }
        Ok(())
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

    /// The address of a number, as at `m/84'/297'/0'/0/index`, given out or not.
    #[must_use]
    pub fn address(&self, index: u32) -> String {
        self.text(&self.bdk.peek_address(KeychainKind::External, index).address.script_pubkey())
    }

    fn text(&self, script: &Script) -> String {
        self.address_of(script).expect("a wallet's descriptors have an address on every chain")
    }

    /// The address of a script, if it has one.
    #[must_use]
    pub fn address_of(&self, script: &Script) -> Option<String> {
        address::encode(&self.chain.address_prefix, script).ok()
    }

    /// The addresses that were given out, the first one first.
    #[must_use]
    pub fn given_addresses(&self) -> Vec<String> {
        let last = self.bdk.derivation_index(KeychainKind::External);
        last.map_or_else(Vec::new, |last| (0..=last).map(|index| self.address(index)).collect())
    }

    /// Forgets all that was learned from the chain but what addresses were given out and what still waits
    /// for a block. The next sync reads the whole chain.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn forget(&mut self) -> Result<(), WalletError> {
        let mut bdk = fresh(&self.chain, &self.descriptors);
        for keychain in [KeychainKind::External, KeychainKind::Internal] {
            if let Some(index) = self.bdk.derivation_index(keychain) {
                // The addresses are revealed by being asked for.
                let _ = bdk.reveal_addresses_to(keychain, index).count();
            }
        }
        bdk.apply_unconfirmed_txs(self.waiting());
        self.bdk.list_locked_outpoints().for_each(|coin| bdk.lock_outpoint(coin));
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
fn fresh(chain: &LedgerChain, Descriptors(external, internal): &Descriptors) -> bdk_wallet::Wallet {
    let params = match internal {
        Some(internal) => bdk_wallet::Wallet::create(external.clone(), internal.clone()),
        None => bdk_wallet::Wallet::create_single(external.clone()),
    };
    let mut bdk = params
        .network(NETWORK)
        .genesis_hash(chain.genesis.block_hash())
        .lookahead(LOOKAHEAD)
        .create_wallet_no_persist()
        .expect("the descriptors were checked when they were read");
    bdk.apply_block(&chain.genesis, 0).expect("the wallet was made with this genesis block");
    bdk
}

/// The wallet that the changes make; `None` if there are none.
fn load(
    chain: &LedgerChain,
    Descriptors(external, internal): &Descriptors,
    changes: ChangeSet,
) -> Result<Option<bdk_wallet::Wallet>, LoadError> {
    let params = bdk_wallet::Wallet::load()
        .check_network(NETWORK)
        .check_genesis_hash(chain.genesis.block_hash())
        .lookahead(LOOKAHEAD)
        .descriptor(KeychainKind::External, Some(external.clone()))
        .descriptor(KeychainKind::Internal, internal.clone());
    params.load_wallet_no_persist(changes)
}

#[cfg(test)]
mod tests;
