//! `/debug/mesh`: what the control plane knows of every pod, and all that it publishes to node
//! proxies, in the form of their configuration dump (docs/wire.md, "Configuration dump").

use std::net::IpAddr;
use std::sync::RwLock;

use hbone::label;
use hbone::wire::authorization::{Authorization, LocalAuthorization};
use hbone::wire::intern::Interner;
use hbone::wire::workload::{Address, LocalService, LocalWorkload};
use serde::Serialize;

use crate::config::Config;
use crate::engine::Tables;
use crate::model::object::{Key, Kind, Pod};
use crate::model::report::Enrolment;
use crate::model::world::World;
use crate::sync;
use crate::translate::{node_pod, waypoint};

/// The page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeshDump {
    version: &'static str,
    cluster: String,
    system_namespace: String,
    /// The objects come from an API server, and so do the nodes' words about their pods.
    kubernetes: bool,
    nodes: Vec<NodeDump>,
    pods: Vec<PodDump>,
    workloads: Vec<LocalWorkload>,
    services: Vec<LocalService>,
    policies: Vec<LocalAuthorization>,
}

#[derive(Debug, Serialize)]
struct NodeDump {
    name: String,
    /// It has had no stream for longer than the grace.
    silent: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodDump {
    namespace: String,
    name: String,
    uid: String,
    node: String,
    service_account: String,
    ips: Vec<IpAddr>,
    ready: bool,
    terminated: bool,
    host_network: bool,
    /// It takes part, by its labels.
    enrol: bool,
    /// Whose label decided: `pod`, `namespace`, or empty without one.
    label: &'static str,
    /// Of which Gateway it is an instance, or empty.
    waypoint: String,
    /// What its node said last; none of a cluster, where that is an annotation of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Enrolment>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    older_connections: u64,
}

impl MeshDump {
    /// Copies everything: for people.
    pub(super) fn of(config: &Config, world: &RwLock<World>, tables: &Tables) -> Self {
        let (nodes, pods) = {
            let world = sync::read(world);
            let nodes = world
                .refs(Kind::Node)
                .into_iter()
                .map(|node| NodeDump { silent: world.is_silent(&node.name), name: node.name });
            let keys = world.refs(Kind::Pod);
            let pods = keys.iter().map(|pod| Key::new(&pod.namespace, &pod.name));
            let pods = pods.filter_map(|key| world.pod(&key)).map(|pod| pod_dump(&world, pod));
            (nodes.collect(), pods.collect())
        };
        let (workloads, services) = addresses(tables);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cluster: config.cluster.clone(),
            system_namespace: config.system_namespace.clone(),
            kubernetes: config.kubernetes,
            nodes,
            pods,
            workloads,
            services,
            policies: policies(tables),
        }
    }
}

fn pod_dump(world: &World, pod: &Pod) -> PodDump {
    let key = &pod.meta.key;
    let report = world.report(&pod.uid);
    let inherited = world.namespace(&key.namespace).map(|namespace| &namespace.meta);
    let label = if pod.meta.label(label::DATAPLANE_MODE).is_some() {
        "pod"
    } else if inherited.is_some_and(|meta| meta.label(label::DATAPLANE_MODE).is_some()) {
        "namespace"
    } else {
        ""
    };
    PodDump {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: pod.uid.clone(),
        node: pod.node.clone(),
        service_account: pod.service_account.clone(),
        ips: pod.ips.clone(),
        ready: pod.ready,
        terminated: pod.terminated,
        host_network: pod.host_network,
        enrol: node_pod::enrols(world, pod, &mut Default::default()),
        label,
        waypoint: pod.meta.label(waypoint::GATEWAY_NAME).unwrap_or_default().to_owned(),
        state: report.map(|report| report.state),
        reason: report.map(|report| report.reason.clone()).unwrap_or_default(),
        older_connections: report.map(|report| report.older_connections).unwrap_or_default(),
    }
}

/// What we encoded ourselves can be decoded.
fn addresses(tables: &Tables) -> (Vec<LocalWorkload>, Vec<LocalService>) {
    let (mut workloads, mut services) = (Vec::new(), Vec::new());
    let mut interner = Interner::default();
    for (_, entry) in tables.address.all().updated {
        match Address::decode(&entry.body, &mut interner) {
            Ok(Address::Workload(workload)) => workloads.push((&*workload).into()),
            Ok(Address::Service(service)) => services.push((&*service).into()),
            Err(_) => {}
        }
    }
    (workloads, services)
}

fn policies(tables: &Tables) -> Vec<LocalAuthorization> {
    let mut interner = Interner::default();
    let all = tables.authorization.all().updated.into_iter();
    all.filter_map(|(_, entry)| Authorization::decode(&entry.body, &mut interner).ok())
        .map(|policy| (&policy).into())
        .collect()
}
