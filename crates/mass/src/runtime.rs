//! What every command that runs for long needs: threads, a log, and an end on Ctrl-C or SIGTERM.

use std::time::Duration;

use anyhow::Context;
pub use mass_node::program::{log_to_stderr, stop_signal};

/// How long work in the background may go on after a command has its result.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Runs a command's future to its end.
pub fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Runtime::new().context("the system gives no threads")?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(AFTERMATH);
    result
}
