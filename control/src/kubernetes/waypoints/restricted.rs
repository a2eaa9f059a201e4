//! What an overlay may not make of a waypoint's pod.
//!
//! `control` makes Deployments in every namespace. Whoever may write a Gateway and a ConfigMap
//! must not thereby get pods that the namespace's own rules would not let him have: the profile
//! `restricted` of the Pod Security Standards, and no other account.

use serde_json::Value;

use super::Managed;
use super::overlay::OverlayError;

/// Fields that give a pod what is its node's.
const OF_THE_NODE: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "nodeName", "hostUsers"];

/// Volumes that `restricted` knows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Checks the `spec` of a pod.
///
/// # Errors
/// The first field that is not permitted.
pub fn check(pod: &Value, account: &str) -> Result<(), OverlayError> {
    find(pod, account).map_or(Ok(()), |(field, reason)| {
        let field = format!("spec.template.spec.{field}");
        Err(OverlayError::Forbidden { key: Managed::Deployment.overlay_key(), field, reason })
    })
}

type Found = (String, String);

fn found(field: impl Into<String>, reason: &str) -> Found {
    (field.into(), format!("is not permitted: {reason}"))
}

fn find(pod: &Value, account: &str) -> Option<Found> {
    if pod["serviceAccountName"] != account || pod.get("serviceAccount").is_some() {
        let reason = "the account follows the Gateway; annotate gateway.istio.io/service-account";
        return Some(found("serviceAccountName", reason));
    }
    let mut of_the_node = OF_THE_NODE.iter().filter(|field| pod.get(*field).is_some());
    if let Some(field) = of_the_node.next() {
        return Some(found(*field, "a waypoint has nothing of its node's"));
    }
    for (at, volume) in items(pod, "volumes").enumerate() {
        let kinds = volume.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
        let other = kinds.filter(|kind| *kind != "name").find(|kind| !VOLUMES.contains(kind));
        if let Some(kind) = other {
            let reason = "profile restricted knows no such volume";
            return Some(found(format!("volumes[{at}].{kind}"), reason));
        }
    }
    ["containers", "initContainers", "ephemeralContainers"].into_iter().find_map(|list| {
        items(pod, list).enumerate().find_map(|(at, container)| {
            let (field, reason) = container_of(pod, container)?;
            Some(found(format!("{list}[{at}].securityContext.{field}"), reason))
        })
    })
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// A container's own setting, or else the pod's.
fn effective<'a>(pod: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    match container["securityContext"].get(field) {
        Some(own) => own,
        None => &pod["securityContext"][field],
    }
}

fn container_of(pod: &Value, container: &Value) -> Option<(&'static str, &'static str)> {
    let own = &container["securityContext"];
    if own.get("privileged").is_some_and(|privileged| *privileged != false) {
        return Some(("privileged", "write false or leave it out"));
    }
    if own["allowPrivilegeEscalation"] != false {
        return Some(("allowPrivilegeEscalation", "write false"));
    }
    if !items(&own["capabilities"], "drop").any(|one| one == "ALL") {
        return Some(("capabilities.drop", "write [ALL]"));
    }
    if items(&own["capabilities"], "add").any(|one| one != "NET_BIND_SERVICE") {
        return Some(("capabilities.add", "leave it out"));
    }
    if own.get("procMount").is_some_and(|mount| mount != "Default") {
        return Some(("procMount", "leave it out"));
    }
    if *effective(pod, container, "runAsNonRoot") != true {
        return Some(("runAsNonRoot", "write true"));
    }
    if *effective(pod, container, "runAsUser") == 0 {
        return Some(("runAsUser", "write another than 0"));
    }
    let seccomp = &effective(pod, container, "seccompProfile")["type"];
    if seccomp != "RuntimeDefault" && seccomp != "Localhost" {
        return Some(("seccompProfile", "write {type: RuntimeDefault}"));
    }
    None
}

#[cfg(test)]
mod tests;
