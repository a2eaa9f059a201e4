use super::*;
use crate::model::report::Report;
use crate::translate::tests::world;

fn gateway(class: &str, listener: &str, annotations: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: wp, namespace: shop, annotations: {{{annotations}}}}}\nspec: {{gatewayClassName: {class}, listeners: [{{name: m, {listener}}}]}}\n---\n"
    )
}

const HBONE: &str = "port: 15008, protocol: HBONE";

fn pod(name: &str, ready: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{gateway.networking.k8s.io/gateway-name: wp}}}}\nspec: {{nodeName: node-{name}, containers: []}}\nstatus: {{podIP: 10.0.0.1, conditions: [{{type: Ready, status: '{ready}'}}]}}\n---\n"
    )
}

/// Type, status, reason and message of each condition.
fn said(world: &World) -> Vec<(String, bool, String, String)> {
    let derived = derive(world, &Key::new("shop", "wp"));
    let all = derived.conditions.into_iter().flat_map(|(_, conditions)| conditions);
    all.map(|c| (c.kind, c.status, c.reason, c.message)).collect()
}

#[test]
fn a_gateway_is_accepted_or_its_condition_says_what_to_write() {
    for (case, yaml, status, reason, message) in [
        ("as it should be", gateway("ambit-waypoint", HBONE, ""), true, "Accepted", ""),
        ("Istio's class", gateway("istio-waypoint", HBONE, ""), true, "Accepted", ""),
        (
            "another class",
            gateway("nginx", HBONE, ""),
            false,
            "UnsupportedClass",
            "\"ambit-waypoint\"",
        ),
        (
            "another port",
            gateway("ambit-waypoint", "port: 80, protocol: HBONE", ""),
            false,
            "ListenersNotValid",
            "15008",
        ),
        (
            "another protocol",
            gateway("ambit-waypoint", "port: 15008, protocol: HTTP", ""),
            false,
            "ListenersNotValid",
            "HBONE",
        ),
        (
            "no number",
            gateway("ambit-waypoint", HBONE, "ambit.dev/replicas: many"),
            true,
            "InvalidParameters",
            "write 1 to 16",
        ),
        (
            "too many",
            gateway("ambit-waypoint", HBONE, "ambit.dev/replicas: '17'"),
            true,
            "InvalidParameters",
            "\"17\"",
        ),
    ] {
        let said = said(&world(&yaml));
        let (kind, is, why, words) = said.first().expect("something is said");
        assert_eq!((kind.as_str(), *is, why.as_str()), ("Accepted", status, reason), "{case}");
        assert!(words.contains(message), "{case}: {words}");
    }
}

#[test]
fn a_gateway_is_programmed_while_an_instance_is_ready() {
    let gateway = gateway("ambit-waypoint", HBONE, "");
    for (case, pods, status, reason, message) in [
        ("none", String::new(), false, "NoResources", "ambit.dev/waypoint-addresses"),
        ("one starts", pod("a", "False"), false, "Pending", "0 of 1 instances ready, on node-a"),
        (
            "one of two",
            pod("a", "True") + &pod("b", "False"),
            true,
            "Programmed",
            "1 of 2 instances",
        ),
    ] {
        let said = said(&world(&(gateway.clone() + &pods)));
        let (_, is, why, words) = said.iter().find(|(k, ..)| k == "Programmed").expect("said");
        assert_eq!((*is, why.as_str()), (status, reason), "{case}");
        assert!(words.contains(message), "{case}: {words}");
    }
}

#[test]
fn of_a_deployed_instance_its_node_says_whether_it_is_ready() {
    use crate::model::object::{Kind, Object, ObjectRef};

    let mut world = world(&(gateway("ambit-waypoint", HBONE, "") + &pod("a", "True")));
    let key = Key::new("shop", "a");
    let mut pod = world.pod(&key).expect("there").clone();
    pod.deployed = true;
    let uid = pod.uid.clone();
    world.put(&ObjectRef::new(Kind::Pod, "shop", "a"), Some(Object::Pod(Box::new(pod))));
    for ready in [false, true, false] {
        world.set_report(&uid, &Report { waypoint_ready: ready, ..Report::default() });
        let said = said(&world);
        let programmed = said.iter().find(|(kind, ..)| kind == "Programmed").expect("said");
        assert_eq!(programmed.1, ready);
    }
}
