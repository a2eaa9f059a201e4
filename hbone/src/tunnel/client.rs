//! One connection of the dialling side.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use h2::PingPong;
use h2::client::SendRequest;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::keepalive;
use super::read_ahead::ReadAhead;
use super::stream::Tunnel;
use super::write_behind::{LARGEST_WRITE, Turns, WriteBehind};
use super::{TunnelConfig, TunnelError};
use crate::identity::SpiffeId;
use crate::tls::{ALPN_H2, WorkloadCertificate};

/// Opens the TCP connection of a tunnel, in whatever network namespace is right.
pub trait Dial: Send + Sync + 'static {
    /// A connected socket with its options set. The caller bounds the time.
    fn dial(
        &self,
        to: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>>;
}

/// Dials in the namespace of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Dial for Direct {
    fn dial(
        &self,
        to: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>> {
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

/// h2's half of a connection on `S`: the one that must be polled.
pub(super) type Driver<S> = h2::client::Connection<WriteBehind<S>, Bytes>;

/// Set in `streams` when the connection takes no new ones.
const RETIRED: usize = 1 << (usize::BITS - 1);

/// An HTTP/2 connection to one peer, shared by the tunnels on it.
#[derive(Debug)]
pub(super) struct Connection {
    peer: SocketAddr,
    send: SendRequest<Bytes>,
    max_streams: usize,
    /// Tunnels open or opening, and `RETIRED`.
    streams: AtomicUsize,
    began: Instant,
    /// Milliseconds from `began` to the last reservation.
    last_used: AtomicU64,
}

/// A place for one tunnel on a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation(Arc<Connection>);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connection {
    /// A place on this connection, unless it is full, retired or known to be closing.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        // The peer's own limit, as its last SETTINGS had it.
        let limit = self.max_streams.min(self.send.current_max_send_streams());
        let take = |n: usize| (n & RETIRED == 0 && n < limit).then_some(n + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        self.last_used.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        Some(Reservation(Arc::clone(self)))
    }

    /// Takes the connection out of use; tunnels on it go on.
    pub(super) fn retire(&self) {
        self.streams.fetch_or(RETIRED, Ordering::AcqRel);
    }

    /// Takes the connection out of use if nothing used it for `config.idle_release`.
    fn retire_if_idle(&self, config: &TunnelConfig) -> bool {
        let last = std::time::Duration::from_millis(self.last_used.load(Ordering::Relaxed));
        let unused = self.began.elapsed().saturating_sub(last) >= config.idle_release;
        let free =
            || self.streams.compare_exchange(0, RETIRED, Ordering::AcqRel, Ordering::Acquire);
        unused && free().is_ok()
    }

    /// Whether it takes no new tunnels for good.
    pub(super) fn is_retired(&self) -> bool {
        self.streams.load(Ordering::Acquire) & RETIRED != 0
    }
}

impl Reservation {
    /// Sends CONNECT and waits for its answer.
    pub(super) async fn open(
        self,
        request: http::Request<()>,
        config: &TunnelConfig,
    ) -> Result<Tunnel, TunnelError> {
        let peer = self.0.peer;
        let answer = timeout(config.connect_timeout, self.connect(request)).await;
        answer.unwrap_or(Err(TunnelError::Unanswered { peer, timeout: config.connect_timeout }))
    }

    async fn connect(self, request: http::Request<()>) -> Result<Tunnel, TunnelError> {
        let connection = &self.0;
        let peer = connection.peer;
        let broken = |e: h2::Error| {
            // GOAWAY or a broken connection: the next tunnel needs another one.
            if !e.is_reset() {
                connection.retire();
            }
            TunnelError::Http2 { peer, reason: e.to_string() }
        };
        let mut send = connection.send.clone().ready().await.map_err(broken)?;
        let (response, body) = send.send_request(request, false).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        let status = response.status();
        if status != http::StatusCode::OK {
            return Err(TunnelError::Refused { peer, status });
        }
        let recv = response.into_body();
        Ok(Tunnel::new(body, recv, Some(Arc::new(self))))
    }
}

/// Dials, shakes hands and starts the task that drives the connection; `on_end` runs when it
/// takes no more tunnels.
pub(super) async fn connect(
    dial: &dyn Dial,
    peer: SocketAddr,
    certificate: &WorkloadCertificate,
    expected: &[SpiffeId],
    config: &Arc<TunnelConfig>,
    on_end: impl FnOnce() + Send + 'static,
) -> Result<Arc<Connection>, TunnelError> {
    let limit = config.connect_timeout;
    let tcp = match timeout(limit, dial.dial(peer)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(source)) => return Err(TunnelError::Connect { peer, source }),
        Err(_) => return Err(TunnelError::ConnectTimeout { peer, timeout: limit }),
    };
    let tls = TlsConnector::from(certificate.client_config(expected)?);
    // No SNI is sent; the name only fills the call.
    let name = ServerName::IpAddress(peer.ip().into());
    let late = TunnelError::HandshakeTimeout { peer, timeout: limit };
    let large = |session: &mut ClientConnection| session.set_buffer_limit(Some(LARGEST_WRITE));
    let shake = tls.connect_with(name, ReadAhead::new(tcp), large);
    let stream = match timeout(limit, shake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(source)) => return Err(TunnelError::Tls { peer, source }),
        Err(_) => return Err(late),
    };
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
        return Err(TunnelError::Peer { peer, what: "speaks no HTTP/2 (ALPN h2)" });
    }
    timeout(limit, start(stream, peer, config, on_end)).await.unwrap_or(Err(late))
}

async fn start<S>(
    stream: S,
    peer: SocketAddr,
    config: &Arc<TunnelConfig>,
    on_end: impl FnOnce() + Send + 'static,
) -> Result<Arc<Connection>, TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turns = Turns::default();
    let (send, mut driver) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(config.client_window())
        .max_frame_size(config.max_frame)
        .max_header_list_size(16 * 1024)
        .max_send_buffer_size(config.stream_window as usize)
        .initial_max_send_streams(config.max_streams_opened.into())
        .header_table_size(4096)
        .data_frame_budget(config.client_window() as usize)
        .handshake::<_, Bytes>(WriteBehind::new(stream, turns.clone()))
        .await
        .map_err(|e| TunnelError::Http2 { peer, reason: e.to_string() })?;
    let pings = driver.ping_pong();
    let connection = Arc::new(Connection {
        peer,
        send,
        max_streams: config.max_streams_opened.into(),
        streams: AtomicUsize::new(0),
        began: Instant::now(),
        last_used: AtomicU64::new(0),
    });
    let driven = Driven { turns, pings, connection: Arc::clone(&connection) };
    tokio::spawn(drive(driver, driven, Arc::clone(config), on_end));
    Ok(connection)
}

/// What the task of a connection needs beside the connection itself.
pub(super) struct Driven {
    turns: Turns,
    pings: Option<PingPong>,
    connection: Arc<Connection>,
}

/// Drives a connection until its last tunnel has ended, or it is dead; `on_end` runs when it
/// takes no more tunnels.
pub(super) async fn drive<S>(
    mut driver: Driver<S>,
    driven: Driven,
    config: Arc<TunnelConfig>,
    on_end: impl FnOnce() + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Driven { turns, pings, connection } = driven;
    let peer = connection.peer;
    let mut idle = Box::pin(until_idle(&connection, &config));
    let mut dead = Box::pin(until_dead(pings, &config));
    let ended = tokio::select! {
        result = turns.of(|cx| Pin::new(&mut driver).poll(cx)) => { log_end(peer, result); true }
        () = &mut dead => { tracing::warn!(%peer, "tunnel peer does not answer PING"); true }
        () = &mut idle => false,
    };
    drop(idle);
    connection.retire();
    drop(connection);
    on_end();
    if !ended {
        // The pool has let go of its handle: this ends when the last tunnel does.
        tokio::select! {
            result = turns.of(|cx| Pin::new(&mut driver).poll(cx)) => log_end(peer, result),
            () = dead => {}
        }
    }
}

async fn until_dead(pings: Option<PingPong>, config: &TunnelConfig) {
    match pings {
        Some(pings) => keepalive::until_dead(pings, config).await,
        None => std::future::pending().await,
    }
}

/// Completes when the connection takes no more tunnels.
async fn until_idle(connection: &Connection, config: &TunnelConfig) {
    let step = (config.idle_release / 4).max(std::time::Duration::from_millis(50));
    while !connection.is_retired() && !connection.retire_if_idle(config) {
        tokio::time::sleep(step).await;
    }
}

fn log_end(peer: SocketAddr, result: Result<(), h2::Error>) {
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "tunnel connection ended");
    }
}
