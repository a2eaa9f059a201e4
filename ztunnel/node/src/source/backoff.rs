//! Waiting between attempts: doubling, with jitter, up to a limit.

use std::time::Duration;

use rand::Rng;

/// The delays of one operation that is tried again and again.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first` and doubles up to `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// How long to wait now: the next delay, plus or minus a fifth.
    pub fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.limit);
        delay.mul_f64(rand::rng().random_range(0.8..=1.2))
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}
