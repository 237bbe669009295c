//! Who is let in, who has to leave, and how much each may ask.

use libp2p::{core::ConnectedPoint, swarm::ConnectionId};

use super::{
    ConnectionKind, Driver, PeerId, Topic, debug, now,
    peers::{Admission, Remote},
    search::ip_of,
};
use crate::{
    codec::Asked,
    discovery::{Now, Purpose, select},
    faults::{Ban, Banned, Fault},
};

impl Driver {
    pub(super) fn on_opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Now,
    ) {
        let (address, is_inbound) = (endpoint.get_remote_address().clone(), endpoint.is_listener());
        let ip = ip_of(&address);
        let kind = match self.discovery.purpose(connection) {
            _ if is_inbound => ConnectionKind::Inbound,
            Some(Purpose::Keep) => ConnectionKind::Chosen,
            Some(Purpose::Feel) => ConnectionKind::Feeler,
            None => ConnectionKind::Manual,
        };
        let is_first = self.peers.opened(peer, connection, Remote { address, kind }, now);
        if self.faults.is_banned(Some(&peer), ip, now.unix) {
            self.turn_away(peer);
        } else if !is_first && self.discovery.purpose(connection).is_some() && self.yields_to(&peer) {
            self.discovery.redundant(connection);
            self.swarm.close_connection(connection);
        } else if is_first && is_inbound {
            self.make_room(peer, now);
        }
    }

    /// Of two nodes that dial each other at the same moment one alone closes its connection.
    fn yields_to(&self, peer: &PeerId) -> bool {
        self.swarm.local_peer_id() < peer
    }

    /// If more came by themselves than may stay, one leaves: the newest, unless another one is easier to replace.
    fn make_room(&mut self, newest: PeerId, now: Now) {
        let incoming = self.peers.incoming(now.instant);
        if incoming.len() > incoming_max(self.max_connections) {
            let leaves = select(incoming).unwrap_or(newest);
            debug!(peer = %leaves, "makes room");
            self.turn_away(leaves);
        }
    }

    /// Sends a peer away before it is anybody.
    fn turn_away(&mut self, peer: PeerId) {
        self.peers.refuse(peer);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn on_fault(&mut self, peer: PeerId, fault: Fault) {
        let banned = self.faults.count(peer, self.peers.ip(&peer), fault, now().unix);
        debug!(%peer, fault = fault.name(), banned, "sent away");
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn on_ban(&mut self, ban: Ban) {
        let leaving = match ban.who {
            Banned::Peer(peer) => vec![peer],
            Banned::Address(ip) => self.peers.at(ip),
        };
        self.faults.ban(ban);
        for peer in leaving {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Whether a message that a peer tells is looked at.
    pub(super) fn may_gossip(&mut self, from: &PeerId, topic: Topic) -> bool {
        self.peers.may_gossip(from, topic, &mut self.totals, now().instant)
    }

    /// A question that could be read. Who sends another is at fault, and who does not end it loses the connection.
    pub(super) fn readable<Q>(&mut self, peer: PeerId, asked: Asked<Q>) -> Option<Q> {
        match asked {
            Asked::Question(question) => return Some(question),
            Asked::Malformed => self.on_fault(peer, Fault::Malformed),
            Asked::Late => {
                debug!(%peer, "does not end its question");
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
        None
    }

    /// Whether a peer's request is looked at. Who waits for too many answers is refused, who floods is at fault.
    pub(super) fn may_ask(&mut self, peer: PeerId) -> bool {
        match self.peers.asks(&peer, &mut self.totals, now().instant) {
            Admission::Granted if !self.answers.has_room(&peer) => {
                self.peers.answered(&peer);
                false
            }
            Admission::Granted => true,
            Admission::Busy => false,
            Admission::Flood => {
                self.on_fault(peer, Fault::Flood);
                false
            }
        }
    }
}

/// Connections that others may begin: a quarter is kept for those that we choose ourselves.
pub(super) fn incoming_max(max_connections: u32) -> usize {
    (max_connections - max_connections / 4) as usize
}
