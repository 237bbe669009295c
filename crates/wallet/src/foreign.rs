//! Addresses of other networks, refused by the name of the network: the commonest mistake that costs money.

use bitcoin::{ScriptBuf, base58};
use mass_ledger_utxo::{AddressError, address};

use crate::error::WalletError;

/// Bytes of an address at the most.
const ADDRESS_BYTES_MAX: usize = 128;

/// The script of an address of this chain.
///
/// # Errors
/// [`WalletError::ForeignAddress`] if another network is known by the address, else [`WalletError::Address`].
pub(crate) fn script_of(prefix: &str, address: &str) -> Result<ScriptBuf, WalletError> {
    if address.len() > ADDRESS_BYTES_MAX {
        let reason = format!("it has {} bytes", address.len());
        return Err(AddressError::Malformed(reason).into());
    }
    address::decode(prefix, address).map_err(|error| match network_of(address, &error) {
        Some(network) => {
            let (address, expected) = (address.to_owned(), prefix.to_owned());
            WalletError::ForeignAddress { address, network, expected }
        }
        None => error.into(),
    })
}

/// The network of an address that is sound but not ours, in words.
fn network_of(address: &str, error: &AddressError) -> Option<&'static str> {
    match error {
        AddressError::WrongPrefix { found, .. } => Some(match found.as_str() {
            "ms" => "a Mass Net address",
            "tms" => "an address of MASS's test network",
            "dms" => "an address of a MASS development chain",
            "bc" => "a Bitcoin address",
            "tb" => "a Bitcoin testnet or signet address",
            "bcrt" => "a Bitcoin regtest address",
            "ltc" => "a Litecoin address",
            "tltc" => "a Litecoin testnet address",
            _ => return None,
        }),
        AddressError::Malformed(_) => of_other_form(address),
        _ => None,
    }
}

fn of_other_form(address: &str) -> Option<&'static str> {
    let is_hex = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if address.strip_prefix("0x").is_some_and(is_hex) {
        return Some("an Ethereum address");
    }
    if ["lnbc", "lntb", "lnbcrt"].iter().any(|prefix| address.to_ascii_lowercase().starts_with(prefix)) {
        return Some("a Lightning invoice of Bitcoin");
    }
    let bytes = base58::decode_check(address).ok().filter(|bytes| bytes.len() == 21)?;
    match bytes.first()? {
        0x00 | 0x05 => Some("a Bitcoin address"),
        0x6f | 0xc4 => Some("a Bitcoin testnet address"),
        0x30 | 0x32 => Some("a Litecoin address"),
        0x1e | 0x16 => Some("a Dogecoin address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_networks_are_named() {
        for (address, network) in [
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "a Bitcoin address"),
            ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "Bitcoin testnet or signet"),
            ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "Bitcoin regtest"),
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "a Bitcoin address"),
            ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "a Bitcoin testnet address"),
            ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "a Bitcoin testnet address"),
            ("0x52908400098527886E0F7030069857D2E4169EE7", "Ethereum"),
        ] {
            let error = script_of("dms", address).unwrap_err().to_string();
            assert!(error.contains(network) && error.contains("dms1"), "{error}");
        }
        for text in ["", "hello", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", &"1".repeat(500)] {
            assert!(matches!(script_of("dms", text), Err(WalletError::Address(_))), "{text}");
        }
    }
}
