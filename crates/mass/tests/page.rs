//! The page of a development network over its WebSocket: what runs behind it is all real.

mod processes;

use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use processes::{Home, PATIENCE, Process};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A page in a browser, but for the browser.
struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    token: String,
    events: Vec<Value>,
    id: u64,
}

impl Page {
    /// Waits for the address in the words of a process, and opens it.
    async fn open(process: &Process) -> Self {
        let start = Instant::now();
        let (address, token) = loop {
            let text = process.text();
            let mut words = text.split(|byte: char| byte.is_whitespace() || byte == '"');
            let url = words.find_map(|word| word.strip_prefix("http://")?.split_once("/#token="));
            if let Some((address, token)) = url {
                break (address.to_owned(), token.to_owned());
            }
            assert!(start.elapsed() < PATIENCE, "no page in: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (socket, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
        Self { socket, token, events: Vec::new(), id: 0 }
    }

    async fn message(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.expect("a message in time").expect("the page is there").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(reason) => panic!("{reason:?}"),
                _ => {}
            }
        }
    }

    /// The answer of a request; news that comes before it is kept.
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params });
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let mut message = self.message().await;
            if message["method"] == "page_event" {
                self.events.push(message["params"].take());
            } else if message["id"] == self.id {
                return match message["error"].take() {
                    Value::Null => Ok(message["result"].take()),
                    error => Err(error),
                };
            }
        }
    }

    async fn call(&mut self, to: &str, method: &str, params: Value) -> Value {
        let call = json!({ "to": to, "method": method, "params": params, "token": self.token });
        self.ask("page_call", call).await.unwrap_or_else(|error| panic!("{to} {method}: {error}"))
    }

    async fn wallet(&mut self, name: &str, method: &str, params: Value) -> Value {
        let token = &self.token;
        let call =
            json!({ "to": "wallet:dev", "wallet": name, "method": method, "params": params, "token": token });
        self.ask("page_call", call).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Waits for news.
    async fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(position) = self.events.iter().position(&wanted) {
                return self.events.swap_remove(position);
            }
            let mut message = self.message().await;
            if message["method"] == "page_event" {
                self.events.push(message["params"].take());
            }
        }
    }
}

/// A network of two chains; its output.
fn network(home: &Home) -> Process {
    let dir = home.path("net");
    let args = ["dev", "--nodes", "1", "--chains", "2", "--plots", "32", "--page", "127.0.0.1:0", "--dir"];
    let mut command = home.command(&args);
    command.arg(dir);
    Process::start(command, &home.path("net.out"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_network_is_seen_and_used_through_its_page() {
    let home = Home::new();
    let network = network(&home);
    let page = &mut Page::open(&network).await;
    let info = page.ask("page_info", json!({ "token": page.token })).await.unwrap();
    assert_eq!((&info["farm"], &info["changes"], &info["token"]), (&json!(true), &json!(true), &json!(true)));
    let names: Vec<&Value> = info["chains"].as_array().unwrap().iter().map(|chain| &chain["name"]).collect();
    assert_eq!(names, ["dev", "dev2"]);

    let topics = json!({ "topics": ["tip", "pool", "farm", "round", "plots", "peers"] });
    page.ask("page_subscribe", topics).await.unwrap();
    let tip = page.event(|event| event["topic"] == "tip" && event["chain"] == "dev").await;
    assert_eq!(tip["data"]["left"], json!([]));
    let round = page.event(|event| event["topic"] == "round" && event["data"]["milliseconds"].is_u64()).await;
    assert_eq!(round["data"]["chains"], json!(["dev", "dev2"]));
    network.reaches(3);
    // Each chain has its own luck: three blocks of the one are none of the other.
    page.event(|event| {
        event["topic"] == "tip"
            && event["chain"] == "dev2"
            && event["data"]["status"]["height"].as_u64() >= Some(1)
    })
    .await;
    look_at_farm(page).await;
    explore(page).await;
    plot(page).await;
    pay(page).await;
}

async fn look_at_farm(page: &mut Page) {
    let luck = page.call("farm", "mass_farmLuck", json!([])).await;
    for chain in luck["chains"].as_array().unwrap() {
        assert!(
            chain["wins"].as_u64().unwrap() >= 1 && chain["seconds_per_win"].as_f64().unwrap() > 0.0,
            "{chain}"
        );
        assert!(!chain["won"].as_array().unwrap().is_empty());
    }
    let rounds = page.call("farm", "mass_farmRounds", json!([3])).await;
    assert!(rounds["rounds"].as_array().unwrap().len() <= 3);
    let status = page.call("farm", "mass_farmStatus", json!([])).await;
    assert_eq!(status["disks"][0]["plots"], 32);
    assert!(
        page.call("farm", "mass_farmReads", json!([])).await["disks"][0]["reads_per_hour"].as_f64().unwrap()
            > 0.0
    );
}

async fn explore(page: &mut Page) {
    let chart = page.call("node:dev", "mass_chart", json!([100, 10])).await;
    let last = chart["points"].as_array().unwrap().last().unwrap();
    assert_eq!(last["height"], chart["tip"]);
    assert_eq!(last["supply"].as_u64(), chart["tip"].as_u64().map(|tip| tip * 10_240_000_000));
    let hash = page.call("node:dev", "getblockhash", json!([2])).await;
    let sealed = page.call("node:dev", "mass_sealed", json!([hash])).await;
    assert_eq!((&sealed["hash"], &sealed["height"]), (&hash, &json!(2)));
    let parent = page.call("node:dev", "getblockhash", json!([1])).await;
    assert_eq!(sealed["parent"]["hash"], parent);
    assert!(sealed["sealed"].as_str().unwrap().len() > 160);
    let farmer = sealed["farmer"].clone();
    let rewards = page.call("node:dev", "mass_rewards", json!([farmer])).await;
    assert!(rewards[0]["blocks"].as_u64().unwrap() >= 3, "{rewards}");
    assert_eq!(page.call("node:dev", "mass_feeBands", json!([])).await.as_array().unwrap().len(), 16);
    assert!(page.call("node:dev", "mass_forks", json!([])).await["forks"].is_array());
    let spec = page.call("node:dev", "mass_spec", json!([])).await;
    assert!(spec.as_str().unwrap().contains("interval_slots"));
}

/// Plots are begun, held, let go and ended.
async fn plot(page: &mut Page) {
    let plotting = page.call("farm", "mass_farmPlotting", json!([])).await;
    let disk = plotting[0]["disk"].clone();
    let order = json!({ "disk": disk, "plots": 10_000, "group": 4 });
    let unasked = json!({ "to": "farm", "method": "mass_farmPlot", "params": [order] });
    assert_eq!(page.ask("page_call", unasked).await.unwrap_err()["code"], -32001);
    page.call("farm", "mass_farmPlot", json!([order])).await;
    let is_job = |event: &Value| event["topic"] == "plots" && event["data"][0]["job"].is_object();
    page.event(|event| is_job(event) && event["data"][0]["job"]["percent"].as_f64() > Some(0.0)).await;
    assert_eq!(page.call("farm", "mass_farmPlotPause", json!([disk])).await, true);
    page.event(|event| is_job(event) && event["data"][0]["paused"] == true).await;
    assert_eq!(page.call("farm", "mass_farmPlotResume", json!([disk])).await, true);
    assert_eq!(page.call("farm", "mass_farmPlotStop", json!([disk])).await, true);
    page.event(|event| is_job(event) && event["data"][0]["job"]["is_over"] == true).await;
}

/// A payment is sent from the faucet, seen in the pool, and confirmed.
async fn pay(page: &mut Page) {
    let names = page.call("wallet:dev", "listwalletdir", json!([])).await;
    assert!(names.to_string().contains("faucet"), "{names}");
    page.call("wallet:dev", "loadwallet", json!(["faucet"])).await;
    page.call("wallet:dev", "createwallet", json!(["mine"])).await;
    let address = page.wallet("mine", "getnewaddress", json!([])).await;
    let txid = page.wallet("faucet", "sendtoaddress", json!([address, 1.5])).await;
    let start = Instant::now();
    while page.wallet("mine", "getbalance", json!([])).await != json!(1.5) {
        assert!(start.elapsed() < PATIENCE, "{txid} is not confirmed");
        page.event(|event| event["topic"] == "tip" && event["chain"] == "dev").await;
    }
    let found = page.call("node:dev", "mass_address", json!([address])).await;
    assert_eq!((&found["balance"], &found["transactions"][0]["txid"]), (&json!(15_000_000), &txid));
    page.call("wallet:dev", "unloadwallet", json!(["faucet"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_a_node_serves_is_on_its_page_as_well() {
    let home = Home::new();
    home.json(&["wallet", "create", "--no-passphrase"]);
    let node = home.node_with("node", &[], &["--wallet", "default", "--page", "127.0.0.1:0"]);
    let page = &mut Page::open(&node.process).await;
    assert_eq!(page.call("wallet:dev", "listwallets", json!([])).await, json!(["default"]));
    let address = page.wallet("default", "getnewaddress", json!([])).await;
    let info: Value = mass_rpc::call(&node.client, "getaddressinfo", vec![address.clone()]).await.unwrap();
    assert_eq!((&info["address"], &info["ismine"]), (&address, &json!(true)));
}
