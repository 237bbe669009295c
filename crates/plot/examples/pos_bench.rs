//! The proof of space against its rival, the crate `chia-pos2` 1.0.0, on the machine at hand: making a plot, verifying,
//! looking up, solving. `cargo xtask bench pos` runs it.
//!
//! Each measurement is a process of its own, so that processor time and peak memory are those of one job on one side;
//! sides take turns; medians are shown. A plot of k = 28 takes minutes and 12 GB of memory on the rival's side, so
//! the rows that need one come only with `--k28`.
#![allow(clippy::print_stdout)]

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use mass_plot::{Plot, create, file_name};
use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, META_GROUP, PlotSize, Proof, QualityChain, Strength, verify};

/// Measurements of each job on each side.
const ROUNDS: usize = 5;
/// Challenges of a look-up job.
const CHALLENGES: u32 = 200;
/// Verifications of a verify job.
const VERIFICATIONS: u32 = 20_000;

/// Who does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Rival,
}

/// What a job took, for one piece of work.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_bytes: f64,
    file_bytes: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["job", job, k, side, dir] => {
            let side = if side == "ours" { Side::Ours } else { Side::Rival };
            let cost = job_cost(job, k.parse().expect("k is a number"), side, Path::new(dir));
            println!("{} {} {} {}", cost.wall_seconds, cost.cpu_seconds, cost.peak_bytes, cost.file_bytes);
        }
        [dir] => compare(Path::new(dir), false),
        [dir, "--k28"] => compare(Path::new(dir), true),
        _ => eprintln!("usage: pos_bench DIR [--k28]"),
    }
}

/// All rows, as a table in Markdown on the standard output.
fn compare(dir: &Path, with_k28: bool) {
    fs::create_dir_all(dir).expect("the directory can be made");
    let sizes: &[u8] = if with_k28 { &[20, 24, 28] } else { &[20, 24] };
    for &k in sizes {
        prepare(dir, k);
    }
    let mut rows = vec![("plot", 22), ("plot", 24), ("verify", 20)];
    rows.extend(sizes.iter().map(|k| ("qualities", *k)));
    rows.extend(sizes.iter().map(|k| ("solve", *k)));
    if with_k28 {
        rows.push(("plot", 28));
    }
    println!(
        "| job | ours: CPU | rival: CPU | ratio | ours: wall | rival: wall | ratio | ours: memory | rival: memory |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut sizes_of_files = Vec::new();
    for (job, k) in rows {
        let rounds = if (job, k) == ("plot", 28) { 1 } else { ROUNDS };
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (costs, side) in costs.iter_mut().zip([Side::Ours, Side::Rival]) {
                costs.push(measure(job, k, side, dir));
            }
        }
        let [ours, rival] = costs.map(median);
        println!("{}", row(job, k, &ours, &rival));
        if job == "plot" {
            sizes_of_files.push((k, ours.file_bytes, rival.file_bytes));
        }
    }
    println!();
    for (k, ours, rival) in sizes_of_files {
        println!("File of k = {k}: ours {ours} bytes, rival's {rival}, {:.4} of it.", ours / rival);
    }
}

fn row(job: &str, k: u8, ours: &Cost, rival: &Cost) -> String {
    format!(
        "| {job}, k = {k} | {} | {} | {:.1} | {} | {} | {:.1} | {} | {} |",
        seconds(ours.cpu_seconds),
        seconds(rival.cpu_seconds),
        rival.cpu_seconds / ours.cpu_seconds,
        seconds(ours.wall_seconds),
        seconds(rival.wall_seconds),
        rival.wall_seconds / ours.wall_seconds,
        megabytes(ours.peak_bytes),
        megabytes(rival.peak_bytes),
    )
}

fn seconds(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.2} us", seconds * 1e6),
        1e-3..1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}

/// Runs one job in a process of its own.
fn measure(job: &str, k: u8, side: Side, dir: &Path) -> Cost {
    let side = if side == Side::Ours { "ours" } else { "rival" };
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["job", job, &k.to_string(), side])
        .arg(dir)
        .output()
        .expect("this program can be started");
    assert!(output.status.success(), "{job} {k} {side}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [wall_seconds, cpu_seconds, peak_bytes, file_bytes] = numbers[..] else { panic!("{text}") };
    eprintln!("{job} k={k} {side}: {cpu_seconds:.6} CPU-s, {wall_seconds:.6} s");
    Cost { wall_seconds, cpu_seconds, peak_bytes, file_bytes }
}

fn median(mut costs: Vec<Cost>) -> Cost {
    let mut middle = |key: fn(&Cost) -> f64| {
        costs.sort_by(|a, b| key(a).total_cmp(&key(b)));
        key(&costs[costs.len() / 2])
    };
    Cost {
        wall_seconds: middle(|cost| cost.wall_seconds),
        cpu_seconds: middle(|cost| cost.cpu_seconds),
        peak_bytes: middle(|cost| cost.peak_bytes),
        file_bytes: middle(|cost| cost.file_bytes),
    }
}

/// Does a job and says what one piece of its work took.
fn job_cost(job: &str, k: u8, side: Side, dir: &Path) -> Cost {
    match job {
        "plot" => {
            let dir = dir.join(format!("new-{}", std::process::id()));
            fs::create_dir_all(&dir).expect("the directory can be made");
            let mut cost = take(1, || make(&dir, k, side));
            let file = fs::read_dir(&dir).expect("it is there").next().expect("a plot").expect("its name");
            cost.file_bytes = file.metadata().expect("its size").len() as f64;
            fs::remove_dir_all(&dir).expect("it can go");
            cost
        }
        "verify" => verify_cost(k, side, dir),
        "qualities" => qualities_cost(k, side, dir),
        "solve" => solve_cost(k, side, dir),
        _ => panic!("unknown job {job}"),
    }
}

/// Measures `work`, which does so many pieces of work.
fn take(pieces: u32, work: impl FnOnce()) -> Cost {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let pieces = f64::from(pieces);
    Cost { wall_seconds: wall / pieces, cpu_seconds: cpu / pieces, peak_bytes: peak_bytes(), file_bytes: 0.0 }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn peak_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}

fn identity(k: u8) -> GroupIdentity {
    GroupIdentity {
        size: PlotSize::new(k).expect("k is right"),
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([1; 32]),
        nonce: GroupNonce::new([2; 32]),
    }
}

fn make(dir: &Path, k: u8, side: Side) {
    let identity = identity(k);
    match side {
        Side::Ours => drop(create(dir, &identity).expect("the plot can be made")),
        Side::Rival => chia_pos2::create_v2_single_plot_group(
            &rival_path(dir, k),
            k,
            identity.strength.get(),
            identity.group_id().as_bytes(),
            0,
            META_GROUP,
            &[7; 112],
        )
        .expect("the plot can be made"),
    }
}

fn rival_path(dir: &Path, k: u8) -> PathBuf {
    dir.join(format!("rival-k{k}.bin"))
}

fn prepare(dir: &Path, k: u8) {
    if !dir.join(file_name(&identity(k))).exists() {
        make(dir, k, Side::Ours);
    }
    if !rival_path(dir, k).exists() {
        make(dir, k, Side::Rival);
    }
}

fn our_plot(dir: &Path, k: u8) -> Plot {
    Plot::open(&dir.join(file_name(&identity(k)))).expect("the plot opens")
}

fn challenge(number: u32) -> Challenge {
    let mut bytes = [3; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Challenge::new(bytes)
}

/// Challenges and what our plot answers, which is what the rival's answers.
fn answers(plot: &Plot) -> impl Iterator<Item = (Challenge, QualityChain)> {
    (0..).map(challenge).flat_map(|challenge| {
        let chains = plot.qualities(&challenge).expect("the plot answers");
        chains.into_iter().map(move |chain| (challenge, chain))
    })
}

fn qualities_cost(k: u8, side: Side, dir: &Path) -> Cost {
    let mut found = 0;
    let ask =
        |ask: &mut dyn FnMut(Challenge) -> usize| (0..CHALLENGES).map(|i| ask(challenge(i))).sum::<usize>();
    match side {
        Side::Ours => {
            let plot = our_plot(dir, k);
            let mut one = |challenge: Challenge| plot.qualities(&challenge).expect("it answers").len();
            ask(&mut one);
            take(CHALLENGES, || found += ask(&mut one))
        }
        Side::Rival => {
            let prover = chia_pos2::Prover::new(&rival_path(dir, k)).expect("the plot opens");
            let mut one = |challenge: Challenge| {
                prover.get_qualities_for_challenge(challenge.as_bytes()).expect("it answers").len()
            };
            ask(&mut one);
            take(CHALLENGES, || found += ask(&mut one))
        }
    }
}

fn solve_cost(k: u8, side: Side, dir: &Path) -> Cost {
    let plot = our_plot(dir, k);
    let count = if k < 24 { 10 } else { 3 };
    let chains: Vec<QualityChain> = answers(&plot).map(|(_, chain)| chain).take(count).collect();
    take(count as u32, || {
        for chain in &chains {
            match side {
                Side::Ours => drop(black_box(plot.solve(chain).expect("it has a proof"))),
                Side::Rival => {
                    let links = chia_pos2::QualityChain { chain_links: *chain.links() };
                    let strength = plot.params().strength.get();
                    let proof = chia_pos2::solve_proof(&links, plot.plot_id().as_bytes(), k, strength);
                    assert!(!proof.is_empty(), "it has a proof");
                }
            }
        }
    })
}

fn verify_cost(k: u8, side: Side, dir: &Path) -> Cost {
    let plot = our_plot(dir, k);
    let (challenge, chain) = answers(&plot).next().expect("answers do not end");
    let proof: Proof = plot.solve(&chain).expect("it has a proof");
    let mut bytes = Vec::new();
    proof.write(&mut bytes);
    let (params, id) = (*plot.params(), plot.params().group_id.get());
    take(VERIFICATIONS, || {
        for _ in 0..VERIFICATIONS {
            // From bytes, as a node gets it.
            let bytes = black_box(bytes.as_slice());
            let is_valid = match side {
                Side::Ours => Proof::read(params.size, bytes)
                    .is_ok_and(|proof| verify(&params, &challenge, &proof).is_ok()),
                Side::Rival => {
                    let strength = params.strength.get();
                    let challenge = challenge.as_bytes();
                    chia_pos2::validate_proof_v2(&id, 0, k, strength, META_GROUP, challenge, bytes).is_some()
                }
            };
            assert!(is_valid);
        }
    })
}
