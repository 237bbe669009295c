//! A node, and what it costs: `cargo xtask bench node`. Prints Markdown.
//!
//! Chains are made by a chain that is told the time, with real proofs, seals and payments. A node with one of them is the
//! only peer of a second one that has nothing, each in a process of its own, over loopback. What verification alone
//! costs is measured on the same blocks.
#![allow(clippy::print_stdout, reason = "its result is the table")]

#[path = "../../../consensus/tests/farm/mod.rs"]
mod farm;
mod load;
mod make;
mod peers;
#[allow(dead_code, reason = "the ledger's bench uses the rest")]
#[path = "../ledger_bench/purse.rs"]
mod purse;

use std::{env, fs, path::Path};

/// Blocks of the chain without payments, of the one with payments, payments of a block, and requests of each kind.
#[derive(Clone, Copy)]
struct Sizes {
    empty: u32,
    paid: u32,
    payments: u32,
    requests: u32,
}

impl Sizes {
    /// From `MASS_BENCH_NODE`, as in `empty=1000,paid=200,payments=100,requests=5000`.
    fn wanted() -> Self {
        let mut sizes = Self { empty: 100_000, paid: 20_000, payments: 100, requests: 20_000 };
        let text = env::var("MASS_BENCH_NODE").unwrap_or_default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').expect("NAME=NUMBER");
            let value = value.parse().expect("a number");
            match name {
                "empty" => sizes.empty = value,
                "paid" => sizes.paid = value,
                "payments" => sizes.payments = value,
                "requests" => sizes.requests = value,
                other => panic!("there is no size {other}"),
            }
        }
        sizes
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", folder] => peers::serve(Path::new(folder)),
        ["sync", folder, peer, height, requests] => {
            peers::sync(
                Path::new(folder),
                peer,
                height.parse().expect("a height"),
                requests.parse().expect("a number"),
            );
        }
        [folder] => run(Path::new(folder), Sizes::wanted()),
        _ => panic!("run it as `cargo xtask bench node`"),
    }
}

fn run(folder: &Path, sizes: Sizes) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("the folder can be made");
    println!(
        "| a new node gets from one peer | blocks/s | payments/s | of verification alone | processor s | of it verification | peak memory | database |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|"
    );
    let mut last = None;
    for (name, blocks, payments) in [("empty", sizes.empty, 0), ("paid", sizes.paid, sizes.payments)] {
        if blocks == 0 {
            continue;
        }
        let from = folder.join(name);
        let bare = make::chain(&from, blocks, payments);
        let got = peers::measure(&from, &folder.join(format!("{name}-new")), blocks, sizes.requests);
        let rate = f64::from(blocks) / got.seconds;
        println!(
            "| {blocks} blocks of {payments} payments | {rate:.0} | {:.0} | {:.0} % | {:.1} | {:.1} | {:.0} MB | {:.1} MB |",
            rate * f64::from(payments),
            100.0 * bare.wall / got.seconds,
            got.processor,
            bare.processor,
            got.peak_bytes / 1e6,
            got.database_bytes / 1e6,
        );
        last = Some(got);
    }
    let got = last.expect("there are blocks");
    println!("\n| a node that has caught up | |\n|---|---:|");
    println!(
        "| idle: processor | {:.2} % |\n| idle: memory | {:.0} MB |",
        got.idle_percent,
        got.idle_bytes / 1e6
    );
    for (method, p50, p99) in got.latencies {
        println!("| `{method}` at 1,000 requests/s: p50, p99 | {p50:.2} ms, {p99:.2} ms |");
    }
    fs::remove_dir_all(folder).expect("the folder can be removed");
}

/// Seconds of processor that this process has had, in steps of a hundredth; Linux.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A size of this process in bytes, by its name in `/proc`.
fn memory(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
