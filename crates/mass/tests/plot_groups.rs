//! Groups of plots through the real program: made, listed, checked, stopped and gone on with.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const FARMER: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn mass(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mass"));
    command.args(args).env("HOME", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn in_dir(args: &[&str], dir: &Path) -> Command {
    let mut command = mass(args, dir);
    command.arg("--dir").arg(dir);
    command
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn create(options: &[&str], dir: &Path) -> Command {
    let args = ["plots", "create", "-k", "18", "--farmer-key", FARMER, "--json"];
    in_dir(&[&args[..], options].concat(), dir)
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn groups_are_made_listed_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let made = create(&["--plots", "7", "--group", "3"], dir.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    assert_eq!((&json(&made)["count"], files(dir.path())), (&7.into(), 3));
    assert!(String::from_utf8_lossy(&made.stderr).contains("merging 3 plots"), "{made:?}");

    let listed = json(&in_dir(&["plots", "list", "--json"], dir.path()).output().unwrap());
    assert_eq!((&listed["count"], &listed["files"]), (&7.into(), &3.into()));
    let mut counts: Vec<u64> =
        listed["plots"].as_array().unwrap().iter().map(|plot| plot["plots"].as_u64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 3, 3]);

    let checked = in_dir(&["plots", "check", "--full", "--challenges", "40", "--json"], dir.path());
    let checked = json(&{ checked }.output().unwrap());
    assert_eq!((&checked["good"], &checked["bad"]), (&3.into(), &0.into()));
    for plot in checked["plots"].as_array().unwrap() {
        let number = |name: &str| plot[name].as_f64().unwrap();
        assert!(number("p_value") > 1e-6 && number("p_value_of_worst_plot") > 1e-6, "{plot}");
        assert!(number("proofs_verified") > 0.0 && number("answers") <= number("qualities"), "{plot}");
    }
}

#[test]
fn a_group_that_was_cancelled_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let maker = create(&["--plots", "40", "--group", "40"], dir.path()).spawn().unwrap();
    let staged = || {
        let files = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        let parts = files.filter(|path| path.is_dir()).flat_map(|parts| fs::read_dir(parts).unwrap());
        parts.filter(|part| part.as_ref().unwrap().path().extension().is_some_and(|is| is == "part")).count()
    };
    wait_until("a plot", || staged() > 1);
    signal(&maker, "-TERM");
    let output = maker.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the next run goes on"), "{output:?}");
    let before = staged();
    assert!((2..40).contains(&before), "{before}");

    // Somebody else's group is left alone.
    let other = ["plots", "create", "-k", "18", "--farmer-key", &FARMER.replace('7', "8"), "--json"];
    let made = json(&in_dir(&other, dir.path()).output().unwrap());
    assert_eq!((&made["count"], staged()), (&1.into(), before));

    let output = create(&[], dir.path()).output().unwrap();
    let note = format!("going on with a group of 40 plots, {before} of which are there");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&note), "{output:?}");
    assert_eq!((&json(&output)["count"], files(dir.path())), (&40.into(), 2));
}

/// Stopped, it does nothing and holds what it has; continued, it ends well.
#[test]
fn a_plotter_rests_while_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut maker = create(&["--plots", "20", "--nice"], dir.path()).spawn().unwrap();
    wait_until("a plot", || files(dir.path()) > 1);
    signal(&maker, "-STOP");
    let state = |task: &Path| {
        let text = fs::read_to_string(task.join("stat")).unwrap();
        // Behind the name: state, 15 other fields, priority, niceness.
        let fields: Vec<String> =
            text.rsplit(')').next().unwrap().split_whitespace().map(String::from).collect();
        (fields[0].clone(), fields[16].clone())
    };
    let tasks = format!("/proc/{}/task", maker.id());
    let states =
        || -> Vec<_> { fs::read_dir(&tasks).unwrap().map(|task| state(&task.unwrap().path())).collect() };
    wait_until("stopping", || states().iter().all(|(state, _)| state == "T"));
    assert!(states().iter().all(|(_, niceness)| niceness == "19"), "{:?}", states());
    let (before, start) = (files(dir.path()), Instant::now());
    while start.elapsed() < Duration::from_millis(500) {
        assert_eq!(files(dir.path()), before);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(maker.try_wait().unwrap().is_none());
    signal(&maker, "-CONT");
    let output = maker.wait_with_output().unwrap();
    assert_eq!((&json(&output)["count"], files(dir.path())), (&20.into(), 20));
}
