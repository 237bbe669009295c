//! What the system counts: processor time, memory, reads.

use std::fs;

use mass_plot::ReadCount;

pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// A line of the process's status, in bytes.
pub fn memory_bytes(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}

/// Reads of files by the whole process. The look at the counters is one of them.
pub fn system_reads() -> ReadCount {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    ReadCount { reads: number("syscr:").unwrap_or_default(), bytes: number("rchar:").unwrap_or_default() }
}

#[allow(clippy::print_stdout)]
pub fn say(text: &str) {
    println!("{text}");
}
