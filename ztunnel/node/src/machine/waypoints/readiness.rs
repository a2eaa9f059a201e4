//! Whether a waypoint of this node is ready, asked and reported: until it is, proxies refuse
//! its services instead of dialling it.

use std::time::Duration;

use super::super::Program;
use super::super::supervise::asks;
use crate::pod::Uid;
use crate::source::Reports;

/// Between two questions to one that is not ready: what a start waits for at most.
const STARTING: Duration = Duration::from_millis(100);
/// Between two questions to one that is.
const READY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// Asks and reports, without end. One without a readiness page is never ready.
pub(super) async fn watch(program: &Program, uid: &Uid, reports: &Reports) {
    let Some(address) = program.readiness else { return std::future::pending().await };
    loop {
        let answer = tokio::time::timeout(ANSWER, asks(program.netns.as_deref(), address)).await;
        let ready = matches!(answer, Ok(Ok(Some(200))));
        if reports.set_waypoint_ready(uid, ready) {
            tracing::info!(program = program.name, ready, "readiness of a waypoint");
        }
        tokio::time::sleep(if ready { READY } else { STARTING }).await;
    }
}

#[cfg(test)]
mod tests;
