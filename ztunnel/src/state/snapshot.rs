//! One consistent state, immutable for its readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::wire::address::{NamespacedHostname, NetworkAddress, NetworkBlock};
use hbone::wire::authorization::Authorization;
use hbone::wire::workload::{Service, Workload};

use super::index::{Buckets, Map, Sorted};
use super::local::PodName;

/// Where this proxy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its node: `NODE_NAME`.
    pub node: Arc<str>,
    /// Its network: `NETWORK`; empty is a network like any other.
    pub network: Arc<str>,
    /// Its cluster: `CLUSTER_ID`.
    pub cluster: Arc<str>,
}

/// The endpoints of a service by uid; the service itself need not be known yet.
pub(crate) type Members = Sorted<Arc<str>, Arc<Workload>>;
/// Policies by `namespace/name`.
pub(crate) type Policies = Sorted<Arc<str>, Arc<Authorization>>;

/// The state of the mesh at one moment. Cloning it shares everything.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) place: Arc<Place>,
    pub(crate) workloads: Map<Arc<str>, Arc<Workload>>,
    pub(crate) by_address: Buckets<NetworkAddress, Workload>,
    pub(crate) by_hostname: Buckets<NamespacedHostname, Workload>,
    pub(crate) services: Map<NamespacedHostname, Arc<Service>>,
    pub(crate) vips: Buckets<NetworkAddress, Service>,
    pub(crate) blocks: Buckets<NetworkBlock, Service>,
    /// How many entries of `blocks` have each family (IPv6?) and prefix length: the lengths to
    /// try in a lookup. At most 162 keys.
    pub(crate) block_lengths: Arc<BTreeMap<(bool, u8), usize>>,
    pub(crate) hosts: Buckets<Arc<str>, Service>,
    pub(crate) members: Map<NamespacedHostname, Members>,
    pub(crate) policies: Map<Arc<str>, Arc<Authorization>>,
    pub(crate) global: Policies,
    pub(crate) by_namespace: Map<Arc<str>, Policies>,
    pub(crate) pods: Buckets<PodName, Workload>,
    pub(crate) identities: Map<SpiffeId, usize>,
    pub(crate) policies_known: bool,
    pub(crate) addresses_known: bool,
}

impl Snapshot {
    /// The state in which nothing is known.
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place: Arc::new(place),
            workloads: Map::new_sync(),
            by_address: Map::new_sync(),
            by_hostname: Map::new_sync(),
            services: Map::new_sync(),
            vips: Map::new_sync(),
            blocks: Map::new_sync(),
            block_lengths: Arc::default(),
            hosts: Map::new_sync(),
            members: Map::new_sync(),
            policies: Map::new_sync(),
            global: Sorted::new_sync(),
            by_namespace: Map::new_sync(),
            pods: Map::new_sync(),
            identities: Map::new_sync(),
            policies_known: false,
            addresses_known: false,
        }
    }

    /// Where this proxy is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether policies were received at all. Before that every connection is denied.
    pub fn policies_known(&self) -> bool {
        self.policies_known
    }

    /// Whether workloads and services were received at all.
    pub fn addresses_known(&self) -> bool {
        self.addresses_known
    }
}
