//! One node that is asked and not believed: what it says is decoded, bounded, and checked against what is known.

use bitcoin::{
    Block, FilterHeader, Transaction, Txid, bip158::BlockFilter, consensus::encode::deserialize,
    hashes::Hash as _,
};
use mass_consensus::header::{HEADER_BYTES, Header, SealedHeader};
use mass_ledger_utxo::body::Body;
use mass_primitives::{BlockId, Decode as _, Height};
use mass_rpc::{BitcoinClient as _, ClientError, HttpClient, LightClient as _, errors};
use std::collections::BTreeMap;

use super::Lie;

/// A node.
#[derive(Clone)]
pub struct Source {
    /// Its name, as its URL.
    pub(super) name: String,
    pub(super) client: HttpClient,
    /// The last header of its chain that it showed.
    pub(super) tip: BlockId,
    /// Whether it has lied or failed.
    pub(super) is_out: bool,
}

/// Filters as a node gives them.
pub(super) struct FilterBatch {
    pub(super) previous: FilterHeader,
    pub(super) filters: Vec<(BlockId, BlockFilter)>,
}

impl Source {
    /// A node, by a name for people.
    #[must_use]
    pub fn new(name: String, client: HttpClient) -> Self {
        Self { name, client, tip: BlockId::ZERO, is_out: false }
    }

    /// Headers from a height on, and the height of the tip that the node tells.
    pub(super) async fn headers(&self, from: Height, count: u32) -> Result<(Height, Vec<SealedHeader>), Lie> {
        let answer = self.client.headers(from, count).await.map_err(silent)?;
        let taken = answer.headers.iter().take(count as usize);
        let decode = |(at, text): (u32, &String)| {
            let height = Height::new(from.get().saturating_add(at));
            let form = || Lie::HeaderForm(height);
            let bytes = Some(text).filter(|text| text.len() <= 2 * SealedHeader::BYTES_MAX);
            let bytes = bytes.and_then(|text| hex::decode(text).ok()).ok_or_else(form)?;
            SealedHeader::from_bytes(&bytes).map_err(|_| form())
        };
        let headers = (0..).zip(taken).map(decode).collect::<Result<_, _>>()?;
        Ok((answer.tip, headers))
    }

    /// Filters from a height on, one at least.
    pub(super) async fn filters(&self, from: Height, count: u32) -> Result<FilterBatch, Lie> {
        let answer = match self.client.filters(from, count).await {
            Err(ClientError::Call(_)) => return Err(Lie::WithheldFilter(from)),
            other => other.map_err(silent)?,
        };
        if answer.filters.is_empty() {
            return Err(Lie::WithheldFilter(from));
        }
        let mut previous = [0; 32];
        hex::decode_to_slice(&answer.previous, &mut previous)
            .map_err(|_| Lie::FilterForm(from, "the header before it is none"))?;
        let decode = |(at, filter): (u32, &mass_rpc::Filter)| {
            let height = Height::new(from.get().saturating_add(at));
            let content = hex::decode(&filter.filter).map_err(|_| Lie::FilterForm(height, "it is no hex"))?;
            Ok((filter.hash, BlockFilter { content }))
        };
        let filters = (0..).zip(answer.filters.iter().take(count as usize)).map(decode);
        Ok(FilterBatch {
            previous: FilterHeader::from_byte_array(previous),
            filters: filters.collect::<Result<_, _>>()?,
        })
    }

    /// A block of which the header is known to be on the chain: every byte is what that commits to.
    pub(super) async fn block(&self, height: Height, id: BlockId, weight_max: u64) -> Result<Block, Lie> {
        let answer = match self.client.get_block(id, Some(0)).await {
            Err(ClientError::Call(_)) => return Err(Lie::WithheldBlock(height, id)),
            other => other.map_err(silent)?,
        };
        let forged = |reason: &dyn std::fmt::Display| Lie::BlockForged(height, id, reason.to_string());
        let text = answer.as_str().ok_or_else(|| forged(&"it is no text"))?;
        let bytes = hex::decode(text).map_err(|_| forged(&"it is no hex"))?;
        let (head, body) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| forged(&"it is too short"))?;
        let header = Header::from_bytes(head).map_err(|error| forged(&error))?;
        if header.id() != id {
            return Err(forged(&"it is another block"));
        }
        let block: Block = deserialize(&bytes).map_err(|error| forged(&error))?;
        if !block.check_merkle_root() {
            return Err(Lie::MerkleForged(height, id));
        }
        // A tree with a node twice, and a witness that was changed, are found here.
        let body = Body::decode(body, weight_max).map_err(|error| forged(&error))?;
        if body.commitment().root == header.root { Ok(block) } else { Err(Lie::MerkleForged(height, id)) }
    }

    /// The transactions that a block spends, by id; those of the block itself are not among them.
    pub(super) async fn spent(
        &self,
        height: Height,
        id: BlockId,
    ) -> Result<BTreeMap<Txid, Transaction>, Lie> {
        let answer = match self.client.spent_transactions(id).await {
            Err(ClientError::Call(_)) => return Err(Lie::WithheldBlock(height, id)),
            other => other.map_err(silent)?,
        };
        let decode = |text: &String| {
            let tx: Option<Transaction> = hex::decode(text).ok().and_then(|bytes| deserialize(&bytes).ok());
            tx.map(|tx| (tx.compute_txid(), tx)).ok_or(Lie::SpentForged(height, id))
        };
        answer.iter().map(decode).collect()
    }

    /// Whether the node says now that another block is on its chain at that height: then it went to another branch
    /// while it was asked.
    pub(super) async fn has_moved(&self, height: Height, id: BlockId) -> bool {
        match self.client.get_block_hash(height).await {
            Ok(now) => now != id,
            Err(ClientError::Call(error)) => error.code() == errors::INVALID_PARAMETER,
            Err(_) => false,
        }
    }
}

fn silent(error: ClientError) -> Lie {
    Lie::Silent(match error {
        ClientError::Call(refusal) => format!("{} (code {})", refusal.message(), refusal.code()),
        other => other.to_string(),
    })
}
