//! Who may fetch now: a bounded number at once, the urgent first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hbone::identity::SpiffeId;
use tokio::sync::oneshot;

/// How urgent a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A rotation: the certificate held is still valid.
    Background,
    /// Fetched ahead for a workload that appeared.
    Warmup,
    /// A connection waits.
    RealTime,
}

/// First the most urgent, then the one that came first.
type Key = (Reverse<Priority>, u64);

#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<Queue>>);

struct Queue {
    free: usize,
    arrivals: u64,
    waiting: BTreeMap<Key, (SpiffeId, oneshot::Sender<Slot>)>,
}

/// The right to fetch; the next one gets it when it is dropped.
pub(super) struct Slot(Option<Slots>);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let queue = Queue { free: count.max(1), arrivals: 0, waiting: BTreeMap::new() };
        Self(Arc::new(Mutex::new(queue)))
    }

    /// Waits for a slot. `priority` is looked at under the queue's lock, so that a raise at
    /// the same time is seen here or finds the waiter. Cancel safe: a slot that was given to
    /// a dropped waiter goes on.
    pub(super) async fn acquire(&self, id: &SpiffeId, priority: impl Fn() -> Priority) -> Slot {
        let receiver = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Slot(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            queue.arrivals += 1;
            let key = (Reverse(priority()), queue.arrivals);
            queue.waiting.retain(|_, (_, waiter)| !waiter.is_closed());
            queue.waiting.insert(key, (id.clone(), sender));
            receiver
        };
        // The queue lives as long as `self`, so a sender is never dropped unsent.
        receiver.await.unwrap_or(Slot(None))
    }

    /// Makes the waiting fetch of `id` at least as urgent as `priority`.
    pub(super) fn raise(&self, id: &SpiffeId, priority: Priority) {
        let mut queue = self.lock();
        let lower = |(Reverse(found), _): &Key| *found < priority;
        let found = queue.waiting.iter().find(|(key, (waiter, _))| waiter == id && lower(key));
        let Some(key) = found.map(|(key, _)| *key) else { return };
        if let Some(waiter) = queue.waiting.remove(&key) {
            queue.waiting.insert((Reverse(priority), key.1), waiter);
        }
    }

    fn release(self) {
        loop {
            let next = {
                let mut queue = self.lock();
                let next = queue.waiting.pop_first();
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some((_, (_, waiter))) = next else { return };
            match waiter.send(Slot(Some(self.clone()))) {
                Ok(()) => return,
                // The waiter is gone: this slot is offered to the next one in this loop.
                Err(mut slot) => slot.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.release();
        }
    }
}
