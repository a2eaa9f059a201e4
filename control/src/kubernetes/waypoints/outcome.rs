//! What became of the objects of each Gateway, for its status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kubernetes::touched::Touched;
use crate::model::object::{Key, Kind, ObjectRef};

/// What became of one Gateway's wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its parameters cannot be used; what it had before stays.
    pub invalid: Option<String>,
    /// Objects that could not be made, and what to do about it.
    pub blocked: Vec<String>,
}

/// All of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    inner: Arc<Mutex<BTreeMap<Key, Outcome>>>,
    touched: Touched,
}

impl Outcomes {
    /// Outcomes whose changes `touched` hears of.
    pub fn new(touched: Touched) -> Self {
        Self { inner: Arc::default(), touched }
    }

    /// The last one of a Gateway.
    pub fn of(&self, gateway: &Key) -> Outcome {
        self.lock().get(gateway).cloned().unwrap_or_default()
    }

    /// Notes one; whether it is new.
    pub fn set(&self, gateway: &Key, outcome: &Outcome) -> bool {
        let fine = *outcome == Outcome::default();
        let old = if fine {
            self.lock().remove(gateway)
        } else {
            self.lock().insert(gateway.clone(), outcome.clone())
        };
        let changed = old.unwrap_or_default() != *outcome;
        if changed {
            self.touched.touch(&ObjectRef::new(Kind::Gateway, &gateway.namespace, &gateway.name));
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Outcome>> {
        // No code under the lock panics halfway through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
