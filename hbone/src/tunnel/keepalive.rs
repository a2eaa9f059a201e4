//! Finds a dead peer by PING (RFC 9113 section 6.7).

use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use super::TunnelConfig;

/// Pings for as long as it is polled; completes when an answer stays out or the connection
/// is gone.
pub(super) async fn until_dead(mut pings: PingPong, config: &TunnelConfig) {
    let Timing { interval, answer } = Timing::of(config);
    loop {
        sleep(interval).await;
        match timeout(answer, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

struct Timing {
    interval: Duration,
    answer: Duration,
}

impl Timing {
    fn of(config: &TunnelConfig) -> Self {
        Self { interval: config.ping_interval, answer: config.ping_timeout }
    }
}
