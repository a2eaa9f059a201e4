//! Kubernetes objects of a mesh, as values to apply or to change first.

use serde_json::{Map, Value, json};

use crate::bed::{Node, Pod};

/// Labels as a map.
pub fn labels(pairs: &[(&str, &str)]) -> Value {
    let entries = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// A Namespace.
pub fn namespace(name: &str, with: &[(&str, &str)]) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels(with)}})
}

/// The annotation of a Node with the addresses of waypoints that it makes itself.
const WAYPOINT_ADDRESSES: &str = "ambit.dev/waypoint-addresses";

/// The Node object of a testbed node.
pub fn node(node: &Node) -> Value {
    let addresses: Vec<Value> =
        node.ips().iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": node.name(), "labels": {"kubernetes.io/hostname": node.name()},
            "annotations": {WAYPOINT_ADDRESSES: node.waypoints().join(",")}},
        "spec": {"podCIDRs": [node.pods4(), node.pods6()]},
        "status": {"addresses": addresses}})
}

/// A ServiceAccount.
pub fn service_account(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace}})
}

/// The Pod object of a testbed pod: running and ready, owned by a ReplicaSet `NAME-1`.
pub fn pod(pod: &Pod, service_account: &str, with: &[(&str, &str)]) -> Value {
    let ips: Vec<Value> = pod.ips().iter().map(|ip| json!({"ip": ip})).collect();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid(),
            "labels": labels(with),
            "generateName": format!("{}-1-", pod.name()),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": format!("{}-1", pod.name()), "uid": pod.uid(), "controller": true}],
        },
        "spec": {"serviceAccountName": service_account, "nodeName": pod.node().name(),
            "containers": [{"name": "main", "image": "testbed"}]},
        "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "hostIP": pod.node().ip4(), "podIP": pod.ip4(), "podIPs": ips}})
}

/// A port of a Service: name, port, target port.
pub type ServicePort<'a> = (&'a str, u16, u16);

/// A Service with addresses of its own; IPv4 first if it has both.
pub fn service(
    (namespace, name): (&str, &str),
    addresses: &[&str],
    select: &[(&str, &str)],
    ports: &[ServicePort<'_>],
) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, target)| json!({"name": name, "port": port, "targetPort": target}))
        .collect();
    let families: Vec<&str> =
        addresses.iter().map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" }).collect();
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": labels(select), "ports": ports,
            "clusterIP": addresses.first().unwrap_or(&"None"), "clusterIPs": addresses,
            "ipFamilies": families}})
}

/// An AuthorizationPolicy; `spec` is everything but the action.
pub fn authorization_policy(
    (namespace, name): (&str, &str),
    action: &str,
    mut spec: Value,
) -> Value {
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("action".to_owned(), action.into());
    }
    json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A RequestAuthentication of a Service, with these `jwtRules`.
pub fn request_authentication(
    (namespace, name): (&str, &str),
    service: &str,
    rules: &Value,
) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targetRefs": [{"kind": "Service", "group": "", "name": service}],
            "jwtRules": rules}})
}

/// A rule on callers: `principals` such as `cluster.local/ns/shop/sa/web`.
pub fn from_principals(principals: &[&str]) -> Value {
    json!({"from": [{"source": {"principals": principals}}]})
}

/// A PeerAuthentication for a namespace, or for the pods that `select` names.
pub fn peer_authentication(
    (namespace, name): (&str, &str),
    mode: &str,
    select: &[(&str, &str)],
) -> Value {
    let mut spec = json!({"mtls": {"mode": mode}});
    if !select.is_empty() {
        spec["selector"] = json!({"matchLabels": labels(select)});
    }
    json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A Gateway that asks for a waypoint of the given class.
pub fn waypoint((namespace, name): (&str, &str), class: &str) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": class,
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]}})
}

/// An HTTPRoute of a Service, with the rules as given.
pub fn http_route((namespace, name): (&str, &str), service: &str, rules: &Value) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": service}],
            "rules": rules}})
}
