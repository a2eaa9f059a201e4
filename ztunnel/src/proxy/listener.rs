//! Takes connections, within the pod's limits.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone::telemetry::Reporter;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use super::pod::Pod;
use crate::record::OpenSocket;
use crate::sockets::canonical;

/// How long accepting pauses when descriptors or memory ran out.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that was taken: its socket, and its place in the pod's account.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) stream: TcpStream,
    /// The client's address, IPv4 as IPv4.
    pub(super) peer: SocketAddr,
    /// Given back when the connection is over.
    pub(super) place: Place,
}

/// A connection's share of its pod's limit.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _socket: OpenSocket,
}

/// Accepts until the pod drains or ends; each connection is a task of `serve`.
pub(super) async fn accept<F>(
    pod: Arc<Pod>,
    listener: TcpListener,
    reporter: Reporter,
    serve: impl Fn(Arc<Pod>, Taken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut drain = pod.drain();
    loop {
        let accepted = tokio::select! {
            () = drain.begun() => return,
            () = pod.killed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(taken) = take(&pod, stream, peer, reporter) {
                    let served = serve(Arc::clone(&pod), taken);
                    pod.tasks.spawn_on(served, &pod.shared.data);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(pod = %pod.name, %error, "cannot accept; pausing");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn take(pod: &Arc<Pod>, stream: TcpStream, peer: SocketAddr, reporter: Reporter) -> Option<Taken> {
    let Ok(permit) = Arc::clone(&pod.connections).try_acquire_owned() else {
        pod.limit_reached();
        refuse(&stream);
        return None;
    };
    let place = Place { _permit: permit, _socket: pod.shared.metrics.socket(reporter) };
    Some(Taken { stream, peer: canonical(peer), place })
}

/// Makes the socket's end a reset: the client must not take it for an orderly close.
pub(super) fn refuse(stream: &TcpStream) {
    // It can only fail on a socket that is no more.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Errors that accept(2) reports for a connection and not for the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkUnreachable, PermissionDenied,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkUnreachable
            | PermissionDenied
    )
}
