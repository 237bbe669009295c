//! What clients say to a node: lines of the Electrum protocol, paths of Esplora, calls of RPC with whatever parameters.
//! The node is a real one and the sockets are, too: it answers or hangs up, soon, and none of its tasks panics.
#![no_main]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{LazyLock, Mutex},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{FaceArgs, Faces, NodeConfig, NodeHandle, start_asked};
use mass_rpc::Login;
use serde_json::{Value, json};

/// No answer takes as long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Methods that end the node, dial others or wait for blocks.
const LEFT_OUT: [&str; 6] =
    ["stop", "addnode", "setnetworkactive", "waitforblock", "waitfornewblock", "waitforblockheight"];

const ELECTRUM: [&str; 14] = [
    "server.version",
    "blockchain.block.header",
    "blockchain.block.headers",
    "blockchain.estimatefee",
    "blockchain.headers.subscribe",
    "blockchain.scripthash.get_balance",
    "blockchain.scripthash.get_history",
    "blockchain.scripthash.listunspent",
    "blockchain.scripthash.subscribe",
    "blockchain.scripthash.unsubscribe",
    "blockchain.transaction.broadcast",
    "blockchain.transaction.get",
    "blockchain.transaction.get_merkle",
    "blockchain.transaction.id_from_pos",
];

const PATHS: [&str; 16] = [
    "/blocks/{}",
    "/block-height/{}",
    "/block/{}",
    "/block/{}/header",
    "/block/{}/txs/{}",
    "/block/{}/txid/{}",
    "/tx/{}",
    "/tx/{}/status",
    "/tx/{}/merkle-proof",
    "/tx/{}/merkleblock-proof",
    "/tx/{}/outspend/{}",
    "/address/{}",
    "/address/{}/txs/chain/{}",
    "/scripthash/{}/utxo",
    "/scripthash/{}/txs/chain/{}",
    "/{}",
];

/// A node and its clients.
struct World {
    electrum: Mutex<Client>,
    esplora: Mutex<Client>,
    rpc: Mutex<Client>,
    methods: Vec<String>,
    _node: (tokio::runtime::Runtime, NodeHandle, Faces),
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join("mass-fuzz-node-faces");
    // What a run before has left.
    let _ = std::fs::remove_dir_all(&dir);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let args = FaceArgs { electrum: Some(any), esplora: Some(any), ..FaceArgs::default() };
    let mut config = NodeConfig::new(ChainSpec::built_in("dev").expect("it is built in"), dir);
    args.prepare(&mut config);
    let (handle, faces) = runtime.block_on(async {
        let (handle, queries) = start_asked::<UtxoLedger>(config).await.expect("the node starts");
        (handle, args.start(queries).await.expect("the servers start"))
    });
    let at = |name: &str| faces.listen.iter().find(|(known, _)| *known == name).expect("it listens").1;
    let mut rpc = Client::new(handle.rpc);
    let help = rpc.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "help" }).to_string());
    let help: Value = serde_json::from_slice(&help).expect("help is JSON");
    let names = help["result"].as_str().expect("a text").lines().filter(|line| !line.starts_with("=="));
    let names = names.filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    let methods = names.filter(|name| !LEFT_OUT.contains(name)).map(str::to_owned).collect();
    let [electrum, esplora] = ["electrum", "esplora"].map(|name| Mutex::new(Client::new(at(name))));
    World { electrum, esplora, rpc: Mutex::new(rpc), methods, _node: (runtime, handle, faces) }
});

/// A connection that is made again when the other end hangs up.
struct Client {
    addr: SocketAddr,
    login: String,
    stream: Option<BufReader<TcpStream>>,
    count: u64,
}

impl Client {
    fn new(addr: SocketAddr) -> Self {
        let login = Login::Port(addr.port()).header();
        let login = login.map_or_else(String::new, |login| login.to_str().expect("it is ASCII").to_owned());
        Self { addr, login, stream: None, count: 0 }
    }

    fn stream(&mut self) -> &mut BufReader<TcpStream> {
        self.stream.get_or_insert_with(|| {
            let stream = TcpStream::connect(self.addr).expect("the server takes connections");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
            BufReader::new(stream)
        })
    }

    /// Sends a line, and waits for the answer to a ping behind it, or for the end of the connection.
    fn line(&mut self, line: &[u8]) {
        self.count += 1;
        let mark = format!("\"mark-{}\"", self.count);
        let ping = format!("\n{{\"id\":{mark},\"method\":\"server.ping\"}}\n");
        let stream = self.stream();
        let sent = stream.get_mut().write_all(&[line, ping.as_bytes()].concat());
        let mut answer = String::new();
        while sent.is_ok() {
            answer.clear();
            match stream.read_line(&mut answer) {
                Ok(length) if length > 0 => {
                    let parsed: Value = serde_json::from_str(&answer).expect("each line is JSON");
                    if answer.contains(&mark) && parsed.get("result").is_some() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer: {error}"),
                _ => break,
            }
        }
        self.stream = None;
    }

    /// Sends a request over HTTP; the body of the answer.
    fn http(&mut self, request: &[u8]) -> Vec<u8> {
        let stream = self.stream();
        let body = match stream.get_mut().write_all(request) {
            Ok(()) => read_http(stream),
            Err(_) => None,
        };
        body.unwrap_or_else(|| {
            self.stream = None;
            Vec::new()
        })
    }

    fn post(&mut self, body: &str) -> Vec<u8> {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.addr,
            self.login,
            body.len()
        );
        self.http((head + body).as_bytes())
    }
}

/// The body of an answer; nothing if the connection ends or is about to.
fn read_http(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        match stream.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer: {error}"),
            Err(_) => return None,
        }
        let line = line.trim().to_lowercase();
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
        if line == "connection: close" {
            return None;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Takes values out of the fuzzer's bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        let count = usize::from(self.byte() % 9);
        let taken = self.take(count);
        bytes[..taken.len()].copy_from_slice(taken);
        i64::from_le_bytes(bytes)
    }

    fn text(&mut self) -> String {
        let count = usize::from(self.byte());
        let bytes = self.take(count);
        match count % 3 {
            0 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            1 => format!(
                "{:0>64}",
                bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect::<String>()
            ),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    fn value(&mut self, depth: u8) -> Value {
        match self.byte() % 12 {
            0 => Value::Null,
            1 => json!(self.byte() % 2 == 0),
            2 | 3 => json!(self.number()),
            4 => json!(self.number() as f64 / 1e7),
            5 if depth < 4 => {
                json!({ self.text(): self.value(depth + 1), self.text(): self.value(depth + 1) })
            }
            6 | 7 if depth < 4 => self.values(depth + 1),
            _ => json!(self.text()),
        }
    }

    fn values(&mut self, depth: u8) -> Value {
        let count = self.byte() % 5;
        (0..count).map(|_| self.value(depth)).collect()
    }
}

fn electrum(bytes: &mut Bytes<'_>) {
    let which = usize::from(bytes.byte());
    let line = match ELECTRUM.get(which) {
        Some(method) => {
            json!({ "id": bytes.number(), "method": method, "params": bytes.values(0) }).to_string()
        }
        // A line as it comes.
        None => String::from_utf8_lossy(bytes.0).replace(['\n', '\r'], " "),
    };
    WORLD.electrum.lock().expect("no test has panicked").line(line.as_bytes());
}

fn esplora(bytes: &mut Bytes<'_>) {
    let mut path = PATHS[usize::from(bytes.byte()) % PATHS.len()].to_owned();
    while path.contains("{}") {
        let text = bytes.text();
        let escaped: String = text
            .bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'-' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        path = path.replacen("{}", &escaped, 1);
    }
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let _ = WORLD.esplora.lock().expect("no test has panicked").http(request.as_bytes());
}

fn rpc(bytes: &mut Bytes<'_>) {
    let method = &WORLD.methods[usize::from(bytes.byte()) % WORLD.methods.len()];
    let params = if bytes.byte() == 255 {
        String::from_utf8_lossy(bytes.0).into_owned()
    } else {
        bytes.values(0).to_string()
    };
    let version = if params.len() % 2 == 0 { r#""jsonrpc":"2.0","# } else { "" };
    let body = format!(r#"{{{version}"id":1,"method":"{method}","params":{params}}}"#);
    let answer = WORLD.rpc.lock().expect("no test has panicked").post(&body);
    assert!(answer.is_empty() || serde_json::from_slice::<Value>(&answer).is_ok(), "an answer is JSON");
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.byte() % 3 {
        0 => electrum(&mut bytes),
        1 => esplora(&mut bytes),
        _ => rpc(&mut bytes),
    }
});
