//! Settings of a program from a file and the environment, beneath its command line: what the command line says counts, else
//! the environment, else the file, else the default.
//!
//! There is one list of settings, the options of the command: a key of the TOML file is an option without its dashes, a
//! variable the same in capitals behind a prefix. What neither knows is refused, with the nearest name that is known, and each value goes
//! through the option's own check. The reference of all settings is made from the same list.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use toml::{Table, Value};

/// Bytes of a file of settings at the most.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Values of one setting at the most.
const VALUES_MAX: usize = 256;
/// What no file can set: it is about the command line itself.
const UNSET: [&str; 3] = ["help", "version", "config"];

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The text is no TOML.
    #[error("{0}")]
    Toml(String),
    /// There is no such setting.
    #[error("there is no setting {got:?}; the nearest is {nearest:?}")]
    Unknown {
        /// What was named.
        got: String,
        /// What is like it.
        nearest: String,
    },
    /// A value is of another kind.
    #[error("{key}: expected {expected}, not {got}")]
    Kind {
        /// The setting.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What it got.
        got: &'static str,
    },
    /// Too many values.
    #[error("{key}: {got} values, of {VALUES_MAX} at the most")]
    TooMany {
        /// The setting.
        key: String,
        /// How many.
        got: usize,
    },
}

/// The options that can be set.
fn options(command: &Command) -> BTreeMap<String, &Arg> {
    let named = command.get_arguments().filter_map(|arg| Some((arg.get_long()?.to_owned(), arg)));
    named.filter(|(name, _)| !UNSET.contains(&name.as_str())).collect()
}

/// The variable of an option.
fn variable(prefix: &str, option: &str) -> String {
    format!("{prefix}{}", option.to_uppercase().replace('-', "_"))
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Whether the option has a usual value that need not be said.
fn may_stand_alone(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.min_values() == 0)
}

fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// A file of settings, each with a known name.
///
/// # Errors
/// [`SettingsError`].
pub fn parse(text: &str, command: &Command) -> Result<Table, SettingsError> {
    // The parser would show the line, which may hold a password.
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| SettingsError::Toml(error.message().to_owned()))?;
    let options = options(command);
    for (key, value) in &table {
        let Some(arg) = options.get(key) else {
            let like = |name: &&String| strsim::normalized_damerau_levenshtein(name, key);
            let nearest = options.keys().max_by(|one, other| like(one).total_cmp(&like(other)));
            return Err(SettingsError::Unknown {
                got: key.chars().take(64).collect(),
                nearest: nearest.cloned().unwrap_or_default(),
            });
        };
        texts(key, value, arg)?;
    }
    Ok(table)
}

/// The values of a setting as the command line would have them; none for a switch that is off.
fn texts(key: &str, value: &Value, arg: &Arg) -> Result<Vec<String>, SettingsError> {
    let wrong =
        |expected, got: &Value| SettingsError::Kind { key: key.to_owned(), expected, got: got.type_str() };
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(wrong("a text or a number", other)),
    };
    match value {
        Value::Boolean(is_on) if is_switch(arg) || may_stand_alone(arg) => {
            Ok(if *is_on { vec![String::new()] } else { Vec::new() })
        }
        other if is_switch(arg) => Err(wrong("true or false", other)),
        Value::Array(values) if takes_many(arg) => {
            if values.len() > VALUES_MAX {
                return Err(SettingsError::TooMany { key: key.to_owned(), got: values.len() });
            }
            values.iter().map(one).collect()
        }
        other => Ok(vec![one(other)?]),
    }
}

/// What is to be added to a command line for the settings that it leaves open.
///
/// # Errors
/// [`SettingsError`] for a switch of the environment that is neither `true` nor `false`.
pub fn missing(
    command: &Command,
    given: &ArgMatches,
    file: &Table,
    prefix: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<OsString>, SettingsError> {
    let mut more = Vec::new();
    for (name, arg) in options(command) {
        let source = given.value_source(arg.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let variable = variable(prefix, &name);
        let value = match environment(&variable) {
            Some(text) if is_switch(arg) => {
                let is_on = text.parse().map_err(|_| SettingsError::Kind {
                    key: variable.clone(),
                    expected: "true or false",
                    got: "another text",
                })?;
                Some(Value::Boolean(is_on))
            }
            Some(text) if takes_many(arg) => Some(Value::Array(
                text.split_whitespace().map(|part| Value::String(part.to_owned())).collect(),
            )),
            Some(text) => Some(Value::String(text)),
            None => file.get(&name).cloned(),
        };
        for text in
            value.iter().map(|value| texts(&name, value, arg)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            // In one word, so that a value that begins with a dash is no option.
            more.push(
                if text.is_empty() && (is_switch(arg) || may_stand_alone(arg)) {
                    format!("--{name}")
                } else {
                    format!("--{name}={text}")
                }
                .into(),
            );
        }
    }
    Ok(more)
}

/// The reference of all settings as a table in Markdown.
#[must_use]
pub fn reference(command: &Command, prefix: &str) -> String {
    let mut table = "| setting | variable | takes | what |\n|---|---|---|---|\n".to_owned();
    for (name, arg) in options(command) {
        let own = arg.get_env().map(|own| own.to_string_lossy().into_owned());
        let variables = own.into_iter().chain([variable(prefix, &name)]);
        let variables: Vec<String> = variables.map(|name| format!("`{name}`")).collect();
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        table.push_str(&format!(
            "| `{name}` | {} | {} | {help}{} |\n",
            variables.join(", "),
            takes(arg),
            usual(arg)
        ));
    }
    table
}

fn takes(arg: &Arg) -> String {
    if is_switch(arg) {
        return "true or false".to_owned();
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let one = if values.is_empty() {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").replace('|', "\\|")
    } else {
        values.join(", ")
    };
    if takes_many(arg) { format!("a list of {one}") } else { one }
}

fn usual(arg: &Arg) -> String {
    let values: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if values.is_empty() || is_switch(arg) {
        String::new()
    } else {
        format!(" [default: {}]", values.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;
    use crate::program::NodeArgs;

    fn command() -> Command {
        NodeArgs::augment_args(Command::new("node"))
    }

    /// What the settings make of a command line.
    fn settle(args: &[&str], file: &str, environment: &[(&str, &str)]) -> Result<NodeArgs, String> {
        let command = command();
        let file = parse(file, &command).map_err(|error| error.to_string())?;
        let args: Vec<OsString> = ["node"].iter().chain(args).map(OsString::from).collect();
        let given = command.clone().try_get_matches_from(&args).map_err(|error| error.to_string())?;
        let look = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let more = missing(&command, &given, &file, "MASS_NODE_", look).map_err(|error| error.to_string())?;
        let all =
            command.try_get_matches_from(args.into_iter().chain(more)).map_err(|error| error.to_string())?;
        Ok(NodeArgs::from_arg_matches(&all).expect("they are checked"))
    }

    #[test]
    fn the_command_line_is_before_the_environment_is_before_the_file() {
        let file = "rpc = \"127.0.0.1:1\"\nno-discovery = true\npeer = [\"/ip4/1.2.3.4/tcp/5\", \"/ip4/1.2.3.4/tcp/6\"]";
        let variable = [("MASS_NODE_RPC", "127.0.0.1:2")];
        let port = |args: &[&str], file: &str, variables: &[(&str, &str)]| {
            settle(args, file, variables).unwrap().rpc.map(|addr| addr.port())
        };
        assert_eq!(port(&[], "", &[]), None);
        assert_eq!(port(&[], file, &[]), Some(1));
        assert_eq!(port(&[], file, &variable), Some(2));
        assert_eq!(port(&["--rpc", "127.0.0.1:3"], file, &variable), Some(3));
        let args = settle(&[], file, &[]).unwrap();
        assert!(args.no_discovery && args.peer.len() == 2);
        assert_eq!(settle(&["--peer", "/ip4/1.2.3.4/tcp/7"], file, &[]).unwrap().peer.len(), 1);
        let off = settle(&[], file, &[("MASS_NODE_NO_DISCOVERY", "false")]).unwrap();
        assert!(!off.no_discovery);
        let two = [("MASS_NODE_PEER", "/ip4/1.2.3.4/tcp/8 /ip4/1.2.3.4/tcp/9")];
        assert_eq!(settle(&[], "", &two).unwrap().peer.len(), 2);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_with_its_name() {
        for (file, says) in [
            ("pear = \"a\"", "there is no setting \"pear\"; the nearest is \"peer\""),
            ("rpc-pubic = true", "the nearest is \"rpc-public\""),
            ("config = \"a\"", "there is no setting \"config\""),
            ("no-discovery = 1", "no-discovery: expected true or false, not integer"),
            ("rpc = [\"a\"]", "rpc: expected a text or a number, not array"),
            ("rpc = 1.5", "rpc: expected a text or a number, not float"),
            ("rpc = \"nowhere\"", "--rpc"),
            ("[rpc]", "rpc: expected a text or a number, not table"),
            ("rpc", "expected"),
        ] {
            let error = settle(&[], file, &[]).unwrap_err();
            assert!(error.contains(says), "{file}: {error}");
        }
        let many = format!("peer = [{}]", "\"/ip4/1.2.3.4/tcp/5\",".repeat(VALUES_MAX + 1));
        assert!(settle(&[], &many, &[]).unwrap_err().contains("257 values"));
        let secret = parse("rpc-password = \"secret\"\nx", &command()).unwrap_err().to_string();
        assert!(!secret.contains("secret"), "{secret}");
        assert!(settle(&[], "", &[("MASS_NODE_NO_DISCOVERY", "yes")]).unwrap_err().contains("true or false"));
    }
}
