//! What farming costs on the machine at hand: processor time of look-ups beside the rival's, the crate `chia-pos2` 1.0.0,
//! and what of it 100 TiB take; reads, as we and the system count them; 10,000 plots opened; look-ups on a slow disk.
//! `cargo xtask bench farm` runs it.
//!
//! Each measurement is a process of its own. Plots are real, but for 10,000 plots and 100 TiB of k = 28, which are sparse
//! files with a hole for the blocks: nothing in them is looked up. A plot of k = 28 takes a minute and 5 GB of memory to
//! make, so what is measured of one comes only with `--k28`.
#![allow(missing_docs)]

mod farm;
mod jobs;
mod measure;
mod plots;
mod table;

use std::{path::Path, process::Command};

use serde_json::{Map, Value, json};

use crate::table::{GROUPS, PLOTS_PER_ROUND, Results};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["job", ref job @ ..] => measure::say(&run(job).to_string()),
        ["nodes", ref words @ ..] => block_on(farm::nodes(specs(words))),
        [dir, ref flags @ ..] if flags.iter().all(|flag| ["--k28", "--json"].contains(flag)) => {
            let results = measure_all(Path::new(dir), flags.contains(&"--k28"));
            measure::say(&if flags.contains(&"--json") {
                Value::Object(results).to_string()
            } else {
                table::describe(&Results(results))
            });
        }
        _ => eprintln!("usage: farm_bench DIR [--k28] [--json]"),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("the system gives threads").block_on(future)
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

/// Chains by their number, whether they share a beacon, k, and the filter.
fn specs(words: &[&str]) -> Vec<mass_consensus::spec::ChainSpec> {
    let [count, shared, k, filter] = words[..] else { panic!("{words:?}") };
    farm::specs(number(count), shared == "shared", number(k), number(filter))
}

fn run(job: &[&str]) -> Value {
    match job[..] {
        ["look-up", dir, k, plots] => jobs::look_up(Path::new(dir), number(k), number(plots)),
        ["rival", dir, k] => jobs::rival(Path::new(dir), number(k)),
        ["solve", dir, k] => jobs::solve(Path::new(dir), number(k)),
        ["schedule", qualities] => jobs::schedule_of(number(qualities)),
        ["slow", dir, k, plots] => jobs::slow(Path::new(dir), number(k), number(plots)),
        ["farm", dir, seconds, ref chains @ ..] => {
            let words: Vec<String> = chains.iter().map(|word| (*word).to_owned()).collect();
            block_on(farm::farm(Path::new(dir), &words, specs(chains), number(seconds)))
        }
        _ => panic!("unknown job {job:?}"),
    }
}

/// Runs a job in a process of its own, under another program if one is named.
fn measure(under: &[&str], job: &[&str]) -> Option<Value> {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = match under {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
        [] => Command::new(&program),
    };
    let output = command.arg("job").args(job).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{}: {}{}", job.join(" "), text.trim(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last()?).ok()
}

fn measure_all(dir: &Path, with_k28: bool) -> Map<String, Value> {
    std::fs::create_dir_all(dir).expect("the directory can be made");
    let at = |path: std::path::PathBuf| path.display().to_string();
    let text = at(dir.to_owned());
    let sizes: &[&str] = if with_k28 { &["18", "20", "22", "28"] } else { &["18", "20", "22"] };
    // Whatever is made is made before anything is measured.
    sizes.iter().for_each(|k| drop(plots::group(dir, number(k), 0, 1)));
    sizes.iter().filter(|k| **k != "28").for_each(|k| drop(plots::rival_plot(dir, number(k))));
    plots::group(dir, 20, 0, 16);
    let real = at(plots::group(dir, 18, 0, 128).parent().expect("it is in a directory").to_owned());
    plots::group(dir, 18, 1, 128);
    let mut results = Map::new();
    let mut add = |name: String, value: Option<Value>| drop(results.insert(name, value.unwrap_or_default()));
    for k in sizes {
        add(format!("look-up k{k} x1"), measure(&[], &["look-up", &text, k, "1"]));
        add(format!("rival k{k}"), (*k != "28").then(|| measure(&[], &["rival", &text, k])).flatten());
    }
    add("look-up k20 x16".to_owned(), measure(&[], &["look-up", &text, "20", "16"]));
    add("look-up k18 x128".to_owned(), measure(&[], &["look-up", &text, "18", "128"]));
    add("solve".to_owned(), measure(&[], &["solve", &text, sizes.last().unwrap_or(&"22")]));
    add("solve k".to_owned(), Some(json!(sizes.last())));
    add("schedule".to_owned(), measure(&[], &["schedule", &PLOTS_PER_ROUND.to_string()]));
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e"];
    let strace = [&strace[..], &["inject=pread64:delay_enter=10000"]].concat();
    for (k, plots) in [("18", "1"), ("18", "128")] {
        add(format!("slow k{k} x{plots}"), measure(&strace, &["slow", &text, k, plots]));
    }
    for (name, count, beacon) in [("one", "1", "shared"), ("shared", "4", "shared"), ("apart", "4", "apart")]
    {
        add(format!("farm {name}"), measure(&[], &["farm", &real, "34", count, beacon, "18", "2"]));
    }
    for (files, plots) in [(10_000, 1), (79, 128), (GROUPS, 128)] {
        let sparse = at(plots::sparse(dir, files, plots));
        let job = ["farm", &sparse, "24", if files == GROUPS { "4" } else { "1" }, "shared", "28", "128"];
        add(format!("sparse {files} x{plots}"), measure(&[], &job));
    }
    results
}
