//! Output descriptors that a user brings (BIP-380 to 389): any miniscript in `wsh` or `tr`, with keys that are public
//! or secret.
//!
//! A descriptor with `<0;1>` stands for two, addresses and change. Keys may be written as those of Bitcoin's main or
//! of its test networks: only their prefix differs, and they come out as of a test network. What has no address on a
//! chain of ours (`pkh`, `sh`, bare scripts) is refused by name.

use std::str::FromStr as _;

use bdk_wallet::{
    descriptor::{ExtendedDescriptor, IntoWalletDescriptor as _, calc_checksum},
    keys::KeyMap,
    miniscript::{
        Descriptor, ForEachKey as _, TranslatePk as _, Translator,
        descriptor::{DescriptorPublicKey, DescriptorSecretKey},
        translate_hash_clone,
    },
};
use bitcoin::{
    NetworkKind,
    secp256k1::{All, Secp256k1},
};
use mass_ledger_utxo::address;
use zeroize::Zeroizing;

use crate::{error::WalletError, keys::NETWORK};

/// Bytes of a descriptor at the most: 20 keys with origins and some script have 4,000.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The descriptors of a wallet, public, and the secret keys that came with them.
pub(crate) struct Parsed {
    pub(crate) external: ExtendedDescriptor,
    pub(crate) internal: Option<ExtendedDescriptor>,
    pub(crate) keys: KeyMap,
}

impl Parsed {
    /// Reads one descriptor, or one for addresses and one for change.
    pub(crate) fn parse(text: &str, change: Option<&str>) -> Result<Self, WalletError> {
        let secp = Secp256k1::new();
        let (addresses, mut own) = expand(text)?;
        if let Some(change) = change {
            let (text, other) = expand(change)?;
            if own.is_some() || other.is_some() {
                return Err(wrong(&"with <0;1> it stands for two, so it takes no change descriptor"));
            }
            own = Some(text);
        }
        let (external, mut keys) = read(&addresses, &secp)?;
        let mut internal = None;
        if let Some(text) = own {
            let (descriptor, more) = read(&text, &secp)?;
            if descriptor == external {
                return Err(wrong(&"the change descriptor is to be another one"));
            }
            keys.extend(more);
            internal = Some(descriptor);
        }
        for descriptor in std::iter::once(&external).chain(&internal) {
            check(descriptor, &secp)?;
        }
        Ok(Self { external, internal, keys })
    }
}

/// Whether a text is a descriptor, or a pair of them, that a wallet can be made of.
#[must_use]
pub fn is_descriptor(text: &str) -> bool {
    Parsed::parse(text, None).is_ok()
}

fn wrong(reason: &dyn std::fmt::Display) -> WalletError {
    WalletError::Descriptor(reason.to_string())
}

/// The one or two descriptors that a text stands for (BIP-389). In the text, for the library does not read secret keys
/// with several paths.
fn expand(text: &str) -> Result<(Zeroizing<String>, Option<Zeroizing<String>>), WalletError> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong(&format!("it has {} bytes, {TEXT_BYTES_MAX} are the most", text.len())));
    }
    if !text.contains('<') {
        return Ok((Zeroizing::new(text.to_owned()), None));
    }
    calc_checksum(text).map_err(|error| wrong(&error))?;
    let body = text.split_once('#').map_or(text, |(body, _)| body);
    let size = body.len();
    let mut two = [(); 2].map(|()| Zeroizing::new(String::with_capacity(size)));
    let mut rest = body;
    while let Some((before, behind)) = rest.split_once('<') {
        let (paths, behind) = behind.split_once('>').ok_or_else(|| wrong(&"a < is not closed"))?;
        let paths: Vec<&str> = paths.split(';').collect();
        if paths.len() != two.len() {
            return Err(wrong(&"<...> stands for two paths: addresses and change"));
        }
        for (text, path) in two.iter_mut().zip(paths) {
            text.push_str(before);
            text.push_str(path);
        }
        rest = behind;
    }
    two.iter_mut().for_each(|text| text.push_str(rest));
    let [addresses, change] = two;
    Ok((addresses, Some(change)))
}

/// Reads a descriptor; with it the secret keys in it. An error never repeats the text, which may hold them.
fn read(text: &str, secp: &Secp256k1<All>) -> Result<(ExtendedDescriptor, KeyMap), WalletError> {
    let parsed = Descriptor::<DescriptorPublicKey>::parse_descriptor(secp, text);
    let (descriptor, keys) = parsed.map_err(|error| wrong(&redact(&error.to_string(), text)))?;
    let refused = |kind: &str| {
        Err(wrong(&format!("{kind} outputs have no address on this chain: wpkh, wsh and tr do")))
    };
    match &descriptor {
        Descriptor::Bare(_) => return refused("bare"),
        Descriptor::Pkh(_) => return refused("pkh"),
        Descriptor::Sh(_) => return refused("sh"),
        Descriptor::Wpkh(_) | Descriptor::Wsh(_) | Descriptor::Tr(_) => {}
    }
    let descriptor = descriptor.translate_pk(&mut OneNetwork).map_err(|_| wrong(&"its keys do not fit"))?;
    let keys = keys.into_iter().map(|(public, secret)| (as_ours(&public), secret_as_ours(secret)));
    Ok((descriptor, keys.collect()))
}

/// A parser may repeat a part of what it read, which may be secret.
fn redact(error: &str, text: &str) -> String {
    let secret = ["prv", "5", "K", "L", "c", "9"].iter().any(|mark| text.contains(mark));
    let repeats = error.split(['«', '»', '"', '\'', ' ']).any(|word| word.len() > 24 && text.contains(word));
    if secret && repeats { "a key or script in it cannot be read".to_owned() } else { error.to_owned() }
}

fn check(descriptor: &ExtendedDescriptor, secp: &Secp256k1<All>) -> Result<(), WalletError> {
    let ours = NetworkKind::from(NETWORK);
    descriptor.clone().into_wallet_descriptor(secp, ours).map_err(|error| wrong(&error))?;
    descriptor.sanity_check().map_err(|error| wrong(&error))?;
    if descriptor.for_any_key(|key| match key {
        DescriptorPublicKey::XPub(key) => {
            key.wildcard == bdk_wallet::miniscript::descriptor::Wildcard::Hardened
                || key.derivation_path.into_iter().any(|step| step.is_hardened())
        }
        _ => false,
    }) {
        return Err(wrong(
            &"hardened steps behind an extended key need the secret key: put them into its origin",
        ));
    }
    let first = descriptor.at_derivation_index(0).map_err(|error| wrong(&error))?;
    // The prefix does not matter to whether there is an address.
    address::encode("ms", &first.script_pubkey()).map(|_| ()).map_err(|error| wrong(&error))
}

/// Writes all extended keys as of the network that BDK is told.
struct OneNetwork;

impl Translator<DescriptorPublicKey, DescriptorPublicKey, ()> for OneNetwork {
    fn pk(&mut self, key: &DescriptorPublicKey) -> Result<DescriptorPublicKey, ()> {
        Ok(as_ours(key))
    }

    translate_hash_clone!(DescriptorPublicKey, DescriptorPublicKey, ());
}

fn as_ours(key: &DescriptorPublicKey) -> DescriptorPublicKey {
    let mut key = key.clone();
    match &mut key {
        DescriptorPublicKey::Single(_) => {}
        DescriptorPublicKey::XPub(key) => key.xkey.network = NETWORK.into(),
        DescriptorPublicKey::MultiXPub(key) => key.xkey.network = NETWORK.into(),
    }
    key
}

fn secret_as_ours(mut key: DescriptorSecretKey) -> DescriptorSecretKey {
    match &mut key {
        DescriptorSecretKey::Single(key) => key.key.network = NETWORK.into(),
        DescriptorSecretKey::XPrv(key) => key.xkey.network = NETWORK.into(),
        DescriptorSecretKey::MultiXPrv(key) => key.xkey.network = NETWORK.into(),
    }
    key
}

/// A descriptor of a public extended key with its origin and no script, `[fingerprint/path]tpub`: the account of a
/// watch-only wallet.
pub(crate) fn of_account_key(text: &str) -> Result<Zeroizing<String>, WalletError> {
    let key = DescriptorPublicKey::from_str(text.trim()).map_err(|error| wrong(&error))?;
    let DescriptorPublicKey::XPub(key) = as_ours(&key) else {
        return Err(wrong(&"an extended public key is needed"));
    };
    let purpose = key.origin.as_ref().and_then(|(_, path)| path.into_iter().next().copied());
    let key = DescriptorPublicKey::XPub(key).to_string();
    let key = key.trim_end_matches("/*");
    match purpose.map(u32::from).map(|step| step & !(1 << 31)) {
        Some(86) => Ok(Zeroizing::new(format!("tr({key}/<0;1>/*)"))),
        Some(84) | None => Ok(Zeroizing::new(format!("wpkh({key}/<0;1>/*)"))),
        Some(other) => Err(wrong(&format!(
            "the key's purpose is {other}, neither 84 nor 86: give a whole descriptor instead"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Account, DEV_FAUCET_PHRASE, Seed};

    fn key(path: &str) -> String {
        Seed::parse(DEV_FAUCET_PHRASE, "").unwrap().public_key(path).unwrap()
    }

    fn refused(text: &str) -> String {
        Parsed::parse(text, None).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn all_that_has_an_address_is_read() {
        let (a, b) = (key("48'/297'/0'/2'"), key("48'/297'/1'/2'"));
        for text in [
            format!("wsh(sortedmulti(2,{a}/<0;1>/*,{b}/<0;1>/*))"),
            format!("tr({a}/<0;1>/*,{{pk({b}/<0;1>/*),and_v(v:pk({b}/<2;3>/*),older(6))}})"),
            format!("wsh(andor(pk({a}/<0;1>/*),older(100),and_v(v:pk({b}/<0;1>/*),after(500))))"),
        ] {
            let parsed = Parsed::parse(&text, None).unwrap();
            assert!(parsed.internal.is_some() && parsed.keys.is_empty(), "{text}");
            assert_ne!(Some(&parsed.external), parsed.internal.as_ref());
        }
        let single = Parsed::parse(&format!("wpkh({a}/5/*)"), None).unwrap();
        assert!(single.internal.is_none());
    }

    #[test]
    fn keys_of_any_network_are_the_same_keys() {
        let account = key("84'/297'/0'");
        let expected = Seed::parse(DEV_FAUCET_PHRASE, "").unwrap().descriptors(Account::Bip84);
        let (origin, tpub) = account.split_once(']').unwrap();
        let mut xpub: bitcoin::bip32::Xpub = tpub.parse().unwrap();
        xpub.network = NetworkKind::Main;
        for text in [&account, &format!("{origin}]{xpub}")] {
            let parsed = Parsed::parse(&of_account_key(text).unwrap(), None).unwrap();
            assert_eq!([Some(parsed.external), parsed.internal], expected.clone().map(Some));
        }
    }

    #[test]
    fn others_are_refused_by_name_and_without_secrets() {
        let a = key("84'/297'/0'");
        assert!(refused(&format!("pkh({a}/*)")).contains("pkh outputs have no address"));
        assert!(refused(&format!("sh(wpkh({a}/*))")).contains("sh outputs"));
        assert!(refused(&format!("wpkh({a}/<0;1;2>/*)")).contains("two paths"));
        assert!(refused(&"w".repeat(TEXT_BYTES_MAX + 1)).contains("are the most"));
        for text in ["", "wpkh()", "wpkh", "wsh(multi(3,a,b))", "tr(", "wpkh(tpub)"] {
            assert!(!refused(text).is_empty());
        }
        let secret = "tprv8ZgxMBicQKsPdy6LMhUtFHAgpocR8GC6QmwMSFpZs7h6Eziw3SpThFfczTDh5rW2krkqffa11UpX3XkeTTB2FvzZKWXqPY54Y6Rq4AQ5R8M";
        assert!(!refused(&format!("wpkh({secret}/*)")).contains(secret));
    }
}
