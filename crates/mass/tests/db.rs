//! `mass node db` as a person runs it on the database of a node that was stopped, sound and damaged; and a real disk that is
//! full while a node runs.

mod farmed;
mod processes;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use farmed::farmed;
use mass_node::export::database;
use mass_rpc::BitcoinClient as _;
use processes::{Home, Process, eventually};
use serde_json::Value;

fn value(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_database_is_checked_measured_compacted_and_mended() {
    let home = Home::new();
    let dir = home.path("node");
    farmed(&dir, &[[7; 32]], 8);
    let place = dir.to_str().unwrap();
    let db =
        |verb: &str| home.command(&["node", "db", verb, "--data-dir", place, "--json"]).output().unwrap();

    let sound = db("check");
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    let sound = value(&sound);
    assert_eq!((sound["good"].as_bool(), sound["height"].as_u64()), (Some(true), Some(8)));
    assert!(sound["books"].as_str().unwrap().contains("issued"));
    let stats = value(&db("stats"));
    let bodies = stats["tables"].as_array().unwrap().iter().find(|table| table["name"] == "bodies").unwrap();
    assert_eq!(bodies["entries"], 9);
    assert_eq!(stats["file_bytes"], fs::metadata(database(&dir)).unwrap().len());
    let compacted = value(&db("compact"));
    assert!(compacted["bytes"].as_u64() <= compacted["bytes_before"].as_u64(), "{compacted}");
    assert_eq!(value(&db("check"))["state_hash"], sound["state_hash"]);
    assert_eq!(value(&db("repair"))["mended"], "nothing");
    let text = home.command(&["node", "db", "stats", "--data-dir", place]).output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("height   8"));

    // Somewhere in the bodies a page rots.
    let mut bytes = fs::read(database(&dir)).unwrap();
    let body = bytes.windows(20).rposition(|some| some == [payout_hash(); 20]).unwrap();
    bytes[body] ^= 0x55;
    fs::write(database(&dir), &bytes).unwrap();
    let found = db("check");
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(value(&found)["faults"][0]["mend"].as_str().unwrap().contains("mass node db repair"));
    let mended = db("repair");
    assert_eq!(mended.status.code(), Some(0), "{mended:?}");
    let mended = value(&mended);
    assert_eq!(mended["mended"], "rebuilt");
    let kept = PathBuf::from(mended["rebuilt"]["damaged_file"].as_str().unwrap());
    assert!(kept.exists() && value(&db("check"))["good"] == true, "{mended}");

    // A node has its database alone, and there may be none.
    let node = home.node("node", &[]);
    let busy = home.command(&["node", "db", "check", "--data-dir", place]).output().unwrap();
    assert!(String::from_utf8(busy.stderr).unwrap().contains("in use by another process"));
    drop(node);
    let nowhere = home.path("nowhere");
    let none =
        home.command(&["node", "db", "stats", "--data-dir", nowhere.to_str().unwrap()]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stderr).unwrap().contains("no database of a node"));
}

/// What was pruned is told by each command, and is missing only where it is asked for.
#[test]
fn what_was_pruned_is_told() {
    let home = Home::new();
    let dir = home.path("node");
    farmed(&dir, &[[7; 32]], 8);
    let spec = mass_consensus::spec::ChainSpec::built_in("dev").unwrap();
    let chain = mass_node::Chain::<mass_ledger_utxo::UtxoLedger>::open(&database(&dir), spec, None).unwrap();
    let pruning = mass_node::Pruning { target_bytes: Some(1), keep_blocks: 3 };
    while chain.prune(&pruning).unwrap() {}
    drop(chain);
    let place = dir.to_str().unwrap();
    for verb in ["check", "stats"] {
        let told = home.json(&["node", "db", verb, "--data-dir", place]);
        assert_eq!(told["pruned_below"], 5, "{told}");
        let text = home.command(&["node", "db", verb, "--data-dir", place]).output().unwrap();
        assert!(String::from_utf8(text.stdout).unwrap().contains("pruned   all blocks below height 5"));
    }
    let file = home.path("blocks");
    let export = |from: &str| {
        let args = ["node", "export", file.to_str().unwrap(), "--from", from, "--data-dir", place];
        home.command(&args).output().unwrap()
    };
    let refused = export("1");
    assert!(!refused.status.success() && !file.exists());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("the blocks before height 5 are not here: --from 5"), "{why}");
    assert!(export("5").status.success() && file.exists());
    let run = ["node", "run", "--rpc", "127.0.0.1:0", "--no-discovery", "--data-dir", place];
    let refused = home.command(&run).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("blocks below height 5 were pruned"), "{why}");
    let faces = [&run[..], &["--prune", "5GB", "--esplora", "127.0.0.1:0"]].concat();
    let refused = home.command(&faces).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("leave --prune out, or them"), "{why}");
    // Of what pages that are used and that are free hold of bodies, every one rots.
    let mut bytes = fs::read(database(&dir)).unwrap();
    while let Some(body) = bytes.windows(20).position(|some| some == [payout_hash(); 20]) {
        bytes[body] ^= 0x55;
    }
    fs::write(database(&dir), &bytes).unwrap();
    let rebuilt = home.json(&["node", "db", "repair", "--data-dir", place]);
    let (pruned, height) = (&rebuilt["rebuilt"]["pruned_below"], &rebuilt["rebuilt"]["height"]);
    assert_eq!((pruned, height), (&Value::from(5), &Value::from(0)), "{rebuilt}");
}

/// The byte that the payout address of the blocks repeats.
const fn payout_hash() -> u8 {
    1
}

/// A small file system of its own, which is unmounted in the end.
struct Mount(PathBuf);

impl Mount {
    /// `None` if this user may not mount one.
    fn new(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    fn resize(&self, size: &str) {
        let option = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &option]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_node_on_a_full_disk_waits_and_goes_on_when_there_is_room() {
    let home = Home::new();
    let Some(mount) = Mount::new(home.path("small"), "320k") else {
        eprintln!(
            "NOT TESTED: this user may not mount a small file system; crates/node/tests/full.rs has the rest"
        );
        return;
    };
    const BLOCKS: u32 = 120;
    farmed(&home.path("peer"), &[[7; 32]], BLOCKS);
    let peer = home.node("peer", &[]);
    let dir = mount.0.join("node");
    let args = ["node", "run", "--json", "--rpc", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut command = home.command(&args);
    command.args(["--data-dir", dir.to_str().unwrap(), "--peer", &peer.listen]);
    let mut process = Process::start(command, &home.path("small.out"));
    let full = process.event(|event| event["event"] == "full");
    assert!(full["error"].as_str().unwrap().contains("the disk is full"), "{full}");
    mount.resize("200m");
    eventually("the node has started again", async || {
        process.events().iter().filter(|event| event["event"] == "started").count() == 2
    })
    .await;
    let started = process.events().into_iter().rfind(|event| event["event"] == "started").unwrap();
    let login = mass_rpc::Login::File(dir.join(mass_rpc::COOKIE_FILE));
    let client =
        mass_rpc::client_as(started["rpc"].as_str().unwrap(), login, std::time::Duration::from_secs(10))
            .unwrap();
    eventually("it catches up", async || {
        client.get_block_count().await.is_ok_and(|height| height.get() == BLOCKS)
    })
    .await;
    assert_eq!(process.interrupt(), Some(0), "{}", process.text());
    let checked = home.json(&["node", "db", "check", "--data-dir", dir.to_str().unwrap()]);
    assert_eq!((checked["good"].as_bool(), checked["height"].as_u64()), (Some(true), Some(BLOCKS.into())));
}
