//! Hostile requests over the loopback interface: who has no password, a wrong one, another name for this machine, a page, too
//! much, or too little too slowly.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mass_rpc::{
    Access, BATCH_MAX, BODY_BYTES_MAX, ClientError, Login, RpcModule, RpcResult, ServeError, ServerHandle,
    User, call, client, client_as, metrics, serve,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// `ann:secret` as HTTP has it.
const ANN: &str = "authorization: Basic YW5uOnNlY3JldA==\r\n";

/// A server with `read` and `stop`, and how often either was called.
struct Served {
    addr: SocketAddr,
    calls: Arc<AtomicUsize>,
    _handle: ServerHandle,
}

async fn served(access: Access) -> Served {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut module = RpcModule::new(Arc::clone(&calls));
    for name in ["read", "stop"] {
        let count = |_: jsonrpsee::types::Params<'_>, calls: &Arc<AtomicUsize>, _: &_| {
            RpcResult::Ok(calls.fetch_add(1, Ordering::Relaxed))
        };
        module.register_method(name, count).unwrap();
    }
    let (addr, handle) =
        serve("127.0.0.1:0".parse().unwrap(), module, metrics::none(), access).await.unwrap();
    Served { addr, calls, _handle: handle }
}

fn ann() -> Access {
    Access { users: vec![User::new("ann", "secret").unwrap()], ..Access::default() }
}

impl Served {
    /// Sends a request; the status and the whole answer. The server must close the connection, or is told to.
    async fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let text = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{head}: {answer}")), answer)
    }

    async fn post(&self, headers: &str, body: &Value) -> (u16, String) {
        let head =
            format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{headers}", self.addr);
        self.ask(&head, &body.to_string()).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn request(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] })
}

#[tokio::test]
async fn without_the_right_password_nothing_is_called() {
    let server = served(ann()).await;
    let wrong = [
        "",
        "authorization: Basic YW5uOndyb25n\r\n",
        "authorization: Basic YW5uOg==\r\n",
        "authorization: Basic Om5vYm9keQ==\r\n",
        "authorization: Basic X19jb29raWVfXzo=\r\n",
        "authorization: Basic \r\n",
        "authorization: Basic ====\r\n",
        "authorization: Bearer YW5uOnNlY3JldA==\r\n",
        "authorization: \r\n",
        // The first one counts, so that two readers of the request cannot differ.
        "authorization: Basic YW5uOndyb25n\r\nauthorization: Basic YW5uOnNlY3JldA==\r\n",
    ];
    for headers in wrong {
        let (status, answer) = server.post(headers, &request("stop")).await;
        assert_eq!(status, 401, "{headers}");
        assert!(answer.to_ascii_lowercase().contains("www-authenticate: basic"), "{answer}");
    }
    let socket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (status, _) = server.ask(&format!("GET / HTTP/1.1\r\nhost: {}\r\n{socket}", server.addr), "").await;
    assert_eq!((status, server.calls()), (401, 0));
    let (status, _) = server.post(ANN, &request("read")).await;
    assert_eq!((status, server.calls()), (200, 1));
}

/// Guessing is slow: a wrong password waits for its answer, and a right one does not.
#[tokio::test]
async fn a_wrong_password_is_answered_late() {
    let server = served(ann()).await;
    let begun = std::time::Instant::now();
    server.post("authorization: Basic YW5uOndyb25n\r\n", &request("read")).await;
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn names_and_pages_of_elsewhere_are_refused_even_with_the_password() {
    let server = served(Access { hosts: vec!["node.example".to_owned()], ..ann() }).await;
    let body = request("stop").to_string();
    let port = server.addr.port();
    let hosts = [
        "host: evil.example\r\n".to_owned(),
        format!("host: 127.0.0.1.evil.example:{port}\r\n"),
        "host: node.example.evil\r\n".to_owned(),
        "host: \r\n".to_owned(),
        String::new(),
        format!("host: 127.0.0.1:{port}\r\nhost: evil.example\r\n"),
    ];
    for host in hosts {
        let head = format!("POST / HTTP/1.1\r\n{host}content-type: application/json\r\n{ANN}");
        let (status, _) = server.ask(&head, &body).await;
        assert!([400, 403].contains(&status), "{host}: {status}");
        let (status, _) = server.ask(&format!("GET /metrics HTTP/1.1\r\n{host}"), "").await;
        assert!([400, 403].contains(&status), "{host}: {status}");
    }
    // The name in the line of the request counts as well.
    let head = format!(
        "POST http://evil.example/ HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{ANN}"
    );
    assert_eq!(server.ask(&head, &body).await.0, 403);
    for origin in
        ["http://evil.example", "null", "http://localhost.evil.example", "https://127.0.0.1.evil.example"]
    {
        let (status, answer) = server.post(&format!("{ANN}origin: {origin}\r\n"), &request("stop")).await;
        assert_eq!(status, 403, "{origin}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        let ask = format!(
            "OPTIONS / HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n",
            server.addr
        );
        let (status, answer) = server.ask(&ask, "").await;
        assert!(status == 403 && !answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    }
    assert_eq!(server.calls(), 0);
    for host in ["localhost", "node.example:8080", "10.0.0.1", "[::1]:5"] {
        let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{ANN}");
        assert_eq!(server.ask(&head, &request("read").to_string()).await.0, 200, "{host}");
    }
}

/// What a page may send without asking first has another content type.
#[tokio::test]
async fn what_is_no_json_is_refused() {
    let server = served(ann()).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n{ANN}");
        let (status, _) = server.ask(&head, &request("stop").to_string()).await;
        assert_eq!((status, server.calls()), (415, 0), "{kind}");
    }
}

#[tokio::test]
async fn requests_and_batches_have_limits() {
    let server = served(ann()).await;
    // What says that it is too long is refused before any of it comes.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{ANN}content-length: {}\r\n\r\n{{",
        BODY_BYTES_MAX + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    let many = Value::Array(vec![request("read"); BATCH_MAX as usize + 1]);
    let (_, answer) = server.post(ANN, &many).await;
    assert!(answer.contains("batch"), "{answer}");
    let mut deep = "[".repeat(100_000);
    deep.push_str(&"]".repeat(100_000));
    let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{ANN}");
    let (_, answer) = server.ask(&head, &deep).await;
    assert!(answer.contains("error"), "{answer}");
    assert_eq!(server.calls(), 0);
    let some = Value::Array(vec![request("read"); BATCH_MAX as usize]);
    assert_eq!(server.post(ANN, &some).await.0, 200);
    assert_eq!(server.calls(), BATCH_MAX as usize);
}

#[tokio::test]
async fn anybody_may_call_what_is_public_and_nothing_else() {
    let server = served(Access { public: BTreeSet::from(["read".to_owned()]), ..ann() }).await;
    let body = Value::Array(vec![request("read"), request("read")]);
    assert_eq!(server.post("", &request("read")).await.0, 200);
    assert_eq!(server.post("", &body).await.0, 200);
    assert_eq!(server.post("", &json!({ "method": "read", "id": 1 })).await.0, 200);
    assert_eq!(server.calls(), 4);
    let mixed = Value::Array(vec![request("read"), request("stop")]);
    for body in
        [request("stop"), mixed, request("rpc.discover"), json!([]), json!({}), json!([[request("read")]])]
    {
        let (status, _) = server.post("", &body).await;
        assert!([400, 401, 200].contains(&status), "{body}: {status}");
        assert_eq!(server.calls(), 4, "{body}");
    }
    assert_eq!(server.post("", &request("stop")).await.0, 401);
    // Who says a wrong name is not anybody.
    assert_eq!(server.post("authorization: Basic YW5uOndyb25n\r\n", &request("read")).await.0, 401);
    assert_eq!(server.post(ANN, &request("stop")).await.0, 200);
}

#[tokio::test]
async fn a_client_says_who_it_is_by_url_file_or_cookie() {
    let dir = tempfile::tempdir().unwrap();
    let mut access = Access::in_dir(dir.path(), false);
    access.users = ann().users;
    let server = served(access).await;
    let url = format!("http://{}", server.addr);
    let read = async |login: Login| {
        let client = client_as(&url, login, Duration::from_secs(10)).unwrap();
        call(&client, "read", vec![]).await
    };
    let other = dir.path().join("other");
    std::fs::write(&other, "ann:secret\n").unwrap();
    for login in
        [Login::Port(server.addr.port()), Login::File(dir.path().join(".cookie")), Login::File(other.clone())]
    {
        read(login).await.unwrap();
    }
    let with_url = client(&url.replace("http://", "http://ann:secret@")).unwrap();
    call(&with_url, "read", vec![]).await.unwrap();
    // This process's own server is found.
    call(&client(&url).unwrap(), "read", vec![]).await.unwrap();
    std::fs::write(&other, "ann:old\n").unwrap();
    for (login, says) in [
        (Login::File(other.clone()), "does not take the one in"),
        (Login::File(dir.path().join("none")), "No such file"),
        (Login::None, "no cookie of it is found"),
    ] {
        let error = read(login).await.unwrap_err();
        assert!(matches!(error, ClientError::Transport(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // A file that changes is read again: a node makes a new cookie at each start.
    let client = client_as(&url, Login::File(other.clone()), Duration::from_secs(10)).unwrap();
    call(&client, "read", vec![]).await.unwrap_err();
    std::fs::write(&other, "ann:secret").unwrap();
    call(&client, "read", vec![]).await.unwrap();
}

#[tokio::test]
async fn other_machines_are_served_only_if_they_could_call() {
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let module = || RpcModule::new(());
    let error = serve(anywhere, module(), metrics::none(), Access::default()).await.unwrap_err();
    assert!(matches!(error, ServeError::NotLoopback(_)), "{error}");
    serve(anywhere, module(), metrics::none(), ann()).await.unwrap();
}
