//! The kinds of output script there are. No legacy scripts: every coin is a witness program.

use bitcoin::Script;

/// Greatest length of an OP_RETURN script: 80 bytes of data behind OP_RETURN, OP_PUSHDATA1 and a length.
pub const NULL_DATA_SCRIPT_BYTES_MAX: usize = 83;

/// Whether a script can hold a coin: P2WPKH, P2WSH or P2TR.
#[must_use]
pub fn is_spendable(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr()
}

/// Whether a script can receive a block's reward: P2WPKH or P2TR.
#[must_use]
pub fn is_payout(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2tr()
}

/// Whether a script is an OP_RETURN with at most 80 bytes of data.
#[must_use]
pub fn is_null_data(script: &Script) -> bool {
    script.is_op_return() && script.len() <= NULL_DATA_SCRIPT_BYTES_MAX
}
