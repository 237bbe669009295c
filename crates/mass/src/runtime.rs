//! What every command that runs for long needs: threads, a log, and an end on Ctrl-C or SIGTERM.

use std::time::Duration;

use anyhow::Context;
pub use mass_node::program::{log_to_stderr, stop_signal};

/// How long work in the background may go on after a command has its result.
const AFTERMATH: Duration = Duration::from_secs(2);

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
