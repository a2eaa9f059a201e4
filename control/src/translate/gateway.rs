//! The conditions of a Gateway that is a waypoint. docs/wire.md, "Waypoints".

use hbone::brand;

use super::Derived;
use super::waypoint::{GATEWAY_NAME, hbone_listener, is_waypoint};
use super::workload::is_ready;
use crate::api::gateway::Gateway;
use crate::deploy::plan;
use crate::model::object::{Key, Kind, ObjectRef, Pod};
use crate::model::world::World;
use crate::status::Condition;

/// Derives whether a Gateway can be a waypoint, and whether one runs.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(gateway) = world.gateway(key) else { return derived };
    let conditions = if is_waypoint(world, gateway, &mut derived.looked_at) {
        let refs = "refers to nothing that could be missing";
        vec![
            accepted(gateway),
            programmed(world, gateway),
            Condition::new("ResolvedRefs", true, "ResolvedRefs", refs),
        ]
    } else {
        let message = format!(
            "class {:?} is not one of Ambit's; for a waypoint write {:?}",
            gateway.spec.gateway_class_name,
            brand::WAYPOINT_CLASS
        );
        vec![Condition::new("Accepted", false, "UnsupportedClass", message)]
    };
    let name = ObjectRef::new(Kind::Gateway, &key.namespace, &key.name);
    derived.conditions.push((name, conditions));
    derived
}

fn accepted(gateway: &Gateway) -> Condition {
    if hbone_listener(gateway).is_none() {
        let message = "no listener has protocol HBONE and port 15008; write one";
        return Condition::new("Accepted", false, "ListenersNotValid", message);
    }
    match plan::replicas(gateway) {
        Ok(_) => Condition::new("Accepted", true, "Accepted", ""),
        Err(found) => {
            let message = format!(
                "annotation {} is {found:?}, and {} run; write 1 to {}",
                brand::WAYPOINT_REPLICAS,
                plan::REPLICAS,
                plan::MAX_REPLICAS
            );
            Condition::new("Accepted", true, "InvalidParameters", message)
        }
    }
}

/// Whether an instance can take traffic; until one can, who is bound to it is refused.
fn programmed(world: &World, gateway: &Gateway) -> Condition {
    let key = &gateway.meta.key;
    let of_gateway = |pod: &&Pod| pod.meta.label(GATEWAY_NAME) == Some(&key.name);
    let pods: Vec<&Pod> = world.pods_in(&key.namespace).filter(of_gateway).collect();
    let ready = pods.iter().filter(|pod| is_ready(world, pod)).count();
    let condition = |status, reason, message| Condition::new("Programmed", status, reason, message);
    if pods.is_empty() && world.site.kubernetes {
        return condition(false, "Pending", "its Deployment has no pod yet".to_owned());
    }
    if pods.is_empty() {
        let message = format!(
            "no node takes it; write annotation {} with a free address on a Node",
            brand::WAYPOINT_ADDRESSES
        );
        return condition(false, "NoResources", message);
    }
    // A pod that is not scheduled yet is on none.
    let nodes = pods.iter().map(|pod| pod.node.as_str()).filter(|node| !node.is_empty());
    let nodes: Vec<&str> = nodes.collect();
    let place = if nodes.is_empty() { "no node yet".to_owned() } else { nodes.join(", ") };
    let message = format!("{ready} of {} instances ready, on {place}", pods.len());
    let reason = if ready > 0 { "Programmed" } else { "Pending" };
    condition(ready > 0, reason, message)
}

#[cfg(test)]
mod tests;
