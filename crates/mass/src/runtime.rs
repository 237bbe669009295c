//! What every command that runs for long needs: threads, a log, and an end on Ctrl-C or SIGTERM.

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long work in the background may go on after a command has its result.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Sends the log to the standard error.
pub fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    // The client of the webhooks would log their URLs, which are secrets: nobody can ask for that.
    let asked: Vec<&str> = filter.split(',').filter(|asked| !asked.trim().starts_with("ureq")).collect();
    let filter = EnvFilter::try_new(asked.join(",")).with_context(|| format!("--log {filter}"))?;
    let quiet = ["ureq=off", "ureq_proto=off"].map(|directive| directive.parse().expect("it is a directive"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
    Ok(())
}

/// Lets this process have as many files open as the system allows it: the usual 1,024 are too few for the plots of a
/// large farm. A plot that is one too many is a fault of the farm, which is told.
pub fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Who may not have more has what there was.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Runs a command's future to its end.
pub fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Runtime::new().context("the system gives no threads")?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(AFTERMATH);
    result
}

/// Ready at the first Ctrl-C or SIGTERM.
///
/// # Errors
/// The system does not let signals be caught.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        let before = getrlimit(Resource::Nofile);
        // One less is enough to see, and takes nothing from the tests beside.
        let fewer = before.maximum.map_or(Some(1 << 16), |maximum| Some(maximum - 1));
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: fewer, maximum: before.maximum })
            .unwrap();
        allow_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
