//! Addresses at the display edge: bech32 (witness version 0) and bech32m (version 1) as in BIP-173 and
//! BIP-350, with the chain's own prefix. Inside the ledger there are only scripts.

use bech32::{Fe32, Hrp, segwit};
use bitcoin::{ScriptBuf, WitnessProgram, WitnessVersion};

use crate::script::is_spendable;

/// Why a text is no address of this chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The prefix is no bech32 prefix.
    #[error("{0:?} is no address prefix")]
    Prefix(String),
    /// The text is no segwit address.
    #[error("not an address: {0}")]
    Malformed(String),
    /// The address is of another chain.
    #[error("address begins with {found:?}, this chain's addresses with {expected:?}")]
    WrongPrefix {
        /// Prefix of the chain.
        expected: String,
        /// Prefix of the address.
        found: String,
    },
    /// The witness program is of no kind that this chain knows.
    #[error("address or script of an unknown kind")]
    UnknownKind,
}

fn parse_prefix(prefix: &str) -> Result<Hrp, AddressError> {
    let hrp = Hrp::parse(prefix).map_err(|_| AddressError::Prefix(prefix.to_owned()))?;
    if prefix.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(AddressError::Prefix(prefix.to_owned()));
    }
    Ok(hrp)
}

/// The address of a script.
///
/// # Errors
/// [`AddressError`] if the prefix is none or the script is no witness program of this chain.
pub fn encode(prefix: &str, script: &bitcoin::Script) -> Result<String, AddressError> {
    let hrp = parse_prefix(prefix)?;
    if !is_spendable(script) {
        return Err(AddressError::UnknownKind);
    }
    let version = script.witness_version().ok_or(AddressError::UnknownKind)?.to_num();
    let program = script.as_bytes().get(2..).ok_or(AddressError::UnknownKind)?;
    let version = Fe32::try_from(version).map_err(|_| AddressError::UnknownKind)?;
    segwit::encode(hrp, version, program).map_err(|error| AddressError::Malformed(error.to_string()))
}

/// The script of an address.
///
/// # Errors
/// [`AddressError`] if the text is no address, of another chain, or of an unknown kind.
pub fn decode(prefix: &str, address: &str) -> Result<ScriptBuf, AddressError> {
    let hrp = parse_prefix(prefix)?;
    let (found, version, program) =
        segwit::decode(address).map_err(|error| AddressError::Malformed(error.to_string()))?;
    if found != hrp {
        return Err(AddressError::WrongPrefix {
            expected: prefix.to_owned(),
            found: found.to_string().to_ascii_lowercase(),
        });
    }
    let version = WitnessVersion::try_from(version.to_u8()).map_err(|_| AddressError::UnknownKind)?;
    let program = WitnessProgram::new(version, &program).map_err(|_| AddressError::UnknownKind)?;
    let script = ScriptBuf::new_witness_program(&program);
    if is_spendable(&script) { Ok(script) } else { Err(AddressError::UnknownKind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts() -> [ScriptBuf; 3] {
        [vec![0u8, 20], vec![0, 32], vec![0x51, 32]].map(|head| {
            let len = usize::from(head[1]);
            ScriptBuf::from_bytes([head, vec![2; len]].concat())
        })
    }

    #[test]
    fn addresses_round_trip() {
        for script in scripts() {
            let address = encode("ms", &script).unwrap();
            assert!(address.starts_with("ms1"));
            assert_eq!(decode("ms", &address).as_ref(), Ok(&script));
            assert_eq!(decode("ms", &address.to_ascii_uppercase()), Ok(script));
        }
    }

    #[test]
    fn the_wrong_prefix_is_named() {
        let address = encode("tms", &scripts()[0]).unwrap();
        let error = decode("ms", &address).unwrap_err();
        assert_eq!(error, AddressError::WrongPrefix { expected: "ms".into(), found: "tms".into() });
        assert!(error.to_string().contains("\"tms\"") && error.to_string().contains("\"ms\""));
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(matches!(decode("ms", "hello"), Err(AddressError::Malformed(_))));
        assert!(matches!(encode("ms", &ScriptBuf::new()), Err(AddressError::UnknownKind)));
        assert!(matches!(encode("MS", &scripts()[0]), Err(AddressError::Prefix(_))));
    }
}
