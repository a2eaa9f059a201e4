//! On which nodes the instances of a waypoint run, and with which addresses.
//!
//! Pure. A node takes instances if its annotation [`brand::WAYPOINT_ADDRESSES`] gives
//! addresses for them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hbone::brand;
use ipnet::IpNet;

use crate::model::object::{Key, Node};
use crate::state::digest;

/// Addresses of a block that are tried; a larger block serves with its first ones.
pub const MAX_ADDRESSES: usize = 4_096;

/// The blocks of a node, or the part of its annotation that is none.
///
/// # Errors
/// That part.
pub fn blocks(node: &Node) -> Result<Vec<IpNet>, String> {
    let text = node.meta.annotation(brand::WAYPOINT_ADDRESSES).unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| part.chars().take(120).collect())).collect()
}

/// Free addresses for an instance of `gateway` on `node`: one of each family that the node
/// gives. Where the search begins follows from the names, so that addresses that were just
/// given back are rarely given again.
pub fn addresses(node: &Node, gateway: &Key, taken: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
    let blocks = blocks(node).unwrap_or_default();
    let seed = weight(&node.meta.key.name, gateway);
    let of = |v4: bool| blocks.iter().filter(move |block| block.addr().is_ipv4() == v4);
    let free = |v4| of(v4).find_map(|block| free_in(block, seed, taken));
    [free(true), free(false)].into_iter().flatten().collect()
}

fn free_in(block: &IpNet, seed: u64, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    // The network's own address is no host's in IPv6 either (RFC 4291, 2.6.1).
    let is_host = |ip: &IpAddr| ip.is_ipv4() || block.prefix_len() >= 127 || *ip != block.network();
    let hosts = block.hosts().filter(is_host);
    let hosts: Vec<IpAddr> = hosts.take(MAX_ADDRESSES).collect();
    let count = u64::try_from(hosts.len()).ok().filter(|count| *count > 0)?;
    let start = usize::try_from(seed % count).unwrap_or_default();
    let (before, after) = hosts.split_at(start);
    after.iter().chain(before).find(|ip| !taken.contains(ip)).copied()
}

/// Up to `count` of `nodes`: those in `kept` first, then by highest weight, so that another
/// node moves no instance that runs.
pub fn choose<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    gateway: &Key,
    kept: &BTreeSet<String>,
    count: usize,
) -> Vec<&'a Node> {
    let mut nodes: Vec<&Node> = nodes.collect();
    nodes.sort_by_cached_key(|node| {
        let name = &node.meta.key.name;
        (!kept.contains(name), u64::MAX - weight(name, gateway), name.clone())
    });
    nodes.truncate(count);
    nodes
}

/// A number that spreads pairs evenly, the same at each start.
fn weight(node: &str, gateway: &Key) -> u64 {
    let text = digest::short(format!("{node} {gateway}").as_bytes());
    u64::from_str_radix(&text, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests;
