//! Each refusal has the name that Bitcoin Core gives it.

use bitcoin::{OutPoint, Txid, hashes::Hash};
use mass_primitives::{Amount, Height};

use super::chain::farmer;
use crate::{LedgerError, MONEY_MAX, ScriptFault, Sum};

/// A refusal, what a transaction's is called, and what a block's, if it is called otherwise.
type Row = (LedgerError, &'static str, &'static str);

const TXID: [u8; 32] = [1; 32];

#[test]
fn refusals_are_called_what_bitcoin_calls_them() {
    for (error, of_transaction, of_block) in of_transactions().into_iter().chain(of_blocks()) {
        let of_block = if of_block.is_empty() { of_transaction } else { of_block };
        assert_eq!(error.reject_reason(), of_transaction, "{error}");
        assert_eq!(error.block_reject_reason(), of_block, "{error}");
    }
}

fn of_transactions() -> Vec<Row> {
    let txid = Txid::from_byte_array(TXID);
    let outpoint = OutPoint { txid, vout: 0 };
    let (one, two) = (Height::new(1), Height::new(2));
    let amount = Amount::new(3);
    let script = |fault| LedgerError::Script { txid, input: 0, fault };
    vec![
        (LedgerError::MissingCoin(outpoint), "bad-txns-inputs-missingorspent", ""),
        (LedgerError::DoubleSpend(outpoint), "bad-txns-inputs-missingorspent", ""),
        (LedgerError::InputTwice(outpoint), "bad-txns-inputs-duplicate", ""),
        (LedgerError::Overspent { got: amount, expected: amount }, "bad-txns-in-belowout", ""),
        (LedgerError::AmountNegative { position: 0 }, "bad-txns-vout-negative", ""),
        (
            LedgerError::AmountTooLarge { position: 0, got: amount, bound: amount },
            "bad-txns-vout-toolarge",
            "",
        ),
        (range(Sum::Outputs), "bad-txns-txouttotal-toolarge", ""),
        (range(Sum::Inputs), "bad-txns-inputvalues-outofrange", ""),
        (range(Sum::Rewards), "bad-txns-accumulated-fee-outofrange", ""),
        (LedgerError::TransactionEmpty { inputs: 0, outputs: 0 }, "bad-txns-vin-empty", ""),
        (LedgerError::TransactionEmpty { inputs: 1, outputs: 0 }, "bad-txns-vout-empty", ""),
        (
            LedgerError::Immature { outpoint, got: one, expected: two },
            "bad-txns-premature-spend-of-coinbase",
            "",
        ),
        (
            LedgerError::LockTime { lock_time: 9, height: one, median_time: 1 },
            "non-final",
            "bad-txns-nonfinal",
        ),
        (LedgerError::RelativeLock { outpoint, got: 1, expected: 2 }, "non-BIP68-final", "bad-txns-nonfinal"),
        (LedgerError::Version { got: 4 }, "version", ""),
        (LedgerError::OutputScript { position: 0 }, "scriptpubkey", ""),
        (LedgerError::NullDataValue { position: 0, got: amount }, "datacarrier", ""),
        (LedgerError::Weight { got: 2, bound: 1 }, "bad-txns-oversize", "bad-blk-weight"),
        (LedgerError::SigopCost { got: 2, bound: 1 }, "bad-txns-too-many-sigops", "bad-blk-sigops"),
        (
            script(ScriptFault::Signature),
            "mempool-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)",
            "block-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)",
        ),
        (
            script(ScriptFault::Schnorr),
            "mempool-script-verify-flag-failed (Invalid Schnorr signature)",
            "block-script-verify-flag-failed (Invalid Schnorr signature)",
        ),
    ]
}

fn of_blocks() -> Vec<Row> {
    let one = Height::new(1);
    vec![
        (LedgerError::TransactionLooksLikeNode(Txid::from_byte_array(TXID)), "tx-size-small", ""),
        (LedgerError::BodyTooLong { got: 2, bound: 1 }, "bad-blk-length", ""),
        (LedgerError::BodyEmpty, "bad-blk-length", ""),
        (LedgerError::BodyMalformed { position: 0 }, "block-decode-failed", ""),
        (LedgerError::BodyTrailing { left: 1 }, "block-decode-failed", ""),
        (LedgerError::MerkleMalleated, "bad-txns-duplicate", ""),
        (LedgerError::CoinbasePosition { position: 0, expected: true }, "bad-cb-missing", ""),
        (LedgerError::CoinbasePosition { position: 1, expected: false }, "bad-cb-multiple", ""),
        (LedgerError::CoinbaseScript { expected: one }, "bad-cb-height", ""),
        (LedgerError::CoinbasePayout { got: None, expected: None }, "bad-cb-amount", ""),
        (LedgerError::CoinbasePayoutScript, "bad-cb-payout", ""),
        (LedgerError::CoinbaseOutput { position: 1 }, "bad-cb-output", ""),
        (LedgerError::CoinbaseWitness, "bad-witness-nonce-size", ""),
        (LedgerError::WitnessCommitmentCount { got: 0 }, "bad-witness-merkle-match", ""),
        (LedgerError::WitnessCommitment, "bad-witness-merkle-match", ""),
        (LedgerError::EvidenceCommitmentCount { got: 2 }, "bad-evidence-commitment", ""),
        (LedgerError::StateCommitmentCount { got: 2 }, "bad-state-commitment", ""),
        (LedgerError::BannedFarmer(farmer(1)), "bad-farmer-banned", ""),
    ]
}

fn range(what: Sum) -> LedgerError {
    LedgerError::AmountRange { what, bound: MONEY_MAX }
}
