//! Which valid transactions are passed on and put into blocks: Mass Net's policy, in Bitcoin Core's numbers and words.
//!
//! Nothing here decides whether a block is good. A farmer may include what this refuses.

use bitcoin::{Script, Transaction, Witness};
use mass_primitives::Amount;

use crate::{
    script::{is_anchor, is_null_data, is_spendable},
    transaction::TxSummary,
};

/// Greatest weight of a transaction.
pub const STANDARD_WEIGHT_MAX: u64 = 400_000;

/// Least length of a transaction without its witness.
pub const STANDARD_BYTES_MIN: usize = 65;

/// Least fee rate that is passed on, and the step of replacements, in maxwell per 1000 weight: 1 maxwell per virtual
/// byte.
pub const RELAY_FEE_RATE: u64 = 250;

/// Greatest cost of a transaction's scripts: what a block allows for the greatest weight.
pub const STANDARD_SIGOP_COST_MAX: u64 = 8_000;

/// Greatest length of a witness script.
pub const WITNESS_SCRIPT_BYTES_MAX: usize = 3600;

/// Most values that a witness script may get.
pub const WITNESS_ITEMS_MAX: usize = 100;

/// Greatest length of such a value.
pub const WITNESS_ITEM_BYTES_MAX: usize = 80;

/// Why a valid transaction is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It weighs too much.
    #[error("weight {got}, at most {max} is passed on")]
    Weight {
        /// Its weight.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// It is shorter than any that is of use.
    #[error("{got} bytes without witness, at least {min} are passed on")]
    Short {
        /// Its length without witness.
        got: usize,
        /// The limit.
        min: usize,
    },
    /// An output has a script that this chain does not know.
    #[error("output {position} has no witness program of version 0 or 1 and is no short OP_RETURN")]
    OutputScript {
        /// Position of the output.
        position: usize,
    },
    /// More outputs than one carry data.
    #[error("{got} outputs are OP_RETURN, at most 1 is passed on")]
    NullDataCount {
        /// Such outputs.
        got: usize,
    },
    /// An output is worth less than its spending costs.
    #[error("output {position} carries {got} maxwell, at least {min} is passed on")]
    Dust {
        /// Position of the output.
        position: usize,
        /// What it carries.
        got: Amount,
        /// The limit for its script.
        min: Amount,
    },
    /// Its scripts cost too much.
    #[error("scripts cost {got} signature operations, at most {max} are passed on")]
    SigopCost {
        /// Their cost.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// The witness of an input is larger than wallets make.
    #[error("witness of input {input} is larger than is passed on, or has an annex")]
    Witness {
        /// Position of the input.
        input: usize,
    },
}

impl PolicyError {
    /// What Bitcoin Core calls it.
    #[must_use]
    pub const fn reject_reason(&self) -> &'static str {
        match self {
            Self::Weight { .. } => "tx-size",
            Self::Short { .. } => "tx-size-small",
            Self::OutputScript { .. } => "scriptpubkey",
            Self::NullDataCount { .. } => "multi-op-return",
            Self::Dust { .. } => "dust",
            Self::SigopCost { .. } => "bad-txns-too-many-sigops",
            Self::Witness { .. } => "bad-witness-nonstandard",
        }
    }
}

/// What can be said of a transaction without the coins that it spends.
///
/// # Errors
/// [`PolicyError`] if it is not passed on.
pub fn check_standard(tx: &Transaction) -> Result<(), PolicyError> {
    let got = tx.weight().to_wu();
    if got > STANDARD_WEIGHT_MAX {
        return Err(PolicyError::Weight { got, max: STANDARD_WEIGHT_MAX });
    }
    let got = tx.base_size();
    if got < STANDARD_BYTES_MIN {
        return Err(PolicyError::Short { got, min: STANDARD_BYTES_MIN });
    }
    let unknown = |script: &Script| !is_spendable(script) && !is_null_data(script);
    if let Some(position) = tx.output.iter().position(|output| unknown(&output.script_pubkey)) {
        return Err(PolicyError::OutputScript { position });
    }
    let got = tx.output.iter().filter(|output| output.script_pubkey.is_op_return()).count();
    if got > 1 {
        return Err(PolicyError::NullDataCount { got });
    }
    for (position, output) in tx.output.iter().enumerate() {
        let min = dust(&output.script_pubkey);
        let got = Amount::new(output.value.to_sat());
        if got < min {
            return Err(PolicyError::Dust { position, got, min });
        }
    }
    Ok(())
}

/// The least amount that an output may carry: what its spending costs at 3 maxwell per virtual byte.
#[must_use]
pub fn dust(script: &Script) -> Amount {
    if script.is_op_return() { Amount::ZERO } else { Amount::new(script.minimal_non_dust().to_sat()) }
}

/// Whether scripts and witnesses are of a size that is passed on.
///
/// # Errors
/// [`PolicyError::SigopCost`], [`PolicyError::Witness`].
pub fn check_spending(tx: &Transaction, summary: &TxSummary) -> Result<(), PolicyError> {
    let got = summary.sigop_cost;
    if got > STANDARD_SIGOP_COST_MAX {
        return Err(PolicyError::SigopCost { got, max: STANDARD_SIGOP_COST_MAX });
    }
    for (position, (input, (_, coin))) in tx.input.iter().zip(&summary.spends).enumerate() {
        let is_standard = match &coin.script {
            script if script.is_p2wsh() => is_standard_script_path(&input.witness),
            script if script.is_p2tr() => is_standard_taproot(&input.witness),
            script => !is_anchor(script) || input.witness.is_empty(),
        };
        if !is_standard {
            return Err(PolicyError::Witness { input: position });
        }
    }
    Ok(())
}

fn is_standard_script_path(witness: &Witness) -> bool {
    let items = witness.len().saturating_sub(1);
    witness.last().is_none_or(|script| script.len() <= WITNESS_SCRIPT_BYTES_MAX)
        && items <= WITNESS_ITEMS_MAX
        && witness.iter().take(items).all(|item| item.len() <= WITNESS_ITEM_BYTES_MAX)
}

fn is_standard_taproot(witness: &Witness) -> bool {
    const TAPSCRIPT: u8 = 0xc0;
    const ANNEX: u8 = 0x50;
    let has_annex = witness.len() >= 2 && witness.last().is_some_and(|last| last.first() == Some(&ANNEX));
    let version = witness.last().and_then(|control| control.first()).map(|first| first & 0xfe);
    let is_tapscript = witness.len() >= 2 && version == Some(TAPSCRIPT);
    let items = if is_tapscript { witness.len().saturating_sub(2) } else { 0 };
    !has_annex && witness.iter().take(items).all(|item| item.len() <= WITNESS_ITEM_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        OutPoint, ScriptBuf, Sequence, TxIn, TxOut, WPubkeyHash, WScriptHash, absolute::LockTime,
        hashes::Hash as _, script::PushBytesBuf, transaction::Version,
    };
    use mass_primitives::Height;

    use super::*;
    use crate::Coin;

    fn key_script() -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]))
    }

    fn data(bytes: usize) -> ScriptBuf {
        ScriptBuf::new_op_return(PushBytesBuf::try_from(vec![7; bytes]).unwrap())
    }

    fn paying(outputs: &[(u64, ScriptBuf)]) -> Transaction {
        let (script_sig, sequence, witness) = (ScriptBuf::new(), Sequence::MAX, Witness::new());
        let output = |(value, script): &(u64, ScriptBuf)| TxOut {
            value: bitcoin::Amount::from_sat(*value),
            script_pubkey: script.clone(),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint::null(), script_sig, sequence, witness }],
            output: outputs.iter().map(output).collect(),
        }
    }

    fn refuses(tx: &Transaction, reason: &str) {
        assert_eq!(check_standard(tx).unwrap_err().reject_reason(), reason);
    }

    #[test]
    fn outputs_are_of_known_kinds_and_worth_spending() {
        let taproot = ScriptBuf::from_bytes([&[0x51, 0x20][..], &[2; 32]].concat());
        check_standard(&paying(&[(294, key_script()), (330, taproot.clone()), (0, data(80))])).unwrap();
        refuses(&paying(&[(293, key_script())]), "dust");
        refuses(&paying(&[(329, taproot)]), "dust");
        refuses(&paying(&[(1000, key_script()), (1000, ScriptBuf::from_bytes(vec![0x51]))]), "scriptpubkey");
        refuses(&paying(&[(1000, key_script()), (0, data(81))]), "scriptpubkey");
        refuses(&paying(&[(1000, key_script()), (0, data(3)), (0, data(4))]), "multi-op-return");
    }

    #[test]
    fn sizes_are_bounded_both_ways() {
        refuses(&paying(&[(0, ScriptBuf::from_bytes(vec![0x6a]))]), "tx-size-small");
        let many: Vec<_> = (0..4000).map(|_| (1000, key_script())).collect();
        refuses(&paying(&many), "tx-size");
    }

    #[test]
    fn witnesses_are_of_the_size_that_wallets_make() {
        let coin = |script| Coin {
            amount: Amount::new(1),
            script,
            height: Height::ZERO,
            median_time: 0,
            coinbase: false,
        };
        let script_coin = coin(ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([1; 32])));
        let taproot_coin = coin(ScriptBuf::from_bytes([&[0x51, 0x20][..], &[2; 32]].concat()));
        let summary = |coin: &Coin, sigop_cost| TxSummary {
            fee: Amount::ZERO,
            weight: 400,
            sigop_cost,
            spends: vec![(OutPoint::null(), coin.clone())],
            creates: vec![],
        };
        let check = |witness: Vec<Vec<u8>>, coin: &Coin| {
            let mut tx = paying(&[(1000, key_script())]);
            tx.input[0].witness = Witness::from_slice(&witness);
            check_spending(&tx, &summary(coin, 1))
        };
        let wrong = Err(PolicyError::Witness { input: 0 });
        assert_eq!(check(vec![vec![0; 80], vec![1; 3600]], &script_coin), Ok(()));
        assert_eq!(check(vec![vec![0; 81], vec![1; 3600]], &script_coin), wrong);
        assert_eq!(check(vec![vec![0; 80], vec![1; 3601]], &script_coin), wrong);
        assert_eq!(check(vec![vec![]; 102], &script_coin), wrong);
        assert_eq!(check(vec![vec![0; 64]], &taproot_coin), Ok(()));
        assert_eq!(check(vec![vec![0; 80], vec![1; 9000], vec![0xc1; 33]], &taproot_coin), Ok(()));
        assert_eq!(check(vec![vec![0; 81], vec![1; 9000], vec![0xc1; 33]], &taproot_coin), wrong);
        assert_eq!(check(vec![vec![0; 64], vec![0x50, 1]], &taproot_coin), wrong);
        assert_eq!(
            check(vec![vec![0; 64], vec![2; 200]], &coin(key_script())),
            Ok(()),
            "the ledger's matter"
        );
        let anchor = coin(ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]));
        assert_eq!((check(vec![], &anchor), check(vec![vec![]], &anchor)), (Ok(()), wrong));
        assert_eq!(dust(&anchor.script), Amount::new(240));
        let dear = check_spending(&paying(&[(1000, key_script())]), &summary(&anchor, 8_001));
        assert_eq!(dear.unwrap_err().reject_reason(), "bad-txns-too-many-sigops");
    }
}
