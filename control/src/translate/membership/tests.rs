use super::*;
use crate::translate::tests::world;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: x}}
spec: {nodeName: n, containers: [{name: c, image: i, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
";

fn service(spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: x, namespace: shop}}\nspec: {{{spec}}}\n---\n"
    )
}

fn slice(pod: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s, namespace: shop, labels: {{kubernetes.io/service-name: x}}}}\naddressType: IPv4\nendpoints: [{{addresses: [10.0.0.1]{pod}}}]\nports: [{{name: named, port: 9090}}]\n---\n"
    )
}

#[test]
fn a_pod_is_a_member_by_selector_or_by_slice_with_its_own_ports() {
    let named = ", targetRef: {kind: Pod, name: a}";
    for (case, yaml, want) in [
        (
            "selected",
            service("selector: {app: x}, ports: [{port: 80, targetPort: 8080}]"),
            Some(vec![(80, 8080)]),
        ),
        (
            "by the name of a port",
            service("selector: {app: x}, ports: [{port: 80, targetPort: web}]"),
            Some(vec![(80, 8080)]),
        ),
        (
            "a port that it lacks",
            service("selector: {app: x}, ports: [{port: 80, targetPort: other}]"),
            Some(vec![]),
        ),
        ("of another label", service("selector: {app: y}, ports: [{port: 80}]"), None),
        ("no selector", service("ports: [{port: 80}]"), None),
        (
            "no selector, but a slice",
            service("ports: [{name: named, port: 80, targetPort: there}]") + &slice(named),
            Some(vec![(80, 9090)]),
        ),
        ("a slice without pod", service("ports: [{port: 80}]") + &slice(""), None),
        (
            "ExternalName",
            service(
                "type: ExternalName, externalName: a.b, selector: {app: x}, ports: [{port: 80}]",
            ),
            None,
        ),
    ] {
        let world = world(&(PODS.to_owned() + &yaml));
        let pod = world.pod(&Key::new("shop", "a")).expect("there");
        let found = members(&world, pod).into_iter().map(|m| m.ports).next();
        assert_eq!(found, want, "{case}");
    }
}

#[test]
fn something_stands_behind_a_service_or_nothing() {
    let named = |pod: &str| format!(", targetRef: {{kind: Pod, name: {pod}}}");
    for (case, yaml, want) in [
        ("a pod", service("selector: {app: x}, ports: []"), true),
        ("no pod", service("selector: {app: y}, ports: []"), false),
        ("nothing named", service("ports: []"), false),
        ("an address", service("ports: []") + &slice(""), true),
        ("a pod by slice", service("ports: []") + &slice(&named("a")), true),
        ("a pod that is gone", service("ports: []") + &slice(&named("gone")), false),
    ] {
        let world = world(&(PODS.to_owned() + &yaml));
        let service = world.service(&Key::new("shop", "x")).expect("there");
        assert_eq!(has_endpoints(&world, service), want, "{case}");
    }
    let ended = PODS.replace("podIP", "phase: Failed, podIP");
    let world = world(&(ended + &service("selector: {app: x}, ports: []")));
    let service = world.service(&Key::new("shop", "x")).expect("there");
    assert!(!has_endpoints(&world, service), "a pod that has ended");
}
