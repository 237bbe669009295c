//! The two usual spends, P2WPKH (BIP-143) and taproot's key path (BIP-341), straight on libsecp256k1.
//!
//! They need one digest and one signature and no script, so they are checked without the interpreter, at
//! a cost that does not grow with the transaction around them. What Bitcoin Core leaves to its relay
//! policy is a rule here, so that nobody can change a witness of the usual kinds that is not theirs:
//! compressed keys, low S, and the sighash types that have a name.

use bitcoin::{
    PubkeyHash, Transaction, TxOut, WPubkeyHash, ecdsa,
    hashes::Hash,
    secp256k1::{self, Message, PublicKey, Secp256k1, VerifyOnly, XOnlyPublicKey},
    sighash::{Prevouts, SighashCache, TapSighashType},
    taproot,
};

use crate::fault::ScriptFault;

/// Length of a compressed public key.
const PUBLIC_KEY_BYTES: usize = 33;
/// Length of a taproot signature that names its sighash type.
const TYPED_SIGNATURE_BYTES: usize = 65;

/// Checks an input that spends P2WPKH.
pub(crate) fn check_p2wpkh(
    secp: &Secp256k1<VerifyOnly>,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    spent: &TxOut,
    (signature, key_bytes): (&[u8], &[u8]),
) -> Result<(), ScriptFault> {
    let key_hash = WPubkeyHash::from(PubkeyHash::hash(key_bytes).to_raw_hash());
    let program = spent.script_pubkey.as_bytes().get(2..).unwrap_or_default();
    if key_hash.as_byte_array() != program {
        return Err(ScriptFault::KeyHash);
    }
    if key_bytes.len() != PUBLIC_KEY_BYTES {
        return Err(ScriptFault::KeyUncompressed);
    }
    if signature.is_empty() {
        return Err(ScriptFault::EvalFalse);
    }
    let signature = ecdsa::Signature::from_slice(signature).map_err(|error| match error {
        ecdsa::Error::SighashType(_) => ScriptFault::SighashType,
        _ => ScriptFault::SignatureEncoding,
    })?;
    let key = PublicKey::from_slice(key_bytes).map_err(|_| ScriptFault::Signature)?;
    let digest = cache
        .p2wpkh_signature_hash(input, &spent.script_pubkey, spent.value, signature.sighash_type)
        .map_err(|_| ScriptFault::SighashType)?;
    verify_ecdsa(secp, &Message::from_digest(digest.to_byte_array()), signature.signature, &key)
}

fn verify_ecdsa(
    secp: &Secp256k1<VerifyOnly>,
    message: &Message,
    signature: secp256k1::ecdsa::Signature,
    key: &PublicKey,
) -> Result<(), ScriptFault> {
    if secp.verify_ecdsa(message, &signature, key).is_ok() {
        return Ok(());
    }
    let mut low = signature;
    low.normalize_s();
    Err(if low == signature { ScriptFault::Signature } else { ScriptFault::HighS })
}

/// Checks an input that spends P2TR by its key, without an annex. `spent` are all outputs that the transaction spends.
pub(crate) fn check_key_path(
    secp: &Secp256k1<VerifyOnly>,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    spent: &[TxOut],
    signature: &[u8],
) -> Result<(), ScriptFault> {
    let typed = signature.len() == TYPED_SIGNATURE_BYTES;
    let signature = taproot::Signature::from_slice(signature).map_err(|error| match error {
        taproot::SigFromSliceError::SighashType(_) => ScriptFault::SchnorrSighashType,
        taproot::SigFromSliceError::InvalidSignatureSize(_) => ScriptFault::SchnorrSize,
        _ => ScriptFault::Schnorr,
    })?;
    // BIP-341: the default type is written by leaving it out.
    if typed && signature.sighash_type == TapSighashType::Default {
        return Err(ScriptFault::SchnorrSighashType);
    }
    let program = spent.get(input).and_then(|output| output.script_pubkey.as_bytes().get(2..));
    let key = XOnlyPublicKey::from_slice(program.unwrap_or_default()).map_err(|_| ScriptFault::Schnorr)?;
    let digest = cache
        .taproot_key_spend_signature_hash(input, &Prevouts::All(spent), signature.sighash_type)
        .map_err(|_| ScriptFault::SchnorrSighashType)?;
    secp.verify_schnorr(&signature.signature, &Message::from_digest(digest.to_byte_array()), &key)
        .map_err(|_| ScriptFault::Schnorr)
}
