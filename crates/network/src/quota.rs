//! How much each peer may ask of us: a bucket of tokens that fills again with time. Time is an argument.

use tokio::time::Instant;

/// A bucket of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    room: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Quota {
    /// A full one.
    pub fn new(room: f64, per_second: f64, now: Instant) -> Self {
        Self { room, per_second, tokens: room, at: now }
    }

    /// Takes tokens; whether there were enough.
    pub fn take(&mut self, tokens: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = self.per_second.mul_add(passed, self.tokens).min(self.room);
        self.at = now;
        let enough = self.tokens >= tokens;
        if enough {
            self.tokens -= tokens;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_taken_comes_back_with_time_and_no_more() {
        let now = Instant::now();
        let mut quota = Quota::new(10.0, 2.0, now);
        assert!(quota.take(10.0, now) && !quota.take(1.0, now));
        assert!(!quota.take(3.0, now + Duration::from_secs(1)));
        assert!(quota.take(2.0, now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(500);
        assert!(quota.take(10.0, later) && !quota.take(0.5, later));
    }
}
