//! Addresses that no key set is fetched from: what they lead to is this machine or its links,
//! and answers whoever comes from here (CWE-918). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Services that clouds give to machines at addresses that are no link-local ones.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// Why nothing is fetched from `address`; none if it may be.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return Some("serves a machine's metadata");
    }
    match address {
        IpAddr::V4(address) => refused_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => refused(IpAddr::V4(inner)),
            None => refused_v6(address),
        },
    }
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = address.octets();
    match address {
        _ if address.is_loopback() => Some("is this machine's own"),
        _ if address.is_link_local() => Some("is link-local"),
        _ if address.is_multicast() => Some("is multicast"),
        _ if address.is_broadcast() => Some("is broadcast"),
        _ if first == 0 => Some("is unspecified"),
        _ => None,
    }
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address {
        _ if address.is_loopback() => Some("is this machine's own"),
        _ if address.is_unicast_link_local() => Some("is link-local"),
        _ if address.is_multicast() => Some("is multicast"),
        _ if address.is_unspecified() => Some("is unspecified"),
        _ => None,
    }
}

/// The address of IPv4 that one of IPv6 leads to: NAT64 (RFC 6052), 6to4 (RFC 3056), and the old
/// compatible form (RFC 4291 section 2.5.5.1).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x0064, 0xff9b, .., high, low] | [0x2002, high, low, ..] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
