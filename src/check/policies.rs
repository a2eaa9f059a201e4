//! What no single object shows: selectors that match nothing, strictness towards pods outside
//! the mesh, providers that are not there.

use serde_json::Value;

use super::finding::{Finding, Severity};
use crate::mesh::{Object, Objects};
use crate::status::{PodRow, Standing};

/// Kinds with a selector of pods, where it is.
const SELECTORS: [(&str, &str); 3] = [
    ("AuthorizationPolicy", "/spec/selector/matchLabels"),
    ("PeerAuthentication", "/spec/selector/matchLabels"),
    ("RequestAuthentication", "/spec/selector/matchLabels"),
];

/// What is wrong with the policies. Who takes part is known from `standing`.
pub(super) fn of(objects: &Objects, standing: Option<&Standing>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = root_namespace(objects);
    for (kind, path) in SELECTORS {
        for policy in objects.of(kind) {
            findings.extend(selects_nothing(objects, policy, path, &root));
        }
    }
    for policy in objects.of("AuthorizationPolicy") {
        findings.extend(provider(objects, policy));
    }
    if let Some(standing) = standing {
        for peer in objects.of("PeerAuthentication") {
            findings.extend(strict(peer, &standing.pods, &root));
        }
    }
    findings
}

/// Where policies are for the whole mesh.
fn root_namespace(objects: &Objects) -> String {
    let config = objects.find("ConfigMap", "istio-system", "istio");
    let mesh = config.and_then(mesh_config);
    let own = mesh.as_ref().and_then(|mesh| mesh["rootNamespace"].as_str());
    own.filter(|own| !own.is_empty()).unwrap_or("istio-system").to_owned()
}

fn mesh_config(config: &Object) -> Option<Value> {
    control::source::document::parse(config.value["data"]["mesh"].as_str()?).ok()
}

fn selects_nothing(objects: &Objects, policy: &Object, path: &str, root: &str) -> Option<Finding> {
    let labels = policy.value.pointer(path)?.as_object().filter(|labels| !labels.is_empty())?;
    let everywhere = policy.namespace() == root;
    let fits = |pod: &Object| {
        (everywhere || pod.namespace() == policy.namespace())
            && labels.iter().all(|(key, value)| pod.label(key) == value.as_str())
    };
    if objects.of("Pod").any(fits) {
        return None;
    }
    let wanted: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let near = near(objects, policy, labels);
    let fix = match near {
        Some(near) => {
            format!("did you mean {near}? Else let the selector match labels of pods that run")
        }
        None => "let the selector match labels of pods that run, or remove the policy".to_owned(),
    };
    Some(
        Finding::new(
            Severity::Warning,
            "selector-matches-nothing",
            policy.title(),
            format!("its selector {} matches no pod: it is for nobody", wanted.join(",")),
            fix,
        )
        .within(policy.namespace()),
    )
}

/// A label of a pod whose value is alike.
fn near(
    objects: &Objects,
    policy: &Object,
    labels: &serde_json::Map<String, Value>,
) -> Option<String> {
    let pods = objects.of("Pod").filter(|pod| pod.namespace() == policy.namespace());
    let mut best: Option<(f64, String)> = None;
    for pod in pods {
        for (key, value) in labels {
            let (Some(own), Some(wanted)) = (pod.label(key), value.as_str()) else { continue };
            let likeness = strsim::jaro_winkler(own, wanted);
            if likeness > 0.8 && best.as_ref().is_none_or(|(of, _)| likeness > *of) {
                best = Some((likeness, format!("{key}={own}")));
            }
        }
    }
    best.map(|(_, label)| label)
}

/// That the provider of a CUSTOM policy is defined, and that its service is there.
fn provider(objects: &Objects, policy: &Object) -> Option<Finding> {
    if policy.value["spec"]["action"] != "CUSTOM" {
        return None;
    }
    let name = policy.value["spec"]["provider"]["name"].as_str().unwrap_or_default();
    let finding = |id, problem: String, fix: String| {
        let found = Finding::new(Severity::Error, id, policy.title(), problem, fix);
        Some(found.within(policy.namespace()))
    };
    let config = objects.find("ConfigMap", "istio-system", "istio").and_then(mesh_config);
    if config.is_none() && objects.of("ConfigMap").next().is_none() && policy_place(policy) {
        // A cluster's ConfigMaps are not listed; control says what it misses.
        return None;
    }
    let config = config.unwrap_or_default();
    let providers = config["extensionProviders"].as_array().cloned().unwrap_or_default();
    let Some(own) = providers.iter().find(|one| one["name"] == name) else {
        let known: Vec<&str> = providers.iter().filter_map(|one| one["name"].as_str()).collect();
        let said = crate::suggest::unknown("provider", name, known);
        return finding(
            "provider-undefined",
            format!("{said}; what it guards is refused"),
            "define it in extensionProviders of the ConfigMap istio-system/istio".to_owned(),
        );
    };
    let service = ["envoyExtAuthzGrpc", "envoyExtAuthzHttp"]
        .iter()
        .find_map(|kind| own[*kind]["service"].as_str())?;
    let host = service.rsplit('/').next().unwrap_or(service);
    let mut parts = host.split('.');
    let (short, namespace) = (parts.next()?, parts.next().unwrap_or("default"));
    let object = objects.find("Service", namespace, short);
    let is_entry = objects.of("ServiceEntry").any(|entry| {
        entry.value["spec"]["hosts"].as_array().into_iter().flatten().any(|one| one == host)
    });
    if object.is_none() && !is_entry {
        return finding(
            "provider-unreachable",
            format!(
                "provider {name} is the service {host}, which is not there; what it guards is refused"
            ),
            format!("create Service {namespace}/{short}, or correct the provider's service"),
        );
    }
    let selector = object?.value["spec"]["selector"].as_object()?;
    let fits = |pod: &Object| {
        pod.namespace() == namespace
            && selector.iter().all(|(key, value)| pod.label(key) == value.as_str())
    };
    if objects.of("Pod").any(fits) {
        return None;
    }
    finding(
        "provider-unreachable",
        format!(
            "provider {name}: no pod is behind Service {namespace}/{short}; what it guards is refused"
        ),
        format!("start the pods of Service {namespace}/{short}"),
    )
}

/// Whether it is an object of a cluster.
fn policy_place(policy: &Object) -> bool {
    policy.place.is_none()
}

/// Pods of the same namespace that are outside the mesh: what they call here is refused.
fn strict(peer: &Object, pods: &[PodRow], root: &str) -> Option<Finding> {
    if peer.value["spec"]["mtls"]["mode"] != "STRICT" {
        return None;
    }
    let everywhere = peer.namespace() == root;
    let near = |pod: &&PodRow| everywhere || pod.namespace == peer.namespace();
    let inside = pods.iter().filter(near).any(|pod| pod.wanted);
    let outside: Vec<String> = pods
        .iter()
        .filter(near)
        .filter(|pod| !pod.wanted && pod.state != "waypoint")
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .collect();
    if !inside || outside.is_empty() {
        return None;
    }
    let shown = match outside.len() {
        0..=5 => outside.join(", "),
        count => format!("{} and {} more", outside[..5].join(", "), count - 5),
    };
    Some(
        Finding::new(
            Severity::Warning,
            "strict-callers-outside",
            peer.title(),
            format!(
                "it is STRICT, and {shown} are outside the mesh: what they call here is refused"
            ),
            "enrol them with `ambit enroll`, or write mode PERMISSIVE until they are",
        )
        .within(if everywhere { "" } else { peer.namespace() }),
    )
}

#[cfg(test)]
mod tests;
