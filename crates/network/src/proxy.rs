//! TCP whose outgoing connections go through a SOCKS5 proxy (RFC 1928), if there is one, such as that of Tor.
//!
//! Names and onion addresses are handed to the proxy as they are, so that nothing is asked of the system's resolver.
//! Listening is not changed by it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use data_encoding::BASE32_NOPAD;
use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent},
    multiaddr::Protocol,
    tcp,
};
use tokio_socks::{TargetAddr, tcp::Socks5Stream};

/// How long the proxy may take to make a connection: a hidden service takes many seconds.
const PROXY_TIMEOUT: Duration = Duration::from_secs(60);

type Tcp = tcp::tokio::Transport;
type Stream = tcp::tokio::TcpStream;

/// TCP, directly or through a proxy.
pub(crate) struct ProxyTransport {
    tcp: Tcp,
    proxy: Option<SocketAddr>,
}

impl ProxyTransport {
    pub fn new(proxy: Option<SocketAddr>) -> Self {
        Self { tcp: Tcp::new(tcp::Config::default().nodelay(true)), proxy }
    }
}

impl Transport for ProxyTransport {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = <Tcp as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(proxy) = self.proxy else { return Ok(self.tcp.dial(address, options)?.boxed()) };
        let target = target(&address).ok_or(TransportError::MultiaddrNotSupported(address))?;
        let connect = async move {
            let connect = Socks5Stream::connect(proxy, target);
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the proxy does not answer");
            let stream = tokio::time::timeout(PROXY_TIMEOUT, connect).await.map_err(late)?;
            let stream = stream.map_err(io::Error::other)?.into_inner();
            stream.set_nodelay(true)?;
            Ok(tcp::tokio::TcpStream(stream))
        };
        Ok(connect.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.tcp).poll(context)
    }
}

/// What a proxy is asked to connect to.
fn target(address: &Multiaddr) -> Option<TargetAddr<'static>> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()) {
        (Protocol::Ip4(ip), Some(Protocol::Tcp(port))) => Some(TargetAddr::Ip((ip, port).into())),
        (Protocol::Ip6(ip), Some(Protocol::Tcp(port))) => Some(TargetAddr::Ip((ip, port).into())),
        (Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name), Some(Protocol::Tcp(port))) => {
            Some(TargetAddr::Domain(name.into_owned().into(), port))
        }
        (Protocol::Onion3(onion), _) => {
            let host = BASE32_NOPAD.encode(onion.hash()).to_lowercase();
            Some(TargetAddr::Domain(format!("{host}.onion").into(), onion.port()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_gets_addresses_and_names_as_they_are() {
        let onion = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd";
        for (address, expected) in [
            ("/ip4/192.0.2.1/tcp/80", Some("192.0.2.1:80".to_owned())),
            ("/ip6/2001:db8::1/tcp/80", Some("[2001:db8::1]:80".to_owned())),
            ("/dns4/seed.example/tcp/29330", Some("seed.example:29330".to_owned())),
            (&format!("/onion3/{onion}:1234"), Some(format!("{onion}.onion:1234"))),
            ("/ip4/192.0.2.1/udp/80", None),
            ("/memory/1", None),
        ] {
            let target = target(&address.parse().unwrap());
            assert_eq!(target.map(|target| target.to_string()), expected, "{address}");
        }
    }
}
