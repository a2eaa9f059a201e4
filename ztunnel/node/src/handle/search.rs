//! Finding a running pod's network namespace through `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hbone::netns::{Netns, NetnsId};
use nix::ifaddrs::getifaddrs;

use super::Place;
use super::open::open;

/// Most processes that one search looks at.
const MAX_PROCESSES: usize = 65_536;

/// The oldest process of a namespace: when it started, in clock ticks since boot, and its
/// number.
type Oldest = (u64, u32);

/// The namespace that holds one of `ips` on an interface, `skip` (the node's, and those known
/// to be of other pods) excepted. Where several do, the one with the oldest process.
///
/// Blocks: it reads `/proc` and enters each unknown namespace once.
pub fn search(ips: &[IpAddr], skip: &BTreeSet<NetnsId>) -> io::Result<Option<Place>> {
    let mut found: Vec<(Oldest, NetnsId)> =
        namespaces()?.into_iter().map(|(id, oldest)| (oldest, id)).collect();
    found.sort_unstable();
    let skipped: Vec<NetnsId> = skip.iter().copied().collect();
    for ((_, pid), id) in found.into_iter().filter(|(_, id)| !skip.contains(id)) {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        // The process may end or move between the two looks.
        let Ok(place) = open(&path, &skipped) else { continue };
        if place.netns.id() == id && holds(&place.netns, ips) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Whether one of `ips` is on an interface of the namespace.
pub fn holds(netns: &Netns, ips: &[IpAddr]) -> bool {
    let addresses = netns.run(|| getifaddrs().map(Iterator::collect::<Vec<_>>));
    let Ok(Ok(addresses)) = addresses else { return false };
    let mut present = addresses.iter().filter_map(|interface| {
        let address = interface.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    present.any(|ip| ips.contains(&ip))
}

fn namespaces() -> io::Result<BTreeMap<NetnsId, Oldest>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")?.take(MAX_PROCESSES).flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Processes end while we look.
        let Ok(meta) = std::fs::metadata(entry.path().join("ns/net")) else { continue };
        let Some(started) = started(pid) else { continue };
        let id = NetnsId { dev: meta.dev(), inode: meta.ino() };
        let oldest = found.entry(id).or_insert((started, pid));
        *oldest = (*oldest).min((started, pid));
    }
    Ok(found)
}

/// When a process started, in clock ticks since boot; none once it has ended, also while
/// nobody has asked for its status. Field 22 of proc_pid_stat; the name before it may hold
/// spaces and parentheses.
pub(crate) fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    if matches!(after_name.trim_start().chars().next(), Some('Z' | 'X')) {
        return None;
    }
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}
