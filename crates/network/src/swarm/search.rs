//! Looking for peers: what [`Discovery`] wants done, done on the swarm.

use std::{net::IpAddr, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    request_response,
    swarm::{ConnectionId, DialError},
};

use super::{Driver, debug, dial, warn};
use crate::{
    codec::Asked,
    discovery::{
        Endpoint, Errand, Now, Purpose, encode,
        exchange::{Answer, Question},
        is_global, save,
    },
};

/// How long a name may take to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses that a peer may listen on.
const LISTENS_MAX: usize = 8;
/// Addresses that one name may lead to.
const RESOLVED_MAX: usize = 64;

impl Driver {
    /// Does what is due.
    pub(super) fn search(&mut self, now: Now) {
        let free = |endpoint: &Endpoint| {
            !self.peers.is_connected(endpoint) && !self.faults.is_banned(None, Some(endpoint.ip()), now.unix)
        };
        for errand in self.discovery.due(now, free) {
            match errand {
                Errand::Dial(endpoint, purpose) => self.try_out(endpoint, purpose, now),
                Errand::Ask => {
                    let ready: Vec<PeerId> = self.peers.ready().iter().map(|details| details.peer).collect();
                    self.discovery.any(&ready).into_iter().for_each(|peer| self.ask(peer));
                }
                Errand::Bootstrap if self.proxied => {
                    for address in &self.bootstrap {
                        dial(&mut self.swarm, address);
                    }
                }
                Errand::Bootstrap => self.resolve(),
            }
        }
    }

    fn try_out(&mut self, endpoint: Endpoint, purpose: Purpose, now: Now) {
        if let Some(connection) = dial(&mut self.swarm, &endpoint.multiaddr()) {
            self.discovery.dialed(connection, endpoint, purpose, now);
        }
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError, now: Now) {
        if let (DialError::LocalPeerId { address }, true) =
            (error, self.discovery.purpose(connection).is_some())
            && let Some(endpoint) = Endpoint::of(address)
        {
            self.discovery.own(endpoint);
        }
        self.discovery.ended(connection, now);
    }

    /// Asks a peer for addresses.
    pub(super) fn ask(&mut self, peer: PeerId) {
        self.swarm.behaviour_mut().exchange.send_request(&peer, Asked::Question(Question));
    }

    pub(super) fn on_exchange(&mut self, event: request_response::Event<Asked<Question>, Answer>, now: Now) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                if self.readable(peer, request).is_some() && self.peers.may_question(&peer, now.instant) {
                    let is_far = self.peers.ip(&peer).is_some_and(is_global);
                    let told = self.discovery.tell(is_far, now);
                    let _ = self.swarm.behaviour_mut().exchange.send_response(channel, Answer(told));
                }
            }
            Event::Message { peer, message: Message::Response { response: Answer(told), .. }, .. } => {
                if let Some(ip) = self.peers.ip(&peer) {
                    self.learn(ip, told, now);
                }
            }
            other => debug!(event = ?other, "passed over"),
        }
    }

    /// A peer of our chain says where it listens. It is believed for the address that it came from. A feeler has done
    /// its work.
    pub(super) fn learn_from(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        listens: &[Multiaddr],
        now: Now,
    ) {
        if self.discovery.purpose(connection) == Some(Purpose::Feel) && !self.peers.is_ready(&peer) {
            self.discovery.found(connection, now);
            self.peers.refuse(peer);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let Some(ip) = self.peers.ip(&peer) else { return };
        let own = listens.iter().filter_map(Endpoint::of).filter(|endpoint| endpoint.ip() == ip);
        let own: Vec<Endpoint> = own.take(LISTENS_MAX).collect();
        self.peers.listens(&peer, &own);
        self.learn(ip, own, now);
    }

    /// Addresses of a network of one's own are taken only from within.
    fn learn(&mut self, teller: IpAddr, told: Vec<Endpoint>, now: Now) {
        let is_far = is_global(teller);
        let told = told.into_iter().filter(|endpoint| endpoint.is_global() || !is_far);
        self.discovery.learn(told, &Endpoint::new(teller, 0).group(), now);
    }

    /// Looks up the bootstrap list; what is found comes back through a channel.
    fn resolve(&self) {
        let (list, sender) = (self.bootstrap.clone(), self.resolved_sender.clone());
        tokio::spawn(async move {
            let mut found = Vec::new();
            for address in list {
                match Endpoint::of(&address) {
                    Some(endpoint) => found.push(endpoint),
                    None => found.extend(look_up(&address).await),
                }
            }
            let _ = sender.send(found).await;
        });
    }

    pub(super) fn on_resolved(&mut self, found: Vec<Endpoint>) {
        let now = super::now();
        for endpoint in found {
            self.discovery.learn([endpoint], &endpoint.group(), now);
        }
    }

    /// Writes down what is known of peers. It is found again if that fails.
    pub(super) fn save(&self) {
        let Some(path) = &self.memory else { return };
        let bytes = encode(self.discovery.book(), &self.discovery.anchors(), &self.faults);
        if let Err(error) = save(path, &bytes) {
            warn!(path = %path.display(), %error, "what is known of peers is not written");
        }
    }
}

/// Where a connection leads, or comes from.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    })
}

/// The addresses of a name, by the system's resolver.
async fn look_up(address: &Multiaddr) -> Vec<Endpoint> {
    let mut parts = address.iter();
    let (Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)), Some(Protocol::Tcp(port))) =
        (parts.next(), parts.next())
    else {
        warn!(%address, "no address of a peer");
        return Vec::new();
    };
    let host = (name.as_ref(), port);
    match tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(host)).await {
        Ok(Ok(found)) => {
            found.take(RESOLVED_MAX).map(|found| Endpoint::new(found.ip(), found.port())).collect()
        }
        Ok(Err(error)) => {
            warn!(%name, %error, "a name of the bootstrap list leads nowhere");
            Vec::new()
        }
        Err(_) => {
            warn!(%name, "a name of the bootstrap list is not answered");
            Vec::new()
        }
    }
}
