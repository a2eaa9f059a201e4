//! How far each connected node proxy has come: what it has acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Positions in the logs of two tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Layer 4 policies.
    pub authorization: u64,
    /// Workloads and services.
    pub address: u64,
}

/// The node proxies that are connected. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    clients: Arc<Mutex<Clients>>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    positions: HashMap<u64, Position>,
}

/// One of them; dropping it means that it is connected no longer.
#[derive(Debug)]
pub struct Tracked {
    progress: Progress,
    id: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { clients: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Progress {
    /// Notes one that connected and has acknowledged nothing on this connection.
    pub fn enter(&self) -> Tracked {
        let mut clients = self.lock();
        clients.next += 1;
        let id = clients.next;
        clients.positions.insert(id, Position::default());
        drop(clients);
        Tracked { progress: self.clone(), id }
    }

    /// Whether every one that is connected has acknowledged what was there at `position`.
    pub fn reached(&self, position: Position) -> bool {
        self.lock()
            .positions
            .values()
            .all(|at| at.authorization >= position.authorization && at.address >= position.address)
    }

    /// Whether none is connected.
    pub fn is_empty(&self) -> bool {
        self.lock().positions.is_empty()
    }

    /// Tells that some have come further, or are gone.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        // No code under the lock panics halfway through a change.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// Notes how far it is.
    pub fn note(&self, position: Position) {
        let before = self.progress.lock().positions.insert(self.id, position);
        if before != Some(position) {
            self.progress.changed.send_modify(|n| *n += 1);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.progress.lock().positions.remove(&self.id);
        self.progress.changed.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests;
