//! The condition of a namespace that is bound to a waypoint.

use super::Derived;
use super::service::bound_condition;
use super::waypoint;
use crate::model::object::{Kind, ObjectRef};
use crate::model::world::World;

/// Derives whether the waypoint that a namespace's label asks for is used.
pub fn derive(world: &World, name: &str) -> Derived {
    let mut derived = Derived::default();
    let Some(namespace) = world.namespace(name) else { return derived };
    let binding = waypoint::of_namespace(world, namespace, &mut derived.looked_at);
    if let Some(condition) = bound_condition(&binding) {
        let name = ObjectRef::new(Kind::Namespace, "", name);
        derived.conditions.push((name, vec![condition]));
    }
    derived
}
