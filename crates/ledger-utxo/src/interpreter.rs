//! The door to Bitcoin Core's script interpreter, through the crate `bitcoinconsensus` (decision 0013).
//!
//! The interpreter takes one input at a time and reads the whole transaction for it, so the cost of an
//! input grows with the transaction; [`crate::sigops`] counts that. Signatures, script paths, time locks
//! and the limits of BIP-141, BIP-143, BIP-341 and BIP-342 are all inside.

use bitcoin::{Transaction, TxOut, consensus::encode};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};

use crate::fault::ScriptFault;

/// The rules that hold: all there are.
pub(crate) const FLAGS: u32 = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;

/// A transaction and the outputs it spends, in the form that the interpreter reads.
pub(crate) struct Subject<'a> {
    bytes: Vec<u8>,
    spent: &'a [TxOut],
    outputs: Vec<Utxo>,
}

impl<'a> Subject<'a> {
    /// `spent` in the order of the inputs. `None` if an amount or a length is beyond what can be.
    pub(crate) fn new(tx: &Transaction, spent: &'a [TxOut]) -> Option<Self> {
        let output = |output: &TxOut| {
            Some(Utxo {
                script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
                script_pubkey_len: u32::try_from(output.script_pubkey.len()).ok()?,
                value: i64::try_from(output.value.to_sat()).ok()?,
            })
        };
        let outputs = spent.iter().map(output).collect::<Option<Vec<_>>>()?;
        Some(Self { bytes: encode::serialize(tx), spent, outputs })
    }

    /// Verifies one input.
    pub(crate) fn verify(&self, input: usize) -> Result<(), ScriptFault> {
        let output = self.spent.get(input).ok_or(ScriptFault::Script)?;
        // The pointers in `outputs` are into `spent`, which outlives `self`.
        let verdict = verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            &self.bytes,
            Some(&self.outputs),
            input,
            FLAGS,
        );
        verdict.map_err(|_| ScriptFault::Script)
    }
}
