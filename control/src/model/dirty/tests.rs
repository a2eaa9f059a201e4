use super::*;
use crate::translate::tests::world;

const WORLD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: x}}
spec: {nodeName: n, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: y}}
spec: {nodeName: n, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: far, namespace: bank, labels: {app: x}}
spec: {nodeName: n, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: wp, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: gate}}
spec: {nodeName: n, containers: []}
---
apiVersion: v1
kind: Service
metadata: {name: x, namespace: shop}
spec: {selector: {app: x}, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s, namespace: shop, labels: {kubernetes.io/service-name: x}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9], targetRef: {kind: Pod, name: b}}]
ports: [{port: 80}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: chosen, namespace: shop}
spec: {selector: {matchLabels: {app: x}}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: everywhere, namespace: istio-system}
spec: {selector: {matchLabels: {app: x}}, rules: [{}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: out}
spec:
  hosts: [a.example.com, local.out.svc.cluster.local]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  workloadSelector: {labels: {app: v}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: twin, namespace: else}
spec:
  hosts: [a.example.com]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1, labels: {app: v}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: v, namespace: out}
spec: {address: 192.0.2.2, labels: {app: v}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: out}
spec: {selector: {matchLabels: {app: v}}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: else}
spec: {selector: {matchLabels: {app: v}}, rules: [{}]}
";

/// What an object makes dirty, as words.
fn dirtied(kind: Kind, namespace: &str, name: &str) -> Vec<String> {
    let mut out = BTreeSet::new();
    dirtied_by(&world(WORLD), &ObjectRef::new(kind, namespace, name), &mut out);
    let mut words: Vec<String> = out.iter().map(|d| format!("{d:?}")).collect();
    for word in &mut words {
        *word = word
            .replace("Key { namespace: \"", "")
            .replace("\", name: \"", "/")
            .replace("\" })", ")");
    }
    words
}

#[test]
fn an_object_makes_dirty_what_depends_on_it_and_nothing_else() {
    for (case, kind, namespace, name, want) in [
        (
            "a pod and the services that choose it",
            Kind::Pod,
            "shop",
            "a",
            vec!["Pod(shop/a)", "Service(shop/x)"],
        ),
        ("a pod that a slice names", Kind::Pod, "shop", "b", vec!["Pod(shop/b)", "Slice(shop/s)"]),
        ("a waypoint's pod", Kind::Pod, "shop", "wp", vec!["Pod(shop/wp)", "Gateway(shop/gate)"]),
        ("a pod that is new", Kind::Pod, "shop", "new", vec!["Pod(shop/new)"]),
        (
            "a service, its pods and slices",
            Kind::Service,
            "shop",
            "x",
            vec!["Pod(shop/a)", "Pod(shop/b)", "Slice(shop/s)", "Service(shop/x)"],
        ),
        (
            "a slice, its service and pods",
            Kind::EndpointSlice,
            "shop",
            "s",
            vec!["Pod(shop/b)", "Slice(shop/s)", "Service(shop/x)"],
        ),
        (
            "a policy and whom it chooses",
            Kind::AuthorizationPolicy,
            "shop",
            "chosen",
            vec!["Pod(shop/a)", "Policy(shop/chosen)"],
        ),
        (
            "one of the root namespace",
            Kind::AuthorizationPolicy,
            "istio-system",
            "everywhere",
            vec!["Pod(bank/far)", "Pod(shop/a)", "Policy(istio-system/everywhere)"],
        ),
        (
            "an entry, its hosts in every namespace and who serves it",
            Kind::ServiceEntry,
            "out",
            "e",
            vec![
                "Entry(else/twin)",
                "Entry(out/e)",
                "Host(else/a.example.com)",
                "Host(out/a.example.com)",
                "Host(out/local.out.svc.cluster.local)",
                "WorkloadEntry(out/v)",
            ],
        ),
        (
            "a workload entry and who chooses it",
            Kind::WorkloadEntry,
            "out",
            "v",
            vec!["Entry(out/e)", "WorkloadEntry(out/v)"],
        ),
        (
            "a service and the entry of its host",
            Kind::Service,
            "out",
            "local",
            vec![
                "Service(out/local)",
                "Entry(out/e)",
                "Host(out/local.out.svc.cluster.local)",
                "WorkloadEntry(out/v)",
            ],
        ),
        (
            "a policy and the workload entries that it chooses",
            Kind::AuthorizationPolicy,
            "out",
            "p",
            vec!["Policy(out/p)", "WorkloadEntry(out/v)"],
        ),
        (
            "a policy and the endpoints that it chooses",
            Kind::AuthorizationPolicy,
            "else",
            "p",
            vec!["Policy(else/p)", "Entry(else/twin)"],
        ),
        ("a route", Kind::HTTPRoute, "shop", "r", vec!["Route(shop/r)"]),
        (
            "a RequestAuthentication",
            Kind::RequestAuthentication,
            "shop",
            "jwt",
            vec!["Authentication(shop/jwt)"],
        ),
        ("a route of gRPC", Kind::GRPCRoute, "shop", "r", vec!["GrpcRoute(shop/r)"]),
        ("a Gateway", Kind::Gateway, "shop", "gate", vec!["Gateway(shop/gate)"]),
        ("a node is only looked up", Kind::Node, "", "n", vec![]),
        ("a namespace", Kind::Namespace, "", "shop", vec!["Namespace(\"shop\")"]),
        ("a class too", Kind::GatewayClass, "", "c", vec![]),
    ] {
        assert_eq!(dirtied(kind, namespace, name), want, "{case}");
    }
}

#[test]
fn the_mesh_configuration_is_in_everything() {
    let all = dirtied(Kind::MeshConfig, "istio-system", "istio");
    for part in [
        "Pod(shop/a)",
        "Pod(bank/far)",
        "Service(shop/x)",
        "Slice(shop/s)",
        "Policy(shop/chosen)",
        "Providers",
        "Strict",
        "Entry(out/e)",
        "Host(out/a.example.com)",
        "WorkloadEntry(out/v)",
    ] {
        assert!(all.iter().any(|word| word == part), "{part} is not in {all:?}");
    }
}
