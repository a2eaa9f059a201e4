//! What failed and what changed in the step that runs, as fast as it may be kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pb::{Event, Incident};

/// Incidents kept one by one in a second; a storm of refusals must not fill the ring.
pub(super) const MAX_INCIDENTS_PER_SECOND: u32 = 50;
/// Events likewise.
const MAX_EVENTS_PER_SECOND: u32 = 50;

/// What is not in the ring yet.
#[derive(Debug)]
pub(super) struct Incidents(Mutex<Pending>);

#[derive(Debug)]
struct Pending {
    incidents: Vec<Arc<Incident>>,
    events: Vec<Arc<Event>>,
    dropped: u64,
    second: Instant,
    of_second: (u32, u32),
}

/// What was pending.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) incidents: Vec<Arc<Incident>>,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) dropped: u64,
}

impl Default for Incidents {
    fn default() -> Self {
        let second = Instant::now();
        let (incidents, events) = (Vec::new(), Vec::new());
        Self(Mutex::new(Pending { incidents, events, dropped: 0, second, of_second: (0, 0) }))
    }
}

impl Incidents {
    /// Keeps one; `false` if there are too many.
    pub(super) fn incident(&self, incident: Arc<Incident>) -> bool {
        let mut pending = self.lock();
        pending.turn();
        if pending.of_second.0 >= MAX_INCIDENTS_PER_SECOND {
            pending.dropped += 1;
            return false;
        }
        pending.of_second.0 += 1;
        pending.incidents.push(incident);
        true
    }

    /// Keeps an event, unless there are too many.
    pub(super) fn event(&self, event: Arc<Event>) {
        let mut pending = self.lock();
        pending.turn();
        if pending.of_second.1 < MAX_EVENTS_PER_SECOND {
            pending.of_second.1 += 1;
            pending.events.push(event);
        }
    }

    /// All that is pending, for the ring.
    pub(super) fn take(&self) -> Taken {
        let mut pending = self.lock();
        Taken {
            incidents: std::mem::take(&mut pending.incidents),
            events: std::mem::take(&mut pending.events),
            dropped: std::mem::take(&mut pending.dropped),
        }
    }

    /// The same without taking it.
    pub(super) fn peek(&self) -> Taken {
        let pending = self.lock();
        let (incidents, events) = (pending.incidents.clone(), pending.events.clone());
        Taken { incidents, events, dropped: pending.dropped }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Lists are whole between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn turn(&mut self) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.of_second = (0, 0);
        }
    }
}
