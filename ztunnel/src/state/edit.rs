//! Adding and removing workloads and services, with every index.

use std::sync::Arc;

use hbone::wire::address::{NamespacedHostname, NetworkAddress, NetworkBlock};
use hbone::wire::workload::{NetworkMode, Service, Workload};

use super::Touched;
use super::index::{Sorted, put, take};
use super::snapshot::Snapshot;

impl Snapshot {
    /// Adds a workload, or its new version. A service that it names need not be known yet.
    pub(super) fn put_workload(&mut self, new: &Arc<Workload>, touched: &mut Touched) {
        let old = self.workloads.get(&new.uid).cloned();
        if old.as_ref() == Some(new) {
            return;
        }
        if let Some(old) = &old {
            self.unindex_workload(old);
        }
        self.index_workload(new);
        self.workloads.insert_mut(Arc::clone(&new.uid), Arc::clone(new));
        self.note(old.as_deref(), Some(new), touched);
    }

    /// Removes by name: a workload of that uid, or else the service of that
    /// `namespace/hostname`. What never existed is ignored.
    pub(super) fn remove_address(&mut self, name: &str, touched: &mut Touched) {
        if let Some(old) = self.workloads.get(name).cloned() {
            self.unindex_workload(&old);
            self.workloads.remove_mut(name);
            self.note(Some(&old), None, touched);
        } else if let Some(key) = NamespacedHostname::parse(name) {
            self.remove_service(&key);
        }
    }

    /// Adds a service, or its new version.
    pub(super) fn put_service(&mut self, new: &Arc<Service>) {
        if self.services.get(&new.key) == Some(new) {
            return;
        }
        self.remove_service(&new.key);
        for vip in &new.vips {
            put(&mut self.vips, vip.clone(), new);
        }
        for block in &new.blocks {
            put(&mut self.blocks, block.clone(), new);
            self.count_block(block, true);
        }
        put(&mut self.hosts, Arc::clone(&new.key.hostname), new);
        self.services.insert_mut(new.key.clone(), Arc::clone(new));
    }

    fn remove_service(&mut self, key: &NamespacedHostname) {
        let Some(old) = self.services.get(key).cloned() else { return };
        for vip in &old.vips {
            take(&mut self.vips, vip, &old);
        }
        for block in &old.blocks {
            take(&mut self.blocks, block, &old);
            self.count_block(block, false);
        }
        take(&mut self.hosts, &key.hostname, &old);
        self.services.remove_mut(key);
    }

    fn index_workload(&mut self, new: &Arc<Workload>) {
        for address in indexed_addresses(new) {
            put(&mut self.by_address, address, new);
        }
        if let Some(name) = hostname(new) {
            put(&mut self.by_hostname, name, new);
        }
        for member in &new.services {
            let (uid, workload) = (Arc::clone(&new.uid), Arc::clone(new));
            if let Some(members) = self.members.get_mut(&member.service) {
                members.insert_mut(uid, workload);
            } else {
                let members = Sorted::new_sync().insert(uid, workload);
                self.members.insert_mut(member.service.clone(), members);
            }
        }
        if self.is_local(new) {
            self.put_local(new);
        }
    }

    fn unindex_workload(&mut self, old: &Arc<Workload>) {
        for address in indexed_addresses(old) {
            take(&mut self.by_address, &address, old);
        }
        if let Some(name) = hostname(old) {
            take(&mut self.by_hostname, &name, old);
        }
        for member in &old.services {
            if let Some(members) = self.members.get_mut(&member.service) {
                members.remove_mut(&old.uid);
                if members.is_empty() {
                    self.members.remove_mut(&member.service);
                }
            }
        }
        if self.is_local(old) {
            self.take_local(old);
        }
    }

    /// Keeps the count of block lengths in use.
    fn count_block(&mut self, block: &NetworkBlock, add: bool) {
        let lengths = Arc::make_mut(&mut self.block_lengths);
        let key = (block.block.addr().is_ipv6(), block.block.prefix_len());
        let count = lengths.entry(key).or_default();
        *count = if add { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            lengths.remove(&key);
        }
    }

    /// Tells what a change of a workload means for those who wait.
    fn note(&self, old: Option<&Workload>, new: Option<&Workload>, touched: &mut Touched) {
        let local = |w: &&Workload| self.is_local(w);
        let (old, new) = (old.filter(local), new.filter(local));
        match (old, new) {
            (None, None) => {}
            (Some(old), Some(new)) => {
                let moved = old.namespace != new.namespace;
                touched.policies |= moved || old.policies != new.policies;
                touched.local |= moved || old.name != new.name || old.identity != new.identity;
            }
            (Some(_), None) | (None, Some(_)) => {
                touched.policies = true;
                touched.local = true;
            }
        }
    }
}

/// The addresses that name this workload. One that shares its node's has none.
fn indexed_addresses(workload: &Workload) -> impl Iterator<Item = NetworkAddress> {
    let own = workload.network_mode != NetworkMode::HostNetwork;
    let addresses = workload.addresses.iter().filter(move |_| own);
    addresses
        .map(|address| NetworkAddress { network: Arc::clone(&workload.network), address: *address })
}

fn hostname(workload: &Workload) -> Option<NamespacedHostname> {
    (!workload.hostname.is_empty()).then(|| NamespacedHostname {
        namespace: Arc::clone(&workload.namespace),
        hostname: Arc::clone(&workload.hostname),
    })
}
