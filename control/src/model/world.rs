//! All objects, with their indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hbone::identity::TrustDomain;

use super::entry::{ServiceEntry, WorkloadEntry};
use super::object::{
    AuthorizationPolicy, EndpointSlice, JwtKeys, Key, Kind, Map, MeshConfig, Namespace, Node,
    Object, ObjectRef, PeerAuthentication, Pod, RequestAuthentication, Service, ServiceAccount,
};
use super::report::Report;
use super::vips::Vips;
use crate::api::gateway::{Gateway, GatewayClass, GrpcRoute, HttpRoute, ReferenceGrant};
use crate::jwks::url::KeySetUrl;
use crate::jwks::{Fetched, Wanted};
use crate::translate::waypoint::GATEWAY_NAME;

/// Facts of the installation that no object holds.
#[derive(Clone, Debug)]
pub struct Site {
    /// The cluster's id, such as `Kubernetes`.
    pub cluster: String,
    /// The network's id; empty for a single network.
    pub network: String,
    /// Where the control plane lives.
    pub system_namespace: String,
    /// What follows `<service>.<namespace>.svc.`.
    pub domain: String,
    /// It is a cluster of Kubernetes, which runs the pods.
    pub kubernetes: bool,
}

/// The desired state.
#[derive(Debug)]
pub struct World {
    /// Facts of the installation.
    pub site: Site,
    mesh: Option<MeshConfig>,
    default_mesh: MeshConfig,
    namespaces: BTreeMap<String, Namespace>,
    nodes: BTreeMap<String, Node>,
    accounts: BTreeMap<Key, ServiceAccount>,
    pods: BTreeMap<Key, Pod>,
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, EndpointSlice>,
    classes: BTreeMap<String, GatewayClass>,
    gateways: BTreeMap<Key, Gateway>,
    routes: BTreeMap<Key, HttpRoute>,
    grpc_routes: BTreeMap<Key, GrpcRoute>,
    grants: BTreeMap<Key, ReferenceGrant>,
    policies: BTreeMap<Key, AuthorizationPolicy>,
    peers: BTreeMap<Key, PeerAuthentication>,
    entries: BTreeMap<Key, ServiceEntry>,
    workload_entries: BTreeMap<Key, WorkloadEntry>,
    entries_by_host: BTreeMap<String, BTreeSet<Key>>,
    /// Addresses that hosts of ServiceEntries were given.
    pub vips: Vips,
    authentications: BTreeMap<Key, RequestAuthentication>,
    fetched: BTreeMap<KeySetUrl, Fetched>,
    pods_by_node: BTreeMap<String, BTreeSet<Key>>,
    slices_by_service: BTreeMap<Key, BTreeSet<Key>>,
    slices_by_pod: BTreeMap<Key, BTreeSet<Key>>,
    reports: BTreeMap<String, Report>,
    silent: BTreeSet<String>,
}

impl World {
    /// Nothing yet.
    pub fn new(site: Site) -> Self {
        let default_mesh = MeshConfig {
            trust_domain: TrustDomain::default(),
            trust_domain_aliases: Vec::new(),
            root_namespace: site.system_namespace.clone(),
            providers: Vec::new(),
        };
        Self {
            site,
            mesh: None,
            default_mesh,
            namespaces: BTreeMap::new(),
            nodes: BTreeMap::new(),
            accounts: BTreeMap::new(),
            pods: BTreeMap::new(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            classes: BTreeMap::new(),
            gateways: BTreeMap::new(),
            routes: BTreeMap::new(),
            grpc_routes: BTreeMap::new(),
            grants: BTreeMap::new(),
            policies: BTreeMap::new(),
            peers: BTreeMap::new(),
            entries: BTreeMap::new(),
            workload_entries: BTreeMap::new(),
            entries_by_host: BTreeMap::new(),
            vips: Vips::default(),
            authentications: BTreeMap::new(),
            fetched: BTreeMap::new(),
            pods_by_node: BTreeMap::new(),
            slices_by_service: BTreeMap::new(),
            slices_by_pod: BTreeMap::new(),
            reports: BTreeMap::new(),
            silent: BTreeSet::new(),
        }
    }

    /// The mesh configuration in force.
    pub fn mesh(&self) -> &MeshConfig {
        self.mesh.as_ref().unwrap_or(&self.default_mesh)
    }

    /// A namespace.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// A machine.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Every machine.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A service account.
    pub fn account(&self, key: &Key) -> Option<&ServiceAccount> {
        self.accounts.get(key)
    }

    /// A pod.
    pub fn pod(&self, key: &Key) -> Option<&Pod> {
        self.pods.get(key)
    }

    /// A service.
    pub fn service(&self, key: &Key) -> Option<&Service> {
        self.services.get(key)
    }

    /// A slice.
    pub fn slice(&self, key: &Key) -> Option<&EndpointSlice> {
        self.slices.get(key)
    }

    /// A class of gateways.
    pub fn class(&self, name: &str) -> Option<&GatewayClass> {
        self.classes.get(name)
    }

    /// A gateway.
    pub fn gateway(&self, key: &Key) -> Option<&Gateway> {
        self.gateways.get(key)
    }

    /// A route of gRPC calls.
    pub fn grpc_route(&self, key: &Key) -> Option<&GrpcRoute> {
        self.grpc_routes.get(key)
    }

    /// A route of HTTP requests.
    pub fn route(&self, key: &Key) -> Option<&HttpRoute> {
        self.routes.get(key)
    }

    /// A policy.
    pub fn policy(&self, key: &Key) -> Option<&AuthorizationPolicy> {
        self.policies.get(key)
    }

    /// A PeerAuthentication.
    pub fn peer(&self, key: &Key) -> Option<&PeerAuthentication> {
        self.peers.get(key)
    }

    /// A ServiceEntry.
    pub fn entry(&self, key: &Key) -> Option<&ServiceEntry> {
        self.entries.get(key)
    }

    /// The ServiceEntries of a namespace.
    pub fn entries_in(&self, namespace: &str) -> impl Iterator<Item = &ServiceEntry> {
        within(&self.entries, namespace)
    }

    /// The ServiceEntries of all namespaces that name a host.
    pub fn entries_of(&self, host: &str) -> impl Iterator<Item = &ServiceEntry> {
        self.entries_by_host.get(host).into_iter().flatten().filter_map(|k| self.entries.get(k))
    }

    /// A WorkloadEntry.
    pub fn workload_entry(&self, key: &Key) -> Option<&WorkloadEntry> {
        self.workload_entries.get(key)
    }

    /// The WorkloadEntries of a namespace.
    pub fn workload_entries_in(&self, namespace: &str) -> impl Iterator<Item = &WorkloadEntry> {
        within(&self.workload_entries, namespace)
    }

    /// A RequestAuthentication.
    pub fn authentication(&self, key: &Key) -> Option<&RequestAuthentication> {
        self.authentications.get(key)
    }

    /// The key sets that are to be fetched, each with the time that it may take.
    pub fn wanted_key_sets(&self) -> Wanted {
        let mut wanted = Wanted::new();
        for (url, timeout) in self.authentications.values().flat_map(remote) {
            let longest = wanted.entry(url.clone()).or_default();
            *longest = timeout.max(*longest);
        }
        wanted
    }

    /// The RequestAuthentications whose tokens a key set verifies.
    pub fn verified_by<'a>(&'a self, url: &'a KeySetUrl) -> impl Iterator<Item = &'a Key> {
        let all = self.authentications.iter();
        all.filter(move |(_, one)| remote(one).any(|(own, _)| own == url)).map(|(key, _)| key)
    }

    /// What became of a key set; none if it was not asked for yet.
    pub fn fetched(&self, url: &KeySetUrl) -> Option<&Fetched> {
        self.fetched.get(url)
    }

    /// Notes what became of a key set; whether that is new.
    pub fn set_fetched(&mut self, url: &KeySetUrl, fetched: Fetched) -> bool {
        let new = self.fetched.get(url) != Some(&fetched);
        self.fetched.insert(url.clone(), fetched);
        new
    }

    /// Forgets key sets that nobody wants.
    pub fn keep_fetched(&mut self, wanted: &Wanted) {
        self.fetched.retain(|url, _| wanted.contains_key(url));
    }

    /// The pods of a namespace.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        within(&self.pods, namespace)
    }

    /// The services of a namespace.
    pub fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Service> {
        within(&self.services, namespace)
    }

    /// The gateways of a namespace.
    pub fn gateways_in(&self, namespace: &str) -> impl Iterator<Item = &Gateway> {
        within(&self.gateways, namespace)
    }

    /// Every route of gRPC calls.
    pub fn grpc_routes(&self) -> impl Iterator<Item = &GrpcRoute> {
        self.grpc_routes.values()
    }

    /// Every route of HTTP requests.
    pub fn routes(&self) -> impl Iterator<Item = &HttpRoute> {
        self.routes.values()
    }

    /// The grants of a namespace.
    pub fn grants_in(&self, namespace: &str) -> impl Iterator<Item = &ReferenceGrant> {
        within(&self.grants, namespace)
    }

    /// The policies of a namespace.
    pub fn policies_in(&self, namespace: &str) -> impl Iterator<Item = &AuthorizationPolicy> {
        within(&self.policies, namespace)
    }

    /// The PeerAuthentications of a namespace.
    pub fn peers_in(&self, namespace: &str) -> impl Iterator<Item = &PeerAuthentication> {
        within(&self.peers, namespace)
    }

    /// Whether there is any PeerAuthentication.
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// The pods of a machine.
    pub fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Pod> {
        self.pods_by_node.get(node).into_iter().flatten().filter_map(|key| self.pods.get(key))
    }

    /// The machines that have pods.
    pub fn nodes_of_pods(&self) -> impl Iterator<Item = &str> {
        self.pods_by_node.keys().map(String::as_str)
    }

    /// The slices of a service.
    pub fn slices_of(&self, service: &Key) -> impl Iterator<Item = &EndpointSlice> {
        self.slices_by_service.get(service).into_iter().flatten().filter_map(|k| self.slices.get(k))
    }

    /// The slices that name a pod.
    pub fn slices_with(&self, pod: &Key) -> impl Iterator<Item = &EndpointSlice> {
        self.slices_by_pod.get(pod).into_iter().flatten().filter_map(|k| self.slices.get(k))
    }

    /// The last report on a pod, by UID.
    pub fn report(&self, uid: &str) -> Option<&Report> {
        self.reports.get(uid)
    }

    /// Notes a report; whether it says something new.
    pub fn set_report(&mut self, uid: &str, report: &Report) -> bool {
        self.reports.insert(uid.to_owned(), report.clone()).as_ref() != Some(report)
    }

    /// Forgets reports on pods that are not there.
    pub fn keep_reports_of_pods(&mut self) {
        let there: BTreeSet<&str> = self.pods.values().map(|pod| pod.uid.as_str()).collect();
        self.reports.retain(|uid, _| there.contains(uid.as_str()));
    }

    /// Whether a machine has been silent for so long that its last reports may be wrong.
    pub fn is_silent(&self, node: &str) -> bool {
        self.silent.contains(node)
    }

    /// Notes it; whether it is new.
    pub fn set_silent(&mut self, node: &str, silent: bool) -> bool {
        if silent { self.silent.insert(node.to_owned()) } else { self.silent.remove(node) }
    }

    /// The deployed instances of the waypoint that `pod` is one of, itself too.
    pub fn instances<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Pod> {
        let gateway = pod.meta.label(GATEWAY_NAME);
        let pods = self.pods_in(&pod.meta.key.namespace);
        pods.filter(move |p| p.deployed && p.meta.label(GATEWAY_NAME) == gateway)
    }

    /// Every object of some kind, by reference.
    pub fn refs(&self, kind: Kind) -> Vec<ObjectRef> {
        let keyed = |keys: Vec<&Key>| {
            keys.into_iter().map(|k| ObjectRef::new(kind, &k.namespace, &k.name)).collect()
        };
        let named =
            |names: Vec<&String>| names.into_iter().map(|n| ObjectRef::new(kind, "", n)).collect();
        match kind {
            Kind::Namespace => named(self.namespaces.keys().collect()),
            Kind::Node => named(self.nodes.keys().collect()),
            Kind::GatewayClass => named(self.classes.keys().collect()),
            Kind::Pod => keyed(self.pods.keys().collect()),
            Kind::ServiceAccount => keyed(self.accounts.keys().collect()),
            Kind::Service => keyed(self.services.keys().collect()),
            Kind::EndpointSlice => keyed(self.slices.keys().collect()),
            Kind::Gateway => keyed(self.gateways.keys().collect()),
            Kind::HTTPRoute => keyed(self.routes.keys().collect()),
            Kind::GRPCRoute => keyed(self.grpc_routes.keys().collect()),
            Kind::ReferenceGrant => keyed(self.grants.keys().collect()),
            Kind::AuthorizationPolicy => keyed(self.policies.keys().collect()),
            Kind::PeerAuthentication => keyed(self.peers.keys().collect()),
            Kind::ServiceEntry => keyed(self.entries.keys().collect()),
            Kind::WorkloadEntry => keyed(self.workload_entries.keys().collect()),
            Kind::RequestAuthentication => keyed(self.authentications.keys().collect()),
            Kind::MeshConfig => Vec::new(),
        }
    }

    /// Puts or removes an object and keeps the indexes true. The caller asks
    /// [`super::dirty::dirtied_by`] before and after.
    pub fn put(&mut self, name: &ObjectRef, object: Option<Object>) {
        let key = Key::new(&name.namespace, &name.name);
        match name.kind {
            Kind::Pod => self.unindex_pod(&key),
            Kind::EndpointSlice => self.unindex_slice(&key),
            Kind::ServiceEntry => self.unindex_entry(&key),
            _ => {}
        }
        match object {
            Some(object) => self.insert(key, object),
            None => self.remove(name.kind, &key),
        }
    }

    fn insert(&mut self, key: Key, object: Object) {
        match object {
            Object::Namespace(o) => drop(self.namespaces.insert(key.name, o)),
            Object::Node(o) => drop(self.nodes.insert(key.name, o)),
            Object::GatewayClass(o) => drop(self.classes.insert(key.name, o)),
            Object::MeshConfig(o) => self.mesh = Some(*o),
            Object::Pod(o) => {
                // Another pod under the same name has not been reported on.
                if let Some(old) = self.pods.get(&key).filter(|old| old.uid != o.uid) {
                    self.reports.remove(&old.uid);
                }
                if !o.node.is_empty() {
                    self.pods_by_node.entry(o.node.clone()).or_default().insert(key.clone());
                }
                self.pods.insert(key, *o);
            }
            Object::EndpointSlice(o) => {
                self.index_slice(&key, &o);
                self.slices.insert(key, o);
            }
            Object::ServiceAccount(o) => drop(self.accounts.insert(key, o)),
            Object::Service(o) => drop(self.services.insert(key, *o)),
            Object::Gateway(o) => drop(self.gateways.insert(key, *o)),
            Object::HTTPRoute(o) => drop(self.routes.insert(key, *o)),
            Object::GRPCRoute(o) => drop(self.grpc_routes.insert(key, *o)),
            Object::ReferenceGrant(o) => drop(self.grants.insert(key, o)),
            Object::AuthorizationPolicy(o) => drop(self.policies.insert(key, *o)),
            Object::PeerAuthentication(o) => drop(self.peers.insert(key, o)),
            Object::ServiceEntry(o) => {
                self.index_entry(&key, &o);
                self.entries.insert(key, *o);
            }
            Object::WorkloadEntry(o) => drop(self.workload_entries.insert(key, *o)),
            Object::RequestAuthentication(o) => drop(self.authentications.insert(key, *o)),
        }
    }

    fn remove(&mut self, kind: Kind, key: &Key) {
        match kind {
            Kind::Namespace => drop(self.namespaces.remove(&key.name)),
            Kind::Node => drop(self.nodes.remove(&key.name)),
            Kind::GatewayClass => drop(self.classes.remove(&key.name)),
            Kind::MeshConfig => self.mesh = None,
            Kind::Pod => {
                if let Some(pod) = self.pods.remove(key) {
                    self.reports.remove(&pod.uid);
                }
            }
            Kind::EndpointSlice => drop(self.slices.remove(key)),
            Kind::ServiceAccount => drop(self.accounts.remove(key)),
            Kind::Service => drop(self.services.remove(key)),
            Kind::Gateway => drop(self.gateways.remove(key)),
            Kind::HTTPRoute => drop(self.routes.remove(key)),
            Kind::GRPCRoute => drop(self.grpc_routes.remove(key)),
            Kind::ReferenceGrant => drop(self.grants.remove(key)),
            Kind::AuthorizationPolicy => drop(self.policies.remove(key)),
            Kind::PeerAuthentication => drop(self.peers.remove(key)),
            Kind::ServiceEntry => drop(self.entries.remove(key)),
            Kind::WorkloadEntry => drop(self.workload_entries.remove(key)),
            Kind::RequestAuthentication => drop(self.authentications.remove(key)),
        }
    }

    fn unindex_pod(&mut self, key: &Key) {
        if let Some(pod) = self.pods.get(key) {
            unlink(&mut self.pods_by_node, &pod.node, key);
        }
    }

    /// In an API server the object itself says what it was given.
    fn index_entry(&mut self, key: &Key, entry: &ServiceEntry) {
        for host in &entry.hosts {
            self.entries_by_host.entry(host.clone()).or_default().insert(key.clone());
        }
        for ip in entry.written_addresses() {
            self.vips.write(ip, true);
        }
        if self.site.kubernetes {
            self.vips.set(key, entry.given.clone());
        }
    }

    fn unindex_entry(&mut self, key: &Key) {
        let Some(entry) = self.entries.get(key) else { return };
        for host in &entry.hosts {
            unlink(&mut self.entries_by_host, host, key);
        }
        for ip in entry.written_addresses() {
            self.vips.write(ip, false);
        }
        if self.site.kubernetes {
            self.vips.set(key, super::entry::Given::new());
        }
    }

    fn index_slice(&mut self, key: &Key, slice: &EndpointSlice) {
        for (map, target) in [
            (&mut self.slices_by_service, vec![slice.service.as_str()]),
            (&mut self.slices_by_pod, pods_named_by(slice).collect()),
        ] {
            for name in target {
                let target = Key::new(&key.namespace, name);
                map.entry(target).or_default().insert(key.clone());
            }
        }
    }

    fn unindex_slice(&mut self, key: &Key) {
        let Some(slice) = self.slices.get(key) else { return };
        unlink(&mut self.slices_by_service, &Key::new(&key.namespace, &slice.service), key);
        for name in pods_named_by(slice) {
            unlink(&mut self.slices_by_pod, &Key::new(&key.namespace, name), key);
        }
    }
}

/// The key sets that an object wants fetched. One without targets is enforced by nobody.
fn remote(one: &RequestAuthentication) -> impl Iterator<Item = (&KeySetUrl, Duration)> {
    let rules = one.rules.iter().filter(|_| !one.targets.is_empty());
    rules.filter_map(|rule| match &rule.keys {
        JwtKeys::Remote { url, timeout } => Some((url, *timeout)),
        JwtKeys::Inline(_) | JwtKeys::Refused(_) => None,
    })
}

/// The pods that a slice names.
pub fn pods_named_by(slice: &EndpointSlice) -> impl Iterator<Item = &str> {
    slice.endpoints.iter().filter_map(|e| e.pod.as_deref())
}

/// Whether all of `selector` is among `labels`; an empty selector selects nothing here.
pub fn selects(selector: &Map, labels: &Map) -> bool {
    !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

fn within<'a, T>(map: &'a BTreeMap<Key, T>, namespace: &str) -> impl Iterator<Item = &'a T> {
    let start = Key::new(namespace, "");
    let end = Key { namespace: format!("{namespace}\0"), name: String::new() };
    map.range(start..end).map(|(_, value)| value)
}

fn unlink<K: Ord + Clone>(map: &mut BTreeMap<K, BTreeSet<Key>>, from: &K, key: &Key) {
    if let Some(set) = map.get_mut(from) {
        set.remove(key);
        if set.is_empty() {
            map.remove(from);
        }
    }
}

#[cfg(test)]
mod tests;
