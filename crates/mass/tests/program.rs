//! The real program, run as a person or a script would run it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

const FARMER: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Runs the program with a home of its own, so that no test touches the user's key.
fn mass(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mass"))
        .args(args)
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn refused(output: &Output, reason: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1 && text.contains(reason), "{text}");
}

fn make_plots(home: &Path, count: &str) -> (PathBuf, Value) {
    let dir = home.join("plots");
    let path = dir.to_str().unwrap();
    let args = ["plots", "create", "--dir", path, "-k", "18", "--plots", count, "--farmer-key", FARMER];
    let made = mass(home, &[&args[..], &["--json"]].concat());
    assert!(made.status.success(), "{made:?}");
    (dir, json(&made))
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_key_is_made_once_and_never_overwritten() {
    let home = home();
    let made = mass(home.path(), &["keys", "create", "--json"]);
    assert!(made.status.success(), "{made:?}");
    let file = home.path().join("data/mass/farmer.key");
    let secret = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(json(&made)["farmer"].as_str().unwrap().len(), 64);
    assert!(!stdout(&made).contains(secret.trim()));

    refused(&mass(home.path(), &["keys", "create"]), "exists already");
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);
    assert_eq!(json(&mass(home.path(), &["keys", "show", "--json"])), json(&made));
}

#[test]
fn a_missing_or_broken_key_is_explained() {
    let home = home();
    refused(&mass(home.path(), &["keys", "show"]), "mass keys create");
    let file = home.path().join("bad.key");
    fs::write(&file, "0102").unwrap();
    refused(&mass(home.path(), &["keys", "show", "--file", file.to_str().unwrap()]), "64 hex digits");
}

#[test]
fn plots_are_made_listed_and_checked() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "2");
    assert_eq!(made["count"], 2);
    assert_eq!(made["files"].as_array().unwrap().len(), 2);

    let dir = dir.to_str().unwrap();
    let listed = mass(home.path(), &["plots", "list", "--dir", dir, "--json"]);
    assert!(listed.status.success(), "{listed:?}");
    let listed = json(&listed);
    assert_eq!((&listed["count"], &listed["bytes"]), (&made["count"], &made["bytes"]));
    let plots = listed["plots"].as_array().unwrap();
    assert!(plots.iter().all(|plot| plot["k"] == 18 && plot["strength"] == 2 && plot["farmer"] == FARMER));
    assert_ne!(plots[0]["group_id"], plots[1]["group_id"]);

    let checked = mass(home.path(), &["plots", "check", "--dir", dir, "--json"]);
    assert!(checked.status.success(), "{checked:?}");
    let checked = json(&checked);
    assert_eq!((&checked["good"], &checked["bad"]), (&2.into(), &0.into()));
    assert!(
        checked["plots"].as_array().unwrap().iter().all(|plot| plot["proofs_verified"].as_u64() > Some(0))
    );
}

#[test]
fn a_plot_cut_short_is_a_fault_and_an_orphan_goes() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "1");
    let file = made["files"][0].as_str().unwrap();
    fs::File::options().write(true).open(file).unwrap().set_len(1000).unwrap();
    let path = dir.to_str().unwrap();
    let listed = mass(home.path(), &["plots", "list", "--dir", path, "--json"]);
    assert!(listed.status.success(), "{listed:?}");
    let fault = &json(&listed)["faults"][0];
    assert_eq!(fault["path"], file);
    assert!(fault["reason"].as_str().unwrap().contains("the file has 1000 bytes"), "{fault}");
    let checked = mass(home.path(), &["plots", "check", "--dir", path]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(stdout(&checked).contains("0 good, 1 bad"), "{checked:?}");

    fs::write(file, "no header is left").unwrap();
    let repaired = mass(home.path(), &["plots", "repair", "--dir", path]);
    assert_eq!(repaired.status.code(), Some(1));
    assert!(stdout(&repaired).contains("0 sound, 0 repaired, 1 bad"), "{repaired:?}");
    assert_eq!(fs::read(file).unwrap(), b"no header is left");

    let orphan = dir.join("plot-k18-00.plot.tmp");
    fs::write(&orphan, "half a plot").unwrap();
    make_plots(home.path(), "1");
    assert!(!orphan.exists());
}

#[test]
fn a_plot_of_garbage_is_bad() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "1");
    let file = made["files"][0].as_str().unwrap();
    let mut bytes = fs::read(file).unwrap();
    let half = bytes.len() / 2;
    bytes[200..half].fill(0xa5);
    fs::write(file, bytes).unwrap();
    let checked = mass(home.path(), &["plots", "check", "--dir", dir.to_str().unwrap(), "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(json(&checked)["plots"][0]["good"], false);
}

#[test]
fn one_bad_byte_is_found_and_named() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "1");
    let file = made["files"][0].as_str().unwrap();
    let mut bytes = fs::read(file).unwrap();
    bytes[123_456] ^= 4;
    fs::write(file, bytes).unwrap();
    let checked = mass(home.path(), &["plots", "check", "--full", "--dir", dir.to_str().unwrap(), "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let fault = json(&checked)["plots"][0]["fault"].to_string();
    assert!(fault.contains("block") && fault.contains("is damaged"), "{fault}");
}

#[test]
fn a_plot_without_its_header_is_repaired() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "1");
    let (file, dir) = (made["files"][0].as_str().unwrap(), dir.to_str().unwrap());
    let whole = fs::read(file).unwrap();
    let mut bytes = whole.clone();
    bytes[..64].fill(0);
    fs::write(file, bytes).unwrap();
    let repaired = mass(home.path(), &["plots", "repair", "--dir", dir, "--json"]);
    assert!(repaired.status.success(), "{repaired:?}");
    assert_eq!(json(&repaired)["repaired"][0]["path"], file);
    assert!(fs::read(file).unwrap() == whole);
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let home = home();
    let dir = home.path().join("plots");
    let args = ["plots", "create", "-k", "24", "--threads", "1", "--farmer-key", FARMER, "--dir"];
    let mut maker = Command::new(env!("CARGO_BIN_EXE_mass"))
        .args(args)
        .arg(&dir)
        .env("HOME", home.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let files = || fs::read_dir(&dir).map_or(0, Iterator::count);
    while files() == 0 {
        assert!(maker.try_wait().unwrap().is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-TERM", &maker.id().to_string()]).status().unwrap().success());
    let output = maker.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("cancelled"), "{output:?}");
    assert_eq!(files(), 0);
}

#[test]
fn what_is_missing_is_named() {
    let home = home();
    let none = home.path().join("none");
    let none = none.to_str().unwrap();
    let listed = mass(home.path(), &["plots", "list", "--dir", none]);
    refused(&listed, none);
    refused(&mass(home.path(), &["chain", "show", "mars"]), "unknown chain \"mars\"");
    let args = ["plots", "create", "--dir", none, "--farmer-key", FARMER];
    refused(&mass(home.path(), &[&args[..], &["--chain", "mars"]].concat()), "unknown chain");
    refused(&mass(home.path(), &[&args[..], &["-k", "19"]].concat()), "k must be an even number");
    assert!(!Path::new(none).exists());
    let home_dir = home.path().to_str().unwrap();
    let args = ["plots", "create", "--dir", home_dir, "--farmer-key", FARMER, "--memory", "1M"];
    refused(&mass(home.path(), &args), "of memory at the least, 1.00 MiB are allowed");
}

#[test]
fn a_spec_round_trips_through_a_file_and_a_bad_one_is_refused() {
    let home = home();
    let names = json(&mass(home.path(), &["chain", "list", "--json"]));
    assert_eq!(names.as_array().unwrap().len(), 5);
    let shown = mass(home.path(), &["chain", "show", "dev"]);
    let file = home.path().join("own.json");
    fs::write(&file, stdout(&shown)).unwrap();
    let path = file.to_str().unwrap();
    let id = &json(&mass(home.path(), &["chain", "show", "dev", "--json"]))["id"];
    assert_eq!(&json(&mass(home.path(), &["chain", "check", path, "--json"]))["id"], id);

    fs::write(&file, stdout(&shown).replace("\"slot_seconds\": 1", "\"slot_seconds\": 0")).unwrap();
    refused(&mass(home.path(), &["chain", "check", path]), "slot_seconds must not be zero");
}

#[test]
fn the_record_of_signed_slots_moves_to_another_machine_and_never_falls() {
    let (here, there) = (home(), home());
    let record = |slot: u64| {
        format!(
            "{{\"version\":1,\"signed\":[{{\"chain\":\"{FARMER}\",\"farmer\":\"{FARMER}\",\"slot\":{slot}}}]}}"
        )
    };
    let import = |home: &TempDir, text: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mass"));
        command.args(["keys", "guard", "import", "--json"]).env("HOME", home.path());
        command.env("XDG_DATA_HOME", home.path().join("data")).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    refused(&mass(here.path(), &["keys", "guard", "export"]), "nothing was signed");
    assert_eq!(json(&import(&here, &record(7)))["raised"], 1);
    let exported = stdout(&mass(here.path(), &["keys", "guard", "export"]));
    assert_eq!(json(&import(&there, &exported))["raised"], 1);
    assert_eq!(json(&import(&there, &record(6)))["raised"], 0);
    let kept = json(&mass(there.path(), &["keys", "guard", "export", "--json"]));
    assert_eq!(kept["signed"][0]["slot"], 7);
    refused(&import(&there, "garbage"), "not a signing record");
}

/// Runs a removal that gets this answer.
fn remove(home: &Path, args: &[&str], answer: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mass"));
    command.args(["plots", "remove", "--json", "--dir"]).arg(home.join("plots")).args(args).env("HOME", home);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that fails before it asks reads nothing.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn plots_are_removed_once_that_is_confirmed() {
    let home = home();
    let (dir, made) = make_plots(home.path(), "3");
    let group = ["plots", "create", "--plots", "3", "--group", "3", "--farmer-key", FARMER, "--dir"];
    assert!(mass(home.path(), &[&group[..], &[dir.to_str().unwrap()]].concat()).status.success());
    fs::write(dir.join("other.plot"), "no plot").unwrap();
    let listed = json(&mass(home.path(), &["plots", "list", "--json", "--dir", dir.to_str().unwrap()]));
    let files = || fs::read_dir(&dir).unwrap().count();
    let of = |path: &str, field: &str| {
        let plot = listed["plots"].as_array().unwrap().iter().find(|plot| plot["path"] == path).unwrap();
        plot[field].as_str().unwrap().to_owned()
    };
    let file = made["files"][0].as_str().unwrap();
    let id = of(file, "group_id");

    for answer in ["", "n\n", "sure\n"] {
        let refused = remove(home.path(), &["--id", &id[..8]], answer);
        let text = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(text.contains(file) && text.contains("nothing was removed"), "{text}");
    }
    for (bad, reason) in
        [("00000000", "no plot here"), ("0000", "8 hex digits"), ("nothexno", "8 hex digits")]
    {
        let refused = remove(home.path(), &["--yes", "--id", bad], "");
        assert!(!refused.status.success() && stderr(&refused).contains(reason), "{refused:?}");
    }
    assert!(!remove(home.path(), &["--yes"], "").status.success(), "nothing is named");
    assert_eq!(files(), 5);

    let removed = remove(home.path(), &["--id", &id[..16]], "y\n");
    assert!(removed.status.success(), "{removed:?}");
    let removed = json(&removed);
    assert_eq!((&removed["removed"][0]["path"], files()), (&file.into(), 4));
    assert!(removed["bytes"].as_u64() > Some(600_000), "{removed}");
    assert!(removed["free"][0]["bytes"].as_u64() > Some(0), "{removed}");
    assert!(!Path::new(file).exists());

    let others = remove(home.path(), &["--all", "--yes", "--farmer-key", &FARMER.replace('7', "8")], "");
    assert_eq!((json(&others)["removed"].as_array().unwrap().len(), files()), (0, 4));
    let all = remove(home.path(), &["--all", "--yes"], "");
    assert!(all.status.success(), "{all:?}");
    let all = json(&all);
    assert_eq!(all["removed"].as_array().unwrap().len(), 3);
    assert_eq!(all["left"][0]["path"], dir.join("other.plot").to_str().unwrap());
    assert_eq!(files(), 1);
}
