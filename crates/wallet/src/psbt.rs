//! Payments on their way from one signer to the next (BIP-174, version 0): read, signed, combined, finalized, sent.
//!
//! The library has version 0 only; version 2 (BIP-370) is refused by it.

use bdk_wallet::{SignOptions, miniscript::psbt::PsbtExt as _};
use bitcoin::{
    Psbt, Txid,
    base64::{Engine as _, prelude::BASE64_STANDARD},
    secp256k1::Secp256k1,
};
use mass_primitives::Amount;
use mass_rpc::HttpClient;

use crate::{
    error::WalletError,
    send::{Sent, extract},
    wallet::Wallet,
};

/// Bytes of a PSBT at the most.
pub const PSBT_BYTES_MAX: usize = 4 << 20;
const MAGIC: &[u8] = b"psbt\xff";

/// An input of a PSBT, for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputView {
    /// What it spends.
    pub coin: bitcoin::OutPoint,
    /// The amount, if the PSBT tells.
    pub amount: Option<Amount>,
    /// The address, if the PSBT tells and there is one.
    pub address: Option<String>,
    /// Signatures that it has.
    pub signatures: usize,
    /// Whether it needs no more.
    pub complete: bool,
}

/// An output of a PSBT, for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputView {
    /// The amount.
    pub amount: Amount,
    /// The address, if there is one.
    pub address: Option<String>,
    /// Whether it is the wallet's own.
    pub own: bool,
}

/// A PSBT, for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsbtView {
    /// The id that the transaction has and, as all inputs are segwit, keeps.
    pub txid: Txid,
    /// Its inputs.
    pub inputs: Vec<InputView>,
    /// Its outputs.
    pub outputs: Vec<OutputView>,
    /// The fee, if all amounts are told.
    pub fee: Option<Amount>,
    /// Whether it can be sent.
    pub complete: bool,
}

/// Reads a PSBT: its bytes, or their base64 or hex.
///
/// # Errors
/// [`WalletError::PsbtForm`].
pub fn parse_psbt(bytes: &[u8]) -> Result<Psbt, WalletError> {
    let wrong = |reason: String| WalletError::PsbtForm(reason);
    if bytes.len() > 2 * PSBT_BYTES_MAX {
        return Err(wrong(format!("{} bytes are too many", bytes.len())));
    }
    if bytes.starts_with(MAGIC) {
        return Psbt::deserialize(bytes).map_err(|error| wrong(error.to_string()));
    }
    let text = str::from_utf8(bytes).map_err(|_| wrong("neither a PSBT nor its base64".to_owned()))?.trim();
    let decoded = match hex::decode(text) {
        Ok(bytes) if !text.is_empty() => bytes,
        _ => BASE64_STANDARD.decode(text).map_err(|error| wrong(error.to_string()))?,
    };
    Psbt::deserialize(&decoded).map_err(|error| wrong(error.to_string()))
}

/// Puts the signatures of several PSBTs of one payment together.
///
/// # Errors
/// [`WalletError::Psbt`] if they are of different payments, or there is none.
pub fn combine(list: Vec<Psbt>) -> Result<Psbt, WalletError> {
    let mut list = list.into_iter();
    let mut all = list.next().ok_or_else(|| WalletError::Psbt("there is none to combine".to_owned()))?;
    for other in list {
        all.combine(other).map_err(|error| WalletError::Psbt(error.to_string()))?;
    }
    Ok(all)
}

/// Makes the witnesses of all inputs from their signatures, and checks them.
///
/// # Errors
/// [`WalletError::Psbt`] with what is missing.
pub fn finalize(psbt: &mut Psbt) -> Result<(), WalletError> {
    check_amounts(psbt)?;
    psbt.finalize_mut(&Secp256k1::verification_only()).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        let count = errors.len();
        WalletError::Psbt(format!("{count} of {} inputs lack signatures: {first}", psbt.inputs.len()))
    })
}

/// The id and the hex of the transaction of a PSBT that has all its signatures.
///
/// # Errors
/// [`WalletError::Psbt`] with what is missing.
pub fn transaction_hex(psbt: Psbt) -> Result<(Txid, String), WalletError> {
    let (tx, _) = extract(psbt)?;
    Ok((tx.compute_txid(), bitcoin::consensus::encode::serialize_hex(&tx)))
}

/// Each input must tell the coin that it spends, and a whole transaction that it gives must be the one that it spends.
fn check_amounts(psbt: &Psbt) -> Result<(), WalletError> {
    if psbt.inputs.len() != psbt.unsigned_tx.input.len()
        || psbt.outputs.len() != psbt.unsigned_tx.output.len()
    {
        return Err(WalletError::Psbt("its lists do not have the lengths of its transaction's".to_owned()));
    }
    for (position, (input, spent)) in psbt.inputs.iter().zip(&psbt.unsigned_tx.input).enumerate() {
        let wrong = |reason: &str| Err(WalletError::Psbt(format!("input {position}: {reason}")));
        let coin = spent.previous_output;
        if let Some(tx) = &input.non_witness_utxo {
            if tx.compute_txid() != coin.txid || tx.output.len() <= coin.vout as usize {
                return wrong("the transaction beside it is not the one that it spends");
            }
            let output = tx.output.get(coin.vout as usize);
            if input.witness_utxo.as_ref().is_some_and(|told| Some(told) != output) {
                return wrong("the coin beside it is not the one that it spends");
            }
        } else if input.witness_utxo.is_none() {
            return wrong("the coin that it spends is not told");
        }
    }
    Ok(())
}

fn is_final(input: &bitcoin::psbt::Input) -> bool {
    input.final_script_witness.is_some() || input.final_script_sig.is_some()
}

impl Wallet {
    /// Adds the wallet's signatures; how many inputs have more than before.
    ///
    /// # Errors
    /// [`WalletError::WatchOnly`], [`WalletError::Locked`], or [`WalletError::Psbt`] if it tells lies about the coins
    /// that it spends, or asks for signatures that do not cover the whole payment.
    pub fn sign_psbt(&self, psbt: &mut Psbt) -> Result<usize, WalletError> {
        self.check_can_sign()?;
        check_amounts(psbt)?;
        let before: Vec<usize> = psbt.inputs.iter().map(signatures).collect();
        // With no signer BDK adds what it knows of the inputs, and refuses what must not be signed.
        let options = SignOptions { try_finalize: false, ..SignOptions::default() };
        let checked = self.bdk.sign_with_signers(psbt, &[], options);
        checked.map_err(|error| WalletError::Psbt(error.to_string()))?;
        self.add_signatures(psbt)?;
        Ok(psbt.inputs.iter().zip(before).filter(|(input, before)| signatures(input) > *before).count())
    }

    /// What a PSBT says, with the wallet's own outputs marked.
    #[must_use]
    pub fn view_psbt(&self, psbt: &Psbt) -> PsbtView {
        view(psbt, &self.chain.address_prefix, |script| self.bdk.is_mine(script.to_owned()))
    }

    /// Finalizes a PSBT and gives its transaction to the node.
    ///
    /// # Errors
    /// [`WalletError::Psbt`] with what is missing, or the node's refusal.
    pub async fn send_psbt(&mut self, node: &HttpClient, psbt: Psbt) -> Result<Sent, WalletError> {
        let (tx, fee) = extract(psbt)?;
        self.check_node(node).await?;
        self.submit(node, tx, fee).await
    }
}

/// What a PSBT says, with addresses of this prefix.
pub fn view(psbt: &Psbt, prefix: &str, is_own: impl Fn(&bitcoin::Script) -> bool) -> PsbtView {
    let address = |script: &bitcoin::Script| mass_ledger_utxo::address::encode(prefix, script).ok();
    let inputs = psbt.inputs.iter().zip(&psbt.unsigned_tx.input).map(|(input, spent)| {
        let coin = spent.previous_output;
        let told = input.witness_utxo.as_ref();
        let whole = input.non_witness_utxo.as_ref().filter(|tx| tx.compute_txid() == coin.txid);
        let told = whole.and_then(|tx| tx.output.get(coin.vout as usize)).or(told);
        InputView {
            coin,
            amount: told.map(|output| Amount::new(output.value.to_sat())),
            address: told.and_then(|output| address(&output.script_pubkey)),
            signatures: signatures(input),
            complete: is_final(input),
        }
    });
    let outputs = psbt.unsigned_tx.output.iter().map(|output| OutputView {
        amount: Amount::new(output.value.to_sat()),
        address: address(&output.script_pubkey),
        own: is_own(&output.script_pubkey),
    });
    PsbtView {
        txid: psbt.unsigned_tx.compute_txid(),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        fee: check_amounts(psbt).ok().and_then(|()| psbt.fee().ok()).map(|fee| Amount::new(fee.to_sat())),
        complete: finalize(&mut psbt.clone()).is_ok(),
    }
}

fn signatures(input: &bitcoin::psbt::Input) -> usize {
    input.partial_sigs.len() + input.tap_script_sigs.len() + usize::from(input.tap_key_sig.is_some())
}

#[cfg(test)]
mod tests;
