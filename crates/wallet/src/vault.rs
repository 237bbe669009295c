//! What is kept from whoever has the disk but not the passphrase: XChaCha20-Poly1305 under a key that Argon2id
//! makes of the passphrase (RFC 9106).
//!
//! A wallet has one random key for all its files, sealed in the seed file under the passphrase's key, so that a new
//! passphrase changes the seed file alone. Each sealed text is bound to its place by associated data.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use zeroize::{Zeroize, Zeroizing};

use crate::error::WalletError;

const NONCE_BYTES: usize = 24;
const SALT_BYTES: usize = 16;
/// Bytes of a passphrase at the most.
const PASSPHRASE_BYTES_MAX: usize = 1_024;
/// What a file may ask for at the most: 1 GiB of memory, 32 passes, 16 lanes. A changed file cannot ask for more.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;

/// The owner's passphrase, wiped when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase.
    ///
    /// # Errors
    /// [`WalletError::PassphraseForm`] if it is empty or longer than 1,024 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, WalletError> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() || text.len() > PASSPHRASE_BYTES_MAX {
            return Err(WalletError::PassphraseForm { got: text.len(), most: PASSPHRASE_BYTES_MAX });
        }
        Ok(Self(text))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A key that seals, wiped when dropped.
#[derive(Clone)]
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A new one from the system's randomness.
    pub(crate) fn generate() -> Result<Self, WalletError> {
        let mut key = Zeroizing::new([0; 32]);
        fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, key.as_mut_slice()).ok().map(|()| Self(key))
    }

    pub(crate) fn to_hex(&self) -> String {
        hex::encode(self.0.as_slice())
    }

    /// Seals a text for the place that `bound_to` names: nonce, then ciphertext.
    pub(crate) fn seal(&self, text: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, WalletError> {
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce)?;
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), Payload { msg: text, aad: bound_to });
        Ok([&nonce[..], &sealed.expect("the text fits into memory twice")].concat())
    }

    /// Opens what was sealed for that place; `None` if the key is another or anything was changed.
    pub(crate) fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: text, aad: bound_to };
        self.cipher().decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().into())
    }
}

/// How a key is made of a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_BYTES],
}

impl Stretch {
    /// The second choice of RFC 9106 for all uses, with a new salt: 64 MiB, 3 passes, 4 lanes.
    pub(crate) fn new() -> Result<Self, WalletError> {
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt)?;
        Ok(Self { memory_kib: 64 << 10, passes: 3, lanes: 4, salt })
    }

    /// Reads what [`Stretch::write`] writes; `None` also for what would take too much memory or time.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("argon2id ")?.split(' ');
        let mut number = |name: &str, max: u32| {
            let digits = words.next()?.strip_prefix(name)?;
            digits.parse().ok().filter(|number| (1..=max).contains(number))
        };
        let (memory_kib, passes, lanes) =
            (number("m=", MEMORY_KIB_MAX)?, number("t=", PASSES_MAX)?, number("p=", LANES_MAX)?);
        let mut salt = [0; SALT_BYTES];
        hex::decode_to_slice(words.next()?.strip_prefix("salt=")?, &mut salt).ok()?;
        words.next().is_none().then_some(Self { memory_kib, passes, lanes, salt })
    }

    pub(crate) fn write(&self) -> String {
        let Self { memory_kib, passes, lanes, salt } = self;
        format!("argon2id m={memory_kib} t={passes} p={lanes} salt={}", hex::encode(salt))
    }

    /// The passphrase's key.
    pub(crate) fn key(&self, passphrase: &Passphrase) -> Result<Key, WalletError> {
        let failed = |error: argon2::Error| WalletError::Stretch(error.to_string());
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        let mut memory = vec![argon2::Block::default(); params.block_count()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made = argon.hash_password_into_with_memory(
            passphrase.0.as_bytes(),
            &self.salt,
            key.as_mut_slice(),
            &mut memory,
        );
        memory.iter_mut().for_each(Zeroize::zeroize);
        made.map_err(failed)?;
        Ok(Key(key))
    }
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), WalletError> {
    getrandom::fill(bytes).map_err(|error| WalletError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let key = Key::generate().unwrap();
        let sealed = key.seal(b"text", b"place").unwrap();
        assert_eq!(sealed.len(), 4 + NONCE_BYTES + 16);
        assert_eq!(key.open(&sealed, b"place").unwrap().as_slice(), b"text");
        assert!(key.open(&sealed, b"other").is_none());
        assert!(Key::generate().unwrap().open(&sealed, b"place").is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed, b"place").is_none());
            assert!(key.open(&sealed[..at], b"place").is_none());
        }
        assert!(Key::from_hex(&key.to_hex()).unwrap().open(&sealed, b"place").is_some());
    }

    #[test]
    fn a_passphrase_makes_one_key_and_files_cannot_ask_for_the_moon() {
        let text = "argon2id m=64 t=2 p=1 salt=00112233445566778899aabbccddeeff";
        let stretch = Stretch::read(text).unwrap();
        assert_eq!(stretch.write(), text);
        let [one, two] = ["one", "two"].map(|text| stretch.key(&Passphrase::new(text).unwrap()).unwrap());
        assert_ne!(one.to_hex(), two.to_hex());
        assert_eq!(one.to_hex(), stretch.key(&Passphrase::new("one").unwrap()).unwrap().to_hex());
        for bad in [
            "",
            "plain",
            "argon2id m=0 t=2 p=1 salt=00112233445566778899aabbccddeeff",
            "argon2id m=1048577 t=2 p=1 salt=00112233445566778899aabbccddeeff",
            "argon2id m=64 t=33 p=1 salt=00112233445566778899aabbccddeeff",
            "argon2id m=64 t=2 p=17 salt=00112233445566778899aabbccddeeff",
            "argon2id m=64 t=2 p=1 salt=0011",
            "argon2id m=64 t=2 p=1 salt=00112233445566778899aabbccddeeff more",
        ] {
            assert_eq!(Stretch::read(bad), None, "{bad}");
        }
        assert!(Passphrase::new("").is_err() && Passphrase::new("x".repeat(1_025)).is_err());
    }
}
