//! A node with nothing behind it, served and called over the loopback interface.

use std::net::SocketAddr;

use mass_consensus::spec::ChainSpec;
use mass_primitives::{Amount, BlockId, FarmerPublicKey, Height, SealSignature, Seed, Slot, VrfProof};
use mass_rpc::{
    Access, Ban, CheckpointStatus, CoinsClient, CoinsServer, HttpClient, LastSeal, MassClient, MassServer,
    Pending, RpcResult, ServeError, ServerHandle, Status, Supply, User, Work, async_trait, client, errors,
    serve,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TIP: BlockId = BlockId::new([7; 32]);
const FARMER: FarmerPublicKey = FarmerPublicKey::new([5; 32]);

struct Fake;

fn work() -> Work {
    let spec = ChainSpec::built_in("dev").unwrap();
    Work {
        chain: *spec.id(),
        tip: TIP,
        height: Height::new(3),
        after: Slot::new(20),
        seed: Seed::new([1; 32]),
        difficulty: u128::MAX.to_string(),
        now: Slot::new(24),
        sealed: None,
    }
}

fn status() -> Status {
    Status {
        version: Some("1.2.3".to_owned()),
        name: "dev".to_owned(),
        chain: work().chain,
        height: Height::new(2),
        tip: TIP,
        peers: 1,
        reorgs: 0,
        mempool: 4,
        netspace_bytes: "1000".to_owned(),
        synced: true,
        listen: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
        banned: 1,
        checkpoint: Some(CheckpointStatus { height: Height::new(1), id: TIP, reached: true }),
    }
}

const SUPPLY: Supply = Supply {
    issued: Amount::new(9),
    burned: Amount::new(1),
    genesis: Amount::new(2),
    pending: Amount::new(3),
};

#[async_trait]
impl MassServer for Fake {
    async fn work(&self, _: Option<FarmerPublicKey>, _: Option<Work>) -> RpcResult<Work> {
        Ok(work())
    }
    async fn prepare_block(&self, claim: String, payout: String) -> RpcResult<String> {
        Ok(claim + &payout)
    }
    async fn submit_seal(&self, _: String, proof: VrfProof, signature: SealSignature) -> RpcResult<BlockId> {
        assert_eq!((proof, signature), (VrfProof::new([2; 96]), SealSignature::new([3; 64])));
        Ok(TIP)
    }
    async fn status(&self) -> RpcResult<Status> {
        Ok(status())
    }
    async fn bans(&self) -> RpcResult<Vec<Ban>> {
        Ok(vec![Ban { farmer: FARMER, height: Height::new(1) }])
    }
    async fn last_seal(&self, farmer: FarmerPublicKey) -> RpcResult<Option<LastSeal>> {
        let seal = LastSeal { slot: Slot::new(6), height: Height::new(2), id: TIP };
        Ok((farmer == FARMER).then_some(seal))
    }
    async fn blocks(&self, from: Height, max: u32) -> RpcResult<Vec<String>> {
        if from == Height::ZERO {
            return Err(errors::rejected("the genesis block has no seal"));
        }
        Ok(vec![format!("{from} {max}")])
    }
}

#[async_trait]
impl CoinsServer for Fake {
    async fn pending_to(&self, addresses: Vec<String>) -> RpcResult<Vec<Pending>> {
        let pending = |address| Pending { height: Height::new(1), amount: Amount::ZERO, address };
        Ok(addresses.into_iter().map(pending).collect())
    }
    async fn supply(&self) -> RpcResult<Supply> {
        Ok(SUPPLY)
    }
    async fn pending(&self, farmer: FarmerPublicKey) -> RpcResult<Vec<Pending>> {
        assert_eq!(farmer, FARMER);
        Ok(vec![Pending { height: Height::new(1), amount: Amount::new(5), address: "a".to_owned() }])
    }
}

async fn start() -> (SocketAddr, ServerHandle, HttpClient) {
    let mut methods = MassServer::into_rpc(Fake);
    methods.merge(CoinsServer::into_rpc(Fake)).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let access = Access { users: vec![User::new("ann", "secret").unwrap()], ..Access::default() };
    let (addr, handle) = serve(address, methods, mass_rpc::metrics::none(), access).await.unwrap();
    (addr, handle, client(&format!("http://{addr}")).unwrap())
}

#[tokio::test]
async fn the_client_gets_what_the_node_answers() {
    let (_, handle, node) = start().await;
    assert_eq!(node.work(Some(FARMER), Some(work())).await.unwrap(), work());
    assert_eq!(node.status().await.unwrap(), status());
    assert_eq!(node.supply().await.unwrap(), SUPPLY);
    assert_eq!(node.bans().await.unwrap(), [Ban { farmer: FARMER, height: Height::new(1) }]);
    assert_eq!(node.pending(FARMER).await.unwrap().len(), 1);
    assert_eq!(node.last_seal(FARMER).await.unwrap().unwrap().slot, Slot::new(6));
    assert_eq!(node.last_seal(FarmerPublicKey::ZERO).await.unwrap(), None);
    assert_eq!(node.prepare_block("ab".to_owned(), "cd".to_owned()).await.unwrap(), "abcd");
    let (proof, signature) = (VrfProof::new([2; 96]), SealSignature::new([3; 64]));
    assert_eq!(node.submit_seal(String::new(), proof, signature).await.unwrap(), TIP);
    assert_eq!(node.blocks(Height::new(3), 4).await.unwrap(), ["3 4"]);
    handle.stop().unwrap();
    handle.stopped().await;
    assert!(node.status().await.is_err());
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let serve_at =
        |addr| serve(addr, MassServer::into_rpc(Fake), mass_rpc::metrics::none(), Access::default());
    let error = serve_at(addr).await.unwrap_err();
    assert!(matches!(error, ServeError::InUse(at) if at == addr), "{error}");
    assert!(error.to_string().starts_with(&format!("{addr} is in use")));
    let error = serve_at("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ServeError::NotLoopback(_)), "{error}");
}

async fn post(addr: SocketAddr, body: &str) -> Value {
    let (_, answer) = post_to(addr, &addr.to_string(), body).await;
    serde_json::from_str(&answer).unwrap()
}

/// `ann:secret` as HTTP has it.
const ANN: &str = "Basic YW5uOnNlY3JldA==";

/// Asks for `host`; the status line and the body of the answer.
async fn post_to(addr: SocketAddr, host: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nauthorization: {ANN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// A page whose name was made to point at this machine asks under its own name.
#[tokio::test]
async fn a_foreign_host_name_is_refused() {
    let (addr, _handle, _) = start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"stop","params":[]}"#;
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
        let (status, _) = post_to(addr, host, body).await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{host}");
    }
    for host in [format!("localhost:{}", addr.port()), addr.to_string()] {
        let (status, _) = post_to(addr, &host, body).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{host}");
    }
}

#[tokio::test]
async fn garbage_is_answered_with_an_error() {
    let (addr, _handle, _) = start().await;
    assert_eq!(post(addr, "garbage").await["error"]["code"], -32700);
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"gettransaction","params":[]}"#;
    assert_eq!(post(addr, unknown).await["error"]["code"], -32601);
    let wrong = r#"{"jsonrpc":"2.0","id":1,"method":"mass_lastSeal","params":["zz"]}"#;
    assert_eq!(post(addr, wrong).await["error"]["code"], -32602);
    let named =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mass_lastSeal","params":{{"farmer":"{FARMER}"}}}}"#);
    assert_eq!(post(addr, &named).await["result"]["height"], 2);
}

/// As python-bitcoinrpc, curl by Bitcoin Core's examples, and older bitcoin-cli ask.
#[tokio::test]
async fn requests_of_version_one_are_answered_in_its_way() {
    let (addr, _handle, _) = start().await;
    let host = addr.to_string();
    for version in [r#""version":"1.1","#, r#""jsonrpc":"1.0","#, ""] {
        let request = |method: &str| format!(r#"{{{version}"id":"a","method":"{method}","params":[]}}"#);
        let (status, body) = post_to(addr, &host, &request("mass_bans")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status.as_str(), &answer["error"], &answer["id"]),
            ("HTTP/1.1 200 OK", &Value::Null, &json!("a"))
        );
        assert_eq!(answer["result"][0]["height"], 1);
        assert!(answer.get("error").is_some() && answer.get("jsonrpc").is_none());
        let (status, body) = post_to(addr, &host, &request("nothing")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status.as_str(), &answer["error"]["code"]), ("HTTP/1.1 404 Not Found", &json!(-32601)));
        assert!(answer["result"].is_null() && answer.get("result").is_some());
        let batch = post(addr, &format!("[{},{}]", request("mass_bans"), request("nothing"))).await;
        assert_eq!((&batch[0]["error"], &batch[1]["error"]["code"]), (&Value::Null, &json!(-32601)));
    }
    let (status, body) = post_to(addr, &host, r#"{"id":1,"method":"mass_blocks","params":[0,1]}"#).await;
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["code"], errors::REJECTED);
}

/// A browser lets any page open a WebSocket to this machine.
#[tokio::test]
async fn a_page_from_elsewhere_gets_no_websocket() {
    let (addr, _handle, _) = start().await;
    let open = async |origin: String| {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: {addr}\r\nauthorization: {ANN}\r\nconnection: upgrade\r\nupgrade: websocket\r\n{origin}\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    for origin in
        ["http://evil.example", "http://localhost.evil.example", "null", "https://127.0.0.1.evil.example"]
    {
        assert_eq!(open(format!("origin: {origin}\r\n")).await, "HTTP/1.1 403", "{origin}");
    }
    for origin in ["", "origin: http://localhost:5173\r\n", "origin: http://127.0.0.1\r\n"] {
        assert_eq!(open(origin.to_owned()).await, "HTTP/1.1 101", "{origin}");
    }
}
