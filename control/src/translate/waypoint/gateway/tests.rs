use super::*;
use crate::translate::tests::world;

fn told(class: &str, annotations: &str) -> Option<(pb::Gateway, Vec<String>)> {
    let yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: wp, namespace: shop, annotations: {{{annotations}}}}}\nspec: {{gatewayClassName: {class}, listeners: [{{name: m, port: 15008, protocol: HBONE}}]}}\n"
    );
    let mut derived = Derived::default();
    add(&world(&yaml), &Key::new("shop", "wp"), &mut derived);
    let resource = derived.resources.into_iter().next()?;
    Some((pb::Gateway::decode(resource.body.as_slice()).expect("decodes"), resource.groups))
}

#[test]
fn a_waypoint_hears_of_its_own_gateway_by_its_account() {
    for (case, class, annotations, group) in [
        ("ours", "ambit-waypoint", "", Some("shop/wp")),
        ("Istio's", "istio-waypoint", "", Some("shop/wp")),
        ("another's", "nginx", "", None),
        ("another name", "ambit-waypoint", "gateway.istio.io/name-override: w", Some("shop/w")),
        (
            "another account",
            "ambit-waypoint",
            "gateway.istio.io/service-account: s",
            Some("shop/s"),
        ),
    ] {
        let found = told(class, annotations).map(|(_, groups)| groups);
        assert_eq!(found, group.map(|group| vec![group.to_owned()]), "{case}");
    }
}

#[test]
fn the_client_s_identity_is_forwarded_where_the_annotation_says_so() {
    for (value, want) in [("'true'", true), ("'TRUE'", true), ("'false'", false), ("'1'", false)] {
        let annotation = format!("ambient.istio.io/xfcc-include-client-identity: {value}");
        let (gateway, _) = told("ambit-waypoint", &annotation).expect("told");
        assert_eq!(gateway.forward_client_identity, want, "{value}");
        assert_eq!((gateway.namespace.as_str(), gateway.name.as_str()), ("shop", "wp"));
        assert_eq!(gateway.trust_domains.first().map(String::as_str), Some("cluster.local"));
    }
}
