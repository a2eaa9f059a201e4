//! The pods as control knows them: what no proxy can tell, such as that nobody captures one.

use std::collections::BTreeSet;

use hbone::identity::SpiffeId;
use observe::pb::{Pod, State};

use crate::model::object;
use crate::model::report::Enrolment;
use crate::model::world::World;
use crate::translate::node_pod::enrols;
use crate::translate::waypoint::is_waypoint_pod;
use crate::translate::workload::workload_name;

/// Annotation by which a node's agent says in a cluster that a pod is captured.
pub(super) const CAPTURED: &str = "ambient.istio.io/redirection";

/// Pods that are part of the mesh or could be, and the node of each.
pub fn state(world: &World) -> State {
    let pods = world.nodes_of_pods().flat_map(|node| world.pods_on(node));
    let pods = pods.filter(|pod| !pod.terminated && !pod.host_network);
    State { pods: pods.map(|pod| shown(world, pod)).collect(), ready: true, ..State::default() }
}

fn shown(world: &World, pod: &object::Pod) -> Pod {
    let key = &pod.meta.key;
    let domain = world.mesh().trust_domain.clone();
    let identity = SpiffeId::new(domain, &key.namespace, &pod.service_account);
    let (state, proof) = enrolment(world, pod);
    Pod {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        identity: identity.map(|id| id.to_string()).unwrap_or_default(),
        addresses: pod.ips.iter().map(ToString::to_string).collect(),
        workload: workload_name(pod),
        state: state.to_owned(),
        proof,
        proved_ms: 0,
        node: pod.node.clone(),
    }
}

/// `enrolled`, `pending`, `failed`, `waypoint` or nothing; and whether its node proved it.
fn enrolment(world: &World, pod: &object::Pod) -> (&'static str, String) {
    if is_waypoint_pod(pod) {
        return ("waypoint", String::new());
    }
    let report = world.report(&pod.uid);
    let captured = pod.meta.annotation(CAPTURED) == Some("enabled");
    match report.map(|report| (report.state, &report.reason)) {
        Some((Enrolment::Enrolled, _)) => ("enrolled", "proven".to_owned()),
        Some((Enrolment::Pending, reason)) => ("pending", reason.clone()),
        Some((Enrolment::Failed, reason)) => ("failed", reason.clone()),
        _ if captured => ("enrolled", "proven".to_owned()),
        _ if enrols(world, pod, &mut BTreeSet::new()) => ("pending", String::new()),
        _ => ("", String::new()),
    }
}
