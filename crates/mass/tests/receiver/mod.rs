//! A receiver of webhooks on the loopback interface, which keeps what it gets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::processes::PATIENCE;

/// The part of the URL that nobody may see.
pub const SECRET: &str = "T0SECRET";

pub struct Receiver {
    pub url: String,
    messages: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/services/{SECRET}", listener.local_addr().unwrap());
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let message = read(&stream);
                kept.lock().unwrap().push(message);
                // A farm that has ended meanwhile does not hear of it.
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            }
        });
        Self { url, messages }
    }

    /// Waits for a message.
    pub fn message(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let messages = self.messages.lock().unwrap().clone();
            if let Some(message) = messages.iter().find(|message| wanted(message)) {
                return message.clone();
            }
            assert!(start.elapsed() < PATIENCE, "no such message: {messages:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a message about a finding, and has it that there was but one.
    pub fn told(&self, event: &str, kind: &str) {
        let is_it = |message: &Value| message["event"] == event && message["kind"] == kind;
        self.message(is_it);
        let messages = self.messages.lock().unwrap();
        let count = messages.iter().filter(|message| is_it(message)).count();
        assert_eq!(count, 1, "{event} {kind}: {messages:?}");
    }
}

fn read(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}
