//! Addresses of host names: asked once for all who wait, and kept for as long as DNS says.
//!
//! - [`system`]: asks the name servers of this machine
//!
//! What cannot be resolved is an error with its reason; nothing is served from an answer whose
//! time is over. docs/wire.md, "Outbound".

pub mod system;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::brand::METRIC_PREFIX;

pub use system::System;

/// Names whose answers are kept; beyond it the one that ends first is forgotten.
pub const MAX_NAMES: usize = 4_096;
/// Names that are asked for at once; further ones are refused.
pub const MAX_LOOKUPS: usize = 256;
/// Of them, those that one source waits for first.
pub const MAX_LOOKUPS_OF_ONE: usize = 64;
/// Addresses of one name that are kept.
pub const MAX_ADDRESSES: usize = 64;

/// An answer counts as missing after this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is kept for its time to live, but for no longer than this: what was changed has an
/// effect within a minute.
const LONGEST: Duration = Duration::from_mins(1);
/// And for no less than this: a name without a time to live is not asked for by each connection.
const SHORTEST: Duration = Duration::from_secs(1);
/// That there is no address is kept for this time.
const NEGATIVE: Duration = Duration::from_secs(2);

/// What DNS says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// For how long they may be kept.
    pub life: Duration,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unresolved {
    /// No such name.
    #[error("there is no such name")]
    NoSuchName,
    /// The name is there, and has no address of use.
    #[error("it has no address that may be used")]
    NoAddress,
    /// Nobody answered in time.
    #[error("no name server answered within 5 s")]
    Timeout,
    /// No server could be asked, or none knew.
    #[error("the name servers failed")]
    Failed,
    /// It is no name that can be asked for.
    #[error("it is no name of DNS")]
    NoName,
    /// It stands for many names, and nothing says which is meant.
    #[error("it is a wildcard, and only the name of an HTTP request below it says what is meant")]
    Wildcard,
    /// Our own limit.
    #[error("too many names are being resolved")]
    Limit,
}

/// Asks for the addresses of a name.
pub trait Ask: Send + Sync + 'static {
    /// The answer; the caller bounds the time.
    fn ask(&self, name: &str) -> BoxFuture<'static, Result<Answer, Unresolved>>;
}

type Outcome = Result<Arc<[IpAddr]>, Unresolved>;

/// Resolves names. Cheap to clone; all clones share what is known.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    ask: Box<dyn Ask>,
    /// Where questions are asked.
    runtime: Handle,
    metrics: ResolverMetrics,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    names: HashMap<Arc<str>, Name>,
    asking: usize,
    /// Of each source, how many names are asked for on its behalf.
    sources: HashMap<Arc<str>, usize>,
}

enum Name {
    Asking(watch::Receiver<Option<Outcome>>),
    Known { outcome: Outcome, until: Instant },
}

/// Counters of a resolver. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct ResolverMetrics {
    lookups: Family<Labels, Counter>,
    names: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    result: Told,
}

/// `None` is that addresses were found.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Told(Option<Unresolved>);

impl EncodeLabelValue for Told {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        let text = match self.0 {
            None => "found",
            Some(Unresolved::NoSuchName) => "no_such_name",
            Some(Unresolved::NoAddress) => "no_address",
            Some(Unresolved::Timeout) => "timeout",
            Some(Unresolved::Failed) => "failed",
            Some(Unresolved::NoName) => "no_name",
            Some(Unresolved::Wildcard) => "wildcard",
            Some(Unresolved::Limit) => "limit",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

impl ResolverMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            format!("{METRIC_PREFIX}_dns_lookups"),
            "Names of workloads that were asked for, by what came of it",
            metrics.lookups.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_dns_names"),
            "Names of workloads whose answers are kept",
            metrics.names.clone(),
        );
        metrics
    }

    fn count(&self, outcome: &Outcome) {
        let labels = Labels { result: Told(outcome.as_ref().err().copied()) };
        self.lookups.get_or_create(&labels).inc();
    }
}

impl Resolver {
    /// A resolver that asks `ask`, on `runtime`: not on the threads that move data.
    pub fn new(ask: impl Ask, runtime: Handle, metrics: ResolverMetrics) -> Self {
        let inner = Inner { ask: Box::new(ask), runtime, metrics, table: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The addresses of `name`, on behalf of `source`: at least one.
    ///
    /// Ready at once for a name that is known, else within 5 s. Cancel safe: an answer that
    /// nobody waits for any longer is kept all the same.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lookup(&self, name: &str, source: &Arc<str>) -> Outcome {
        let mut asked = match self.begin(name, source) {
            Ok(asked) => asked,
            Err(known) => return known,
        };
        match asked.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Unresolved::Failed)),
            // The runtime that asks has ended.
            Err(_) => Err(Unresolved::Failed),
        }
    }

    /// What is known, or where the answer will be told.
    fn begin(
        &self,
        name: &str,
        source: &Arc<str>,
    ) -> Result<watch::Receiver<Option<Outcome>>, Outcome> {
        let mut table = self.inner.lock();
        match table.names.get(name) {
            Some(Name::Known { outcome, until }) if *until > Instant::now() => {
                return Err(outcome.clone());
            }
            Some(Name::Asking(asked)) => return Ok(asked.clone()),
            Some(Name::Known { .. }) | None => {}
        }
        let of_source = table.sources.get(source).copied().unwrap_or_default();
        if table.asking >= MAX_LOOKUPS || of_source >= MAX_LOOKUPS_OF_ONE {
            let refused = Err(Unresolved::Limit);
            self.inner.metrics.count(&refused);
            return Err(refused);
        }
        table.make_room(name);
        let (tell, asked) = watch::channel(None);
        let (name, source): (Arc<str>, _) = (name.into(), Arc::clone(source));
        table.asking += 1;
        *table.sources.entry(Arc::clone(&source)).or_default() += 1;
        table.names.insert(Arc::clone(&name), Name::Asking(asked.clone()));
        self.inner.metrics.names.set(i64::try_from(table.names.len()).unwrap_or(i64::MAX));
        drop(table);
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(async move {
            let outcome = inner.ask(name, source).await;
            // Whoever waited may be gone.
            let _ = tell.send(Some(outcome));
        });
        Ok(asked)
    }
}

impl Inner {
    async fn ask(&self, name: Arc<str>, source: Arc<str>) -> Outcome {
        let answered = timeout(PATIENCE, self.ask.ask(&name)).await;
        let (outcome, life) = match answered.unwrap_or(Err(Unresolved::Timeout)) {
            Ok(answer) if answer.addresses.is_empty() => (Err(Unresolved::NoAddress), NEGATIVE),
            Ok(answer) => {
                let addresses = answer.addresses.into_iter().take(MAX_ADDRESSES);
                (Ok(addresses.collect()), answer.life.clamp(SHORTEST, LONGEST))
            }
            Err(why) => (Err(why), NEGATIVE),
        };
        self.metrics.count(&outcome);
        let mut table = self.lock();
        table.asking = table.asking.saturating_sub(1);
        if let Some(of_source) = table.sources.get_mut(&source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                table.sources.remove(&source);
            }
        }
        let known = Name::Known { outcome: outcome.clone(), until: Instant::now() + life };
        table.names.insert(name, known);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change under the lock is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets what is over, and if that is nothing the answer that ends first. There are fewer
    /// questions than names, so there is one.
    fn make_room(&mut self, for_name: &str) {
        if self.names.len() < MAX_NAMES || self.names.contains_key(for_name) {
            return;
        }
        let now = Instant::now();
        let mut first: Option<(Instant, Arc<str>)> = None;
        self.names.retain(|name, known| match known {
            Name::Known { until, .. } if *until <= now => false,
            Name::Known { until, .. } => {
                if first.as_ref().is_none_or(|(earliest, _)| *until < *earliest) {
                    first = Some((*until, Arc::clone(name)));
                }
                true
            }
            Name::Asking(_) => true,
        });
        if self.names.len() >= MAX_NAMES
            && let Some((_, name)) = first
        {
            self.names.remove(&name);
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// Whether a name that DNS gave may lead somewhere: an address of the proxy's own machine would
/// lead back into it.
pub fn leads_elsewhere(ip: IpAddr) -> bool {
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

#[cfg(test)]
mod tests;
