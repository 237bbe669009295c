//! A farm that cannot fail silently: a disk that vanishes and comes back, a bad plot, a node that dies. Each is
//! named by the doctor, and the rest goes on.

mod ops;
mod processes;
mod receiver;

use std::{
    collections::BTreeSet,
    fs,
    io::{Write, stderr},
    path::Path,
    process::Command,
};

use processes::{Home, Process, output, payout};
use receiver::Receiver;
use serde_json::Value;

fn doctor(home: &Home, url: &str) -> (bool, Value) {
    let output = output(&mut home.command(&["farm", "doctor", "--farm", url, "--json"]));
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.success(), diagnosis["earns"].as_bool().unwrap());
    (output.status.success(), diagnosis)
}

/// Asks the doctor until a finding has this text; its subject.
fn finding(home: &Home, url: &str, problem: &str) -> String {
    for _ in 0..100 {
        let (_, diagnosis) = doctor(home, url);
        let findings = diagnosis["findings"].as_array().unwrap();
        if let Some(finding) =
            findings.iter().find(|finding| finding["problem"].as_str().unwrap().contains(problem))
        {
            assert!(!finding["action"].as_str().unwrap().is_empty());
            return finding["subject"].as_str().unwrap().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("the doctor finds no {problem:?}: {}", doctor(home, url).1)
}

#[test]
fn whatever_fails_is_named_and_the_rest_goes_on() {
    let home = Home::new();
    let one = home.plots("one", 16);
    let two = home.path("two");
    fs::create_dir(&two).unwrap();
    let key = one.key.to_str().unwrap();
    home.json(&["plots", "create", "--dir", two.to_str().unwrap(), "--plots", "16", "--key-file", key]);
    let mut node = home.node("node", &[]);
    let mut command = home.command(&["farm", "run", "--json", "--rpc", "127.0.0.1:0", "--node", &node.url]);
    command.arg("--dir").arg(&one.dir).arg(&two).args(["--key-file", key, "--payout", &payout(1)]);
    command.arg("--guard").arg(home.path("signed"));
    let hook = Receiver::start();
    command.args(["--webhook", &hook.url, "--log", "warn,ureq=trace,ureq::run=trace,ureq_proto::util=trace"]);
    let mut farm = Process::start(command, &home.path("farm.out"));
    let url = farm.event(|event| event["event"] == "opened")["rpc"].as_str().unwrap().to_owned();
    farm.event(|event| event["event"] == "round");

    // In health but for the lack of peers; a winning challenge was driven through both disks.
    let (earns, diagnosis) = doctor(&home, &url);
    assert!(earns, "{diagnosis}");
    let trials = diagnosis["trials"].as_array().unwrap();
    assert!(trials.len() == 2 && trials.iter().all(|trial| trial["failure"].is_null()), "{diagnosis}");

    let name = two.display().to_string();
    reads_are_foretold(&home, &url, &name);

    what_ops_names_is_measured(&[&url, &node.url]);

    // A disk is unplugged and plugged in again.
    let away = home.path("away");
    fs::rename(&two, &away).unwrap();
    assert_eq!(finding(&home, &url, "directory"), name);
    hook.told("trouble", "directory");
    fs::rename(&away, &two).unwrap();
    farm.event(|event| event["event"] == "plots" && event["disk"] == name && event["plots"] == 16);

    // A file that is no plot comes to the first disk.
    fs::write(one.dir.join("bad.plot"), b"nothing").unwrap();
    assert_eq!(finding(&home, &url, "bad.plot"), one.dir.display().to_string());
    hook.told("trouble", "plot");
    fs::remove_file(one.dir.join("bad.plot")).unwrap();

    // The node dies and comes back.
    node.process.kill();
    farm.event(|event| event["event"] == "node_lost");
    assert_eq!(finding(&home, &url, "no work from"), "dev");
    hook.told("trouble", "no_work");
    let rpc = node.url.strip_prefix("http://").unwrap().to_owned();
    node.process = home.node_at("node", &rpc);
    farm.event(|event| event["event"] == "node_back");
    wait_until("the farm earns again", || doctor(&home, &url).0);

    // Each was told once when it began and once when it was over, and wins were told; the URL was not.
    ["directory", "plot", "no_work"].iter().for_each(|kind| hook.told("over", kind));
    let message = hook.message(|message| message["event"] == "sealed");
    assert!(message["text"].as_str().unwrap().contains("sealed block"), "{message}");
    assert_eq!(farm.interrupt(), Some(0));
    assert!(!farm.text().contains(receiver::SECRET), "{}", farm.text());
}

/// Each disk has turns to come, or the period ends first.
fn reads_are_foretold(home: &Home, url: &str, disk: &str) {
    let reads = home.json(&["farm", "reads", "--farm", url]);
    let beacon = &reads["beacons"][0];
    assert_eq!(beacon["chains"], serde_json::json!(["dev"]), "{reads}");
    assert!((1..=16).contains(&beacon["known"]["blocks"].as_u64().unwrap()), "{reads}");
    for reads in beacon["disks"].as_array().unwrap() {
        assert_eq!((&reads["groups"], reads["turns"].as_array().unwrap().len()), (&Value::from(16), 16));
    }
    let rest = reads["disks"].as_array().unwrap().iter().find(|rest| rest["disk"] == disk).unwrap();
    assert!(rest["sleeps_until"].as_u64() >= reads["time"].as_u64(), "{reads}");
    let text = output(&mut home.command(&["farm", "reads", "--farm", url, "--turns", "2"]));
    assert!(String::from_utf8_lossy(&text.stdout).contains("and 30 turns more"), "{text:?}");
}

#[test]
fn a_webhook_that_is_no_url_is_refused_at_the_start() {
    let home = Home::new();
    let dir = home.path("plots");
    let secret = format!("htps://hooks.example/{}", receiver::SECRET);
    let args = ["farm", "run", "--payout", &payout(1), "--webhook", &secret, "--dir", dir.to_str().unwrap()];
    let output = output(&mut home.command(&args));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("webhook 1: it must begin with https://"), "{said}");
    assert!(!said.contains(receiver::SECRET), "{said}");
}

/// The metrics that the alert rules and dashboards in ops/ name are on the pages of farm and node, and the dashboards
/// show all that is there.
fn what_ops_names_is_measured(urls: &[&str]) {
    let (rules, shown) =
        (ops::named(&["alerts.yml"]), ops::named(&["grafana-farm.json", "grafana-node.json"]));
    let measured = || -> BTreeSet<String> {
        let pages = urls.iter().map(|url| http_get(url, "/metrics")).collect::<String>();
        let lines = pages.lines().filter(|line| line.starts_with("mass_"));
        lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
    };
    assert!(rules.len() > 10 && shown.len() > 20, "{rules:?} {shown:?}");
    assert!(shown.is_subset(&ops::named(&["../docs/metrics.md"])), "docs/metrics.md names them all");
    // What the node tells the farm of is there once it has told.
    wait_until(&format!("all metrics: {rules:?} {shown:?} {:?}", measured()), || {
        rules.is_subset(&measured()) && shown == measured()
    });
}

fn http_get(url: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < processes::PATIENCE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Plots are opened read-only: a farm leaves them as they are, and works where nothing can be written.
#[test]
fn plots_are_left_as_they_are() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let plots = home.plots("plots", 8);
    let sums = || {
        let files = fs::read_dir(&plots.dir).unwrap().map(|entry| entry.unwrap().path());
        let mut sums: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        sums.sort();
        sums
    };
    let before = sums();
    for (path, _) in &before {
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&plots.dir, fs::Permissions::from_mode(0o555)).unwrap();
    let node = home.node("node", &[]);
    let mut farm = home.farm("farm", &plots, &node, 1);
    farm.event(|event| event["event"] == "sealed");
    assert_eq!(farm.interrupt(), Some(0));
    fs::set_permissions(&plots.dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(before == sums(), "the files are the same, byte for byte");
}

/// A command in a mount namespace of its own where the directory is read-only, as a disk is that was mounted so.
fn with_read_only(dir: &Path, command: &Command) -> Command {
    let mount = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 90
        ! touch "$1/written" 2>/dev/null || exit 91
        shift; exec "$@""#;
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "--user", "--map-root-user", "sh", "-c", mount, "sh"]).arg(dir);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.unwrap_or_default());
    }
    wrapped
}

/// Whether the system lets a test mount something; says so aloud if not.
fn can_mount(dir: &Path) -> bool {
    let tried = with_read_only(dir, &Command::new("true")).output();
    let can = tried.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        // Not by a macro, whose output the test runner holds back.
        let text = format!("\nNOT TESTED: a read-only mount, which this system does not allow: {tried:?}\n");
        stderr().write_all(text.as_bytes()).unwrap();
    }
    can
}

/// The plot files that a process has open, with the flags that it opened them with.
fn open_plots(process: &Process) -> Vec<(String, u32)> {
    let dir = format!("/proc/{}", process.id());
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("{dir}/fd")).unwrap() {
        // One may be closed by now.
        let Ok(entry) = entry else { continue };
        let Ok(path) = fs::read_link(entry.path()) else { continue };
        if path.extension().is_some_and(|is| is == "plot") {
            let number = entry.file_name().into_string().unwrap();
            let info = fs::read_to_string(format!("{dir}/fdinfo/{number}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            found.push((path.display().to_string(), u32::from_str_radix(flags.trim(), 8).unwrap()));
        }
    }
    found
}

/// Plots answer on a disk that is mounted read-only: checked, farmed, found sound by a repair.
#[test]
fn plots_are_farmed_on_a_read_only_mount() {
    let home = Home::new();
    let plots = home.plots("plots", 8);
    let node = home.node("node", &[]);
    let read_only = can_mount(&plots.dir);
    let wrapped = |command: Command| if read_only { with_read_only(&plots.dir, &command) } else { command };
    for args in [&["plots", "check", "--full", "--json"][..], &["plots", "repair", "--json"]] {
        let mut command = home.command(args);
        command.arg("--dir").arg(&plots.dir);
        let checked = output(&mut wrapped(command));
        assert!(checked.status.success(), "{checked:?}");
    }
    let mut command = wrapped(home.farm_command("farm", &plots, &node, 1));
    command.args(["--watch-rounds", "0"]);
    let mut farm = Process::start(command, &home.path("farm.out"));
    farm.event(|event| event["event"] == "sealed");
    let open = open_plots(&farm);
    assert_eq!(open.len(), 8, "{open:?}");
    // The lowest two bits say for what: 0 is for reading alone.
    assert!(open.iter().all(|(_, flags)| flags & 0o3 == 0), "{open:?}");
    assert_eq!(farm.interrupt(), Some(0), "{}", farm.text());
    assert_eq!(fs::read_dir(&plots.dir).unwrap().count(), 8);
}
