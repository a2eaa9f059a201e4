//! What somebody changed, as events.

use std::sync::RwLock;

use observe::recorder::Recorder;

use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::source::Update;
use crate::sync;

/// Tells what `update` is about to change in `world`. Pods, endpoints and other things that
/// change by themselves are left out.
pub fn tell(recorder: &Recorder, world: &RwLock<World>, update: &Update) {
    let world = sync::read(world);
    for (name, object) in &update.changes {
        let Some(kind) = kind(name.kind) else { continue };
        let what = match (is_known(&world, name), object.is_some()) {
            (false, true) => "created",
            (true, true) => "changed",
            (true, false) => "deleted",
            (false, false) => continue,
        };
        let subject = shown(name);
        recorder.event(kind, "info", subject.clone(), format!("{subject} was {what}"));
    }
}

/// Whether there is such an object now.
fn is_known(world: &World, name: &ObjectRef) -> bool {
    let key = Key::new(&name.namespace, &name.name);
    match name.kind {
        Kind::Namespace => world.namespace(&name.name).is_some(),
        Kind::Node => world.node(&name.name).is_some(),
        Kind::Pod => world.pod(&key).is_some(),
        Kind::ServiceAccount => world.account(&key).is_some(),
        Kind::Service => world.service(&key).is_some(),
        Kind::EndpointSlice => world.slice(&key).is_some(),
        Kind::GatewayClass => world.class(&name.name).is_some(),
        Kind::Gateway => world.gateway(&key).is_some(),
        Kind::HTTPRoute => world.route(&key).is_some(),
        Kind::GRPCRoute => world.grpc_route(&key).is_some(),
        Kind::ReferenceGrant => world.grants_in(&key.namespace).any(|g| g.meta.key == key),
        Kind::AuthorizationPolicy => world.policy(&key).is_some(),
        Kind::PeerAuthentication => world.peer(&key).is_some(),
        Kind::ServiceEntry => world.entry(&key).is_some(),
        Kind::WorkloadEntry => world.workload_entry(&key).is_some(),
        Kind::RequestAuthentication => world.authentication(&key).is_some(),
        // There is always one, if only the default.
        Kind::MeshConfig => true,
    }
}

fn shown(name: &ObjectRef) -> String {
    match name.namespace.as_str() {
        "" => format!("{:?} {}", name.kind, name.name),
        namespace => format!("{:?} {namespace}/{}", name.kind, name.name),
    }
}

/// The kind of event.
fn kind(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::AuthorizationPolicy | Kind::PeerAuthentication | Kind::RequestAuthentication => {
            "policy"
        }
        Kind::Gateway | Kind::GatewayClass => "waypoint",
        Kind::HTTPRoute
        | Kind::GRPCRoute
        | Kind::ReferenceGrant
        | Kind::ServiceEntry
        | Kind::WorkloadEntry
        | Kind::MeshConfig
        | Kind::Namespace
        | Kind::Service => "configuration",
        Kind::Node | Kind::Pod | Kind::ServiceAccount | Kind::EndpointSlice => return None,
    })
}
