//! Peers and traffic.

use std::net::SocketAddr;

use mass_network::{Command, ConnectionKind, Multiaddr, PeerDetails, PeerId};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param},
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    ledger::NodeLedger,
    methods::{Answering, Method},
    node::{Moment, Node},
    queries::Queries,
};

const NONE: &[Param] = &[];
const STATE: &[Param] = &[Param::new("state", Kind::Bool)];
const ADD: &[Param] = &[
    Param::new("node", Kind::Text),
    Param::new("command", Kind::Text),
    Param::optional("v2transport", Kind::Bool),
];
const DISCONNECT: &[Param] =
    &[Param::optional("address", Kind::Text), Param::optional("nodeid", Kind::Number)];
const ADDED: &[Param] = &[Param::optional("node", Kind::Text)];

/// Peers that can be added at the most.
const ADDED_MAX: usize = 64;

/// The version of Bitcoin Core whose shapes are answered, in its way of writing: what tools decide by.
const SHAPES: u32 = 310_000;

/// The warning of `getnetworkinfo`.
const CLOCK: &str =
    "The clocks of most peers differ from this machine's by more than a slot: check its date and time.";

pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Network", name);
    vec![
        Method::new(name("getconnectioncount"), NONE, "Number of connected peers.", |node, _| {
            Ok(json!(node.peers().len()))
        }),
        Method::aside(
            name("getpeerinfo"),
            NONE,
            "The connected peers. Bytes are those of messages, without what the protocols below add and without what is \
             passed on for others.",
            |queries, _| Box::pin(peer_info(queries)),
        ),
        Method::aside(
            name("getnettotals"),
            NONE,
            "Bytes of messages to and from the peers that are connected now, counted as in getpeerinfo.",
            |queries, _| Box::pin(totals(queries)),
        ),
        Method::aside(name("getnetworkinfo"), NONE, "The node in its network.", |queries, _| {
            Box::pin(network_info(queries))
        }),
        Method::new(
            name("addnode"),
            ADD,
            "Holds a connection to a peer (add), holds it no more (remove), or connects once (onetry). A peer is named as \
             IP:PORT or as a multiaddress; v2transport is passed over.",
            add,
        ),
        Method::new(
            name("getaddednodeinfo"),
            ADDED,
            "The peers of addnode. Whether one is connected getpeerinfo tells.",
            added,
        ),
        Method::aside(
            name("disconnectnode"),
            DISCONNECT,
            "Ends the connection to a peer, named by its address or by its id in getpeerinfo.",
            disconnect,
        ),
        Method::new(name("setnetworkactive"), STATE, "Switches the network on or off.", |node, args| {
            let state = args.is(0, true);
            node.set_network_active(state);
            Ok(json!(state))
        }),
    ]
}

/// A peer's address: a multiaddress, or an IP address and a port.
fn address(text: &str) -> RpcResult<Multiaddr> {
    let invalid = || {
        errors::not_found(format!(
            "Error: Invalid IP address or multiaddress: {}",
            text.chars().take(100).collect::<String>()
        ))
    };
    let text = match text.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(at)) => format!("/ip4/{}/tcp/{}", at.ip(), at.port()),
        Ok(SocketAddr::V6(at)) => format!("/ip6/{}/tcp/{}", at.ip(), at.port()),
        Err(_) => text.to_owned(),
    };
    text.parse().map_err(|_| invalid())
}

/// The address as IP:PORT, if it has that form.
fn socket(address: &Multiaddr) -> String {
    let text = address.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", "ip4", ip, "tcp", port, ..] => format!("{ip}:{port}"),
        ["", "ip6", ip, "tcp", port, ..] => format!("[{ip}]:{port}"),
        _ => text,
    }
}

fn add<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let command = args.text(1);
    if !matches!(command, "add" | "remove" | "onetry") {
        return Err(errors::misc(
            "addnode \"node\" \"command\" ( v2transport )\n\nThe command is add, remove or onetry.",
        ));
    }
    let address = address(args.text(0))?;
    match command {
        "add" => {
            if node.added().contains(&address) {
                return Err(errors::node_added("Error: Node already added"));
            }
            if node.added().len() >= ADDED_MAX {
                return Err(errors::misc(format!("no more than {ADDED_MAX} peers can be added")));
            }
            node.keep_peer(address);
        }
        "remove" => {
            if !node.forget_peer(&address) {
                let why = "Error: Node could not be removed. It has not been added previously.";
                return Err(errors::node_not_added(why));
            }
        }
        _ => node.send(Command::Dial(address)),
    }
    Ok(Value::Null)
}

fn added<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let wanted = args.optional_text(0).map(address).transpose()?;
    let added: Vec<&Multiaddr> =
        node.added().iter().filter(|added| wanted.as_ref().is_none_or(|wanted| wanted == *added)).collect();
    if wanted.is_some() && added.is_empty() {
        return Err(errors::node_not_added("Error: Node has not been added."));
    }
    let describe =
        |added: &&Multiaddr| json!({ "addednode": socket(added), "connected": false, "addresses": [] });
    Ok(added.iter().map(describe).collect())
}

/// Tells the network something that it answers.
pub(super) async fn ask<L: NodeLedger, T: Send + 'static>(
    queries: &Queries<L>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command + Send + 'static,
) -> RpcResult<T> {
    let stopping = || errors::misc("the node is stopping");
    let (reply, answer) = oneshot::channel();
    queries.ask(|node| node.send(command(reply))).await.ok_or_else(stopping)?;
    answer.await.map_err(|_| stopping())
}

/// The connected peers with their numbers, and how far their clocks are ahead.
async fn peers<L: NodeLedger>(queries: &Queries<L>) -> RpcResult<Vec<(u64, i64, PeerDetails)>> {
    let details = ask(queries, Command::Peers).await?;
    let number = move |node: &mut Node<L>| {
        let numbered = details.into_iter().map(|details| {
            let ahead = node.clocks.of(&details.peer);
            Some((node.peer_number(&details.peer)?, ahead, details))
        });
        Ok(numbered.flatten().collect())
    };
    queries.answer(number).await
}

async fn peer_info<L: NodeLedger>(queries: Queries<L>) -> RpcResult<Value> {
    let mut peers = peers(&queries).await?;
    peers.sort_by_key(|(number, ..)| *number);
    Ok(peers.iter().map(|(number, ahead, details)| describe(*number, *ahead, details)).collect())
}

fn describe(number: u64, ahead: i64, details: &PeerDetails) -> Value {
    let mut fields = json!({
        "id": number,
        "addr": socket(&details.address),
        "network": network(&details.address),
        "services": "0000000000000000",
        "servicesnames": [],
        "relaytxes": true,
        "lastsend": details.sent.last,
        "lastrecv": details.received.last,
        "last_transaction": 0,
        "last_block": 0,
        "bytessent": details.sent.bytes,
        "bytesrecv": details.received.bytes,
        "conntime": details.since,
        "timeoffset": ahead,
        "version": 0,
        "subver": format!("/{}/", details.agent),
        "inbound": details.kind == ConnectionKind::Inbound,
        "bip152_hb_to": false,
        "bip152_hb_from": false,
        "presynced_headers": -1,
        "synced_headers": -1,
        "synced_blocks": -1,
        "inflight": [],
        "addr_relay_enabled": false,
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": [],
        "minfeefilter": 0.0,
        "bytessent_per_msg": {},
        "bytesrecv_per_msg": {},
        "inv_to_send": 0,
        "last_inv_sequence": 0,
        "connection_type": details.kind.name(),
        "transport_protocol_type": "v2",
        "session_id": "",
        "peerid": details.peer.to_string(),
        "multiaddr": details.address.to_string(),
    });
    if let Some(ping) = details.ping {
        fields["pingtime"] = json!(ping.as_secs_f64());
        fields["minping"] = json!(ping.as_secs_f64());
    }
    fields
}

fn network(address: &Multiaddr) -> &'static str {
    match socket(address).parse::<SocketAddr>() {
        Ok(SocketAddr::V4(_)) => "ipv4",
        Ok(SocketAddr::V6(_)) => "ipv6",
        Err(_) => "not_publicly_routable",
    }
}

async fn totals<L: NodeLedger>(queries: Queries<L>) -> RpcResult<Value> {
    let peers = peers(&queries).await?;
    let sum = |bytes: fn(&PeerDetails) -> u64| peers.iter().map(|(.., peer)| bytes(peer)).sum::<u64>();
    let millis = Moment::now().unix.saturating_mul(1000);
    Ok(json!({
        "totalbytesrecv": sum(|peer| peer.received.bytes),
        "totalbytessent": sum(|peer| peer.sent.bytes),
        "timemillis": millis,
        "uploadtarget": {
            "timeframe": 86_400, "target": 0, "target_reached": false, "serve_historical_blocks": true,
            "bytes_left_in_cycle": 0, "time_left_in_cycle": 0,
        },
    }))
}

async fn network_info<L: NodeLedger>(queries: Queries<L>) -> RpcResult<Value> {
    let peers = peers(&queries).await?;
    let inbound = peers.iter().filter(|(.., peer)| peer.kind == ConnectionKind::Inbound).count();
    let count = peers.len();
    let describe = move |node: &mut Node<L>| {
        let listen = node.listen().iter().map(|address| {
            let at = socket(address);
            let (ip, port) = at.rsplit_once(':').unwrap_or((&at, "0"));
            json!({ "address": ip, "port": port.parse::<u16>().unwrap_or(0), "score": 1 })
        });
        let proxy = node.proxy().map_or_else(String::new, |proxy| proxy.to_string());
        let network = |name: &str| {
            json!({ "name": name, "limited": false, "reachable": true, "proxy": proxy,
                "proxy_randomize_credentials": false })
        };
        Ok(json!({
            "version": SHAPES,
            "subversion": format!("/mass:{}/", env!("CARGO_PKG_VERSION")),
            "protocolversion": 1,
            "localservices": "0000000000000000",
            "localservicesnames": [],
            "localrelay": true,
            "timeoffset": node.clocks.off().unwrap_or(0),
            "networkactive": node.is_network_active(),
            "connections": count,
            "connections_in": inbound,
            "connections_out": count - inbound,
            "networks": [network("ipv4"), network("ipv6")],
            "relayfee": L::relay_fee(node.chain()),
            "incrementalfee": L::relay_fee(node.chain()),
            "localaddresses": listen.collect::<Vec<_>>(),
            "warnings": node.clocks.is_off().then_some(CLOCK).into_iter().collect::<Vec<_>>(),
        }))
    };
    queries.answer(describe).await
}

fn disconnect<L: NodeLedger>(queries: Queries<L>, args: Args) -> Answering {
    Box::pin(async move {
        let (at, number) = (args.optional_text(0).filter(|text| !text.is_empty()), args.number(1));
        if at.is_some() == number.is_some() {
            return Err(errors::invalid_params("Only one of address and nodeid should be provided."));
        }
        let is_meant = |own: u64, peer: &PeerDetails| match at {
            Some(at) => {
                at == socket(&peer.address) || at == peer.address.to_string() || at == peer.peer.to_string()
            }
            None => number.and_then(|number| u64::try_from(number).ok()) == Some(own),
        };
        let peers = peers(&queries).await?;
        let found: Option<PeerId> =
            peers.iter().find(|(number, _, peer)| is_meant(*number, peer)).map(|(.., peer)| peer.peer);
        let peer = found.ok_or_else(|| errors::not_connected("Node not found in connected nodes"))?;
        let end = queries.ask(move |node| node.send(Command::Disconnect(peer))).await;
        end.map(|()| Value::Null).ok_or_else(|| errors::misc("the node is stopping"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_in_both_ways() {
        for (text, multiaddr) in [
            ("192.0.2.1:29330", "/ip4/192.0.2.1/tcp/29330"),
            ("[2001:db8::1]:29330", "/ip6/2001:db8::1/tcp/29330"),
        ] {
            let parsed = address(text).unwrap();
            assert_eq!((parsed.to_string(), socket(&parsed)), (multiaddr.to_owned(), text.to_owned()));
            assert_eq!(address(multiaddr).unwrap(), parsed);
        }
        assert_eq!(address("nowhere").unwrap_err().code(), errors::NOT_FOUND);
    }
}
