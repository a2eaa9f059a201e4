//! How often each policy refused, since the start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Recorder;

/// Policies that are counted by name; refusals of others count as of `other`.
const MAX_POLICIES: usize = 1_000;

/// Refusals by policy, `namespace/name`; "" is that no ALLOW policy allowed.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<String, u64>>);

impl Refusals {
    pub(super) fn count(&self, policy: &str) {
        // A map is whole between two statements.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.contains_key(policy) || counts.len() < MAX_POLICIES;
        let name = if known { policy } else { "other" };
        match counts.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(counts.insert(name.to_owned(), 1)),
        }
    }
}

impl Recorder {
    /// Refusals by policy, `namespace/name`.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        self.0.refusals.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_without_end_are_others() {
        let recorder = Recorder::default();
        for n in 0..MAX_POLICIES + 10 {
            recorder.0.refusals.count(&n.to_string());
        }
        let counts = recorder.refusals();
        assert_eq!((counts.len(), counts["other"]), (MAX_POLICIES + 1, 10));
    }
}
