//! Plots of a running farm are damaged and mended: each is named, each gets the bytes back that it had, and the farm
//! goes on with the others meanwhile, and with all of them after.
//!
//! The damage comes from a seed that is printed; `MASS_SEED` sets it.

mod dice;
mod processes;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use dice::Dice;
use processes::{Home, PATIENCE, Plots, Process, output};
use serde_json::Value;

/// Plots of the group; with it there are files of one plot.
const GROUP: usize = 4;
const SINGLES: usize = 12;
const FILES: usize = SINGLES + 1;
/// Bytes at either end of a file where a header is.
const HEADER: u64 = 108;

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Flips so many bytes behind the first header and before the last, in place.
fn flip(dice: &mut Dice, path: &Path, count: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    for _ in 0..count {
        let (at, mut byte) = (HEADER + dice.below(len - 2 * HEADER), [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1 + dice.below(255) as u8;
        file.write_all_at(&byte, at).unwrap();
    }
}

fn paths(list: &Value) -> BTreeSet<PathBuf> {
    list.as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().into()).collect()
}

/// Runs a command of plots; whether all is good, and its JSON.
fn plots(home: &Home, args: &[&str], dir: &Path) -> (bool, Value) {
    let mut command: Command = home.command(&[&["plots"], args, &["--json"]].concat());
    let output = output(command.arg("--dir").arg(dir));
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), value)
}

/// The files that a full check finds bad, and whether its exit code says so.
fn bad_files(home: &Home, dir: &Path) -> BTreeSet<PathBuf> {
    let (good, checked) = plots(home, &["check", "--full"], dir);
    let tried = checked["plots"].as_array().unwrap();
    assert_eq!(tried.len() + checked["faults"].as_array().unwrap().len(), FILES);
    let bad = tried.iter().filter(|plot| plot["good"] == false).cloned().collect();
    let bad = &paths(&Value::Array(bad)) | &paths(&checked["faults"]);
    assert_eq!(good, bad.is_empty(), "{checked}");
    bad
}

fn rounds(farm: &Process) -> Vec<Value> {
    farm.events().into_iter().filter(|event| event["event"] == "round").collect()
}

/// Waits for rounds after so many.
fn more_rounds(farm: &Process, before: usize, wanted: impl Fn(&[Value]) -> bool) {
    let start = Instant::now();
    loop {
        let rounds: Vec<Value> = rounds(farm).into_iter().skip(before).collect();
        if wanted(&rounds) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the farm stands still: {}", farm.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn faults(farm: &Process) -> Vec<String> {
    let events = farm.events().into_iter().filter(|event| event["event"] == "fault");
    events.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

fn make(home: &Home) -> Plots {
    let made = home.plots("plots", SINGLES as u32);
    let (dir, key) = (made.dir.to_str().unwrap(), made.key.to_str().unwrap());
    let group = GROUP.to_string();
    home.json(&["plots", "create", "--dir", dir, "--plots", &group, "--group", &group, "--key-file", key]);
    made
}

#[test]
fn damage_is_named_and_mended_while_the_farm_goes_on() {
    let (home, mut dice) = (Home::new(), Dice::new());
    let made = make(&home);
    let dir = &made.dir;
    let whole = contents(dir);
    assert_eq!(whole.len(), FILES);
    // Of the files of one plot, in an order that the dice give; the group is damaged in any case.
    let is_group = |path: &PathBuf| whole[path].len() > 2_000_000;
    let group = whole.keys().find(|path| is_group(path)).unwrap().clone();
    let mut singles: Vec<PathBuf> = whole.keys().filter(|path| !is_group(path)).cloned().collect();
    let mut draw = || singles.remove(dice.below(singles.len() as u64) as usize);
    let (cut, first, second, worst) = (draw(), draw(), draw(), draw());

    // One is cut short before the farm comes.
    let len = 1000 + dice.below(whole[&cut].len() as u64 - 2000);
    fs::File::options().write(true).open(&cut).unwrap().set_len(len).unwrap();
    let node = home.node("node", &[]);
    let mut farm = home.farm("farm", &made, &node, 1);
    farm.event(|event| event["event"] == "round");
    let opened = farm.event(|event| event["event"] == "opened");
    assert_eq!(opened["plots"], SINGLES + GROUP - 1, "{opened}");

    // The others while it has them open: some bytes each, and one beyond use, so that the farm is to notice.
    for path in [&first, &second, &group] {
        let count = 1 + dice.below(8);
        flip(&mut dice, path, count);
    }
    flip(&mut dice, &worst, 20_000);
    let damaged = BTreeSet::from([cut.clone(), first, second, group, worst.clone()]);
    assert_eq!(bad_files(&home, dir), damaged);
    let worst_name = worst.display().to_string();
    farm.event(|event| event["event"] == "fault" && event["reason"].as_str().unwrap().contains(&worst_name));

    let before = rounds(&farm).len();
    let (all_good, repaired) = plots(&home, &["repair"], dir);
    assert!(all_good, "{repaired}");
    assert_eq!((paths(&repaired["repaired"]), &repaired["sound"]), (damaged.clone(), &(FILES - 5).into()));
    assert!(contents(dir) == whole, "each file has the bytes that it had");
    assert_eq!(bad_files(&home, dir), BTreeSet::new());
    more_rounds(&farm, before, |rounds| !rounds.is_empty());

    // The one that was cut short comes to the farm, which has not been told.
    let all = [FILES.into(), (SINGLES + GROUP).into()];
    farm.event(|event| event["event"] == "plots" && all.contains(&event["plots"]));
    // A round that is looked up from now on asks mended files. They are asked as often as there are files, with no fault.
    let mended = rounds(&farm).len() + 1;
    more_rounds(&farm, mended, |rounds| !rounds.is_empty());
    let known = faults(&farm);
    more_rounds(&farm, mended, |rounds| {
        rounds.iter().map(|round| round["asked"].as_u64().unwrap()).sum::<u64>() >= FILES as u64
    });
    assert_eq!(faults(&farm), known);
    let names = damaged.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    for fault in &known {
        assert!(names.iter().any(|name| fault.contains(name)), "an undamaged file is lost: {fault}");
    }
    assert_eq!(farm.interrupt(), Some(0), "{}", farm.text());
    assert!(contents(dir) == whole, "farming changes nothing");
}
