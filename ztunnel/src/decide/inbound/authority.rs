//! The `:authority` of a CONNECT (docs/wire.md, "CONNECT request").

use std::fmt;
use std::net::SocketAddr;

use super::Refused;

/// Longest authority that is read: a DNS name, a colon and a port.
const MAX_AUTHORITY: usize = 260;

/// What a CONNECT asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// An address.
    Address(SocketAddr),
    /// A host name.
    Host {
        /// The name, in lower case.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Reads a socket address, or a host and port split at the last colon.
pub(super) fn parse(authority: Option<&str>) -> Result<Authority, Refused> {
    let text = authority.unwrap_or_default();
    let wrong = || Refused::Authority(text.chars().take(MAX_AUTHORITY).collect());
    if let Ok(address) = text.parse() {
        return Ok(Authority::Address(address));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || text.len() > MAX_AUTHORITY || !host.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(Authority::Host { host: host.to_ascii_lowercase(), port })
}
