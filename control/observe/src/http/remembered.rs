//! Answers of the last moment: ten people who look at one page ask the fleet once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::parameters::Wrong;

/// How long an answer counts as new.
const FRESH: Duration = Duration::from_millis(900);
/// Answers that are kept.
const MAX_ANSWERS: usize = 32;
/// A larger answer is not kept.
const MAX_BYTES: usize = 1 << 20;

/// Answers by question.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<String, Slot>>);

#[derive(Clone, Debug)]
struct Slot {
    asked: Instant,
    body: Arc<OnceCell<Bytes>>,
}

impl Remembered {
    /// The answer of a moment ago, or one that is being made, or that of `make`.
    pub(super) async fn or_make<F>(
        &self,
        question: String,
        make: impl FnOnce() -> F,
    ) -> Result<Bytes, Wrong>
    where
        F: Future<Output = Result<Bytes, Wrong>>,
    {
        let slot = self.slot(&question);
        let body = slot.body.get_or_try_init(make).await?.clone();
        if body.len() > MAX_BYTES {
            self.lock().remove(&question);
        }
        Ok(body)
    }

    fn slot(&self, question: &str) -> Slot {
        let mut slots = self.lock();
        slots.retain(|_, slot| slot.asked.elapsed() < FRESH);
        if let Some(slot) = slots.get(question) {
            return slot.clone();
        }
        let slot = Slot { asked: Instant::now(), body: Arc::default() };
        if slots.len() < MAX_ANSWERS {
            slots.insert(question.to_owned(), slot.clone());
        }
        slot
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        // A map is whole between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
