//! What who runs a node relies on: readiness, a log that is told by machines, no errors where all is well, an end within
//! seconds, and a cookie that goes with the node.

mod processes;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use mass_rpc::{HealthClient as _, Login, MassClient as _, client_as};
use processes::{Home, Process, agree};
use serde_json::Value;

/// The longest that an end may take.
const END_MAX: Duration = Duration::from_secs(5);

fn get(addr: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The lines of the log among all that a process has written.
fn log(process: &Process) -> Vec<Value> {
    process.events().into_iter().filter(|line| line.get("level").is_some()).collect()
}

#[tokio::test]
async fn a_node_tells_how_it_is_and_ends_in_seconds() {
    let home = Home::new();
    let more = ["--metrics", "127.0.0.1:0", "--log", "info,mass_node=debug", "--log-format", "json"];
    let mut one = home.node_with("one", &[], &more);
    let two = home.node_with("two", &[&one], &more);
    agree(&[&one, &two]).await;

    let cookie = home.path("one").join(".cookie");
    let health = one.client.health().await.unwrap();
    assert!(health.memory_bytes > Some(1 << 20) && health.database_bytes > 0 && health.free_bytes > Some(0));
    let stranger = client_as(&one.url, Login::None, Duration::from_secs(5)).unwrap();
    assert!(stranger.status().await.unwrap_err().to_string().contains("asks for a password"));

    let pages =
        one.started["metrics"].as_str().unwrap().trim_start_matches("http://").trim_end_matches("/metrics");
    let rpc = one.url.trim_start_matches("http://").to_owned();
    for addr in [pages, &rpc] {
        assert_eq!(get(addr, "/health"), (200, r#"{"healthy":true,"problems":[]}"#.to_owned()));
        let (status, page) = get(addr, "/metrics");
        assert!(
            status == 200
                && page.contains("mass_node_ready")
                && page.contains("process_resident_memory_bytes")
        );
        let (status, ready) = get(addr, "/ready");
        // The genesis block of `dev` is old: nobody farms here, and that is told with its reason.
        assert!(status == 503 && ready.contains("the newest block is"), "{status} {ready}");
    }
    assert!([401, 405, 404].contains(&get(&rpc, "/").0));

    let status = processes::output(&mut home.command(&["node", "status", "--check", "--node", &one.url]));
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.status.success() && text.starts_with("NOT all is well\n"), "{text}");
    assert!(text.lines().count() <= 12 && text.contains("\ndo        see that the clock is right"), "{text}");

    // It ends with a peer, and with a client in the middle of a request.
    let mut hanging = TcpStream::connect(&rpc).unwrap();
    hanging.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n").unwrap();
    let begun = Instant::now();
    one.process.signal("TERM");
    assert_eq!(one.process.ended().await, Some(0));
    assert!(begun.elapsed() < END_MAX, "{:?}", begun.elapsed());
    assert!(!cookie.exists(), "the cookie goes with the node");

    let lines = log(&one.process);
    assert!(
        !lines.is_empty()
            && lines.iter().all(|line| line["target"].is_string() && line["timestamp"].is_string())
    );
    let loud: Vec<&Value> =
        lines.iter().filter(|line| line["level"] == "ERROR" || line["level"] == "WARN").collect();
    assert!(loud.is_empty(), "normal events are no errors: {loud:?}");
}

/// A second node in the same directory leaves the first one's cookie alone.
#[tokio::test]
async fn one_node_to_a_directory() {
    let home = Home::new();
    let node = home.node("one", &[]);
    let dir = home.path("one");
    let args = ["node", "run", "--rpc", "127.0.0.1:0", "--no-discovery", "--data-dir", dir.to_str().unwrap()];
    let second = processes::output(&mut home.command(&args));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("another node runs in"), "{said}");
    node.client.status().await.unwrap();
}
