//! Fetches every key set that is wanted, again and again, and tells what became of it.
//!
//! A set that was fetched stays in force however long its issuer is away; what is fetched anew
//! takes its place. docs/wire.md, "Request authentication".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::fetch::{FetchError, Fetcher};
use super::kept::Kept;
use super::metrics::JwksMetrics;
use super::set::{KeySet, Read};
use super::url::KeySetUrl;
use super::{Fetched, Wanted};
use crate::limits::{MAX_FETCHES, MAX_KEY_SETS};

/// From one good fetch to the next; all pauses are give or take a tenth.
pub const REFRESH: Duration = Duration::from_mins(20);
/// Before a fetch that failed is tried again; doubles up to [`MOST_PATIENT`].
const AGAIN: Duration = Duration::from_secs(1);
const MOST_PATIENT: Duration = Duration::from_mins(1);
/// After this time something is said of a key set even if there is no answer yet.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// What becomes of one key set.
pub type Told = (KeySetUrl, Fetched);

/// The keeper; see the module.
pub struct Keeper {
    fetcher: Fetcher,
    kept: Kept,
    metrics: JwksMetrics,
    told: mpsc::Sender<Told>,
    sets: BTreeMap<KeySetUrl, Set>,
    running: JoinSet<(KeySetUrl, Result<Read, FetchError>)>,
    /// From before a restart.
    before: BTreeMap<KeySetUrl, Arc<KeySet>>,
}

/// A key set that is fetched.
#[derive(Debug)]
struct Set {
    timeout: Duration,
    keys: Option<Arc<KeySet>>,
    failures: u32,
    /// The next fetch; none while one runs.
    due: Option<Instant>,
    /// When a first word is due; none once there was one.
    word: Option<Instant>,
}

impl Set {
    /// Takes what a fetch gave; what is wrong.
    fn take(&mut self, url: &KeySetUrl, outcome: Result<Read, FetchError>) -> Option<String> {
        self.word = None;
        let trouble = match outcome {
            Ok(read) => {
                self.failures = 0;
                if self.keys.as_deref() != Some(&read.set) {
                    info!(%url, keys = read.set.keys.len(), "a key set is in force");
                    self.keys = Some(Arc::new(read.set));
                }
                None
            }
            Err(error) => {
                if self.failures == 0 {
                    warn!(%url, %error, "a key set cannot be fetched");
                }
                self.failures = self.failures.saturating_add(1);
                Some(error.to_string())
            }
        };
        let pause = pause(self.failures).mul_f64(rand::random_range(0.9..1.1));
        self.due = Some(Instant::now() + pause);
        trouble
    }
}

impl Keeper {
    /// Tells `told`.
    pub fn new(
        fetcher: Fetcher,
        kept: Kept,
        metrics: JwksMetrics,
        told: mpsc::Sender<Told>,
    ) -> Self {
        let before = kept.load();
        let (sets, running) = (BTreeMap::new(), JoinSet::new());
        Self { fetcher, kept, metrics, told, sets, running, before }
    }

    /// Runs until nobody wants or hears anything any longer.
    pub async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        wanted.mark_changed();
        loop {
            self.start_due();
            let at = self.next();
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now_wanted = wanted.borrow_and_update().clone();
                    self.want(now_wanted).await;
                }
                Some(ended) = self.running.join_next() => {
                    if let Ok((url, outcome)) = ended {
                        self.take(url, outcome).await;
                    }
                }
                () = at => self.first_words().await,
                () = self.told.closed() => return,
            }
        }
    }

    async fn want(&mut self, wanted: Wanted) {
        self.sets.retain(|url, _| wanted.contains_key(url));
        let mut refused = 0;
        for (url, timeout) in wanted {
            if let Some(set) = self.sets.get_mut(&url) {
                set.timeout = timeout;
            } else if self.sets.len() < MAX_KEY_SETS {
                let now = Instant::now();
                let keys = self.before.remove(&url);
                let word = keys.is_none().then_some(now + FIRST_WORD);
                let set = Set { timeout, keys, failures: 0, due: Some(now), word };
                if let Some(keys) = &set.keys {
                    info!(%url, "a key set from before the restart is in force");
                    self.tell(&url, Some(keys.clone()), None).await;
                }
                self.sets.insert(url, set);
            } else {
                refused += 1;
                let why = format!("is one of more than MAX_KEY_SETS ({MAX_KEY_SETS}) key sets");
                self.tell(&url, None, Some(why)).await;
            }
        }
        self.metrics.refused.set(refused);
        self.count();
    }

    /// Begins what is due, as far as there is room.
    fn start_due(&mut self) {
        let now = Instant::now();
        for (url, set) in &mut self.sets {
            if self.running.len() >= MAX_FETCHES {
                return;
            }
            if set.due.is_none_or(|due| due > now) {
                continue;
            }
            set.due = None;
            let (fetcher, url, timeout) = (self.fetcher.clone(), url.clone(), set.timeout);
            self.running.spawn(async move {
                let outcome = fetcher.fetch(&url, timeout).await;
                (url, outcome)
            });
        }
    }

    /// Ready when a fetch or a word is due.
    fn next(&self) -> impl Future<Output = ()> + use<> {
        let room = self.running.len() < MAX_FETCHES;
        let fetches = self.sets.values().filter_map(|set| set.due).filter(|_| room);
        let at = fetches.chain(self.sets.values().filter_map(|set| set.word)).min();
        async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    async fn take(&mut self, url: KeySetUrl, outcome: Result<Read, FetchError>) {
        self.metrics.fetched(url.host(), outcome.as_ref().map_or_else(FetchError::label, |_| "ok"));
        // Nobody may want it any longer.
        let Some(set) = self.sets.get_mut(&url) else { return };
        let before = set.keys.clone();
        let trouble = set.take(&url, outcome);
        let keys = set.keys.clone();
        if keys != before {
            self.keep().await;
        }
        self.tell(&url, keys, trouble).await;
        self.count();
    }

    async fn first_words(&mut self) {
        let now = Instant::now();
        let mut silent = Vec::new();
        for (url, set) in &mut self.sets {
            if set.word.is_some_and(|word| word <= now) {
                set.word = None;
                silent.push(url.clone());
            }
        }
        for url in silent {
            self.tell(&url, None, Some("has not answered yet".to_owned())).await;
        }
    }

    async fn tell(&self, url: &KeySetUrl, keys: Option<Arc<KeySet>>, trouble: Option<String>) {
        // If nobody hears it, the loop ends.
        let _ = self.told.send((url.clone(), Fetched { keys, trouble })).await;
    }

    async fn keep(&self) {
        let all = self.sets.iter();
        let kept = all.filter_map(|(url, set)| Some((url.to_string(), set.keys.clone()?)));
        self.kept.store(kept.collect()).await;
    }

    fn count(&self) {
        let missing = self.sets.values().filter(|set| set.keys.is_none()).count();
        self.metrics.sets.set(i64::try_from(self.sets.len()).unwrap_or(i64::MAX));
        self.metrics.missing.set(i64::try_from(missing).unwrap_or(i64::MAX));
    }
}

/// From a fetch to the next, after so many failures in a row.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => REFRESH,
        Some(earlier) => AGAIN.saturating_mul(1 << earlier.min(6)).min(MOST_PATIENT),
    }
}

#[cfg(test)]
mod tests;
