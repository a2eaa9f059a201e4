//! What the node needs from the API server: its pods, and a place for its reports. One trait,
//! so that the agent is the same with an API server and without one.
//!
//! - [`control`]: the stream from `control`, where there is no API server to ask
//! - [`kubernetes`]: the API server itself
//! - [`credential`]: the node credential for it, bought with a join token
//! - [`reports`]: what the node says back

mod backoff;
pub mod control;
pub mod credential;
pub mod kubernetes;
pub mod reports;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::pod::{Pod, Uid};
pub use backoff::Backoff;
pub use reports::{Report, Reports, State};

/// What happened to the pods of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodEvent {
    /// All of them; one that is not named is gone.
    Snapshot(Vec<Pod>),
    /// One is new or changed.
    Changed(Box<Pod>),
    /// One is gone.
    Removed(Uid),
}

/// Where pods come from and reports go.
pub trait PodSource: Send + 'static {
    /// Sends events until `stop`: a snapshot first, and another one after each interruption.
    /// Reports go back as they come, all of them after an interruption. Failures are retried
    /// with backoff and logged; while the source is away the node goes on with what it knows.
    fn run(
        self,
        events: mpsc::Sender<PodEvent>,
        reports: Reports,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

#[cfg(test)]
mod tests;
