//! What somebody changed, as events.

use std::sync::RwLock;

use observe::recorder::Recorder;

use crate::model::object::{Kind, ObjectRef};
use crate::model::world::World;
use crate::source::Update;
use crate::sync;

/// Tells what `update` is about to change in `world`. Pods, endpoints and other things that
/// change by themselves are left out.
pub fn tell(recorder: &Recorder, world: &RwLock<World>, update: &Update) {
    let world = sync::read(world);
    for (name, object) in &update.changes {
        let Some(kind) = kind(name.kind) else { continue };
        let known = world.refs(name.kind).contains(name);
        let what = match (known, object.is_some()) {
            (false, true) => "created",
            (true, true) => "changed",
            (true, false) => "deleted",
            (false, false) => continue,
        };
        let subject = shown(name);
        recorder.event(kind, "info", subject.clone(), format!("{subject} was {what}"));
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
