//! The seed file: the one file of a wallet that cannot be made anew. It belongs to its owner alone, appears
//! complete or not at all, and is never overwritten.
//!
//! Two lines: `mass-wallet 1 <chain id>` and the seed phrase.

use std::{fs, io::ErrorKind, path::Path};

use mass_primitives::ChainId;
use zeroize::Zeroizing;

use crate::{error::WalletError, keys::Seed, state::write_whole};

const HEAD: &str = "mass-wallet 1 ";

/// Writes a new seed file. The caller holds the wallet's lock, so nobody else makes it meanwhile.
pub(crate) fn write(path: &Path, chain: &ChainId, seed: &Seed) -> Result<(), WalletError> {
    if path.exists() {
        return Err(WalletError::Exists(path.parent().unwrap_or(path).to_owned()));
    }
    let phrase = seed.phrase();
    let text = Zeroizing::new(format!("{HEAD}{chain}\n{}\n", phrase.reveal()));
    write_whole(path, text.as_bytes()).map_err(|error| WalletError::File(path.to_owned(), error))
}

/// Reads the seed file: the chain that the wallet is of, and its seed.
pub(crate) fn read(path: &Path) -> Result<(ChainId, Seed), WalletError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(WalletError::Missing(path.parent().unwrap_or(path).to_owned()));
        }
        Err(error) => return Err(WalletError::File(path.to_owned(), error)),
    };
    let wrong = |reason: &str| WalletError::SeedFile { path: path.to_owned(), reason: reason.to_owned() };
    let text = str::from_utf8(&bytes).map_err(|_| wrong("it is no text"))?;
    let (head, phrase) = text.split_once('\n').ok_or_else(|| wrong("it has one line only"))?;
    let chain = head.strip_prefix(HEAD).ok_or_else(|| wrong("its first line is of another format"))?;
    let chain = chain.parse().map_err(|_| wrong("its first line names no chain id"))?;
    let seed = Seed::parse(phrase).map_err(|error| wrong(&error.to_string()))?;
    Ok((chain, seed))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::keys::DEV_FAUCET_PHRASE;

    #[test]
    fn a_seed_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        let (chain, seed) = (ChainId::new([5; 32]), Seed::parse(DEV_FAUCET_PHRASE).unwrap());
        fs::write(dir.path().join("seed.tmp"), "what a killed run left").unwrap();
        write(&path, &chain, &seed).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (found, read_back) = read(&path).unwrap();
        assert_eq!((found, read_back.phrase().reveal()), (chain, DEV_FAUCET_PHRASE));
        let other = Seed::generate(crate::keys::Words::Twelve).unwrap();
        assert!(matches!(write(&path, &chain, &other), Err(WalletError::Exists(at)) if at == dir.path()));
        assert_eq!(read(&path).unwrap().1.phrase().reveal(), DEV_FAUCET_PHRASE);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_files_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        assert!(matches!(read(&path), Err(WalletError::Missing(_))));
        for (text, reason) in [
            ("", "one line"),
            ("abandon\nabandon", "another format"),
            ("mass-wallet 1 12\nabandon", "no chain id"),
            (&format!("mass-wallet 1 {}\nabandon about", ChainId::ZERO), "2 words"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("abandon"), "{error}");
        }
    }
}
