//! What one source uses of a waypoint: a limit for each beside the limit for all, so that none
//! exhausts it for the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hbone::identity::SpiffeId;

/// Accounts of sources that are gone are looked for when there are twice as many as after the
/// last time, and at least this many.
const SWEEP: usize = 1024;

/// Counted places, given back when dropped.
#[derive(Debug)]
pub struct Place {
    counter: Arc<AtomicUsize>,
    taken: usize,
}

impl Place {
    /// Takes one of `limit` places; none if all are taken.
    pub fn take(counter: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        Self::take_many(counter, 1, limit)
    }

    /// Takes `taken` of `limit` places; none if fewer are free.
    pub fn take_many(counter: &Arc<AtomicUsize>, taken: usize, limit: usize) -> Option<Self> {
        let take = |n: usize| n.checked_add(taken).filter(|n| *n <= limit);
        counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Self { counter: Arc::clone(counter), taken })
    }

    /// The first of the places that `counter` counts.
    pub fn first() -> (Self, Arc<AtomicUsize>) {
        let counter = Arc::new(AtomicUsize::new(1));
        (Self { counter: Arc::clone(&counter), taken: 1 }, counter)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

/// What one source uses now; shared by all its tunnels.
#[derive(Debug, Default)]
pub struct Account {
    /// Its own, as long as it is used.
    pub number: u64,
    /// Whose it is.
    pub name: Arc<str>,
    /// Checks of authorizers that run for it.
    pub checks: Arc<AtomicUsize>,
    /// Bytes of its requests' bodies that wait for an authorizer.
    pub bodies: Arc<AtomicUsize>,
}

/// The accounts of those that have a tunnel: looked up once for each tunnel.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Table<SpiffeId, Weak<Account>>>);

#[derive(Debug)]
struct Table<K, V> {
    entries: HashMap<K, V>,
    made: u64,
    sweep_at: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), made: 0, sweep_at: SWEEP }
    }
}

impl Accounts {
    /// The account of `source`.
    pub fn of(&self, source: &SpiffeId) -> Arc<Account> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = table.entries.get(source).and_then(Weak::upgrade) {
            return account;
        }
        if table.entries.len() >= table.sweep_at {
            table.entries.retain(|_, account| account.strong_count() > 0);
            table.sweep_at = SWEEP.max(table.entries.len() * 2);
        }
        table.made += 1;
        let account = Arc::new(Account {
            number: table.made,
            name: source.to_string().into(),
            ..Account::default()
        });
        table.entries.insert(source.clone(), Arc::downgrade(&account));
        account
    }
}

/// Places of which each key may have `each`. What nobody uses takes no memory.
#[derive(Debug)]
pub struct Shares<K> {
    each: usize,
    used: Mutex<HashMap<K, usize>>,
}

/// A place of a key, given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// None is taken.
    pub fn new(each: usize) -> Arc<Self> {
        Arc::new(Self { each, used: Mutex::default() })
    }

    /// Takes one place of `key`; none if it has all that it may have.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Share<K>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let n = used.entry(key.clone()).or_default();
        if *n >= self.each {
            return None;
        }
        *n += 1;
        Some(Share { of: Arc::clone(self), key })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut used = self.of.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = used.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                used.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
