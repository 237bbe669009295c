//! Blocks told by what peers lack, and put together from what waits in the pool (decision 0022).
//!
//! ```text
//! a compact block comes  ->  its header is proven and linked, as any header
//!                        ->  the pool has all transactions: the block is there
//!                        ->  some are missing: the sender, who has the block, is asked for those pieces
//!                        ->  the pieces do not make the block: the sender is asked for all of it
//! ```
//!
//! What does not fit together is nobody's fault: short ids meet by chance, and pools differ. Whoever then sends a whole
//! block that does not fit its header is at fault. A compact block is passed on once its block has its place in the
//! chain, like any other block, and before it is executed. Not here: the message (`mass_network::wire`), and which parts
//! of a body are transactions (the ledger).

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use mass_consensus::{
    block::{Block, Decoded},
    header::SealedHeader,
};
use mass_mempool::{EntryId, Pool};
use mass_network::{
    Command, Fault, GossipToken, PeerId, Topic, Verdict, message_id,
    wire::{BLOCK_BYTES_MAX, CompactBlock, POSITIONS_MAX, Piece, Request, Response, ShortId, ShortIds},
};
use mass_primitives::{BlockId, Decode as _, Encode as _, Reader};

use crate::{
    chain::{Chain, Notice},
    error::ChainError,
    ledger::NodeLedger,
    node::{Moment, Node, block_id},
};

/// Nonces that are tried for one under which no two transactions of the block have one short id.
const NONCES: u64 = 8;

/// Blocks that wait for pieces at the most, and how many of one block: who holds back pieces holds up little.
const WAITING_MAX: usize = 16;
const WAITING_OF_BLOCK_MAX: usize = 3;

/// The header of a block that is gossiped, whole or told by what its receivers lack.
#[must_use]
pub fn gossiped_header(topic: Topic, bytes: &[u8]) -> Option<SealedHeader> {
    let read = |bytes: &[u8]| SealedHeader::decode(&mut Reader::new(bytes)).ok();
    match topic {
        Topic::Blocks => read(bytes),
        Topic::Compact => read(CompactBlock::from_bytes(bytes).ok()?.first()),
        Topic::Transactions | Topic::Evidence => None,
    }
}

/// A part of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    range: Range<usize>,
    /// Whether it is a transaction that others may know.
    is_shared: bool,
}

/// The parts of a block, one after the other.
fn parts<L: NodeLedger>(ledger: &L, block: &[u8]) -> Option<Vec<Part>> {
    let decoded = Block::<Decoded>::from_bytes(block).ok()?;
    let start = block.len().checked_sub(decoded.body().len())?;
    let (mut parts, mut at) = (Vec::new(), 0);
    for shared in ledger.shared_parts(decoded.body()) {
        let range = start + shared.start..start + shared.end;
        if range.start > at {
            parts.push(Part { range: at..range.start, is_shared: false });
        }
        at = range.end;
        parts.push(Part { range, is_shared: true });
    }
    if at < block.len() {
        parts.push(Part { range: at..block.len(), is_shared: false });
    }
    Some(parts)
}

/// A block told by what its receivers lack; `None` if they lack all of it.
fn compact<L: NodeLedger>(ledger: &L, block: &[u8]) -> Option<CompactBlock> {
    let (id, parts) = (block_id(block)?, parts(ledger, block)?);
    let hashed: Vec<(&[u8], Option<[u8; 32]>)> = parts
        .iter()
        .map(|part| {
            let bytes = block.get(part.range.clone()).unwrap_or_default();
            (bytes, part.is_shared.then(|| message_id(bytes)))
        })
        .collect();
    let shared = hashed.iter().filter(|(_, hash)| hash.is_some()).count();
    if shared == 0 {
        return None;
    }
    (0..NONCES).find_map(|nonce| {
        let ids = ShortIds::new(&id, nonce);
        let mut short: Vec<ShortId> =
            hashed.iter().filter_map(|(_, hash)| hash.as_ref()).map(|hash| ids.of(hash)).collect();
        short.sort_unstable();
        short.dedup();
        let pieces = hashed.iter().map(|(bytes, hash)| match hash {
            Some(hash) => Piece::Short(ids.of(hash)),
            None => Piece::Inline(bytes),
        });
        if short.len() == shared { CompactBlock::new(nonce, pieces) } else { None }
    })
}

/// Pieces of a block, for a peer that lacks them; none if the block is not here.
pub(crate) fn pieces<L: NodeLedger>(
    chain: &Chain<L>,
    id: &BlockId,
    positions: &[u16],
) -> Result<Response, ChainError> {
    let Some(block) = chain.told_bytes(id)? else { return Ok(Response::Pieces(Vec::new())) };
    let parts = parts(chain.ledger(), &block).unwrap_or_default();
    let piece = |position: &u16| Some(block.get(parts.get(usize::from(*position))?.range.clone())?.to_vec());
    let found: Option<Vec<Vec<u8>>> = positions.iter().map(piece).collect();
    Ok(Response::Pieces(found.unwrap_or_default()))
}

/// A block of which some pieces may be missing.
#[derive(Debug, PartialEq, Eq)]
struct Assembly {
    id: BlockId,
    pieces: Vec<Option<Vec<u8>>>,
}

impl Assembly {
    /// What the pool has of a block; `None` if the block would be longer than any is. `known` are the transactions of the
    /// pool with their hashes. Two of them under one short id are as good as none.
    fn new<'a>(
        id: BlockId,
        told: &CompactBlock,
        known: impl Iterator<Item = (&'a [u8; 32], &'a [u8])>,
    ) -> Option<Self> {
        let ids = ShortIds::new(&id, told.nonce());
        let mut found: HashMap<ShortId, Vec<&[u8]>> = HashMap::new();
        for piece in told.pieces() {
            if let Piece::Short(short) = piece {
                found.entry(short).or_default();
            }
        }
        for (hash, bytes) in known {
            if let Some(found) = found.get_mut(&ids.of(hash)) {
                found.push(bytes);
            }
        }
        let mut length = 0usize;
        let pieces = told.pieces().map(|piece| {
            let bytes = match piece {
                Piece::Inline(bytes) => Some(bytes),
                Piece::Short(short) => match found.get(&short).map(Vec::as_slice) {
                    Some([bytes]) => Some(*bytes),
                    _ => None,
                },
            };
            length = length.saturating_add(bytes.map_or(0, <[u8]>::len));
            (length <= BLOCK_BYTES_MAX).then(|| bytes.map(<[u8]>::to_vec))
        });
        Some(Self { id, pieces: pieces.collect::<Option<_>>()? })
    }

    /// Positions of the pieces that are missing; `None` if there are too many to ask for.
    fn missing(&self) -> Option<Vec<u16>> {
        let missing = self.pieces.iter().enumerate().filter(|(_, piece)| piece.is_none());
        let missing: Option<Vec<u16>> = missing.map(|(at, _)| u16::try_from(at).ok()).collect();
        missing.filter(|missing| missing.len() <= POSITIONS_MAX)
    }

    /// Fills in what was missing; the block, unless too few or too many pieces came.
    fn fill(mut self, came: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let mut came = came.into_iter();
        self.pieces.iter_mut().filter(|piece| piece.is_none()).for_each(|piece| *piece = came.next());
        let all: Option<Vec<Vec<u8>>> = self.pieces.into_iter().collect();
        let length = all.as_ref().map_or(0, |all| all.iter().map(Vec::len).sum());
        all.filter(|_| came.next().is_none() && length <= BLOCK_BYTES_MAX).map(|all| all.concat())
    }
}

/// A block that waits for pieces.
#[derive(Debug)]
struct Waiting {
    from: PeerId,
    token: GossipToken,
    assembly: Assembly,
}

/// Blocks that wait for pieces, by the numbers of the requests; and the hashes of what is in the pool.
#[derive(Debug, Default)]
pub(crate) struct Compacts {
    waiting: BTreeMap<u64, Waiting>,
    hashes: BTreeMap<EntryId, [u8; 32]>,
    tally: CompactTally,
}

/// What became of blocks that peers told by what we may lack, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactTally {
    /// Put together from the pool alone.
    pub pool: u64,
    /// Put together once missing pieces had come.
    pub pieces: u64,
    /// Asked for whole.
    pub whole: u64,
}

impl Compacts {
    /// Whether a peer is being asked for pieces.
    fn is_asking(&self, peer: &PeerId) -> bool {
        self.waiting.values().any(|waiting| waiting.from == *peer)
    }

    /// Whether a block may wait for its pieces. Somebody who holds his back does not keep another from telling the same
    /// block.
    fn has_room(&self, id: &BlockId) -> bool {
        let same = self.waiting.values().filter(|waiting| waiting.assembly.id == *id);
        self.waiting.len() < WAITING_MAX && same.count() < WAITING_OF_BLOCK_MAX
    }

    /// Hashes what came into the pool since the last block.
    fn refresh(&mut self, pool: &Pool) {
        self.hashes.retain(|id, _| pool.contains(id));
        for entry in pool.residents().map(mass_mempool::Resident::entry) {
            self.hashes.entry(entry.id).or_insert_with(|| message_id(&entry.bytes));
        }
    }

    fn assemble(&self, id: BlockId, told: &CompactBlock, pool: &Pool) -> Option<Assembly> {
        let known = self.hashes.iter().filter_map(|(id, hash)| Some((hash, pool.get(id)?.bytes.as_slice())));
        Assembly::new(id, told, known)
    }
}

impl<L: NodeLedger> Node<L> {
    /// Tells peers of a block.
    pub(crate) fn publish_block(&mut self, bytes: Vec<u8>) {
        let command = match compact(self.chain().ledger(), &bytes) {
            Some(told) => Command::Publish { topic: Topic::Compact, bytes: told.to_bytes() },
            None => Command::Publish { topic: Topic::Blocks, bytes },
        };
        self.send(command);
    }

    /// A peer tells of a block by what we may lack; no verdict yet if pieces are missing.
    pub(crate) fn gossiped_compact(
        &mut self,
        (from, token): (PeerId, GossipToken),
        bytes: &[u8],
        now: Moment,
    ) -> Result<Option<Verdict>, ChainError> {
        let told = CompactBlock::from_bytes(bytes).ok();
        let sealed = told.as_ref().and_then(|told| SealedHeader::decode(&mut Reader::new(told.first())).ok());
        let (Some(told), Some(sealed)) = (told, sealed) else {
            self.send(Command::Fault { peer: from, fault: Fault::Malformed });
            return Ok(Some(Verdict::Reject));
        };
        let id = sealed.id();
        if self.chain().engine().has_judged(&id) {
            return Ok(Some(Verdict::Ignore));
        }
        if let Some(verdict) = self.told_header(from, &sealed, now)? {
            return Ok(Some(verdict));
        }
        // One question to a peer at a time: who tells nonsense again and again takes little of our time.
        if self.compacts.is_asking(&from) || self.sync.is_asking(&from, &id) {
            return Ok(Some(Verdict::Ignore));
        }
        self.compacts.refresh(self.chain.pool());
        let assembly = self.compacts.assemble(id, &told, self.chain.pool());
        let missing = assembly.as_ref().and_then(Assembly::missing);
        let (Some(assembly), Some(missing)) = (assembly, missing) else {
            self.ask_whole(from, id, now);
            return Ok(Some(Verdict::Ignore));
        };
        if missing.is_empty() {
            return self.assembled(from, assembly, Vec::new(), now).map(Some);
        }
        if !self.compacts.has_room(&id) {
            return Ok(Some(Verdict::Ignore));
        }
        tracing::debug!(%id, missing = missing.len(), "pieces of a block are missing");
        let number = self.ask_for(from, id, Request::Pieces { id, positions: missing }, now);
        self.compacts.waiting.insert(number, Waiting { from, token, assembly });
        Ok(None)
    }

    /// Takes the header of a block that was told; a verdict if that settles it.
    fn told_header(
        &mut self,
        from: PeerId,
        sealed: &SealedHeader,
        now: Moment,
    ) -> Result<Option<Verdict>, ChainError> {
        let id = sealed.id();
        let taken = self.chain_mut().take_told_header(sealed, now.unix);
        let Some(mut notices) = self.judge(from, taken)? else { return Ok(Some(Verdict::Reject)) };
        for notice in &mut notices {
            // Its content is on its way.
            if let Notice::Fetch(ids) = notice {
                ids.retain(|wanted| *wanted != id);
            }
        }
        self.place(from, &[sealed.to_bytes()], &notices);
        self.ask_between(from, id, &notices);
        self.notice(notices, now);
        let tree = self.chain().engine().tree();
        let has_place = tree.get(&id).is_some() && !tree.is_condemned(&id);
        Ok((!has_place).then_some(Verdict::Ignore))
    }

    /// Asks a peer for a block, whole or in part, and nobody else meanwhile.
    fn ask_for(&mut self, peer: PeerId, id: BlockId, request: Request, now: Moment) -> u64 {
        let number = self.sync.asks(peer, id, now.instant);
        self.send(Command::Request { peer, request, id: number });
        number
    }

    /// What became of blocks that peers told by what we may lack.
    #[must_use]
    pub const fn compact_tally(&self) -> CompactTally {
        self.compacts.tally
    }

    fn ask_whole(&mut self, peer: PeerId, id: BlockId, now: Moment) {
        self.compacts.tally.whole += 1;
        self.ask_for(peer, id, Request::Blocks { ids: vec![id] }, now);
    }

    /// Takes a block of which all pieces are there. If they do not make the block, its sender is asked for the whole.
    fn assembled(
        &mut self,
        from: PeerId,
        assembly: Assembly,
        came: Vec<Vec<u8>>,
        now: Moment,
    ) -> Result<Verdict, ChainError> {
        let (id, is_known) = (assembly.id, came.is_empty());
        let taken = assembly.fill(came).map(|block| self.chain_mut().take_block(&block, now.unix));
        match taken {
            Some(Ok(notices)) => {
                let tally = &mut self.compacts.tally;
                *(if is_known { &mut tally.pool } else { &mut tally.pieces }) += 1;
                self.notice(notices, now);
                Ok(self.verdict_of_block(&id))
            }
            Some(Err(error)) if error.is_fatal() => Err(error),
            _ => {
                tracing::debug!(%id, "the pieces do not make the block");
                self.ask_whole(from, id, now);
                Ok(Verdict::Ignore)
            }
        }
    }

    /// The pieces came that a block waited for.
    pub(crate) fn pieces_came(
        &mut self,
        number: u64,
        pieces: Vec<Vec<u8>>,
        now: Moment,
    ) -> Result<(), ChainError> {
        self.sync.answered(number, pieces.len(), now.instant);
        self.chain_mut().end_turn();
        let Some(Waiting { from, token, assembly }) = self.compacts.waiting.remove(&number) else {
            return Ok(());
        };
        let verdict = match pieces.is_empty() || self.chain().engine().has_judged(&assembly.id) {
            true => Verdict::Ignore,
            false => self.assembled(from, assembly, pieces, now)?,
        };
        self.send(Command::Report { token, verdict });
        Ok(())
    }

    /// There will be no pieces: the block is fetched as any other.
    pub(crate) fn pieces_failed(&mut self, number: u64) {
        if let Some(Waiting { token, .. }) = self.compacts.waiting.remove(&number) {
            self.send(Command::Report { token, verdict: Verdict::Ignore });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BlockId = BlockId::new([9; 32]);

    fn told(transactions: &[&[u8]]) -> CompactBlock {
        let ids = ShortIds::new(&ID, 0);
        let short = transactions.iter().map(|bytes| Piece::Short(ids.of(&message_id(bytes))));
        CompactBlock::new(0, std::iter::once(Piece::Inline(b"head ")).chain(short)).unwrap()
    }

    fn assemble(told: &CompactBlock, known: &[&[u8]]) -> Option<Assembly> {
        let hashes: Vec<[u8; 32]> = known.iter().map(|bytes| message_id(bytes)).collect();
        Assembly::new(ID, told, hashes.iter().zip(known.iter().copied()))
    }

    #[test]
    fn a_block_is_put_together_from_what_is_known_and_what_comes() {
        let told = told(&[b"one ", b"two ", b"three"]);
        let whole = b"head one two three".to_vec();
        let all = assemble(&told, &[b"three", b"other", b"one ", b"two "]).unwrap();
        assert_eq!(all.missing(), Some(vec![]));
        assert_eq!(all.fill(vec![]), Some(whole.clone()));
        let some = || assemble(&told, &[b"two "]).unwrap();
        assert_eq!(some().missing(), Some(vec![1, 3]));
        assert_eq!(some().fill(vec![b"one ".to_vec(), b"three".to_vec()]), Some(whole));
        for wrong in [vec![], vec![b"one ".to_vec()], vec![vec![]; 3]] {
            assert_eq!(some().fill(wrong), None);
        }
    }

    #[test]
    fn two_transactions_under_one_short_id_are_as_good_as_none() {
        let told = told(&[b"one "]);
        let hash = message_id(b"one ");
        let known: [(&[u8; 32], &[u8]); 2] = [(&hash, b"one "), (&hash, b"eno ")];
        assert_eq!(Assembly::new(ID, &told, known.into_iter()).unwrap().missing(), Some(vec![1]));
    }

    #[test]
    fn a_message_of_few_bytes_makes_no_block_of_many() {
        let large = vec![7; 400_000];
        assert_eq!(assemble(&told(&vec![large.as_slice(); 60_000]), &[&large]), None);
        let lacking = assemble(&told(&vec![large.as_slice(); POSITIONS_MAX + 1]), &[]).unwrap();
        assert_eq!(lacking.missing(), None, "the whole block is asked for");
        let filled = assemble(&told(&[b"one "]), &[]).unwrap().fill(vec![vec![0; BLOCK_BYTES_MAX]]);
        assert_eq!(filled, None);
    }
}
