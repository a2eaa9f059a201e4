//! A machine without a kubelet: ztunnel and the waypoints of this node as child processes.
//!
//! - [`lock`]: one supervisor for a run directory
//! - [`supervise`]: one program kept running
//! - [`process`]: its process, which may be one that was left behind
//! - [`waypoints`]: those that `control` wants on this node
//! - [`sandbox`]: the network namespace of one that no container runtime makes

mod lock;
mod process;
mod sandbox;
mod supervise;
mod waypoints;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;

pub use lock::{Lock, LockError};
pub use supervise::supervise;
pub use waypoints::{WaypointLauncher, run_waypoints};

/// A program to keep running.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name in logs.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process.
    pub environment: Vec<(String, OsString)>,
    /// The network namespace to run in; none is that of this process.
    pub netns: Option<Arc<Netns>>,
    /// Where it serves `/healthz/ready`; any answer shows that it lives. Without one only its
    /// end is noticed.
    pub readiness: Option<SocketAddr>,
    /// File that says which process runs it, for the supervisor that comes after one which was
    /// killed. Without one nothing is taken over.
    pub record: Option<PathBuf>,
}

/// Times of a supervisor; the defaults are right outside tests.
#[derive(Clone, Copy, Debug)]
pub struct SupervisorTiming {
    /// Between two questions whether the program answers, default 2 s.
    pub probe: Duration,
    /// How long one answer may take, default 2 s.
    pub answer: Duration,
    /// Unanswered questions in a row after which it counts as hung, default 3.
    pub failures: u32,
    /// How long a program may take to answer at all after its start, default 30 s.
    pub start: Duration,
    /// Between SIGTERM and SIGKILL, default 10 s: longer than a program's own drain.
    pub drain: Duration,
    /// Longest wait between two starts, default 10 s. The first is 100 ms.
    pub retry: Duration,
}

impl Default for SupervisorTiming {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(2),
            answer: Duration::from_secs(2),
            failures: 3,
            start: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            retry: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests;
