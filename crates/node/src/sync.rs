//! Headers first, then contents: what a node asks its peers, and what it answers them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use mass_consensus::tree::HeaderTree;
use mass_network::{
    PeerId,
    wire::{BLOCKS_MAX, HEADERS_MAX, LOCATOR_MAX, RESPONSE_BYTES_MAX, Request, Response},
};
use mass_primitives::{BlockId, Height};

use crate::{chain::Chain, error::ChainError};

/// After this time a block that was asked for is asked for again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room in a response for counts and lengths.
const FRAME_BYTES: usize = 1024;

/// Whom a node knows, and what it waits for.
#[derive(Debug, Default)]
pub struct Sync {
    peers: BTreeSet<PeerId>,
    asked: BTreeMap<BlockId, Instant>,
    turn: usize,
    next_id: u64,
}

impl Sync {
    /// A peer came.
    pub fn joined(&mut self, peer: PeerId) {
        self.peers.insert(peer);
    }

    /// A peer left; what it was asked for may be asked of others.
    pub fn left(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.asked.clear();
    }

    /// Who is connected.
    pub fn peers(&self) -> &BTreeSet<PeerId> {
        &self.peers
    }

    /// A number for the next request.
    pub fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Requests for blocks that nobody was asked for of late, spread over the peers.
    pub fn fetch(&mut self, ids: &[BlockId], now: Instant) -> Vec<(PeerId, Request)> {
        self.asked.retain(|_, since| now.duration_since(*since) < PATIENCE);
        let due: Vec<BlockId> = ids.iter().filter(|id| !self.asked.contains_key(id)).copied().collect();
        let peers: Vec<PeerId> = self.peers.iter().copied().collect();
        if peers.is_empty() {
            return Vec::new();
        }
        let mut requests = Vec::new();
        for batch in due.chunks(BLOCKS_MAX).take(2 * peers.len()) {
            self.turn += 1;
            self.asked.extend(batch.iter().map(|id| (*id, now)));
            requests.push((peers[self.turn % peers.len()], Request::Blocks { ids: batch.to_vec() }));
        }
        requests
    }
}

/// Asks for the headers after what is known, from `tip` back: the last ten blocks, then ever greater steps.
pub fn headers_request(tree: &HeaderTree, tip: &BlockId) -> Request {
    let mut locator = Vec::new();
    let (mut next, mut step) = (0usize, 1usize);
    for (position, (id, _)) in tree.ancestry(tip).enumerate() {
        if position == next && locator.len() < LOCATOR_MAX - 1 {
            locator.push(id);
            step = if locator.len() < 10 { 1 } else { step * 2 };
            next += step;
        }
    }
    locator.push(*tree.genesis());
    Request::Headers { locator, max: HEADERS_MAX as u16 }
}

/// Answers a peer.
///
/// # Errors
/// Fatal ones only.
pub fn answer(chain: &Chain, request: &Request) -> Result<Response, ChainError> {
    match request {
        Request::Status => {
            let tip = *chain.engine().tip();
            let node = chain.engine().tree().get(&tip);
            let (height, weight) = node.map_or_else(Default::default, |node| (node.height, node.weight));
            Ok(Response::Status { tip, height, weight })
        }
        Request::Headers { locator, max } => headers(chain, locator, usize::from(*max)),
        Request::Blocks { ids } => blocks(chain, ids),
    }
}

fn headers(chain: &Chain, locator: &[BlockId], max: usize) -> Result<Response, ChainError> {
    let mut height = Height::ZERO;
    for id in locator {
        let Some(node) = chain.engine().tree().get(id) else { continue };
        if chain.store().active_id(node.height)? == Some(*id) {
            height = node.height;
            break;
        }
    }
    let mut found = Vec::new();
    while found.len() < max.min(HEADERS_MAX) {
        let Some(next) = height.next() else { break };
        let Some(id) = chain.store().active_id(next)? else { break };
        let Some(header) = chain.store().header(&id)? else { break };
        found.push(header.bytes);
        height = next;
    }
    Ok(Response::Headers(found))
}

fn blocks(chain: &Chain, ids: &[BlockId]) -> Result<Response, ChainError> {
    let (mut room, mut found) = (RESPONSE_BYTES_MAX - FRAME_BYTES, Vec::new());
    for id in ids {
        let bytes = chain.block_bytes(id)?.filter(|bytes| bytes.len() <= room);
        room -= bytes.as_ref().map_or(0, Vec::len);
        found.push(bytes);
    }
    Ok(Response::Blocks(found))
}
