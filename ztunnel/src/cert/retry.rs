//! When a failed fetch is tried again; pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// Longest pause while a valid certificate is held.
const LONGEST: Duration = Duration::from_secs(150);
/// Longest pause while none is held: with the jitter below 30 s, within which a node heals
/// once the authority is back.
const LONGEST_WITHOUT: Duration = Duration::from_secs(24);
/// Share by which a pause varies, so that the pods of a node do not come as one.
const JITTER: f64 = 0.2;

/// Pauses of one identity: 1 s, doubling.
#[derive(Debug)]
pub(super) struct Retry {
    pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Retry {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The next pause. `left` is the remaining life of the certificate held, if one is;
    /// `random` is in `0..1`.
    pub(super) fn next(&mut self, left: Option<Duration>, random: f64) -> Duration {
        let longest = if left.is_some() { LONGEST } else { LONGEST_WITHOUT };
        let pause = self.pause.min(longest);
        self.pause = (self.pause * 2).min(LONGEST);
        let pause = pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random);
        // Not later than the expiry; but when that is now, not in a tight loop either.
        left.map_or(pause, |left| pause.min(left.max(FIRST)))
    }
}
