//! `mass chain new`, and the guide `docs/new-chain.md`, word for word.

mod processes;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use processes::{Home, PATIENCE, Process};

#[test]
fn a_new_chain_is_written_once_and_is_sound() {
    let home = Home::new();
    let dir = home.path("notes");
    let args = ["chain", "new", "pets", "--beacon", "dev", "--dir", dir.to_str().unwrap()];
    let made = home.json(&args);
    let text = fs::read_to_string(dir.join("chain.json")).unwrap();
    let spec = ChainSpec::from_json(&text).unwrap();
    let dev = ChainSpec::built_in("dev").unwrap();
    spec.check_beacon(&dev).unwrap();
    assert_eq!(made["id"], spec.id().to_string());
    assert_eq!((spec.beacon_id(), spec.rules().name.as_str()), (dev.id(), "pets"));
    let checked = home.json(&["chain", "check", dir.join("chain.json").to_str().unwrap()]);
    assert_eq!(checked["id"], made["id"]);
    // The same kind in the spec and in the ledger.
    let ledger = fs::read_to_string(dir.join("src/ledger.rs")).unwrap();
    assert!(ledger.contains(&format!("KIND: &'static str = \"{}\"", spec.rules().ledger.kind)));

    let again = home.command(&args).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a new directory is needed"), "{again:?}");
    assert_eq!(fs::read_to_string(dir.join("chain.json")).unwrap(), text, "nothing was overwritten");
    // A node of Mass Net's ledger says whose chain it is.
    let spec = dir.join("chain.json");
    let node = ["node", "run", "--chain", spec.to_str().unwrap(), "--rpc", "127.0.0.1:0"];
    let wrong = processes::output(&mut home.command(&node));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a program of its own"), "{wrong:?}");
}

/// A fenced block of the guide.
struct Fence<'a> {
    info: &'a str,
    text: String,
}

fn fences(guide: &str) -> Vec<Fence<'_>> {
    let (mut found, mut open) = (Vec::<Fence<'_>>::new(), false);
    for line in guide.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => found.push(Fence { info, text: String::new() }),
            (Some(_), true) => {}
            (None, true) => {
                let text = &mut found.last_mut().expect("a fence is open").text;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => continue,
        }
        open = line.starts_with("```") != open;
    }
    found
}

/// A shell in the home directory, with our `mass` first in the path and the builder's own cargo.
fn shell(home: &Home, script: &str) -> Command {
    let mass = home.command(&[]);
    let bin = Path::new(mass.get_program()).parent().unwrap().display().to_string();
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(home.path(""));
    command.envs(mass.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()));
    let user = std::env::var("HOME").unwrap();
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        command.env(name, std::env::var(name).unwrap_or_else(|_| format!("{user}/{folder}")));
    }
    command
}

/// Runs a block until it prints `expected`, or once if nothing is expected.
fn run(home: &Home, script: &str, expected: Option<&str>) {
    let start = Instant::now();
    loop {
        let output = shell(home, &format!("set -e -o pipefail\n{script}")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match expected {
            Some(expected) if text == expected => return,
            None if output.status.success() => return eprintln!("$ {script}{text}"),
            Some(_) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(500)),
            _ => panic!("{script}{output:?}"),
        }
    }
}

/// The guide says what a person does, so the ports are those that programs take by themselves.
#[test]
#[ignore = "builds a crate; cargo xtask slow chain runs it"]
fn the_guide_does_what_it_says() {
    for port in [29_329, 29_330, 29_331, 29_399] {
        TcpListener::bind(("127.0.0.1", port))
            .unwrap_or_else(|error| panic!("port {port} is needed: {error}"));
    }
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/new-chain.md");
    let guide = fs::read_to_string(guide).unwrap();
    let home = Home::new();
    let (blocks, mut terminals) = (fences(&guide), Vec::new());
    for (position, block) in blocks.iter().enumerate() {
        let expected = blocks.get(position + 1).filter(|next| next.info == "text");
        match block.info {
            "sh" => run(&home, &block.text, expected.map(|next| next.text.as_str())),
            "sh terminal" => {
                let script = format!("exec {}", block.text);
                let terminal = Process::start(shell(&home, &script), &home.path(&format!("{position}.out")));
                let start = Instant::now();
                while !terminal.text().contains("RPC") {
                    assert!(start.elapsed() < PATIENCE, "{script}{}", terminal.text());
                    std::thread::sleep(Duration::from_millis(100));
                }
                terminals.push(terminal);
            }
            "text" => {}
            other => panic!("nobody knows what to do with {other:?}"),
        }
        // The crate is built where this test was, which has most of it already.
        let target = home.path("pets/target");
        if !target.exists() && target.parent().is_some_and(Path::exists) {
            let built = Path::new(env!("CARGO_BIN_EXE_mass")).parent().and_then(Path::parent).unwrap();
            std::os::unix::fs::symlink(built, target).unwrap();
        }
    }
    assert_eq!(terminals.len(), 4);
    for mut terminal in terminals.into_iter().rev() {
        assert_eq!(terminal.interrupt(), Some(0), "{}", terminal.text());
    }
}
