//! Events that would come in floods: one in a minute of each subject.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Recorder;

/// How long a subject is silent after an event.
const SILENCE: Duration = Duration::from_mins(1);
/// Subjects that are remembered; beyond them the oldest may speak again.
const MAX_SUBJECTS: usize = 256;

/// Who spoke when, and how often since.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<HashMap<String, (Instant, u64)>>);

impl Seldom {
    /// Whether `subject` may speak now, and how often it could not since it last did.
    fn turn(&self, subject: &str) -> Option<u64> {
        // A map is whole between two statements.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((spoke, silent)) = known.get_mut(subject) {
            if now.duration_since(*spoke) < SILENCE {
                *silent += 1;
                return None;
            }
            *spoke = now;
            return Some(std::mem::take(silent));
        }
        if known.len() >= MAX_SUBJECTS {
            let oldest = known.iter().min_by_key(|(_, (spoke, _))| *spoke);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                known.remove(&oldest);
            }
        }
        known.insert(subject.to_owned(), (now, 0));
        Some(0)
    }
}

impl Recorder {
    /// A limit was reached. Told once a minute of each subject, with how often it was since.
    pub fn limit(&self, subject: &str, text: impl FnOnce() -> String) {
        let Some(silent) = self.0.seldom.turn(subject) else { return };
        let text = match silent {
            0 => text(),
            times => format!("{}; {times} times more since it was last told", text()),
        };
        self.event("limit", "warning", subject.to_owned(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_subject_is_one_event_and_others_are_told() {
        let recorder = Recorder::default();
        for n in 0..1000 {
            recorder.limit("Pod shop/web", || format!("{n} connections"));
        }
        recorder.limit("Pod shop/api", || "9 connections".to_owned());
        let events = recorder.partial().events;
        let told: Vec<_> = events.iter().map(|e| (e.subject.as_str(), e.text.as_str())).collect();
        assert_eq!(told, [("Pod shop/web", "0 connections"), ("Pod shop/api", "9 connections")]);
    }

    #[test]
    fn subjects_without_end_are_not_all_remembered() {
        let seldom = Seldom::default();
        for n in 0..10 * MAX_SUBJECTS {
            assert_eq!(seldom.turn(&n.to_string()), Some(0));
        }
        assert_eq!(seldom.0.lock().expect("whole").len(), MAX_SUBJECTS);
    }
}
