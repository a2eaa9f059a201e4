//! Why there is no tunnel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use crate::tls::CertificateError;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Our own: configuration, limits.
    Ours,
    /// The peer's, or the network's on the way to it.
    Upstream,
}

/// Opening a tunnel, or accepting a connection that carries tunnels, failed.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// No TCP connection.
    #[error("cannot connect to {peer}")]
    Connect {
        /// The address dialled.
        peer: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer to SYN.
    #[error(
        "no answer from {peer} within {timeout:?}; a NetworkPolicy or firewall may block port {port}",
        port = peer.port()
    )]
    ConnectTimeout {
        /// The address dialled.
        peer: SocketAddr,
        /// How long we waited.
        timeout: Duration,
    },
    /// No TLS session.
    #[error("TLS with {peer} failed")]
    Tls {
        /// The other side.
        peer: SocketAddr,
        /// What was wrong.
        source: io::Error,
    },
    /// The peer stopped talking in the middle of a handshake.
    #[error("{peer} did not finish its handshake within {timeout:?}")]
    HandshakeTimeout {
        /// The other side.
        peer: SocketAddr,
        /// How long we waited.
        timeout: Duration,
    },
    /// Our own certificate cannot be used.
    #[error("our own certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// The peer speaks TLS but shows no certificate of the mesh, or no HTTP/2.
    #[error("{peer} {what}")]
    Peer {
        /// The other side.
        peer: SocketAddr,
        /// What it lacks.
        what: &'static str,
    },
    /// HTTP/2 ended before the tunnel was open.
    #[error("HTTP/2 with {peer} failed before the tunnel was open: {reason}")]
    Http2 {
        /// The other side.
        peer: SocketAddr,
        /// What the carrier says.
        reason: String,
    },
    /// An answer other than 200.
    #[error("{peer} refused the tunnel with status {status}")]
    Refused {
        /// The other side.
        peer: SocketAddr,
        /// Its answer; 401 is a policy (docs/wire.md, "Responses").
        status: StatusCode,
    },
    /// No answer to CONNECT.
    #[error("{peer} did not answer CONNECT within {timeout:?}")]
    Unanswered {
        /// The other side.
        peer: SocketAddr,
        /// How long we waited.
        timeout: Duration,
    },
    /// A limit of the pool.
    #[error("{limit} connections to {peer} are all full (max_connections)")]
    PoolFull {
        /// The other side.
        peer: SocketAddr,
        /// The limit.
        limit: usize,
    },
    /// The target or a header cannot be written as HTTP.
    #[error("{what} {found:?} cannot be sent in a CONNECT request")]
    Request {
        /// Which part.
        what: &'static str,
        /// What it is.
        found: String,
    },
}

impl TunnelError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Certificate(_) | Self::PoolFull { .. } | Self::Request { .. } => Fault::Ours,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Peer { .. }
            | Self::Http2 { .. }
            | Self::Refused { .. }
            | Self::Unanswered { .. } => Fault::Upstream,
        }
    }

    /// Whether another endpoint may be tried. No application byte was sent in any of these
    /// cases, so it is safe; it is of no use where the other endpoint must say the same.
    pub fn retry_elsewhere(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status != StatusCode::UNAUTHORIZED,
            Self::Certificate(_) | Self::Request { .. } => false,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Peer { .. }
            | Self::Http2 { .. }
            | Self::Unanswered { .. }
            | Self::PoolFull { .. } => true,
        }
    }

    /// The whole chain of reasons in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
