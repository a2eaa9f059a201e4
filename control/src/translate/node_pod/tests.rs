use super::*;
use crate::translate::tests::world;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: m, port: 15008, protocol: HBONE}]}
---
";

fn told(namespace_labels: &str, metadata: &str, spec: &str) -> Option<pb::Pod> {
    let yaml = format!(
        "{GATEWAY}apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{namespace_labels}}}}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: shop, uid: u, {metadata}}}\nspec: {{{spec} containers: []}}\nstatus: {{podIPs: [{{ip: 10.0.0.1}}, {{ip: 'fd00::1'}}]}}\n"
    );
    let world = world(&yaml);
    let pod = world.pod(&Key::new("shop", "a")).expect("there");
    let resource = resource(&world, pod, &mut BTreeSet::new())?;
    assert_eq!(resource.groups, ["n"], "for its node alone");
    Some(pb::Pod::decode(resource.body.as_slice()).expect("decodes"))
}

#[test]
fn labels_of_pod_and_namespace_say_who_takes_part() {
    const AMBIENT: &str = "istio.io/dataplane-mode: ambient";
    const NONE: &str = "istio.io/dataplane-mode: none";
    let on_n = "nodeName: n,";
    for (case, namespace, metadata, spec, want) in [
        ("nobody says so", "", String::new(), on_n, false),
        ("the namespace", AMBIENT, String::new(), on_n, true),
        ("the pod", "", format!("labels: {{{AMBIENT}}}"), on_n, true),
        ("the pod does not want", AMBIENT, format!("labels: {{{NONE}}}"), on_n, false),
        (
            "a sidecar",
            AMBIENT,
            "annotations: {sidecar.istio.io/status: '{}'}".to_owned(),
            on_n,
            false,
        ),
        ("the host's network", AMBIENT, String::new(), "nodeName: n, hostNetwork: true,", false),
        (
            "a waypoint",
            AMBIENT,
            format!("labels: {{{}: gate}}", waypoint::GATEWAY_NAME),
            on_n,
            false,
        ),
    ] {
        let pod = told(namespace, &metadata, spec).expect("told");
        assert_eq!(pod.enrol, want, "{case}");
        assert_eq!(pod.ips, ["10.0.0.1", "fd00::1"], "{case}");
    }
}

#[test]
fn a_pod_that_is_nowhere_is_told_to_nobody() {
    assert_eq!(told("", "", ""), None);
}

#[test]
fn annotations_of_use_are_told_and_no_others() {
    let metadata = "annotations: {ambient.istio.io/dns-capture: 'true', istio.io/reroute-virtual-interfaces: x, ambit.dev/replicas: '1', istio.iox/a: b, kubectl.kubernetes.io/last-applied: c, secret: d}";
    let pod = told("", metadata, "nodeName: n,").expect("told");
    let keys: BTreeSet<&str> = pod.annotations.keys().map(String::as_str).collect();
    let want = [
        "ambient.istio.io/dns-capture",
        "ambit.dev/replicas",
        "istio.io/reroute-virtual-interfaces",
    ];
    assert_eq!(keys, BTreeSet::from(want));
}

#[test]
fn a_waypoint_s_pod_says_of_which_gateway() {
    for (case, gateway, want) in
        [("one of ours", "gate", Some("gate")), ("a missing one", "gone", None)]
    {
        let label = format!("labels: {{{}: {gateway}}}", waypoint::GATEWAY_NAME);
        let pod = told("", &label, "nodeName: n,").expect("told");
        let spec = pod.waypoint;
        assert_eq!(spec.as_ref().map(|s| s.gateway.as_str()), want, "{case}");
        assert!(spec.is_none_or(|s| !s.sandbox), "{case}: a runtime makes its namespace");
    }
}
