//! Plotters that are paused from elsewhere, and that leave the disk to others.

mod processes;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use processes::{Home, Process, output};
use serde_json::Value;

const FARMER: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A plotter in a directory of its home.
struct Maker {
    home: Home,
    dir: PathBuf,
}

impl Maker {
    fn new() -> Self {
        let home = Home::new();
        let dir = home.path("plots");
        fs::create_dir(&dir).unwrap();
        Self { home, dir }
    }

    fn start(&self, args: &[&str]) -> Process {
        let mut command = self.home.command(&["plots", "create", "--farmer-key", FARMER, "--json"]);
        command.arg("--dir").arg(&self.dir).args(args);
        Process::start(command, &self.home.path("maker.out"))
    }

    fn json(&self, args: &[&str]) -> Value {
        self.home.json(&[args, &["--dir", self.dir.to_str().unwrap()]].concat())
    }

    /// Pauses or resumes; what is told of the one directory.
    fn tell(&self, command: &str) -> Value {
        self.json(&["plots", command])["directories"][0].clone()
    }

    /// Plots that are staged for groups.
    fn staged(&self) -> Vec<PathBuf> {
        let files = |dir: &Path| fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
        let parts = files(&self.dir).filter(|path| path.is_dir()).flat_map(|parts| files(&parts));
        parts.filter(|part| part.extension().is_some_and(|is| is == "part")).collect()
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < processes::PATIENCE, "{what} takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processor time of a process, in hundredths of a second.
fn ticks(process: &Process) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// For half a second from now on the process uses next to nothing.
fn rests(process: &Process) -> bool {
    let (before, start) = (ticks(process), Instant::now());
    while start.elapsed() < Duration::from_millis(500) {
        if ticks(process) > before + 2 {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn a_plotter_is_paused_from_elsewhere_and_loses_nothing() {
    let maker = Maker::new();
    // Minutes of work.
    let mut plotter = maker.start(&["-k", "26", "--threads", "2", "--nice"]);
    wait_until("work", || ticks(&plotter) > 50);
    let told = maker.tell("pause");
    let at_pause = ticks(&plotter);
    assert_eq!(
        (&told["paused"], &told["changed"], &told["plotting"]),
        (&true.into(), &true.into(), &true.into())
    );
    wait_until("rest", || rests(&plotter));
    // Less than two threads use in a second; the time by the clock depends on who else is at work.
    let used = ticks(&plotter) - at_pause;
    assert!(used < 200, "{used}");
    assert!(plotter.text().contains("paused: `mass plots resume --dir"), "{}", plotter.text());
    let listed = maker.json(&["plots", "list"]);
    assert_eq!(listed["paused"][0], maker.dir.to_str().unwrap());
    assert_eq!(maker.tell("pause")["changed"], false);

    let before = ticks(&plotter);
    assert_eq!(maker.tell("resume")["changed"], true);
    wait_until("work", || ticks(&plotter) > before + 50);
    assert!(plotter.text().contains("resumed"), "{}", plotter.text());
    // It is ended while it rests: by SIGINT, and nothing is left but the pause.
    maker.tell("pause");
    wait_until("rest", || rests(&plotter));
    assert_eq!(plotter.interrupt(), Some(1));
    assert!(plotter.text().contains("cancelled"), "{}", plotter.text());
    assert_eq!(fs::read_dir(&maker.dir).unwrap().count(), 1);
    assert_eq!(maker.tell("resume")["plotting"], false);
}

#[test]
fn a_pause_outlives_a_kill_and_what_is_staged_is_kept() {
    let maker = Maker::new();
    let group = ["-k", "18", "--plots", "30", "--group", "30"];
    let mut plotter = maker.start(&group);
    wait_until("a plot", || maker.staged().len() > 1);
    maker.tell("pause");
    wait_until("rest", || rests(&plotter));
    let staged: Vec<(PathBuf, Vec<u8>)> =
        maker.staged().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(staged.len() < 30);
    let begun = maker.json(&["plots", "list"])["unfinished"][0].clone();
    assert_eq!((&begun["staged"], &begun["in_work"]), (&staged.len().into(), &true.into()));
    plotter.kill();

    // The next one waits, until it is told otherwise.
    let begun = maker.json(&["plots", "list"])["unfinished"][0].clone();
    assert_eq!((&begun["plots"], &begun["in_work"]), (&30.into(), &false.into()));
    let mut plotter = maker.start(&group);
    wait_until("a note", || plotter.text().contains("paused"));
    wait_until("rest", || rests(&plotter));
    assert_eq!(maker.staged().len(), staged.len());
    assert!(staged.iter().all(|(path, bytes)| fs::read(path).is_ok_and(|now| now == *bytes)));
    maker.tell("resume");
    assert_eq!(plotter.wait(), Some(0), "{}", plotter.text());
    let text = plotter.text();
    let made: Value = serde_json::from_str(&text[text.find("\n{").unwrap()..]).unwrap();
    assert_eq!(made["count"], 30);
    assert!(made["paused_seconds"].as_f64() > Some(0.4), "{made}");
    assert_eq!(fs::read_dir(&maker.dir).unwrap().count(), 1);
    let checked = maker.json(&["plots", "check", "--full", "--challenges", "1"]);
    assert_eq!((&checked["good"], &checked["bad"]), (&1.into(), &0.into()), "{checked}");
}

/// Each plot is written once and read once.
#[test]
fn the_disk_is_used_as_much_as_is_allowed() {
    let maker = Maker::new();
    let limited = |args: &[&str]| {
        let mut command = maker.home.command(args);
        command.arg("--dir").arg(&maker.dir).args(["--max-io", "2M", "--json"]);
        let start = Instant::now();
        let output = output(&mut command);
        assert!(output.status.success(), "{output:?}");
        (start.elapsed().as_secs_f64(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let (seconds, made) = limited(&["plots", "create", "--farmer-key", FARMER, "-k", "18", "--plots", "4"]);
    let at_limit = made["bytes"].as_f64().unwrap() / f64::from(2 << 20);
    assert!(seconds > 2.0 * at_limit - 0.2, "{seconds} {at_limit}");
    let (seconds, sound) = limited(&["plots", "repair"]);
    assert_eq!(sound["sound"], 4);
    assert!(seconds > at_limit - 0.2, "{seconds} {at_limit}");
    // A group is staged, read back, merged, and read back.
    let group = ["plots", "create", "--farmer-key", FARMER, "-k", "18", "--plots", "4", "--group", "4"];
    let (seconds, _) = limited(&group);
    assert!(seconds > 5.0 * at_limit - 0.5, "{seconds} {at_limit}");
}
