//! Which services have an address: as it is, or in a block around it.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use hbone::wire::workload::Service;
use ipnet::IpNet;
use rpds::HashTrieMapSync;

/// Several services of one address, by key.
type Buckets<K> = HashTrieMapSync<K, Arc<Vec<Arc<Service>>>>;

/// Addresses and blocks of services. A clone shares what does not change.
#[derive(Clone, Debug, Default)]
pub(super) struct Vips {
    exact: Buckets<IpAddr>,
    blocks: Buckets<IpNet>,
    /// Lengths of the blocks that there are, by family, and how many have each.
    lengths: Arc<BTreeMap<(bool, u8), usize>>,
}

impl Vips {
    /// Adds the addresses of a service.
    pub(super) fn insert(&mut self, service: &Arc<Service>) {
        for vip in &service.vips {
            put(&mut self.exact, vip.address, service);
        }
        for block in &service.blocks {
            if put(&mut self.blocks, block.block, service) {
                *Arc::make_mut(&mut self.lengths).entry(length(&block.block)).or_default() += 1;
            }
        }
    }

    /// Takes the addresses of a service away.
    pub(super) fn remove(&mut self, service: &Service) {
        for vip in &service.vips {
            take(&mut self.exact, &vip.address, service);
        }
        for block in &service.blocks {
            if !take(&mut self.blocks, &block.block, service) {
                continue;
            }
            let lengths = Arc::make_mut(&mut self.lengths);
            if let Some(count) = lengths.get_mut(&length(&block.block)) {
                *count = count.saturating_sub(1);
            }
            lengths.retain(|_, count| *count > 0);
        }
    }

    /// The services with `ip`: those that have it as it is, else those of the longest block.
    pub(super) fn at(&self, ip: IpAddr) -> &[Arc<Service>] {
        if let Some(exact) = self.exact.get(&ip) {
            return exact;
        }
        let v6 = ip.is_ipv6();
        let lengths = self.lengths.range((v6, 0)..=(v6, u8::MAX)).rev();
        let mut around = lengths.filter_map(|((_, length), _)| {
            let block = IpNet::new(ip, *length).ok()?.trunc();
            self.blocks.get(&block).map(|services| services.as_slice())
        });
        around.next().unwrap_or_default()
    }
}

fn length(block: &IpNet) -> (bool, u8) {
    (block.addr().is_ipv6(), block.prefix_len())
}

/// Adds a service; whether it was not there.
fn put<K: Clone + Eq + Hash>(buckets: &mut Buckets<K>, key: K, service: &Arc<Service>) -> bool {
    let Some(bucket) = buckets.get_mut(&key) else {
        buckets.insert_mut(key, Arc::new(vec![Arc::clone(service)]));
        return true;
    };
    let bucket = Arc::make_mut(bucket);
    match bucket.binary_search_by(|other| other.key.cmp(&service.key)) {
        Ok(_) => false,
        Err(at) => {
            bucket.insert(at, Arc::clone(service));
            true
        }
    }
}

/// Takes a service away; whether it was there.
fn take<K: Clone + Eq + Hash>(buckets: &mut Buckets<K>, key: &K, service: &Service) -> bool {
    let Some(bucket) = buckets.get_mut(key) else { return false };
    let bucket = Arc::make_mut(bucket);
    let found = bucket.binary_search_by(|other| other.key.cmp(&service.key));
    if let Ok(at) = found {
        bucket.remove(at);
    }
    if bucket.is_empty() {
        buckets.remove_mut(key);
    }
    found.is_ok()
}

#[cfg(test)]
mod tests;
