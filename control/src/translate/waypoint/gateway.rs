//! A waypoint's own Gateway, for the waypoint.

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::{address, group, is_waypoint};
use crate::model::object::Key;
use crate::model::world::World;
use crate::translate::{Derived, Family, Resource};

const XFCC: &str = "ambient.istio.io/xfcc-include-client-identity";

/// Adds what the waypoint of Gateway `key` has to know of it.
pub fn add(world: &World, key: &Key, derived: &mut Derived) {
    let Some(gateway) = world.gateway(key) else { return };
    if !is_waypoint(world, gateway, &mut derived.looked_at) {
        return;
    }
    let forward = gateway.meta.annotation(XFCC);
    let message = pb::Gateway {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        addresses: vec![address(world, key)],
        trust_domains: std::iter::once(&world.mesh().trust_domain)
            .chain(&world.mesh().trust_domain_aliases)
            .map(ToString::to_string)
            .collect(),
        forward_client_identity: forward.is_some_and(|v| v.eq_ignore_ascii_case("true")),
    };
    derived.resources.push(Resource {
        family: Family::WaypointGateway,
        name: format!("Gateway/{key}"),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: vec![group(world, key)],
    });
}

#[cfg(test)]
mod tests;
