//! What an open tunnel and the connection below it cost: a change that makes them grow must
//! say so here. A bound is the size of the day it was set and a tenth.

use std::future::Ready;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::tunnel::client::{Connection, Driven, Driver, drive};
use crate::tunnel::{Drain, Incoming, ReadAhead, Tunnel, TunnelConfig, TunnelError, serve};

/// The handler's tasks are its own.
type Handler = fn(Incoming) -> Ready<()>;
type Stream = TlsStream<ReadAhead<TcpStream>>;
type Pooled = tokio_rustls::client::TlsStream<ReadAhead<TcpStream>>;

/// The bytes of the future that an accepted connection runs in.
fn of<F>(_: impl Fn(Stream, SocketAddr, &'static TunnelConfig, Drain, Handler) -> F) -> usize
where
    F: Future<Output = Result<(), TunnelError>>,
{
    size_of::<F>()
}

/// The bytes of the future that drives a connection of a pool.
fn of_driver<F: Future>(_: impl Fn(Driver<Pooled>, Driven, Arc<TunnelConfig>, fn()) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_tunnel_and_its_connection_have_bounded_sizes() {
    let sizes = [
        ("an accepted connection", of(serve), 7390),
        ("a connection of a pool", size_of::<Connection>(), 114),
        ("the task of a connection of a pool", of_driver(drive), 5640),
        ("a tunnel", size_of::<Tunnel>(), 104),
        ("a CONNECT that waits for its answer", size_of::<Incoming>(), 290),
    ];
    let grown: Vec<_> = sizes.iter().filter(|(_, bytes, bound)| bytes > bound).collect();
    assert!(grown.is_empty(), "what, bytes, bound: {grown:?}");
}
