//! The seed file: the one file of a wallet that cannot be made anew. It belongs to its owner alone and appears
//! complete or not at all. It is never overwritten but by itself under another passphrase.
//!
//! ```text
//! mass-wallet 2 <chain id>
//! plain                                        or   argon2id m=<KiB> t=<passes> p=<lanes> salt=<hex>
//! the secrets as JSON                          or   hex of nonce and ciphertext, bound to the lines above
//! ```
//!
//! The first version had two lines, `mass-wallet 1 <chain id>` and the phrase, and is still read.

use std::{fs, io::ErrorKind, path::Path};

use bdk_wallet::{descriptor::ExtendedDescriptor, keys::KeyMap};
use mass_primitives::ChainId;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    descriptor::Parsed,
    error::WalletError,
    keys::{Account, Seed},
    state::write_whole,
    vault::{Key, Passphrase, Stretch},
};

const HEAD_1: &str = "mass-wallet 1 ";
const HEAD_2: &str = "mass-wallet 2 ";
const PLAIN: &str = "plain";
/// Bytes of the file at the most.
const FILE_BYTES_MAX: usize = 256 << 10;

/// What a wallet is made from, and all that is secret in it.
pub(crate) struct Secrets {
    pub(crate) external: ExtendedDescriptor,
    pub(crate) internal: Option<ExtendedDescriptor>,
    pub(crate) seed: Option<Seed>,
    pub(crate) keys: KeyMap,
    /// The account that follows from the seed; without one the descriptors stand for themselves.
    account: Option<Account>,
    /// The descriptors as they were given, with secret keys.
    texts: Option<(Zeroizing<String>, Option<Zeroizing<String>>)>,
    /// The key of the other files, if there is a passphrase.
    pub(crate) files: Option<Key>,
}

/// The secrets as they are written.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    phrase_passphrase: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_descriptor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_key: Option<String>,
}

impl Secrets {
    /// Of an account of a seed.
    pub(crate) fn of_account(seed: Seed, account: Account) -> Self {
        let [external, internal] = seed.descriptors(account);
        let (internal, seed, account) = (Some(internal), Some(seed), Some(account));
        Self { external, internal, seed, keys: KeyMap::new(), account, texts: None, files: None }
    }

    /// Of descriptors, with a seed if its keys are among theirs.
    pub(crate) fn of_descriptors(
        text: &str,
        change: Option<&str>,
        seed: Option<Seed>,
    ) -> Result<Self, WalletError> {
        let Parsed { external, internal, keys } = Parsed::parse(text, change)?;
        let owned = |text: &str| Zeroizing::new(text.trim().to_owned());
        let texts = Some((owned(text), change.map(owned)));
        Ok(Self { external, internal, seed, keys, account: None, texts, files: None })
    }

    /// Whether there is nothing to sign with.
    pub(crate) fn is_watch_only(&self) -> bool {
        self.seed.is_none() && self.keys.is_empty()
    }

    fn written(&self) -> Written {
        let text = |text: &Zeroizing<String>| (**text).clone();
        let (descriptor, change) = match &self.texts {
            Some((one, two)) => (Some(text(one)), two.as_ref().map(text)),
            None => (None, None),
        };
        Written {
            phrase: self.seed.as_ref().map(|seed| seed.phrase().reveal().to_owned()),
            phrase_passphrase: self.seed.as_ref().map(|seed| seed.extra().to_owned()).unwrap_or_default(),
            account: self.account.map(|account| account.name().to_owned()),
            descriptor,
            change_descriptor: change,
            files_key: self.files.as_ref().map(Key::to_hex),
        }
    }

    fn read(written: &Written) -> Result<Self, String> {
        let text = |error: WalletError| error.to_string();
        let phrase = written.phrase.as_ref();
        let seed = phrase.map(|phrase| Seed::parse(phrase, &written.phrase_passphrase)).transpose();
        let seed = seed.map_err(text)?;
        let change = written.change_descriptor.as_deref();
        let mut secrets = match (seed, &written.account, &written.descriptor) {
            (Some(seed), Some(account), None) => Self::of_account(seed, account.parse().map_err(text)?),
            (seed, None, Some(descriptor)) => Self::of_descriptors(descriptor, change, seed).map_err(text)?,
            _ => return Err("it names neither an account of a phrase nor a descriptor".to_owned()),
        };
        let key = |text: &String| Key::from_hex(text).ok_or_else(|| "its key is no key".to_owned());
        secrets.files = written.files_key.as_ref().map(key).transpose()?;
        Ok(secrets)
    }
}

/// A seed file that was read: of which chain, and what opens it.
pub(crate) struct Sealed {
    pub(crate) chain: ChainId,
    stretch: Option<Stretch>,
    bound_to: String,
    content: Zeroizing<String>,
    is_first_version: bool,
}

impl Sealed {
    /// Whether a passphrase opens it.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.stretch.is_some()
    }

    /// Opens it.
    pub(crate) fn open(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<Secrets, WalletError> {
        let wrong = |reason: &str| WalletError::SeedFile { path: path.to_owned(), reason: reason.to_owned() };
        if self.is_first_version {
            let seed = Seed::parse(&self.content, "").map_err(|error| wrong(&error.to_string()))?;
            return Ok(Secrets::of_account(seed, Account::Bip84));
        }
        let missing = || WalletError::PassphraseMissing(path.parent().unwrap_or(path).to_owned());
        let text = match &self.stretch {
            None => Zeroizing::new(self.content.as_bytes().to_vec()),
            Some(stretch) => {
                let key = stretch.key(passphrase.ok_or_else(missing)?)?;
                let sealed =
                    hex::decode(self.content.trim()).map_err(|_| wrong("its third line is no hex"))?;
                key.open(&sealed, self.bound_to.as_bytes()).ok_or(WalletError::PassphraseWrong)?
            }
        };
        // What serde says of the text may repeat some of it.
        let written: Written = serde_json::from_slice(&text).map_err(|_| wrong("it holds no secrets"))?;
        Secrets::read(&written).map_err(|reason| wrong(&reason))
    }
}

/// Writes the file of a wallet for the first time. The caller holds the wallet's lock, so nobody else makes it
/// meanwhile.
pub(crate) fn write(
    path: &Path,
    chain: &ChainId,
    secrets: &Secrets,
    passphrase: Option<&Passphrase>,
) -> Result<(), WalletError> {
    if path.exists() {
        return Err(WalletError::Exists(path.parent().unwrap_or(path).to_owned()));
    }
    replace(path, chain, secrets, passphrase)
}

/// Writes the same secrets under another passphrase, or under none. The old file stays until the new one is whole.
pub(crate) fn replace(
    path: &Path,
    chain: &ChainId,
    secrets: &Secrets,
    passphrase: Option<&Passphrase>,
) -> Result<(), WalletError> {
    let body = Zeroizing::new(serde_json::to_string(&secrets.written()).expect("the secrets are texts"));
    let text = match passphrase {
        None => Zeroizing::new(format!("{HEAD_2}{chain}\n{PLAIN}\n{}\n", *body)),
        Some(passphrase) => {
            let stretch = Stretch::new()?;
            let head = format!("{HEAD_2}{chain}\n{}\n", stretch.write());
            let sealed = stretch.key(passphrase)?.seal(body.as_bytes(), head.as_bytes())?;
            Zeroizing::new(format!("{head}{}\n", hex::encode(sealed)))
        }
    };
    // What cannot be read back must not take the place of what can.
    let back = serde_json::from_str(&body).map_err(|error| error.to_string());
    let back = back.and_then(|written: Written| Secrets::read(&written));
    let fits = |back: &Secrets| back.external == secrets.external && back.internal == secrets.internal;
    if !back.as_ref().is_ok_and(fits) {
        let reason = "what was to be written reads otherwise".to_owned();
        return Err(WalletError::SeedFile { path: path.to_owned(), reason });
    }
    write_whole(path, text.as_bytes()).map_err(|error| WalletError::File(path.to_owned(), error))
}

/// Reads the seed file.
pub(crate) fn read(path: &Path) -> Result<Sealed, WalletError> {
    match fs::read(path) {
        Ok(bytes) => parse(path, &Zeroizing::new(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(WalletError::Missing(path.parent().unwrap_or(path).to_owned()))
        }
        Err(error) => Err(WalletError::File(path.to_owned(), error)),
    }
}

/// Reads the bytes of a seed file, for a test of the decoder: whether they are one that opens without a passphrase.
#[must_use]
pub fn is_seed_file(bytes: &[u8]) -> bool {
    let path = Path::new("seed");
    parse(path, bytes).and_then(|sealed| sealed.open(path, None)).is_ok()
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Sealed, WalletError> {
    let wrong = |reason: &str| WalletError::SeedFile { path: path.to_owned(), reason: reason.to_owned() };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(wrong("it is too long"));
    }
    let text = str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    let (head, rest) = text.split_once('\n').ok_or_else(|| wrong("it has one line only"))?;
    let chain = |text: &str| text.parse().map_err(|_| wrong("its first line names no chain id"));
    let owned = |text: &str| Zeroizing::new(text.to_owned());
    if let Some(id) = head.strip_prefix(HEAD_1) {
        let (chain, content) = (chain(id)?, owned(rest));
        return Ok(Sealed { chain, stretch: None, bound_to: String::new(), content, is_first_version: true });
    }
    let id = head.strip_prefix(HEAD_2).ok_or_else(|| wrong("its first line is of another format"))?;
    let chain = chain(id)?;
    let (means, content) = rest.split_once('\n').ok_or_else(|| wrong("it has two lines only"))?;
    let stretch = if means == PLAIN {
        None
    } else {
        Some(Stretch::read(means).ok_or_else(|| wrong("its second line is of another format"))?)
    };
    let bound_to = format!("{head}\n{means}\n");
    Ok(Sealed { chain, stretch, bound_to, content: owned(content), is_first_version: false })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::keys::{DEV_FAUCET_PHRASE, Words};

    fn faucet() -> Secrets {
        Secrets::of_account(Seed::parse(DEV_FAUCET_PHRASE, "").unwrap(), Account::Bip84)
    }

    fn phrase(secrets: &Secrets) -> String {
        secrets.seed.as_ref().unwrap().phrase().reveal().to_owned()
    }

    #[test]
    fn a_seed_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        let chain = ChainId::new([5; 32]);
        fs::write(dir.path().join("seed.tmp"), "what a killed run left").unwrap();
        write(&path, &chain, &faucet(), None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = read(&path).unwrap();
        let secrets = sealed.open(&path, None).unwrap();
        assert_eq!((sealed.chain, phrase(&secrets)), (chain, DEV_FAUCET_PHRASE.to_owned()));
        let other = Secrets::of_account(Seed::generate(Words::Twelve, "").unwrap(), Account::Bip86);
        assert!(
            matches!(write(&path, &chain, &other, None), Err(WalletError::Exists(at)) if at == dir.path())
        );
        assert_eq!(phrase(&read(&path).unwrap().open(&path, None).unwrap()), DEV_FAUCET_PHRASE);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// Nothing of the phrase is in a file with a passphrase, nothing in it can be changed, and the old file is no
    /// longer there when the passphrase was changed.
    #[test]
    fn a_passphrase_opens_and_another_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        let [one, two] = ["one", "two"].map(|text| Passphrase::new(text).unwrap());
        let mut secrets =
            Secrets::of_account(Seed::parse(DEV_FAUCET_PHRASE, "word").unwrap(), Account::Bip86);
        secrets.files = Some(Key::generate().unwrap());
        write(&path, &ChainId::ZERO, &secrets, Some(&one)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("abandon") && !text.contains("word\""));
        let sealed = read(&path).unwrap();
        assert!(sealed.is_encrypted());
        assert!(matches!(sealed.open(&path, None), Err(WalletError::PassphraseMissing(_))));
        assert!(matches!(sealed.open(&path, Some(&two)), Err(WalletError::PassphraseWrong)));
        let back = sealed.open(&path, Some(&one)).unwrap();
        assert_eq!((back.external, back.seed.unwrap().extra()), (secrets.external.clone(), "word"));
        replace(&path, &ChainId::ZERO, &secrets, Some(&two)).unwrap();
        let sealed = read(&path).unwrap();
        assert!(matches!(sealed.open(&path, Some(&one)), Err(WalletError::PassphraseWrong)));
        assert!(sealed.open(&path, Some(&two)).is_ok());
        // Of another chain the same secrets are others.
        let moved = fs::read_to_string(&path).unwrap().replacen(&"0".repeat(64), &"1".repeat(64), 1);
        fs::write(&path, moved).unwrap();
        assert!(matches!(read(&path).unwrap().open(&path, Some(&two)), Err(WalletError::PassphraseWrong)));
    }

    #[test]
    fn the_first_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        fs::write(&path, format!("{HEAD_1}{}\n{DEV_FAUCET_PHRASE}\n", ChainId::ZERO)).unwrap();
        let secrets = read(&path).unwrap().open(&path, None).unwrap();
        assert_eq!((phrase(&secrets), secrets.external), (DEV_FAUCET_PHRASE.to_owned(), faucet().external));
    }

    #[test]
    fn other_files_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        assert!(matches!(read(&path), Err(WalletError::Missing(_))));
        let zero = ChainId::ZERO;
        for (text, reason) in [
            ("", "one line"),
            ("abandon\nabandon", "another format"),
            ("mass-wallet 1 12\nabandon", "no chain id"),
            (&format!("mass-wallet 1 {zero}\nabandon about"), "2 words"),
            (&format!("mass-wallet 2 {zero}\nabandon about"), "two lines"),
            (&format!("mass-wallet 2 {zero}\nscrypt\nabandon about"), "second line"),
            (&format!("mass-wallet 2 {zero}\nplain\nabandon about"), "no secrets"),
            (&format!("mass-wallet 2 {zero}\nplain\n{{\"phrase\":\"abandon\"}}"), "1 words"),
            (&format!("mass-wallet 2 {zero}\nplain\n{{}}"), "neither an account"),
            (&format!("mass-wallet 3 {zero}\nplain\n{{}}"), "another format"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).and_then(|sealed| sealed.open(&path, None)).map(|_| ()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(reason) && !error.contains("abandon"), "{error}");
            assert!(!is_seed_file(text.as_bytes()));
        }
    }
}
