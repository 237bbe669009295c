//! Farmer and harvester over real sockets: who is let in, what is said, and what a peer that misbehaves can do.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mass_primitives::{ChainId, Challenge, FarmerPublicKey, GroupId, Round, Seed};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use super::{
    link::News,
    message::{MESSAGE_BYTES_MAX, ToFarmer, ToHarvester},
    secure::{NoiseSecret, Pipe, SecureError},
    store::HarvesterFile,
    *,
};
use crate::disk::{Done, Give, Job, Turn};

const FARMER: FarmerPublicKey = FarmerPublicKey::new([3; 32]);

struct Place {
    dir: tempfile::TempDir,
    harbour: Arc<Harbour>,
    news: mpsc::UnboundedReceiver<Landed>,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (listen_at, store) = (SocketAddr::from(([127, 0, 0, 1], 0)), dir.path().join("harvesters.json"));
        let (tell, news) = mpsc::unbounded_channel();
        let config = HarbourConfig { listen: listen_at, store };
        let harbour = listen(&config, FARMER, tell, |landed| landed).await.unwrap();
        Self { dir, harbour, news }
    }

    fn addr(&self) -> String {
        self.harbour.address().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn news(&mut self) -> News {
        tokio::time::timeout(Duration::from_secs(30), self.news.recv()).await.unwrap().unwrap().news
    }

    /// A harvester that is paired, and the file of its keys.
    async fn paired(&self) -> PathBuf {
        let file = self.file("harvester.json");
        let code = self.harbour.new_code(Duration::from_secs(60));
        pair(&file, "rig1", &self.addr(), &code).await.unwrap();
        file
    }
}

async fn joined(file: &Path) -> Result<Pipe, SecureError> {
    let file = HarvesterFile::read(file).unwrap();
    let (addr, key) = file.farmer.as_ref().unwrap();
    secure::join(TcpStream::connect(addr).await.unwrap(), &file.secret, key).await
}

async fn said(pipe: &mut Pipe) -> Value {
    let wait = tokio::time::timeout(Duration::from_secs(30), pipe.rx.recv());
    serde_json::from_slice(&wait.await.unwrap().unwrap()).unwrap()
}

fn say(pipe: &Pipe, message: &Value) {
    pipe.tx.send(serde_json::to_vec(message).unwrap()).unwrap();
}

fn hello(version: u16, disks: &[&str]) -> Value {
    json!({ "type": "hello", "version": version, "software": "0.0.9", "name": "rig1", "disks": disks })
}

#[tokio::test]
async fn a_code_lets_one_harvester_in_and_a_key_that_is_not_known_none() {
    let place = Place::new().await;
    let (one, two, addr) = (place.file("one.json"), place.file("two.json"), place.addr());
    let wrong = Place::new().await.harbour.new_code(Duration::from_secs(60));
    assert!(pair(&one, "rig1", &addr, &wrong).await.is_err(), "no code is out");
    let code = place.harbour.new_code(Duration::from_secs(60));
    assert!(pair(&one, "rig1", &addr, &wrong).await.is_err(), "another code is out");
    assert!(matches!(pair(&one, "rig1", &addr, "ABC").await, Err(HarvestError::Secure(SecureError::Code))));
    assert!(pair(&one, "no name", &addr, &code).await.is_err());
    let typed = code.to_lowercase().replace('-', " ");
    assert_eq!(pair(&one, "rig1", &addr, &typed).await.unwrap(), FARMER);
    assert!(pair(&two, "rig2", &addr, &code).await.is_err(), "it is used up");
    let late = place.harbour.new_code(Duration::ZERO);
    assert!(pair(&two, "rig2", &addr, &late).await.is_err(), "it is too late");
    let code = place.harbour.new_code(Duration::from_secs(60));
    let taken = pair(&two, "rig1", &addr, &code).await.unwrap_err();
    assert!(matches!(&taken, HarvestError::Refused(reason) if reason.contains("already")), "{taken}");
    assert_eq!(place.harbour.names(), ["rig1"]);

    assert!(joined(&one).await.is_ok());
    let mut stranger = HarvesterFile::read(&one).unwrap();
    stranger.secret = NoiseSecret::generate();
    stranger.write(&two).unwrap();
    assert!(joined(&two).await.is_err());
    place.harbour.remove("rig1").unwrap();
    assert!(joined(&one).await.is_err(), "it was taken out");
}

#[tokio::test]
async fn a_farmer_with_another_key_is_not_taken_for_ours() {
    let (place, other) = (Place::new().await, Place::new().await);
    let file = place.paired().await;
    let mut moved = HarvesterFile::read(&file).unwrap();
    moved.farmer = moved.farmer.map(|(_, key)| (other.addr(), key));
    moved.write(&file).unwrap();
    assert!(joined(&file).await.is_err());
}

/// The whole of version 1, as it stands on the wire. What is here must never change.
#[tokio::test]
async fn a_harvester_of_the_version_before_keeps_working() {
    let mut place = Place::new().await;
    let mut pipe = joined(&place.paired().await).await.unwrap();
    say(&pipe, &hello(1, &["/mnt/a"]));
    let welcome = said(&mut pipe).await;
    assert_eq!((&welcome["type"], &welcome["version"]), (&json!("welcome"), &json!(1)));
    assert_eq!(welcome["farmer"], json!(FARMER));
    let News::Joined { version: 1, disks, .. } = place.news().await else { panic!() };
    let (path, give): &(PathBuf, Give) = &disks[0];
    assert_eq!(path, Path::new("rig1:/mnt/a"));

    let identity = format!("011202{}{}", "03".repeat(32), "04".repeat(32));
    assert!(give(Job::Scan));
    assert_eq!(message_but_ping(&mut pipe).await, json!({ "type": "scan", "disk": 0 }));
    let file = json!({ "path": "/mnt/a/x.plot", "identity": identity, "plots": 2, "bytes": 9, "new": true });
    say(&pipe, &json!({ "type": "files", "disk": 0, "files": [file] }));
    let faults = json!([["/mnt/a/y.plot", "torn"]]);
    say(
        &pipe,
        &json!({ "type": "scanned", "disk": 0, "changed": true, "error": null, "faults": faults, "free_bytes": 5 }),
    );
    let News::Done(0, Done::Scan(scan)) = place.news().await else { panic!() };
    let files = scan.files.unwrap();
    assert_eq!((files[0].path.as_path(), files[0].plots), (Path::new("rig1:/mnt/a/x.plot"), 2));
    assert_eq!(scan.faults, [(PathBuf::from("rig1:/mnt/a/y.plot"), "torn".to_owned())]);

    let turn = Turn { beacon: ChainId::ZERO, seed: Seed::new([1; 32]), round: Round::new(7) };
    let group: GroupId = files[0].group;
    assert!(give(Job::Ask(turn, Challenge::new([2; 32]), vec![group])));
    let (zero, ones, twos) = ("00".repeat(32), "01".repeat(32), "02".repeat(32));
    let asked = json!({
        "type": "ask", "disk": 0, "turn": { "beacon": zero, "seed": ones, "round": 7 }, "challenge": twos,
        "groups": [group],
    });
    assert_eq!(message_but_ping(&mut pipe).await, asked);
    let quality =
        |index: u16, identity: &str| json!({ "identity": identity, "index": index, "links": vec![6; 16] });
    let stranger = identity.replace("04", "05");
    let found = [quality(1, &identity), quality(2, &identity), quality(0, &stranger)];
    say(&pipe, &json!({ "type": "found", "disk": 0, "found": found }));
    say(
        &pipe,
        &json!({ "type": "answered", "disk": 0, "turn": asked["turn"], "asked": 1, "reads": 4, "faults": [] }),
    );
    let News::Done(0, Done::Answer(of, answer)) = place.news().await else { panic!() };
    assert_eq!((of, answer.asked, answer.reads), (turn, 1, 4));
    assert_eq!(answer.found.len(), 1, "a plot that the harvester does not have answers nothing");
    assert_eq!((answer.found[0].group, answer.found[0].index.get()), (group, 1));

    let (reply, sampled) = oneshot::channel();
    assert!(give(Job::Sample(reply)));
    assert!(sampled.await.unwrap().unwrap_err().contains("upgrade"), "version 1 knows no samples");
    assert_eq!(said(&mut pipe).await, json!({ "type": "ping" }));
    say(&pipe, &json!({ "type": "pong" }));
    drop(pipe);
    assert!(matches!(place.news().await, News::Left(_)));
}

/// The next message that is no ping.
async fn message_but_ping(pipe: &mut Pipe) -> Value {
    loop {
        let message = said(pipe).await;
        if message["type"] != json!("ping") {
            return message;
        }
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_and_a_later_version_falls_back() {
    let mut place = Place::new().await;
    let file = place.paired().await;
    let mut pipe = joined(&file).await.unwrap();
    say(&pipe, &hello(0, &[]));
    assert_eq!(said(&mut pipe).await["type"], json!("refused"));
    assert!(matches!(place.news().await, News::Left(reason) if reason.contains("upgrade")));

    let many = ["d"; 257];
    let nonsense: [(Vec<&str>, Vec<u8>); 5] = [
        (vec!["a"], b"{}".to_vec()),
        (vec!["a"], b"\xff".to_vec()),
        (
            vec!["a"],
            br#"{"type":"scanned","disk":1,"changed":false,"error":null,"faults":[],"free_bytes":0}"#
                .to_vec(),
        ),
        (vec!["a"], vec![b' '; MESSAGE_BYTES_MAX + 1]),
        (many.to_vec(), b"".to_vec()),
    ];
    for (disks, bytes) in nonsense {
        let mut pipe = joined(&file).await.unwrap();
        say(&pipe, &hello(9, &disks));
        let answer = said(&mut pipe).await;
        if disks.len() > 256 {
            assert_eq!(answer["type"], json!("refused"));
            assert!(matches!(place.news().await, News::Left(_)));
            continue;
        }
        assert_eq!(answer["version"], json!(message::VERSION));
        let News::Joined { disks, .. } = place.news().await else { panic!("it is not there") };
        pipe.tx.send(bytes.clone()).unwrap();
        let News::Left(reason) = place.news().await else { panic!("{bytes:?} was taken for something") };
        assert!(!reason.contains("silent"), "{reason}");
        drop(disks);
    }
}

#[test]
fn messages_read_as_they_were_written() {
    let ask = ToHarvester::Ask {
        disk: 1,
        turn: Turn { beacon: ChainId::ZERO, seed: Seed::ZERO, round: Round::new(u64::MAX) },
        challenge: Challenge::ZERO,
        groups: vec![GroupId::ZERO],
    };
    assert_eq!(serde_json::from_slice::<ToHarvester>(&link::encode(&ask)).unwrap(), ask);
    let sampled = ToFarmer::Sampled { number: u64::MAX, sample: Err("no".to_owned()) };
    assert_eq!(serde_json::from_slice::<ToFarmer>(&link::encode(&sampled)).unwrap(), sampled);
}
