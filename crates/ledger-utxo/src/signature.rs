//! Signatures of P2WPKH (BIP-143) and of taproot's key path (BIP-341). Other spends are refused by name
//! until scripts are verified.

use bitcoin::{
    PubkeyHash, Script, Transaction, TxOut, WPubkeyHash, ecdsa,
    hashes::Hash,
    secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, XOnlyPublicKey},
    sighash::{Prevouts, SighashCache, TapSighashType},
    taproot,
};

use crate::error::LedgerError;

/// First byte of an annex (BIP-341).
const ANNEX_HEAD: u8 = 0x50;
/// Length of a compressed public key.
const PUBLIC_KEY_BYTES: usize = 33;
/// Length of a taproot signature that names its sighash type.
const TYPED_SIGNATURE_BYTES: usize = 65;

/// Checks the signatures of all inputs. `spent` are the outputs they spend, in the order of the inputs.
///
/// # Errors
/// [`LedgerError`] with the first input that is not signed.
pub fn check_signatures(
    secp: &Secp256k1<VerifyOnly>,
    tx: &Transaction,
    spent: &[TxOut],
) -> Result<(), LedgerError> {
    let mut cache = SighashCache::new(tx);
    for (input, output) in spent.iter().enumerate() {
        let script = &output.script_pubkey;
        if tx.input.get(input).is_some_and(|input| !input.script_sig.is_empty()) {
            return Err(LedgerError::SignatureScript { input });
        }
        if script.is_p2wpkh() {
            check_p2wpkh(secp, &mut cache, input, output)?;
        } else if script.is_p2tr() {
            check_key_path(secp, &mut cache, input, spent)?;
        } else {
            return Err(LedgerError::Unsupported { input, kind: kind(script) });
        }
    }
    Ok(())
}

fn kind(script: &Script) -> &'static str {
    if script.is_p2wsh() { "witness script (P2WSH)" } else { "unknown script" }
}

/// The witness of an input as a list of elements.
fn witness(tx: &Transaction, input: usize) -> Vec<&[u8]> {
    tx.input.get(input).map(|input| input.witness.iter().collect()).unwrap_or_default()
}

fn check_p2wpkh(
    secp: &Secp256k1<VerifyOnly>,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    spent: &TxOut,
) -> Result<(), LedgerError> {
    let elements = witness(cache.transaction(), input);
    let [signature, key_bytes] = elements.as_slice() else {
        return Err(LedgerError::WitnessShape { input, got: elements.len(), expected: 2 });
    };
    let wrong_key = LedgerError::PublicKey { input };
    let key_hash = WPubkeyHash::from(PubkeyHash::hash(key_bytes).to_raw_hash());
    let program = spent.script_pubkey.as_bytes().get(2..).unwrap_or_default();
    if key_bytes.len() != PUBLIC_KEY_BYTES || key_hash.as_byte_array() != program {
        return Err(wrong_key);
    }
    let key = PublicKey::from_slice(key_bytes).map_err(|_| wrong_key)?;
    let malformed = LedgerError::SignatureMalformed { input };
    let signature = ecdsa::Signature::from_slice(signature).map_err(|_| malformed.clone())?;
    let digest = cache
        .p2wpkh_signature_hash(input, &spent.script_pubkey, spent.value, signature.sighash_type)
        .map_err(|_| malformed)?;
    // libsecp256k1 accepts low S alone, so nobody can change a signature that is not theirs.
    secp.verify_ecdsa(&Message::from_digest(digest.to_byte_array()), &signature.signature, &key)
        .map_err(|_| LedgerError::Signature { input })
}

fn check_key_path(
    secp: &Secp256k1<VerifyOnly>,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    spent: &[TxOut],
) -> Result<(), LedgerError> {
    let elements = witness(cache.transaction(), input);
    let bytes = match elements.as_slice() {
        [bytes] => *bytes,
        [] => return Err(LedgerError::WitnessShape { input, got: 0, expected: 1 }),
        [.., last] if last.first() == Some(&ANNEX_HEAD) => return Err(LedgerError::Annex { input }),
        _ => return Err(LedgerError::Unsupported { input, kind: "taproot script path" }),
    };
    let malformed = LedgerError::SignatureMalformed { input };
    let signature = taproot::Signature::from_slice(bytes).map_err(|_| malformed.clone())?;
    // BIP-341: the default type is written by leaving it out.
    if bytes.len() == TYPED_SIGNATURE_BYTES && signature.sighash_type == TapSighashType::Default {
        return Err(malformed);
    }
    let program = spent.get(input).and_then(|output| output.script_pubkey.as_bytes().get(2..));
    let key = XOnlyPublicKey::from_slice(program.unwrap_or_default())
        .map_err(|_| LedgerError::PublicKey { input })?;
    let digest = cache
        .taproot_key_spend_signature_hash(input, &Prevouts::All(spent), signature.sighash_type)
        .map_err(|_| malformed)?;
    secp.verify_schnorr(&signature.signature, &Message::from_digest(digest.to_byte_array()), &key)
        .map_err(|_| LedgerError::Signature { input })
}
