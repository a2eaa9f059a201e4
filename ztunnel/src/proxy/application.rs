//! Dialling the pod's own program. Only a permit opens the way.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::Failure;
use super::pod::Pod;
use crate::decide::{Inbound, Permit};
use crate::sockets::{Peer, Sockets};

/// Connects to what `permit` allows, showing the client's address as the source.
pub(super) async fn dial(
    pod: &Pod,
    inbound: &Inbound,
    permit: &Permit,
    client: IpAddr,
) -> Result<TcpStream, Failure> {
    let to = inbound.dial(permit, true);
    // From its own address, or over loopback, no address needs to be borrowed.
    let same_family = client.is_ipv4() == to.is_ipv4();
    let borrowed = (same_family && client != to.ip() && !to.ip().is_loopback()).then_some(client);
    connect(pod, to, borrowed, Peer::Application).await
}

/// A plain connection out of the pod, from `from` or the pod's own address.
pub(super) async fn connect(
    pod: &Pod,
    to: SocketAddr,
    from: Option<IpAddr>,
    peer: Peer,
) -> Result<TcpStream, Failure> {
    let after = pod.shared.config.tunnel.connect_timeout;
    match timeout(after, pod.sockets.connect(to, from, peer)).await {
        Ok(connected) => connected.map_err(|source| Failure::Connect { to, source }),
        Err(_) => Err(Failure::ConnectTimeout { to, after }),
    }
}
