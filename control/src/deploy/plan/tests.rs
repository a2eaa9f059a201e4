use super::*;
use crate::translate::tests::world;

const NODES: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-a, annotations: {ambit.dev/waypoint-addresses: '10.1.0.240/28,fd00:1::f0/124'}}
---
apiVersion: v1
kind: Node
metadata: {name: node-b, annotations: {ambit.dev/waypoint-addresses: 10.2.0.240/28}}
---
apiVersion: v1
kind: Node
metadata: {name: node-c}
---
";

fn gateway(class: &str, annotations: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: waypoint, namespace: shop, annotations: {{{annotations}}}}}\nspec: {{gatewayClassName: {class}, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}\n---\n"
    )
}

fn key() -> Key {
    Key::new("shop", "waypoint")
}

/// What a Gateway gets, as `Kind namespace/name`; of pods without the hash.
fn names(yaml: &str) -> Vec<String> {
    let objects = objects(&world(yaml), &key(), &mut Leases::default());
    let shown = |name: &ObjectRef| match name.to_string().rsplit_once('-') {
        Some((name, _)) if name.starts_with("Pod ") => name.to_owned(),
        _ => name.to_string(),
    };
    objects.keys().map(shown).collect()
}

#[test]
fn a_gateway_gets_what_its_kind_and_the_nodes_say() {
    const ALL: [&str; 4] = [
        "Pod shop/waypoint-node-a",
        "Pod shop/waypoint-node-b",
        "ServiceAccount shop/waypoint",
        "Service shop/waypoint",
    ];
    let own = "apiVersion: v1\nkind: Service\nmetadata: {name: waypoint, namespace: shop}\nspec: {ports: [{port: 15008}]}\n---\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: mine, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}\nspec: {containers: []}\n---\n";
    let class = |controller: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: mine}}\nspec: {{controllerName: {controller}}}\n---\n"
        )
    };
    for (case, yaml, want) in [
        ("two nodes", gateway("ambit-waypoint", ""), ALL.to_vec()),
        ("one instance", gateway("ambit-waypoint", "ambit.dev/replicas: '1'"), ALL[1..].to_vec()),
        ("more than nodes", gateway("ambit-waypoint", "ambit.dev/replicas: '9'"), ALL.to_vec()),
        ("no number", gateway("ambit-waypoint", "ambit.dev/replicas: many"), ALL.to_vec()),
        ("another's class", gateway("istio-waypoint", ""), vec![]),
        ("a class of ours", gateway("mine", "") + &class("ambit.dev/waypoint"), ALL.to_vec()),
        ("a class of another's", gateway("mine", "") + &class("istio.io/mesh-controller"), vec![]),
        ("its own service", gateway("ambit-waypoint", "") + own, ALL[..3].to_vec()),
        ("its own pods", gateway("ambit-waypoint", "") + pod, ALL[2..].to_vec()),
        (
            "other names",
            gateway(
                "ambit-waypoint",
                "gateway.istio.io/name-override: w, gateway.istio.io/service-account: s, ambit.dev/replicas: '1'",
            ),
            vec!["Pod shop/w-node-b", "ServiceAccount shop/s", "Service shop/w"],
        ),
        ("no Gateway", String::new(), vec![]),
    ] {
        let mut want: Vec<&str> = want;
        let found = names(&(NODES.to_owned() + &yaml));
        if case == "one instance" || case == "other names" {
            // Which node it is follows from the names; that it is one is what counts here.
            assert_eq!(found.iter().filter(|name| name.starts_with("Pod ")).count(), 1, "{case}");
            want.retain(|name| !name.starts_with("Pod "));
            let rest: Vec<&String> =
                found.iter().filter(|name| !name.starts_with("Pod ")).collect();
            assert_eq!(rest, want, "{case}");
        } else {
            assert_eq!(found, want, "{case}");
        }
    }
}

#[test]
fn an_instance_is_a_pod_of_the_waypoint_s_identity_on_its_node() {
    let world = world(&(NODES.to_owned() + &gateway("ambit-waypoint", "")));
    let objects = objects(&world, &key(), &mut Leases::default());
    let name = ObjectRef::new(Kind::Pod, "shop", &instance(&key(), "waypoint", "node-a"));
    let Some(Object::Pod(pod)) = objects.get(&name) else { panic!("no pod: {objects:?}") };
    assert_eq!((pod.node.as_str(), pod.service_account.as_str()), ("node-a", "waypoint"));
    assert_eq!(pod.ips.len(), 2, "an address of each family: {:?}", pod.ips);
    assert!(pod.deployed && !pod.ready, "ready only once its node says so");
    for (label, value) in [
        (GATEWAY_NAME, "waypoint"),
        ("gateway.networking.k8s.io/gateway-class-name", "ambit-waypoint"),
        (MANAGED, "istio.io-mesh-controller"),
        ("istio.io/dataplane-mode", "none"),
    ] {
        assert_eq!(pod.meta.label(label), Some(value), "{label}");
    }
    let name = ObjectRef::new(Kind::Service, "shop", "waypoint");
    let Some(Object::Service(service)) = objects.get(&name) else { panic!("no service") };
    assert!(crate::model::world::selects(&service.selector, &pod.meta.labels));
    assert!(service.ports.iter().any(|port| port.port == 15008));
}

#[test]
fn places_stay_while_their_nodes_give_them() {
    let gateway = gateway("ambit-waypoint", "");
    let mut leases = Leases::default();
    let before = world(&(NODES.to_owned() + &gateway));
    objects(&before, &key(), &mut leases);
    let first = leases.of(&key());
    objects(&before, &key(), &mut leases);
    assert_eq!(leases.of(&key()), first, "the same again");
    let moved = NODES.replace("10.2.0.240/28", "10.3.0.240/28");
    objects(&world(&(moved + &gateway)), &key(), &mut leases);
    let after = leases.of(&key());
    assert_eq!(after.get("node-a"), first.get("node-a"), "its addresses are still given");
    assert_ne!(after.get("node-b"), first.get("node-b"), "its block is another");
    objects(&world(NODES), &key(), &mut leases);
    assert!(leases.of(&key()).is_empty(), "given back with the Gateway");
}

#[test]
fn no_two_instances_and_no_pod_of_the_source_share_an_address() {
    let nodes = NODES
        .replace("10.2.0.240/28", "10.2.0.240/30")
        .replace("'10.1.0.240/28,fd00:1::f0/124'", "''");
    let occupied = "apiVersion: v1\nkind: Pod\nmetadata: {name: there, namespace: other}\nspec: {nodeName: node-b, containers: []}\nstatus: {podIP: 10.2.0.241}\n---\n";
    let world = world(&(nodes + occupied + &gateway("ambit-waypoint", "")));
    let mut leases = Leases::default();
    objects(&world, &key(), &mut leases);
    let only = vec!["10.2.0.242".parse::<IpAddr>().expect("an address")];
    assert_eq!(leases.of(&key()), BTreeMap::from([("node-b".to_owned(), only)]));
    assert!(leases.taken(&Key::new("shop", "other")).len() == 1);
}

#[test]
fn instances_of_two_gateways_never_have_one_name() {
    let nodes = ["b-c", "c"].map(|node| {
        format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {node}, annotations: {{ambit.dev/waypoint-addresses: 10.1.0.0/28}}}}\n---\n")
    });
    let gateways = ["a", "a-b"].map(|name| {
        gateway("ambit-waypoint", "").replace("name: waypoint", &format!("name: {name}"))
    });
    let world = world(&(nodes.concat() + &gateways.concat()));
    let mut leases = Leases::default();
    let pods = |name: &str, leases: &mut Leases| -> Vec<ObjectRef> {
        let objects = objects(&world, &Key::new("shop", name), leases);
        objects.into_keys().filter(|name| name.kind == Kind::Pod).collect()
    };
    let (first, second) = (pods("a", &mut leases), pods("a-b", &mut leases));
    assert_eq!((first.len(), second.len()), (2, 2));
    assert!(first.iter().all(|name| !second.contains(name)), "{first:?}, {second:?}");
}
