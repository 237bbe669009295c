//! The plotter is killed at random moments, as a power cut or the system's memory killer would: what it had finished
//! stays, what it leaves is no plot and goes with the next run.
//!
//! The moments come from a seed that is printed; `MASS_SEED` sets it.

mod dice;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use dice::Dice;
use serde_json::Value;

const FARMER: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn mass(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mass"));
    command.args(args).arg("--dir").arg(dir).env("HOME", dir).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn finished(command: &mut Command) -> Value {
    let Output { status, stdout, stderr } =
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// The plots, and whatever else there is.
fn look(dir: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<PathBuf>) {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let (plots, others) =
        files.partition::<Vec<_>, _>(|path| path.extension().is_some_and(|is| is == "plot"));
    (plots.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect(), others)
}

/// The plots that are staged for groups, each with the file that its group will have.
fn staged(dir: &Path) -> Vec<(PathBuf, PathBuf)> {
    let files = |dir: &Path| fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let parts = files(dir).filter(|path| path.extension().is_some_and(|is| is == "parts"));
    let named = parts.flat_map(|parts| files(&parts).map(move |part| (part, parts.clone())));
    let whole = named.filter(|(part, _)| part.extension().is_some_and(|is| is == "part"));
    whole.map(|(part, parts)| (part, parts.with_extension("").with_extension("plot"))).collect()
}

/// Kills the plotter so many times, each within the time, and lets it end once.
fn kill(create: &[&str], kills: u32, within: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice::new();
    let (mut before, mut left_over) = (BTreeMap::<PathBuf, Vec<u8>>::new(), 0);
    let (mut waiting, mut ever_waiting) = (Vec::<(PathBuf, PathBuf)>::new(), false);
    let has_groups = create.contains(&"--group");
    let mut killed = 0;
    // Finished parts wait for a moment only: more kills until one met it.
    while killed < kills || (has_groups && !ever_waiting && killed < 4 * kills) {
        killed += 1;
        // More than it can make.
        let mut maker = mass(create, dir.path()).args(["--plots", "99"]).spawn().unwrap();
        thread::sleep(Duration::from_micros(dice.below(within.as_micros() as u64)));
        assert!(maker.try_wait().unwrap().is_none(), "it ended by itself");
        maker.kill().unwrap();
        maker.wait().unwrap();
        let (plots, others) = look(dir.path());
        left_over += u32::from(!others.is_empty());
        for (path, bytes) in &before {
            assert!(plots.get(path) == Some(bytes), "{} is lost", path.display());
        }
        before = plots;
        for (part, group) in &waiting {
            assert!(part.exists() || group.exists(), "{} is lost", part.display());
        }
        waiting = staged(dir.path());
        ever_waiting |= !waiting.is_empty();
    }
    assert_eq!(ever_waiting, has_groups);
    eprintln!("{} plot files after {killed} kills, {left_over} of which left something", before.len());
    assert!(left_over > killed / 2, "the kills came too early or too late");

    let made = finished(mass(create, dir.path()).args(["--plots", "5"]));
    let (plots, others) = look(dir.path());
    assert_eq!(others, Vec::<PathBuf>::new());
    assert!(before.iter().all(|(path, bytes)| plots.get(path) == Some(bytes)));
    assert_eq!(plots.len(), before.len() + made["files"].as_array().unwrap().len());
    let checked = finished(&mut mass(&["plots", "check", "--full", "--challenges", "1"], dir.path()));
    assert_eq!((&checked["good"], &checked["bad"]), (&plots.len().into(), &0.into()), "{checked:#}");
}

#[test]
fn plots_outlive_their_plotter() {
    let args = ["plots", "create", "-k", "18", "--farmer-key", FARMER];
    kill(&args, 50, Duration::from_millis(400));
}

#[test]
fn groups_outlive_their_plotter() {
    let args = ["plots", "create", "-k", "18", "--group", "5", "--farmer-key", FARMER];
    kill(&args, 50, Duration::from_millis(500));
}

/// A repair is killed at random moments: what is sound stays as it is, what was made again is not made twice, and in the
/// end all bytes are there.
#[test]
fn repairs_outlive_their_plotter() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice::new();
    let group = ["plots", "create", "-k", "18", "--farmer-key", FARMER, "--plots", "8", "--group", "8"];
    finished(&mut mass(&group, dir.path()));
    let (path, whole) = look(dir.path()).0.pop_first().unwrap();
    let mut damaged = whole.clone();
    // Some bytes of blocks, and the last header.
    let places: Vec<usize> = (0..20).map(|_| 200 + dice.below(whole.len() as u64 - 2000) as usize).collect();
    places.iter().for_each(|place| damaged[*place] ^= 0x81);
    let end = whole.len() - 50;
    damaged[end..].fill(0);
    fs::write(&path, &damaged).unwrap();

    let parts = || staged_in(&path.with_extension("plot.repair"));
    let (mut made, mut kills) = (Vec::<PathBuf>::new(), 0);
    while kills < 30 {
        let mut maker = mass(&["plots", "repair", "--threads", "1"], dir.path()).spawn().unwrap();
        thread::sleep(Duration::from_micros(dice.below(400_000)));
        let ended = maker.try_wait().unwrap().is_some();
        let _ = maker.kill();
        maker.wait().unwrap();
        if ended {
            break;
        }
        kills += 1;
        let now = fs::read(&path).unwrap();
        let differs = |at: usize| now.get(at) != whole.get(at);
        assert!(
            now.len() == whole.len() && (0..end).filter(|at| differs(*at)).all(|at| places.contains(&at))
        );
        let parts_now = parts();
        // They are removed, one by one, once the file is whole.
        let kept = made.iter().all(|part| parts_now.contains(part));
        assert!(kept || now == whole, "a plot is lost, and the file is not whole");
        made = parts_now;
    }
    eprintln!("{kills} kills, {} plots waiting at the last", made.len());
    assert!(kills > 1, "it ended too early");
    finished(&mut mass(&["plots", "repair"], dir.path()));
    let (plots, others) = look(dir.path());
    assert!(plots[&path] == whole && others.is_empty());
}

/// Plots that were made again for a file.
fn staged_in(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).into_iter().flatten().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|is| is == "part")).collect()
}
