//! From a seed phrase (BIP-39) to the two descriptors of an account (BIP-84, BIP-86) and to signatures (BIP-32).
//!
//! BDK is given public descriptors alone; secret keys exist while a payment is signed. Phrase and seed are
//! wiped when they are dropped, and the master key when it was used; the keys derived from it on the way
//! are not, for their types cannot be.

use std::{fmt, str::FromStr};

use bdk_wallet::{KeychainKind, descriptor::ExtendedDescriptor};
use bip39::{Language, Mnemonic};
use bitcoin::{
    Network,
    bip32::{DerivationPath, Xpriv, Xpub},
    secp256k1::{All, Secp256k1},
};
use zeroize::Zeroizing;

use crate::{error::WalletError, vault};

/// The network that BDK is told. Only its key prefixes differ between networks; descriptors and keys are written
/// as that network's, for the tools that follow MASS as such.
pub(crate) const NETWORK: Network = Network::Regtest;

/// Coin type of MASS in BIP-44 paths, on every chain of the engine.
pub const COIN_TYPE: u32 = 297;

/// Seed phrase of the wallet that the genesis block of the `dev` chain pays: the first test vector of BIP-39,
/// known to everybody.
pub const DEV_FAUCET_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Bytes of a passphrase of a phrase at the most.
const EXTRA_BYTES_MAX: usize = 1_024;

/// Length of a new seed phrase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// 128 bits.
    #[default]
    Twelve,
    /// 160 bits.
    Fifteen,
    /// 192 bits.
    Eighteen,
    /// 224 bits.
    TwentyOne,
    /// 256 bits.
    TwentyFour,
}

impl Words {
    /// All lengths, the shortest first.
    pub const ALL: [Self; 5] =
        [Self::Twelve, Self::Fifteen, Self::Eighteen, Self::TwentyOne, Self::TwentyFour];

    /// Number of words.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Twelve => 12,
            Self::Fifteen => 15,
            Self::Eighteen => 18,
            Self::TwentyOne => 21,
            Self::TwentyFour => 24,
        }
    }

    const fn entropy_bytes(self) -> usize {
        self.count() / 3 * 4
    }
}

/// Which addresses follow from a phrase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// P2WPKH at `m/84'/297'/0'` (BIP-84).
    #[default]
    Bip84,
    /// Single-key taproot at `m/86'/297'/0'` (BIP-86).
    Bip86,
}

impl Account {
    const fn purpose(self) -> u32 {
        match self {
            Self::Bip84 => 84,
            Self::Bip86 => 86,
        }
    }

    /// The name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bip84 => "bip84",
            Self::Bip86 => "bip86",
        }
    }
}

impl FromStr for Account {
    type Err = WalletError;

    fn from_str(text: &str) -> Result<Self, WalletError> {
        let all = [Self::Bip84, Self::Bip86];
        let found = all.into_iter().find(|account| account.name() == text);
        found.ok_or_else(|| WalletError::Descriptor(format!("{text:?} is no account: bip84 or bip86")))
    }
}

/// The words of a seed phrase. Whoever has them has the coins, so they are wiped when dropped, and shown
/// only to who asks for them by name.
pub struct SecretPhrase(Zeroizing<String>);

impl SecretPhrase {
    /// The words, each separated by a space from the next.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPhrase(..)")
    }
}

/// A seed phrase with its passphrase (the "25th word" of BIP-39), from which all keys follow.
pub struct Seed {
    words: Mnemonic,
    extra: Zeroizing<String>,
}

impl Seed {
    /// A new one from the system's randomness, with a passphrase that may be empty.
    ///
    /// # Errors
    /// The system gives no randomness, or the passphrase is too long.
    pub fn generate(words: Words, extra: &str) -> Result<Self, WalletError> {
        let mut entropy = Zeroizing::new(vec![0u8; words.entropy_bytes()]);
        vault::fill(&mut entropy)?;
        let words = Mnemonic::from_entropy_in(Language::English, &entropy).map_err(|error| phrase(&error))?;
        Self::with(words, extra)
    }

    /// Reads a phrase; white space and capitals do not matter. The passphrase may be empty, and another one gives
    /// another wallet: none is wrong.
    ///
    /// # Errors
    /// [`WalletError::Phrase`].
    pub fn parse(text: &str, extra: &str) -> Result<Self, WalletError> {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let words =
            Mnemonic::parse_in_normalized(Language::English, &text).map_err(|error| phrase(&error))?;
        Self::with(words, extra)
    }

    fn with(words: Mnemonic, extra: &str) -> Result<Self, WalletError> {
        if extra.len() > EXTRA_BYTES_MAX {
            let (got, most) = (extra.len(), EXTRA_BYTES_MAX);
            return Err(WalletError::Phrase(format!("its passphrase has {got} bytes, {most} are the most")));
        }
        Ok(Self { words, extra: Zeroizing::new(extra.to_owned()) })
    }

    /// The words that stand for the seed.
    #[must_use]
    pub fn phrase(&self) -> SecretPhrase {
        let mut text = Zeroizing::new(String::with_capacity(24 * 9));
        for (position, word) in self.words.words().enumerate() {
            if position > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        SecretPhrase(text)
    }

    /// The passphrase of the phrase.
    pub(crate) fn extra(&self) -> &str {
        &self.extra
    }

    pub(crate) fn master(&self) -> Master {
        let seed = Zeroizing::new(self.words.to_seed(self.extra.as_str()));
        Master(Xpriv::new_master(NETWORK, seed.as_slice()).expect("64 bytes are a seed"))
    }

    /// The public key at a path with its origin, as descriptors of several owners take it:
    /// `[fingerprint/path]tpub`.
    ///
    /// # Errors
    /// [`WalletError::Descriptor`] if the path is none.
    pub fn public_key(&self, path: &str) -> Result<String, WalletError> {
        let wrong = |error: bitcoin::bip32::Error| WalletError::Descriptor(format!("path {path:?}: {error}"));
        let path: DerivationPath = path.parse().map_err(wrong)?;
        let (secp, master) = (Secp256k1::new(), self.master());
        let mut key = master.0.derive_priv(&secp, &path).map_err(wrong)?;
        let public = Xpub::from_priv(&secp, &key);
        key.private_key.non_secure_erase();
        let fingerprint = master.0.fingerprint(&secp);
        let slash = if path.is_empty() { "" } else { "/" };
        Ok(format!("[{fingerprint}{slash}{path}]{public}"))
    }

    /// The public descriptors of an account: addresses to be paid at, and change.
    pub(crate) fn descriptors(&self, account: Account) -> [ExtendedDescriptor; 2] {
        let purpose = account.purpose();
        let key = self.public_key(&format!("{purpose}'/{COIN_TYPE}'/0'")).expect("the path is one");
        let kind = match account {
            Account::Bip84 => "wpkh",
            Account::Bip86 => "tr",
        };
        [KeychainKind::External, KeychainKind::Internal].map(|keychain| {
            let text = format!("{kind}({key}/{}/*)", keychain as u8);
            text.parse().expect("a key and a path make a descriptor")
        })
    }
}

/// The key above all others of a wallet, wiped when dropped.
pub(crate) struct Master(pub(crate) Xpriv);

impl Master {
    /// Signs what is ours in a payment; what went wrong with one.
    pub(crate) fn sign(&self, psbt: &mut bitcoin::Psbt, secp: &Secp256k1<All>) -> Result<(), WalletError> {
        let signed = psbt.sign(&self.0, secp);
        signed.map(|_| ()).map_err(|(_, errors)| WalletError::Sign(format!("{errors:?}")))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.0.private_key.non_secure_erase();
    }
}

/// What is wrong with a phrase, without repeating any of it.
fn phrase(error: &bip39::Error) -> WalletError {
    WalletError::Phrase(match error {
        bip39::Error::BadWordCount(count) => {
            format!("it has {count} words instead of 12, 15, 18, 21 or 24")
        }
        bip39::Error::UnknownWord(position) => {
            format!("word {} is none of the list of BIP-39", position.saturating_add(1))
        }
        bip39::Error::InvalidChecksum => "the words do not belong together: one is wrong or misplaced".into(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_round_trip_and_differ() {
        for words in Words::ALL {
            let [one, two] = [0; 2].map(|_| Seed::generate(words, "").unwrap().phrase());
            assert_ne!(one.reveal(), two.reveal());
            assert_eq!(one.reveal().split(' ').count(), words.count());
            let shouted = format!("  {}\n", one.reveal().to_uppercase().replace(' ', "\n "));
            assert_eq!(Seed::parse(&shouted, "").unwrap().phrase().reveal(), one.reveal());
            assert_eq!(format!("{one:?}"), "SecretPhrase(..)");
        }
    }

    #[test]
    fn what_is_wrong_with_a_phrase_is_said_without_it() {
        let wrong = |text: &str| Seed::parse(text, "").map(|_| ()).unwrap_err().to_string();
        assert!(wrong("abandon abandon").contains("2 words"));
        assert!(wrong(&DEV_FAUCET_PHRASE.replacen("abandon", "secret1", 1)).contains("word 1 is none"));
        assert!(wrong(&DEV_FAUCET_PHRASE.replace("about", "above")).contains("do not belong together"));
        assert!(!wrong(&DEV_FAUCET_PHRASE.replacen("abandon", "secret1", 1)).contains("secret1"));
        assert!(Seed::parse(DEV_FAUCET_PHRASE, &"x".repeat(1_025)).is_err());
    }

    /// The master keys of BIP-39's first vector, and BIP-86's account of it but for our coin type.
    #[test]
    fn the_passphrase_and_the_account_make_other_keys() {
        let plain = Seed::parse(DEV_FAUCET_PHRASE, "").unwrap();
        assert!(plain.public_key("m").unwrap().starts_with("[73c5da0a]tpub"));
        let extra = Seed::parse(DEV_FAUCET_PHRASE, "TREZOR").unwrap();
        let secp = Secp256k1::new();
        let mut master = extra.master().0;
        master.network = bitcoin::NetworkKind::Main;
        assert_eq!(
            master.to_string(),
            "xprv9s21ZrQH143K3h3fDYiay8mocZ3afhfULfb5GX8kCBdno77K4HiA15Tg23wpbeF1pLfs1c5SPmYHrEpTuuRhxMwvKDwqdKiGJS9XFKzUsAF"
        );
        assert_ne!(master.fingerprint(&secp), plain.master().0.fingerprint(&secp));
        let [external, internal] = plain.descriptors(Account::Bip86).map(|made| made.to_string());
        assert!(external.starts_with("tr([73c5da0a/86'/297'/0']tpub") && external.contains("/0/*)"));
        assert!(internal.contains("/1/*)"));
        assert!("bip44".parse::<Account>().is_err());
    }
}
