//! What runs for a waypoint: its pod, fit for the profile `restricted` of Pod Security.

use serde_json::{Value, json};

use super::Settings;
use super::asked::Asked;
use super::render::STATUS_PORT;

/// The container's name, as overlays refer to it.
pub const CONTAINER: &str = "istio-proxy";
/// Where metrics are.
const STATS_PORT: u16 = 15020;
/// Who runs it.
const USER: u32 = 1337;
/// Where the mesh's roots are in each namespace.
const ROOTS: &str = "istio-ca-root-cert";
/// How long a pod that goes still takes what callers send that have not heard of it.
const LINGER_SECONDS: u32 = 5;
/// How long requests that run may go on after that.
const DRAIN_SECONDS: u32 = 30;

/// `spec` of the pod.
pub(super) fn spec(asked: &Asked, settings: &Settings, selector: &Value) -> Value {
    json!({
        "serviceAccountName": asked.account,
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": LINGER_SECONDS + DRAIN_SECONDS + 10,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            spread("kubernetes.io/hostname", selector),
            spread("topology.kubernetes.io/zone", selector),
        ],
        "containers": [container(asked, settings)],
        "volumes": [
            {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": {
                "audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token",
            }}]}},
            {"name": "istiod-ca-cert", "configMap": {"name": ROOTS}},
            {"name": "observed", "emptyDir": {"sizeLimit": OBSERVED}},
        ],
    })
}

/// As even as can be had; a cluster of one node runs it all the same. Pods of another revision
/// do not count, so that a rollout ends as evenly as it began.
fn spread(over: &str, selector: &Value) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
        "matchLabelKeys": ["pod-template-hash"],
    })
}

/// Room for what happened in the last hours, more than its own limit.
const OBSERVED: &str = "64Mi";

fn container(asked: &Asked, settings: &Settings) -> Value {
    let probe = json!({"path": "/healthz/ready", "port": STATUS_PORT});
    json!({
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "env": environment(asked, settings),
        "ports": [
            {"name": "metrics", "containerPort": STATS_PORT, "protocol": "TCP"},
            {"name": "status-port", "containerPort": STATUS_PORT, "protocol": "TCP"},
            {"name": "hbone", "containerPort": 15008, "protocol": "TCP"},
        ],
        "startupProbe": {
            "httpGet": probe, "initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 1,
            "failureThreshold": 30,
        },
        "readinessProbe": {
            "httpGet": probe, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": LINGER_SECONDS}}},
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": true},
            {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": true},
            {"name": "observed", "mountPath": "/var/lib/ambit/observed"},
        ],
    })
}

fn environment(asked: &Asked, settings: &Settings) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut all = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("NODE_NAME", "spec.nodeName"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        text("GATEWAY_NAME", &asked.gateway),
        text("XDS_ADDRESS", &settings.control),
        text("CA_ADDRESS", &settings.control),
        text("XDS_ROOT_CA", "/var/run/secrets/istio/root-cert.pem"),
        text("CA_ROOT_CA", "/var/run/secrets/istio/root-cert.pem"),
        text("AUTH_TOKEN", "/var/run/secrets/tokens/istio-token"),
        text("TRUST_DOMAIN", &settings.trust_domain),
        text("CLUSTER_ID", &settings.cluster),
        text("CLUSTER_DOMAIN", &settings.domain),
        text("OBSERVE_DIR", "/var/lib/ambit/observed"),
        text("CONNECTION_TERMINATION_DEADLINE", &format!("{DRAIN_SECONDS}s")),
    ];
    if !settings.network.is_empty() {
        all.push(text("ISTIO_META_NETWORK", &settings.network));
    }
    all
}

/// Annotations of the pod beside those of the Gateway's wish.
pub(super) fn annotations() -> [(&'static str, String); 3] {
    [
        ("prometheus.io/scrape", "true".to_owned()),
        ("prometheus.io/port", STATS_PORT.to_string()),
        ("prometheus.io/path", "/stats/prometheus".to_owned()),
    ]
}
