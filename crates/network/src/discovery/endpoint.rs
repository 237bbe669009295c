//! Where a node can be reached, and what of that an attacker cannot choose freely: the network that an address is in.
//!
//! Names are not here: they are resolved before they come into the book, so that whoever owns a name has no more
//! weight than the networks that its addresses are in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};
use mass_primitives::{Decode, DecodeError, Encode, Reader};

const V4: u8 = 4;
const V6: u8 = 6;

/// IP address and TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint(SocketAddr);

/// Addresses that one party is likely to have many of together: a /16 of IPv4, a /32 of IPv6. In a network of one's
/// own each endpoint is a group by itself, for there is nobody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group(Vec<u8>);

impl Endpoint {
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self(SocketAddr::new(ip.to_canonical(), port))
    }

    /// The endpoint of an address over TCP; `None` for any other kind, and for one that nobody can be reached at.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let ip: IpAddr = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else { return None };
        let is_reachable = port != 0 && !ip.is_unspecified() && !ip.is_multicast();
        is_reachable.then(|| Self::new(ip, port))
    }

    pub const fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// As libp2p dials it.
    pub fn multiaddr(&self) -> Multiaddr {
        let ip = match self.0.ip() {
            IpAddr::V4(ip) => Protocol::Ip4(ip),
            IpAddr::V6(ip) => Protocol::Ip6(ip),
        };
        Multiaddr::empty().with(ip).with(Protocol::Tcp(self.0.port()))
    }

    pub fn is_global(&self) -> bool {
        is_global(self.ip())
    }

    pub fn group(&self) -> Group {
        if !self.is_global() {
            return Group(self.to_bytes());
        }
        Group(match self.ip() {
            IpAddr::V4(ip) => [&[V4], &ip.octets()[..2]].concat(),
            IpAddr::V6(ip) => [&[V6], &ip.octets()[..4]].concat(),
        })
    }
}

impl Group {
    /// The group that [`Group::as_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether an address can be reached from anywhere (IANA's registries of special-purpose addresses).
pub(crate) fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let is_special = a == 0
        || a >= 224
        || (a, b & 0xc0) == (100, 64)
        || (a, b & 0xfe) == (198, 18)
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation();
    !is_special
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0x0db8)
}

impl Encode for Endpoint {
    fn encode(&self, out: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(ip) => {
                V4.encode(out);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                V6.encode(out);
                out.extend_from_slice(&ip.octets());
            }
        }
        self.0.port().encode(out);
    }
}

impl Decode for Endpoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ip: IpAddr = match u8::decode(reader)? {
            V4 => Ipv4Addr::from(reader.array::<4>()?).into(),
            V6 => Ipv6Addr::from(reader.array::<16>()?).into(),
            _ => return Err(DecodeError::Invalid("an address is of IPv4 or IPv6")),
        };
        let endpoint = Self::of(&Self(SocketAddr::new(ip, u16::decode(reader)?)).multiaddr());
        endpoint
            .filter(|endpoint| endpoint.ip() == ip)
            .ok_or(DecodeError::Invalid("an address at which nobody can be reached"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_group_is_what_one_party_has_many_of() {
        let same = |a: &str, b: &str| endpoint(a).group() == endpoint(b).group();
        assert!(same("/ip4/8.8.1.1/tcp/1", "/ip4/8.8.2.2/tcp/2"));
        assert!(!same("/ip4/8.8.1.1/tcp/1", "/ip4/8.9.1.1/tcp/1"));
        assert!(same("/ip6/2a00:1450::1/tcp/1", "/ip6/2a00:1450:ffff::2/tcp/1"));
        assert!(!same("/ip6/2a00:1450::1/tcp/1", "/ip6/2a00:1451::1/tcp/1"));
        assert!(same("/ip4/8.8.1.1/tcp/1", "/ip6/::ffff:8.8.1.1/tcp/1"));
        assert!(!same("/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"));
    }

    #[test]
    fn special_addresses_are_not_global() {
        for local in [
            "10.1.1.1",
            "127.0.0.1",
            "100.64.0.1",
            "192.0.2.1",
            "198.19.0.1",
            "240.0.0.1",
            "::1",
            "fe80::1",
            "fc00::1",
            "2001:db8::1",
        ] {
            assert!(!is_global(local.parse().unwrap()), "{local}");
        }
        for global in ["1.1.1.1", "100.128.0.1", "198.20.0.1", "2606:4700::1"] {
            assert!(is_global(global.parse().unwrap()), "{global}");
        }
    }

    #[test]
    fn what_nobody_can_be_reached_at_is_no_endpoint() {
        for text in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/1.1.1.1/tcp/0",
            "/ip4/224.0.0.1/tcp/1",
            "/memory/1",
            "/ip4/1.1.1.1/udp/1",
            "/dns4/a.example/tcp/1",
        ] {
            assert_eq!(Endpoint::of(&text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn the_encoding_is_the_only_one() {
        for text in ["/ip4/1.2.3.4/tcp/29330", "/ip6/2606:4700::1/tcp/80"] {
            let endpoint = endpoint(text);
            assert_eq!(Endpoint::from_bytes(&endpoint.to_bytes()), Ok(endpoint));
            assert_eq!(endpoint.multiaddr().to_string(), text);
        }
        let mapped = [&[V6][..], &"::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets(), &[1, 0]].concat();
        assert!(Endpoint::from_bytes(&mapped).is_err());
        assert!(Endpoint::from_bytes(&[V4, 0, 0, 0, 0, 1, 0]).is_err());
        assert!(Endpoint::from_bytes(&[5, 1, 2, 3, 4, 1, 0]).is_err());
    }
}
