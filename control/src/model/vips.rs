//! Addresses that hosts of ServiceEntries were given: who has which, and which is free.
//!
//! An address is from 240.240.0.0/16 or 2001:2::/48, which no network routes (RFC 1112 section
//! 4, RFC 5180 section 8). A host has one of each family, with the same number in it. Who
//! decides keeps it: the state directory, or the API server in the status of the object.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{Given, ServiceEntry};
use super::object::Key;
use crate::limits::MAX_GIVEN_ADDRESSES;
use crate::state::digest;

/// A host of an entry.
type Claimant = (Key, String);

/// Who has which address.
#[derive(Debug, Default)]
pub struct Vips {
    given: BTreeMap<Key, Given>,
    claims: BTreeMap<IpAddr, BTreeSet<Claimant>>,
    /// Addresses that an author wrote, and how many did.
    written: BTreeMap<IpAddr, usize>,
}

impl Vips {
    /// Notes what the hosts of an entry were given, in place of what they had.
    pub fn set(&mut self, entry: &Key, given: Given) {
        let old = self.given.remove(entry).unwrap_or_default();
        for (host, ip) in pairs(&old) {
            let Some(claims) = self.claims.get_mut(&ip) else { continue };
            claims.remove(&(entry.clone(), host.clone()));
            if claims.is_empty() {
                self.claims.remove(&ip);
            }
        }
        for (host, ip) in pairs(&given) {
            self.claims.entry(ip).or_default().insert((entry.clone(), host.clone()));
        }
        if !given.is_empty() {
            self.given.insert(entry.clone(), given);
        }
    }

    /// Notes that an author wrote an address, or took it back.
    pub(super) fn write(&mut self, ip: IpAddr, there: bool) {
        let count = self.written.entry(ip).or_default();
        *count = if there { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.written.remove(&ip);
        }
    }

    /// The addresses of a host that nobody else has: of two that claim one, the first by name
    /// has it, and an author who wrote it before both.
    pub fn of(&self, entry: &Key, host: &str) -> Vec<IpAddr> {
        let all = self.given.get(entry).and_then(|given| given.get(host));
        let own = all.into_iter().flatten().filter(|ip| !self.is_taken(ip, entry, host));
        own.copied().collect()
    }

    /// What the hosts of an entry were given, also where another has it.
    pub fn given(&self, entry: &Key) -> Option<&Given> {
        self.given.get(entry)
    }

    /// Every entry that was given something.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Given)> {
        self.given.iter()
    }

    /// Addresses that are given.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Whether somebody else has an address before that host.
    pub fn is_taken(&self, ip: &IpAddr, entry: &Key, host: &str) -> bool {
        let first = self.claims.get(ip).and_then(BTreeSet::first);
        let others = first.is_some_and(|(key, name)| (key, name.as_str()) != (entry, host));
        others || self.written.contains_key(ip)
    }

    /// Entries whose hosts claim one of `addresses`: whether they have it depends on the others.
    pub fn claimants<'a>(
        &'a self,
        addresses: impl IntoIterator<Item = IpAddr> + 'a,
    ) -> impl Iterator<Item = &'a Claimant> {
        addresses.into_iter().flat_map(|ip| self.claims.get(&ip).into_iter().flatten())
    }

    /// What the hosts of `entry` shall have: what they have, and something free for those that
    /// have nothing. Whatever `reserved` says is not free. Hosts for which nothing is left come
    /// second.
    pub fn allot(
        &self,
        entry: &ServiceEntry,
        reserved: impl Fn(&IpAddr) -> bool,
    ) -> (Given, Vec<String>) {
        let key = &entry.meta.key;
        let (mut given, mut without) = (Given::new(), Vec::new());
        let mut own = BTreeSet::new();
        for host in entry.wants_addresses() {
            let has = self.of(key, host);
            let free =
                |ip: &IpAddr| !own.contains(ip) && !reserved(ip) && !self.is_taken(ip, key, host);
            let has = if has.is_empty() { choose(key, host, free) } else { Some(has) };
            match has {
                Some(addresses) => {
                    own.extend(addresses.iter().copied());
                    given.insert(host.clone(), addresses);
                }
                None => without.push(host.clone()),
            }
        }
        (given, without)
    }
}

fn pairs(given: &Given) -> impl Iterator<Item = (&String, IpAddr)> {
    given.iter().flat_map(|(host, all)| all.iter().map(move |ip| (host, *ip)))
}

/// The first free pair of addresses, beginning at a place that follows from the name: the same
/// hosts get the same addresses, whoever gives them.
fn choose(entry: &Key, host: &str, free: impl Fn(&IpAddr) -> bool) -> Option<Vec<IpAddr>> {
    let hash = digest::short(format!("{entry}/{host}").as_bytes());
    let start = u64::from_str_radix(&hash, 16).unwrap_or_default() % MAX_GIVEN_ADDRESSES;
    let numbers = (0..MAX_GIVEN_ADDRESSES).map(|n| 1 + (start + n) % MAX_GIVEN_ADDRESSES);
    numbers.map(pair).find(|pair| pair.iter().all(&free)).map(Vec::from)
}

/// The addresses of a number.
fn pair(number: u64) -> [IpAddr; 2] {
    let number = number as u16;
    let [high, low] = number.to_be_bytes();
    let v6 = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, number);
    [Ipv4Addr::new(240, 240, high, low).into(), v6.into()]
}

/// Whether an address is one of those that are given.
pub fn is_ours(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets().starts_with(&[240, 240]),
        IpAddr::V6(ip) => ip.segments().starts_with(&[0x2001, 2, 0]),
    }
}

#[cfg(test)]
mod tests;
