//! The accepting side: mutual TLS, HTTP/2, and each CONNECT handed to a handler.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Response, StatusCode};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::keepalive;
use super::read_ahead::ReadAhead;
use super::stream::{StreamError, Tunnel};
use super::write_behind::{LARGEST_WRITE, Turns, WriteBehind};
use super::{TunnelConfig, TunnelError};
use crate::identity::SpiffeId;
use crate::tls::{ALPN_H2, leaf_identity};

/// A connection whose client has proved who it is.
#[derive(Debug)]
pub struct Accepted {
    /// The TLS stream, ready for HTTP/2.
    pub stream: TlsStream<ReadAhead<TcpStream>>,
    /// The client's identity.
    pub peer: SpiffeId,
    /// The client's address.
    pub peer_addr: SocketAddr,
}

/// Shakes hands with a client within `config.connect_timeout`.
///
/// # Errors
/// `Tls` for a client without a certificate of our trust domain; `Peer` for one that speaks
/// no HTTP/2.
pub async fn accept_tls(
    tcp: TcpStream,
    peer_addr: SocketAddr,
    tls: Arc<ServerConfig>,
    config: &TunnelConfig,
) -> Result<Accepted, TunnelError> {
    let limit = config.connect_timeout;
    let late = TunnelError::HandshakeTimeout { peer: peer_addr, timeout: limit };
    let large = |session: &mut ServerConnection| session.set_buffer_limit(Some(LARGEST_WRITE));
    let shake = TlsAcceptor::from(tls).accept_with(ReadAhead::new(tcp), large);
    let stream = match timeout(limit, shake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(source)) => return Err(TunnelError::Tls { peer: peer_addr, source }),
        Err(_) => return Err(late),
    };
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(ALPN_H2) {
        return Err(TunnelError::Peer { peer: peer_addr, what: "speaks no HTTP/2 (ALPN h2)" });
    }
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let peer = leaf
        .and_then(|leaf| leaf_identity(leaf).ok())
        .ok_or(TunnelError::Peer { peer: peer_addr, what: "shows no identity" })?;
    Ok(Accepted { stream, peer, peer_addr })
}

/// Tells connections to take no new tunnels and to end with their last one.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<bool>);

impl Drain {
    /// A signal, and the sender that raises it with `true`.
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Completes when the drain begins, or its sender is gone.
    pub async fn begun(&mut self) {
        let _ = self.0.wait_for(|draining| *draining).await;
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// A CONNECT that waits for an answer. Dropping it answers nothing and resets the stream.
#[derive(Debug)]
pub struct Incoming {
    head: http::request::Parts,
    recv: RecvStream,
    respond: SendResponse<Bytes>,
}

impl Incoming {
    /// The method; only CONNECT opens a tunnel.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// `:authority`, as the peer wrote it.
    pub fn authority(&self) -> Option<&str> {
        self.head.uri.authority().map(http::uri::Authority::as_str)
    }

    /// Whether it is an ordinary CONNECT (RFC 9113 section 8.5), without `:scheme`, `:path`
    /// or `:protocol`.
    pub fn is_plain_connect(&self) -> bool {
        let uri = &self.head.uri;
        self.head.method == Method::CONNECT
            && uri.scheme().is_none()
            && uri.path_and_query().is_none()
            && self.head.extensions.get::<h2::ext::Protocol>().is_none()
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Answers 200 with `headers`: from here on bytes flow.
    pub fn accept(mut self, headers: HeaderMap) -> Result<Tunnel, StreamError> {
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        let sent = self.respond.send_response(response, false);
        let send = sent.map_err(|e| StreamError::Connection(e.to_string()))?;
        Ok(Tunnel::new(send, self.recv, None))
    }

    /// Answers `status` and ends the stream.
    pub fn refuse(self, status: StatusCode) {
        self.refuse_with(status, HeaderMap::new());
    }

    /// As [`refuse`](Self::refuse), with headers that say why.
    pub fn refuse_with(mut self, status: StatusCode, headers: HeaderMap) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A peer that is gone needs no answer.
        let _ = self.respond.send_response(response, true);
    }
}

/// Runs an accepted connection until it ends: every request becomes an [`Incoming`] and a task
/// of `handler`.
///
/// At most twice `max_streams_accepted` handlers run for one connection: a peer that opens
/// and resets faster than that loses it. After `drain` no new tunnels are taken, and it ends
/// with the last one.
pub async fn serve<S, H, F>(
    stream: S,
    peer_addr: SocketAddr,
    config: &TunnelConfig,
    mut drain: Drain,
    handler: H,
) -> Result<(), TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Incoming) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let failed = |e: h2::Error| TunnelError::Http2 { peer: peer_addr, reason: e.to_string() };
    let limit = config.connect_timeout;
    let turns = Turns::default();
    let stream = WriteBehind::new(stream, turns.clone());
    let mut connection = timeout(limit, builder(config).handshake::<_, Bytes>(stream))
        .await
        .map_err(|_| TunnelError::HandshakeTimeout { peer: peer_addr, timeout: limit })?
        .map_err(failed)?;
    let pings = connection.ping_pong();
    let mut dead = pin!(async {
        match pings {
            Some(pings) => keepalive::until_dead(pings, config).await,
            None => std::future::pending().await,
        }
    });
    let handlers = Arc::new(Semaphore::new(2 * config.max_streams_accepted as usize));
    let mut draining = false;
    loop {
        tokio::select! {
            next = turns.of(|cx| connection.poll_accept(cx)) => match next {
                None => return Ok(()),
                Some(Err(e)) if is_ordinary_end(&e) => return Ok(()),
                Some(Err(e)) => return Err(failed(e)),
                Some(Ok((request, respond))) => {
                    let Ok(permit) = Arc::clone(&handlers).try_acquire_owned() else {
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        continue;
                    };
                    let (head, recv) = request.into_parts();
                    let call = handler(Incoming { head, recv, respond });
                    // Not an async block: that would hold the call twice, as what it
                    // captured and as what it awaits.
                    tokio::spawn(call.map(move |()| drop(permit)));
                }
            },
            () = &mut dead => {
                let what = "does not answer PING";
                return Err(TunnelError::Peer { peer: peer_addr, what });
            }
            () = drain.begun(), if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
        }
    }
}

fn builder(config: &TunnelConfig) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(config.server_window())
        .max_frame_size(config.max_frame)
        .max_header_list_size(64 * 1024)
        .header_table_size(4096)
        .max_concurrent_streams(config.max_streams_accepted)
        .max_send_buffer_size(config.stream_window as usize)
        .data_frame_budget(config.server_window() as usize);
    builder
}

/// A peer that closes its socket without ceremony, as killed programs do.
fn is_ordinary_end(error: &h2::Error) -> bool {
    let gone = [
        std::io::ErrorKind::ConnectionReset,
        std::io::ErrorKind::BrokenPipe,
        std::io::ErrorKind::UnexpectedEof,
        std::io::ErrorKind::NotConnected,
    ];
    error.get_io().is_some_and(|e| gone.contains(&e.kind()))
        || (error.is_go_away() && error.reason() == Some(Reason::NO_ERROR))
}
