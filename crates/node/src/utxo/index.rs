//! Mass Net's indexes: transactions by id, history by script, spends by output. Integers in keys are big-endian, so
//! that entries stand in the order of the chain. A script is named by the SHA-256 of its bytes, as in Electrum's protocol.
//!
//! | index | key | value |
//! |---|---|---|
//! | `tx` | txid | height, position in the body |
//! | `address` | script hash, height, position in the body, 0 for an output or 1 for an input, its number | txid, amount; of an input also the output that it spends |
//! | `filter` | height | filter header, filter: see [`filters`] |
//! | `spend` | txid and number of an output | spending txid, number of the input, height, position in the body |
//!
//! History, unspent outputs and balance of a script are scans of one prefix. The genesis block's coins come from
//! nowhere: their transaction's input is in no index.

use std::collections::BTreeMap;

use bitcoin::{
    OutPoint, Script, Transaction, TxOut, Txid,
    hashes::{Hash as _, sha256},
};
use mass_consensus::ledger::StateRead as _;
use mass_ledger_utxo::{UtxoLedger, body::Body, read_coin};
use mass_primitives::{Amount, Height};
use mass_storage::{IndexEntries, IndexKind, IndexView, KeyValue, Snapshot};

use crate::{
    chain::refusal,
    error::ChainError,
    index::{BlockToIndex, IndexInfo, sorted},
    utxo::filters::{self, FILTER},
};

/// Name of the index of transactions.
pub const TX: &str = "tx";
/// Name of the index of scripts.
pub const ADDRESS: &str = "address";
/// Name of the index of spends.
pub const SPEND: &str = "spend";

/// All indexes of the ledger. Only that of transactions is kept unasked: wallets, exchanges and block explorers look
/// transactions up by id, and it is small (40 bytes to a transaction); the others grow with each input and output.
pub(super) const INDEXES: &[IndexInfo] = &[
    IndexInfo {
        kind: IndexKind { name: TX, version: 1 },
        standard_name: "txindex",
        about: "transactions by id, for getrawtransaction",
        by_default: true,
    },
    IndexInfo {
        kind: IndexKind { name: ADDRESS, version: 1 },
        standard_name: "addressindex",
        about: "history, coins and balance by address",
        by_default: false,
    },
    IndexInfo {
        kind: IndexKind { name: SPEND, version: 1 },
        standard_name: "txospenderindex",
        about: "the transaction that spent an output",
        by_default: false,
    },
    IndexInfo {
        kind: IndexKind { name: FILTER, version: 1 },
        standard_name: "basic block filter index",
        about: "compact filters (BIP-158), for light wallets and getblockfilter",
        by_default: true,
    },
];

/// The name of a script in the index of scripts.
#[must_use]
pub fn script_hash(script: &Script) -> [u8; 32] {
    sha256::Hash::hash(script.as_bytes()).to_byte_array()
}

/// Where a transaction stands in the active chain. Of two, the greater is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Height of its block.
    pub height: Height,
    /// Its position in the body, where the coinbase is 0.
    pub position: u32,
}

/// What a transaction does to a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its output of this number pays the script.
    Funds(u32),
    /// Its input of this number spends this output, which paid the script.
    Spends(u32, OutPoint),
}

/// One output that pays a script, or one input that spends such an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptEvent {
    /// Where the transaction stands.
    pub place: Place,
    /// The transaction.
    pub txid: Txid,
    /// What it does.
    pub role: Role,
    /// Amount of the output.
    pub amount: Amount,
}

/// The input that spends an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The transaction.
    pub txid: Txid,
    /// Number of its input.
    pub input: u32,
    /// Where it stands.
    pub place: Place,
}

/// Where a transaction of the active chain stands; `None` if there is none of this id in the indexed blocks.
///
/// # Errors
/// [`ChainError::NoIndex`], or a fatal error.
pub fn find_transaction(snapshot: &Snapshot, txid: &Txid) -> Result<Option<Place>, ChainError> {
    let Some(value) = open(snapshot, TX)?.get(txid.as_byte_array())? else { return Ok(None) };
    Ok(Some(read_place(&mut Fields(&value)).ok_or_else(|| damaged(TX))?))
}

/// The input that spends an output in the active chain.
///
/// # Errors
/// [`ChainError::NoIndex`], or a fatal error.
pub fn find_spend(snapshot: &Snapshot, outpoint: &OutPoint) -> Result<Option<Spend>, ChainError> {
    let Some(value) = open(snapshot, SPEND)?.get(&spend_key(outpoint))? else { return Ok(None) };
    let mut fields = Fields(&value);
    let read = |fields: &mut Fields<'_>| {
        Some(Spend { txid: fields.txid()?, input: fields.number()?, place: read_place(fields)? })
    };
    Ok(Some(read(&mut fields).ok_or_else(|| damaged(SPEND))?))
}

/// What happened to a script, in the order of the chain, from either end.
///
/// # Errors
/// [`ChainError::NoIndex`], or a fatal error, here or from the iterator.
pub fn script_events(
    snapshot: &Snapshot,
    script_hash: &[u8; 32],
) -> Result<impl DoubleEndedIterator<Item = Result<ScriptEvent, ChainError>> + use<>, ChainError> {
    let entries = open(snapshot, ADDRESS)?.scan(script_hash)?;
    Ok(entries.map(|entry| known_event(entry?)))
}

/// What happened to a script before a place in the chain, from either end, at no cost for what came later.
///
/// # Errors
/// As [`script_events`].
pub(super) fn script_events_before(
    snapshot: &Snapshot,
    script_hash: &[u8; 32],
    before: Place,
) -> Result<impl DoubleEndedIterator<Item = Result<ScriptEvent, ChainError>> + use<>, ChainError> {
    let end = [&script_hash[..], &place_bytes(before.height, before.position)].concat();
    let entries = open(snapshot, ADDRESS)?.scan_range(script_hash, &end)?;
    Ok(entries.map(|entry| known_event(entry?)))
}

fn known_event((key, value): KeyValue) -> Result<ScriptEvent, ChainError> {
    read_event(&key, &value).ok_or_else(|| damaged(ADDRESS))
}

pub(super) fn open(snapshot: &Snapshot, name: &'static str) -> Result<IndexView, ChainError> {
    snapshot.index(name)?.ok_or(ChainError::NoIndex(name))
}

pub(super) fn damaged(name: &'static str) -> ChainError {
    ChainError::Database(format!("the index {name} holds an entry that this ledger did not write"))
}

/// What a block has for some indexes.
pub(super) fn entries(
    ledger: &UtxoLedger,
    names: &[&'static str],
    block: &BlockToIndex<'_>,
) -> Result<Vec<IndexEntries>, ChainError> {
    let body = Body::decode(block.body, ledger.params().weight_max).map_err(refusal)?;
    let txs: Vec<(Txid, &Transaction)> =
        std::iter::once(body.coinbase()).chain(body.payments()).map(|tx| (tx.compute_txid(), tx)).collect();
    let of = |name: &&'static str| {
        let entries = match *name {
            TX => txs
                .iter()
                .zip(0..)
                .map(|((txid, _), position)| tx_entry(txid, block.height, position))
                .collect(),
            ADDRESS => address_entries(block, &txs)?,
            SPEND => spend_entries(block, &txs),
            FILTER => filters::entries(block, &txs)?,
            _ => Vec::new(),
        };
        Ok(sorted(name, entries))
    };
    names.iter().map(of).collect()
}

fn tx_entry(txid: &Txid, height: Height, position: u32) -> KeyValue {
    (txid.to_byte_array().to_vec(), place_bytes(height, position))
}

fn place_bytes(height: Height, position: u32) -> Vec<u8> {
    [height.get().to_be_bytes(), position.to_be_bytes()].concat()
}

fn spend_key(outpoint: &OutPoint) -> Vec<u8> {
    [outpoint.txid.as_byte_array().as_slice(), &outpoint.vout.to_be_bytes()].concat()
}

/// The inputs of a transaction that spend something.
pub(super) fn inputs<'a>(
    block: &BlockToIndex<'_>,
    tx: &'a Transaction,
) -> impl Iterator<Item = (u32, &'a OutPoint)> + use<'a> {
    let spends = block.height > Height::ZERO && !tx.is_coinbase();
    let outpoints = tx.input.iter().map(|input| &input.previous_output);
    (0..).zip(outpoints).filter(move |_| spends)
}

fn spend_entries(block: &BlockToIndex<'_>, txs: &[(Txid, &Transaction)]) -> Vec<KeyValue> {
    let of = |((txid, tx), position): (&(Txid, &Transaction), u32)| {
        let entries = inputs(block, tx).map(|(number, outpoint)| {
            let input = [txid.as_byte_array().as_slice(), &number.to_be_bytes()].concat();
            (spend_key(outpoint), [input, place_bytes(block.height, position)].concat())
        });
        entries.collect::<Vec<_>>()
    };
    txs.iter().zip(0..).flat_map(of).collect()
}

fn address_entries(
    block: &BlockToIndex<'_>,
    txs: &[(Txid, &Transaction)],
) -> Result<Vec<KeyValue>, ChainError> {
    let own: BTreeMap<&Txid, &Transaction> = txs.iter().map(|(txid, tx)| (txid, *tx)).collect();
    let mut entries = Vec::new();
    for ((txid, tx), position) in txs.iter().zip(0..) {
        let key = |script: &Script, role: u8, number: u32| {
            let place = place_bytes(block.height, position);
            [&script_hash(script)[..], &place, &[role], &number.to_be_bytes()].concat()
        };
        for (number, output) in (0..).zip(&tx.output) {
            // Nobody looks for what nobody can spend.
            if !output.script_pubkey.is_op_return() {
                let amount = output.value.to_sat().to_be_bytes();
                entries.push((key(&output.script_pubkey, 0, number), [&txid[..], &amount].concat()));
            }
        }
        for (number, outpoint) in inputs(block, tx) {
            let output = spent_output(block, &own, outpoint)?;
            let amount = output.value.to_sat().to_be_bytes();
            let value = [&txid[..], &amount, &outpoint.txid[..], &outpoint.vout.to_be_bytes()].concat();
            entries.push((key(&output.script_pubkey, 1, number), value));
        }
    }
    Ok(entries)
}

/// An output that a block spends: a coin that was there before, or an output of the block itself.
pub(super) fn spent_output(
    block: &BlockToIndex<'_>,
    own: &BTreeMap<&Txid, &Transaction>,
    outpoint: &OutPoint,
) -> Result<TxOut, ChainError> {
    if let Some(coin) = read_coin(block.before, outpoint)? {
        return Ok(coin.to_output());
    }
    let output = own.get(&outpoint.txid).and_then(|tx| tx.output.get(outpoint.vout as usize)).cloned();
    output.ok_or_else(|| {
        ChainError::Database(format!("block {} spends {outpoint}, which is not there", block.id))
    })
}

fn read_event(key: &[u8], value: &[u8]) -> Option<ScriptEvent> {
    let (mut key, mut value) = (Fields(key.get(32..)?), Fields(value));
    let place = read_place(&mut key)?;
    let ([role], number) = (key.take()?, key.number()?);
    let (txid, amount) = (value.txid()?, Amount::new(u64::from_be_bytes(value.take()?)));
    let role = match role {
        0 => Role::Funds(number),
        _ => Role::Spends(number, OutPoint { txid: value.txid()?, vout: value.number()? }),
    };
    Some(ScriptEvent { place, txid, role, amount })
}

fn read_place(fields: &mut Fields<'_>) -> Option<Place> {
    Some(Place { height: Height::new(fields.number()?), position: fields.number()? })
}

/// Reads fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn txid(&mut self) -> Option<Txid> {
        self.take().map(Txid::from_byte_array)
    }
}
