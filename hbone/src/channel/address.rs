//! The address of a control plane server as a user writes it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `https://host:port` of a control plane server. Plain http is no choice: the state of a
/// mesh is not taken from a server that proved nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    host: String,
    port: u16,
}

/// Why a text is no address of a control plane server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Any scheme but https.
    #[error("{0:?} is not https; write https://host:port")]
    Scheme(String),
    /// No host, no valid port, or more than a host and a port.
    #[error("{0:?} is no server address; write https://host:port")]
    Form(String),
}

impl ServerUrl {
    /// Port of discovery and certificate authority (docs/wire.md, "Discovery").
    pub const DEFAULT_PORT: u16 = 15012;

    /// The name or IP address that the server's certificate must bear.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl FromStr for ServerUrl {
    type Err = AddressError;

    /// Reads `https://host:port`; a missing scheme means https, a missing port 15012.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let form = || AddressError::Form(text.to_owned());
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some(_) => return Err(AddressError::Scheme(text.to_owned())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split(authority).ok_or_else(form)?;
        let name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let fits = host.parse::<Ipv6Addr>().is_ok() || host.bytes().all(name);
        if host.is_empty() || !fits {
            return Err(form());
        }
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        return Some((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}
