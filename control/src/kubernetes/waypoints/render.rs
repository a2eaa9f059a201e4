//! The objects that one Gateway gets. Pure.

use serde_json::{Value, json};

use super::asked::Asked;
use super::overlay::{Overlay, OverlayError, merge};
use super::{Managed, Settings, pod, restricted};
use crate::deploy::plan::{self, CONTROLLER};
use crate::model::object::Map;
use crate::translate::waypoint::{GATEWAY_NAME, MANAGED};

/// Where readiness is asked.
pub const STATUS_PORT: u16 = 15021;
/// The label of a deployed object that names its Gateway's class.
const CLASS_NAME: &str = "gateway.networking.k8s.io/gateway-class-name";
const DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// Busy at this share of its requests, in percent, a waypoint gets further instances.
const BUSY_PERCENT: u32 = 80;

/// An object that is to be there.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its kind.
    pub managed: Managed,
    /// Its name in the Gateway's namespace.
    pub name: String,
    /// As it is to be applied.
    pub object: Value,
}

/// What is made for a Gateway; `overlays` in the order in which they change it.
///
/// # Errors
/// An overlay that wants what it may not have.
pub fn render(
    asked: &Asked,
    settings: &Settings,
    overlays: &[Overlay],
) -> Result<Vec<Wanted>, OverlayError> {
    let mut wanted = Vec::new();
    for managed in Managed::ALL {
        let name = if managed == Managed::ServiceAccount { &asked.account } else { &asked.name };
        let mut object = json!({
            "apiVersion": managed.api_version(),
            "kind": managed.kind(),
            "metadata": {"labels": asked.labels, "annotations": asked.annotations},
        });
        if managed == Managed::Service {
            // Of an instance in each zone, callers take the one in theirs.
            object["metadata"]["annotations"][DISTRIBUTION] = "PreferClose".into();
        }
        if let Some(spec) = spec(managed, asked, settings) {
            object["spec"] = spec;
        }
        for overlay in overlays {
            if let Some(change) = overlay.of(managed) {
                merge(managed, &mut object, change)?;
            }
        }
        own(&mut object, asked, name);
        if managed == Managed::Deployment {
            seal(&mut object, asked, settings);
            restricted::check(&object["spec"]["template"]["spec"], &asked.account)?;
        }
        wanted.push(Wanted { managed, name: name.clone(), object });
    }
    // With a number of its own, nobody else may change it.
    let fixed =
        |w: &Wanted| w.managed == Managed::Deployment && w.object["spec"]["replicas"].is_u64();
    if wanted.iter().any(fixed) {
        wanted.retain(|w| w.managed != Managed::HorizontalPodAutoscaler);
    }
    Ok(wanted)
}

/// Names, and the labels by which we know our own: no wish and no overlay changes them.
fn own(object: &mut Value, asked: &Asked, name: &str) {
    let metadata = &mut object["metadata"];
    metadata["name"] = name.into();
    metadata["namespace"] = asked.namespace.as_str().into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "name": asked.gateway,
        "uid": asked.uid,
    }]);
    put(&mut metadata["labels"], identity(asked));
}

/// The labels that say whose an object is.
fn identity(asked: &Asked) -> [(&'static str, &str); 3] {
    [(GATEWAY_NAME, &asked.gateway), (CLASS_NAME, &asked.class), (MANAGED, CONTROLLER)]
}

fn put<'a>(map: &mut Value, pairs: impl IntoIterator<Item = (&'static str, &'a str)>) {
    for (key, value) in pairs {
        map[key] = value.into();
    }
}

fn selector(asked: &Asked) -> Value {
    json!({"matchLabels": {GATEWAY_NAME: asked.gateway}})
}

fn spec(managed: Managed, asked: &Asked, settings: &Settings) -> Option<Value> {
    match managed {
        Managed::ServiceAccount => None,
        Managed::Service => Some(service(asked)),
        Managed::PodDisruptionBudget => Some(json!({
            "selector": selector(asked),
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        })),
        Managed::Deployment => Some(deployment(asked, settings)),
        Managed::HorizontalPodAutoscaler => Some(json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": asked.name},
            "minReplicas": asked.replicas,
            "maxReplicas": plan::MAX_REPLICAS,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": BUSY_PERCENT},
            }}],
        })),
    }
}

fn service(asked: &Asked) -> Value {
    let status = ("status-port".to_owned(), STATUS_PORT, "tcp".to_owned());
    let ports = std::iter::once(&status).chain(&asked.ports).map(|(name, number, protocol)| {
        json!({"name": name, "port": number, "protocol": "TCP", "targetPort": number,
               "appProtocol": protocol})
    });
    let mut spec = json!({
        "selector": {GATEWAY_NAME: asked.gateway},
        "ipFamilyPolicy": "PreferDualStack",
        "type": if asked.service_type.is_empty() { "ClusterIP" } else { &asked.service_type },
    });
    spec["ports"] = ports.collect();
    spec
}

/// How many run is the autoscaler's to say. A new instance comes before an old one goes.
fn deployment(asked: &Asked, settings: &Settings) -> Value {
    let selector = selector(asked);
    let mut template = json!({
        "metadata": {"labels": asked.labels, "annotations": asked.annotations},
        "spec": pod::spec(asked, settings, &selector),
    });
    for (key, value) in pod::annotations() {
        template["metadata"]["annotations"][key] = value.into();
    }
    json!({
        "selector": selector,
        "revisionHistoryLimit": 3,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "template": template,
    })
}

/// The labels of its pods that the mesh goes by.
fn seal(object: &mut Value, asked: &Asked, settings: &Settings) {
    object["spec"]["selector"] = selector(asked);
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    put(labels, identity(asked));
    put(
        labels,
        [
            ("sidecar.istio.io/inject", "false"),
            ("istio.io/dataplane-mode", "none"),
            ("service.istio.io/canonical-name", &asked.name),
            ("service.istio.io/canonical-revision", "latest"),
        ],
    );
    if !settings.network.is_empty() {
        put(labels, [("topology.istio.io/network", settings.network.as_str())]);
    }
}

/// An object's labels.
pub fn labels(object: &Value) -> Map {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Whether all of `wanted` is in `found`: what the server and others add does not count.
pub fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match found.get(key) {
                Some(found) => contains(found, value),
                // The server does not keep what is empty.
                None => value.as_object().is_some_and(serde_json::Map::is_empty),
            })
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| contains(f, w))
        }
        (found, wanted) => found == wanted,
    }
}

#[cfg(test)]
mod tests;
