//! One pod's way into the mesh and out of it: a task per pod, and the order of the steps.
//!
//! ```text
//!            enrol                    withdraw                  drain
//!   Out ─────────────► Entering ─► Enrolled ────────► Draining ───────► Out
//!                         │            ▲                  │
//!                         └── retried ─┘◄───── enrol ─────┘
//! ```
//!
//! The order of entering depends on whether the programs run already:
//!
//! - A pod that is about to start (CNI call): rules, proxy, report. Nothing of it can have a
//!   connection yet, and if a later step fails it is captured rather than unprotected.
//! - A running pod: proxy, rules, report. The proxy's listeners are there before the first
//!   connection is redirected, so none is refused; until then the pod is what it was.
//!
//! Peers begin to tunnel at the report, after everything else stands.
//!
//! The order of leaving: the redirects go first, so that plaintext reaches the application
//! directly while HBONE, which is never redirected, still finds its listener; then the report,
//! so that peers stop tunnelling; then, after they had time to hear it, the proxy is told to
//! take no new work; and when no carried connection is left, marks and routes go. So at no
//! moment is there a connection that nobody would accept, and none that is open is cut.
//!
//! A pod that is gone leaves at once.

mod context;
mod steps;
mod worker;

pub use context::{Context, Settings, Timing};
pub(crate) use worker::{Capture, Restored, Worker};

use crate::redirect::{NftError, RedirectError};
use crate::zds::AddError;

/// Why a pod is not enrolled, or not left alone, yet.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No CNI call named it and no process holds its address.
    #[error("its network namespace is not known; no process holds one of its addresses")]
    NoNetns,
    /// `/proc` cannot be searched.
    #[error("its network namespace cannot be searched for")]
    Search(#[source] std::io::Error),
    /// Its rules cannot be written.
    #[error("its redirection failed")]
    Redirect(#[from] RedirectError),
    /// Kubelet's probes could not reach it.
    #[error("the rules of the node for its probes")]
    Probes(#[source] NftError),
    /// The proxy does not serve it.
    #[error("the proxy does not serve it")]
    Proxy(#[from] AddError),
    /// Its connections cannot be read.
    #[error("its connections cannot be counted")]
    Flows(#[source] std::io::Error),
}
