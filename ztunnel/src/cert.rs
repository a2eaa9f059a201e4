//! A certificate per workload identity of the node, fetched ahead and rotated
//! (docs/wire.md, "Certificates").
//!
//! - [`Certificates`]: what connections ask
//! - [`Issuer`]: where certificates come from
//! - `keeper`: the life of one identity's certificate
//! - `slots`: who may fetch now

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use hbone::ca::CaClient;
use hbone::identity::SpiffeId;
use hbone::tls::WorkloadCertificate;
use observe::recorder::Recorder;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

mod dump;
mod keeper;
mod retry;
mod slots;

pub use dump::{CertificateDump, CertificateItem};
use keeper::Keeper;
pub use slots::Priority;
use slots::Slots;

/// Tells the time; tests hand in one that moves with the runtime's.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where certificates come from.
pub trait Issuer: Send + Sync + 'static {
    /// One certificate for exactly `id`, or the reason why there is none, with its causes.
    fn issue<'a>(&'a self, id: &'a SpiffeId) -> BoxFuture<'a, Result<WorkloadCertificate, String>>;
}

/// The mesh's authority, asked in the name of the node's pods.
pub struct NodeIssuer {
    /// The client.
    pub client: CaClient,
    /// Requested life. `SECRET_TTL`, default 24 h.
    pub ttl: Duration,
}

impl Issuer for NodeIssuer {
    fn issue<'a>(&'a self, id: &'a SpiffeId) -> BoxFuture<'a, Result<WorkloadCertificate, String>> {
        Box::pin(async move {
            let fetched = self.client.fetch(id, true, self.ttl).await;
            fetched.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
        })
    }
}

/// An identity and the life of its certificate.
#[derive(Clone, Debug)]
pub struct CertificateSummary {
    /// The identity.
    pub identity: SpiffeId,
    /// From when to when it is valid, if there is one.
    pub life: Option<(SystemTime, SystemTime)>,
    /// What the last attempt to get one said, if it failed.
    pub failure: String,
}

/// Limits and times.
#[derive(Clone)]
pub struct CertSettings {
    /// Fetches at once, default 8.
    pub concurrency: usize,
    /// How long a connection waits for a certificate, default 10 s.
    pub wait: Duration,
    /// Identities kept at once, default 4,096: more than a node can hold pods.
    pub max_identities: usize,
    /// The wall clock.
    pub clock: Clock,
    /// Who remembers what becomes of certificates.
    pub recorder: Recorder,
}

impl Default for CertSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            wait: Duration::from_secs(10),
            max_identities: 4096,
            clock: Arc::new(SystemTime::now),
            recorder: Recorder::default(),
        }
    }
}

/// Why a connection gets no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// None came in time.
    #[error("no certificate for {id} within {waited:?}: {reason}")]
    Unavailable {
        /// The identity.
        id: SpiffeId,
        /// The limit.
        waited: Duration,
        /// What the last attempt said.
        reason: String,
    },
    /// The last workload with the identity left the node meanwhile.
    #[error("no workload with {id} is on this node any more")]
    Forgotten {
        /// The identity.
        id: SpiffeId,
    },
    /// A bound that only a fault can reach.
    #[error("no room for {id}: {limit} identities are kept already")]
    TooMany {
        /// The identity.
        id: SpiffeId,
        /// [`CertSettings::max_identities`].
        limit: usize,
    },
}

/// The identities of the node and their certificates.
///
/// Reading a certificate that is there takes no lock. Its tasks run on the runtime in which
/// it was made, and end with it.
pub struct Certificates {
    kept: ArcSwap<HashMap<SpiffeId, Kept>>,
    /// Held while `kept` is replaced.
    change: Mutex<()>,
    issuer: Arc<dyn Issuer>,
    slots: Slots,
    settings: CertSettings,
    runtime: Handle,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates")
            .field("kept", &self.kept.load().len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Kept {
    keeper: Arc<Keeper>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Certificates {
    /// Keeps nothing yet. Must be called in the runtime that is to fetch.
    pub fn new(issuer: Arc<dyn Issuer>, settings: CertSettings) -> Self {
        Self {
            kept: ArcSwap::default(),
            change: Mutex::new(()),
            issuer,
            slots: Slots::new(settings.concurrency),
            settings,
            runtime: Handle::current(),
        }
    }

    /// The certificate of `id` that is valid now, if there is one. Takes no lock.
    pub fn current(&self, id: &SpiffeId) -> Option<Arc<WorkloadCertificate>> {
        let kept = self.kept.load();
        kept.get(id).and_then(|kept| kept.keeper.valid((self.settings.clock)()))
    }

    /// The certificate of `id`, waiting for it at most [`CertSettings::wait`]. Concurrent
    /// callers share one fetch, which goes before those that nobody waits for.
    ///
    /// # Errors
    /// See [`CertError`]. Never another identity's certificate, never an expired one.
    ///
    /// Cancel safe.
    pub async fn get(&self, id: &SpiffeId) -> Result<Arc<WorkloadCertificate>, CertError> {
        if let Some(certificate) = self.current(id) {
            return Ok(certificate);
        }
        let keeper = self.keeper(id)?;
        let mut state = keeper.subscribe();
        keeper.raise(Priority::RealTime);
        self.slots.raise(id, Priority::RealTime);
        let arrived = async {
            loop {
                if let Some(certificate) = keeper.valid((self.settings.clock)()) {
                    return Ok(certificate);
                }
                if keeper.is_forgotten() || state.changed().await.is_err() {
                    return Err(CertError::Forgotten { id: id.clone() });
                }
            }
        };
        let waited = self.settings.wait;
        tokio::time::timeout(waited, arrived).await.unwrap_or_else(|_| {
            let reason = keeper.state().reason();
            Err(CertError::Unavailable { id: id.clone(), waited, reason })
        })
    }

    /// Says which identities local workloads have now: new ones are fetched ahead, others
    /// are forgotten, except those that a connection waits for just now.
    pub fn want(&self, ids: &BTreeSet<SpiffeId>) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::clone(&self.kept.load());
        kept.retain(|id, kept| {
            let stays = ids.contains(id) || kept.keeper.is_awaited();
            if !stays {
                kept.keeper.forget();
            }
            stays
        });
        for id in ids {
            if kept.len() >= self.settings.max_identities && !kept.contains_key(id) {
                tracing::error!(%id, limit = kept.len(), "identity not kept, too many on this node");
                continue;
            }
            kept.entry(id.clone()).or_insert_with(|| self.start(id, Priority::Warmup));
        }
        self.kept.store(Arc::new(kept));
    }

    /// Every identity with its state, sorted, for `/config_dump`.
    pub fn dump(&self) -> Vec<CertificateDump> {
        let kept = self.kept.load();
        let mut all: Vec<_> = kept.iter().map(|(id, kept)| dump::of(id, &kept.keeper)).collect();
        all.sort_by(|a, b| a.identity.cmp(&b.identity));
        all
    }

    /// Every identity with the life of its certificate, sorted.
    pub fn summaries(&self) -> Vec<CertificateSummary> {
        let kept = self.kept.load();
        let mut all: Vec<_> = kept
            .iter()
            .map(|(id, kept)| CertificateSummary {
                identity: id.clone(),
                life: kept.keeper.held().map(|held| (held.not_before(), held.not_after())),
                failure: match kept.keeper.state() {
                    keeper::State::Unavailable(reason) => reason,
                    keeper::State::Initializing | keeper::State::Available => String::new(),
                },
            })
            .collect();
        all.sort_by(|a, b| a.identity.cmp(&b.identity));
        all
    }

    fn keeper(&self, id: &SpiffeId) -> Result<Arc<Keeper>, CertError> {
        if let Some(kept) = self.kept.load().get(id) {
            return Ok(Arc::clone(&kept.keeper));
        }
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = HashMap::clone(&self.kept.load());
        if let Some(kept) = all.get(id) {
            return Ok(Arc::clone(&kept.keeper));
        }
        if all.len() >= self.settings.max_identities {
            return Err(CertError::TooMany { id: id.clone(), limit: all.len() });
        }
        let kept = self.start(id, Priority::RealTime);
        let keeper = Arc::clone(&kept.keeper);
        all.insert(id.clone(), kept);
        self.kept.store(Arc::new(all));
        Ok(keeper)
    }

    fn start(&self, id: &SpiffeId, priority: Priority) -> Kept {
        let keeper = Arc::new(Keeper::new(id.clone(), priority));
        let (issuer, slots) = (Arc::clone(&self.issuer), self.slots.clone());
        let clock = Arc::clone(&self.settings.clock);
        let recorder = self.settings.recorder.clone();
        let task = keeper::keep(Arc::clone(&keeper), issuer, slots, clock, recorder);
        let task = AbortOnDropHandle::new(self.runtime.spawn(task));
        Kept { keeper, _task: Arc::new(task) }
    }
}

#[cfg(test)]
mod tests;
