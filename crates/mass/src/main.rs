//! The `mass` program: a development network, node, farmer, harvester, wallet, plots, farmer keys, chain specs and
//! the attack laboratory, each a subcommand.
//!
//! Results go to the standard output, as text or with `--json` as one JSON value; progress, notes and the one
//! sentence of an error go to the standard error. The exit code is 0 only if everything was as asked; 75 if the disk is full,
//! 74 if it fails.

mod bus;
mod chain;
mod dev;

mod farm;
mod generate;
mod harvester;
mod keys;
mod node;
mod output;
mod page;
mod paths;
mod plots;
mod rpc;
mod runtime;
mod sim;
mod top;
mod wallet;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use mass_node::program::LogFormat;

use crate::output::{Output, Verdict};

/// Decision 0027.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// MASS: blocks are won by disk space that holds plots.
///
/// See it run, with plots, three nodes, a farmer and a payment, on this machine alone:
///
///   mass dev
///
/// Farm a chain: a node that follows it, a key, plots bound to the key, a wallet to be paid, and a farmer:
///
///   mass node run
///   mass keys create
///   mass plots create --dir /mnt/disk1 --plots 10
///   mass wallet create
///   mass farm run --dir /mnt/disk1 --payout ADDRESS
#[derive(Parser)]
#[command(name = "mass", version, verbatim_doc_comment, arg_required_else_help = true)]
struct Cli {
    /// Print the result as one JSON value, for scripts.
    #[arg(long, global = true)]
    json: bool,
    /// What to log to the standard error: a level, or levels by module as in "info,mass_node=debug".
    #[arg(long, global = true, env = "MASS_LOG", default_value = "warn", value_name = "LEVELS")]
    log: String,
    /// What a line of the log looks like.
    #[arg(long, global = true, env = "MASS_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// A file of USER:PASSWORD for the RPC of nodes and farms [default: the cookie of the one that runs on this machine].
    #[arg(long, global = true, env = "MASS_RPC_COOKIE", value_name = "FILE")]
    rpc_cookie: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole development network: plots, nodes, a farmer, wallets and a payment.
    Dev(dev::DevArgs),
    /// Run a node, and ask one how it fares.
    #[command(subcommand)]
    Node(node::Command),
    /// Farm a chain with plots.
    #[command(subcommand)]
    Farm(farm::Command),
    /// Watch a farm and nodes in the terminal: disks, rounds, luck, peers, findings.
    ///
    /// Keys are shown below. --once prints one picture as text.
    Top(top::TopArgs),
    /// Read plots on another machine than the farmer's.
    #[command(subcommand)]
    Harvester(harvester::Command),
    /// Hold coins of a chain: addresses, balance, payments, history.
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// Make, list, check, repair and remove plot files.
    #[command(subcommand)]
    Plots(plots::Command),
    /// Make and show the farmer key that plots are bound to, and carry its signing record.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show, check and make chain specs, which say in what two chains differ.
    #[command(subcommand)]
    Chain(chain::Command),
    /// Call a method of a node and print what it returns.
    ///
    /// The methods are those of Bitcoin Core, as getblockcount, getblockhash HEIGHT, getblock HASH, gettxout TXID
    /// N, sendrawtransaction HEX, and our own, as mass_status, mass_supply, mass_bans, mass_lastSeal FARMER-KEY.
    /// A text is printed bare, or with --json as JSON. The exit code is 1 if the node refuses.
    Rpc(rpc::RpcArgs),
    /// The attack laboratory: measure what attacks achieve, beside what the literature says.
    #[command(subcommand)]
    Sim(sim::Command),
}

fn run(cli: &Cli) -> anyhow::Result<Verdict> {
    let output = Output { json: cli.json };
    runtime::log_to_stderr(&cli.log, cli.log_format)?;
    cli.rpc_cookie.iter().cloned().for_each(mass_rpc::use_cookie);
    match &cli.command {
        Command::Dev(args) => dev::run(args, output),
        Command::Node(command) => node::run(command, output),
        Command::Farm(command) => farm::run(command, output),
        Command::Top(args) => top::run(args, output),
        Command::Harvester(command) => harvester::run(command, output),
        Command::Wallet(command) => wallet::run(command, output),
        Command::Plots(command) => plots::run(command, output),
        Command::Keys(command) => keys::run(command, output),
        Command::Chain(command) => chain::run(command, output),
        Command::Rpc(args) => rpc::run(args, output),
        Command::Sim(command) => sim::run(command, output),
    }
}

/// The command line, with what its settings elsewhere add to it. What is no command line ends the program here.
fn parse() -> anyhow::Result<Cli> {
    let (program, mut words): (_, Vec<_>) = (Cli::command(), std::env::args_os().collect());
    let given = program.clone().get_matches_from(&words);
    words.extend(node::settings(&program, &given)?);
    Ok(Cli::from_arg_matches(&program.get_matches_from(words))?)
}

fn main() -> ExitCode {
    match parse().and_then(|cli| run(&cli)) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            mass_node::program::exit_code(&error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
