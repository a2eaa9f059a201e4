//! What each field lets through.

use super::*;

fn key() -> EdgeKey {
    let party = |namespace: &str, workload: &str| {
        Some(Party {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            identity: format!("spiffe://cluster.local/ns/{namespace}/sa/{workload}"),
        })
    };
    EdgeKey {
        reporter: "waypoint".to_owned(),
        source: party("front", "web"),
        destination: party("shop", "orders"),
        service: "shop/orders.shop.svc.cluster.local".to_owned(),
        policy: "shop/allow-web".to_owned(),
        waypoint: "shop/waypoint".to_owned(),
        backend: "shop/orders-v2.shop.svc.cluster.local".to_owned(),
        ..EdgeKey::default()
    }
}

/// A field of a filter.
type Field = fn(&mut Filter) -> &mut String;

#[test]
fn each_field_is_met_by_what_it_names_and_by_nothing_else() {
    let cases: [(&str, Field, &[&str], &[&str]); 8] = [
        ("namespace", |f| &mut f.namespace, &["front", "shop", "sh*"], &["sho", "kube-system"]),
        ("workload", |f| &mut f.workload, &["web", "orders", "ord*"], &["order", "webb"]),
        (
            "service",
            |f| &mut f.service,
            &["orders", "shop/orders", "shop/orders.shop.svc.cluster.local", "orders-v2", "ord*"],
            &["front/orders", "web", "shop/order"],
        ),
        (
            "identity",
            |f| &mut f.identity,
            &["spiffe://cluster.local/ns/front/sa/web", "spiffe://cluster.local/ns/shop/*"],
            &["spiffe://cluster.local/ns/front", "web"],
        ),
        ("policy", |f| &mut f.policy, &["shop/allow-web", "shop/*"], &["allow-web"]),
        ("node", |f| &mut f.node, &["node-a", "node-*"], &["node", "a"]),
        ("reporter", |f| &mut f.reporter, &["waypoint"], &["source"]),
        ("waypoint", |f| &mut f.waypoint, &["shop/waypoint"], &["waypoint"]),
    ];
    for (name, field, met, unmet) in cases {
        for (text, want) in met.iter().map(|t| (t, true)).chain(unmet.iter().map(|t| (t, false))) {
            let mut filter = Filter::default();
            field(&mut filter).push_str(text);
            assert_eq!(edge(&filter, &key(), "node-a"), want, "{name}={text}");
        }
    }
    assert!(edge(&Filter::default(), &key(), "node-a"), "nothing is asked");
}

#[test]
fn all_fields_that_are_given_hold() {
    let filter = |namespace: &str, workload: &str| Filter {
        namespace: namespace.to_owned(),
        workload: workload.to_owned(),
        ..Filter::default()
    };
    assert!(edge(&filter("shop", "orders"), &key(), ""));
    assert!(!edge(&filter("shop", "payments"), &key(), ""));
    let failed = Filter { failed: true, ..Filter::default() };
    assert!(!edge(&failed, &key(), ""));
    assert!(edge(&failed, &EdgeKey { failure: "DENY".to_owned(), ..key() }, ""));
}

#[test]
fn an_event_is_found_by_its_node_and_by_what_it_is_about() {
    let event = Event {
        subject: "AuthorizationPolicy shop/deny-web".to_owned(),
        node: "node-a".to_owned(),
        ..Event::default()
    };
    let by = |namespace: &str, workload: &str, node: &str| Filter {
        namespace: namespace.to_owned(),
        workload: workload.to_owned(),
        node: node.to_owned(),
        ..Filter::default()
    };
    assert!(super::event(&by("shop", "", ""), &event));
    assert!(super::event(&by("", "deny-web", "node-a"), &event));
    assert!(!super::event(&by("front", "", ""), &event));
    assert!(!super::event(&by("", "", "node-b"), &event));
    let failed = Filter { failed: true, ..Filter::default() };
    assert!(!super::event(&failed, &Event { level: "info".to_owned(), ..event.clone() }));
    assert!(super::event(&failed, &Event { level: "warning".to_owned(), ..event }));
}
