//! The `mass` program: plots, farmer keys and chain specs, each a subcommand.
//!
//! Results go to the standard output, as text or with `--json` as one JSON value; progress, notes and the one
//! sentence of an error go to the standard error. The exit code is 0 only if everything was as asked.

mod chain;
mod keys;
mod output;
mod plots;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::{Output, Verdict};

/// MASS: blocks are won by disk space that holds plots.
///
/// A farmer needs a key and plots that are bound to it:
///
///   mass keys create
///   mass plots create --dir /mnt/disk1 --plots 10
///   mass plots check --dir /mnt/disk1
#[derive(Parser)]
#[command(name = "mass", version, verbatim_doc_comment, arg_required_else_help = true)]
struct Cli {
    /// Print the result as one JSON value, for scripts.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make, list and check plot files.
    #[command(subcommand)]
    Plots(plots::Command),
    /// Make and show the farmer key that plots are bound to.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show and check chain specs, which say in what two chains differ.
    #[command(subcommand)]
    Chain(chain::Command),
}

fn run(cli: &Cli) -> anyhow::Result<Verdict> {
    let output = Output { json: cli.json };
    match &cli.command {
        Command::Plots(command) => plots::run(command, output),
        Command::Keys(command) => keys::run(command, output),
        Command::Chain(command) => chain::run(command, output),
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
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
