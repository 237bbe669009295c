//! The server of the page against browsers that are led astray, and against who does not keep to its bounds.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use mass_page::{Backend, ChainSource, Page, Sources, serve};
use mass_rpc::{RpcModule, UriPath};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A node whose tip is what the number says; tip 2 has left block 1 behind.
fn node(tip: &Arc<AtomicU32>) -> Backend {
    let mut module = RpcModule::new(Arc::clone(tip));
    module
        .register_method(
            "mass_status",
            |_, tip, _| json!({ "tip": tip.load(Ordering::SeqCst).to_string(), "height": 5 }),
        )
        .unwrap();
    module
        .register_method("getblockheader", |params, _, _| {
            let left = params.one::<String>().is_ok_and(|id| id == "1");
            json!({ "height": 5, "confirmations": if left { -1 } else { 1 }, "previousblockhash": "0" })
        })
        .unwrap();
    module.register_method("getblockcount", |_, tip, _| tip.load(Ordering::SeqCst)).unwrap();
    module.register_method("getblockhash", |_, _, _| "x".repeat(1 << 20)).unwrap();
    module.register_method("stop", |_, _, _| -> Value { panic!("the page must not stop a node") }).unwrap();
    Backend::Here(module.into())
}

/// Wallets that say which of them is meant.
fn wallets() -> Backend {
    let mut module = RpcModule::new(());
    module
        .register_method("getbalance", |_, _, extensions| {
            extensions.get::<UriPath>().map(|path| path.0.clone())
        })
        .unwrap();
    Backend::Here(module.into())
}

async fn page(at: [u8; 4]) -> (Page, SocketAddr, Arc<AtomicU32>) {
    let tip = Arc::new(AtomicU32::new(1));
    let chain = ChainSource {
        name: "dev".to_owned(),
        chain_id: "00".to_owned(),
        ticker: "MASS".to_owned(),
        decimals: 7,
        slot_seconds: 3,
        node: node(&tip),
        wallet: Some(wallets()),
    };
    let sources = Sources { chains: vec![chain], farm: None };
    let page = serve((at, 0).into(), sources).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], page.address().port()));
    (page, address, tip)
}

fn token(page: &Page) -> String {
    page.url().split_once("#token=").expect("the URL has the token").1.to_owned()
}

async fn connect(address: SocketAddr) -> Socket {
    connect_async(format!("ws://{address}/ws")).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.next())
            .await
            .expect("an answer in time")?
        {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The answer of a request, or its error's code.
async fn ask(socket: &mut Socket, method: &str, params: Value) -> Result<Value, i64> {
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    socket.send(Message::text(request.to_string())).await.unwrap();
    let answer = next(socket).await.expect("an answer");
    assert_eq!(answer["id"], 7, "{answer}");
    match answer["error"]["code"].as_i64() {
        Some(code) => Err(code),
        None => Ok(answer["result"].clone()),
    }
}

/// The whole answer to the head of an HTTP request.
async fn http(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test]
async fn assets_come_with_the_policy_and_nothing_else_comes() {
    let (_page, address, _) = page([127, 0, 0, 1]).await;
    let get = async |path: &str| http(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await;
    let index = get("/").await;
    assert_eq!(status(&index), 200);
    let (head, body) = index.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("<!doctype html>") || body.contains("<!DOCTYPE html>"), "{body}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cache-control: no-cache",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert!(!head.contains("unsafe"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let known = http(address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: {tag}")).await;
    assert_eq!(status(&known), 304);
    for path in [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/assets/../../../Cargo.toml",
        "//etc/passwd",
        "/etc/passwd",
        "/.",
        "/index.html/",
        "/index.html%00.js",
        "/C:/windows",
        "/..\\Cargo.toml",
    ] {
        let answer = get(path).await;
        assert!([400, 404].contains(&status(&answer)), "{path}: {answer}");
        assert!(answer.contains("content-security-policy") || status(&answer) == 400, "{path}");
    }
    assert_eq!(
        status(&http(address, &format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0")).await),
        405
    );
}

#[tokio::test]
async fn a_name_that_is_pointed_here_and_a_page_from_elsewhere_get_nothing() {
    let (_page, address, _) = page([127, 0, 0, 1]).await;
    let port = address.port();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    for path in ["/", "/ws"] {
        for bad in [
            format!("Host: evil.example:{port}"),
            format!("Host: {address}\r\nOrigin: http://evil.example"),
            format!("Host: {address}\r\nOrigin: null"),
            format!("Host: {address}\r\nOrigin: http://localhost:{port}"),
            format!("Host: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: cross-site"),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\n{bad}\r\n{upgrade}");
            let answer = http(address, &head).await;
            assert_eq!(status(&answer), 403, "{bad}: {answer}");
        }
    }
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let ours = HeaderValue::try_from(format!("http://{address}")).unwrap();
    request.headers_mut().insert("origin", ours);
    let (mut socket, _) = connect_async(request).await.unwrap();
    assert!(ask(&mut socket, "page_info", json!({})).await.is_ok());
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    assert!(matches!(connect_async(request).await, Err(Error::Http(answer)) if answer.status() == 403));
}

#[tokio::test]
async fn what_changes_wants_the_token_and_what_is_not_listed_is_refused() {
    let (page, address, _) = page([127, 0, 0, 1]).await;
    let (token, mut socket) = (token(&page), connect(address).await);
    let info = ask(&mut socket, "page_info", json!({ "token": token })).await.unwrap();
    assert_eq!(
        (&info["chains"][0]["has_wallet"], &info["token"], &info["farm"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let wrong = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
    for (params, expected) in [
        (json!({ "to": "node:dev", "method": "getblockcount" }), Ok(json!(1))),
        (json!({ "to": "wallet:dev", "method": "getbalance" }), Err(-32001)),
        (json!({ "to": "wallet:dev", "method": "getbalance", "token": "" }), Err(-32001)),
        (json!({ "to": "wallet:dev", "method": "getbalance", "token": wrong }), Err(-32001)),
        (json!({ "to": "wallet:dev", "method": "getbalance", "token": token }), Ok(Value::Null)),
        (
            json!({ "to": "wallet:dev", "method": "getbalance", "wallet": "a", "token": token }),
            Ok(json!("/wallet/a")),
        ),
        (json!({ "to": "node:dev", "method": "stop", "token": token }), Err(-32002)),
        (json!({ "to": "node:dev", "method": "sendrawtransaction", "params": ["00"] }), Err(-32001)),
        (
            json!({ "to": "wallet:dev", "method": "listdescriptors", "params": [true], "token": token }),
            Err(-32002),
        ),
        (json!({ "to": "farm", "method": "mass_farmStatus" }), Err(-32003)),
        (json!({ "to": "node:nowhere", "method": "getblockcount" }), Err(-32003)),
        (json!({ "to": "node:dev" }), Err(-32602)),
        (json!({ "to": "node:dev", "method": "getblockcount", "more": 1 }), Err(-32602)),
    ] {
        assert_eq!(ask(&mut socket, "page_call", params.clone()).await, expected, "{params}");
    }
    assert_eq!(ask(&mut socket, "stop", json!([])).await, Err(-32601));
    assert_eq!(ask(&mut socket, "page_subscribe", json!({ "topics": ["weather"] })).await, Err(-32602));
    for text in ["", "5", "[]", "{", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"page_info\"}"] {
        socket.send(Message::text(text)).await.unwrap();
        let answer = next(&mut socket).await.expect("an answer");
        assert!(answer["error"]["code"].as_i64().is_some_and(|code| code <= -32600), "{text}: {answer}");
    }
}

#[tokio::test]
async fn on_a_listener_for_other_machines_all_wants_the_token_and_nothing_changes() {
    let (page, address, _) = page([0, 0, 0, 0]).await;
    let (token, mut socket) = (token(&page), connect(address).await);
    assert_eq!(ask(&mut socket, "page_info", json!({})).await, Err(-32001));
    assert_eq!(ask(&mut socket, "page_subscribe", json!({ "topics": [] })).await, Err(-32001));
    let info = ask(&mut socket, "page_info", json!({ "token": token })).await.unwrap();
    assert_eq!((&info["changes"], &info["chains"][0]["has_wallet"]), (&json!(false), &json!(false)));
    for (to, method, expected) in [
        ("node:dev", "getblockcount", Ok(json!(1))),
        ("wallet:dev", "getbalance", Err(-32002)),
        ("node:dev", "sendrawtransaction", Err(-32002)),
    ] {
        let call = json!({ "to": to, "method": method, "token": token });
        assert_eq!(ask(&mut socket, "page_call", call).await, expected, "{method}");
    }
    let call = json!({ "to": "node:dev", "method": "getblockcount" });
    assert_eq!(ask(&mut socket, "page_call", call).await, Err(-32001));
}

#[tokio::test]
async fn a_new_tip_is_told_with_the_blocks_that_were_left() {
    let (_page, address, tip) = page([127, 0, 0, 1]).await;
    let (mut looking, mut other) = (connect(address).await, connect(address).await);
    let topics = json!({ "topics": ["tip", "pool"] });
    assert_eq!(ask(&mut looking, "page_subscribe", topics.clone()).await, Ok(topics));
    assert!(ask(&mut other, "page_subscribe", json!({ "topics": ["farm"] })).await.is_ok());
    // The watch has to have seen the first tip.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    tip.store(2, Ordering::SeqCst);
    let event = next(&mut looking).await.expect("news");
    assert_eq!(event["method"], "page_event");
    let expected = json!({ "topic": "tip", "chain": "dev",
        "data": { "status": { "tip": "2", "height": 5 }, "left": [{ "hash": "1", "height": 5 }] } });
    assert_eq!(event["params"], expected);
    assert!(ask(&mut other, "page_info", json!({})).await.is_ok(), "nothing else came before");
}

#[tokio::test]
async fn messages_sessions_and_slow_readers_are_bounded() {
    let (_page, address, _) = page([127, 0, 0, 1]).await;
    let mut large = connect(address).await;
    let _ = large.send(Message::text("x".repeat((1 << 20) + 1))).await;
    assert_eq!(next(&mut large).await, None, "a message too long ends the session");
    let mut binary = connect(address).await;
    binary.send(Message::binary(vec![0; 10])).await.unwrap();
    assert_eq!(next(&mut binary).await, None);

    // Answers of 1 MiB each that nobody reads: the server stops reading, and does not collect them.
    let mut slow = connect(address).await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "page_call",
        "params": { "to": "node:dev", "method": "getblockhash" } });
    let flood = async {
        for _ in 0..100_000 {
            if slow.send(Message::text(call.to_string())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = flood => {}
        () = tokio::time::sleep(Duration::from_secs(40)) => panic!("who does not read is not dropped"),
    }

    let mut open = Vec::new();
    let refused = loop {
        match connect_async(format!("ws://{address}/ws")).await {
            Ok((socket, _)) => open.push(socket),
            Err(Error::Http(answer)) => break answer.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
        assert!(open.len() <= 32, "sessions have no bound");
    };
    assert_eq!(refused, 503);
    drop(open);
    // Places are free again.
    for _ in 0..100 {
        if connect_async(format!("ws://{address}/ws")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no place becomes free");
}
