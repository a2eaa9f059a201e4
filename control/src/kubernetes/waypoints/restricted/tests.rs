use serde_json::json;

use super::*;

fn pod() -> Value {
    json!({
        "serviceAccountName": "wp",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
        "volumes": [{"name": "a", "emptyDir": {}}],
    })
}

#[test]
fn what_the_profile_does_not_permit_is_named() {
    assert_eq!(check(&pod(), "wp"), Ok(()));
    let container = "/containers/0/securityContext";
    for (at, field, value, want) in [
        ("", "serviceAccountName", json!("admin"), "serviceAccountName"),
        ("", "serviceAccount", json!("admin"), "serviceAccountName"),
        ("", "hostNetwork", json!(true), "hostNetwork"),
        ("", "hostPID", json!(true), "hostPID"),
        ("", "hostIPC", json!(true), "hostIPC"),
        ("", "nodeName", json!("control-plane"), "nodeName"),
        ("", "volumes", json!([{"name": "a", "hostPath": {"path": "/"}}]), "volumes[0].hostPath"),
        ("", "securityContext", json!({}), "containers[0].securityContext.runAsNonRoot"),
        ("/securityContext", "runAsUser", json!(0), "containers[0].securityContext.runAsUser"),
        ("/securityContext", "seccompProfile", json!({"type": "Unconfined"}), "seccompProfile"),
        ("", "initContainers", json!([{"name": "b"}]), "initContainers[0].securityContext"),
        (container, "privileged", json!(true), "privileged"),
        (container, "allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation"),
        (container, "capabilities", json!({"drop": []}), "capabilities.drop"),
        (
            container,
            "capabilities",
            json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}),
            "capabilities.add",
        ),
        (container, "runAsNonRoot", json!(false), "runAsNonRoot"),
        (container, "runAsUser", json!(0), "runAsUser"),
        (container, "procMount", json!("Unmasked"), "procMount"),
    ] {
        let mut pod = pod();
        pod.pointer_mut(at).expect("there")[field] = value;
        let refused = check(&pod, "wp").expect_err(field).to_string();
        assert!(refused.starts_with("deployment: spec.template.spec."), "{refused}");
        assert!(refused.contains(want), "{field}: {refused}");
    }
}
