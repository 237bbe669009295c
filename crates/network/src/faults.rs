//! What peers did wrong, and who is kept out for it. Time is an argument, in unix seconds.
//!
//! A fault counts only if no honest node commits it, whatever blocks it was given: a bad body is its maker's fault and
//! not that of who passed it on under a good header. Points wear off, so that a rare accident of an honest peer never adds up.

use std::{collections::BTreeMap, net::IpAddr};

use libp2p::PeerId;
use mass_primitives::{
    Decode, DecodeError, Encode, Reader,
    encoding::{encode_byte_string, encode_list},
};

use crate::discovery::is_global;

/// Points at which a peer is banned.
const LIMIT: u32 = 100;
/// Seconds in which a point wears off.
const POINT_SECONDS: u64 = 36;
/// How long a ban for faults lasts.
const BAN_SECONDS: u64 = 24 * 3600;
/// Bans at one time; the one that ends first makes room.
const BANS_MAX: usize = 4096;
/// Peers whose points are kept.
const SCORES_MAX: usize = 4096;
const WHO_BYTES_MAX: usize = 64;
const REASON_BYTES_MAX: usize = 256;

/// What a peer did that no honest node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are no message of the protocol.
    Malformed,
    /// A header whose seal is not valid, or that breaks a rule in its place.
    BadHeader,
    /// A body that does not fit the header that it came with. Bodies that fit and break a rule of the ledger are no
    /// fault: who passed on the header had not executed them.
    Misfit,
    /// Evidence of a double seal that shows none.
    FalseEvidence,
    /// What was not asked for, or an answer to something else.
    Unasked,
    /// More requests than any node has reason for.
    Flood,
}

impl Fault {
    const fn points(self) -> u32 {
        match self {
            Self::Malformed | Self::BadHeader | Self::Misfit | Self::FalseEvidence => LIMIT,
            Self::Unasked => 50,
            Self::Flood => 20,
        }
    }

    /// As people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed message",
            Self::BadHeader => "invalid header",
            Self::Misfit => "body of another header",
            Self::FalseEvidence => "false evidence",
            Self::Unasked => "answer to nothing",
            Self::Flood => "flood of requests",
        }
    }
}

/// Who is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Banned {
    /// A node by its key.
    Peer(PeerId),
    /// Whoever comes from an address.
    Address(IpAddr),
}

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is kept out.
    pub who: Banned,
    /// Why.
    pub reason: String,
    /// When it was set, in unix seconds.
    pub since: u64,
    /// When it ends, in unix seconds.
    pub until: u64,
}

/// Points and bans.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    scores: BTreeMap<PeerId, (u32, u64)>,
    bans: BTreeMap<Banned, Ban>,
}

impl Faults {
    /// Counts a fault. Whether the peer is banned now; `ip` is where it came from.
    pub fn count(&mut self, peer: PeerId, ip: Option<IpAddr>, fault: Fault, now: u64) -> bool {
        self.scores.retain(|_, (points, at)| u64::from(*points) * POINT_SECONDS > now.saturating_sub(*at));
        let (points, at) = self.scores.get(&peer).copied().unwrap_or((0, now));
        let worn = now.saturating_sub(at) / POINT_SECONDS;
        let left = u64::from(points).saturating_sub(worn) as u32;
        let points = left + fault.points();
        if points < LIMIT {
            if self.scores.len() < SCORES_MAX || self.scores.contains_key(&peer) {
                self.scores.insert(peer, (points, now));
            }
            return false;
        }
        self.scores.remove(&peer);
        let (since, until) = (now, now.saturating_add(BAN_SECONDS));
        // On a network of one's own all nodes may share an address.
        let whole = ip.filter(|ip| is_global(*ip)).map(Banned::Address);
        for who in [Some(Banned::Peer(peer)), whole].into_iter().flatten() {
            self.ban(Ban { who, reason: fault.name().to_owned(), since, until });
        }
        true
    }

    pub fn ban(&mut self, ban: Ban) {
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&ban.who) {
            let first = self.bans.values().min_by_key(|ban| ban.until).map(|ban| ban.who);
            first.map(|who| self.bans.remove(&who));
        }
        self.bans.insert(ban.who, ban);
    }

    /// Whether there was such a ban.
    pub fn unban(&mut self, who: &Banned) -> bool {
        self.bans.remove(who).is_some()
    }

    /// Whether a peer or its address is kept out.
    pub fn is_banned(&self, peer: Option<&PeerId>, ip: Option<IpAddr>, now: u64) -> bool {
        let holds = |who: Banned| self.bans.get(&who).is_some_and(|ban| now < ban.until);
        peer.is_some_and(|peer| holds(Banned::Peer(*peer)))
            || ip.is_some_and(|ip| holds(Banned::Address(ip.to_canonical())))
    }

    /// The bans that hold.
    pub fn bans(&self, now: u64) -> Vec<Ban> {
        self.bans.values().filter(|ban| now < ban.until).cloned().collect()
    }
}

impl Encode for Ban {
    fn encode(&self, out: &mut Vec<u8>) {
        let (tag, who) = match self.who {
            Banned::Peer(peer) => (0u8, peer.to_bytes()),
            Banned::Address(IpAddr::V4(ip)) => (4, ip.octets().to_vec()),
            Banned::Address(IpAddr::V6(ip)) => (6, ip.octets().to_vec()),
        };
        tag.encode(out);
        encode_byte_string(&who, out);
        let reason = self.reason.as_bytes();
        encode_byte_string(reason.get(..REASON_BYTES_MAX).unwrap_or(reason), out);
        self.since.encode(out);
        self.until.encode(out);
    }
}

impl Decode for Ban {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = u8::decode(reader)?;
        let who = reader.byte_string(WHO_BYTES_MAX)?;
        let wrong = DecodeError::Invalid("neither a peer nor an address");
        let who = match tag {
            0 => Banned::Peer(PeerId::from_bytes(who).map_err(|_| wrong)?),
            4 => Banned::Address(IpAddr::from(<[u8; 4]>::try_from(who).map_err(|_| wrong)?)),
            6 => Banned::Address(IpAddr::from(<[u8; 16]>::try_from(who).map_err(|_| wrong)?)),
            _ => return Err(wrong),
        };
        let reason = String::from_utf8_lossy(reader.byte_string(REASON_BYTES_MAX)?).into_owned();
        Ok(Self { who, reason, since: u64::decode(reader)?, until: u64::decode(reader)? })
    }
}

impl Encode for Faults {
    /// The bans: points are forgotten at an end.
    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(&self.bans.values().cloned().collect::<Vec<_>>(), out);
    }
}

impl Decode for Faults {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bans = reader.list::<Ban>(BANS_MAX)?;
        Ok(Self { scores: BTreeMap::new(), bans: bans.into_iter().map(|ban| (ban.who, ban)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_id;

    const NOW: u64 = 1_800_000_000;

    fn global() -> Option<IpAddr> {
        Some([9, 8, 7, 6].into())
    }

    #[test]
    fn grave_faults_ban_at_once_with_the_address_and_the_ban_ends() {
        let (mut faults, peer) = (Faults::default(), peer_id([1; 32]));
        assert!(faults.count(peer, global(), Fault::BadHeader, NOW));
        assert!(faults.is_banned(Some(&peer), None, NOW) && faults.is_banned(None, global(), NOW));
        assert!(!faults.is_banned(Some(&peer_id([2; 32])), Some([9, 8, 7, 5].into()), NOW));
        assert_eq!(faults.bans(NOW)[0].reason, "invalid header");
        assert!(!faults.is_banned(Some(&peer), global(), NOW + BAN_SECONDS));
        assert!(faults.bans(NOW + BAN_SECONDS).is_empty());
    }

    #[test]
    fn who_shares_the_machine_is_not_banned_with_it() {
        let (mut faults, peer) = (Faults::default(), peer_id([1; 32]));
        let loopback = Some([127, 0, 0, 1].into());
        assert!(faults.count(peer, loopback, Fault::Malformed, NOW));
        assert!(faults.is_banned(Some(&peer), None, NOW) && !faults.is_banned(None, loopback, NOW));
    }

    #[test]
    fn small_faults_add_up_and_wear_off() {
        let (mut faults, peer) = (Faults::default(), peer_id([1; 32]));
        assert!((0..4).all(|_| !faults.count(peer, None, Fault::Flood, NOW)));
        assert!(faults.count(peer, None, Fault::Flood, NOW));
        let hour = 100 * POINT_SECONDS;
        let other = peer_id([2; 32]);
        assert!((0..100).all(|turn| !faults.count(other, None, Fault::Flood, NOW + turn * hour / 5)));
    }

    #[test]
    fn bans_outlive_a_restart_and_have_a_bound() {
        let mut faults = Faults::default();
        for number in 0..BANS_MAX as u32 + 10 {
            let who = Banned::Address(IpAddr::from(number.to_be_bytes()));
            let until = NOW + u64::from(number) + 1;
            faults.ban(Ban { who, reason: "by hand".into(), since: NOW, until });
        }
        assert_eq!(faults.bans(NOW).len(), BANS_MAX);
        assert!(!faults.is_banned(None, Some([0, 0, 0, 0].into()), NOW), "the first to end made room");
        let read = Faults::from_bytes(&faults.to_bytes()).unwrap();
        assert_eq!(read.bans(NOW), faults.bans(NOW));
        let who = Banned::Address([0, 0, 16, 0].into());
        assert!(faults.unban(&who) && !faults.unban(&who));
    }
}
