//! A long scan of the state, of which a node does one at a time: who asks how far it is, and who ends it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// The place of the one scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    is_running: AtomicBool,
    is_aborted: AtomicBool,
    /// The first two bytes of the transaction id that was reached: ids are as good as random, and come in order.
    reached: AtomicU32,
}

/// The right to scan, which ends with it.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Scan>);

impl Scan {
    /// Begins a scan, unless there is one.
    pub(crate) fn begin(this: &Arc<Self>) -> Option<Turn> {
        if this.is_running.swap(true, Ordering::AcqRel) {
            return None;
        }
        this.is_aborted.store(false, Ordering::Release);
        this.reached.store(0, Ordering::Release);
        Some(Turn(Arc::clone(this)))
    }

    /// How far the scan is in percent; `None` if there is none.
    pub(crate) fn progress(&self) -> Option<u32> {
        let is_running = self.is_running.load(Ordering::Acquire);
        is_running.then(|| self.reached.load(Ordering::Acquire) * 100 / 65_536)
    }

    /// Ends the scan; whether there was one.
    pub(crate) fn abort(&self) -> bool {
        let is_running = self.is_running.load(Ordering::Acquire);
        self.is_aborted.fetch_or(is_running, Ordering::AcqRel);
        is_running
    }
}

impl Turn {
    /// The scan has come to this transaction.
    pub(crate) fn tell(&self, txid: &[u8; 32]) {
        self.0.reached.store(u32::from(txid[0]) << 8 | u32::from(txid[1]), Ordering::Release);
    }

    /// Whether the scan is to end.
    pub(crate) fn is_aborted(&self) -> bool {
        self.0.is_aborted.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scan_at_a_time_is_told_of_and_ended() {
        let scan = Arc::new(Scan::default());
        assert_eq!((scan.progress(), scan.abort()), (None, false));
        let turn = Scan::begin(&scan).unwrap();
        assert!(Scan::begin(&scan).is_none());
        turn.tell(&[0x80; 32]);
        assert_eq!((scan.progress(), turn.is_aborted()), (Some(50), false));
        assert!(scan.abort() && turn.is_aborted());
        drop(turn);
        assert_eq!(scan.progress(), None);
        assert!(!Scan::begin(&scan).unwrap().is_aborted());
    }
}
