//! The settings of `mass node run` from its file and the environment: see [`mass_node::settings`].

use std::{env, ffi::OsString, fs::File, io::Read as _, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::{ArgMatches, Command};
use mass_node::settings::{self, FILE_BYTES_MAX};

/// What comes before a setting in the name of its variable.
const PREFIX: &str = "MASS_NODE_";

/// The words to add to a command line, if it is one of `mass node run`.
pub fn more(program: &Command, given: &ArgMatches) -> anyhow::Result<Vec<OsString>> {
    let run = given.subcommand_matches("node").and_then(|node| node.subcommand_matches("run"));
    let Some(run) = run else { return Ok(Vec::new()) };
    let command = command(program);
    let file = match run.get_one::<PathBuf>("config") {
        Some(path) => {
            let text = read(path).with_context(|| path.display().to_string())?;
            settings::parse(&text, &command).with_context(|| path.display().to_string())?
        }
        None => settings::parse("", &command)?,
    };
    Ok(settings::missing(&command, run, &file, PREFIX, |name| env::var(name).ok())?)
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= FILE_BYTES_MAX, "no file of settings has more than {FILE_BYTES_MAX} bytes");
    Ok(text)
}

/// The command `mass node run`, with the options of all commands.
fn command(program: &Command) -> Command {
    let mut program = program.clone();
    program.build();
    let run = program.find_subcommand("node").and_then(|node| node.find_subcommand("run"));
    run.expect("the program has `node run`").clone()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");

    /// The reference in `docs/config.md` is what the options say. With MASS_WRITE_REFERENCE set it is written anew.
    #[test]
    fn the_reference_of_settings_is_that_of_the_program() {
        let begin = "<!-- settings: begin -->\n";
        let text = std::fs::read_to_string(FILE).unwrap();
        let (before, rest) = text.split_once(begin).unwrap();
        let (_, after) = rest.split_once("<!-- settings: end -->").unwrap();
        let table = settings::reference(&command(&crate::Cli::command()), PREFIX);
        let wanted = format!("{before}{begin}\n{table}\n<!-- settings: end -->{after}");
        if env::var_os("MASS_WRITE_REFERENCE").is_some() {
            std::fs::write(FILE, &wanted).unwrap();
        }
        let now = std::fs::read_to_string(FILE).unwrap();
        assert!(
            now == wanted,
            "MASS_WRITE_REFERENCE=1 cargo test -p mass the_reference_of_settings writes it"
        );
    }
}
