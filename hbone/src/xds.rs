//! The delta discovery client: keeps a proxy's state equal to the control plane's
//! (docs/wire.md, "Discovery").
//!
//! A [`Client`] watches resource types. Each type has a [`Handler`] that applies what comes;
//! the client does the protocol: first requests, ACK and NACK, held versions, reconnecting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::channel::ControlPlane;
use crate::wire::pb::envoy::config::core::v3::Node;

mod apply;
mod backoff;
mod held;
mod metrics;
mod node;
mod stream;
mod told;

use backoff::{Backoff, End};
use held::Watch;
pub use metrics::XdsMetrics;
pub use node::NodeInfo;
pub use told::{Names, Tell, Told};

/// Largest message that is accepted, in bytes (docs/wire.md, "Discovery").
pub const MAX_MESSAGE: usize = 200 << 20;

/// One resource as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name, never empty; of a type's resources the key.
    pub name: String,
    /// Opaque; equal versions of one name have equal content, except that an empty version
    /// says nothing.
    pub version: String,
    /// The encoded message, of the type that is watched.
    pub bytes: Bytes,
}

/// A resource that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The resource's name.
    pub name: String,
    /// Why, for the control plane's log.
    pub error: String,
}

/// Applies the resources of one type to a proxy's state.
pub trait Handler: Send + Sync {
    /// Applies `resources`, then removes `removed`, and returns what it could not take; the
    /// rest stays applied. A removal may name what never existed.
    ///
    /// Called on a thread where blocking is allowed, for one response at a time. A rejected
    /// resource that was held before stays as it was, unless the handler knows a stricter
    /// meaning for it. Must be idempotent: after a panic the client offers each resource
    /// again by itself, to find the one to reject.
    fn apply(&self, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected>;
}

/// Times of the client; the defaults are right outside tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a stream may stay without any message while a type has not been answered,
    /// default 30 s. Then the next server address is tried.
    pub answer: Duration,
    /// A stream that lived at least so long and was answered ended in the ordinary way,
    /// default 1 s.
    pub healthy_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { answer: Duration::from_secs(30), healthy_after: Duration::from_secs(1) }
    }
}

/// A discovery client; [`Client::run`] drives it.
pub struct Client {
    control: ControlPlane,
    node: Node,
    watches: Vec<Watch>,
    metrics: XdsMetrics,
    timing: Timing,
    synced: Arc<watch::Sender<bool>>,
    told: Option<Tell>,
}

/// Tells when every watched type was received and acknowledged once.
#[derive(Clone, Debug)]
pub struct Synced(watch::Receiver<bool>);

impl Synced {
    /// Whether the first state is there. It stays so: a lost server leaves the state stale,
    /// not absent.
    pub fn is_synced(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the first state; `false` if the client ended before. Cancel safe.
    pub async fn wait(&mut self) -> bool {
        self.0.wait_for(|synced| *synced).await.is_ok()
    }
}

impl Client {
    /// A client that watches nothing yet.
    pub fn new(control: ControlPlane, node: &NodeInfo, metrics: XdsMetrics) -> Self {
        Self {
            control,
            node: node.to_node(),
            watches: Vec::new(),
            metrics,
            timing: Timing::default(),
            synced: Arc::new(watch::Sender::new(false)),
            told: None,
        }
    }

    /// Watches all resources of `type_url`.
    #[must_use]
    pub fn watch(mut self, type_url: &str, handler: Arc<dyn Handler>) -> Self {
        self.watches.push(Watch::new(type_url, handler));
        self
    }

    /// Replaces the default times.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Tells `tell` what happens.
    #[must_use]
    pub fn telling(mut self, tell: Tell) -> Self {
        self.told = Some(tell);
        self
    }

    fn tell(&self, told: impl FnOnce() -> Told) {
        if let Some(tell) = &self.told {
            tell(told());
        }
    }

    /// The signal for readiness.
    pub fn synced(&self) -> Synced {
        Synced(self.synced.subscribe())
    }

    /// Keeps a stream open until `shutdown`, and returns only then.
    ///
    /// What was applied stays applied while no server is reachable.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let opened = Instant::now();
            let ended = tokio::select! {
                () = shutdown.cancelled() => break,
                ended = self.session() => ended,
            };
            let healthy = ended.answered && opened.elapsed() >= self.timing.healthy_after;
            self.metrics.ended(&ended.end);
            if !ended.answered {
                self.control.give_up_address();
            }
            let pause = backoff.next(&ended.end, healthy, rand::random());
            self.report(&ended.end, pause);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.metrics.disconnected();
        debug!("discovery client stopped");
    }

    /// One connection and one stream on it, from connecting to its end.
    async fn session(&mut self) -> stream::Ended {
        for watch in &mut self.watches {
            watch.answered = false;
        }
        // The connection ends with its stream, also if the server reads nothing of it.
        let cut = CancellationToken::new();
        let _cut = cut.clone().drop_guard();
        match self.control.connect_until(cut).await {
            Ok(channel) => {
                let ended = self.stream(channel).await;
                self.metrics.disconnected();
                ended
            }
            Err(error) => stream::Ended { end: End::Connect(error), answered: false },
        }
    }

    fn report(&self, end: &End, pause: Duration) {
        let servers = self.control.servers();
        if let End::Complete = end {
            info!(%servers, ?pause, "discovery stream ended by the server");
        } else {
            warn!(%servers, ?pause, error = %end, "discovery stream failed, state may be stale");
            self.tell(|| Told::Lost { servers: servers.clone(), why: end.to_string() });
        }
    }
}

#[cfg(test)]
mod tests;
