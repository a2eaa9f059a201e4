//! How the connections of a withdrawn pod end.
//!
//! The agent sends Del both when a pod leaves the mesh and when it is deleted, and the message
//! does not say which. The network namespace does: that of a deleted pod has lost its
//! interfaces, all but loopback. So a withdrawn pod drains, its open connections ending by
//! themselves, and as soon as its interfaces are gone what is still open is closed.

use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use nix::net::if_::if_nameindex;
use tracing::debug;

use super::{RunningPod, Stop};

/// How often a draining pod's interfaces are looked at: a peer of a deleted pod learns of it
/// within a second.
const LOOK: Duration = Duration::from_millis(500);

/// Stops `running` in the way that its namespace tells.
pub(super) fn retire<R: RunningPod>(running: R, netns: Arc<Netns>) {
    if is_gone(&netns) {
        running.stop(Stop::Now);
        return;
    }
    running.stop(Stop::Drain);
    tokio::spawn(async move {
        while !running.is_finished() {
            tokio::time::sleep(LOOK).await;
            if is_gone(&netns) {
                debug!(netns = %netns.id(), "a draining pod is gone, closing its connections");
                running.stop(Stop::Now);
                return;
            }
        }
    });
}

/// Whether the namespace has no interface but loopback. One that cannot be looked at counts
/// as alive: its connections end by themselves.
fn is_gone(netns: &Netns) -> bool {
    let has_none = || {
        let interfaces = if_nameindex().ok()?;
        Some(interfaces.iter().all(|interface| interface.name().to_bytes() == b"lo"))
    };
    netns.run(has_none).ok().flatten().unwrap_or(false)
}
