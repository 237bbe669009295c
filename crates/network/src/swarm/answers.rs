//! Answers on their way: who reads slowly holds their bytes in our memory, so they are bounded, for each peer and for all
//! together. An answer for which there is no room is not given: the peer sees a refusal, and asks later or elsewhere.

use std::{collections::HashMap, hash::Hash};

use super::PeerId;
use crate::wire::RESPONSE_BYTES_MAX;

/// Bytes on their way to one peer at the most: a sync asks for two answers at a time.
const PEER_BYTES_MAX: usize = 2 * RESPONSE_BYTES_MAX;
/// Bytes on their way to all peers at the most.
const BYTES_MAX: usize = 8 * RESPONSE_BYTES_MAX;
/// An answer so short always goes to a peer that waits for no other, so that those who hold all the room keep nobody from
/// headers, tips and pieces of new blocks.
const SHORT_BYTES: usize = 512 << 10;

/// The answers on their way, by the names of the requests.
#[derive(Debug)]
pub(super) struct Answers<K> {
    sent: HashMap<K, (PeerId, usize)>,
    peers: HashMap<PeerId, usize>,
    bytes: usize,
}

impl<K> Default for Answers<K> {
    fn default() -> Self {
        Self { sent: HashMap::new(), peers: HashMap::new(), bytes: 0 }
    }
}

impl<K: Eq + Hash> Answers<K> {
    fn of(&self, peer: &PeerId) -> usize {
        self.peers.get(peer).copied().unwrap_or(0)
    }

    /// Whether there is room for any more answers to a peer.
    pub fn has_room(&self, peer: &PeerId) -> bool {
        self.of(peer) < PEER_BYTES_MAX
    }

    /// An answer is to go to a peer; whether it may.
    pub fn begin(&mut self, request: K, peer: PeerId, bytes: usize) -> bool {
        let (own, is_short) = (self.of(&peer), bytes <= SHORT_BYTES);
        let fits = own.saturating_add(bytes) <= PEER_BYTES_MAX
            && (self.bytes.saturating_add(bytes) <= BYTES_MAX || own == 0 && is_short);
        if fits {
            self.bytes += bytes;
            *self.peers.entry(peer).or_default() += bytes;
            self.sent.insert(request, (peer, bytes));
        }
        fits
    }

    /// An answer was read, or will not be.
    pub fn end(&mut self, request: &K) {
        let Some((peer, bytes)) = self.sent.remove(request) else { return };
        self.bytes -= bytes;
        if let Some(own) = self.peers.get_mut(&peer) {
            *own -= bytes;
            if *own == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_id;

    #[test]
    fn bytes_are_bounded_for_each_peer_and_for_all_and_short_answers_still_go() {
        let mut answers = Answers::default();
        let peer = |number: u8| peer_id([number; 32]);
        for number in 0..8 {
            assert!(answers.begin(number, peer(number / 2), RESPONSE_BYTES_MAX), "{number}");
        }
        assert!(!answers.has_room(&peer(0)) && !answers.begin(8, peer(0), 1), "two are all for a peer");
        assert!(answers.has_room(&peer(9)) && !answers.begin(8, peer(9), SHORT_BYTES + 1));
        assert!(answers.begin(8, peer(9), SHORT_BYTES));
        assert!(!answers.begin(9, peer(9), SHORT_BYTES), "one without room");
        (0..=8).for_each(|number| answers.end(&number));
        answers.end(&3);
        assert_eq!((answers.bytes, answers.sent.len(), answers.peers.len()), (0, 0, 0));
    }
}
