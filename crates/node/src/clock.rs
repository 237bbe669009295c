//! The own clock beside those of the peers. A clock that is wrong by slots makes a node refuse blocks of now, or seal for
//! slots that have not come, so its operator is told. It is never set by what peers say: they may lie, all of them together.

use std::collections::BTreeMap;

use mass_network::PeerId;

/// Fewer peers than this say nothing about a clock.
const PEERS_MIN: usize = 3;

/// How far the peers' clocks are ahead of the own one, in seconds.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    ahead: BTreeMap<PeerId, i64>,
    is_off: bool,
}

impl Clocks {
    /// A peer's clock shows `theirs` while the own one shows `ours`. How far the own one is off, if that is more than
    /// `tolerance` and was not told before.
    pub(crate) fn note(&mut self, peer: PeerId, theirs: u64, ours: u64, tolerance: u64) -> Option<i64> {
        let clamp = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        self.ahead.insert(peer, clamp(theirs).saturating_sub(clamp(ours)));
        let off = self.off().filter(|off| off.unsigned_abs() > tolerance);
        let was_off = std::mem::replace(&mut self.is_off, off.is_some());
        off.filter(|_| !was_off)
    }

    /// A peer left.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.ahead.remove(peer);
    }

    /// How far a peer's clock is ahead.
    pub(crate) fn of(&self, peer: &PeerId) -> i64 {
        self.ahead.get(peer).copied().unwrap_or(0)
    }

    /// The median of the peers, if there are enough of them.
    pub(crate) fn off(&self) -> Option<i64> {
        let mut all: Vec<i64> = self.ahead.values().copied().collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied();
        median.filter(|_| all.len() >= PEERS_MIN)
    }

    /// Whether the operator has been told that the clock is off, and it still is.
    pub(crate) const fn is_off(&self) -> bool {
        self.is_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_clock_that_is_off_against_most_peers_is_told_once_and_one_liar_changes_nothing() {
        let peer = |number: u8| mass_network::peer_id([number; 32]);
        let mut clocks = Clocks::default();
        assert_eq!(clocks.note(peer(1), u64::MAX, NOW, 3), None);
        assert_eq!(clocks.note(peer(2), NOW + 1, NOW, 3), None);
        assert_eq!((clocks.off(), clocks.note(peer(3), NOW, NOW, 3)), (None, None));
        assert_eq!(clocks.off(), Some(1), "the median of three");
        assert_eq!(clocks.note(peer(2), NOW + 60, NOW, 3), Some(60));
        assert!(clocks.is_off());
        assert_eq!(clocks.note(peer(3), NOW + 61, NOW, 3), None, "told once");
        assert_eq!(clocks.note(peer(2), NOW, NOW, 3), None, "still off");
        assert!(clocks.is_off());
        clocks.forget(&peer(1));
        assert_eq!(clocks.note(peer(3), NOW, NOW, 3), None);
        assert!(!clocks.is_off() && clocks.off().is_none());
        assert_eq!((clocks.of(&peer(2)), clocks.of(&peer(9))), (0, 0));
    }
}
