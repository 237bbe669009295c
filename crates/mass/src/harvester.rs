//! `mass harvester`: plots on another machine than the farmer's.

use std::{
    io::{self, BufRead as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_farmer::harvest::{self, HarvesterConfig, HarvesterEvent, WayToFarmer};
use serde_json::{Value, json};

use crate::{
    bus::BusArgs,
    farm::HARVESTERS_PORT,
    output::{Output, Verdict, note},
    paths, runtime,
};

/// What to do on a machine with plots.
#[derive(Subcommand)]
pub enum Command {
    /// Pair this machine with a farmer, once.
    ///
    /// On the farmer's machine, `mass farm run --harvesters ADDRESS` must be running; `mass farm pair` prints
    /// a code there, which is good once and for ten minutes. Afterwards each side knows the other's key, and all that they
    /// say is encrypted. The farmer key never comes here: what is stolen with this machine is its plots.
    Pair(PairArgs),
    /// Read plots for the farmer until Ctrl-C. A farmer that is gone is waited for.
    ///
    /// In a cluster there is no pairing: with --bus, the farmer is whoever is the active one on that bus.
    Run(RunArgs),
}

/// Whom to pair with.
#[derive(Args)]
pub struct PairArgs {
    /// The farmer's machine, with the port if that is not the usual one.
    #[arg(long, value_name = "HOST[:PORT]")]
    farmer: String,
    /// The code that `mass farm pair` has printed [default: ask for it].
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The name that the farmer shows for this machine [default: the machine's own].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    store: Store,
}

/// What to read.
#[derive(Args)]
pub struct RunArgs {
    /// A directory of plots; may be given several times.
    #[arg(long = "dir", value_name = "DIR", required = true, num_args = 1..)]
    dirs: Vec<PathBuf>,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    bus: BusArgs,
    /// The name that the farmer of a cluster shows for this machine [default: the machine's own].
    #[arg(long, value_name = "NAME", requires = "url")]
    name: Option<String>,
}

/// Where the keys for the farmer are.
#[derive(Args)]
struct Store {
    /// The file of this machine's key and the farmer's [default: harvester.json in the user's data directory].
    #[arg(long = "keys", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Store {
    fn path(&self) -> anyhow::Result<PathBuf> {
        paths::file_or(self.file.as_deref(), "harvester.json")
    }
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Pair(args) => pair(args, output),
        Command::Run(args) => harvest(args, output),
    }
}

fn pair(args: &PairArgs, output: Output) -> anyhow::Result<Verdict> {
    let code = match &args.code {
        Some(code) => code.clone(),
        None => {
            note("the code that `mass farm pair` has printed on the farmer's machine:");
            let mut code = String::new();
            io::stdin().lock().read_line(&mut code).context("the standard input")?;
            code
        }
    };
    let name = args.name.clone().unwrap_or_else(machine_name);
    let farmer = with_port(&args.farmer);
    let store = args.store.path()?;
    let key = runtime::block_on(async { Ok(harvest::pair(&store, &name, &farmer, &code).await?) })?;
    let value = json!({ "name": name, "farmer": farmer, "key": key, "keys": store });
    let text =
        format!("paired as {name} with the farmer {key} at {farmer}; now: mass harvester run --dir DIR");
    output.result(&value, &text)?;
    Ok(Verdict::Good)
}

/// The machine's name, as far as it can stand before a path.
pub fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    if name.is_empty() { "harvester".to_owned() } else { name }
}

fn with_port(farmer: &str) -> String {
    let has_port = match farmer.rsplit_once(':') {
        // An IPv6 address has colons of its own, unless it stands in brackets.
        Some((host, port)) => port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')),
        None => false,
    };
    match has_port {
        true => farmer.to_owned(),
        false if farmer.contains(':') && !farmer.starts_with('[') => format!("[{farmer}]:{HARVESTERS_PORT}"),
        false => format!("{farmer}:{HARVESTERS_PORT}"),
    }
}

fn harvest(args: &RunArgs, output: Output) -> anyhow::Result<Verdict> {
    runtime::allow_open_files();
    for dir in args.dirs.iter().filter(|dir| !Path::is_dir(dir)) {
        note(&format!("{} is no directory yet; it is looked into until it is", dir.display()));
    }
    let way = match args.bus.config() {
        Some(bus) => WayToFarmer::Bus(bus, args.name.clone().unwrap_or_else(machine_name)),
        None => WayToFarmer::Paired(args.store.path()?),
    };
    let config = HarvesterConfig { way, directories: args.dirs.clone() };
    runtime::block_on(async {
        let stop = runtime::stop_signal()?;
        // A reader that is gone does not stop the harvester.
        let watch = |event: &HarvesterEvent| {
            let _ = output.line(&serde_json::to_value(event).unwrap_or(Value::Null), &describe(event));
        };
        Ok(harvest::run(config, watch, stop).await?)
    })?;
    output.line(&json!({ "event": "stopped" }), "stopped")?;
    Ok(Verdict::Good)
}

fn describe(event: &HarvesterEvent) -> String {
    match event {
        HarvesterEvent::Joined { farmer, key, software } => {
            format!("reading for the farmer {key} at {farmer}, version {software}")
        }
        HarvesterEvent::Lost { reason, again_in_milliseconds } => {
            format!("no farmer: {reason}; trying again in {:.1} s", *again_in_milliseconds as f64 / 1_000.0)
        }
        HarvesterEvent::Plots { disk, plots } => format!("{disk} has {plots} plots now"),
        HarvesterEvent::Answered { disk, asked, qualities, .. } => {
            format!("{disk}: {asked} groups asked, {qualities} qualities")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_usual_one() {
        for (given, expected) in [
            ("farm", "farm:29328"),
            ("farm:1", "farm:1"),
            ("10.0.0.1", "10.0.0.1:29328"),
            ("::1", "[::1]:29328"),
            ("[::1]", "[::1]:29328"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(with_port(given), expected);
        }
    }
}
