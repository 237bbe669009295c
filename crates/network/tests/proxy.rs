//! Connections through a SOCKS5 proxy: the proxy sees where they go, and nobody else is asked.

use std::time::Duration;

use mass_network::{Command, Config, Event, Multiaddr, Network, swarm};
use mass_primitives::ChainId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy that leads wherever it is asked to one place, and tells what it was asked for.
async fn proxy(listener: TcpListener, leads_to: u16, asked: mpsc::UnboundedSender<(u8, Vec<u8>, u16)>) {
    loop {
        let (mut client, _) = listener.accept().await.expect("loopback accepts");
        let asked = asked.clone();
        tokio::spawn(async move {
            let mut greeting = [0; 2];
            client.read_exact(&mut greeting).await?;
            client.read_exact(&mut vec![0; greeting[1].into()]).await?;
            client.write_all(&[5, 0]).await?;
            let mut head = [0; 4];
            client.read_exact(&mut head).await?;
            let length = if head[3] == 3 { client.read_u8().await?.into() } else { 4 };
            let mut host = vec![0; length];
            client.read_exact(&mut host).await?;
            let port = client.read_u16().await?;
            let _ = asked.send((head[3], host, port));
            let mut far = TcpStream::connect(("127.0.0.1", leads_to)).await?;
            client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
            copy_bidirectional(&mut client, &mut far).await
        });
    }
}

fn node(seed: u8, proxy: Option<std::net::SocketAddr>) -> Network {
    let listen: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().expect("a valid address");
    let config = Config {
        chain_id: ChainId::new([1; 32]),
        listen: vec![listen],
        seed: [seed; 32],
        peers: Vec::new(),
        max_connections: 16,
        memory: None,
        proxy,
        discovery: None,
    };
    swarm::spawn(config).expect("loopback can be listened on")
}

async fn until<T>(network: &mut Network, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = pick(network.1.recv().await.expect("the network runs")) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the event comes in time")
}

#[tokio::test]
async fn names_and_addresses_are_the_business_of_the_proxy() {
    let mut far = node(1, None);
    let port = until(&mut far, |event| match event {
        Event::Listening(address) => {
            address.iter().find_map(|part| match part.to_string().strip_prefix("/tcp/") {
                Some(port) => port.parse().ok(),
                None => None,
            })
        }
        _ => None,
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let (sender, mut asked) = mpsc::unbounded_channel();
    tokio::spawn(proxy(listener, port, sender));

    for (seed, target, expected) in [
        (2, "/dns4/node.invalid/tcp/1234", (3, b"node.invalid".to_vec(), 1234)),
        (3, "/ip4/192.0.2.7/tcp/99", (1, vec![192, 0, 2, 7], 99)),
    ] {
        let mut near = node(seed, Some(address));
        near.0.send(Command::Dial(target.parse().expect("an address"))).await.expect("it runs");
        until(&mut near, |event| matches!(event, Event::PeerConnected(_)).then_some(())).await;
        assert_eq!(asked.recv().await, Some(expected));
    }
}
