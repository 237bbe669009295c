//! A ledger of notes: whoever writes a key first has written it for good. Farmers earn a count of their blocks.
//!
//! `apply` is the whole of the rules: a pure function from state and body to changes. The second half is what a
//! node needs beside them: to take notes from people, to make bodies, and to answer questions.

use mass_node::{
    Candidate, ChainError, Included, LedgerRpc, NextBlock, NodeLedger, Queries,
    consensus::{
        ledger::{ApplyError, BlockContext, BodyCommitment, Carried, Ledger, Overlay, StateDelta, StateRead},
        spec::ChainSpec,
    },
    mempool::{Entry, EntryId, Pool, Waiting},
    primitives::{
        Amount, BodyRoot, ChainId, Decode, DecodeError, Encode, Reader, StateHash,
        encoding::{encode_byte_string, encode_list},
        tag::double_sha256,
    },
    rpc::Methods,
    text_param,
};
use serde_json::Value;

/// Bytes of a key, of a value, and of the name that a farmer's blocks are counted under, at the most.
const KEY_MAX: usize = 64;
const VALUE_MAX: usize = 1024;
const PAYOUT_MAX: usize = 64;

/// Notes of a block at the most.
const NOTES_MAX: usize = 1000;

/// A rule that a body or a note breaks.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The bytes are none.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A note without a key.
    #[error("a note needs a key")]
    NoKey,
    /// A key that was written before.
    #[error("{0:?} is written already")]
    Taken(String),
}

/// A note, which is also a transaction: it needs no signature, since nobody can change what stands.
struct Note {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Encode for Note {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(&self.key, out);
        encode_byte_string(&self.value, out);
    }
}

impl Decode for Note {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: reader.byte_string(KEY_MAX)?.to_vec(),
            value: reader.byte_string(VALUE_MAX)?.to_vec(),
        })
    }
}

/// What a block holds. `evidence` and `state` have the hash that the body carries for the engine, or nothing.
struct Body {
    payout: Vec<u8>,
    evidence: Vec<BodyRoot>,
    state: Vec<StateHash>,
    notes: Vec<Note>,
}

impl Encode for Body {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(&self.payout, out);
        encode_list(&self.evidence, out);
        encode_list(&self.state, out);
        encode_list(&self.notes, out);
    }
}

impl Decode for Body {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let payout = reader.byte_string(PAYOUT_MAX)?.to_vec();
        Ok(Self { payout, evidence: reader.list(1)?, state: reader.list(1)?, notes: reader.list(NOTES_MAX)? })
    }
}

fn note_key(key: &[u8]) -> Vec<u8> {
    [b"note/", key].concat()
}

fn blocks_key(payout: &[u8]) -> Vec<u8> {
    [b"blocks/", payout].concat()
}

fn count(stored: Option<Vec<u8>>) -> u64 {
    stored.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Writes a note, if its key is free.
fn write(state: &mut Overlay<'_>, note: &Note) -> Result<(), ApplyError<NotesError>> {
    let key = note_key(&note.key);
    if note.key.is_empty() {
        return Err(ApplyError::Invalid(NotesError::NoKey));
    }
    if state.get(&key)?.is_some() {
        let taken = String::from_utf8_lossy(&note.key).into_owned();
        return Err(ApplyError::Invalid(NotesError::Taken(taken)));
    }
    state.put(key, note.value.clone());
    Ok(())
}

/// The ledger.
pub struct Notes {
    chain: ChainId,
}

impl Ledger for Notes {
    type Error = NotesError;

    fn genesis(&self) -> (Vec<u8>, StateDelta) {
        // The chain id makes the genesis block of each chain its own.
        let payout = self.chain.as_bytes().to_vec();
        (
            Body { payout, evidence: Vec::new(), state: Vec::new(), notes: Vec::new() }.to_bytes(),
            StateDelta::new(),
        )
    }

    fn commitment(&self, body: &[u8]) -> Result<BodyCommitment, NotesError> {
        let read = Body::from_bytes(body)?;
        let evidence = read.evidence.first().map(|hash| *hash.as_bytes());
        let carried = Carried { evidence, state: read.state.first().copied() };
        Ok(BodyCommitment { root: BodyRoot::new(double_sha256(body)), carried })
    }

    fn apply(
        &self,
        state: &dyn StateRead,
        _: &BlockContext,
        body: &[u8],
    ) -> Result<StateDelta, ApplyError<NotesError>> {
        let body = Body::from_bytes(body).map_err(|error| ApplyError::Invalid(error.into()))?;
        let mut state = Overlay::new(state);
        body.notes.iter().try_for_each(|note| write(&mut state, note))?;
        let key = blocks_key(&body.payout);
        let blocks = count(state.get(&key)?).saturating_add(1);
        state.put(key, blocks.to_le_bytes().to_vec());
        Ok(state.into_delta())
    }
}

impl NodeLedger for Notes {
    const KIND: &'static str = "notes";

    fn open(spec: &ChainSpec) -> Result<Self, ChainError> {
        Ok(Self { chain: *spec.id() })
    }

    fn transaction_id(&self, bytes: &[u8]) -> Result<EntryId, ChainError> {
        Ok(double_sha256(bytes))
    }

    fn admit(
        &self,
        state: &dyn StateRead,
        _: &Waiting<'_>,
        _: NextBlock,
        bytes: &[u8],
    ) -> Result<Entry, ChainError> {
        let note = Note::from_bytes(bytes).map_err(|error| ChainError::Transaction(Box::new(error)))?;
        write(&mut Overlay::new(state), &note)?;
        Ok(Entry {
            id: double_sha256(bytes),
            bytes: bytes.to_vec(),
            // Two notes of one key conflict, and the pool keeps the first.
            spends: vec![note_key(&note.key)],
            creates: Vec::new(),
            fee: Amount::ZERO,
            weight: bytes.len() as u64,
        })
    }

    fn build(
        &self,
        state: &dyn StateRead,
        pool: &Pool,
        _: &BlockContext,
        payout: &str,
        carried: Carried,
    ) -> Result<Candidate, ChainError> {
        if payout.is_empty() || payout.len() > PAYOUT_MAX {
            return Err(ChainError::Address(format!("a payout is a name of 1 to {PAYOUT_MAX} bytes").into()));
        }
        let mut state = Overlay::new(state);
        let (mut notes, mut refused) = (Vec::new(), Vec::new());
        for entry in pool.template(1_000_000).into_iter().take(NOTES_MAX) {
            let note = Note::from_bytes(&entry.bytes)?;
            match write(&mut state, &note) {
                Ok(()) => notes.push(note),
                Err(ApplyError::Invalid(_)) => refused.push(entry.id),
                Err(error) => return Err(error.into()),
            }
        }
        let evidence = carried.evidence.map(BodyRoot::new).into_iter().collect();
        let state = carried.state.into_iter().collect();
        Ok(Candidate { body: Body { payout: payout.into(), evidence, state, notes }.to_bytes(), refused })
    }

    fn transactions(&self, body: &[u8]) -> Result<Vec<Included>, NotesError> {
        let included = |note: &Note| {
            let bytes = note.to_bytes();
            Included {
                id: double_sha256(&bytes),
                spends: vec![note_key(&note.key)],
                creates: Vec::new(),
                bytes: Some(bytes),
            }
        };
        Ok(Body::from_bytes(body)?.notes.iter().map(included).collect())
    }

    fn methods(queries: &Queries<Self>) -> Methods {
        let rpc = LedgerRpc::new(queries).method("note_set", |node, params| {
            let (key, value) = (text_param(params, 0)?.into(), text_param(params, 1)?.into());
            node.offer(Note { key, value }.to_bytes()).map(Value::from)
        });
        let rpc = rpc.method("note_get", |node, params| {
            let value = node.read(&note_key(text_param(params, 0)?.as_bytes()))?;
            Ok(value.map_or(Value::Null, |value| String::from_utf8_lossy(&value).into()))
        });
        let rpc = rpc.method("note_blocks", |node, params| {
            Ok(count(node.read(&blocks_key(text_param(params, 0)?.as_bytes()))?).into())
        });
        rpc.into_methods()
    }
}
