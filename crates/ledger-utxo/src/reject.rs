//! What a refusal is called: the strings of Bitcoin Core (`validation.cpp`, `tx_check.cpp`,
//! `tx_verify.cpp`), which wallets, exchanges and block explorers know. Rules that Bitcoin does not have
//! get a name in the same manner.

use crate::{LedgerError, Sum};

impl LedgerError {
    /// The reject reason of a transaction that is offered to the memory pool, as `testmempoolaccept` and
    /// `sendrawtransaction` give it.
    #[must_use]
    pub fn reject_reason(&self) -> String {
        match self {
            Self::Script { fault, .. } => format!("mempool-script-verify-flag-failed ({fault})"),
            Self::SigopCost { .. } => "bad-txns-too-many-sigops".into(),
            Self::Weight { .. } => "bad-txns-oversize".into(),
            other => other.name().into(),
        }
    }

    /// The reject reason of a block, as `submitblock` gives it.
    #[must_use]
    pub fn block_reject_reason(&self) -> String {
        match self {
            Self::Script { fault, .. } => format!("block-script-verify-flag-failed ({fault})"),
            Self::LockTime { .. } | Self::RelativeLock { .. } => "bad-txns-nonfinal".into(),
            other => other.name().into(),
        }
    }

    /// What it is called wherever it happens.
    const fn name(&self) -> &'static str {
        match self {
            Self::BodyTooLong { .. } | Self::BodyEmpty => "bad-blk-length",
            Self::BodyMalformed { .. } | Self::BodyTrailing { .. } => "block-decode-failed",
            Self::MerkleMalleated => "bad-txns-duplicate",
            Self::TransactionLooksLikeNode(_) => "tx-size-small",
            Self::Weight { .. } => "bad-blk-weight",
            Self::SigopCost { .. } => "bad-blk-sigops",
            Self::CoinbasePosition { expected: true, .. } => "bad-cb-missing",
            Self::CoinbasePosition { expected: false, .. } => "bad-cb-multiple",
            Self::CoinbaseScript { .. } => "bad-cb-height",
            Self::CoinbasePayout { .. } => "bad-cb-amount",
            Self::CoinbasePayoutScript => "bad-cb-payout",
            Self::CoinbaseOutput { .. } => "bad-cb-output",
            Self::CoinbaseWitness => "bad-witness-nonce-size",
            Self::WitnessCommitmentCount { .. } | Self::WitnessCommitment => "bad-witness-merkle-match",
            Self::EvidenceCommitmentCount { .. } => "bad-evidence-commitment",
            Self::StateCommitmentCount { .. } => "bad-state-commitment",
            Self::BannedFarmer(_) => "bad-farmer-banned",
            Self::Version { .. } => "version",
            Self::TransactionEmpty { inputs: 0, .. } => "bad-txns-vin-empty",
            Self::TransactionEmpty { .. } => "bad-txns-vout-empty",
            Self::InputTwice(_) => "bad-txns-inputs-duplicate",
            Self::DoubleSpend(_) | Self::MissingCoin(_) => "bad-txns-inputs-missingorspent",
            Self::Immature { .. } => "bad-txns-premature-spend-of-coinbase",
            Self::OutputScript { .. } => "scriptpubkey",
            Self::NullDataValue { .. } => "datacarrier",
            Self::AmountNegative { .. } => "bad-txns-vout-negative",
            Self::AmountTooLarge { .. } => "bad-txns-vout-toolarge",
            Self::AmountRange { what: Sum::Outputs, .. } => "bad-txns-txouttotal-toolarge",
            Self::AmountRange { what: Sum::Inputs, .. } => "bad-txns-inputvalues-outofrange",
            Self::AmountRange { what: Sum::Rewards, .. } => "bad-txns-accumulated-fee-outofrange",
            Self::Overspent { .. } => "bad-txns-in-belowout",
            Self::LockTime { .. } => "non-final",
            Self::RelativeLock { .. } => "non-BIP68-final",
            Self::Script { .. } => "script-verify-flag-failed",
        }
    }
}
