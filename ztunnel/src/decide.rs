//! Decisions: pure functions of (snapshot, request, random). No clock, environment, lock or
//! socket inside, so that an explanation, a replay and a test call the code that runs.
//!
//! - [`outbound()`]: where a connection of a local workload goes
//! - [`inbound()`], [`plaintext()`]: what a connection to a local workload asks for
//! - [`authorize()`]: whether it may; only that makes a [`Permit`]

pub use authorize::{Call, Denied, Permit, Rehearsed, authorize, rehearse};
pub use inbound::{Authority, Connect, Inbound, Refused, inbound, plaintext, served_service};
pub use outbound::{Outbound, Plain, Refusal, Request, Resolve, Tunnel, outbound};

mod authorize;
mod gateway;
mod inbound;
mod outbound;

/// The ports on which the proxy itself listens in a pod (docs/wire.md, "Ports"). Nothing may
/// be sent there through the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnPorts {
    /// Whether SOCKS5 is on.
    pub socks5: bool,
}

impl OwnPorts {
    /// Whether `port` is one of the proxy's own.
    pub fn contains(self, port: u16) -> bool {
        matches!(port, 15001 | 15006 | 15008) || (self.socks5 && port == 15080)
    }
}

/// An address as policies, lookups and sockets see it: IPv4-mapped IPv6 becomes IPv4.
fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod fixture;
