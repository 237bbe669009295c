//! The body: a compact-size count and the transactions, nothing behind. What can be checked without
//! state is checked when a [`Body`] is made, so that a body whose bytes a third party changed is
//! refused before anyone blames the header that it claims to belong to: the merkle root commits to all
//! but the witnesses, the coinbase's witness commitment (BIP-141) to these.

use bitcoin::{
    Transaction, Txid, VarInt, Wtxid,
    consensus::{Decodable, encode},
    hashes::Hash,
};
use mass_consensus::ledger::BodyCommitment;
use mass_primitives::{BodyRoot, tag::double_sha256};
use rayon::prelude::*;

use crate::{coinbase, error::LedgerError};

/// Weight of one byte outside of witnesses.
const WITNESS_SCALE: u64 = 4;
/// Length of an inner node of the merkle tree.
const NODE_BYTES: usize = 64;

/// A body that keeps every rule that needs no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    coinbase: Transaction,
    payments: Vec<Transaction>,
    txids: Vec<Txid>,
    wtxids: Vec<Wtxid>,
    commitment: BodyCommitment,
}

impl Body {
    /// Reads a body of at most `weight_max`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn decode(bytes: &[u8], weight_max: u64) -> Result<Self, LedgerError> {
        let transactions = read_transactions(bytes, weight_max)?;
        check_weight(&transactions, weight_max)?;
        for (position, tx) in transactions.iter().enumerate() {
            let expected = position == 0;
            if tx.is_coinbase() != expected {
                return Err(LedgerError::CoinbasePosition { position, expected });
            }
            if looks_like_node(tx) {
                return Err(LedgerError::TransactionLooksLikeNode(tx.compute_txid()));
            }
        }
        let txids: Vec<_> = transactions.par_iter().map(Transaction::compute_txid).collect();
        let root = merkle_root(txids.iter().map(|txid| txid.to_byte_array()).collect())?;
        let mut transactions = transactions.into_iter();
        let coinbase = transactions.next().ok_or(LedgerError::BodyEmpty)?;
        let payments: Vec<_> = transactions.collect();
        let wtxids: Vec<_> = payments.par_iter().map(Transaction::compute_wtxid).collect();
        coinbase::check_witness_commitment(&coinbase, witness_root(&wtxids)?)?;
        let carried = coinbase::carried(&coinbase)?;
        let commitment = BodyCommitment { root: BodyRoot::new(root), carried };
        Ok(Self { coinbase, payments, txids, wtxids, commitment })
    }

    /// The coinbase.
    #[must_use]
    pub const fn coinbase(&self) -> &Transaction {
        &self.coinbase
    }

    /// All other transactions.
    #[must_use]
    pub fn payments(&self) -> &[Transaction] {
        &self.payments
    }

    /// The coinbase's id.
    pub(crate) fn coinbase_txid(&self) -> Option<Txid> {
        self.txids.first().copied()
    }

    /// All other transactions with their ids, which a body computes once.
    pub(crate) fn identified(&self) -> impl Iterator<Item = (&Transaction, Txid, Wtxid)> {
        let ids = self.txids.iter().skip(1).zip(&self.wtxids);
        self.payments.iter().zip(ids).map(|(tx, (txid, wtxid))| (tx, *txid, *wtxid))
    }

    /// What the body commits to.
    #[must_use]
    pub const fn commitment(&self) -> BodyCommitment {
        self.commitment
    }
}

/// Whether a transaction without its witness could pass for an inner node of the merkle tree.
pub(crate) fn looks_like_node(tx: &Transaction) -> bool {
    tx.base_size() == NODE_BYTES
}

/// The bytes of a body.
#[must_use]
pub fn encode_body(coinbase: &Transaction, payments: &[Transaction]) -> Vec<u8> {
    let mut bytes = encode::serialize(&VarInt::from(payments.len().saturating_add(1)));
    for tx in core::iter::once(coinbase).chain(payments) {
        bytes.extend(encode::serialize(tx));
    }
    bytes
}

/// Root of the tree over the witness transaction ids, where the coinbase counts as zero.
pub(crate) fn witness_root(payments: &[Wtxid]) -> Result<[u8; 32], LedgerError> {
    let ids = payments.iter().map(|wtxid| wtxid.to_byte_array());
    merkle_root(core::iter::once([0; 32]).chain(ids).collect())
}

/// Weight of a body: its transactions and their count.
fn weight(transactions: &[Transaction]) -> u64 {
    let size = u64::try_from(VarInt::from(transactions.len()).size()).unwrap_or(u64::MAX);
    transactions
        .iter()
        .fold(size.saturating_mul(WITNESS_SCALE), |sum, tx| sum.saturating_add(tx.weight().to_wu()))
}

fn check_weight(transactions: &[Transaction], bound: u64) -> Result<(), LedgerError> {
    let got = weight(transactions);
    if got > bound { Err(LedgerError::Weight { got, bound }) } else { Ok(()) }
}

fn read_transactions(bytes: &[u8], weight_max: u64) -> Result<Vec<Transaction>, LedgerError> {
    let bound = usize::try_from(weight_max).unwrap_or(usize::MAX);
    if bytes.len() > bound {
        return Err(LedgerError::BodyTooLong { got: bytes.len(), bound });
    }
    let mut rest = bytes;
    let count = VarInt::consensus_decode(&mut rest).map_err(|_| LedgerError::BodyEmpty)?.0;
    let mut transactions = Vec::new();
    // Memory grows with what is read, not with the count claimed.
    for position in 0..count {
        let tx =
            Transaction::consensus_decode(&mut rest).map_err(|_| LedgerError::BodyMalformed { position })?;
        transactions.push(tx);
    }
    match (transactions.is_empty(), rest.len()) {
        (true, _) => Err(LedgerError::BodyEmpty),
        (false, 0) => Ok(transactions),
        (false, left) => Err(LedgerError::BodyTrailing { left }),
    }
}

/// Root of Bitcoin's merkle tree. Two equal neighbours are refused: duplicating the last nodes of a
/// level gives another list with the same root.
fn merkle_root(mut level: Vec<[u8; 32]>) -> Result<[u8; 32], LedgerError> {
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect::<Result<_, _>>()?;
    }
    level.pop().ok_or(LedgerError::BodyEmpty)
}

fn parent(pair: &[[u8; 32]]) -> Result<[u8; 32], LedgerError> {
    let (left, right) = match pair {
        [left, right] if left == right => return Err(LedgerError::MerkleMalleated),
        [left, right] => (left, right),
        [alone] => (alone, alone),
        _ => return Err(LedgerError::BodyEmpty),
    };
    Ok(double_sha256(&[*left, *right].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merkle_root_is_bitcoins() {
        for count in 1..20u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|leaf| [leaf; 32]).collect();
            let theirs =
                bitcoin::merkle_tree::calculate_root(leaves.iter().map(|leaf| Txid::from_byte_array(*leaf)));
            assert_eq!(merkle_root(leaves).unwrap(), theirs.unwrap().to_byte_array());
        }
    }

    #[test]
    fn repeated_tails_are_refused() {
        let malleated = vec![[1; 32], [2; 32], [3; 32], [3; 32]];
        assert_eq!(merkle_root(malleated), Err(LedgerError::MerkleMalleated));
    }
}
