//! Bounded waits on a condition; a test never sleeps a fixed time.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// The condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("not within {limit:?}: {what}")]
pub struct TooLate {
    what: String,
    limit: Duration,
}

/// Waits until `condition` holds, looking every 10 ms, and says how long it took.
///
/// # Errors
/// [`TooLate`] with `what` if it does not within `limit`.
pub async fn eventually(
    what: impl fmt::Display,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Result<Duration, TooLate> {
    let start = Instant::now();
    loop {
        if condition().await {
            return Ok(start.elapsed());
        }
        if start.elapsed() >= limit {
            return Err(TooLate { what: what.to_string(), limit });
        }
        sleep(INTERVAL).await;
    }
}

impl TooLate {
    /// The process that should have written `text` has ended.
    pub(crate) fn ended(text: &str) -> Self {
        Self { what: format!("{text:?}, and the process has ended"), limit: Duration::ZERO }
    }
}
