//! What a node asks of a ledger beside its rules: the door for a new chain.
//!
//! [`Ledger`] says what is valid, purely. A node also has to make bodies, to know the transactions in them, and to
//! answer questions about them; that is [`NodeLedger`]. Nothing here decides whether a block is good.

use std::{error::Error, ops::Range};

use mass_consensus::{
    header::HEADER_BYTES,
    ledger::{BlockContext, Carried, Ledger, StateRead},
    spec::ChainSpec,
};
use mass_mempool::{CoinKey, Entry, EntryId, Limits, Pool, Waiting};
use mass_primitives::{Amount, BlockId, Height};
use mass_rpc::{Methods, RpcResult, errors};
use mass_storage::IndexEntries;
use serde_json::{Map, Value};

use crate::{
    chain::Chain,
    error::ChainError,
    index::{BlockToIndex, IndexInfo, sorted},
    methods::Method,
    queries::Queries,
};

/// An error of a ledger, whose type only the ledger knows.
pub type LedgerFault = Box<dyn Error + Send + Sync>;

/// What is known of the block that a waiting transaction may get into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// Its height.
    pub height: Height,
    /// Median time of the eleven blocks before it, in unix seconds.
    pub median_time_past: u32,
}

/// A transaction in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Its id.
    pub id: EntryId,
    /// What it spends, by the keys of [`Entry::spends`].
    pub spends: Vec<CoinKey>,
    /// What it creates, by the keys of [`Entry::creates`].
    pub creates: Vec<CoinKey>,
    /// Its encoding, to be offered to the pool again if its block leaves the chain; `None` for one that lives and
    /// dies with its block, as a coinbase does.
    pub bytes: Option<Vec<u8>>,
}

/// The body of a block to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// The body.
    pub body: Vec<u8>,
    /// What the ledger takes no more and has to leave the pool, as after a reorg.
    pub refused: Vec<EntryId>,
}

/// A ledger that a node can run.
///
/// Errors are [`ChainError`]s: [`ChainError::Transaction`] for bytes that are no transaction, whose sender is at
/// fault, [`ChainError::Ledger`] for a broken rule, [`ChainError::Address`] for a payout address, and
/// [`ChainError::State`] if the disk fails, which ends the node.
pub trait NodeLedger: Ledger + Sized + Send + 'static {
    /// The `kind` that chain specs name it by.
    const KIND: &'static str;

    /// The indexes that the ledger can keep.
    const INDEXES: &'static [IndexInfo] = &[];

    /// The ledger of a chain, by the parameters in its spec.
    ///
    /// # Errors
    /// [`ChainError::Params`] if they describe no ledger.
    fn open(spec: &ChainSpec) -> Result<Self, ChainError>;

    /// What the pool holds, and what it asks for. Without a word from the ledger, no fees.
    fn pool_limits(&self) -> Limits {
        Limits::FREE
    }

    /// The id of a transaction, whether it is good or not.
    ///
    /// # Errors
    /// [`ChainError::Transaction`] if the bytes are none.
    fn transaction_id(&self, bytes: &[u8]) -> Result<EntryId, ChainError>;

    /// Checks a transaction against the state and those that wait in the pool; how the pool is to see it.
    ///
    /// # Errors
    /// What is wrong with it; [`ChainError::MissingCoin`] if its parents may still come.
    fn admit(
        &self,
        state: &dyn StateRead,
        waiting: &Waiting<'_>,
        next: NextBlock,
        bytes: &[u8],
    ) -> Result<Entry, ChainError>;

    /// The same without what costs most, so that the pool may refuse a transaction before that. Without a word from the
    /// ledger, all is checked.
    ///
    /// # Errors
    /// As [`NodeLedger::admit`].
    fn preview(
        &self,
        state: &dyn StateRead,
        waiting: &Waiting<'_>,
        next: NextBlock,
        bytes: &[u8],
    ) -> Result<Entry, ChainError> {
        self.admit(state, waiting, next, bytes)
    }

    /// Makes a body for a block by this farmer that the ledger then applies, with what the pool offers. It carries
    /// `carried` in the way that [`Ledger::commitment`] reads it, and pays `payout`.
    ///
    /// # Errors
    /// [`ChainError::Address`] if `payout` is none, or why no body can be made.
    fn build(
        &self,
        state: &dyn StateRead,
        pool: &Pool,
        context: &BlockContext,
        payout: &str,
        carried: Carried,
    ) -> Result<Candidate, ChainError>;

    /// The transactions of a body, in their order.
    ///
    /// # Errors
    /// The ledger's error if the body is malformed.
    fn transactions(&self, body: &[u8]) -> Result<Vec<Included>, Self::Error>;

    /// Compares a whole state with itself: sums that must agree, entries that must be read. What was found to agree, or
    /// what is wrong. Without a word from the ledger, nothing is compared.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn audit(&self, entries: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Option<String>, String> {
        let _ = entries;
        Ok(None)
    }

    /// Where in a body the transactions are that may wait in the pools of others, in the bytes that a pool holds: ascending,
    /// one after the other. A block is told to peers without them. Without a word from the ledger, it is told whole.
    fn shared_parts(&self, body: &[u8]) -> Vec<Range<usize>> {
        let _ = body;
        Vec::new()
    }

    /// What a block has for indexes of these names, in their order. It is asked again, with the same answer, when the
    /// block leaves the chain.
    ///
    /// # Errors
    /// The disk fails, or the block does not fit the state before it.
    fn index(
        &self,
        names: &[&'static str],
        block: &BlockToIndex<'_>,
    ) -> Result<Vec<IndexEntries>, ChainError> {
        let _ = block;
        Ok(names.iter().map(|name| sorted(name, Vec::new())).collect())
    }

    /// What `getblock` says of a body beside the header: `tx` at the least. With `verbosity` 1 the transactions are ids;
    /// with more they are whatever the ledger has to say.
    ///
    /// # Errors
    /// Code -8 for a verbosity that the ledger does not have, or the disk fails.
    fn describe_body(
        chain: &Chain<Self>,
        id: &BlockId,
        body: &[u8],
        verbosity: i64,
    ) -> RpcResult<Map<String, Value>> {
        let _ = id;
        if verbosity > 1 {
            return Err(errors::invalid_parameter("verbosity is 0 or 1"));
        }
        let included = chain.ledger().transactions(body).map_err(|error| errors::misc(error.to_string()))?;
        let ids: Vec<Value> = included.iter().map(|tx| Self::write_id(&tx.id).into()).collect();
        Ok([("tx".to_owned(), ids.into()), ("size".to_owned(), (HEADER_BYTES + body.len()).into())]
            .into_iter()
            .collect())
    }

    /// The lowest fee rate of a transaction that is passed on, in whole coins for 1,000 virtual bytes.
    fn relay_fee(chain: &Chain<Self>) -> f64 {
        let _ = chain;
        0.0
    }

    /// Methods of the ledger's own for the table, or better ones than those of the same name that any chain has.
    fn table() -> Vec<Method<Self>> {
        Vec::new()
    }

    /// An id as people write it.
    fn write_id(id: &EntryId) -> String {
        hex::encode(id)
    }

    /// Reads what [`NodeLedger::write_id`] writes.
    fn read_id(text: &str) -> Option<EntryId> {
        let mut id = EntryId::default();
        hex::decode_to_slice(text, &mut id).ok().map(|()| id)
    }

    /// Why a transaction was refused, in a word that programs know; `None` if there is no such word.
    fn reject_reason(fault: &LedgerFault) -> Option<String> {
        let _ = fault;
        None
    }

    /// The id of a transaction with its proofs, as people write it, where it has such an id.
    fn write_witness_id(bytes: &[u8], id: &EntryId) -> String {
        let _ = bytes;
        Self::write_id(id)
    }

    /// Whether a transaction says of itself that it may be replaced. In the pool every one may.
    fn signals_replacement(bytes: &[u8]) -> bool {
        let _ = bytes;
        true
    }

    /// The coins that a transaction creates, if the ledger keeps coins under their keys.
    fn coins_of(&self, bytes: &[u8]) -> Vec<CoinKey> {
        let _ = bytes;
        Vec::new()
    }

    /// The coins that a transaction spends, under the same keys.
    fn coins_spent_by(&self, bytes: &[u8]) -> Vec<CoinKey> {
        let _ = bytes;
        Vec::new()
    }

    /// What a transaction pays into outputs that nobody can spend.
    fn burned(bytes: &[u8]) -> Amount {
        let _ = bytes;
        Amount::ZERO
    }

    /// RPC methods of the ledger's own: see [`LedgerRpc`](crate::LedgerRpc).
    fn methods(queries: &Queries<Self>) -> Methods {
        let _ = queries;
        Methods::new()
    }
}
