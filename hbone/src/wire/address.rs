//! Addresses as workloads, services and policies carry them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::error::WireError;

/// An IP address on a network; the same address may exist on several networks.
///
/// IPv4-mapped IPv6 addresses are kept as IPv4. Displays as `network/address`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkAddress {
    /// The network; the empty name is a network like any other.
    pub network: Arc<str>,
    /// The address, canonical.
    pub address: IpAddr,
}

/// A block of addresses on a network. Displays as `network/address/length`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkBlock {
    /// The network.
    pub network: Arc<str>,
    /// The block, host bits cleared.
    pub block: IpNet,
}

/// A namespaced host name: what a service is keyed by. Displays as `namespace/hostname`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedHostname {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The host name, fully qualified, or a wildcard `*.x`.
    pub hostname: Arc<str>,
}

impl NamespacedHostname {
    /// Reads `namespace/hostname`, split at the first slash; none without a slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, hostname) = text.split_once('/')?;
        Some(Self { namespace: namespace.into(), hostname: hostname.into() })
    }
}

impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.address)
    }
}

impl fmt::Display for NetworkBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.block)
    }
}

impl fmt::Display for NamespacedHostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.hostname)
    }
}

/// Reads an address of 4 or 16 bytes; an IPv4-mapped one becomes IPv4.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    raw_ip(bytes).map(|ip| ip.to_canonical())
}

fn raw_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// What is wrong with the bytes of an address or the length of its prefix.
pub(crate) enum BlockFault {
    Address(usize),
    Prefix(u32, u8),
}

/// Reads an address and its prefix length (none: a host) as a canonical block.
pub(crate) fn block(bytes: &[u8], length: Option<u32>) -> Result<IpNet, BlockFault> {
    let address = raw_ip(bytes).ok_or(BlockFault::Address(bytes.len()))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(u32::from(most));
    let fits = u8::try_from(length).ok().and_then(|length| IpNet::new(address, length).ok());
    let block = fits.ok_or(BlockFault::Prefix(length, most))?;
    Ok(crate::matching::canonical_block(block))
}

impl BlockFault {
    /// The error that names where the fault is.
    pub(crate) fn at(self, object: &str, field: &'static str) -> WireError {
        let object = object.to_owned();
        match self {
            Self::Address(length) => WireError::AddressLength { object, field, length },
            Self::Prefix(length, most) => WireError::PrefixLength { object, field, length, most },
        }
    }
}
