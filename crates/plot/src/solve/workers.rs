//! Numbered tasks, done by several threads.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::SolveOptions;
use crate::error::PlotError;

/// Does the tasks from 0 to before `tasks`, each once and by any thread, and returns what each thread has made of
/// its start, in no order.
pub(super) fn share<S: Send>(
    tasks: usize,
    options: &SolveOptions<'_>,
    start: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize) + Sync,
) -> Result<Vec<S>, PlotError> {
    let next = AtomicUsize::new(0);
    let is_cancelled = || options.gate.is_some_and(|gate| !gate.pass());
    let failed = AtomicBool::new(false);
    let work = || {
        let mut state = start();
        loop {
            if is_cancelled() {
                failed.store(true, Ordering::Relaxed);
                break;
            }
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= tasks {
                break;
            }
            task(&mut state, number);
        }
        state
    };
    let threads = options.threads().min(tasks);
    let states = thread::scope(|scope| {
        // The caller's thread is one of them.
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut states = vec![work()];
        for other in others {
            states.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        states
    });
    if failed.into_inner() { Err(PlotError::Cancelled) } else { Ok(states) }
}
