//! What a node hears of its pods. docs/wire.md, "The node service".

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::node::v1 as pb;
use hbone::{brand, label};
use prost::Message;

use super::waypoint;
use super::{Family, Resource};
use crate::model::object::{Key, Kind, ObjectRef, Pod};
use crate::model::world::World;

/// The groups whose annotations a node has a use for.
const ANNOTATIONS: [&str; 4] = ["ambient.istio.io", "istio.io", "sidecar.istio.io", brand::GROUP];

/// The pod as its node hears of it; `None` while it is on no node.
pub fn resource(world: &World, pod: &Pod, looked_at: &mut BTreeSet<ObjectRef>) -> Option<Resource> {
    if pod.node.is_empty() {
        return None;
    }
    let key = &pod.meta.key;
    let annotations = pod.meta.annotations.iter();
    let of_use = |key: &str| key.split_once('/').is_some_and(|(g, _)| ANNOTATIONS.contains(&g));
    let annotations = annotations.filter(|(key, _)| of_use(key));
    let message = pb::Pod {
        uid: pod.uid.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        service_account: pod.service_account.clone(),
        ips: pod.ips.iter().map(ToString::to_string).collect(),
        enrol: enrols(world, pod, looked_at),
        terminated: pod.terminated,
        host_network: pod.host_network,
        annotations: annotations.map(|(k, v)| (k.clone(), v.clone())).collect(),
        waypoint: waypoint_spec(world, pod, looked_at),
    };
    Some(Resource {
        family: Family::NodePod,
        name: key.to_string(),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: vec![pod.node.clone()],
    })
}

/// Whether the labels say that the pod takes part; the pod's own wins over the namespace's.
pub fn enrols(world: &World, pod: &Pod, looked_at: &mut BTreeSet<ObjectRef>) -> bool {
    let namespace = &pod.meta.key.namespace;
    looked_at.insert(ObjectRef::new(Kind::Namespace, "", namespace));
    let inherited = world.namespace(namespace).and_then(|n| n.meta.label(label::DATAPLANE_MODE));
    let wanted = label::takes_part(pod.meta.label(label::DATAPLANE_MODE), inherited);
    let sidecar = pod.meta.annotation(label::SIDECAR_STATUS).is_some();
    wanted && !sidecar && !pod.host_network && !waypoint::is_waypoint_pod(pod)
}

fn waypoint_spec(
    world: &World,
    pod: &Pod,
    looked_at: &mut BTreeSet<ObjectRef>,
) -> Option<pb::WaypointSpec> {
    let name = pod.meta.label(waypoint::GATEWAY_NAME)?;
    let key = Key::new(&pod.meta.key.namespace, name);
    looked_at.insert(ObjectRef::new(Kind::Gateway, &key.namespace, &key.name));
    let gateway = world.gateway(&key)?;
    waypoint::is_waypoint(world, gateway, looked_at)
        .then(|| pb::WaypointSpec { gateway: name.to_owned(), sandbox: pod.deployed })
}

#[cfg(test)]
mod tests;
