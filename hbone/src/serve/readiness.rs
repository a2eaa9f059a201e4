//! Whether the program is ready, and what it waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};

use super::{Answer, Asked, Pages, Reply};

/// The tasks that block readiness, shared by all that have one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, usize>>>);

/// One task that blocks readiness until it says that it is done; it may block again later.
///
/// Dropped while pending it goes on blocking: a task that died is not ready.
#[derive(Debug)]
pub struct Pending {
    readiness: Readiness,
    name: String,
    blocks: bool,
}

impl Readiness {
    /// Nothing pending, so ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pending task; its name is what `/healthz/ready` shows, such as `state manager`.
    pub fn task(&self, name: &str) -> Pending {
        let mut task = Pending { readiness: self.clone(), name: name.to_owned(), blocks: false };
        task.set_ready(false);
        task
    }

    /// The names of what is pending, sorted.
    pub fn pending(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Whether nothing is pending.
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Says whether the task is done. Saying it twice changes nothing.
    pub fn set_ready(&mut self, ready: bool) {
        if self.blocks != ready {
            return;
        }
        self.blocks = !ready;
        let mut tasks = self.readiness.lock();
        let count = tasks.entry(self.name.clone()).or_default();
        *count = if ready { count.saturating_sub(1) } else { *count + 1 };
        if *count == 0 {
            tasks.remove(&self.name);
        }
    }
}

/// `GET /healthz/ready`.
pub struct ReadinessPage(pub Readiness);

impl Pages for ReadinessPage {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        Box::pin(std::future::ready(self.reply(asked)))
    }
}

impl ReadinessPage {
    fn reply(&self, asked: &Asked) -> Reply {
        if asked.uri.path() != "/healthz/ready" {
            return Reply::not_found();
        }
        if asked.method != Method::GET {
            return Reply::method_not_allowed();
        }
        let pending = self.0.pending();
        if pending.is_empty() {
            Reply::text(StatusCode::OK, "ready\n")
        } else {
            // 500, not 503: what the contract's probes and tools expect.
            let text = format!("not ready, pending: {}\n", pending.join(", "));
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}
