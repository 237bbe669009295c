//! The kinds of output script there are. No legacy scripts: every coin is a witness program, of a kind
//! whose spending has rules. A version that has none yet cannot be created, so no coin ever waits for a
//! rule that comes later.

use bitcoin::Script;

/// Greatest length of an OP_RETURN script: 80 bytes of data behind OP_RETURN, OP_PUSHDATA1 and a length.
pub const NULL_DATA_SCRIPT_BYTES_MAX: usize = 83;

/// P2A: version 1 with the program `4e73`.
const ANCHOR: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];

/// Whether a script can hold a coin: P2WPKH, P2WSH, P2TR or P2A.
#[must_use]
pub fn is_spendable(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr() || is_anchor(script)
}

/// Whether a script is P2A, a coin that anybody may spend: what the transactions of a payment channel
/// carry so that either side can raise their fee.
#[must_use]
pub fn is_anchor(script: &Script) -> bool {
    script.as_bytes() == ANCHOR
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
