//! From a seed phrase (BIP-39) to the two descriptors of a wallet and its signatures (BIP-32, BIP-84).
//!
//! BDK is given public descriptors alone; secret keys exist while a payment is signed. Phrase and seed are
//! wiped when they are dropped, and the master key when it was used; the keys derived from it on the way
//! are not, for their types cannot be.

use std::fmt;

// The macro names `miniscript` as if it were a crate of ours.
use bdk_wallet::{KeychainKind, descriptor, descriptor::ExtendedDescriptor, miniscript};
use bip39::{Language, Mnemonic};
use bitcoin::{
    Network, Psbt,
    bip32::{ChildNumber, DerivationPath, Xpriv},
    secp256k1::{All, Secp256k1},
};
use zeroize::Zeroizing;

use crate::error::WalletError;

/// The network that BDK is told. Only its key prefixes differ between networks, and they are never shown.
pub(crate) const NETWORK: Network = Network::Regtest;

/// Coin type of MASS in BIP-44 paths, on every chain of the engine.
pub const COIN_TYPE: u32 = 297;

/// Seed phrase of the wallet that the genesis block of the `dev` chain pays: the first test vector of BIP-39,
/// known to everybody.
pub const DEV_FAUCET_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Length of a new seed phrase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// 128 bits.
    #[default]
    Twelve,
    /// 256 bits.
    TwentyFour,
}

impl Words {
    const fn entropy_bytes(self) -> usize {
        match self {
            Self::Twelve => 16,
            Self::TwentyFour => 32,
        }
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

/// A seed, from which all keys follow.
pub(crate) struct Seed(Mnemonic);

impl Seed {
    /// A new one from the system's randomness.
    pub(crate) fn generate(words: Words) -> Result<Self, WalletError> {
        let mut entropy = Zeroizing::new(vec![0u8; words.entropy_bytes()]);
        getrandom::fill(&mut entropy).map_err(|error| WalletError::Random(error.to_string()))?;
        Mnemonic::from_entropy_in(Language::English, &entropy).map(Self).map_err(|error| phrase(&error))
    }

    /// Reads a phrase; white space and capitals do not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, WalletError> {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        Mnemonic::parse_in_normalized(Language::English, &text).map(Self).map_err(|error| phrase(&error))
    }

    /// The words that stand for the seed.
    pub(crate) fn phrase(&self) -> SecretPhrase {
        let mut text = Zeroizing::new(String::with_capacity(24 * 9));
        for (position, word) in self.0.words().enumerate() {
            if position > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        SecretPhrase(text)
    }

    fn master(&self) -> Master {
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        Master(Xpriv::new_master(NETWORK, seed.as_slice()).expect("64 bytes are a seed"))
    }

    /// Signs all inputs of a payment that are ours; what went wrong with one.
    pub(crate) fn sign(&self, psbt: &mut Psbt, secp: &Secp256k1<All>) -> Result<(), String> {
        let signed = psbt.sign(&self.master().0, secp);
        signed.map(|_| ()).map_err(|(_, errors)| format!("{errors:?}"))
    }

    /// The public descriptor of a keychain.
    pub(crate) fn descriptor(&self, keychain: KeychainKind) -> ExtendedDescriptor {
        let branch = match keychain {
            KeychainKind::External => 0,
            KeychainKind::Internal => 1,
        };
        let hardened = |index| ChildNumber::from_hardened_idx(index).expect("the index is below 2^31");
        let path: DerivationPath =
            [hardened(84), hardened(COIN_TYPE), hardened(0), ChildNumber::Normal { index: branch }]
                .as_slice()
                .into();
        let master = self.master();
        let made = descriptor!(wpkh((master.0, path))).expect("an extended key and a path make a descriptor");
        made.0
    }
}

/// The key above all others of a wallet.
struct Master(Xpriv);

impl Drop for Master {
    fn drop(&mut self) {
        self.0.private_key.non_secure_erase();
    }
}

/// What is wrong with a phrase, without repeating any of it.
fn phrase(error: &bip39::Error) -> WalletError {
    WalletError::Phrase(match error {
        bip39::Error::BadWordCount(count) => format!("it has {count} words instead of 12 or 24"),
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
        for (words, count) in [(Words::Twelve, 12), (Words::TwentyFour, 24)] {
            let [one, two] = [0; 2].map(|_| Seed::generate(words).unwrap().phrase());
            assert_ne!(one.reveal(), two.reveal());
            assert_eq!(one.reveal().split(' ').count(), count);
            let shouted = format!("  {}\n", one.reveal().to_uppercase().replace(' ', "\n "));
            assert_eq!(Seed::parse(&shouted).unwrap().phrase().reveal(), one.reveal());
            assert_eq!(format!("{one:?}"), "SecretPhrase(..)");
        }
    }

    #[test]
    fn what_is_wrong_with_a_phrase_is_said_without_it() {
        let wrong = |text: &str| Seed::parse(text).map(|_| ()).unwrap_err().to_string();
        assert!(wrong("abandon abandon").contains("2 words"));
        assert!(wrong(&DEV_FAUCET_PHRASE.replacen("abandon", "secret1", 1)).contains("word 1 is none"));
        assert!(wrong(&DEV_FAUCET_PHRASE.replace("about", "above")).contains("do not belong together"));
        assert!(!wrong(&DEV_FAUCET_PHRASE.replacen("abandon", "secret1", 1)).contains("secret1"));
    }
}
