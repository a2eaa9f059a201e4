//! The conditions of a Gateway that is a waypoint. docs/wire.md, "Waypoints".

use super::Derived;
use super::waypoint::{hbone_listener, is_waypoint};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

/// Derives whether a Gateway can be a waypoint.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(gateway) = world.gateway(key) else { return derived };
    let class = &gateway.spec.gateway_class_name;
    let condition = if !is_waypoint(world, gateway, &mut derived.looked_at) {
        let message = format!(
            "class {class:?} is not one of Ambit's; for a waypoint write {:?}",
            hbone::brand::WAYPOINT_CLASS
        );
        Condition::new("Accepted", false, "UnsupportedClass", message)
    } else if hbone_listener(gateway).is_none() {
        let message = "no listener has protocol HBONE and port 15008; write one";
        Condition::new("Accepted", false, "ListenersNotValid", message)
    } else {
        Condition::new("Accepted", true, "Accepted", "")
    };
    let name = ObjectRef::new(Kind::Gateway, &key.namespace, &key.name);
    derived.conditions.push((name, vec![condition]));
    derived
}
