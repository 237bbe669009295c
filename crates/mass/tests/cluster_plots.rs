//! Plotting over a cluster's bus, with real plotters and a real server that are killed in mid-work: no job is lost, and
//! none is plotted twice. `cargo xtask slow cluster` runs these.

mod nats;
mod processes;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nats::Server;
use processes::{Home, PATIENCE, Process};
use serde_json::Value;

const FARMER: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A cluster that plots.
struct Cluster {
    home: Home,
    bus: Server,
}

impl Cluster {
    fn new() -> Self {
        let home = Home::new();
        fs::create_dir(home.path("bus")).unwrap();
        let bus = Server::start(&home.path("bus"));
        Self { home, bus }
    }

    fn queue(&self, args: &[&str]) -> Value {
        self.home.json(&[&["plots", "queue", "--bus", &self.bus.url], args].concat())
    }

    /// Queues so many jobs of so many plots each; their groups.
    fn add(&self, jobs: u32, plots: u32) -> BTreeSet<String> {
        let (all, group) = ((jobs * plots).to_string(), plots.to_string());
        let queued = self.queue(&["--plots", &all, "--group", &group, "-k", "18", "--farmer-key", FARMER]);
        let groups = groups(queued["groups"].as_array().unwrap().iter());
        assert_eq!(groups.len(), jobs as usize);
        groups
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    fn plotter(&self, name: &str, more: &[&str]) -> Process {
        let mut command = self.home.command(&["plots", "work", "--json", "--bus", &self.bus.url]);
        command.args(["--name", name, "--threads", "1"]).args(more).arg("--dir").arg(self.dir(name));
        Process::start(command, &self.home.path(&format!("{name}.out")))
    }

    /// Waits until a plotter has a group in work and a plot of it staged; the group.
    fn in_mid_job(&self, name: &str, plotter: &Process) -> String {
        plotter.event(|event| event["event"] == "claimed");
        let is_staged = |group: &String| {
            let parts = self.dir(name).join(format!("plot-k18-{}.group.parts", &group[..16]));
            let parts = fs::read_dir(parts).into_iter().flatten().flatten();
            parts.into_iter().any(|part| part.path().extension().is_some_and(|is| is == "part"))
        };
        let start = Instant::now();
        loop {
            let group = told(plotter, "claimed").pop().unwrap();
            if is_staged(&group) {
                return group;
            }
            assert!(start.elapsed() < PATIENCE, "no plot is staged: {}", plotter.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The groups of the files in the directories of plotters, one name for each file; nothing else is there.
    fn plotted(&self, names: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for name in names {
            let dir = self.dir(name);
            let listed = self.home.json(&["plots", "list", "--dir", dir.to_str().unwrap()]);
            assert_eq!(listed["faults"], serde_json::json!([]), "{listed:#}");
            let plots = listed["plots"].as_array().unwrap();
            found.extend(plots.iter().map(|plot| plot["group_id"].as_str().unwrap().to_owned()));
            let files = fs::read_dir(&dir).unwrap().count();
            assert_eq!(files, plots.len(), "{name} has left something");
        }
        found.sort();
        found
    }

    /// Every group is there once, and the queue knows.
    fn assert_once(&self, expected: &BTreeSet<String>, names: &[&str]) {
        assert_eq!(self.plotted(names), expected.iter().cloned().collect::<Vec<_>>());
        let queue = self.queue(&["--all"]);
        let jobs = |state: &str| queue[state]["jobs"].as_u64().unwrap();
        assert_eq!(
            (jobs("waiting"), jobs("in_work"), jobs("done")),
            (0, 0, expected.len() as u64),
            "{queue:#}"
        );
    }
}

fn groups<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    values.map(|group| group.as_str().unwrap().to_owned()).collect()
}

/// The groups of which a plotter has told such events.
fn told(plotter: &Process, event: &str) -> Vec<String> {
    let events = plotter.events().into_iter().filter(|told| told["event"] == event);
    events.map(|told| told["group"].as_str().unwrap().to_owned()).collect()
}

fn ends(plotter: &mut Process) -> Option<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(plotter.ended())
}

fn is_empty_at(plotter: &mut Process) {
    assert_eq!(ends(plotter), Some(0), "{}", plotter.text());
    let last = plotter.events().pop().unwrap();
    assert_eq!((&last["event"], &last["why"]), (&"stopped".into(), &"empty".into()));
}

#[test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
fn three_plotters_plot_every_job_once() {
    let cluster = Cluster::new();
    let expected = cluster.add(12, 3);
    assert_eq!(cluster.queue(&[])["waiting"], serde_json::json!({ "jobs": 12, "plots": 36 }));
    let names = ["a", "b", "c"];
    let mut plotters = names.map(|name| cluster.plotter(name, &["--until-empty"]));
    plotters.iter_mut().for_each(is_empty_at);
    let mut claimed: Vec<String> = plotters.iter().flat_map(|plotter| told(plotter, "claimed")).collect();
    claimed.sort();
    assert_eq!(claimed, expected.iter().cloned().collect::<Vec<_>>());
    cluster.assert_once(&expected, &names);
}

#[test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
fn the_job_of_a_killed_plotter_is_taken_over() {
    let cluster = Cluster::new();
    let expected = cluster.add(3, 40);
    let mut one = cluster.plotter("one", &[]);
    let group = cluster.in_mid_job("one", &one);
    one.kill();

    // Started again before anybody has noticed, it goes on with what is staged.
    let mut one = cluster.plotter("one", &[]);
    let begun = one.event(|event| event["event"] == "claimed");
    assert!(begun["group"] == group.as_str() && begun["staged"].as_u64() > Some(0), "{begun}");
    cluster.in_mid_job("one", &one);
    one.kill();

    let mut two = cluster.plotter("two", &["--until-empty"]);
    let taken = two.event(|event| event["taken_over_from"] == "one");
    assert_eq!(taken["group"], group.as_str());
    is_empty_at(&mut two);

    let mut one = cluster.plotter("one", &["--until-empty"]);
    is_empty_at(&mut one);
    assert_eq!(told(&one, "removed"), [group]);
    assert_eq!(told(&one, "claimed"), [""; 0]);
    assert_eq!(told(&two, "done").len(), 3);
    cluster.assert_once(&expected, &["one", "two"]);
}

#[test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
fn a_plotter_that_wakes_up_after_its_job_was_taken_over_gives_it_up() {
    let cluster = Cluster::new();
    let expected = cluster.add(1, 100);
    let mut one = cluster.plotter("one", &[]);
    let group = cluster.in_mid_job("one", &one);
    one.signal("STOP");
    let mut two = cluster.plotter("two", &["--until-empty"]);
    two.event(|event| event["taken_over_from"] == "one");
    one.signal("CONT");
    let given_up = one.event(|event| event["event"] == "given_up");
    assert_eq!((&given_up["group"], &given_up["by"]), (&group.into(), &"two".into()));
    is_empty_at(&mut two);
    assert_eq!(one.interrupt(), Some(0));
    cluster.assert_once(&expected, &["one", "two"]);
}

#[test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
fn plotting_goes_on_while_the_bus_is_away() {
    let mut cluster = Cluster::new();
    let expected = cluster.add(6, 20);
    let names = ["one", "two"];
    let mut plotters = names.map(|name| cluster.plotter(name, &["--until-empty"]));
    for (name, plotter) in names.iter().zip(&plotters) {
        cluster.in_mid_job(name, plotter);
    }
    cluster.bus.kill();
    for plotter in &plotters {
        plotter.event(|event| event["event"] == "lost");
    }
    // A group is finished without anybody who could be told.
    let dirs = names.map(|name| cluster.dir(name));
    let done: usize = plotters.iter().map(|plotter| told(plotter, "done").len()).sum();
    let files = |dir: &PathBuf| {
        let names = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|is| is == "plot")).count()
    };
    let start = Instant::now();
    while dirs.iter().map(files).sum::<usize>() == done {
        assert!(start.elapsed() < PATIENCE, "no group is finished");
        thread::sleep(Duration::from_millis(50));
    }
    cluster.bus.restart();
    plotters.iter_mut().for_each(is_empty_at);
    cluster.assert_once(&expected, &names);
}

#[test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
fn jobs_are_given_back_and_cancelled() {
    let cluster = Cluster::new();
    let expected = cluster.add(1, 40);
    let mut one = cluster.plotter("one", &[]);
    let group = cluster.in_mid_job("one", &one);
    // What is in work is not cancelled, by name or all together.
    let others = cluster.add(3, 40);
    let refused = Command::new(env!("CARGO_BIN_EXE_mass"))
        .args(["plots", "queue", "--bus", &cluster.bus.url, "--cancel", &group])
        .output()
        .unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("in work by one"));
    let first = others.first().unwrap();
    assert_eq!(cluster.queue(&["--cancel", &first[..12]])["cancelled"], serde_json::json!([first]));
    let rest = cluster.queue(&["--cancel-all"]);
    assert_eq!(
        groups(rest["cancelled"].as_array().unwrap().iter()),
        others.iter().skip(1).cloned().collect()
    );

    // Asked to stop, a plotter gives its job back at once: another one need not wait.
    assert_eq!(one.interrupt(), Some(0));
    assert_eq!(told(&one, "left"), std::slice::from_ref(&group));
    assert!(cluster.queue(&[])["jobs"][0]["state"] == "left");
    let mut two = cluster.plotter("two", &["--until-empty"]);
    let taken = two.event(|event| event["event"] == "claimed");
    assert!(taken["taken_over_from"].is_null());
    is_empty_at(&mut two);
    let mut one = cluster.plotter("one", &["--until-empty"]);
    is_empty_at(&mut one);
    assert_eq!(told(&one, "removed"), [group]);
    cluster.assert_once(&expected, &["one", "two"]);
    assert_eq!(cluster.queue(&["--all"])["cancelled"]["jobs"], 3);
}
