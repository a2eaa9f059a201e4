//! Every socket inside a pod's network namespace, opened from our own process
//! (docs/wire.md, "Sockets in a pod").
//!
//! One trait, so that a broker that alone holds the privilege can stand in for it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use hbone::tunnel::Dial;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that wait in the kernel until we accept them. The reference has 128, too few
/// for a burst of a thousand callers on two busy cores.
const BACKLOG: i32 = 1024;

/// A socket that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// Who is at the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program in the pod, or behind one of its virtual interfaces: nothing is gained by
    /// pacing what is sent to it.
    Application,
    /// Anybody, over the network.
    Remote,
}

/// Opens sockets in one pod's namespace.
pub trait Sockets: Send + Sync + 'static {
    /// Listens on `port` of the wildcard address, both families where the pod has them.
    fn listen(&self, port: u16, peers: Peer) -> io::Result<TcpListener>;

    /// Connects to `to`; with `from`, the connection shows that address as its source,
    /// whether or not the pod has it. The caller bounds the time.
    fn connect(&self, to: SocketAddr, from: Option<IpAddr>, peer: Peer) -> Opening<'_>;
}

/// Opens them by entering the namespace with the calling thread.
#[derive(Debug)]
pub struct InPod {
    pod: Arc<Netns>,
    home: Arc<Netns>,
    options: SocketOptions,
}

/// What is set on each socket.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// `SO_MARK` that tells our packets from the application's. `PACKET_MARK`, default 1337.
    pub mark: u32,
    /// Whether listeners take IPv6. `IPV6_ENABLED`, default true.
    pub ipv6: bool,
    /// Keepalive of data sockets: `KEEPALIVE_ENABLED`, `_TIME`, `_INTERVAL`, `_RETRIES`;
    /// defaults 180 s, 180 s, 9.
    pub keepalive: Option<TcpKeepalive>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_mins(3))
            .with_interval(Duration::from_mins(3))
            .with_retries(9);
        Self { mark: 1337, ipv6: true, keepalive: Some(keepalive) }
    }
}

impl InPod {
    /// Sockets in `pod`; `home` is the namespace of our own threads.
    pub fn new(pod: Arc<Netns>, home: Arc<Netns>, options: SocketOptions) -> Self {
        Self { pod, home, options }
    }

    /// A marked socket inside the pod. Creating it is all that happens there.
    fn socket(&self, domain: Domain) -> io::Result<Socket> {
        let make = || Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP));
        let socket = self.pod.run_from(&self.home, make)??;
        socket.set_mark(self.options.mark)?;
        Ok(socket)
    }

    fn bound(&self, port: u16) -> io::Result<Socket> {
        let any: IpAddr = if self.options.ipv6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let address = SocketAddr::new(any, port);
        let socket = self.socket(Domain::for_address(address))?;
        if self.options.ipv6 {
            socket.set_only_v6(false)?;
        }
        // A successor listens at once beside us, and after a crash nothing is in the way.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        transparent(&socket, address.is_ipv6());
        socket.bind(&address.into())?;
        Ok(socket)
    }

    fn keep_alive(&self, socket: &Socket) -> io::Result<()> {
        self.options.keepalive.as_ref().map_or(Ok(()), |how| socket.set_tcp_keepalive(how))
    }

    fn outgoing(&self, to: SocketAddr, from: Option<IpAddr>, peer: Peer) -> io::Result<TcpSocket> {
        let socket = self.socket(Domain::for_address(to))?;
        data_options(&socket, peer)?;
        // Dialled over loopback, a program cannot vanish unnoticed.
        if peer == Peer::Remote {
            self.keep_alive(&socket)?;
        }
        if let Some(from) = from {
            spoof(&socket, from)?;
        }
        Ok(TcpSocket::from_std_stream(socket.into()))
    }
}

impl Sockets for InPod {
    fn listen(&self, port: u16, peers: Peer) -> io::Result<TcpListener> {
        let socket = match self.bound(port) {
            // A pod without IPv6.
            Err(e) if self.options.ipv6 && is_no_ipv6(&e) => {
                let options = SocketOptions { ipv6: false, ..self.options.clone() };
                let v4 = Self { pod: Arc::clone(&self.pod), home: Arc::clone(&self.home), options };
                v4.bound(port)?
            }
            other => other?,
        };
        // Accepted sockets inherit them.
        data_options(&socket, peers)?;
        self.keep_alive(&socket)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    fn connect(&self, to: SocketAddr, from: Option<IpAddr>, peer: Peer) -> Opening<'_> {
        let socket = self.outgoing(to, from, peer);
        Box::pin(async move { socket?.connect(to).await })
    }
}

/// The way of a pod's tunnels to their peers.
impl Dial for InPod {
    fn dial(&self, to: SocketAddr) -> Opening<'_> {
        self.connect(to, None, Peer::Remote)
    }
}

/// Congestion control without pacing, in every kernel: a node's choice, such as BBR, is for
/// networks and costs a timer per burst.
const LOOPBACK_CONGESTION: &[u8] = b"reno";

/// Options of a socket that carries data, and of a listener for those that it accepts.
fn data_options(socket: &Socket, peer: Peer) -> io::Result<()> {
    if peer == Peer::Application {
        // It only saves time.
        let _ = socket.set_tcp_congestion(LOOPBACK_CONGESTION);
    }
    socket.set_tcp_nodelay(true)
}

/// Where a redirected connection was going; its local address if nothing redirected it.
pub fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = canonical(stream.local_addr()?);
    let socket = SockRef::from(stream);
    let found = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    match found {
        Ok(address) => Ok(address.as_socket().map_or(local, canonical)),
        // No entry in connection tracking: it was dialled as it is.
        Err(_) => Ok(local),
    }
}

/// An IPv4 address in IPv6 clothes becomes an IPv4 address.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Lets a listener answer for addresses that are not the pod's. Best effort: without it only
/// the source address of inbound connections is lost.
fn transparent(socket: &Socket, v6: bool) {
    let v4 = socket.set_ip_transparent_v4(true);
    let v6 = if v6 { socket.set_ip_transparent_v6(true) } else { Ok(()) };
    if let Err(error) = v4.and(v6) {
        tracing::debug!(%error, "listener is not transparent");
    }
}

/// Binds to an address that need not be the pod's own.
fn spoof(socket: &Socket, from: IpAddr) -> io::Result<()> {
    match from {
        IpAddr::V4(_) => {
            socket.set_ip_transparent_v4(true)?;
            socket.set_freebind_v4(true)?;
        }
        IpAddr::V6(_) => {
            socket.set_ip_transparent_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    // The port is chosen at connect, per destination: binding one here would use up the
    // range of ephemeral ports after 28,000 connections.
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(from, 0).into())
}

fn is_no_ipv6(error: &io::Error) -> bool {
    let codes = [nix::Error::EAFNOSUPPORT, nix::Error::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| codes.contains(&nix::Error::from_raw(code)))
}

#[cfg(test)]
mod tests;
