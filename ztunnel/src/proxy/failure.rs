//! Why a connection failed, and what metrics call it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone::relay::{Ended, RelayError};
use hbone::telemetry::ResponseFlag;
use hbone::tunnel::{HBONE_PORT, TunnelError};

use super::handshakes::TooMany;
use crate::cert::CertError;
use crate::decide::{Denied, Refusal};
use crate::record::Outcome;

/// A connection that came to nothing, or broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no way that we may take.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// A policy.
    #[error("connection refused by policy: {0}")]
    Denied(#[from] Denied),
    /// A policy that came after the connection.
    #[error("connection closed due to policy change: {0}")]
    Revoked(#[source] Denied),
    /// No certificate of our own.
    #[error("no certificate for the source workload")]
    Certificate(#[source] CertError),
    /// The client has its share of handshakes already.
    #[error(transparent)]
    Handshakes(#[from] TooMany),
    /// No tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// No plain connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// What was dialled.
        to: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer to SYN.
    #[error("no answer from {to} within {after:?}")]
    ConnectTimeout {
        /// What was dialled.
        to: SocketAddr,
        /// How long we waited.
        after: Duration,
    },
    /// It was open, and broke.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl Failure {
    fn flag(&self) -> ResponseFlag {
        match self {
            Self::Denied(_) | Self::Revoked(_) => ResponseFlag::Deny,
            Self::Certificate(_) => ResponseFlag::IdentityError,
            Self::Tunnel(error) => tunnel_flag(error),
            Self::Refusal(_)
            | Self::Handshakes(_)
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Relay(_) => ResponseFlag::Connect,
        }
    }

    fn policy(&self) -> Option<Arc<str>> {
        match self {
            Self::Denied(Denied::Policy(policy)) | Self::Revoked(Denied::Policy(policy)) => {
                Some(Arc::clone(policy))
            }
            _ => None,
        }
    }

    /// The whole chain of reasons in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let more = error.to_string();
            // A transparent wrapper says what its source says.
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            source = error.source();
        }
        text
    }

    /// As the record of the connection has it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Relay(error) if error.is_ordinary() => Outcome::Ended,
            _ => Outcome::Failed { flag: self.flag(), error: self.chain(), policy: self.policy() },
        }
    }
}

fn tunnel_flag(error: &TunnelError) -> ResponseFlag {
    match error {
        TunnelError::ConnectTimeout { peer, .. } if peer.port() == HBONE_PORT => {
            ResponseFlag::NetworkPolicy
        }
        TunnelError::Tls { .. } | TunnelError::Peer { .. } => ResponseFlag::TlsFailure,
        TunnelError::Http2 { .. } | TunnelError::HandshakeTimeout { .. } => {
            ResponseFlag::H2HandshakeFailure
        }
        TunnelError::Certificate(_) => ResponseFlag::IdentityError,
        TunnelError::Connect { .. }
        | TunnelError::ConnectTimeout { .. }
        | TunnelError::Refused { .. }
        | TunnelError::Unanswered { .. }
        | TunnelError::PoolFull { .. }
        | TunnelError::Request { .. } => ResponseFlag::Connect,
    }
}

/// How a relay ended, for the record; `revoked` is why it was stopped, if a policy did it.
pub(super) fn outcome_of(ended: Result<Ended, RelayError>, revoked: Option<Denied>) -> Outcome {
    match (ended, revoked) {
        (Ok(Ended::Finished | Ended::Unwanted), _) => Outcome::Ended,
        (Ok(Ended::Stopped), Some(denied)) => Failure::Revoked(denied).outcome(),
        (Ok(Ended::Stopped), None) => Outcome::Drained,
        (Err(error), _) => Failure::from(error).outcome(),
    }
}
