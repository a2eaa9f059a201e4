//! Connections kept for the next tunnel (docs/wire.md, "Connection pool").

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::{HeaderMap, Method, Request, Uri, Version};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::client::{self, Connection, Dial, Reservation};
use super::{Tunnel, TunnelConfig, TunnelError};
use crate::brand::METRIC_PREFIX;
use crate::identity::SpiffeId;
use crate::tls::WorkloadCertificate;

/// What a tunnel is opened to, and as whom.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The source's certificate; it counts only when a new connection is made.
    pub certificate: Arc<WorkloadCertificate>,
    /// Who the peer may be; with nobody in it every peer is refused.
    pub expected: Vec<SpiffeId>,
    /// Where HBONE is served.
    pub peer: SocketAddr,
    /// `:authority`: `IP:port`, `[IPv6]:port` or `hostname:port`.
    pub authority: String,
    /// Further headers, from [`headers`](super::headers).
    pub headers: HeaderMap,
}

/// What makes two tunnels able to share a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    source: SpiffeId,
    /// Sorted.
    expected: Vec<SpiffeId>,
    peer: SocketAddr,
}

/// The connections of one workload. Pods never share a pool, so that the source address and
/// the account of each stay its own.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Arc<dyn Dial>,
    config: Arc<TunnelConfig>,
    metrics: PoolMetrics,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// The connections to one destination.
#[derive(Default)]
struct Slot {
    connections: Mutex<Vec<Arc<Connection>>>,
    /// One handshake at a time; the others wait for it and then find room.
    connecting: tokio::sync::Mutex<()>,
}

/// Counters of pools; cloned into each.
#[derive(Clone, Debug, Default)]
pub struct PoolMetrics {
    connections: Gauge,
    handshakes: Counter,
    reused: Counter,
    full: Counter,
    shaken: Option<Shaken>,
}

/// Hears of each handshake whether it was good.
#[derive(Clone)]
struct Shaken(Arc<dyn Fn(bool) + Send + Sync>);

impl fmt::Debug for Shaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shaken")
    }
}

impl PoolMetrics {
    /// Tells `shaken` of each handshake whether it was good. A peer that cannot be reached makes
    /// none.
    #[must_use]
    pub fn telling(mut self, shaken: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.shaken = Some(Shaken(Arc::new(shaken)));
        self
    }

    fn shaken(&self, result: &Result<Arc<Connection>, TunnelError>) {
        let good = match result {
            Ok(_) => true,
            Err(TunnelError::Tls { .. } | TunnelError::HandshakeTimeout { .. }) => false,
            Err(_) => return,
        };
        if let Some(Shaken(tell)) = &self.shaken {
            tell(good);
        }
    }

    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let named = |name: &str| format!("{METRIC_PREFIX}_tunnel_pool_{name}");
        registry.register(
            named("connections"),
            "Connections that carry outbound tunnels",
            metrics.connections.clone(),
        );
        registry.register(
            named("handshakes"),
            "Connections made for outbound tunnels",
            metrics.handshakes.clone(),
        );
        registry.register(
            named("reused"),
            "Outbound tunnels opened on a connection that was there",
            metrics.reused.clone(),
        );
        registry.register(
            named("full"),
            "Outbound tunnels refused because every connection was full",
            metrics.full.clone(),
        );
        metrics
    }
}

impl Pool {
    /// An empty pool that dials with `dial`.
    pub fn new(dial: Arc<dyn Dial>, config: Arc<TunnelConfig>, metrics: PoolMetrics) -> Self {
        let slots = Mutex::default();
        Self { shared: Arc::new(Shared { dial, config, metrics, slots }) }
    }

    /// Opens a tunnel, on a pooled connection that has room or on a new one.
    ///
    /// Ready when the peer answered 200: the application has accepted. TCP, TLS and CONNECT
    /// take at most `connect_timeout` each. No retry on another endpoint.
    ///
    /// # Errors
    /// `Tls` if the peer is none of `expected`; `Refused` for any status but 200.
    ///
    /// Cancel safe: dropping it resets the stream, not the connection.
    ///
    /// RFC 9113 section 8.5; docs/wire.md, "CONNECT request".
    pub async fn open(&self, to: &OpenRequest) -> Result<Tunnel, TunnelError> {
        let request = connect_request(to)?;
        let place = self.reserve(to).await?;
        place.open(request, &self.shared.config).await
    }

    /// Takes every connection out of use; open tunnels go on.
    pub fn close(&self) {
        let slots = std::mem::take(&mut *lock(&self.shared.slots));
        for slot in slots.values() {
            for connection in lock(&slot.connections).drain(..) {
                connection.retire();
            }
        }
    }

    async fn reserve(&self, to: &OpenRequest) -> Result<Reservation, TunnelError> {
        let slot = SlotInUse::of(&self.shared, Key::of(to));
        if let Some(place) = slot.find() {
            self.shared.metrics.reused.inc();
            return Ok(place);
        }
        let _turn = slot.connecting.lock().await;
        // Whoever had the turn before us may have made room.
        if let Some(place) = slot.find() {
            self.shared.metrics.reused.inc();
            return Ok(place);
        }
        let limit = self.shared.config.max_connections;
        if lock(&slot.connections).len() >= limit {
            self.shared.metrics.full.inc();
            return Err(TunnelError::PoolFull { peer: to.peer, limit });
        }
        self.shared.metrics.handshakes.inc();
        let connection = self.connect(to, &slot.key).await?;
        let place = connection.reserve().ok_or(TunnelError::Http2 {
            peer: to.peer,
            reason: "the peer allows no stream".to_owned(),
        })?;
        lock(&slot.connections).push(connection);
        Ok(place)
    }

    async fn connect(&self, to: &OpenRequest, key: &Key) -> Result<Arc<Connection>, TunnelError> {
        let shared = &self.shared;
        let gauge = shared.metrics.connections.clone();
        let (weak, key) = (Arc::downgrade(shared), key.clone());
        let connection = client::connect(
            &*shared.dial,
            to.peer,
            &to.certificate,
            &to.expected,
            &shared.config,
            move || {
                gauge.dec();
                forget_retired(&weak, &key);
            },
        )
        .await;
        shared.metrics.shaken(&connection);
        let connection = connection?;
        shared.metrics.connections.inc();
        Ok(connection)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("destinations", &lock(&self.shared.slots).len()).finish()
    }
}

impl Key {
    fn of(to: &OpenRequest) -> Self {
        let mut expected = to.expected.clone();
        expected.sort();
        expected.dedup();
        Self { source: to.certificate.identity().clone(), expected, peer: to.peer }
    }
}

/// A slot that somebody looks at. Dropped, it takes an empty slot away: a workload that dials
/// ten thousand dead addresses leaves nothing behind.
struct SlotInUse<'a> {
    shared: &'a Shared,
    key: Key,
    slot: Arc<Slot>,
}

impl<'a> SlotInUse<'a> {
    fn of(shared: &'a Shared, key: Key) -> Self {
        let slot = Arc::clone(lock(&shared.slots).entry(key.clone()).or_default());
        Self { shared, key, slot }
    }
}

impl std::ops::Deref for SlotInUse<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for SlotInUse<'_> {
    fn drop(&mut self) {
        let mut slots = lock(&self.shared.slots);
        // Two handles: the map's and ours. It may be another slot by now, after a close.
        let ours = slots.get(&self.key).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot));
        let alone = ours && Arc::strong_count(&self.slot) == 2;
        if alone && lock(&self.slot.connections).is_empty() {
            slots.remove(&self.key);
        }
    }
}

impl Slot {
    fn find(&self) -> Option<Reservation> {
        lock(&self.connections).iter().find_map(Connection::reserve)
    }
}

/// Removes what takes no more tunnels, so that nothing holds its connection open.
fn forget_retired(shared: &Weak<Shared>, key: &Key) {
    let Some(shared) = shared.upgrade() else { return };
    let mut slots = lock(&shared.slots);
    let Some(slot) = slots.get(key) else { return };
    let mut connections = lock(&slot.connections);
    connections.retain(|c| !c.is_retired());
    // Somebody who holds the slot is about to put a connection into it.
    let unused = connections.is_empty() && Arc::strong_count(slot) == 1;
    drop(connections);
    if unused {
        slots.remove(key);
    }
}

fn connect_request(to: &OpenRequest) -> Result<Request<()>, TunnelError> {
    let bad = || TunnelError::Request { what: "the authority", found: to.authority.clone() };
    let uri = Uri::builder().authority(to.authority.as_str()).build().map_err(|_| bad())?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = to.headers.clone();
    Ok(request)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
