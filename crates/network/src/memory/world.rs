//! What all nodes of a hub share: who is linked to whom, and what waits for an answer or a verdict.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use mass_primitives::ChainId;
use tokio::sync::mpsc;

use crate::{
    config::{Config, message_id, peer_id},
    faults::{Banned, Faults},
    handle::{
        Command, ConnectionKind, Event, GossipToken, PeerDetails, RequestFailure, ResponseToken, Topic,
        Traffic, Verdict,
    },
    wire::{BLOCK_BYTES_MAX, Request, Response},
};

/// Here no time passes for bans and points.
const NO_TIME: u64 = 0;

/// Position of a node in its world; its address.
pub(super) type NodeNumber = u64;

struct Member {
    peer: PeerId,
    chain_id: ChainId,
    configured: Vec<Multiaddr>,
    max_connections: usize,
    active: bool,
    links: BTreeSet<NodeNumber>,
    refused: BTreeSet<NodeNumber>,
    seen: BTreeSet<[u8; 32]>,
    held: BTreeMap<[u8; 32], (Topic, Vec<u8>, PeerId)>,
    inbox: mpsc::UnboundedSender<Event>,
    faults: Faults,
}

impl Member {
    fn tell(&self, event: Event) {
        // A node whose task is gone is about to leave: nobody is left to be told.
        let _ = self.inbox.send(event);
    }

    fn has_room(&self) -> bool {
        self.active && self.links.len() < self.max_connections
    }
}

struct Pending {
    asker: NodeNumber,
    asked: NodeNumber,
    id: u64,
}

#[derive(Default)]
pub(super) struct World {
    members: BTreeMap<NodeNumber, Member>,
    pending: BTreeMap<u64, Pending>,
    next_number: NodeNumber,
    next_token: u64,
}

impl World {
    pub fn join(&mut self, config: Config, inbox: mpsc::UnboundedSender<Event>) -> NodeNumber {
        self.next_number += 1;
        let number = self.next_number;
        let member = Member {
            peer: peer_id(config.seed),
            chain_id: config.chain_id,
            configured: config.peers,
            max_connections: usize::try_from(config.max_connections).unwrap_or(usize::MAX),
            active: true,
            links: BTreeSet::new(),
            refused: BTreeSet::new(),
            seen: BTreeSet::new(),
            held: BTreeMap::new(),
            inbox,
            faults: Faults::default(),
        };
        let address = Multiaddr::empty().with(Protocol::Memory(number)).with(Protocol::P2p(member.peer));
        member.tell(Event::Listening(address));
        self.members.insert(number, member);
        number
    }

    pub fn leave(&mut self, number: NodeNumber) {
        self.unlink_all(number);
        self.members.remove(&number);
    }

    pub fn redial(&mut self, number: NodeNumber) {
        let configured = self.members.get(&number).map(|member| member.configured.clone());
        for address in configured.unwrap_or_default() {
            self.dial(number, &address);
        }
    }

    pub fn command(&mut self, number: NodeNumber, command: Command) {
        match command {
            Command::Dial(address) => {
                if let Some(member) = self.members.get_mut(&number) {
                    member.refused.clear();
                }
                self.dial(number, &address);
            }
            Command::Keep(address) => {
                if let Some(member) = self.members.get_mut(&number) {
                    member.configured.push(address.clone());
                }
                self.dial(number, &address);
            }
            Command::Forget(address) => {
                if let Some(member) = self.members.get_mut(&number) {
                    member.configured.retain(|kept| *kept != address);
                }
            }
            Command::Publish { topic, bytes } => self.publish(number, topic, &bytes),
            Command::Request { peer, request, id } => self.request(number, peer, request, id),
            Command::Respond { token, response } => self.respond(number, &token, response),
            Command::Report { token, verdict } => self.report(number, token, verdict),
            Command::SetActive(active) => self.set_active(number, active),
            Command::Disconnect(peer) => self.part(number, peer),
            Command::Fault { peer, fault } => {
                if let Some(member) = self.members.get_mut(&number) {
                    member.faults.count(peer, None, fault, NO_TIME);
                }
                self.part(number, peer);
            }
            Command::Ban(ban) => {
                let who = ban.who;
                if let Some(member) = self.members.get_mut(&number) {
                    member.faults.ban(ban);
                }
                if let Banned::Peer(peer) = who {
                    self.part(number, peer);
                }
            }
            Command::Unban(who, reply) => {
                let member = self.members.get_mut(&number);
                let _ = reply.send(member.is_some_and(|member| member.faults.unban(&who)));
            }
            Command::Bans(reply) => {
                let bans = self.members.get(&number).map(|member| member.faults.bans(NO_TIME));
                drop(reply.send(bans.unwrap_or_default()));
            }
            Command::Peers(reply) => drop(reply.send(self.peers(number))),
            Command::Stop => {}
        }
    }

    fn part(&mut self, number: NodeNumber, peer: PeerId) {
        if let Some(other) = self.linked(number, peer) {
            self.unlink(number, other);
        }
    }

    fn dial(&mut self, number: NodeNumber, address: &Multiaddr) {
        let Some(Protocol::Memory(other)) = address.iter().next() else { return };
        let (Some(own), Some(theirs)) = (self.members.get(&number), self.members.get(&other)) else { return };
        let known = number == other || own.links.contains(&other);
        let banned = own.faults.is_banned(Some(&theirs.peer), None, NO_TIME)
            || theirs.faults.is_banned(Some(&own.peer), None, NO_TIME);
        if known || banned || !own.has_room() || !theirs.has_room() {
            return;
        }
        let same_chain = own.chain_id == theirs.chain_id;
        let ends = [(number, other, theirs.peer), (other, number, own.peer)];
        for (end, far, peer) in ends {
            let Some(member) = self.members.get_mut(&end) else { continue };
            if same_chain {
                member.links.insert(far);
                member.tell(Event::PeerConnected(peer));
            } else if member.refused.insert(far) {
                member.tell(Event::PeerRefused(peer));
            }
        }
    }

    fn unlink(&mut self, number: NodeNumber, other: NodeNumber) {
        let between = |pending: &Pending| {
            (pending.asker, pending.asked) == (number, other)
                || (pending.asker, pending.asked) == (other, number)
        };
        let tokens: Vec<_> =
            self.pending.iter().filter(|(_, pending)| between(pending)).map(|(token, _)| *token).collect();
        for token in tokens {
            self.fail(token, RequestFailure::ConnectionClosed);
        }
        for (end, far) in [(number, other), (other, number)] {
            let peer = self.members.get(&far).map(|member| member.peer);
            if let (Some(member), Some(peer)) = (self.members.get_mut(&end), peer)
                && member.links.remove(&far)
            {
                member.tell(Event::PeerDisconnected(peer));
            }
        }
    }

    fn unlink_all(&mut self, number: NodeNumber) {
        let links = self.members.get(&number).map(|member| member.links.clone());
        for other in links.unwrap_or_default() {
            self.unlink(number, other);
        }
    }

    fn set_active(&mut self, number: NodeNumber, active: bool) {
        if let Some(member) = self.members.get_mut(&number) {
            member.active = active;
        }
        if active { self.redial(number) } else { self.unlink_all(number) }
    }

    /// Who dialed and what went to and fro is not kept here.
    fn peers(&self, number: NodeNumber) -> Vec<PeerDetails> {
        let links = self.members.get(&number).map(|member| &member.links);
        let details = |far: &NodeNumber| {
            let address = Multiaddr::empty().with(Protocol::Memory(*far));
            let (sent, received, agent) = (Traffic::default(), Traffic::default(), String::new());
            Some(PeerDetails {
                peer: self.peer(*far)?,
                address,
                kind: ConnectionKind::Manual,
                since: 0,
                agent,
                ping: None,
                sent,
                received,
            })
        };
        let mut peers: Vec<_> = links.into_iter().flatten().filter_map(details).collect();
        peers.sort_unstable_by_key(|details| details.peer);
        peers
    }

    fn peer(&self, number: NodeNumber) -> Option<PeerId> {
        self.members.get(&number).map(|member| member.peer)
    }

    fn linked(&self, number: NodeNumber, peer: PeerId) -> Option<NodeNumber> {
        let links = &self.members.get(&number)?.links;
        links.iter().copied().find(|far| self.peer(*far) == Some(peer))
    }

    fn publish(&mut self, number: NodeNumber, topic: Topic, bytes: &[u8]) {
        let id = message_id(bytes);
        let Some(member) = self.members.get_mut(&number) else { return };
        if bytes.len() <= BLOCK_BYTES_MAX && !member.links.is_empty() && member.seen.insert(id) {
            self.spread(number, topic, bytes, None);
        }
    }

    fn spread(&mut self, number: NodeNumber, topic: Topic, bytes: &[u8], except: Option<PeerId>) {
        let id = message_id(bytes);
        let Some(from) = self.peer(number) else { return };
        let links = self.members.get(&number).map(|member| member.links.clone()).unwrap_or_default();
        for far in links {
            let Some(member) = self.members.get_mut(&far) else { continue };
            if Some(member.peer) != except && member.seen.insert(id) {
                member.held.insert(id, (topic, bytes.to_vec(), from));
                let token = GossipToken { id, from };
                member.tell(Event::Gossip { topic, from, token, bytes: bytes.to_vec() });
            }
        }
    }

    fn report(&mut self, number: NodeNumber, token: GossipToken, verdict: Verdict) {
        let held = self.members.get_mut(&number).and_then(|member| member.held.remove(&token.id));
        if let (Some((topic, bytes, from)), Verdict::Accept) = (held, verdict) {
            self.spread(number, topic, &bytes, Some(from));
        }
    }

    fn request(&mut self, number: NodeNumber, peer: PeerId, request: Request, id: u64) {
        let Some(own) = self.members.get(&number) else { return };
        let far =
            self.linked(number, peer).and_then(|far| self.members.get(&far).map(|member| (far, member)));
        let reason = match far {
            _ if request.check().is_err() => RequestFailure::TooLarge,
            None => RequestFailure::NotConnected,
            Some((asked, member)) => {
                let token = self.next_token;
                self.next_token += 1;
                self.pending.insert(token, Pending { asker: number, asked, id });
                member.tell(Event::Request { peer: own.peer, request, token: ResponseToken(token) });
                return;
            }
        };
        own.tell(Event::RequestFailed { id, peer, reason });
    }

    fn respond(&mut self, number: NodeNumber, token: &ResponseToken, response: Response) {
        if self.pending.get(&token.0).is_none_or(|pending| pending.asked != number) {
            return;
        }
        if response.check().is_err() {
            self.fail(token.0, RequestFailure::Refused);
        } else if let Some(Pending { asker, asked, id }) = self.pending.remove(&token.0)
            && let (Some(member), Some(peer)) = (self.members.get(&asker), self.peer(asked))
        {
            member.tell(Event::Response { id, peer, response });
        }
    }

    fn fail(&mut self, token: u64, reason: RequestFailure) {
        if let Some(Pending { asker, asked, id }) = self.pending.remove(&token)
            && let (Some(member), Some(peer)) = (self.members.get(&asker), self.peer(asked))
        {
            member.tell(Event::RequestFailed { id, peer, reason });
        }
    }
}
