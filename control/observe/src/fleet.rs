//! All proxies that called home, asked as one.
//!
//! Each has a stream on which it answers. A proxy that does not answer in time is named in the
//! answer; it holds nobody up for longer.

mod attached;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::{broadcast, watch};

pub use self::attached::Attached;
use crate::pb::{Origin, Query};
use crate::query::{Checked, QueryError};
use crate::recorder::{Happened, Recorder};
use crate::source::{Heard, Hearing, Source};

/// How long a proxy has for its answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Proxies that may be attached; further ones are refused.
pub const MAX_PROXIES: usize = 10_000;
/// Proxies that are asked at a time.
const AT_ONCE: usize = 64;
/// What a listener may lag behind before it misses something.
const LAG: usize = 1_024;

/// The fleet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What control itself knows and remembers.
    own: Recorder,
    proxies: Mutex<BTreeMap<u64, Arc<Attached>>>,
    next: AtomicU64,
    told: broadcast::Sender<Happened>,
    /// Whether proxies tell at once what happens.
    follow: watch::Sender<bool>,
    /// Whether proxies call this replica; where there is only one it is not set.
    leading: OnceLock<watch::Receiver<bool>>,
}

/// Why a proxy may not attach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_PROXIES} proxies are attached already")]
pub struct Full;

impl Fleet {
    /// A fleet of nobody, with what control itself remembers.
    pub fn new(own: Recorder) -> Self {
        Self(Arc::new(Inner {
            own,
            proxies: Mutex::default(),
            next: AtomicU64::new(0),
            told: broadcast::Sender::new(LAG),
            follow: watch::Sender::new(false),
            leading: OnceLock::new(),
        }))
    }

    /// Lets this replica answer only while `leading` says so; what is said later is ignored.
    pub fn answer_while(&self, leading: watch::Receiver<bool>) {
        let _ = self.0.leading.set(leading);
    }

    /// What control itself remembers.
    pub fn own(&self) -> &Recorder {
        &self.0.own
    }

    /// A proxy called: until what is returned is dropped, it is asked.
    ///
    /// # Errors
    /// If there are too many.
    pub fn attach(&self, origin: Origin) -> Result<(Arc<Attached>, Attachment), Full> {
        let id = self.0.next.fetch_add(1, Relaxed);
        let attached = Arc::new(Attached::new(origin, self.0.follow.subscribe()));
        let mut proxies = self.lock();
        if proxies.len() >= MAX_PROXIES {
            return Err(Full);
        }
        proxies.insert(id, Arc::clone(&attached));
        drop(proxies);
        self.changed("connected", "info", attached.origin());
        let attachment = Attachment { fleet: self.clone(), id };
        Ok((attached, attachment))
    }

    /// A proxy told what happened.
    pub fn happened(&self, happened: Happened) {
        let _ = self.0.told.send(happened);
    }

    /// Lets proxies tell at once what happens as long as somebody listens. Ends with `quit`.
    pub async fn follow(self, quit: tokio_util::sync::CancellationToken) {
        let mut own = self.0.own.watch();
        let mut every = tokio::time::interval(Duration::from_millis(250));
        loop {
            tokio::select! {
                () = quit.cancelled() => return,
                Ok(happened) = own.recv() => self.happened(happened),
                _ = every.tick() => {
                    let wanted = self.0.told.receiver_count() > 0;
                    self.0.follow.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
                }
            }
        }
    }

    fn changed(&self, kind: &str, level: &str, origin: &Origin) {
        let subject = format!("{} {}", origin.kind, origin.name);
        let text = format!("{} on node {} {kind}", origin.kind, origin.node);
        self.0.own.event(kind, level, subject, text);
    }

    fn all(&self) -> Vec<Arc<Attached>> {
        // A proxy that came back before its old stream was given up is there once.
        let mut newest: HashMap<(String, String, String), Arc<Attached>> = HashMap::new();
        for attached in self.lock().values() {
            let origin = attached.origin();
            let name = (origin.node.clone(), origin.kind.clone(), origin.name.clone());
            newest.insert(name, Arc::clone(attached));
        }
        let mut all: Vec<_> = newest.into_values().collect();
        all.sort_by(|a, b| {
            let by = |at: &Attached| (at.origin().node.clone(), at.origin().name.clone());
            by(a).cmp(&by(b))
        });
        all
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Attached>>> {
        // A map is whole between two statements.
        self.0.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a proxy in the fleet.
#[derive(Debug)]
pub struct Attachment {
    fleet: Fleet,
    id: u64,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let gone = self.fleet.lock().remove(&self.id);
        if let Some(gone) = gone {
            self.fleet.changed("disconnected", "warning", gone.origin());
        }
    }
}

impl Source for Fleet {
    fn scope(&self) -> &'static str {
        "fleet"
    }

    fn ask(&self, query: Query) -> Hearing<'_> {
        Box::pin(async move {
            Checked::new(&query)?;
            let node = query.filter.as_ref().map(|filter| filter.node.clone()).unwrap_or_default();
            let meant = move |attached: &Arc<Attached>| {
                node.is_empty() || node.ends_with('*') || attached.origin().node == node
            };
            let asked = self.all().into_iter().filter(meant).map(|attached| {
                let query = query.clone();
                async move {
                    let result = attached.ask(query, PATIENCE).await;
                    let (origin, connected_ms) = (attached.origin().clone(), attached.since_ms());
                    Heard { origin, connected_ms, part: None, result }
                }
            });
            let own = self.own_answer(query.clone());
            let others = stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>();
            let (own, mut heard) = tokio::join!(own, others);
            heard.insert(0, own);
            Ok::<_, QueryError>(heard)
        })
    }

    fn away(&self) -> Option<&'static str> {
        let leads = self.0.leading.get().is_none_or(|leading| *leading.borrow());
        (!leads).then_some(
            "another replica of control answers for the fleet: the holder of the Lease \
             ambit-control; `ambit dashboard` finds it",
        )
    }

    fn watch(&self) -> broadcast::Receiver<Happened> {
        self.0.told.subscribe()
    }
}

impl Fleet {
    async fn own_answer(&self, query: Query) -> Heard {
        let origin = self.0.own.origin().clone();
        let connected_ms = origin.started_ms;
        Heard { origin, connected_ms, part: None, result: self.0.own.answer_whole(query).await }
    }
}

#[cfg(test)]
mod tests;
