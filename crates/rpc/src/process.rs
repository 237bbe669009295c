//! What the system says of this process, where it says so in `/proc` as Linux does. Names and units are those that
//! Prometheus' own clients give.

use std::fs;

use crate::metrics::Page;

/// Length of the system's tick: the kernel tells times to user programs in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of memory that this process takes.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Seconds of processors that this process has used.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Adds what is known to a page.
pub(crate) fn measure(page: &mut Page) {
    if let Some(bytes) = memory_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory that the process takes", &[], bytes as f64);
    }
    if let Some(seconds) = cpu_seconds() {
        page.gauge("process_cpu_seconds_total", "Processor time that the process has used", &[], seconds);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Files and sockets that are open", &[], files.count() as f64);
    }
}
