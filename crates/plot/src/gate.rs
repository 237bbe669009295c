//! The gate that long work passes at every step: closed it holds the work, so that the processors are free; cancelled
//! it ends it. What the work reads and writes may be limited, so that a disk keeps answering others.
//!
//! The limiter is our own and small: those that there are count in whole nanoseconds per unit, which is too coarse for
//! bytes.

use std::{
    num::NonZeroU64,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::error::PlotError;

/// What may be read or written at once after a rest, as the time that it takes at the limit.
const BURST: Duration = Duration::from_millis(100);

/// The gate of some work, which whoever watches that work pauses, resumes and cancels from another thread.
#[derive(Debug)]
pub struct Gate {
    /// Neither paused nor cancelled: what is asked most, without a lock.
    open: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    start: Instant,
    disk: Option<Mutex<Bucket>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    paused: bool,
    cancelled: bool,
}

impl Default for Gate {
    /// Open, and without a limit.
    fn default() -> Self {
        Self::new(None)
    }
}

impl Gate {
    /// An open gate, through which so many bytes a second go to and from the disk.
    #[must_use]
    pub fn new(disk_bytes_per_second: Option<NonZeroU64>) -> Self {
        Self {
            open: AtomicBool::new(true),
            state: Mutex::default(),
            changed: Condvar::new(),
            start: Instant::now(),
            disk: disk_bytes_per_second.map(|rate| Mutex::new(Bucket::new(rate))),
        }
    }

    /// Holds the work, which stays where it is within a fraction of a second, or lets it go on.
    pub fn set_paused(&self, paused: bool) {
        self.change(|state| state.paused = paused);
    }

    /// Ends the work for good, paused or not.
    pub fn cancel(&self) {
        self.change(|state| state.cancelled = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.open.store(!state.paused && !state.cancelled, Relaxed);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the gate is closed; whether the work goes on.
    pub(crate) fn pass(&self) -> bool {
        self.open.load(Relaxed) || self.wait(Duration::ZERO)
    }

    /// Waits until so many bytes may be read or written.
    pub(crate) fn pass_bytes(&self, bytes: u64) -> Result<(), PlotError> {
        let wait = self.disk.as_ref().map_or(Duration::ZERO, |bucket| {
            bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, self.start.elapsed())
        });
        let goes_on = if wait.is_zero() { self.pass() } else { self.wait(wait) };
        if goes_on { Ok(()) } else { Err(PlotError::Cancelled) }
    }

    /// Told how many bytes were read so far, waits for those that are new; whether the work goes on.
    pub(crate) fn meter(&self) -> impl FnMut(u64) -> bool {
        let mut before = 0;
        move |done| {
            let bytes = done - before;
            before = done;
            self.pass_bytes(bytes).is_ok()
        }
    }

    /// Whether what goes to the disk is limited.
    pub(crate) const fn is_limited(&self) -> bool {
        self.disk.is_some()
    }

    /// Waits so long, and while the gate is closed; whether the work goes on.
    fn wait(&self, time: Duration) -> bool {
        let (start, mut state) = (Instant::now(), self.lock());
        loop {
            let left = time.saturating_sub(start.elapsed());
            if state.cancelled || (!state.paused && left.is_zero()) {
                return !state.cancelled;
            }
            state = if state.paused {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

/// A token bucket. Times are since any one moment.
#[derive(Debug)]
struct Bucket {
    bytes_per_second: NonZeroU64,
    /// When all that was taken is paid for.
    paid: Duration,
}

impl Bucket {
    const fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, paid: Duration::ZERO }
    }

    /// Takes so many bytes at once; how long to wait before they are used.
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let nanoseconds = (u128::from(bytes) * 1_000_000_000).div_ceil(self.bytes_per_second.get().into());
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.paid = self.paid.max(now.saturating_sub(BURST)).saturating_add(cost);
        self.paid.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    fn rate(bytes_per_second: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes_per_second).unwrap()
    }

    /// Whoever waits as told gets the rate, and one burst, whatever the pieces are.
    #[test]
    fn the_rate_is_kept_on_a_virtual_clock() {
        for (bytes_per_second, piece) in [(80 << 20, 1 << 20), (80 << 20, 7), (1000, 8192), (3, 1)] {
            let (mut bucket, mut now, mut taken) =
                (Bucket::new(rate(bytes_per_second)), Duration::from_secs(5), 0);
            let end = now + Duration::from_secs(if piece == 7 { 1 } else { 100 });
            let start = now;
            while now < end {
                // Each waits before it goes; a nanosecond for the processor, so that time passes.
                now += bucket.take(piece, now) + Duration::from_nanos(1);
                taken += piece;
            }
            let seconds = (now - start + BURST).as_secs_f64();
            let most = bytes_per_second as f64 * seconds + piece as f64;
            assert!(taken as f64 <= most, "{bytes_per_second} {piece}: {taken} > {most}");
            assert!(taken as f64 >= 0.8 * bytes_per_second as f64 * (now - start).as_secs_f64());
        }
    }

    #[test]
    fn rest_is_not_saved_up() {
        let mut bucket = Bucket::new(rate(1000));
        let hour = Duration::from_secs(3600);
        assert_eq!(bucket.take(100, hour), Duration::ZERO);
        assert_eq!(bucket.take(500, hour), Duration::from_millis(500));
        assert_eq!(bucket.take(0, hour + Duration::from_millis(200)), Duration::from_millis(300));
        assert_eq!(Bucket::new(rate(1)).take(u64::MAX, hour), Duration::from_nanos(u64::MAX) - BURST);
    }

    #[test]
    fn a_closed_gate_holds_whoever_comes_and_a_cancelled_one_lets_nobody_through() {
        let gate = Gate::new(Some(rate(1)));
        gate.set_paused(true);
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            scope.spawn(|| {
                let tell = tell;
                tell.send(gate.pass()).unwrap();
                tell.send(gate.pass_bytes(1000).is_ok()).unwrap();
            });
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
            gate.set_paused(false);
            assert_eq!(told.recv(), Ok(true));
            // It waits for the disk now, for a quarter of an hour.
            gate.cancel();
            assert_eq!(told.recv(), Ok(false));
        });
        gate.set_paused(true);
        assert!(!gate.pass() && matches!(gate.pass_bytes(0), Err(PlotError::Cancelled)));
    }
}
