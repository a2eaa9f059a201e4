//! HBONE in: certificates, tunnels, and what each is for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone::identity::SpiffeId;
use hbone::matching::Caller;
use hbone::tls::WorkloadCertificate;
use hbone::tunnel::{Accepted, Drain, Incoming, TunnelConfig, accept_tls, headers, serve};
use http::{HeaderMap, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::account::Shares;
use crate::detect::{self, Carries, Rewound};
use crate::directory::NotServed;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::http::reply::{PROXY_STATUS, proxy_status};
use crate::http::serve as http_serve;
use crate::inbound::Inbound;
use crate::l4;
use crate::record::{Limit, SeriesOfTunnel};

pub use trust::ServerTls;

mod trust;

/// Connections that shake hands at a time; the next ones wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 256;
/// Of them, those from one address; beyond it a connection is closed.
const MAX_HANDSHAKES_OF_ONE: usize = 32;
/// Pause after an accept that failed, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a tunnel waits for its address to be bound to this waypoint: the caller's node proxy
/// may have heard of that first (docs/wire.md, "Waypoints").
const ARRIVAL: Duration = Duration::from_secs(1);

/// The HBONE listener of a Gateway.
pub struct Listener {
    /// What decides on requests.
    pub engine: Arc<Engine>,
    /// The waypoint's certificate of the moment.
    pub certificate: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
    /// TLS with it, for whom the Gateway trusts.
    pub tls: ServerTls,
    /// Windows, limits and deadlines.
    pub config: Arc<TunnelConfig>,
    /// Ends it: no new connections, tunnels or requests.
    pub drain: Drain,
}

impl Listener {
    /// Accepts on `tcp` until the drain; tasks of connections are in `tasks`.
    pub async fn run(self: Arc<Self>, tcp: TcpListener, tasks: TaskTracker) {
        let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let shares = Shares::new(MAX_HANDSHAKES_OF_ONE);
        let mut drain = self.drain.clone();
        loop {
            let permit = match Arc::clone(&room).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    self.engine.metrics.limit(Limit::Handshakes);
                    let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                    permit
                }
            };
            let accepted = tokio::select! {
                () = drain.begun() => return,
                accepted = tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(share) = shares.take(peer.ip().to_canonical()) else {
                        self.engine.metrics.limit(Limit::HandshakesOfOne);
                        debug!(src.addr = %peer, "connection closed: too many handshakes");
                        continue;
                    };
                    let this = Arc::clone(&self);
                    let inner = tasks.clone();
                    tasks.spawn(async move {
                        let shaken = this.handshake(stream, peer).await;
                        drop((permit, share));
                        if let Some(accepted) = shaken {
                            this.connection(accepted, inner).await;
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn handshake(&self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        let _ = stream.set_nodelay(true);
        let certificate = self.certificate.borrow().clone();
        let world = self.engine.state.world();
        let gateway = world.config.gateway.as_ref();
        let trusted = gateway.map_or(&[][..], |gateway| &gateway.trust_domains);
        let tls = certificate.as_ref().map(|certificate| self.tls.of(certificate, trusted));
        let Some(Ok(tls)) = tls else {
            warn!(src.addr = %peer, "connection refused: the waypoint has no certificate");
            return None;
        };
        let accepted = accept_tls(stream, peer, tls, &self.config).await;
        self.engine.metrics.recorder().handshake(accepted.is_ok());
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                debug!(src.addr = %peer, error = error.chain(), "handshake failed");
                None
            }
        }
    }

    async fn connection(self: Arc<Self>, accepted: Accepted, tasks: TaskTracker) {
        let Accepted { stream, peer, peer_addr } = accepted;
        let this = Arc::clone(&self);
        let handler = move |incoming: Incoming| {
            let (this, peer) = (Arc::clone(&this), peer.clone());
            tasks.track_future(async move { this.tunnel(incoming, peer, peer_addr).await })
        };
        let drain = self.drain.clone();
        if let Err(error) = serve(stream, peer_addr, &self.config, drain, handler).await {
            debug!(src.addr = %peer_addr, error = error.chain(), "connection ended");
        }
    }

    async fn tunnel(&self, incoming: Incoming, peer: SpiffeId, peer_addr: SocketAddr) {
        let inbound = match self.admit_in_time(&incoming, &peer, peer_addr).await {
            Ok(inbound) => Arc::new(inbound),
            Err((status, failure)) => {
                self.engine.metrics.refused();
                warn!(src.addr = %peer_addr, authority = incoming.authority(), status = status.as_u16(),
                    reason = %failure, "tunnel refused");
                let headers = HeaderMap::from_iter([(
                    PROXY_STATUS,
                    proxy_status(&self.engine.name(), Some(&failure)),
                )]);
                return incoming.refuse_with(status, headers);
            }
        };
        let Ok(mut stream) = incoming.accept(HeaderMap::new()) else { return };
        let declared = detect::declared(&inbound.target, &self.engine.state.world().directory);
        let Ok((carries, first)) = detect::detect(&mut stream, declared).await else { return };
        let (engine, drain) = (Arc::clone(&self.engine), self.drain.clone());
        let ended = match carries {
            Carries::Bytes => {
                l4::pass(&engine, &inbound, stream, first).await;
                Ok(())
            }
            Carries::Http1 => {
                http_serve::http1(engine, Arc::clone(&inbound), stream, first, drain).await
            }
            Carries::Http2 => {
                let stream = Rewound::new(first, stream);
                http_serve::http2(engine, Arc::clone(&inbound), stream, drain).await
            }
        };
        if let Err(error) = ended {
            debug!(src.identity = %inbound.peer, %error, "connection of a client ended");
        }
    }

    /// The same as [`Listener::admit`], but what is not bound to this waypoint may be so soon.
    async fn admit_in_time(
        &self,
        incoming: &Incoming,
        peer: &SpiffeId,
        peer_addr: SocketAddr,
    ) -> Result<Inbound, (StatusCode, Failure)> {
        let mut arrivals = self.engine.state.arrivals();
        let patience = tokio::time::sleep(ARRIVAL);
        tokio::pin!(patience);
        loop {
            match self.admit(incoming, peer.clone(), peer_addr) {
                Err((StatusCode::NOT_FOUND, failure)) => tokio::select! {
                    () = &mut patience => return Err((StatusCode::NOT_FOUND, failure)),
                    // The sender lives as long as we do.
                    _ = arrivals.changed() => {}
                },
                other => return other,
            }
        }
    }

    /// Only what is bound to this waypoint is served (docs/wire.md, "CONNECT request").
    fn admit(
        &self,
        incoming: &Incoming,
        peer: SpiffeId,
        peer_addr: SocketAddr,
    ) -> Result<Inbound, (StatusCode, Failure)> {
        let bad = |why| (StatusCode::BAD_REQUEST, Failure::Malformed(why));
        if !incoming.is_plain_connect() {
            return Err(bad("only a plain CONNECT opens a tunnel"));
        }
        let authority = incoming.authority().ok_or(bad("CONNECT without authority"))?;
        let address: Result<SocketAddr, _> = authority.parse();
        let address = address.map_err(|_| bad("the authority is not an IP address and a port"))?;
        let world = self.engine.state.world();
        let gateway = world.config.gateway.as_ref();
        let gateway = gateway.ok_or((StatusCode::SERVICE_UNAVAILABLE, Failure::NotReady))?;
        if !gateway.trusts(&peer) {
            return Err((StatusCode::UNAUTHORIZED, Failure::NotAllowed));
        }
        let target = world.directory.target(address, gateway).map_err(|why| {
            (
                StatusCode::NOT_FOUND,
                Failure::Malformed(match why {
                    NotServed::Unknown => "no service or workload has the address",
                    NotServed::Unbound => "the address is not bound to a waypoint",
                    NotServed::Elsewhere => "the address is bound to another waypoint",
                    NotServed::NoPort => "the service has no such port",
                }),
            )
        })?;
        // What a node proxy says of its pod is as good as its certificate; it is compared with
        // the workload that has that address, so nobody speaks for another's address.
        let forwarded = headers::forwarded_for(incoming.headers());
        let owns = |at: &SocketAddr| {
            world.directory.workload(at.ip()).is_some_and(|w| w.identity.as_ref() == Some(&peer))
        };
        let client = forwarded.filter(owns).unwrap_or(peer_addr);
        let source = world.directory.workload(client.ip()).cloned();
        let caller = Caller::authenticated(peer.clone());
        let account = self.engine.accounts.of(&peer);
        let series = SeriesOfTunnel::default();
        Ok(Inbound { peer, caller, client, source, target, account, series })
    }
}
