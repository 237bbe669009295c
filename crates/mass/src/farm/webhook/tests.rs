//! Webhooks against receivers on the loopback interface.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use mass_primitives::{BlockId, Height, Slot};
use mass_rpc::farm::{Finding, FindingKind, Severity};

use super::*;

/// Longer than anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

const QUICK: Retries =
    Retries { first: Duration::from_millis(1), longest: Duration::from_millis(4), attempts: 3 };

/// Reads a request; its path and its JSON.
fn request(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    assert!(first.starts_with("POST "), "{first}");
    let mut length = 0;
    loop {
        let header = line().to_lowercase();
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first.split(' ').nth(1).unwrap().to_owned(), serde_json::from_slice(&body).unwrap())
}

/// A receiver that answers with these statuses in turn, and then with 204.
fn receiver(statuses: &[&str]) -> (Url, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/hook/secret", listener.local_addr().unwrap())).unwrap();
    let (tell, told) = mpsc::channel();
    let statuses: Vec<String> = statuses.iter().map(|status| (*status).to_owned()).collect();
    thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = request(&stream);
            let status = statuses.next().unwrap_or_else(|| "204 No Content".to_owned());
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if tell.send(request).is_err() {
                return;
            }
        }
    });
    (url, told)
}

fn webhooks(urls: &[&Url], retries: Retries) -> Webhooks {
    let fixed = urls.iter().map(|url| (*url).clone()).collect();
    Webhooks::start_with(fixed, &BTreeSet::new(), retries)
}

fn lost(slot: u64) -> FarmEvent {
    FarmEvent::Lost { chain: "dev".to_owned(), slot: Slot::new(slot), reason: "late".to_owned() }
}

#[test]
fn machines_get_fields_and_people_a_line() {
    let (url, told) = receiver(&[]);
    let webhooks = webhooks(&[&url], QUICK);
    let finding = Finding {
        kind: FindingKind::DiskHangs,
        severity: Severity::Error,
        subject: "/mnt/a".to_owned(),
        file: None,
        problem: "it does not answer".to_owned(),
        action: "check the cable".to_owned(),
    };
    let sealed = FarmEvent::Sealed {
        chain: "dev".to_owned(),
        height: Height::new(7),
        slot: Slot::new(9),
        id: BlockId::ZERO,
    };
    let opened = FarmEvent::Opened { plots: 1, bytes: 1, rpc: None, harvesters: None };
    let events = [opened, FarmEvent::Trouble(finding.clone()), FarmEvent::Over(finding), sealed, lost(11)];
    events.iter().for_each(|event| webhooks.tell(event, &Totals::default()));
    webhooks.tell_end("no disk");
    let next = || told.recv_timeout(PATIENCE).unwrap();

    let (path, trouble) = next();
    assert_eq!(path, "/hook/secret");
    let machine = trouble["machine"].as_str().unwrap();
    let text = &format!("MASS on {machine}: trouble: /mnt/a: it does not answer; do: check the cable");
    assert!(!machine.is_empty());
    for (key, value) in [
        ("event", "trouble"),
        ("kind", "disk_hangs"),
        ("severity", "error"),
        ("subject", "/mnt/a"),
        ("text", text.as_str()),
        ("content", text.as_str()),
    ] {
        assert_eq!(trouble[key], value, "{trouble}");
    }
    assert!(trouble["time"].as_u64().unwrap() > 1_600_000_000);
    let over = next().1;
    assert_eq!((&over["event"], &over["kind"]), (&json!("over"), &json!("disk_hangs")));
    let sealed = next().1;
    assert_eq!(
        (&sealed["event"], &sealed["height"], &sealed["slot"]),
        (&json!("sealed"), &json!(7), &json!(9))
    );
    assert_eq!(next().1["reason"], "late");
    assert_eq!(next().1["text"], format!("MASS on {machine}: the farm has ended: no disk"));
    webhooks.farewell();
    assert!(told.try_recv().is_err(), "each is told once");
}

#[test]
fn a_message_is_tried_again_while_the_refusal_may_pass() {
    let busy = "503 Service Unavailable";
    let (url, told) = receiver(&[busy, busy, "404 Not Found", busy, busy, busy]);
    let webhooks = webhooks(&[&url], QUICK);
    (1..=4).for_each(|slot| webhooks.tell(&lost(slot), &Totals::default()));
    let slots: Vec<Value> = (0..7).map(|_| told.recv_timeout(PATIENCE).unwrap().1["slot"].clone()).collect();
    // The third attempt at the first is refused for good; the second fails three times and is dropped.
    assert_eq!(slots, [1, 1, 1, 2, 2, 2, 3].map(|slot| json!(slot)));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().1["slot"], 4);
    webhooks.farewell();
}

#[test]
fn a_redirect_is_not_followed() {
    let (other, told_other) = receiver(&[]);
    let (url, told) = receiver(&[&format!("307 Temporary Redirect\r\nlocation: {}", other.0)]);
    let webhooks = webhooks(&[&url], QUICK);
    webhooks.tell(&lost(1), &Totals::default());
    webhooks.tell(&lost(2), &Totals::default());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().1["slot"], 1);
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap().1["slot"],
        2,
        "the first was dropped, not sent elsewhere"
    );
    webhooks.farewell();
    assert!(told_other.try_recv().is_err());
}

/// A receiver that takes connections and never answers: the farm is not delayed, nor is another receiver, and the
/// queue is bounded.
#[test]
fn a_dead_receiver_delays_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = Url::parse(&format!("http://{}/", silent.local_addr().unwrap())).unwrap();
    let (alive, told) = receiver(&[]);
    let webhooks = webhooks(&[&dead, &alive], RETRIES);
    let start = Instant::now();
    let count = QUEUE_MAX as u64 + 50;
    for slot in 1..=count {
        webhooks.tell(&lost(slot), &Totals::default());
        assert_eq!(told.recv_timeout(PATIENCE).unwrap().1["slot"], slot);
    }
    let waiting = webhooks.receivers.lock().unwrap()[..]
        .iter()
        .find(|receiver| receiver.url == dead)
        .map(|receiver| receiver.waiting.load(Ordering::SeqCst));
    // One is in work, the rest fill the queue; an attempt may have ended meanwhile.
    assert!((QUEUE_MAX..=QUEUE_MAX + 1).contains(&waiting.unwrap()), "{waiting:?}");
    assert!(start.elapsed() < PATIENCE);
    let farewell = Instant::now();
    webhooks.farewell();
    assert!(farewell.elapsed() < FAREWELL + ATTEMPT, "the end is not waited for for long");
}

#[test]
fn the_file_brings_receivers_and_takes_them_away() {
    let ((fixed, told_fixed), (other, told_other)) = (receiver(&[]), receiver(&[]));
    let webhooks = webhooks(&[&fixed], QUICK);
    webhooks.set(&[other, fixed.clone()].into());
    webhooks.tell(&lost(1), &Totals::default());
    assert_eq!(told_other.recv_timeout(PATIENCE).unwrap().1["slot"], 1);
    webhooks.set(&BTreeSet::new());
    webhooks.tell(&lost(2), &Totals::default());
    let slots = [(); 2].map(|()| told_fixed.recv_timeout(PATIENCE).unwrap().1["slot"].clone());
    assert_eq!(slots, [1, 2].map(|slot| json!(slot)));
    webhooks.farewell();
    assert!(told_other.try_recv().is_err() && told_fixed.try_recv().is_err());
}

#[test]
fn a_url_is_checked_and_never_shown() {
    for (text, reason) in [
        ("hooks.example/secret", "must begin"),
        ("ftp://hooks.example/secret", "must begin"),
        ("https://", "no URL"),
        ("https://hooks.example/sec ret", "no URL"),
        ("https://me:secret@hooks.example/", "must not name a user"),
        (&format!("https://hooks.example/{}secret", "x".repeat(URL_BYTES_MAX)), "longer"),
    ] {
        let error = format!("{:#}", Url::parse_all(&[text.to_owned()]).unwrap_err());
        assert!(error.contains("webhook 1: ") && error.contains(reason), "{error}");
        assert!(!error.contains("secret") && !error.contains("sec ret"), "{error}");
    }
    let url = Url::parse("https://hooks.example:8443/services/secret?key=secret").unwrap();
    assert_eq!(format!("{url:?}"), "webhook at hooks.example:8443");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = closed.local_addr().unwrap();
    drop(closed);
    for url in [format!("http://{addr}/secret"), format!("https://{addr}/secret")] {
        let agent = Agent::new_with_defaults();
        let failed = deliver(&agent, &Url::parse(&url).unwrap(), "{}", QUICK).unwrap_err();
        assert!(failed.contains("no connection") && !failed.contains("secret"), "{failed}");
    }
    // https speaks TLS, so that a receiver that does not is no receiver.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let secure = Url::parse(&format!("https://{}/secret", plain.local_addr().unwrap())).unwrap();
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    thread::spawn(move || plain.accept().and_then(|(mut stream, _)| stream.write_all(answer)));
    let once = Retries { attempts: 1, ..QUICK };
    let failed = deliver(&Agent::new_with_defaults(), &secure, "{}", once).unwrap_err();
    assert!(failed.contains("corrupt message") && !failed.contains("secret"), "{failed}");
}
