//! What is open, for people.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::{Direction, Facts};

/// The open connections of one pod.
#[derive(Debug, Default)]
pub struct Live {
    open: Mutex<HashMap<u64, LiveConnection>>,
    next: std::sync::atomic::AtomicU64,
}

/// One of them.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveConnection {
    /// Which way it runs.
    #[serde(skip)]
    pub direction: Direction,
    /// The client's address.
    pub src: String,
    /// What the client dialled.
    pub original_dst: String,
    /// What we dialled.
    pub actual_dst: String,
    /// `HBONE` or `TCP`.
    pub protocol: &'static str,
}

impl LiveConnection {
    fn new(facts: &Facts, original: std::net::SocketAddr) -> Self {
        Self {
            direction: facts.direction,
            src: facts.src_addr.to_string(),
            original_dst: original.to_string(),
            actual_dst: facts.dst_addr.to_string(),
            protocol: if facts.mutual_tls { "HBONE" } else { "TCP" },
        }
    }
}

/// Lists a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Listed {
    live: Arc<Live>,
    key: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
    }
}

impl Live {
    /// All open connections, in no order.
    pub fn list(&self) -> Vec<LiveConnection> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(self: &Arc<Self>, facts: &Facts, original: std::net::SocketAddr) -> Listed {
        let key = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.lock().insert(key, LiveConnection::new(facts, original));
        Listed { live: Arc::clone(self), key }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, LiveConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
