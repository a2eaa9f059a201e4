//! What the status of an object has to say. Pure.

use hbone::brand;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::conditions::merge;
use super::given::{OnItsWay, written};
use crate::api::gateway::{GrpcMatch, HttpMatch, ParentRef};
use crate::kubernetes::observed::{Observed, Seen};
use crate::kubernetes::waypoints::controller::serves;
use crate::kubernetes::waypoints::namespaces;
use crate::kubernetes::waypoints::outcome::Outcomes;
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::source::Problem;
use crate::status::Condition;
use crate::translate::entry::exhausted;
use crate::translate::membership::hostname;
use crate::translate::route::{self, Matches};
use crate::translate::waypoint::{PORT, deployed_name};

const BOUND: &str = "istio.io/WaypointBound";
/// Conditions of a Gateway that are its controller's.
const GATEWAY: [&str; 3] = ["Accepted", "Programmed", "ResolvedRefs"];
const LISTENER: [&str; 4] = ["Accepted", "Conflicted", "Programmed", "ResolvedRefs"];
/// What a waypoint makes of an object.
const ACCEPTED: &str = "WaypointAccepted";
const POLICY: [&str; 2] = ["ZtunnelAccepted", ACCEPTED];
const ENTRY: [&str; 6] = [
    BOUND,
    "istio.io/WaypointMissing",
    brand::ENDPOINTS,
    brand::HOSTS,
    brand::ADDRESSES,
    brand::ACCEPTED,
];
const ROUTE: [&str; 2] = ["Accepted", "ResolvedRefs"];

/// Who judges: the model, and what became of it.
pub struct Judge<'a> {
    /// The model.
    pub world: &'a World,
    /// The objects as the API server has them.
    pub observed: &'a Observed,
    /// What became of Gateways.
    pub outcomes: &'a Outcomes,
    /// Whether class `istio-waypoint` is served.
    pub istio_class: bool,
    /// What is wrong with objects as they are written.
    pub problems: &'a [Problem],
    /// Addresses that were given and are not heard of yet.
    pub given: &'a OnItsWay,
}

impl Judge<'_> {
    /// The fields of `status` that are ours to write; `None` for an object that is another's.
    pub fn status(
        &self,
        name: &ObjectRef,
        seen: &Seen,
        conditions: Vec<Condition>,
    ) -> Option<Value> {
        let now = Timestamp::now();
        let key = Key::new(&name.namespace, &name.name);
        let found = &seen.value["status"]["conditions"];
        match name.kind {
            Kind::Gateway => self.gateway(&key, seen, conditions, now),
            Kind::GatewayClass => {
                let class = self.world.class(&name.name)?;
                let ours = class.controller == brand::WAYPOINT_CONTROLLER;
                let accepted = [Condition::new("Accepted", true, "Accepted", "served by Ambit")];
                let owned = ["Accepted"];
                ours.then(
                    || json!({"conditions": merge(found, &accepted, &owned, seen.generation, now)}),
                )
            }
            Kind::HTTPRoute => Some(self.route::<HttpMatch>(&key, seen, name, now)),
            Kind::GRPCRoute => Some(self.route::<GrpcMatch>(&key, seen, name, now)),
            Kind::AuthorizationPolicy | Kind::PeerAuthentication => {
                // Whoever enforces what is in force: this version is accepted by nobody.
                let by_waypoint = conditions.iter().any(|c| c.kind == "WaypointAccepted");
                let mut conditions = self.refused(name, "ZtunnelAccepted", conditions);
                if by_waypoint {
                    conditions = self.refused(name, "WaypointAccepted", conditions);
                }
                let merged = merge(found, &conditions, &POLICY, seen.generation, now);
                Some(json!({"conditions": merged}))
            }
            Kind::RequestAuthentication => {
                let conditions = self.refused(name, ACCEPTED, conditions);
                let merged = merge(found, &conditions, &[ACCEPTED], seen.generation, now);
                Some(json!({"conditions": merged}))
            }
            Kind::Service => {
                let bound: Vec<_> = conditions.into_iter().filter(|c| c.kind == BOUND).collect();
                // Services have no generation of their own worth naming.
                Some(json!({"conditions": merge(found, &bound, &[BOUND], None, now)}))
            }
            Kind::Namespace => {
                let mut bound: Vec<_> =
                    conditions.into_iter().filter(|c| c.kind == BOUND).collect();
                if let Some(conflict) = namespaces::conflict(seen) {
                    bound = vec![Condition::new(BOUND, false, "ConflictingLabels", conflict)];
                }
                Some(json!({"conditions": merge(found, &bound, &[BOUND], None, now)}))
            }
            Kind::ServiceEntry => Some(self.service_entry(&key, seen, conditions, now)),
            Kind::WorkloadEntry => {
                let conditions = self.refused(name, brand::ACCEPTED, conditions);
                let owned = [BOUND, brand::ACCEPTED];
                let merged = merge(found, &conditions, &owned, seen.generation, now);
                Some(json!({"conditions": merged}))
            }
            Kind::Node
            | Kind::Pod
            | Kind::ServiceAccount
            | Kind::EndpointSlice
            | Kind::ReferenceGrant
            | Kind::MeshConfig => None,
        }
    }

    /// Conditions, and the addresses of its hosts. What is not in force keeps those that it has.
    fn service_entry(
        &self,
        key: &Key,
        seen: &Seen,
        conditions: Vec<Condition>,
        now: Timestamp,
    ) -> Value {
        let name = ObjectRef::new(Kind::ServiceEntry, &key.namespace, &key.name);
        let mut conditions = self.refused(&name, brand::ACCEPTED, conditions);
        let in_force = !conditions.iter().any(|c| c.kind == brand::ACCEPTED);
        let entry = self.world.entry(key).filter(|_| in_force);
        let given = entry.map(|entry| self.given.allot(self.world, entry));
        if let Some((_, without)) = &given {
            // That they are about to come is true no longer.
            conditions.retain(|c| c.kind != brand::ADDRESSES);
            let without: Vec<&str> = without.iter().map(String::as_str).collect();
            conditions.extend((!without.is_empty()).then(|| exhausted(&without)));
        }
        let found = &seen.value["status"]["conditions"];
        let mut status =
            json!({"conditions": merge(found, &conditions, &ENTRY, seen.generation, now)});
        if let Some((given, _)) = given {
            status["addresses"] = written(&given);
        }
        if let Some(generation) = seen.generation {
            status["observedGeneration"] = generation.into();
        }
        status
    }

    /// Conditions of an object of which a part is not understood: another version of it or a
    /// stand-in is in force, and they must not say that this one is.
    fn refused(
        &self,
        name: &ObjectRef,
        accepted: &str,
        mut conditions: Vec<Condition>,
    ) -> Vec<Condition> {
        let shown = name.to_string();
        let problem = self.problems.iter().find(|p| p.refused && p.object == shown);
        if let Some(problem) = problem {
            let message = format!("{}: {}", problem.field, problem.message);
            conditions.retain(|c| c.kind != accepted);
            conditions.push(Condition::new(accepted, false, "UnsupportedValue", message));
        }
        conditions
    }

    fn gateway(
        &self,
        key: &Key,
        seen: &Seen,
        conditions: Vec<Condition>,
        now: Timestamp,
    ) -> Option<Value> {
        let class = seen.value["spec"]["gatewayClassName"].as_str().unwrap_or_default();
        if !serves(self.world, class, self.istio_class) {
            return None;
        }
        let name = ObjectRef::new(Kind::Gateway, &key.namespace, &key.name);
        let mut conditions = self.refused(&name, "Accepted", conditions);
        let outcome = self.outcomes.of(key);
        if let Some(invalid) = outcome.invalid {
            conditions.retain(|c| c.kind != "Accepted");
            let message = format!("{invalid}; what it had before stays");
            conditions.push(Condition::new("Accepted", false, "InvalidParameters", message));
        }
        let programmed = conditions.iter().any(|c| c.kind == "Programmed" && c.status);
        if !outcome.blocked.is_empty() {
            conditions.retain(|c| c.kind != "Programmed");
            let message = outcome.blocked.join("; ");
            conditions.push(Condition::new("Programmed", programmed, "NoResources", message));
        }
        let status = &seen.value["status"];
        let mut wanted = json!({
            "conditions": merge(&status["conditions"], &conditions, &GATEWAY, seen.generation, now),
            "listeners": self.listeners(key, seen, programmed, now),
        });
        if let Some(addresses) = self.addresses(key).filter(|_| programmed) {
            // Written once there is something behind them, and not taken back for a restart.
            wanted["addresses"] = addresses;
        }
        Some(wanted)
    }

    /// The name of the waypoint's Service, and its addresses.
    fn addresses(&self, key: &Key) -> Option<Value> {
        let service = Key::new(&key.namespace, deployed_name(self.world, key));
        let vips = &self.world.service(&service)?.vips;
        let host = json!({"type": "Hostname", "value": hostname(self.world, &service)});
        let ips = vips.iter().map(|ip| json!({"type": "IPAddress", "value": ip.to_string()}));
        Some(std::iter::once(host).chain(ips).collect())
    }

    fn listeners(&self, key: &Key, seen: &Seen, programmed: bool, now: Timestamp) -> Value {
        let asked = seen.value["spec"]["listeners"].as_array().into_iter().flatten();
        let found = seen.value["status"]["listeners"].as_array();
        let found = found.map(Vec::as_slice).unwrap_or_default();
        let attached = self.attached_routes(key);
        let one = |listener: &Value| {
            let of_ours = listener["protocol"] == "HBONE" && listener["port"] == PORT;
            let conditions = listener_conditions(of_ours, programmed);
            let old = found.iter().find(|old| old["name"] == listener["name"]);
            let old = old.map_or(&Value::Null, |old| &old["conditions"]);
            let routes = json!([
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"},
                {"group": "gateway.networking.k8s.io", "kind": "GRPCRoute"},
            ]);
            json!({
                "name": listener["name"],
                "attachedRoutes": if of_ours { attached } else { 0 },
                "supportedKinds": if of_ours { routes } else { json!([]) },
                "conditions": merge(old, &conditions, &LISTENER, seen.generation, now),
            })
        };
        asked.map(one).collect()
    }

    /// How many routes name the Gateway as their parent and may.
    fn attached_routes(&self, gateway: &Key) -> usize {
        let names = |parent: &ParentRef, route: &Key| {
            parent.kind.as_deref().unwrap_or("Gateway") == "Gateway"
                && parent.name == gateway.name
                && parent.namespace.as_ref().unwrap_or(&route.namespace) == &gateway.namespace
        };
        let attached = |key: &Key, parents: &[ParentRef]| {
            key.namespace == gateway.namespace && parents.iter().any(|parent| names(parent, key))
        };
        let http = self.world.routes().map(|route| (&route.meta.key, &route.spec.parent_refs));
        let grpc = self.world.grpc_routes().map(|route| (&route.meta.key, &route.spec.parent_refs));
        let routes = http.chain(grpc).filter(|(key, parents)| attached(key, parents));
        routes.count()
    }

    fn route<M: Matches>(&self, key: &Key, seen: &Seen, name: &ObjectRef, now: Timestamp) -> Value {
        let serves = |gateway: &Key| {
            let gateway = self.world.gateway(gateway);
            gateway
                .is_some_and(|g| serves(self.world, &g.spec.gateway_class_name, self.istio_class))
        };
        let found = seen.value["status"]["parents"].as_array();
        let found = found.map(Vec::as_slice).unwrap_or_default();
        let is_ours = |parent: &&Value| parent["controllerName"] == brand::WAYPOINT_CONTROLLER;
        let mut parents: Vec<Value> = found.iter().filter(|p| !is_ours(p)).cloned().collect();
        for (parent, conditions) in route::by_parent::<M>(self.world, key, serves) {
            let conditions = self.refused(name, "Accepted", conditions);
            let parent = parent_ref(&parent);
            let old = found.iter().filter(is_ours).find(|old| old["parentRef"] == parent);
            let old = old.map_or(&Value::Null, |old| &old["conditions"]);
            parents.push(json!({
                "parentRef": parent,
                "controllerName": brand::WAYPOINT_CONTROLLER,
                "conditions": merge(old, &conditions, &ROUTE, seen.generation, now),
            }));
        }
        json!({"parents": parents})
    }
}

fn listener_conditions(of_ours: bool, programmed: bool) -> Vec<Condition> {
    let accepted = if of_ours {
        Condition::new("Accepted", true, "Accepted", "")
    } else {
        let message = "a waypoint's listeners have protocol HBONE and port 15008; write these";
        Condition::new("Accepted", false, "UnsupportedProtocol", message)
    };
    let programmed = match (of_ours, programmed) {
        (true, true) => Condition::new("Programmed", true, "Programmed", ""),
        (true, false) => Condition::new("Programmed", false, "Pending", "no instance is ready"),
        (false, _) => Condition::new("Programmed", false, "Invalid", "it is not accepted"),
    };
    vec![
        accepted,
        Condition::new("Conflicted", false, "NoConflicts", ""),
        programmed,
        Condition::new("ResolvedRefs", true, "ResolvedRefs", ""),
    ]
}

/// A reference with the defaults that the API server fills in.
fn parent_ref(parent: &ParentRef) -> Value {
    let mut value = json!({
        "group": parent.group.as_deref().unwrap_or("gateway.networking.k8s.io"),
        "kind": parent.kind.as_deref().unwrap_or("Gateway"),
        "name": parent.name,
    });
    if let Some(namespace) = &parent.namespace {
        value["namespace"] = namespace.as_str().into();
    }
    if let Some(section) = &parent.section_name {
        value["sectionName"] = section.as_str().into();
    }
    if let Some(port) = parent.port {
        value["port"] = port.into();
    }
    value
}

#[cfg(test)]
mod tests;
