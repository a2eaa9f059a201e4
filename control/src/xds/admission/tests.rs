use super::*;
use prost_types::{Struct, Value};

fn node(id: &str, fields: &[(&str, &str)]) -> Node {
    let field = |(key, value): &(&str, &str)| {
        ((*key).to_owned(), Value { kind: Some(Kind::StringValue((*value).to_owned())) })
    };
    let metadata = Some(Struct { fields: fields.iter().map(field).collect() });
    Node { id: id.to_owned(), metadata, ..Node::default() }
}

fn caller(role: Role) -> Caller {
    Caller {
        namespace: "istio-system".to_owned(),
        service_account: "ztunnel".to_owned(),
        node: "node-a".to_owned(),
        role,
    }
}

#[test]
fn the_node_has_to_agree_with_the_credential() {
    const ID: &str = "ztunnel~10.0.0.1~z.istio-system~istio-system.svc.cluster.local";
    let good = [("NAMESPACE", "istio-system"), ("NODE_NAME", "node-a")];
    for (case, id, fields, good) in [
        ("as it should be", ID, &good[..], true),
        ("namespace by the domain", ID, &[], true),
        ("other namespace", ID, &[("NAMESPACE", "shop")], false),
        (
            "other namespace by the domain",
            "ztunnel~10.0.0.1~z.shop~shop.svc.cluster.local",
            &[],
            false,
        ),
        ("its account", ID, &[("SERVICE_ACCOUNT", "ztunnel")], true),
        ("other account", ID, &[("SERVICE_ACCOUNT", "root")], false),
        ("other machine", ID, &[("NODE_NAME", "node-b")], false),
        ("three parts", "ztunnel~10.0.0.1~z", &[], false),
        ("five parts", "ztunnel~10.0.0.1~z~istio-system.svc~x", &[], false),
        ("unknown type", "gateway~10.0.0.1~z~istio-system.svc", &[], false),
        ("no address", "ztunnel~~z~istio-system.svc", &[], false),
        (
            "address in the metadata",
            "ztunnel~~z~istio-system.svc",
            &[("INSTANCE_IPS", "fd00::1")],
            true,
        ),
        ("waypoint with a node's credential", "waypoint~10.0.0.1~z~istio-system.svc", &[], false),
    ] {
        let got = admit(&caller(Role::Node), Some(&node(id, fields)));
        assert_eq!(got.is_ok(), good, "{case}: {got:?}");
    }
    assert_eq!(admit(&caller(Role::Node), None), Err(AdmissionError::NoNode));
    let pod =
        Role::Pod { pod: crate::model::object::Key::new("istio-system", "w"), uid: "u".to_owned() };
    assert!(admit(&caller(pod), Some(&node(ID, &[]))).is_err(), "a pod is no node proxy");
}
